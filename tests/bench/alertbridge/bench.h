/* SPDX-License-Identifier: Apache-2.0
 * What the benchmarks of the alert bridge share: the bridge as a process of its
 * own, webhooks to it, and a far side. They end the process where they cannot go
 * on. */
#ifndef CLEW_BENCH_ALERTBRIDGE_H
#define CLEW_BENCH_ALERTBRIDGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

_Noreturn void bench_fail(const char *what);
/* CLOCK_MONOTONIC. */
int64_t bench_now(void);
/* A port of 127.0.0.1 that is free now. */
uint16_t bench_free_port(void);

/* ---- bridge.c: the process --------------------------------------------------------- */

struct bridge {
    const char *program;
    char directory[64]; /* its store, log and rings */
    uint16_t port;
    pid_t pid;
};

/* Makes a directory and the configuration in it: critical alerts go to PagerDuty
 * alone, warnings to Slack, "crowd" to both by group, everything else to nobody. */
void bridge_init(struct bridge *bridge, const char *program, uint16_t far_port);
/* Starts it and waits until it takes connections; milliseconds from the start. */
double bridge_start(struct bridge *bridge);
/* Ends it; the store stays. */
void bridge_stop(struct bridge *bridge, int signal);
/* bridge_stop(), and everything is removed. */
void bridge_done(struct bridge *bridge);
/* A line of /proc/PID/status in MiB, as "VmRSS", "VmHWM". */
double bridge_memory(const struct bridge *bridge, const char *name);
/* Processor seconds so far. */
double bridge_cpu(const struct bridge *bridge);
/* Posts a body over a connection of its own. returns the status; 0: no answer */
unsigned bridge_post(const struct bridge *bridge, const char *body, size_t len);

/* ---- load.c: webhooks --------------------------------------------------------------- */

/* A webhook of one group with n alerts numbered from first, as Alertmanager writes it;
 * free() it. */
char *load_body(unsigned first, unsigned n, const char *severity, size_t *ret_len);

struct load {
    const struct bridge *bridge;
    const char *severity;
    unsigned connections;
    bool keep;   /* connections are kept; else one for each webhook */
    double rate; /* webhooks/s, each at its time whatever becomes of the others; 0: each
                    connection sends when it has its answer */
    double seconds;
    unsigned first; /* number of the first alert */
    /* Filled: */
    size_t sent, taken, failed;
    double took;          /* seconds to the last answer */
    double *milliseconds; /* of those taken, from the time when they should have been
                             sent; sorted; free() it */
};

void load_run(struct load *load);
/* The quantile of sorted figures. */
double load_quantile(const double *sorted, size_t n, double q);

/* ---- far.c: PagerDuty and Slack, in a thread ------------------------------------------ */

struct far;

/* holds: takes requests and never answers. */
struct far *far_start(uint16_t port, bool holds);
void far_stop(struct far *far);
/* When the request about alert `number` had begun to arrive, as bench_now(); 0: not yet. */
int64_t far_arrival(const struct far *far, unsigned number);
/* How many requests came whole. */
unsigned far_count(const struct far *far);

#endif
