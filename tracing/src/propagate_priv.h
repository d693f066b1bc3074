/* SPDX-License-Identifier: Apache-2.0
 * What the files of propagation share. */
#ifndef CLEW_PROPAGATE_PRIV_H
#define CLEW_PROPAGATE_PRIV_H

#include <clew/propagate.h>
#include <context_priv.h>

/* ---- which (propagators.c) ------------------------------------------------- */

enum clew__propagator {
    CLEW__TRACECONTEXT = 1,
    CLEW__BAGGAGE = 2,
    CLEW__B3 = 4,
    CLEW__B3MULTI = 8,
    CLEW__JAEGER = 16,
    CLEW__PROPAGATORS_READ = 128 /* OTEL_PROPAGATORS was */
};

struct clew__propagators {
    _Atomic unsigned mask; /* 0: not read yet */
    unsigned ntraces;
    enum clew__propagator traces[4]; /* those that name a trace, in order */
};
extern struct clew__propagators clew__propagators;
void clew__propagators_read(void);

static inline unsigned clew__propagators_mask(void)
{
    if (__builtin_expect(!atomic_load_explicit(&clew__propagators.mask, memory_order_acquire), 0))
        clew__propagators_read();
    return atomic_load_explicit(&clew__propagators.mask, memory_order_relaxed);
}

/* X(for which propagators, member of struct clew_extract, header, environment
 * variable); propagators 0: always. */
#define CLEW__HEADERS(X)                                                     \
    X(0, request_id, "x-request-id", "CLEW_REQUEST_ID")                      \
    X(0, correlation_id, "x-correlation-id", "CLEW_CORRELATION_ID")          \
    X(CLEW__TRACECONTEXT, traceparent, "traceparent", "TRACEPARENT")         \
    X(CLEW__TRACECONTEXT, tracestate, "tracestate", "TRACESTATE")            \
    X(CLEW__BAGGAGE, baggage, "baggage", "BAGGAGE")                          \
    X(0, timeout_ms, "x-envoy-expected-rq-timeout-ms", "CLEW_TIMEOUT_MS")    \
    X(CLEW__B3 | CLEW__B3MULTI, b3, "b3", "B3")                              \
    X(CLEW__B3 | CLEW__B3MULTI, b3_trace_id, "x-b3-traceid", "X_B3_TRACEID") \
    X(CLEW__B3 | CLEW__B3MULTI, b3_span_id, "x-b3-spanid", "X_B3_SPANID")    \
    X(CLEW__B3 | CLEW__B3MULTI, b3_sampled, "x-b3-sampled", "X_B3_SAMPLED")  \
    X(CLEW__B3 | CLEW__B3MULTI, b3_flags, "x-b3-flags", "X_B3_FLAGS")        \
    X(CLEW__JAEGER, jaeger, "uber-trace-id", "UBER_TRACE_ID")

typedef void clew__set_fn(void *arg, const struct clew_header *header);

/* name is a literal. */
#define CLEW__SET(name, value, len) \
    set(arg, &(const struct clew_header){name, value, sizeof(name) - 1, len})

/* ---- formats of a trace ------------------------------------------------------- */

/* What a header says. */
struct clew__remote {
    uint8_t trace_id[16];
    uint64_t span_id; /* 0: no trace, only a decision */
    uint8_t flags;
    uint8_t decision; /* enum clew__decision, OPEN if the caller's flags say it */
    bool b3_debug;
};

/* traceparent.c */
bool clew__traceparent_parse(const char *text, size_t len, uint8_t ret_trace_id[16],
                             uint64_t *ret_span_id, uint8_t *ret_flags);
#define CLEW__TRACEPARENT_LEN 55
void clew__traceparent_put(char ret[CLEW__TRACEPARENT_LEN + 1], const uint8_t trace_id[16],
                           uint64_t span_id, uint8_t flags);

/* b3.c: false when there is nothing, or nothing that is good. */
bool clew__b3_parse(const struct clew_extract *extract, struct clew__remote *ret);
bool clew__jaeger_parse(const struct clew_extract_piece *piece, struct clew__remote *ret);
void clew__b3_inject(struct clew_scope scope, bool multi, clew__set_fn *set, void *arg);
void clew__jaeger_inject(struct clew_scope scope, clew__set_fn *set, void *arg);

/* ---- lists of members (list.c) -------------------------------------------------- */

struct clew__member {
    const char *text;
    size_t len;
};

void clew__trim(const char **text, size_t *len);
/* The next member of text, trimmed, empty ones left out; *at moves on. */
bool clew__member_next(const char *text, size_t len, size_t *at, struct clew__member *ret);

/* Copies text and says whether it is a list as most are: no blanks, no empty
 * members, and only the usual characters. What is not may still be good: the
 * grammar itself is in tracestate.c and baggage.c. to has room for len and
 * CLEW__TEXT_SLACK. */
bool clew__list_copy_usual(char *to, const char *text, size_t len, bool is_state);
#define CLEW__USUAL_STATE_MAX 256u

/* ---- of a context ------------------------------------------------------------------ */

/* tracestate.c: takes what is good of the pieces into a context without any. */
void clew__tracestate_take(struct clew_context *context, const struct clew_extract_piece *pieces,
                           size_t n);
/* baggage.c: the same. */
void clew__baggage_take(struct clew_context *context, const struct clew_extract_piece *pieces,
                        size_t n);

#endif
