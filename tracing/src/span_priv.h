/* SPDX-License-Identifier: Apache-2.0
 *
 * A span while it is open, and on its way.
 *
 * An open span lies in a slot: a page of the ring file, so that what is open
 * when the process dies can be told. Its body is a row of items, in the order
 * of the calls; its end copies ids and body into the ring. What a later call
 * replaced, what is over a limit and bad UTF-8 are dealt with by the reader,
 * once, in the collector's thread.
 */
#ifndef CLEW_SPAN_PRIV_H
#define CLEW_SPAN_PRIV_H

#include "tracing_priv.h"

#define CLEW__SLOT_BYTES 4096u
#define CLEW__SLAB_SLOTS 16u

enum clew__slot_state { CLEW__SLOT_FREE = 0, CLEW__SLOT_IDS = 1, CLEW__SLOT_RECORDING = 2 };

/* Ids and times of a span, as the record begins and a slot has them. */
struct clew__span_head {
    uint8_t trace_id[16];
    uint64_t span_id;
    uint64_t parent_span_id;
    uint64_t local_root; /* of a span that is held: which request it belongs to; else 0 */
    uint64_t start;      /* ticks, or Unix time with CLEW__SPAN_START_NS */
    uint64_t end;
    uint8_t kind;
    uint8_t status;
    uint8_t trace_flags;
    uint8_t flags; /* CLEW__SPAN_ */
    uint16_t dropped_attributes;
    uint16_t dropped_events;
    uint16_t dropped_links;
    uint16_t pad;
};
#define CLEW__SPAN_REMOTE 1u   /* the parent is */
#define CLEW__SPAN_START_NS 2u /* start is Unix time */
#define CLEW__SPAN_END_NS 4u
#define CLEW__SPAN_HELD 8u    /* not sampled; waits for the verdict of its request */
#define CLEW__SPAN_KEEP 16u   /* the verdict: this and all that are held of its request go out */
#define CLEW__SPAN_FORGET 32u /* the verdict: they do not */

/* One page. What recovery reads is written before `state` or `len` says so. */
struct clew__slot {
    _Atomic uint8_t state;
    bool entered;
    uint8_t uses;                 /* how often it was given out, modulo 256 */
    uint16_t tag;                 /* of the handle in force: the low bits of its pointer */
    _Atomic uint32_t len;         /* bytes of the body that lie in `inlined` */
    struct clew_context *context; /* a reference, given back with: */
    uint64_t hold;                /* clew__hold_take()'s key */
    struct clew_scope previous;
    struct clew_span *previous_span;
    struct clew__slot *next; /* free */
    char *more;              /* the whole body, on the heap, once it outgrew the slot */
    uint32_t more_len, more_cap;
    struct clew__span_head head; /* with the body behind it, as the record has them */
    _Alignas(8) char inlined[];
};
_Static_assert(offsetof(struct clew__slot, inlined) ==
                   offsetof(struct clew__slot, head) + sizeof(struct clew__span_head),
               "head and body are copied as one");
#define CLEW__SLOT_BODY (CLEW__SLOT_BYTES - sizeof(struct clew__slot))

/* ---- slots (span_slots.c) ------------------------------------------------ */

#define CLEW__SLOTS_KEPT_MAX 64u /* free ones of a thread */

/* The long way: this thread has none, or is new, or in a new process. */
struct clew__slot *clew__slot_take_long(void);
/* All of a thread's but that many are for all. */
void clew__slots_share(unsigned keep);
void clew__slots_forget_if_forked(void);
void clew__slots_thread_ends(void);
void clew__slots_after_fork(void);

#define CLEW__TAG_MASK ((uintptr_t)CLEW__SLOT_BYTES - 1)
#define CLEW__TAG_EPOCH                                                      \
    7u /* of the process's number, above `uses` and below CLEW__SPAN_RECORDS \
        */
#define CLEW__TAG_FREE 0xFFFFu

static inline void clew__slot_keep(struct clew__slot *slot)
{
    struct clew__thread *self = &clew__self;

    slot->next = self->slots;
    self->slots = slot;
    self->nslots++;
}

/* A free slot of this thread, its ring attached; NULL without memory. */
static inline struct clew__slot *clew__slot_take(void)
{
    struct clew__thread *self = &clew__self;
    unsigned epoch = atomic_load_explicit(&clew__epoch, memory_order_relaxed);
    struct clew__slot *slot = self->slots;

    if (__builtin_expect(!slot || !self->ring || self->slots_epoch != epoch, 0)) {
        slot = clew__slot_take_long();
        if (!slot)
            return NULL;
    } else {
        self->slots = slot->next;
        self->nslots--;
    }
    slot->tag = (uint16_t)(slot->uses | (epoch & CLEW__TAG_EPOCH) << 8);
    return slot;
}

/* Gives it back: its handle is void from now on. */
static inline void clew__slot_give(struct clew__slot *slot)
{
    slot->uses++;
    slot->tag = CLEW__TAG_FREE;
    atomic_store_explicit(&slot->state, CLEW__SLOT_FREE, memory_order_release);
    if (__builtin_expect(
            clew__self.slots_epoch != atomic_load_explicit(&clew__epoch, memory_order_relaxed), 0))
        clew__slots_forget_if_forked();
    clew__slot_keep(slot);
    if (__builtin_expect(clew__self.nslots > CLEW__SLOTS_KEPT_MAX, 0))
        clew__slots_share(CLEW__SLOTS_KEPT_MAX / 2);
}

static inline struct clew_span *clew__slot_handle(const struct clew__slot *slot)
{
    return (struct clew_span *)((uintptr_t)slot | slot->tag);
}

/* Void: counted if it is of this process. */
struct clew__slot *clew__slot_of_void(const struct clew_span *span);

/* The slot of a handle; NULL for NULL, for a span that has ended and for one of
 * another process (whose slots are not mapped here). */
static inline struct clew__slot *clew__slot_of(const struct clew_span *span)
{
    struct clew__slot *slot = (struct clew__slot *)((uintptr_t)span & ~CLEW__TAG_MASK);
    unsigned epoch = atomic_load_explicit(&clew__epoch, memory_order_relaxed);

    if (!span)
        return NULL;
    if (__builtin_expect((((uintptr_t)span >> 8 ^ epoch) & CLEW__TAG_EPOCH) != 0 ||
                             slot->tag != ((uintptr_t)span & CLEW__TAG_MASK),
                         0))
        return clew__slot_of_void(span);
    return slot;
}

static inline struct clew__slot *clew__slot_recording(const struct clew_span *span)
{
    struct clew__slot *slot = clew__slot_of(span);

    return slot && atomic_load_explicit(&slot->state, memory_order_relaxed) == CLEW__SLOT_RECORDING
               ? slot
               : NULL;
}

/* ---- items (span_items.c) --------------------------------------------------- */

enum clew__item_kind {
    CLEW__ITEM_NAME = 1,    /* text, ended by NUL; the last one counts */
    CLEW__ITEM_MESSAGE = 2, /* of the status; the last one counts */
    CLEW__ITEM_SCOPE = 3,   /* name of the instrumentation scope */
    CLEW__ITEM_STATE = 4,   /* tracestate; added by the end */
    CLEW__ITEM_SET = 5,     /* attributes */
    CLEW__ITEM_EVENT = 6,   /* struct clew__event_item, name ended by NUL, attributes */
    CLEW__ITEM_LINK = 7     /* struct clew__link_item, state ended by NUL, attributes */
};

/* Begins each item. With a site, the attributes are its values and an event's
 * name is its message; without, they are fields with their keys. */
struct clew__item {
    uint16_t kind;
    uint16_t units; /* of 8 bytes, this included */
    uint32_t site;  /* 0: none */
};
struct clew__event_item {
    uint64_t time;    /* ticks, or Unix time */
    uint32_t is_unix; /* the latter */
    uint32_t name_len;
};
struct clew__link_item {
    uint8_t trace_id[16];
    uint64_t span_id;
    uint8_t trace_flags;
    uint8_t is_remote;
    uint16_t state_len;
    uint32_t pad;
};

/* Attributes from one of both sources. */
struct clew__attributes {
    struct clew_site *site; /* or: */
    const char *const *keys;
    const uint8_t *types;
    size_t n;
    const struct clew_value *values;
    bool resolved; /* secrets are tokens already */
};

/* The name as the first item of a span; at most CLEW_SPAN_NAME_MAX bytes, which fit. */
void clew__item_name_first(struct clew__slot *slot, const char *name, size_t len);
void clew__item_text(struct clew__slot *slot, enum clew__item_kind kind, const char *text,
                     size_t len);
void clew__item_set(struct clew__slot *slot, const struct clew__attributes *attributes);
void clew__item_set_site(struct clew__slot *slot, struct clew_site *site,
                         const struct clew_value *values);
void clew__item_event(struct clew__slot *slot, uint64_t time_ns, const char *name,
                      const struct clew__attributes *attributes);
void clew__item_link(struct clew__slot *slot, const struct clew_link *link,
                     const struct clew__attributes *attributes);
/* The whole body. */
const char *clew__slot_body(const struct clew__slot *slot, size_t *ret_len);

/* ---- reading (span_read.c) ----------------------------------------------------- */

/* Makes the record of a span and delivers it; false when it is malformed. */
bool clew__span_read(const struct clew__span_reader *reader, const struct clew__span_head *head,
                     const char *body, size_t len, bool interrupted);

/* Unix times; end is not before start. */
void clew__span_times(const struct clew__span_head *head, const struct clew__clock *clock,
                      uint64_t *ret_start_ns, uint64_t *ret_end_ns);
uint64_t clew__span_duration_ns(const struct clew__span_head *head);

/* ---- what is held (tail.c) ------------------------------------------------------ */

/* Whether spans of requests that are not sampled are held back for the case that
 * they turn out to be worth keeping. */
bool clew__tail_is_on(void);
/* The verdict over a request whose local root ends now. */
bool clew__tail_keeps(bool has_error, uint64_t duration_ns);
/* In the collector's thread: a span that is held, and a verdict. */
void clew__tail_hold(const struct clew__span_reader *reader, const struct clew__span_head *head,
                     const char *body, size_t len);
/* What is held and got no verdict, because its process died, goes out. */
void clew__tail_keep_all(const struct clew__span_reader *reader);
void clew__tail_decide(const struct clew__span_reader *reader, uint64_t local_root, bool keep);

/* ---- processors (span_processors.c) --------------------------------------------- */

extern _Atomic unsigned clew__nprocessors;
void clew__processors_start(struct clew_span *span);
void clew__processors_end(struct clew_span *span);

#endif
