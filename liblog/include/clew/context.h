/* SPDX-License-Identifier: Apache-2.0
 *
 * clew/context.h: the request a thread is working on.
 *
 * A context holds what every log line and span of one request carries: the
 * request and correlation id, the trace id with its flags, tracestate, baggage
 * and the fields bound to the request. A scope is a context and the span that
 * is current in it; each thread has one current scope.
 *
 * Services rarely need this header: the middlewares (<clew/mhd.h>,
 * <clew/curl.h>) enter and leave scopes. Worker pools and event loops do:
 *
 *     job->scope = clew_scope_capture();             // where the job is made
 *     struct clew_scope was = clew_scope_enter(job->scope); // in the worker
 *     ...
 *     clew_scope_leave(was);
 *     clew_scope_release(job->scope);
 */
#ifndef CLEW_CONTEXT_H
#define CLEW_CONTEXT_H

#include <clew/log.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CLEW_ID_MAX 128u           /* bytes of a request or correlation id */
#define CLEW_BOUND_MAX_BYTES 1024u /* keys and values of all bound fields */

/* W3C trace-flags (Trace Context level 2, section 3.2.2.5). */
#define CLEW_TRACE_SAMPLED 0x01u
#define CLEW_TRACE_RANDOM 0x02u

/* Counted reference; all functions accept NULL where they say so. Setting and
 * binding is MT-Unsafe per object: do it before other threads have it. */
struct clew_context;

/* A value, not a resource: copying it takes no reference. */
struct clew_scope {
    struct clew_context *context; /* NULL: no request */
    uint64_t span_id;             /* 8 bytes in network order as they are; 0: none */
};

/* An empty context: no id, no trace.
 * owner    the caller, clew_context_unref()     signals AS-Unsafe (heap)
 * returns  NULL when there is no memory */
CLEW_PUBLIC struct clew_context *clew_context_new(void);
CLEW_PUBLIC struct clew_context *clew_context_ref(struct clew_context *context);
/* Accepts NULL, returns NULL. MT-Safe. */
CLEW_PUBLIC struct clew_context *clew_context_unref(struct clew_context *context);

/* Sets an id taken from outside.
 *
 * args     1..CLEW_ID_MAX bytes of printable ASCII (0x20..0x7E); copied.
 *          Anything else, NULL included, is replaced by a fresh id (UUIDv7,
 *          RFC 9562 section 5.7); a bad one is counted in
 *          clew_stats.replaced_ids
 * returns  0 taken as it was, 1 a fresh one was made because none was given,
 *          2 a fresh one was made because it was bad */
CLEW_PUBLIC int clew_context_set_request_id(struct clew_context *context, const char *id,
                                            size_t len);
/* The same; a correlation id that is not given is the request id. */
CLEW_PUBLIC int clew_context_set_correlation_id(struct clew_context *context, const char *id,
                                                size_t len);

/* "" when unset. Borrowed from the context. */
CLEW_PUBLIC const char *clew_context_request_id(const struct clew_context *context);
CLEW_PUBLIC const char *clew_context_correlation_id(const struct clew_context *context);

/* Sets the trace; trace_id is 16 bytes, all zero for none. */
CLEW_PUBLIC void clew_context_set_trace(struct clew_context *context, const uint8_t trace_id[16],
                                        uint8_t flags);
/* 16 bytes, all zero when there is no trace. Borrowed. */
CLEW_PUBLIC const uint8_t *clew_context_trace_id(const struct clew_context *context);
CLEW_PUBLIC uint8_t clew_context_trace_flags(const struct clew_context *context);

/* Binds fields that stand beside the ids in every later line of the request:
 *     clew_context_bind(context, clew_kv("username", name));
 * A key that is bound already is replaced. Evaluates to 0, -EINVAL when a key
 * is one of the line's own (timestamp, level, …, source), -E2BIG when
 * CLEW_BOUND_MAX_BYTES would be passed; nothing is changed then. */
#define clew_context_bind(context, ...)                                                            \
    clew_context_bind_fields((context), CLEW__COUNT(0, __VA_ARGS__), CLEW__KEY_ARRAY(__VA_ARGS__), \
                             CLEW__TYPE_ARRAY(__VA_ARGS__), CLEW__VALUE_ARRAY(__VA_ARGS__))
CLEW_PUBLIC int clew_context_bind_fields(struct clew_context *context, size_t n,
                                         const char *const *keys, const uint8_t *types,
                                         const struct clew_value *values);

/* The current scope of this thread; borrowed, valid until it is left. */
CLEW_PUBLIC struct clew_scope clew_scope_current(void);

/* Makes scope current in this thread and returns the one it replaces, which
 * has to be given back to clew_scope_leave(). The caller keeps the context
 * alive in between. MT-Safe, AS-Unsafe, never blocks. */
CLEW_PUBLIC struct clew_scope clew_scope_enter(struct clew_scope scope);
CLEW_PUBLIC void clew_scope_leave(struct clew_scope previous);

/* The current scope with a reference of its own, for another thread or for
 * later; give it to clew_scope_release() once. */
CLEW_PUBLIC struct clew_scope clew_scope_capture(void);
CLEW_PUBLIC void clew_scope_release(struct clew_scope scope);

/* ids: cryptographic quality is not promised, uniqueness is (122 and 64 random
 * bits from a generator per thread, seeded by the kernel, reseeded after fork). */
CLEW_PUBLIC void clew_id_uuid7(char ret_text[37]);
CLEW_PUBLIC void clew_id_trace(uint8_t ret_id[16]);
CLEW_PUBLIC uint64_t clew_id_span(void); /* never 0 */

#ifdef __cplusplus
}
#endif

#endif
