/* SPDX-License-Identifier: Apache-2.0
 * Headers out: the counterpart of extract.c. Stateless. */
#include "tracing_priv.h"

#include <json.h>

#include <string.h>

void clew_inject(struct clew_scope scope,
                 void (*set)(void *arg, const char *name, const char *value), void *arg)
{
    static const uint8_t none[16];
    const struct clew_context *context = scope.context;
    char traceparent[56] = "00-";

    if (!context)
        return;
    if (context->request_len)
        set(arg, "X-Request-ID", context->request_id);
    if (context->correlation_len)
        set(arg, "X-Correlation-ID", context->correlation_id);
    if (memcmp(context->trace_id, none, 16) != 0 && scope.span_id) {
        clew__hex(traceparent + 3, context->trace_id, 16);
        traceparent[35] = '-';
        clew__hex(traceparent + 36, &scope.span_id, 8);
        traceparent[52] = '-';
        clew__hex(traceparent + 53, &context->trace_flags, 1);
        traceparent[55] = '\0';
        set(arg, "traceparent", traceparent);
        if (context->trace_state)
            set(arg, "tracestate", context->trace_state);
    }
    if (context->baggage)
        set(arg, "baggage", context->baggage);
}
