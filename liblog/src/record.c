/* SPDX-License-Identifier: Apache-2.0
 *
 * Events become records here, and records become events again. Writing is the
 * caller's path: measure, reserve, copy, publish with one release store. No
 * lock, no allocation; the one system call there is wakes a sleeping collector
 * for an error or a ring that is half full. Reading is the collector's, and
 * recovery's, who may have a damaged file before it: every length is checked.
 */
#include "context_priv.h"
#include "core_priv.h"
#include "fields_priv.h"

#include <json.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NULL_STRING UINT32_MAX

clew__span_decode_fn *clew__span_decode;

/* ---- writing ------------------------------------------------------------ */

/* Waits for room as CLEW_RING_FULL=block asks for. */
static bool wait_for_room(struct clew__ring *ring, size_t need, uint64_t room)
{
    uint64_t deadline = clew__monotonic_ns() + clew__config.block_ms * UINT64_C(1000000);
    int saved = errno;
    bool ok;

    do {
        struct timespec pause = {0, 20000};

        clew__collector_wake();
        (void)nanosleep(&pause, NULL);
        ring->tail_seen =
            atomic_load_explicit(&ring->control->tail, memory_order_acquire) & ~UINT64_C(7);
        ok = ring->head + need - ring->tail_seen <= room;
    } while (!ok && clew__monotonic_ns() < deadline);
    errno = saved;
    return ok;
}

/* need contiguous bytes at head, or NULL. One eighth is kept for warnings. */
static inline char *reserve_room(struct clew__ring *ring, size_t need, bool reserve)
{
    uint64_t room = reserve ? ring->size : ring->size - ring->size / 8;

    if (__builtin_expect(ring->head + need - ring->tail_seen > room, 0)) {
        ring->tail_seen =
            atomic_load_explicit(&ring->control->tail, memory_order_acquire) & ~UINT64_C(7);
        if (ring->head + need - ring->tail_seen > room) {
            clew__collector_wake();
            if (clew__config.block_ms == 0 || clew__in_collector() ||
                !wait_for_room(ring, need, room)) {
                CLEW__COUNT_ONE(ring_full);
                return NULL;
            }
        }
    }
    return ring->data + (ring->head & (ring->size - 1));
}

static inline void publish(struct clew__ring *ring, size_t size, bool urgent)
{
    ring->head += size;
    atomic_store_explicit(&ring->control->head, ring->head, memory_order_release);
    if (__builtin_expect(urgent, 0)) {
        clew__collector_wake();
    } else if (__builtin_expect(ring->head - ring->tail_seen > ring->size / 2, 0)) {
        ring->tail_seen =
            atomic_load_explicit(&ring->control->tail, memory_order_acquire) & ~UINT64_C(7);
        if (ring->head - ring->tail_seen > ring->size / 2)
            clew__collector_wake();
    }
}

/* The guard against signal handlers: what interrupts a write must not write. */
static inline bool enter(struct clew__thread *self)
{
    if (__builtin_expect(self->busy, 0)) {
        CLEW__COUNT_ONE(nested);
        return false;
    }
    self->busy = 1;
    atomic_signal_fence(memory_order_seq_cst);
    return true;
}

static inline void leave(struct clew__thread *self)
{
    atomic_signal_fence(memory_order_seq_cst);
    self->busy = 0;
}

static void put_header(char *at, size_t size, uint32_t what, uint64_t ticks, uint64_t span_id)
{
    struct clew__record head = {(uint32_t)size, what, ticks, span_id};

    memcpy(at, &head, sizeof(head));
}

/* Length of each string and of the whole payload. Strings are cut where the
 * record would grow past its limit. */
static size_t measure(const struct clew_site *site, const struct clew_value *values,
                      uint32_t lens[24])
{
    size_t n = site->nfields, total = sizeof(struct clew__record) + 8 * n;

    for (size_t i = 0; i < n; i++) {
        size_t len, room;

        if (site->types[i] != CLEW_TYPE_STRING)
            continue;
        if (!values[i].as.s) {
            lens[i] = NULL_STRING;
            continue;
        }
        len = values[i].len == CLEW_LENGTH_UNKNOWN ? strlen(values[i].as.s) : values[i].len;
        room = CLEW__RECORD_MAX - total;
        if (__builtin_expect(len > room, 0)) {
            len = clew__utf8_cut(values[i].as.s, len, room);
            CLEW__COUNT_ONE(truncated);
        }
        lens[i] = (uint32_t)len;
        total += len;
    }
    return clew__align8(total);
}

static void put_values(char *at, const struct clew_site *site, const struct clew_value *values,
                       const uint32_t lens[24])
{
    for (size_t i = 0; i < site->nfields; i++) {
        if (site->types[i] != CLEW_TYPE_STRING) {
            memcpy(at, &values[i].as, 8);
            at += 8;
            continue;
        }
        memcpy(at, &lens[i], 4);
        at += 4;
        if (lens[i] != NULL_STRING) {
            memcpy(at, values[i].as.s, lens[i]);
            at += lens[i];
        }
    }
}

void clew_log_emit(struct clew_site *site, const struct clew_value *values)
{
    uint32_t gate = __atomic_load_n(&site->gate, __ATOMIC_ACQUIRE);
    struct clew__thread *self = &clew__self;
    const struct clew_context *context;
    struct clew__ring *ring;
    uint32_t lens[24];
    size_t size, context_size = 0;
    uint64_t serial, ticks;
    char *at;

    if (gate & CLEW_GATE_OBSERVED)
        clew__site_observe(site, values);
    if (!(gate & CLEW_GATE_LINE) || !enter(self))
        return;
    ring = self->ring;
    if (__builtin_expect(!ring, 0) && !(ring = clew__thread_attach()))
        goto out;
    context = self->scope.context;
    serial = context ? context->serial : 0;
    if (serial != ring->context_serial)
        context_size =
            clew__align8(sizeof(struct clew__record) + clew__context_payload_len(context));
    ticks = clew__ticks();
    size = measure(site, values, lens);
    at = reserve_room(ring, context_size + size, site->level >= CLEW_LEVEL_WARN);
    if (!at)
        goto out;
    if (context_size) {
        put_header(at, context_size, CLEW__WHAT_CONTEXT, ticks, 0);
        clew__context_payload(context, at + sizeof(struct clew__record));
        at += context_size;
        ring->context_serial = serial;
    }
    put_header(at, size, site->id, ticks, self->scope.span_id);
    put_values(at + sizeof(struct clew__record), site, values, lens);
    publish(ring, context_size + size, site->level >= CLEW_LEVEL_ERROR);
out:
    leave(self);
}

int clew__record_put(uint32_t what, uint64_t span_id, const void *payload, size_t len, bool reserve)
{
    struct clew__thread *self = &clew__self;
    size_t size = clew__align8(sizeof(struct clew__record) + len);
    struct clew__ring *ring;
    int dropped = 1;
    char *at;

    if (size > CLEW__RECORD_MAX || !enter(self))
        return 1;
    ring = self->ring;
    if (!ring)
        ring = clew__thread_attach();
    at = ring ? reserve_room(ring, size, reserve) : NULL;
    if (at) {
        put_header(at, size, what, clew__ticks(), span_id);
        memcpy(at + sizeof(struct clew__record), payload, len);
        publish(ring, size, false);
        dropped = 0;
    }
    leave(self);
    return dropped;
}

/* ---- reading ------------------------------------------------------------ */

bool clew__line_decode(struct clew__line *line, const struct clew_site *site, const char *payload,
                       size_t len)
{
    line->site = site;
    for (size_t i = 0; i < site->nfields; i++) {
        struct clew_value *value = &line->values[i];
        uint32_t n;

        if (site->types[i] != CLEW_TYPE_STRING) {
            if (len < 8)
                return false;
            memcpy(&value->as, payload, 8);
            value->len = 0;
            payload += 8;
            len -= 8;
            continue;
        }
        if (len < 4)
            return false;
        memcpy(&n, payload, 4);
        payload += 4;
        len -= 4;
        if (n == NULL_STRING) {
            *value = clew_value_stringn(NULL, 0);
            continue;
        }
        if (n > len)
            return false;
        *value = clew_value_stringn(payload, n);
        payload += n;
        len -= n;
    }
    return true;
}

struct clew__line_context *clew__line_context_new(void)
{
    struct clew__line_context *context = calloc(1, sizeof(*context));

    if (context) {
        clew__buf_init(&context->ids_json, 65536);
        clew__buf_init(&context->bound_json, 65536);
        clew__buf_init(&context->raw_keys, 65536);
    }
    return context;
}

void clew__line_context_free(struct clew__line_context *context)
{
    if (!context)
        return;
    clew__buf_done(&context->ids_json);
    clew__buf_done(&context->bound_json);
    clew__buf_done(&context->raw_keys);
    free(context);
}

static void add_id(struct clew__buf *out, const char *key, const char *id)
{
    if (!id[0])
        return;
    clew__buf_adds(out, key);
    clew__json_string(out, id, strlen(id));
}

/* Keys get a NUL each, for sinks; pointers are set when the buffer is final. */
static bool set_bound(struct clew__line_context *context, const char *bound, size_t len, unsigned n)
{
    struct clew__field field;
    size_t at = 0, key_at[CLEW__BOUND_FIELDS_MAX];

    if (n > CLEW__BOUND_FIELDS_MAX)
        return false;
    for (unsigned i = 0; i < n; i++) {
        if (!clew__fields_next(bound, len, &at, &field))
            return false;
        key_at[i] = context->raw_keys.len;
        clew__buf_add(&context->raw_keys, field.key, field.key_len);
        clew__buf_addc(&context->raw_keys, '\0');
        context->bound[i].type = field.type;
        context->bound[i].value = field.value;
        clew__buf_addc(&context->bound_json, ',');
        clew__json_string(&context->bound_json, field.key, field.key_len);
        clew__buf_addc(&context->bound_json, ':');
        clew__json_value(&context->bound_json, field.type, &field.value);
    }
    if (context->raw_keys.failed || context->bound_json.failed)
        return false;
    for (unsigned i = 0; i < n; i++)
        context->bound[i].key = context->raw_keys.data + key_at[i];
    context->nbound = n;
    return true;
}

static void make_empty(struct clew__line_context *context)
{
    context->request_id[0] = context->correlation_id[0] = '\0';
    memset(context->trace_id, 0, 16);
    context->has_trace = false;
    context->nbound = 0;
    context->raw_len = 0;
    clew__buf_reset(&context->ids_json);
    clew__buf_reset(&context->bound_json);
    clew__buf_reset(&context->raw_keys);
}

bool clew__line_context_set(struct clew__line_context *context, const char *payload, size_t len)
{
    static const uint8_t none[16];
    struct clew__context_record head;
    size_t used = sizeof(head);
    char hex[33];

    make_empty(context);
    if (len < sizeof(head) || len > sizeof(context->raw))
        return false;
    memcpy(&head, payload, sizeof(head));
    used += (size_t)head.request_len + head.correlation_len + head.bound_len;
    if (used > len || head.request_len > CLEW_ID_MAX || head.correlation_len > CLEW_ID_MAX)
        return false;
    memcpy(context->raw, payload, used);
    context->raw_len = used;
    payload = context->raw + sizeof(head);
    memcpy(context->request_id, payload, head.request_len);
    context->request_id[head.request_len] = '\0';
    payload += head.request_len;
    memcpy(context->correlation_id, payload, head.correlation_len);
    context->correlation_id[head.correlation_len] = '\0';
    payload += head.correlation_len;
    memcpy(context->trace_id, head.trace_id, 16);
    context->has_trace = memcmp(head.trace_id, none, 16) != 0;
    add_id(&context->ids_json, ",\"request_id\":", context->request_id);
    add_id(&context->ids_json, ",\"correlation_id\":", context->correlation_id);
    if (context->has_trace) {
        clew__hex(hex, head.trace_id, 16);
        hex[32] = '\0';
        add_id(&context->ids_json, ",\"trace_id\":", hex);
    }
    if (!set_bound(context, payload, head.bound_len, head.nbound)) {
        make_empty(context);
        return false;
    }
    return true;
}
