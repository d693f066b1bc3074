/* SPDX-License-Identifier: Apache-2.0
 * The request context, shared by liblog (ids, bound fields) and tracing. */
#ifndef CLEW_CONTEXT_PRIV_H
#define CLEW_CONTEXT_PRIV_H

#include "core_priv.h"

#include <clew/context.h>

#define CLEW__STATE_MAX 512u        /* CLEW_TRACESTATE_MAX */
#define CLEW__BAGGAGE_INLINE 512u   /* more than that is on the heap */
#define CLEW__TEXT_SLACK 16u        /* behind texts: they are written in pieces of this size */
#define CLEW__CONTEXT_SPARES_MAX 32 /* of one thread */

/* Whether spans of this request are recorded is settled where the first one
 * starts: only there are its name and kind known. */
enum clew__decision {
    CLEW__DECIDED,  /* trace_flags say it */
    CLEW__OPEN,     /* out of headers: the flags are the caller's */
    CLEW__DEFERRED, /* out of headers: the caller left it to us */
    CLEW__WANTED,   /* out of headers: the caller gave no trace, but wants this one recorded */
    CLEW__UNWANTED  /* the same, not recorded */
};

struct clew_context {
    _Atomic int64_t refs; /* 0: released, and among the spare ones; see clew__hold_take() */
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
    uint8_t trace_flags;
    uint8_t decision; /* enum clew__decision */
    bool b3_debug;
    uint8_t request_len;
    uint8_t correlation_len;
    uint8_t nbound;
    uint16_t bound_len;
    uint16_t state_len;
    uint16_t baggage_len;
    uint64_t serial;     /* changes with every change: a ring has this version or not */
    uint64_t local_root; /* while sampling is HELD: its span id */
    uint64_t deadline_ns;
    char *trace_state; /* state, or NULL when there is none; NUL-terminated; tracing's */
    char *baggage;     /* baggage_room, heap, or NULL */
    struct clew_context *next;
    uint8_t trace_id[16];
    char request_id[CLEW_ID_MAX + 1];
    char correlation_id[CLEW_ID_MAX + 1];
    char state[CLEW__STATE_MAX + CLEW__TEXT_SLACK];
    char baggage_room[CLEW__BAGGAGE_INLINE + CLEW__TEXT_SLACK];
    char bound[CLEW_BOUND_MAX_BYTES]; /* see fields_priv.h */
};

/* Inlined where spans start and end. */
static inline bool clew__context_is_live(const struct clew_context *context)
{
    return atomic_load_explicit(&context->refs, memory_order_relaxed) != 0;
}

/* Not NULL. */
static inline struct clew_context *clew__context_ref(struct clew_context *context)
{
    if (__builtin_expect(!clew__context_is_live(context), 0)) {
        clew__misuse("a released context was referenced");
        return NULL;
    }
    atomic_fetch_add_explicit(&context->refs, 1, memory_order_relaxed);
    return context;
}

/* References of open spans. Counting each atomically would be half the cost of a
 * span that is not recorded, so a thread holds the context of its spans once, with
 * CLEW__HOLD references, and counts in struct clew__hold how many of its open spans
 * go by that; giving the hold up leaves them one reference each. A span that ends
 * in another thread, or after the hold, gives back a reference, which the sum is
 * right for either way. */
#define CLEW__HOLD (INT64_C(1) << 32)

/* context_hold.c: the long ways. */
bool clew__hold_take_long(struct clew_context *context, uint64_t *ret_key);
void clew__hold_end(void);
/* A context that nobody else has, with the reference of its maker. */
uint64_t clew__hold_take_new(struct clew_context *context);
/* In the child of a fork: what was held stays with what the parent's spans had. */
void clew__hold_forget(void);

/* A span's reference, and the key to give it back with; false when the context
 * was released before. */
static inline bool clew__hold_take(struct clew_context *context, uint64_t *ret_key)
{
    struct clew__hold *hold = &clew__self.hold;

    if (__builtin_expect(hold->context != context, 0))
        return clew__hold_take_long(context, ret_key);
    hold->count++;
    *ret_key = hold->key;
    return true;
}

static inline void clew__hold_give(struct clew_context *context, uint64_t key)
{
    struct clew__hold *hold = &clew__self.hold;

    if (__builtin_expect(hold->context != context || hold->key != key, 0))
        (void)clew_context_unref(context);
    else if (--hold->count == 0)
        clew__hold_end();
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

/* Nobody has a reference any more. */
void clew__context_release(struct clew_context *context);

/* Bytes a CONTEXT payload takes; context NULL: the empty context. */
size_t clew__context_payload_len(const struct clew_context *context);
/* len: what clew__context_payload_len() said. Should the context have changed
 * since, under the hands of a program that uses it after its release, the
 * payload is the empty context. */
void clew__context_payload(const struct clew_context *context, char *ret, size_t len);

/* Rings have not seen this version: the next line of this thread says it. */
void clew__context_changed(struct clew_context *context);
/* Both ids of a context that no ring has seen yet; NULL for none given. */
void clew__context_set_ids(struct clew_context *context, const char *request_id, size_t request_len,
                           const char *correlation_id, size_t correlation_len);

/* Room for len bytes of baggage, a NUL and slack, in place of what was there;
 * NULL when there is no memory: there is no baggage then. */
char *clew__context_baggage_room(struct clew_context *context, size_t len);
void clew__context_baggage_none(struct clew_context *context);

#endif
