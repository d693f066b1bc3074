/* SPDX-License-Identifier: Apache-2.0
 * libclew-export under test, as a service uses it. */
#include "bench.h"

#include <clew/export.h>
#include <clew/trace.h>

#include <stdio.h>
#include <stdlib.h>

static void quiet(void)
{
    setenv("CLEW_LOG_OUTPUT", "none", 1);
    setenv("CLEW_RING_FULL", "block", 1); /* wait for room: none is lost */
    setenv("OTEL_SERVICE_NAME", "bench", 1);
}

static bool start_disabled(void)
{
    quiet();
    setenv("OTEL_SDK_DISABLED", "true", 1);
    return clew_start("bench", "1") == 0;
}

static bool start_not_sampled(void)
{
    quiet();
    setenv("OTEL_TRACES_SAMPLER", "always_off", 1);
    return clew_start("bench", "1") == 0;
}

static bool start_exporting(enum bench_protocol protocol, uint16_t port)
{
    static const char *const names[] = {"http/protobuf", "http/json", "grpc"};
    char url[64];

    quiet();
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u", port);
    setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url, 1);
    setenv("OTEL_EXPORTER_OTLP_PROTOCOL", names[protocol], 1);
    return clew_start("bench", "1") == 0;
}

static void spans(unsigned n)
{
    struct clew_span *current = clew_span_begin("GET /orders", CLEW_SPAN_SERVER);

    for (unsigned i = 0; i < n; i++) {
        struct clew_span *span = clew_span_start("load order", CLEW_SPAN_INTERNAL);

        clew_span_set(span, clew_kv("order.kind", "limit order"),
                      clew_kv("customer.id", "7f3c2a1e9b8d4c6fa0e5d3b1"),
                      clew_kv("order.items", (int)i), clew_kv("order.open", true));
        clew_span_end(span);
    }
    clew_span_end(current);
}

static bool flush(void)
{
    struct clew_stats stats;

    if (clew_flush(30000) != 0)
        return false;
    clew_stats_read(&stats);
    return stats.dropped_ring_full + stats.dropped_no_ring == 0;
}

static bool stop(void)
{
    return clew_shutdown(30000) == 0;
}

const struct bench_tracer bench_ours = {
    "clewline", start_disabled, start_not_sampled, start_exporting, spans, flush, stop,
};
