/* SPDX-License-Identifier: Apache-2.0
 *
 * Headers in: which they are, and the context that comes of them. Header names
 * are compared eight bytes at a time; whichever values there are is kept as
 * pointers until the context is made.
 */
#include "propagate_priv.h"
#include "tracing_priv.h"

#include <string.h>
#include <unistd.h>

#define TIMEOUT_MS_MAX UINT64_C(86400000) /* a day; more is no limit */

void clew_extract_init(struct clew_extract *extract)
{
    extract->request_id.value = extract->correlation_id.value = extract->timeout_ms.value = NULL;
    extract->b3.value = extract->b3_trace_id.value = extract->b3_span_id.value = NULL;
    extract->b3_sampled.value = extract->b3_flags.value = extract->jaeger.value = NULL;
    extract->ntraceparent = extract->ntracestate = extract->nbaggage = 0;
}

/* ---- names ------------------------------------------------------------------------ */

/* Whether n bytes, at most 8, are equal but for the case of letters: those are
 * the bytes of lower with 0x40 in them. */
static inline bool same(const char *name, const char *lower, size_t n)
{
    uint64_t a = 0, b = 0;

    memcpy(&a, name, n);
    memcpy(&b, lower, n);
    return ((a ^ b) & ~((b & UINT64_C(0x4040404040404040)) >> 1)) == 0;
}

/* lower is a literal, so this becomes a few comparisons of words. */
static inline __attribute__((always_inline)) bool is_name(const char *name, const char *lower,
                                                          size_t len)
{
    if (len <= 8)
        return same(name, lower, len);
    for (size_t i = 0; i + 8 < len; i += 8)
        if (!same(name + i, lower + i, 8))
            return false;
    return same(name + len - 8, lower + len - 8, 8);
}
#define IS_NAME(literal) (is_name(name, literal, sizeof(literal) - 1))

static void set_once(struct clew_extract_piece *piece, struct clew_extract_piece value)
{
    if (!piece->value)
        *piece = value;
}

/* One more than there is room for is counted, so that the whole can be refused. */
static void add(struct clew_extract_piece *pieces, unsigned char *n, unsigned max,
                struct clew_extract_piece piece)
{
    if (piece.len == 0)
        return;
    if (*n < max)
        pieces[*n] = piece;
    if (*n <= max)
        (*n)++;
}

static void add_traceparent(struct clew_extract *extract, struct clew_extract_piece piece)
{
    extract->traceparent = piece;
    if (extract->ntraceparent < 2)
        extract->ntraceparent++;
}

void clew_extract_header(struct clew_extract *extract, const char *name, size_t name_len,
                         const char *value, size_t value_len)
{
    struct clew_extract_piece piece = {value, value_len};

    switch (name_len) {
    case sizeof("b3") - 1:
        if (IS_NAME("b3"))
            set_once(&extract->b3, piece);
        break;
    case sizeof("baggage") - 1:
        if (IS_NAME("baggage"))
            add(extract->baggage, &extract->nbaggage, CLEW_BAGGAGE_MEMBERS_MAX, piece);
        break;
    case sizeof("tracestate") - 1:
        if (IS_NAME("tracestate"))
            add(extract->tracestate, &extract->ntracestate, CLEW_TRACESTATE_MEMBERS_MAX, piece);
        else if (IS_NAME("x-b3-flags"))
            set_once(&extract->b3_flags, piece);
        break;
    case sizeof("traceparent") - 1:
        if (IS_NAME("traceparent"))
            add_traceparent(extract, piece);
        else if (IS_NAME("x-b3-spanid"))
            set_once(&extract->b3_span_id, piece);
        break;
    case sizeof("x-request-id") - 1:
        if (IS_NAME("x-request-id"))
            set_once(&extract->request_id, piece);
        else if (IS_NAME("x-b3-traceid"))
            set_once(&extract->b3_trace_id, piece);
        else if (IS_NAME("x-b3-sampled"))
            set_once(&extract->b3_sampled, piece);
        break;
    case sizeof("uber-trace-id") - 1:
        if (IS_NAME("uber-trace-id"))
            set_once(&extract->jaeger, piece);
        break;
    case sizeof("x-correlation-id") - 1:
        if (IS_NAME("x-correlation-id"))
            set_once(&extract->correlation_id, piece);
        break;
    case sizeof("x-envoy-expected-rq-timeout-ms") - 1:
        if (IS_NAME("x-envoy-expected-rq-timeout-ms"))
            set_once(&extract->timeout_ms, piece);
        break;
    default:
        break;
    }
}

void clew_extract_get(struct clew_extract *extract,
                      void (*get)(void *carrier, const char *name, struct clew_extract *extract),
                      void *carrier)
{
    for (const char *const *name = clew_propagation_names(); *name; name++)
        get(carrier, *name, extract);
}

/* ---- the context -------------------------------------------------------------------- */

static uint64_t read_deadline(struct clew_extract_piece piece)
{
    uint64_t ms = 0;

    clew__trim(&piece.value, &piece.len);
    if (piece.len == 0)
        return 0;
    for (size_t i = 0; i < piece.len; i++) {
        if (piece.value[i] < '0' || piece.value[i] > '9')
            return 0;
        ms = ms * 10 + (uint64_t)(piece.value[i] - '0');
        if (ms > TIMEOUT_MS_MAX)
            return 0;
    }
    return ms ? clew__monotonic_ns() + ms * 1000000u : 0; /* Envoy's 0 is "none" */
}

static bool read_trace(const struct clew_extract *extract, enum clew__propagator which,
                       struct clew__remote *ret)
{
    switch (which) {
    case CLEW__TRACECONTEXT:
        return extract->ntraceparent == 1 &&
               clew__traceparent_parse(extract->traceparent.value, extract->traceparent.len,
                                       ret->trace_id, &ret->span_id, &ret->flags);
    case CLEW__JAEGER:
        return clew__jaeger_parse(&extract->jaeger, ret);
    default:
        return clew__b3_parse(extract, ret);
    }
}

/* The last of the list that has one; where it came from, 0 for none. */
static unsigned find_trace(const struct clew_extract *extract, struct clew__remote *ret)
{
    unsigned from = 0;

    for (unsigned i = 0; i < clew__propagators.ntraces; i++) {
        enum clew__propagator which = clew__propagators.traces[i];
        struct clew__remote remote;

        remote.decision = CLEW__OPEN;
        remote.b3_debug = false;
        if (read_trace(extract, which, &remote)) {
            *ret = remote;
            from = which;
        }
    }
    return from;
}

static void set_trace(struct clew_context *context, const struct clew__remote *remote)
{
    context->trace_flags = remote->flags;
    context->decision = remote->decision;
    context->b3_debug = remote->b3_debug;
    if (remote->span_id) {
        memcpy(context->trace_id, remote->trace_id, 16);
        return;
    }
    clew_id_trace(context->trace_id);
    context->trace_flags |= CLEW_TRACE_RANDOM;
}

struct clew_scope clew_extract_context(const struct clew_extract *extract, bool *ret_remote)
{
    unsigned mask = clew__propagators_mask(), from;
    struct clew_context *context = clew_context_new();
    struct clew__remote remote = {.decision = CLEW__OPEN};

    if (!context)
        return (struct clew_scope){NULL, 0};
    clew__context_set_ids(context, extract->request_id.value, extract->request_id.len,
                          extract->correlation_id.value, extract->correlation_id.len);
    from = find_trace(extract, &remote);
    set_trace(context, &remote);
    if (from == CLEW__TRACECONTEXT && extract->ntracestate)
        clew__tracestate_take(context, extract->tracestate, extract->ntracestate);
    if (extract->nbaggage && (mask & CLEW__BAGGAGE))
        clew__baggage_take(context, extract->baggage,
                           extract->nbaggage < CLEW_BAGGAGE_MEMBERS_MAX ? extract->nbaggage
                                                                        : CLEW_BAGGAGE_MEMBERS_MAX);
    if (extract->timeout_ms.value)
        context->deadline_ns = read_deadline(extract->timeout_ms);
    if (ret_remote)
        *ret_remote = remote.span_id != 0;
    return (struct clew_scope){context, remote.span_id};
}
