/* SPDX-License-Identifier: Apache-2.0
 * Timers, and values that are asked for. */
#include "registry_priv.h"

#include <errno.h>
#include <time.h>

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

struct clew_timer clew_timer_start(struct clew_series *series)
{
    return (struct clew_timer){series, now_ns()};
}

void clew_timer_stop(struct clew_timer *timer)
{
    struct clew_scope scope = clew_scope_current();
    const uint8_t *trace_id = NULL;
    struct clew_series *series = timer->series;

    if (!series)
        return;
    timer->series = NULL;
    if (scope.context && (clew_context_trace_flags(scope.context) & CLEW_TRACE_SAMPLED))
        trace_id = clew_context_trace_id(scope.context);
    clew_series_observe(series, (double)(now_ns() - timer->started_ns) / 1e9, trace_id,
                        scope.span_id);
}

int clew_series_callback(struct clew_series *handle, double (*value)(void *arg), void *arg)
{
    struct clew__series *series = clew__series(handle);

    if (!handle || !value || series->metric->kind > CLEW__GAUGE)
        return clew_set_error(-EINVAL, "callback: needs a counter or a gauge");
    series->callback_arg = arg;
    atomic_store_explicit(&series->callback, value, memory_order_release);
    return 0;
}

int clew_metric_callback(struct clew_metric *metric, double (*value)(void *arg), void *arg)
{
    if (!metric || metric->nlabels)
        return clew_set_error(-EINVAL, "callback: needs a counter or gauge without labels");
    return clew_series_callback(clew_metric_series(metric, NULL), value, arg);
}
