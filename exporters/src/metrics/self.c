/* SPDX-License-Identifier: Apache-2.0
 * Metrics of the runtime itself, read when scraped. */
#include "metrics_priv.h"

#include <clew/metrics.h>

#include "../management_priv.h"

#include <errno.h>

#define STAT(member)                       \
    static double read_##member(void *arg) \
    {                                      \
        struct clew_stats stats;           \
        (void)arg;                         \
        clew_stats_read(&stats);           \
        return (double)stats.member;       \
    }
STAT(lines)
STAT(spans)
STAT(dropped_ring_full)
STAT(dropped_no_ring)
STAT(dropped_nested)
STAT(dropped_space)
STAT(dropped_closed)
STAT(dropped_output)
STAT(dropped_sinks)
STAT(held_back)
STAT(truncated)
STAT(replaced_ids)
STAT(recovered)
STAT(rings)
STAT(spans_started_sampled)
STAT(spans_started_dropped)
STAT(spans_live)
STAT(misused)
#undef STAT

static bool add(struct clew_metric *metric, double (*read)(void *))
{
    return metric && clew_metric_callback(metric, read, NULL) == 0;
}

static bool add_drops(void)
{
    static const struct {
        const char *reason;
        double (*read)(void *);
    } reasons[] = {{"ring_full", read_dropped_ring_full}, {"no_ring", read_dropped_no_ring},
                   {"nested", read_dropped_nested},       {"no_space", read_dropped_space},
                   {"closed", read_dropped_closed},       {"output", read_dropped_output},
                   {"sinks", read_dropped_sinks}};
    struct clew_metric *metric =
        clew_counter("clew_log_dropped_total", "Log records and spans that were lost, by reason.",
                     (const char *const[]){"reason", NULL});

    for (size_t i = 0; metric && i < sizeof(reasons) / sizeof(reasons[0]); i++)
        (void)clew_series_callback(
            clew_metric_series(metric, (const char *const[]){reasons[i].reason, NULL}),
            reasons[i].read, NULL);
    return metric;
}

/* otel.sdk.span.started and otel.sdk.span.live (OpenTelemetry semantic
 * conventions, "SDK self-monitoring"). */
static bool add_spans(void)
{
    static const char *const labels[] = {"otel_span_sampling_result", NULL};
    struct clew_metric *started =
        clew_counter("otel_sdk_span_started_total", "Spans that were started.", labels);
    struct clew_metric *live = clew_gauge(
        "otel_sdk_span_live", "Recording spans that were started and not ended yet.", labels);

    if (!started || !live)
        return false;
    (void)clew_series_callback(
        clew_metric_series(started, (const char *const[]){"RECORD_AND_SAMPLE", NULL}),
        read_spans_started_sampled, NULL);
    (void)clew_series_callback(clew_metric_series(started, (const char *const[]){"DROP", NULL}),
                               read_spans_started_dropped, NULL);
    (void)clew_series_callback(
        clew_metric_series(live, (const char *const[]){"RECORD_AND_SAMPLE", NULL}), read_spans_live,
        NULL);
    return true;
}

static double read_evicted(void *arg)
{
    (void)arg;
    return (double)clew__guard_evicted();
}

static bool add_server(void)
{
    return add(clew_counter("clew_management_connections_evicted_total",
                            "Connections to the management server that were closed because there "
                            "were too many.",
                            NULL),
               read_evicted);
}

int clew__self_metrics_start(void)
{
    bool good = true;

    good &= add(clew_counter("clew_log_lines_total", "Log lines handed to the sinks.", NULL),
                read_lines);
    good &= add(clew_counter("clew_spans_total", "Spans handed to the sinks.", NULL), read_spans);
    good &= add(clew_counter("clew_log_held_back_total",
                             "Lines that the limits of their call sites held back.", NULL),
                read_held_back);
    good &=
        add(clew_counter("clew_log_truncated_total", "Records with a string that was cut.", NULL),
            read_truncated);
    good &= add(clew_counter("clew_replaced_ids_total",
                             "Request and correlation ids that were bad and replaced.", NULL),
                read_replaced_ids);
    good &= add(clew_counter("clew_recovered_total",
                             "Lines and spans recovered from processes that had died.", NULL),
                read_recovered);
    good &=
        add(clew_gauge("clew_rings", "Rings, one for each thread that logs.", NULL), read_rings);
    good &= add(clew_counter("clew_misused_total",
                             "Mistakes of the program with contexts, scopes and spans, survived.",
                             NULL),
                read_misused);
    return good && add_drops() && add_spans() && add_server() ? 0 : -ENOMEM;
}
