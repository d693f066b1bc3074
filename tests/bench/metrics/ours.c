/* SPDX-License-Identifier: Apache-2.0 */
#include "bench.h"

#include <clew/metrics.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct clew_series *counter, *histogram;
static struct clew_metric *requests;
static struct clew_label labels[BENCH_SETS][3];

static void start(void)
{
    counter = clew_metric_series(clew_counter("bench_total", "B.", NULL), NULL);
    histogram = clew_metric_series(
        clew_histogram("bench_seconds", "B.", NULL, bench_bounds, BENCH_BOUNDS), NULL);
    requests = clew_counter("bench_requests_total", "B.",
                            (const char *const[]){"method", "path", "status", NULL});
    for (unsigned i = 0; i < BENCH_SETS; i++)
        for (unsigned k = 0; k < 3; k++)
            labels[i][k] = (struct clew_label){bench_sets[i][k], strlen(bench_sets[i][k])};
}

static void add(unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        clew_series_add(counter, 1);
        BENCH_BARRIER();
    }
}

static void observe(unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        clew_series_observe(histogram, bench_values[i % BENCH_VALUES], NULL, 0);
        BENCH_BARRIER();
    }
}

static void observe_exemplar(unsigned n)
{
    static const uint8_t trace_id[16] = {0x4b, 0xf9, 0x2f};

    for (unsigned i = 0; i < n; i++) {
        clew_series_observe(histogram, bench_values[i % BENCH_VALUES], trace_id, 7);
        BENCH_BARRIER();
    }
}

static void find(unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        clew_metric_add(requests, labels[i % BENCH_SETS], 1);
        BENCH_BARRIER();
    }
}

static void make_counters(unsigned n)
{
    struct clew_metric *many =
        clew_counter("bench_many_total", "M.", (const char *const[]){"customer", NULL});
    char id[32];

    (void)clew_metric_limit(many, NULL, n);
    for (unsigned i = 0; i < n; i++) {
        (void)snprintf(id, sizeof(id), "customer-%07u", i);
        clew_series_add(clew_metric_series(many, (const char *const[]){id, NULL}), i + 1);
    }
}

static size_t expose(void)
{
    char *page;
    size_t len;

    if (clew_metrics_render(false, &page, &len) < 0)
        return 0;
    free(page);
    return len;
}

const struct bench_library bench_ours = {"Clewline",       start, add,           observe,
                                         observe_exemplar, find,  make_counters, expose};
