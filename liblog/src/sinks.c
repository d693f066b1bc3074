/* SPDX-License-Identifier: Apache-2.0
 * The sinks: a list that only grows. Called by the collector thread alone. */
#include "empty_priv.h"

#include <errno.h>

#define SINKS_MAX 16

static struct {
    const struct clew_sink_ops *ops;
    void *self;
} sinks[SINKS_MAX];
static _Atomic size_t nsinks;
static _Atomic bool want_lines, want_spans;

int clew_sink_add(const struct clew_sink_ops *ops, void *self)
{
    size_t n;
    int err = 0;

    if (!ops || !ops->name)
        return clew_set_error(-EINVAL, "sink: a name is needed");
    clew__registry_lock();
    n = atomic_load(&nsinks);
    if (n == SINKS_MAX) {
        err = clew_set_error(-ENOSPC, "sink %s: there are %d already", ops->name, SINKS_MAX);
    } else {
        sinks[n].ops = ops;
        sinks[n].self = self;
        atomic_store_explicit(&nsinks, n + 1, memory_order_release);
        if (ops->line)
            atomic_store(&want_lines, true);
        if (ops->span)
            atomic_store(&want_spans, true);
    }
    clew__registry_unlock();
    return err;
}

bool clew__sinks_want_lines(void)
{
    return atomic_load_explicit(&want_lines, memory_order_relaxed);
}

bool clew__sinks_want_spans(void)
{
    return atomic_load_explicit(&want_spans, memory_order_relaxed);
}

void clew__sinks_line(const struct clew_line *line)
{
    size_t n = atomic_load_explicit(&nsinks, memory_order_acquire);

    for (size_t i = 0; i < n; i++)
        if (sinks[i].ops->line && line->level >= sinks[i].ops->min_level)
            sinks[i].ops->line(sinks[i].self, line);
}

void clew__sinks_span(const struct clew_span_record *span)
{
    size_t n = atomic_load_explicit(&nsinks, memory_order_acquire);

    for (size_t i = 0; i < n; i++)
        if (sinks[i].ops->span)
            sinks[i].ops->span(sinks[i].self, span);
}

void clew__sinks_batch_end(void)
{
    size_t n = atomic_load_explicit(&nsinks, memory_order_acquire);

    for (size_t i = 0; i < n; i++)
        if (sinks[i].ops->batch_end)
            sinks[i].ops->batch_end(sinks[i].self);
}

void clew__sinks_close(uint64_t deadline_ns)
{
    size_t n = atomic_load(&nsinks);

    for (size_t i = 0; i < n; i++)
        if (sinks[i].ops->close)
            sinks[i].ops->close(sinks[i].self, deadline_ns);
}
