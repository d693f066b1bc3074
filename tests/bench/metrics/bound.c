/* SPDX-License-Identifier: Apache-2.0
 * The least it can cost: cells of the thread's own, and a loop over the bounds. */
#include "bench.h"

static __thread uint64_t counter;
static __thread struct {
    uint64_t buckets[BENCH_BOUNDS + 1];
    double sum;
} histogram;

static void start(void)
{
}

static void add(unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        counter++;
        BENCH_BARRIER();
    }
}

static void observe(unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        double value = bench_values[i % BENCH_VALUES];
        unsigned bucket = 0;

        while (bucket < BENCH_BOUNDS && value > bench_bounds[bucket])
            bucket++;
        histogram.buckets[bucket]++;
        histogram.sum += value;
        BENCH_BARRIER();
    }
}

const struct bench_library bench_bound = {
    "lower bound in C", start, add, observe, NULL, NULL, NULL, NULL};
