/* SPDX-License-Identifier: Apache-2.0
 * Span processors: added once, called in the order in which they were. */
#include "span_priv.h"

#include <errno.h>
#include <pthread.h>

#define PROCESSORS_MAX 8u

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    const struct clew_span_processor_ops *ops;
    void *self;
} processors[PROCESSORS_MAX];
_Atomic unsigned clew__nprocessors; /* those that are whole */

int clew_span_processor_add(const struct clew_span_processor_ops *ops, void *self)
{
    unsigned n;
    int err = 0;

    if (!ops || (!ops->on_start && !ops->on_end))
        return clew_set_error(-EINVAL, "span processor: on_start or on_end is needed");
    pthread_mutex_lock(&lock);
    n = atomic_load(&clew__nprocessors);
    if (n == PROCESSORS_MAX) {
        err = clew_set_error(-ENOSPC, "span processor: there are %u already", PROCESSORS_MAX);
    } else {
        processors[n].ops = ops;
        processors[n].self = self;
        atomic_store_explicit(&clew__nprocessors, n + 1, memory_order_release);
    }
    pthread_mutex_unlock(&lock);
    return err;
}

void clew__processors_start(struct clew_span *span)
{
    unsigned n = atomic_load_explicit(&clew__nprocessors, memory_order_acquire);

    for (unsigned i = 0; i < n; i++)
        if (processors[i].ops->on_start)
            processors[i].ops->on_start(processors[i].self, span);
}

void clew__processors_end(struct clew_span *span)
{
    unsigned n = atomic_load_explicit(&clew__nprocessors, memory_order_acquire);

    for (unsigned i = 0; i < n; i++)
        if (processors[i].ops->on_end)
            processors[i].ops->on_end(processors[i].self, span);
}
