/* SPDX-License-Identifier: Apache-2.0
 *
 * clew/trace.h: spans. How they travel between services is in
 * <clew/propagate.h>, which this header includes.
 *
 *     struct clew_span *span = clew_span_begin("load user", CLEW_SPAN_INTERNAL);
 *     clew_span_set(span, clew_kv("user.id", id));
 *     ...
 *     clew_span_end(span);
 */
#ifndef CLEW_TRACE_H
#define CLEW_TRACE_H

#include <clew/propagate.h>
#include <clew/sink.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CLEW_SPAN_ATTRIBUTES_MAX 128u /* OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT's default */
#define CLEW_SPAN_BYTES_MAX 4096u     /* name, attributes and status of one span */

/* Every span function accepts NULL and does nothing then, so a failed start
 * needs no check. A span belongs to one thread at a time. */
struct clew_span;

/* Starts a span as the child of this thread's current scope. Without a current
 * context it is the root of a new trace with a context of its own. The sampler
 * decides here for a root; a child follows its parent.
 *
 * args     name copied, low cardinality ("GET /orders/{id}")
 * owner    clew_span_end()
 * signals  AS-Unsafe (heap)       blocks never
 * returns  NULL when there is no memory */
CLEW_PUBLIC struct clew_span *clew_span_start(const char *name, enum clew_span_kind kind);

/* The same under a given scope. remote: scope came out of headers. */
CLEW_PUBLIC struct clew_span *clew_span_start_in(struct clew_scope parent, bool remote,
                                                 const char *name, enum clew_span_kind kind);

/* clew_span_start(), and the span's scope is current in this thread until its
 * end. Spans begun this way end in the opposite order; another order is
 * survived: the scope is left as it is. */
CLEW_PUBLIC struct clew_span *clew_span_begin(const char *name, enum clew_span_kind kind);

/* The scope in which span is current; borrowed from the span. */
CLEW_PUBLIC struct clew_scope clew_span_scope(const struct clew_span *span);

/* Whether it will be exported (false for NULL). */
CLEW_PUBLIC bool clew_span_is_recording(const struct clew_span *span);

CLEW_PUBLIC void clew_span_set_name(struct clew_span *span, const char *name);

/* Sets attributes; a key that is there is replaced.
 *     clew_span_set(span, clew_kv("http.route", route), clew_kv("n", 3)); */
#define clew_span_set(span, ...)                                                            \
    clew_span_set_fields((span), CLEW__COUNT(0, __VA_ARGS__), CLEW__KEY_ARRAY(__VA_ARGS__), \
                         CLEW__TYPE_ARRAY(__VA_ARGS__), CLEW__VALUE_ARRAY(__VA_ARGS__))
CLEW_PUBLIC void clew_span_set_fields(struct clew_span *span, size_t n, const char *const *keys,
                                      const uint8_t *types, const struct clew_value *values);

/* OK is final; ERROR replaces UNSET; message counts with ERROR only, may be
 * NULL (OpenTelemetry trace API, "Set Status"). */
CLEW_PUBLIC void clew_span_set_status(struct clew_span *span, enum clew_span_status status,
                                      const char *message);

/* Ends the span and, if it is sampled, puts its record into this thread's
 * ring; frees it. Never blocks, no system call. */
CLEW_PUBLIC void clew_span_end(struct clew_span *span);

#ifdef __cplusplus
}
#endif

#endif
