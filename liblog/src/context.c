/* SPDX-License-Identifier: Apache-2.0
 *
 * The request context. Ids from outside are checked here and nowhere else:
 * what gets in is short and printable.
 *
 * Contexts are never given back to the heap: those that were released wait for
 * the next request, in a list of their thread, or in one of all threads. So a
 * request costs no allocation, and a program that still uses a released context
 * finds one without references, which is counted, and not foreign memory.
 *
 * Threads: the reference count is atomic; the contents are set by one thread
 * before others see them. The list of all threads is only ever pushed to or
 * taken as a whole, so it needs no lock and survives a fork at any moment.
 */
#include "context_priv.h"
#include "fields_priv.h"
#include "id_priv.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static struct clew_context *_Atomic shared_spares;
static pthread_key_t spares_key;
static pthread_once_t spares_once = PTHREAD_ONCE_INIT;
static bool have_spares_key;

void clew__misuse(const char *what)
{
    CLEW__COUNT_ONE(misused);
    clew_log_limited(CLEW_LEVEL_WARN, CLEW_PER_SECOND(1), "misuse of a context or span",
                     clew_kv("what", what));
}

/* ---- where contexts come from --------------------------------------------- */

static void share(struct clew_context *context)
{
    context->next = atomic_load_explicit(&shared_spares, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&shared_spares, &context->next, context,
                                                  memory_order_release, memory_order_relaxed))
        ;
}

static void thread_ends(void *arg)
{
    struct clew__thread *self = arg;

    self->nspares = CLEW__CONTEXT_SPARES_MAX; /* destructors after this one share theirs */
    while (self->spares) {
        struct clew_context *context = self->spares;

        self->spares = context->next;
        share(context);
    }
}

static void make_key(void)
{
    have_spares_key = pthread_key_create(&spares_key, thread_ends) == 0;
}

/* Before a thread has any: they are handed on when it ends. */
static bool may_keep(struct clew__thread *self)
{
    if (__builtin_expect(!self->spares_kept, 0)) {
        pthread_once(&spares_once, make_key);
        self->spares_kept = have_spares_key && pthread_setspecific(spares_key, self) == 0;
    }
    return self->spares_kept;
}

static void spare(struct clew_context *context)
{
    struct clew__thread *self = &clew__self;

    if (!may_keep(self) || self->nspares >= CLEW__CONTEXT_SPARES_MAX) {
        share(context);
        return;
    }
    context->next = self->spares;
    self->spares = context;
    self->nspares++;
}

/* The thread has none: all that others left, or a new one. */
static __attribute__((noinline)) struct clew_context *more(void)
{
    struct clew_context *context = NULL;

    if (may_keep(&clew__self))
        context = atomic_exchange_explicit(&shared_spares, NULL, memory_order_acquire);
    if (!context) {
        context = malloc(sizeof(*context));
        if (context)
            atomic_init(&context->refs, 0);
        return context;
    }
    clew__self.spares = context->next;
    clew__self.nspares = 0; /* may hold more than its share, but adds few to them */
    return context;
}

/* Each thread counts from a number of its own, so none is given twice while a ring may still
 * know it. */
static uint64_t next_serial(struct clew__thread *self)
{
    static _Atomic uint64_t threads;

    if (__builtin_expect(self->serial == 0, 0))
        self->serial = (atomic_fetch_add(&threads, 1) + 1) << 40;
    return ++self->serial;
}

#define BEHIND_REFS(context) ((char *)(context) + offsetof(struct clew_context, sampling))
#define BYTES_UP_TO(member) \
    (offsetof(struct clew_context, member) - offsetof(struct clew_context, sampling))

struct clew_context *clew_context_new(void)
{
    struct clew__thread *self = &clew__self;
    struct clew_context *context = self->spares;

    if (__builtin_expect(context != NULL, 1)) {
        self->spares = context->next;
        if (self->nspares > 0)
            self->nspares--;
    } else if (!(context = more())) {
        return NULL;
    }
    memset(BEHIND_REFS(context), 0, BYTES_UP_TO(trace_id));
    memset(context->trace_id, 0, sizeof(context->trace_id));
    context->request_id[0] = context->correlation_id[0] = '\0';
    context->serial = next_serial(self);
    atomic_store_explicit(&context->refs, 1, memory_order_relaxed);
    return context;
}

struct clew_context *clew_context_ref(struct clew_context *context)
{
    return context ? clew__context_ref(context) : NULL;
}

void clew__context_release(struct clew_context *context)
{
    if (__builtin_expect(context == clew__self.context, 0)) {
        clew__scope_set((struct clew_scope){NULL, 0});
        clew__misuse("a context was released while it was current");
    }
    clew__context_baggage_none(context);
    spare(context);
}

struct clew_context *clew_context_unref(struct clew_context *context)
{
    int64_t refs;

    if (!context)
        return NULL;
    refs = atomic_load_explicit(&context->refs, memory_order_acquire);
    if (__builtin_expect(refs == 1, 1)) { /* nobody else has one to give */
        atomic_store_explicit(&context->refs, 0, memory_order_relaxed);
        clew__context_release(context);
        return NULL;
    }
    do
        if (refs <= 0) {
            clew__misuse("a context was released more often than referenced");
            return NULL;
        }
    while (!atomic_compare_exchange_weak_explicit(&context->refs, &refs, refs - 1,
                                                  memory_order_acq_rel, memory_order_acquire));
    if (refs == 1)
        clew__context_release(context);
    return NULL;
}

struct clew_context *clew_context_copy(const struct clew_context *from)
{
    struct clew_context *context = from ? clew_context_new() : NULL;
    uint64_t serial;
    char *room;

    if (!context)
        return NULL;
    serial = context->serial;
    memcpy(BEHIND_REFS(context), (const char *)from + offsetof(struct clew_context, sampling),
           BYTES_UP_TO(state));
    context->serial = serial;
    context->next = NULL;
    context->trace_state = from->trace_state ? context->state : NULL;
    memcpy(context->state, from->state, from->trace_state ? from->state_len + 1u : 0);
    memcpy(context->bound, from->bound, from->bound_len);
    context->baggage = NULL;
    context->baggage_len = 0;
    if (from->baggage) {
        room = clew__context_baggage_room(context, from->baggage_len);
        if (!room)
            return clew_context_unref(context);
        memcpy(room, from->baggage, from->baggage_len + 1u);
    }
    return context;
}

void clew__context_baggage_none(struct clew_context *context)
{
    if (context->baggage != context->baggage_room)
        free(context->baggage);
    context->baggage = NULL;
    context->baggage_len = 0;
}

char *clew__context_baggage_room(struct clew_context *context, size_t len)
{
    clew__context_baggage_none(context);
    context->baggage =
        len < CLEW__BAGGAGE_INLINE ? context->baggage_room : malloc(len + CLEW__TEXT_SLACK);
    if (context->baggage)
        context->baggage_len = (uint16_t)len;
    return context->baggage;
}

void clew__context_changed(struct clew_context *context)
{
    context->serial = next_serial(&clew__self);
    clew_hot.limit = NULL;
}

/* ---- ids --------------------------------------------------------------------- */

/* Whether each of eight bytes is in 0x20..0x7E. */
static bool word_is_printable(uint64_t v)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);

    return (((v - 0x20 * ones) | (v + ones) | v) & (0x80 * ones)) == 0;
}

static bool id_is_good(const char *id, size_t len)
{
    uint64_t v;

    if (len > CLEW_ID_MAX)
        return false;
    for (; len >= 8; id += 8, len -= 8) {
        memcpy(&v, id, 8);
        if (!word_is_printable(v))
            return false;
    }
    v = UINT64_C(0x2020202020202020);
    memcpy(&v, id, len);
    return word_is_printable(v);
}

/* Takes id into slot; 0, or why a fresh one is needed. */
static int take_id(char slot[CLEW_ID_MAX + 1], uint8_t *slot_len, const char *id, size_t len)
{
    if (!id || len == 0)
        return 1;
    if (len == CLEW_LENGTH_UNKNOWN)
        len = strnlen(id, CLEW_ID_MAX + 1);
    if (!id_is_good(id, len)) {
        CLEW__COUNT_ONE(replaced_ids);
        return 2;
    }
    memcpy(slot, id, len);
    slot[len] = '\0';
    *slot_len = (uint8_t)len;
    return 0;
}

static int set_request_id(struct clew_context *context, const char *id, size_t len)
{
    int why = take_id(context->request_id, &context->request_len, id, len);

    if (why) {
        clew_id_uuid7(context->request_id);
        context->request_len = 36;
    }
    return why;
}

static int set_correlation_id(struct clew_context *context, const char *id, size_t len)
{
    int why = take_id(context->correlation_id, &context->correlation_len, id, len);

    if (why && context->request_len) {
        memcpy(context->correlation_id, context->request_id, sizeof(context->request_id));
        context->correlation_len = context->request_len;
    } else if (why) {
        clew_id_uuid7(context->correlation_id);
        context->correlation_len = 36;
    }
    return why;
}

int clew_context_set_request_id(struct clew_context *context, const char *id, size_t len)
{
    int why = set_request_id(context, id, len);

    clew__context_changed(context);
    return why;
}

int clew_context_set_correlation_id(struct clew_context *context, const char *id, size_t len)
{
    int why = set_correlation_id(context, id, len);

    clew__context_changed(context);
    return why;
}

void clew__context_set_ids(struct clew_context *context, const char *request_id, size_t request_len,
                           const char *correlation_id, size_t correlation_len)
{
    if (!request_id && !correlation_id) {
        clew__id_uuid7_twice(context->request_id, context->correlation_id);
        context->request_len = context->correlation_len = 36;
        return;
    }
    (void)set_request_id(context, request_id, request_len);
    (void)set_correlation_id(context, correlation_id, correlation_len);
}

const char *clew_context_request_id(const struct clew_context *context)
{
    return context ? context->request_id : "";
}

const char *clew_context_correlation_id(const struct clew_context *context)
{
    return context ? context->correlation_id : "";
}

void clew_context_set_trace(struct clew_context *context, const uint8_t trace_id[16], uint8_t flags)
{
    memcpy(context->trace_id, trace_id, 16);
    context->trace_flags = flags;
    context->decision = CLEW__DECIDED;
    clew__context_changed(context);
}

const uint8_t *clew_context_trace_id(const struct clew_context *context)
{
    static const uint8_t none[16];

    return context ? context->trace_id : none;
}

uint8_t clew_context_trace_flags(const struct clew_context *context)
{
    return context ? context->trace_flags : 0;
}

/* ---- deadlines ------------------------------------------------------------- */

void clew_context_set_deadline(struct clew_context *context, uint64_t deadline_ns)
{
    if (context)
        context->deadline_ns = deadline_ns;
}

uint64_t clew_context_deadline(const struct clew_context *context)
{
    return context ? context->deadline_ns : 0;
}

int64_t clew_context_remaining_ns(const struct clew_context *context)
{
    uint64_t deadline_ns = clew_context_deadline(context), now;

    if (deadline_ns == 0)
        return INT64_MAX;
    now = clew__monotonic_ns();
    if (deadline_ns > now)
        return deadline_ns - now < INT64_MAX ? (int64_t)(deadline_ns - now) : INT64_MAX;
    return -(int64_t)(now - deadline_ns);
}

/* ---- bound fields ------------------------------------------------------- */

static bool key_is_reserved(const char *key)
{
    static const char *const reserved[] = {"timestamp",  "level",          "service",  "logger",
                                           "request_id", "correlation_id", "trace_id", "span_id",
                                           "message",    "context",        "source"};

    for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++)
        if (strcmp(key, reserved[i]) == 0)
            return true;
    return false;
}

int clew_context_bind_fields(struct clew_context *context, size_t n, const char *const *keys,
                             const uint8_t *types, const struct clew_value *values)
{
    char bytes[CLEW_BOUND_MAX_BYTES];
    struct clew__fields fields;

    if (!context)
        return clew_set_error(-EINVAL, "bound fields: there is no context");
    fields = (struct clew__fields){bytes, context->bound_len, sizeof(bytes), context->nbound,
                                   CLEW__BOUND_FIELDS_MAX};
    memcpy(bytes, context->bound, context->bound_len);
    for (size_t i = 0; i < n; i++) {
        int err = key_is_reserved(keys[i])
                      ? -EINVAL
                      : clew__fields_set(&fields, keys[i], (enum clew_type)types[i], &values[i]);

        if (err == -EINVAL)
            return clew_set_error(err,
                                  "bound field \"%.64s\": empty, longer than 255 bytes or a key "
                                  "of the line itself",
                                  keys[i]);
        if (err < 0)
            return clew_set_error(err, "bound fields: more than %u bytes or %u fields",
                                  CLEW_BOUND_MAX_BYTES, CLEW__BOUND_FIELDS_MAX);
    }
    memcpy(context->bound, bytes, fields.len);
    context->bound_len = fields.len;
    context->nbound = (uint8_t)fields.n;
    clew__context_changed(context);
    return 0;
}

/* ---- the record --------------------------------------------------------- */

size_t clew__context_payload_len(const struct clew_context *context)
{
    return sizeof(struct clew__context_record) +
           (context ? (size_t)context->request_len + context->correlation_len + context->bound_len
                    : 0);
}

void clew__context_payload(const struct clew_context *context, char *ret, size_t len)
{
    struct clew__context_record head = {.request_len = 0};

    if (context) {
        head.request_len = context->request_len;
        head.correlation_len = context->correlation_len;
        head.trace_flags = context->trace_flags;
        head.nbound = context->nbound;
        head.bound_len = context->bound_len;
        memcpy(head.trace_id, context->trace_id, 16);
    }
    if (sizeof(head) + head.request_len + head.correlation_len + head.bound_len > len) {
        head = (struct clew__context_record){.request_len = 0};
        context = NULL;
    }
    memcpy(ret, &head, sizeof(head));
    if (!context)
        return;
    ret += sizeof(head);
    memcpy(ret, context->request_id, head.request_len);
    ret += head.request_len;
    memcpy(ret, context->correlation_id, head.correlation_len);
    ret += head.correlation_len;
    memcpy(ret, context->bound, head.bound_len);
}
