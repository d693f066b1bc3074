/* SPDX-License-Identifier: Apache-2.0
 * prometheus-cpp (Debian: prometheus-cpp-dev). */
#include "bench.h"

#include <prometheus/counter.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <string>

static prometheus::Registry registry;
static prometheus::Counter *counter;
static prometheus::Histogram *histogram;
static prometheus::Family<prometheus::Counter> *requests;

static void start()
{
    counter = &prometheus::BuildCounter().Name("bench_total").Help("B.").Register(registry).Add({});
    histogram = &prometheus::BuildHistogram()
                     .Name("bench_seconds")
                     .Help("B.")
                     .Register(registry)
                     .Add({}, prometheus::Histogram::BucketBoundaries(bench_bounds,
                                                                      bench_bounds + BENCH_BOUNDS));
    requests =
        &prometheus::BuildCounter().Name("bench_requests_total").Help("B.").Register(registry);
}

static void add(unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        counter->Increment();
        BENCH_BARRIER();
    }
}

static void observe(unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        histogram->Observe(bench_values[i % BENCH_VALUES]);
        BENCH_BARRIER();
    }
}

static void find(unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        const char *const *set = bench_sets[i % BENCH_SETS];

        requests->Add({{"method", set[0]}, {"path", set[1]}, {"status", set[2]}}).Increment();
        BENCH_BARRIER();
    }
}

static void make_counters(unsigned n)
{
    auto &many = prometheus::BuildCounter().Name("bench_many_total").Help("M.").Register(registry);
    char id[32];

    for (unsigned i = 0; i < n; i++) {
        (void)snprintf(id, sizeof(id), "customer-%07u", i);
        many.Add({{"customer", id}}).Increment(i + 1);
    }
}

static size_t expose()
{
    return prometheus::TextSerializer().Serialize(registry.Collect()).size();
}

extern "C" const struct bench_library bench_prometheus_cpp = {
    "prometheus-cpp", start, add, observe, nullptr, find, make_counters, expose};
