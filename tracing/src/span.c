/* SPDX-License-Identifier: Apache-2.0
 *
 * Spans, from their start to the record of their end. A span that is not
 * sampled has ids, so that context goes on, and keeps nothing else.
 */
#include "span_priv.h"

#include <id_priv.h>

#include <json.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint8_t clew_spans_state;

/* ---- start ------------------------------------------------------------------------ */

/* A trace begins here: a context of its own, without request ids. */
static struct clew_context *new_root(void)
{
    struct clew_context *context = clew_context_new();

    if (!context)
        return NULL;
    clew_id_trace(context->trace_id);
    context->trace_flags = CLEW_TRACE_RANDOM;
    context->decision = CLEW__OPEN;
    return context;
}

/* The first span of a context settles whether its request is recorded. */
static void decide(struct clew_context *context, uint64_t parent_id, const char *hint,
                   enum clew_span_kind kind)
{
    const struct clew__sampling sampling = {
        .trace_id = context->trace_id,
        .context = context,
        .has_parent = parent_id != 0,
        .parent_is_remote = parent_id != 0, /* a local one would have decided */
        .parent_sampled = context->trace_flags & CLEW_TRACE_SAMPLED,
        .name = hint,
        .kind = kind,
    };
    int known = parent_id ? 2 : clew__sampler_known(false, false, false);
    struct clew__sampled sampled;

    if (known == 2 || context->decision != CLEW__OPEN)
        sampled = clew__sampler_decide(&sampling);
    else
        sampled = (struct clew__sampled){.sampled = known, .th = CLEW__TH_REMOVE};
    clew__sampler_apply(context, &sampled);
}

/* What becomes of the spans of this context's request is settled by its first. */
static __attribute__((noinline)) enum clew__sampling_state
settle(struct clew_context *context, const struct clew__span_head *head, const char *hint)
{
    enum clew__sampling_state state;

    if (clew__sampler_is_open(context))
        decide(context, head->parent_span_id, hint, (enum clew_span_kind)head->kind);
    if (context->trace_flags & CLEW_TRACE_SAMPLED) {
        state = CLEW__SAMPLING_ON;
    } else if (clew__tail_is_on()) {
        state = CLEW__SAMPLING_HELD;
        context->local_root = head->span_id;
    } else {
        state = CLEW__SAMPLING_OFF;
    }
    atomic_store_explicit(&context->sampling, state, memory_order_release);
    return state;
}

static __attribute__((noinline)) void
record(struct clew__slot *slot, const struct clew_context *context, bool held, const char *name)
{
    struct clew__span_head *head = &slot->head;
    size_t len = name ? strnlen(name, CLEW_SPAN_NAME_MAX + 1) : 0;

    memcpy(head->trace_id, context->trace_id, 16);
    head->trace_flags = context->trace_flags;
    head->local_root = held ? context->local_root : 0;
    head->flags = held ? CLEW__SPAN_HELD : 0;
    head->start = clew__ticks();
    head->status = CLEW_SPAN_UNSET;
    head->dropped_attributes = head->dropped_events = head->dropped_links = 0;
    if (len > CLEW_SPAN_NAME_MAX)
        len = clew__utf8_cut(name, len, CLEW_SPAN_NAME_MAX);
    clew__item_name_first(slot, name ? name : "", len);
    slot->tag |= CLEW__SPAN_RECORDS;
    atomic_store_explicit(&slot->state, CLEW__SLOT_RECORDING, memory_order_release);
}

/* Takes over the reference to the parent's context, which hold is the key of. */
static inline struct clew__slot *start_in(struct clew_scope parent, uint64_t hold, const char *name,
                                          enum clew_span_kind kind, const char *hint)
{
    struct clew_context *context = parent.context;
    struct clew__slot *slot = clew__slot_take();
    enum clew__sampling_state state;
    struct clew__ring *ring;

    if (!slot) {
        clew__hold_give(context, hold);
        return NULL;
    }
    slot->context = context;
    slot->hold = hold;
    slot->entered = false;
    slot->more = NULL;
    slot->head.span_id = clew__id_span();
    slot->head.parent_span_id = parent.span_id;
    slot->head.kind = (uint8_t)kind;
    state = atomic_load_explicit(&context->sampling, memory_order_relaxed);
    if (__builtin_expect(state == CLEW__SAMPLING_OPEN, 0))
        state = settle(context, &slot->head, hint);
    ring = clew__self.ring;
    if (state == CLEW__SAMPLING_OFF) {
        __atomic_store_n(&ring->spans_dropped, ring->spans_dropped + 1, __ATOMIC_RELAXED);
        atomic_store_explicit(&slot->state, CLEW__SLOT_IDS, memory_order_relaxed);
        return slot;
    }
    __atomic_store_n(&ring->spans_sampled, ring->spans_sampled + 1, __ATOMIC_RELAXED);
    record(slot, context, state == CLEW__SAMPLING_HELD, name);
    return slot;
}

static void enter(struct clew__slot *slot)
{
    struct clew_scope scope = {slot->context, slot->head.span_id};

    slot->entered = true;
    slot->previous = clew__scope_current();
    clew__scope_set(scope);
    slot->previous_span = clew__self.span;
    clew__self.span = clew__slot_handle(slot);
}

static bool is_off(void)
{
    uint8_t state = __atomic_load_n(&clew_spans_state, __ATOMIC_RELAXED);

    if (__builtin_expect(state == 0, 0)) {
        state = clew__tracing_disabled() ? CLEW__SPANS_OFF : 1;
        __atomic_store_n(&clew_spans_state, state, __ATOMIC_RELAXED);
    }
    return state == CLEW__SPANS_OFF;
}

static __attribute__((noinline)) struct clew__slot *
start(struct clew_scope parent, const char *name, enum clew_span_kind kind, const char *hint)
{
    uint64_t hold;

    if (is_off())
        return NULL;
    if (parent.context) {
        if (!clew__hold_take(parent.context, &hold))
            return NULL;
    } else {
        parent = (struct clew_scope){new_root(), 0};
        if (!parent.context)
            return NULL;
        hold = clew__hold_take_new(parent.context);
    }
    return start_in(parent, hold, name, kind, hint);
}

static inline struct clew_span *started(struct clew__slot *slot)
{
    struct clew_span *span = clew__slot_handle(slot);

    if (__builtin_expect(atomic_load_explicit(&clew__nprocessors, memory_order_relaxed) != 0, 0) &&
        clew_span_is_recording(span))
        clew__processors_start(span);
    return span;
}

struct clew_span *clew_span_start_(const char *name, enum clew_span_kind kind)
{
    struct clew__slot *slot = start(clew__scope_current(), name, kind, name);

    return slot ? started(slot) : NULL;
}

struct clew_span *clew_span_begin_(const char *name, enum clew_span_kind kind)
{
    struct clew__slot *slot = start(clew__scope_current(), name, kind, name);

    if (!slot)
        return NULL;
    enter(slot);
    return started(slot);
}

struct clew_span *clew_span_start_with(const char *name, const struct clew_span_options *options)
{
    struct clew_scope parent = options->parent.context ? options->parent : clew__scope_current();
    struct clew__slot *slot;

    if (options->root)
        parent = (struct clew_scope){NULL, 0};
    slot = start(parent, name, options->kind ? options->kind : CLEW_SPAN_INTERNAL,
                 options->sampling_hint ? options->sampling_hint : name);
    if (!slot)
        return NULL;
    if (options->remote && parent.span_id)
        slot->head.flags |= CLEW__SPAN_REMOTE;
    if (options->start_ns) {
        slot->head.start = options->start_ns;
        slot->head.flags |= CLEW__SPAN_START_NS;
    }
    if (options->scope && atomic_load(&slot->state) == CLEW__SLOT_RECORDING)
        clew__item_text(slot, CLEW__ITEM_SCOPE, options->scope, strnlen(options->scope, 255));
    if (options->enter)
        enter(slot);
    return started(slot);
}

/* ---- while it is open --------------------------------------------------------------- */

struct clew_span *clew_span_current(void)
{
    return clew__self.span;
}

struct clew_scope clew_span_scope(const struct clew_span *span)
{
    const struct clew__slot *slot = clew__slot_of(span);

    return slot ? (struct clew_scope){slot->context, slot->head.span_id} : clew__scope_current();
}

bool clew_span_is_recording(const struct clew_span *span)
{
    return clew__slot_recording(span) != NULL;
}

void clew_span_set_name(struct clew_span *span, const char *name)
{
    struct clew__slot *slot = clew__slot_recording(span);

    if (slot && name)
        clew__item_text(
            slot, CLEW__ITEM_NAME, name,
            clew__utf8_cut(name, strnlen(name, CLEW_SPAN_NAME_MAX + 1), CLEW_SPAN_NAME_MAX));
}

/* A call site that is known; false when it cannot be. */
static bool is_known(struct clew_site *site)
{
    uint32_t gate = __atomic_load_n(&site->gate, __ATOMIC_ACQUIRE);

    return gate != CLEW_GATE_NEW || clew_log_register(site) != 0;
}

void clew_span_set_site_(struct clew_span *span, struct clew_site *site, uint64_t unused,
                         const struct clew_value *values)
{
    struct clew__slot *slot = clew__slot_recording(span);

    (void)unused;
    if (slot && is_known(site))
        clew__item_set_site(slot, site, values);
}

void clew_span_set_fields(struct clew_span *span, size_t n, const char *const *keys,
                          const uint8_t *types, const struct clew_value *values)
{
    struct clew__slot *slot = clew__slot_recording(span);

    if (slot && n)
        clew__item_set(slot, &(struct clew__attributes){
                                 .keys = keys, .types = types, .n = n, .values = values});
}

void clew_span_event_site_(struct clew_span *span, struct clew_site *site, uint64_t time_ns,
                           const struct clew_value *values)
{
    struct clew__slot *slot = clew__slot_recording(span);

    if (slot && is_known(site))
        clew__item_event(slot, time_ns, "",
                         &(struct clew__attributes){.site = site, .values = values});
}

void clew_span_event_fields(struct clew_span *span, uint64_t time_ns, const char *name, size_t n,
                            const char *const *keys, const uint8_t *types,
                            const struct clew_value *values)
{
    struct clew__slot *slot = clew__slot_recording(span);

    if (slot)
        clew__item_event(
            slot, time_ns, name ? name : "",
            &(struct clew__attributes){.keys = keys, .types = types, .n = n, .values = values});
}

struct clew_link clew_link_of(struct clew_scope scope)
{
    struct clew_link link = {.span_id = scope.span_id};

    if (scope.context) {
        memcpy(link.trace_id, scope.context->trace_id, 16);
        link.trace_flags = scope.context->trace_flags;
        link.trace_state = scope.context->trace_state;
    }
    return link;
}

void clew_span_link_site_(struct clew_span *span, struct clew_site *site,
                          const struct clew_link *link, const struct clew_value *values)
{
    struct clew__slot *slot = clew__slot_recording(span);

    if (slot && is_known(site))
        clew__item_link(slot, link, &(struct clew__attributes){.site = site, .values = values});
}

void clew_span_link_fields(struct clew_span *span, const struct clew_link *link, size_t n,
                           const char *const *keys, const uint8_t *types,
                           const struct clew_value *values)
{
    struct clew__slot *slot = clew__slot_recording(span);

    if (slot)
        clew__item_link(
            slot, link,
            &(struct clew__attributes){.keys = keys, .types = types, .n = n, .values = values});
}

void clew_span_set_status(struct clew_span *span, enum clew_span_status status, const char *message)
{
    struct clew__slot *slot = clew__slot_recording(span);

    /* Ok is final, and nothing goes back to Unset. */
    if (!slot || slot->head.status == CLEW_SPAN_OK ||
        (status != CLEW_SPAN_OK && status != CLEW_SPAN_ERROR))
        return;
    slot->head.status = (uint8_t)status;
    if (status == CLEW_SPAN_OK || !message)
        message = "";
    clew__item_text(
        slot, CLEW__ITEM_MESSAGE, message,
        clew__utf8_cut(message, strnlen(message, CLEW_SPAN_NAME_MAX + 1), CLEW_SPAN_NAME_MAX));
}

void clew_span_error(struct clew_span *span, const char *type, const char *message)
{
    if (!type || !*type)
        type = "_OTHER";
    clew_span_set(span, clew_kv("error.type", type));
    if (message)
        clew_span_event(span, "exception", clew_kv("exception.type", type),
                        clew_kv("exception.message", message));
    else
        clew_span_event(span, "exception", clew_kv("exception.type", type));
    clew_span_set_status(span, CLEW_SPAN_ERROR, message);
}

void clew_span_errno(struct clew_span *span, int number)
{
    const char *name = strerrorname_np(number), *text = strerrordesc_np(number);
    char unknown[16];

    (void)snprintf(unknown, sizeof(unknown), "%d", number);
    clew_span_error(span, name ? name : unknown, text ? text : "unknown error");
}

/* ---- end ------------------------------------------------------------------------------ */

/* What is held of a request goes out or not when its local root ends; what ends
 * later follows that. Others leave word of their errors. */
static void see_to_held(struct clew__slot *slot)
{
    struct clew_context *context = slot->context;
    struct clew__span_head *head = &slot->head;
    enum clew__sampling_state state;
    bool keep;

    if (head->status == CLEW_SPAN_ERROR)
        atomic_store(&context->has_error, true);
    state = atomic_load_explicit(&context->sampling, memory_order_acquire);
    if (state == CLEW__SAMPLING_HELD && context->local_root == head->span_id) {
        keep = clew__tail_keeps(atomic_load(&context->has_error), clew__span_duration_ns(head));
        state = keep ? CLEW__SAMPLING_KEPT : CLEW__SAMPLING_FORGOTTEN;
        atomic_store(&context->sampling, state);
    }
    if (state == CLEW__SAMPLING_KEPT)
        head->flags |= CLEW__SPAN_KEEP;
    else if (state == CLEW__SAMPLING_FORGOTTEN)
        head->flags |= CLEW__SPAN_FORGET;
}

static void put_record(struct clew__slot *slot, uint64_t ticks)
{
    const struct clew_context *context = slot->context;
    struct clew__payload payload = {.data = (const char *)&slot->head, .len = sizeof(slot->head)};

    if (context->trace_state)
        clew__item_text(slot, CLEW__ITEM_STATE, context->trace_state, strlen(context->trace_state));
    if (slot->more) {
        payload.more = slot->more;
        payload.more_len = slot->more_len;
    } else {
        payload.len += atomic_load_explicit(&slot->len, memory_order_relaxed);
    }
    (void)clew__record_put(CLEW__WHAT_SPAN, ticks, slot->head.span_id, &payload,
                           slot->head.status == CLEW_SPAN_ERROR);
}

static __attribute__((noinline)) void leave(struct clew__slot *slot, const struct clew_span *span)
{
    struct clew_scope now = clew__scope_current();

    if (now.context == slot->context && now.span_id == slot->head.span_id)
        clew__scope_set(slot->previous);
    else
        clew__misuse("a span ended while another scope was current");
    if (clew__self.span == span)
        clew__self.span = slot->previous_span;
}

/* One that is recorded. */
static __attribute__((noinline)) void put(struct clew__slot *slot, struct clew_span *span,
                                          uint64_t end_ns)
{
    struct clew__ring *ring;
    uint64_t ticks;

    if (__builtin_expect(atomic_load_explicit(&clew__nprocessors, memory_order_relaxed), 0))
        clew__processors_end(span);
    ticks = clew__ticks();
    slot->head.end = end_ns ? end_ns : ticks;
    if (end_ns)
        slot->head.flags |= CLEW__SPAN_END_NS;
    if (slot->head.flags & CLEW__SPAN_HELD)
        see_to_held(slot);
    put_record(slot, ticks);
    free(slot->more);
    ring = clew__self.ring ? clew__self.ring : clew__thread_attach();
    if (ring)
        __atomic_store_n(&ring->spans_ended, ring->spans_ended + 1, __ATOMIC_RELAXED);
}

static inline void end(struct clew_span *span, uint64_t end_ns)
{
    struct clew__slot *slot = clew__slot_of(span);

    if (!slot)
        return;
    if (atomic_load_explicit(&slot->state, memory_order_relaxed) == CLEW__SLOT_RECORDING)
        put(slot, span, end_ns);
    if (slot->entered)
        leave(slot, span);
    clew__hold_give(slot->context, slot->hold);
    clew__slot_give(slot);
}

void clew_span_end_(struct clew_span *span)
{
    end(span, 0);
}

void clew_span_end_at(struct clew_span *span, uint64_t end_ns)
{
    end(span, end_ns);
}

/* ---- liblog knows spans through these only ------------------------------------------------ */

static void read_record(const struct clew__span_reader *reader, const char *payload, size_t len)
{
    struct clew__span_head head;

    if (len < sizeof(head))
        return;
    memcpy(&head, payload, sizeof(head));
    payload += sizeof(head);
    len -= sizeof(head);
    if (!(head.flags & CLEW__SPAN_HELD)) {
        (void)clew__span_read(reader, &head, payload, len, false);
        return;
    }
    if (head.flags & CLEW__SPAN_KEEP)
        clew__tail_decide(reader, head.local_root, true);
    else if (head.flags & CLEW__SPAN_FORGET)
        clew__tail_decide(reader, head.local_root, false);
    if (head.flags & CLEW__SPAN_KEEP)
        (void)clew__span_read(reader, &head, payload, len, false);
    else if (!(head.flags & CLEW__SPAN_FORGET))
        clew__tail_hold(reader, &head, payload, len);
}

static void read_open(const struct clew__span_reader *reader, const char *chunk, size_t len,
                      uint64_t end_ticks, bool (*ended)(const void *arg, uint64_t span_id),
                      const void *arg)
{
    for (; len >= CLEW__SLOT_BYTES; chunk += CLEW__SLOT_BYTES, len -= CLEW__SLOT_BYTES) {
        const struct clew__slot *slot = (const void *)chunk;
        struct clew__span_head head = slot->head;
        uint32_t body = slot->len;

        if (slot->state != CLEW__SLOT_RECORDING || body > CLEW__SLOT_BODY ||
            ended(arg, head.span_id))
            continue;
        head.end = end_ticks;
        head.flags &= (uint8_t)~CLEW__SPAN_END_NS;
        (void)clew__span_read(reader, &head, slot->inlined, body, true);
    }
}

__attribute__((constructor)) static void install(void)
{
    static const struct clew__span_hooks hooks = {read_record, read_open, clew__tail_keep_all,
                                                  clew__slots_thread_ends, clew__slots_after_fork};

    clew__span_hooks = &hooks;
}
