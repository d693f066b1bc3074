/* SPDX-License-Identifier: Apache-2.0
 * What the parts of the benchmark share: the columns, one run's figures, the
 * sizes of a run. */
#ifndef CLEW_BENCH_H
#define CLEW_BENCH_H

#include "peer.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* X(id, title, unit, digits, better, of the rounds) */
#define BENCH_COLUMNS(X)                                               \
    X(PACED_MEAN, "call, one each 2 us: mean", "ns", 1, LOWER, MEDIAN) \
    X(PACED_P50, "  p50", "ns", 1, LOWER, MEDIAN)                      \
    X(PACED_P99, "  p99", "ns", 1, LOWER, MEDIAN)                      \
    X(PACED_P999, "  p99.9", "ns", 0, LOWER, MEDIAN)                   \
    X(COLD, "call, 16 after 1 ms of sleep", "ns", 1, LOWER, MEDIAN)    \
    X(LINES_1, "to a file, 1 thread", "M/s", 3, HIGHER, MEDIAN)        \
    X(LINES_2, "to a file, 2 threads", "M/s", 3, HIGHER, MEDIAN)       \
    X(BUSY_P9999, "  a call then: p99.99", "us", 1, LOWER, MEDIAN)     \
    X(BUSY_MAX, "  a call then: max", "us", 0, LOWER, MEDIAN)          \
    X(CPU, "CPU a line, 1 thread", "ns", 0, LOWER, MEDIAN)             \
    X(RSS, "memory peak, 1 thread", "MB", 1, LOWER, MEDIAN)            \
    X(LACKING, "lines lacking or too many", "", 0, LOWER, WORST)       \
    X(KILL_LOST, "lines lost by SIGKILL", "", 0, LOWER, WORST)         \
    X(KILL_TWICE, "  lines there twice", "", 0, LOWER, WORST)          \
    X(KILL_TORN, "  lines torn", "", 0, LOWER, WORST)

enum column {
#define X(id, title, unit, digits, better, how) BENCH_##id,
    BENCH_COLUMNS(X)
#undef X
        BENCH_NCOLUMNS
};

/* Of one logger; NAN where there is none. */
struct figures {
    double v[BENCH_NCOLUMNS];
};

struct sizes {
    int rounds;
    int paced;    /* calls */
    int bursts;   /* of BENCH_BURST calls */
    int lines;    /* a thread, sustained */
    int kill_ms;  /* from the first line to the SIGKILL */
    int disabled; /* calls */
    int idle_ms;  /* of looking at an idle process */
};

enum job { JOB_PACED, JOB_COLD, JOB_SUSTAINED_1, JOB_SUSTAINED_2, JOB_KILLED, NJOBS };

/* Runs one job of one logger in a process of its own that writes to path, which
 * is gone afterwards, and sets that job's figures. Returns whether it worked;
 * when not, stderr says why. */
bool bench_run(const struct peer *peer, enum job job, const struct sizes *sizes, const char *path,
               struct figures *ret);

/* One line of the logger as it stands in the file, NUL-terminated. */
bool bench_sample(const struct peer *peer, const char *path, char *ret, size_t size);

/* fork() for a child that is killed when it hangs, and by bench_interrupt(). */
pid_t bench_fork(void);
/* For SIGINT and SIGTERM: the run ends early, but cleans up. */
void bench_interrupt(int signal);
bool bench_interrupted(void);

/* Ours only: ns of a call that is off, ns of the loop around it, CPU in per
 * cent of a process that has logged and does nothing. */
bool bench_ours(const struct sizes *sizes, const char *path, double ret[3]);

/* Ticks to ns; measured once, before the first fork. */
void bench_clock_calibrate(void);
double bench_ns(double ticks);
double bench_clock_cost(void); /* ticks of two readings with nothing in between */
double bench_clock_step(void); /* ticks it advances at once */

/* The k-th smallest of n; reorders them. */
uint64_t bench_select(uint64_t *values, size_t n, size_t k);
/* The q-quantile of ticks, 0 <= q <= 1; reorders them. */
double bench_quantile(uint64_t *values, size_t n, double q);
double bench_median(double *values, int n);

long bench_count_lines(const char *path);
/* Reads the order ids; torn lines are those that are not whole. */
struct seen {
    long lost, twice, torn;
};
bool bench_check_ids(const char *path, uint64_t last, struct seen *ret);
/* Says what a line lacks, or NULL. */
const char *bench_line_lacks(const char *line);

/* n loggers; of[i * rounds + round] are logger i's figures. */
void bench_report(const struct peer *const *peers, int n, const struct figures *of, int rounds);
void bench_report_machine(void);

#endif
