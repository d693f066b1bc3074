/* SPDX-License-Identifier: Apache-2.0
 * The request context, shared by liblog (ids, bound fields) and tracing. */
#ifndef CLEW_CONTEXT_PRIV_H
#define CLEW_CONTEXT_PRIV_H

#include "core_priv.h"

#include <clew/context.h>

struct clew_context {
    _Atomic unsigned refs;
    /* Of the spans of its request, see tracing's span.c. */
    _Atomic enum clew__sampling_state {
        CLEW__SAMPLING_OPEN, /* not decided */
        CLEW__SAMPLING_OFF,
        CLEW__SAMPLING_ON,
        CLEW__SAMPLING_HELD,     /* until the local root ends */
        CLEW__SAMPLING_KEPT,     /* it ended: what was held goes out */
        CLEW__SAMPLING_FORGOTTEN /* it ended: what was held does not */
    } sampling;
    _Atomic bool has_error;
    uint64_t local_root; /* with HELD: its span id */
    uint64_t serial;     /* changes with every change: a ring has this version or not */
    uint8_t trace_id[16];
    uint8_t trace_flags;
    uint8_t request_len;
    uint8_t correlation_len;
    uint8_t nbound;
    uint16_t bound_len;
    char request_id[CLEW_ID_MAX + 1];
    char correlation_id[CLEW_ID_MAX + 1];
    char bound[CLEW_BOUND_MAX_BYTES]; /* see fields_priv.h */
    char *trace_state;                /* heap, "" as NULL; tracing's */
    char *baggage;
};

/* Inlined where spans start and end. */
static inline struct clew_context *clew__context_ref(struct clew_context *context)
{
    if (context)
        atomic_fetch_add_explicit(&context->refs, 1, memory_order_relaxed);
    return context;
}

static inline struct clew_scope clew__scope_current(void)
{
    return (struct clew_scope){clew__self.context, clew_hot.span_id};
}

static inline void clew__scope_set(struct clew_scope scope)
{
    if (scope.context != clew__self.context) {
        clew_hot.limit = NULL; /* the next line begins with the context */
        clew__self.context = scope.context;
    }
    clew_hot.span_id = scope.span_id;
}

/* Bytes a CONTEXT payload takes; context NULL: the empty context. */
size_t clew__context_payload_len(const struct clew_context *context);
void clew__context_payload(const struct clew_context *context, char *ret);

#endif
