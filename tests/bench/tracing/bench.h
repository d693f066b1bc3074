/* SPDX-License-Identifier: Apache-2.0
 * What is measured, and what a tracer under test offers for it. */
#ifndef BENCH_TRACING_H
#define BENCH_TRACING_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum bench_protocol { BENCH_PROTOBUF, BENCH_JSON, BENCH_GRPC };

struct bench_tracer {
    const char *name;
    /* Makes spans that cost nothing, that are not sampled, or that are sampled
     * and exported to 127.0.0.1:port. false: it cannot. */
    bool (*start_disabled)(void);
    bool (*start_not_sampled)(void);
    bool (*start_exporting)(enum bench_protocol protocol, uint16_t port);
    /* Begins and ends n spans, each the child of one span that is current:
     * a name, a bool, an int and two strings of 11 and 24 characters. */
    void (*spans)(unsigned n);
    /* Waits until all that ended is exported; false when something was lost. */
    bool (*flush)(void);
    bool (*stop)(void);
};

extern const struct bench_tracer bench_ours;
/* name is NULL when it is not there. */
extern const struct bench_tracer bench_otel;

/* sink.c: a collector in a process of its own that reads all, keeps nothing and
 * says yes. Returns its port; 0 when it could not start. */
uint16_t bench_sink_start(void);
void bench_sink_stop(void);

/* The middle one; sorts. */
double bench_median(double *values, unsigned n);

/* programs.c: start-up, memory and libraries of small programs. */
void bench_programs(const char *directory);

#ifdef __cplusplus
}
#endif

#endif
