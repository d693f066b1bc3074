/* SPDX-License-Identifier: Apache-2.0
 * From the ids that the store keeps back to a scope. MT-Safe. */
#include "scope.h"

#include <clew/trace.h>

#include <string.h>

struct clew_scope clew__scope_of(const struct clew__thread_of *thread)
{
    struct clew_extract headers;
    bool remote;

    clew_extract_init(&headers);
    clew_extract_header(&headers, "x-request-id", 12, thread->request_id,
                        strlen(thread->request_id));
    clew_extract_header(&headers, "x-correlation-id", 16, thread->correlation_id,
                        strlen(thread->correlation_id));
    if (*thread->traceparent)
        clew_extract_header(&headers, "traceparent", 11, thread->traceparent,
                            strlen(thread->traceparent));
    return clew_extract_context(&headers, &remote);
}
