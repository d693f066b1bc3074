/* SPDX-License-Identifier: Apache-2.0
 * What is measured, and what a library under test offers for it. */
#ifndef BENCH_METRICS_H
#define BENCH_METRICS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct bench_library {
    const char *name; /* NULL: it is not there */
    /* Before anything else, once in the process. */
    void (*start)(void);
    /* Each n times, in one thread or in two at the same time. NULL: it cannot. */
    void (*add)(unsigned n);              /* 1 to a counter */
    void (*observe)(unsigned n);          /* bench_values[i % BENCH_VALUES], 11 bounds */
    void (*observe_exemplar)(unsigned n); /* the same with a trace id */
    void (*find)(unsigned n);             /* three labels to a handle, and 1 to it */
    /* Makes that many counters with a label; then a page of them, its size. */
    void (*make_counters)(unsigned n);
    size_t (*expose)(void);
};

extern const struct bench_library bench_ours, bench_bound;
extern const struct bench_library bench_prometheus_cpp;

#define BENCH_VALUES 1024u
extern double bench_values[BENCH_VALUES];
#define BENCH_BOUNDS 11u
extern const double bench_bounds[BENCH_BOUNDS];
/* Label sets that a service sees: method, route, status. */
#define BENCH_SETS 16u
extern const char *const bench_sets[BENCH_SETS][3];

/* What is behind it happens anew in every turn of a loop. */
#define BENCH_BARRIER() __asm__ volatile("" ::: "memory")

#ifdef __cplusplus
}
#endif

#endif
