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
 *
 * In an event loop (libuv, libevent) the job is what the callback's user pointer
 * leads to: req->data, arg. A callback that runs more than once enters and
 * leaves each time and releases with the last. Coroutines have a struct
 * clew_strand each. Work that outlives its request takes clew_scope_detach().
 *
 * Mistakes (leaving in the wrong order, using what was released) are survived:
 * they are counted in clew_stats.misused and told in at most one line a second.
 */
#ifndef CLEW_CONTEXT_H
#define CLEW_CONTEXT_H

#include <clew/log.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CLEW_ID_MAX 128u           /* bytes of a request or correlation id */
#define CLEW_BOUND_MAX_BYTES 1024u /* keys and values of all bound fields */
#define CLEW_SCOPES_MAX 16u        /* entered in one another whose order is checked */

/* W3C trace-flags (Trace Context level 2, section 3.2.2.5). */
#define CLEW_TRACE_SAMPLED 0x01u
#define CLEW_TRACE_RANDOM 0x02u

/* Counted reference; all functions accept NULL where they say so. Setting and
 * binding is MT-Unsafe per object: do it before other threads have it. Memory of
 * released contexts is kept for the next: as many as there ever were at once. */
struct clew_context;
struct clew_span; /* <clew/trace.h> */

/* A value, not a resource: copying it takes no reference. */
struct clew_scope {
    struct clew_context *context; /* NULL: no request */
    uint64_t span_id;             /* 8 bytes in network order as they are; 0: none */
};

/* An empty context: no id, no trace.
 * owner    the caller, clew_context_unref()     signals AS-Unsafe (heap)
 * returns  NULL when there is no memory */
CLEW_PUBLIC struct clew_context *clew_context_new(void);
/* Returns context; NULL for NULL and for one that was released. MT-Safe. */
CLEW_PUBLIC struct clew_context *clew_context_ref(struct clew_context *context);
/* Accepts NULL, returns NULL. MT-Safe. */
CLEW_PUBLIC struct clew_context *clew_context_unref(struct clew_context *context);
/* A context of its own with the same ids, trace, bound fields, baggage and
 * deadline: for a part of the request that is to differ in one of them.
 * owner    the caller, clew_context_unref()     signals AS-Unsafe (heap)
 * returns  NULL for NULL and when there is no memory */
CLEW_PUBLIC struct clew_context *clew_context_copy(const struct clew_context *context);

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

/* By when the request is to be answered: CLOCK_MONOTONIC in ns, 0 for no limit.
 * It travels with the context and, as what is left of it, to callees
 * (<clew/propagate.h>). Nothing is cut off by itself. Accept NULL. */
CLEW_PUBLIC void clew_context_set_deadline(struct clew_context *context, uint64_t deadline_ns);
CLEW_PUBLIC uint64_t clew_context_deadline(const struct clew_context *context);
/* What is left, negative when it passed; INT64_MAX without a deadline. */
CLEW_PUBLIC int64_t clew_context_remaining_ns(const struct clew_context *context);

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
 * has to be given back to clew_scope_leave() in the same thread, the innermost
 * first. The caller keeps the context alive in between. Leaving one before those
 * entered in it leaves them too; leaving what was not entered does nothing; both
 * are counted. MT-Safe, AS-Unsafe, never blocks. */
CLEW_PUBLIC struct clew_scope clew_scope_enter(struct clew_scope scope);
CLEW_PUBLIC void clew_scope_leave(struct clew_scope previous);

/* The current scope with a reference of its own, for another thread or for
 * later; give it to clew_scope_release() once. */
CLEW_PUBLIC struct clew_scope clew_scope_capture(void);
CLEW_PUBLIC void clew_scope_release(struct clew_scope scope);

/* The same for work that outlives its request: with a copy of the context that
 * has no deadline, so that neither waits for the other. clew_scope_release(). */
CLEW_PUBLIC struct clew_scope clew_scope_detach(void);

/* call(arg) with scope current. */
CLEW_PUBLIC void clew_scope_call(struct clew_scope scope, void (*call)(void *arg), void *arg);

/* What a coroutine has entered, while another one runs in the thread. The
 * scheduler's switch is
 *
 *     clew_strand_resume(&coroutine->strand);
 *     ...                                  // it runs, enters and leaves scopes
 *     clew_strand_suspend(&coroutine->strand);
 *
 * and it may be resumed in another thread than before. Caller's storage; the
 * members are the library's own. One thread at a time. Never blocks. */
struct clew_strand {
    struct clew_scope base;
    struct clew_scope current;
    void *exchange, *outer_exchange;
    struct clew_span *span, *outer_span;
    unsigned outer;
    unsigned nentered;
    bool running;
    struct clew_scope entered[CLEW_SCOPES_MAX];
};
/* It begins in the current scope, of which it holds a reference until done. */
CLEW_PUBLIC void clew_strand_init(struct clew_strand *strand);
CLEW_PUBLIC void clew_strand_resume(struct clew_strand *strand);
CLEW_PUBLIC void clew_strand_suspend(struct clew_strand *strand);
CLEW_PUBLIC void clew_strand_done(struct clew_strand *strand);

/* ids: cryptographic quality is not promised, uniqueness is (122 and 64 random
 * bits from a generator per thread, seeded by the kernel, reseeded after fork). */
CLEW_PUBLIC void clew_id_uuid7(char ret_text[37]);
CLEW_PUBLIC void clew_id_trace(uint8_t ret_id[16]);
CLEW_PUBLIC uint64_t clew_id_span(void); /* never 0 */

#ifdef __cplusplus
}
#endif

#endif
