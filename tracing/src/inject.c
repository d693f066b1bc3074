/* SPDX-License-Identifier: Apache-2.0
 * Headers out: the counterpart of extract.c. Stateless. */
#include "propagate_priv.h"
#include "tracing_priv.h"

#include <json.h>

#include <string.h>

static void inject_trace(struct clew_scope scope, enum clew__propagator which, clew__set_fn *set,
                         void *arg)
{
    const struct clew_context *context = scope.context;
    char traceparent[CLEW__TRACEPARENT_LEN + 1];

    if (which == CLEW__TRACECONTEXT) {
        clew__traceparent_put(traceparent, context->trace_id, scope.span_id, context->trace_flags);
        CLEW__SET("traceparent", traceparent, CLEW__TRACEPARENT_LEN);
        if (context->trace_state)
            CLEW__SET("tracestate", context->trace_state, context->state_len);
    } else if (which == CLEW__JAEGER) {
        clew__jaeger_inject(scope, set, arg);
    } else {
        clew__b3_inject(scope, which == CLEW__B3MULTI, set, arg);
    }
}

static bool has_trace(const struct clew_context *context)
{
    uint64_t id[2];

    memcpy(id, context->trace_id, 16);
    return (id[0] | id[1]) != 0;
}

/* What is left; of one that passed the least there is. */
static void inject_deadline(const struct clew_context *context, clew__set_fn *set, void *arg)
{
    int64_t ms = clew_context_remaining_ns(context) / 1000000;
    char text[CLEW__PUT_NUMBER_MAX], *end = clew__put_uint(text, ms > 0 ? (uint64_t)ms : 1);

    *end = '\0';
    CLEW__SET("x-envoy-expected-rq-timeout-ms", text, (size_t)(end - text));
}

void clew_inject_headers(struct clew_scope scope, clew__set_fn *set, void *arg)
{
    const struct clew_context *context = scope.context;
    unsigned mask = clew__propagators_mask();

    if (!context)
        return;
    if (context->request_len)
        CLEW__SET("X-Request-ID", context->request_id, context->request_len);
    if (context->correlation_len)
        CLEW__SET("X-Correlation-ID", context->correlation_id, context->correlation_len);
    if (scope.span_id && has_trace(context))
        for (unsigned i = 0; i < clew__propagators.ntraces; i++)
            inject_trace(scope, clew__propagators.traces[i], set, arg);
    if (context->baggage && (mask & CLEW__BAGGAGE))
        CLEW__SET("baggage", context->baggage, context->baggage_len);
    if (context->deadline_ns)
        inject_deadline(context, set, arg);
}

struct setter {
    void (*set)(void *arg, const char *name, const char *value);
    void *arg;
};

static void set_plain(void *arg, const struct clew_header *header)
{
    const struct setter *setter = arg;

    setter->set(setter->arg, header->name, header->value);
}

void clew_inject(struct clew_scope scope,
                 void (*set)(void *arg, const char *name, const char *value), void *arg)
{
    clew_inject_headers(scope, set_plain, &(struct setter){set, arg});
}
