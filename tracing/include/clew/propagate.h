/* SPDX-License-Identifier: Apache-2.0
 *
 * clew/propagate.h: what carries a request between services, over any transport.
 *
 *     struct clew_extract headers;                       // a server: headers in
 *     clew_extract_init(&headers);
 *     for (each header of the request)
 *         clew_extract_header(&headers, name, name_len, value, value_len);
 *     scope = clew_extract_context(&headers, &remote);
 *
 *     clew_inject(clew_scope_current(), set, request);   // a client: headers out
 *
 * The same with callbacks serves gRPC metadata, Kafka headers, or whatever else
 * holds names and values; child processes get environment variables.
 *
 * X-Request-ID, X-Correlation-ID (limits in <clew/context.h>) and what is left of
 * the deadline (x-envoy-expected-rq-timeout-ms, as Envoy has it) always travel.
 * The rest is chosen by OTEL_PROPAGATORS, by default "tracecontext,baggage":
 *
 *     tracecontext  traceparent, tracestate   W3C Trace Context, level 2
 *     baggage       baggage                   W3C Baggage
 *     b3, b3multi   b3; X-B3-…                openzipkin/b3-propagation; both are read by either
 *     jaeger        uber-trace-id             Jaeger clients, "Propagation format"
 *     none
 *
 * Of several that name a trace the last of the list counts. All of it comes from
 * strangers: what does not fit its grammar is left out and never passed on.
 */
#ifndef CLEW_PROPAGATE_H
#define CLEW_PROPAGATE_H

#include <clew/context.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CLEW_TRACESTATE_MAX 512u        /* bytes carried; whole members are cut */
#define CLEW_TRACESTATE_MEMBERS_MAX 32u /* one more, and all of it is dropped */
#define CLEW_BAGGAGE_MAX 8192u          /* bytes carried; members behind it are cut */
#define CLEW_BAGGAGE_MEMBERS_MAX 64u

/* ---- in ------------------------------------------------------------------ */

/* Collects the headers of one request; caller's storage, borrowed pointers:
 * the header values stay valid until clew_extract_context(). The members are
 * the library's own. */
struct clew_extract {
    struct clew_extract_piece {
        const char *value;
        size_t len;
    } request_id, correlation_id, traceparent, b3, b3_trace_id, b3_span_id, b3_sampled, b3_flags,
        jaeger, timeout_ms;
    unsigned char ntraceparent, ntracestate, nbaggage;
    struct clew_extract_piece tracestate[CLEW_TRACESTATE_MEMBERS_MAX];
    struct clew_extract_piece baggage[CLEW_BAGGAGE_MEMBERS_MAX];
};

CLEW_PUBLIC void clew_extract_init(struct clew_extract *extract);
/* Takes one header, whichever it is; names are case-insensitive, foreign ones
 * are passed over. Call it for every header of the request.
 * threads  MT-Safe per object     signals AS-Safe     blocks never */
CLEW_PUBLIC void clew_extract_header(struct clew_extract *extract, const char *name,
                                     size_t name_len, const char *value, size_t value_len);

/* The other way round, for carriers that are asked by name: get is called for
 * each name that matters, in lower case, and gives each value its carrier has
 * under that name to clew_extract_header(). Values stay valid until
 * clew_extract_context(). */
CLEW_PUBLIC void clew_extract_get(struct clew_extract *extract,
                                  void (*get)(void *carrier, const char *name,
                                              struct clew_extract *extract),
                                  void *carrier);

/* Those names, ended by NULL: for proxies and CORS lists. Static. */
CLEW_PUBLIC const char *const *clew_propagation_names(void);

/* From environment variables: TRACEPARENT, TRACESTATE, BAGGAGE, the others by
 * the same rule (X_B3_TRACEID), and CLEW_REQUEST_ID, CLEW_CORRELATION_ID,
 * CLEW_TIMEOUT_MS.
 * args  environment: as environ(7), NULL for the process's own; borrowed */
CLEW_PUBLIC void clew_extract_environment(struct clew_extract *extract, char *const *environment);

/* Makes the context of the request: ids taken or made, the trace continued or
 * started anew (malformed traceparent, W3C Trace Context section 4.3). Whether
 * it is recorded here is settled by its first span; until then the trace flags
 * are the caller's.
 *
 * owner    the caller: clew_scope_release()
 * ret_remote  whether the trace came from the headers; may be NULL
 * signals  AS-Unsafe (heap)       blocks never
 * returns  scope.context NULL when there is no memory; scope.span_id is the
 *          remote parent or 0 */
CLEW_PUBLIC struct clew_scope clew_extract_context(const struct clew_extract *extract,
                                                   bool *ret_remote);

/* ---- out ----------------------------------------------------------------- */

/* Both end with a NUL, which the lengths do not count. name is static, value is
 * valid for the call; both are printable ASCII, value at most CLEW_BAGGAGE_MAX. */
struct clew_header {
    const char *name;
    const char *value;
    size_t name_len;
    size_t value_len;
};

/* Calls set once per header that carries scope onwards; those without a value
 * are left out. Never blocks, no allocation. */
CLEW_PUBLIC void clew_inject_headers(struct clew_scope scope,
                                     void (*set)(void *arg, const struct clew_header *header),
                                     void *arg);
/* The same without the lengths. */
CLEW_PUBLIC void clew_inject(struct clew_scope scope,
                             void (*set)(void *arg, const char *name, const char *value),
                             void *arg);

/* The environment for a child process, for execve(2) or posix_spawn(3): a copy
 * of the given one, NULL for the process's own, in which the variables of
 * clew_extract_environment() say what scope says, and nothing where it does not.
 *
 * owner    the caller: one free() for all of it       signals AS-Unsafe (heap)
 * returns  NULL when there is no memory */
CLEW_PUBLIC char **clew_environment_make(struct clew_scope scope, char *const *environment);

/* ---- baggage --------------------------------------------------------------- */

/* A member as it is carried: the value percent-encoded, the properties as they
 * came. Pointers into the context, not NUL-terminated. */
struct clew_baggage_member {
    const char *key;
    size_t key_len;
    const char *value;
    size_t value_len;
    const char *properties; /* behind the first ';' */
    size_t properties_len;
};

/* Sets a member, at the end, in place of all of that key. Goes to every callee:
 * no secrets. MT-Unsafe per object, as all that changes a context.
 *
 * args     key: an RFC 7230 token. value: text, is percent-encoded here.
 *          properties: "k;k2=v2" as it is to be carried, NULL for none
 * returns  0; -EINVAL for a bad key, property or NULL; -E2BIG past the limits,
 *          -ENOMEM: nothing is changed then */
CLEW_PUBLIC int clew_baggage_set(struct clew_context *context, const char *key, const char *value,
                                 const char *properties);
/* The decoded value of the last member of that key; bytes that are no UTF-8
 * become U+FFFD. Cut to size - 1 bytes and ended by NUL.
 * returns  its whole length as snprintf() does; -ENOENT, ret untouched */
CLEW_PUBLIC int clew_baggage_get(const struct clew_context *context, const char *key, char *ret,
                                 size_t size);
/* returns  0; -ENOENT */
CLEW_PUBLIC int clew_baggage_remove(struct clew_context *context, const char *key);
/* The member at *at, which moves on; begin with 0. False at the end. Do not
 * change the baggage in between. */
CLEW_PUBLIC bool clew_baggage_next(const struct clew_context *context, size_t *at,
                                   struct clew_baggage_member *ret);

/* ---- tracestate --------------------------------------------------------------- */

/* The value of the first member of that key, cut to size - 1 bytes and ended by NUL.
 * returns  its whole length; -ENOENT, ret untouched */
CLEW_PUBLIC int clew_tracestate_get(const struct clew_context *context, const char *key, char *ret,
                                    size_t size);
/* Sets a member, at the beginning, in place of those of that key; members at
 * the end are cut to keep the limits (W3C Trace Context section 3.5).
 * returns  0; -EINVAL when key or value does not fit section 3.3.2's grammar, or is NULL */
CLEW_PUBLIC int clew_tracestate_set(struct clew_context *context, const char *key,
                                    const char *value);
/* returns  0; -ENOENT */
CLEW_PUBLIC int clew_tracestate_remove(struct clew_context *context, const char *key);
/* All of it, "" for none. Borrowed, until it is changed. */
CLEW_PUBLIC const char *clew_tracestate_text(const struct clew_context *context);

#ifdef __cplusplus
}
#endif

#endif
