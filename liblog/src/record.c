/* SPDX-License-Identifier: Apache-2.0
 *
 * Events become records: the long way of a log call, and the only way of a
 * span's end. Measure, reserve, copy, publish with one release store. No lock,
 * no allocation; the one system call there is wakes a sleeping collector for an
 * error or a ring that is half full. After it the short way of <clew/site.h>
 * gets some room to go on with.
 *
 * A thread has two lanes: a signal handler that interrupts a log call of its
 * own thread finds the first one busy and writes into the second, so neither
 * sees the other's half-written record.
 */
#include "context_priv.h"
#include "core_priv.h"
#include "logger_priv.h"
#include "pressure_priv.h"
#include "secret_priv.h"
#include "value_priv.h"

#include <json.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define PRINTF_BYTES 8192u

struct lane {
    struct clew_hot *hot;
    struct clew__ring *ring;
};

/* The lane that is free; false when there is none. */
static bool enter(struct lane *lane)
{
    uint32_t depth = clew_hot.busy;
    struct clew__ring *ring = clew__self.ring;

    if (__builtin_expect(depth >= 2 || (depth == 1 && !ring), 0)) {
        CLEW__COUNT_ONE(nested);
        return false;
    }
    clew_hot.busy = depth + 1;
    atomic_signal_fence(memory_order_seq_cst);
    if (__builtin_expect(!ring, 0) && !(ring = clew__thread_attach())) {
        clew_hot.busy = depth;
        return false;
    }
    *lane =
        depth ? (struct lane){&clew__self.nested, ring->nested} : (struct lane){&clew_hot, ring};
    return true;
}

static void leave(void)
{
    atomic_signal_fence(memory_order_seq_cst);
    clew_hot.busy--;
}

/* ---- room -------------------------------------------------------------------------- */

/* need contiguous bytes, or NULL. One eighth is kept for warnings. */
static char *reserve(const struct lane *lane, size_t need, bool important)
{
    struct clew__ring *ring = lane->ring;
    struct clew_hot *hot = lane->hot;
    uint64_t usable = important ? ring->size : ring->size - ring->size / 8;

    if (hot->head + need - ring->tail_seen > usable) {
        ring->tail_seen = clew__ring_tail(ring);
        if (hot->head + need - ring->tail_seen > usable &&
            !clew__make_room(ring, hot->head + need, usable)) {
            CLEW__COUNT_ONE(ring_full);
            return NULL;
        }
    }
    if (hot->at >= ring->data + ring->size)
        hot->at -= ring->size;
    return hot->at;
}

static uint64_t current_serial(void)
{
    return clew__self.context ? clew__self.context->serial : 0;
}

/* The short way may go on to where the grant ends; but a line behind another
 * record may be the first of its context: that takes the long way. */
static void open_short_way(const struct lane *lane)
{
    struct clew_hot *hot = lane->hot;

    if (clew__ticks_from_tsc && hot == &clew_hot && lane->ring->context_serial == current_serial())
        hot->limit = hot->at + (lane->ring->granted - hot->head);
}

/* How far writing may go on without asking: until the ring is half full, when
 * the collector is to be woken, and from there in smaller steps. */
static void grant(const struct lane *lane)
{
    struct clew__ring *ring = lane->ring;
    struct clew_hot *hot = lane->hot;
    uint64_t half = ring->size / 2, usable = ring->size - ring->size / 8, used, room;

    if (hot->head - ring->tail_seen > half / 2)
        ring->tail_seen = clew__ring_tail(ring);
    used = hot->head - ring->tail_seen;
    if (used > half && !atomic_load_explicit(&ring->crowded_ns, memory_order_relaxed) &&
        !atomic_load_explicit(&ring->withheld, memory_order_relaxed))
        clew__collector_wake();
    if (hot->at >= ring->data + ring->size)
        hot->at -= ring->size;
    room = used < half ? half - used : used < usable ? usable - used : 0;
    if (used >= half && room > ring->size / 8)
        room = ring->size / 8;
    ring->granted = hot->head + room;
    hot->limit = NULL;
}

static void publish(const struct lane *lane, size_t size)
{
    struct clew_hot *hot = lane->hot;

    hot->at += size;
    hot->head += size;
    __atomic_store_n(hot->published, hot->head, __ATOMIC_RELEASE);
    if (hot->head >= lane->ring->granted)
        grant(lane);
    if (!hot->limit)
        open_short_way(lane);
}

static void put_header(char *at, size_t size, uint16_t logger, uint32_t what, uint64_t ticks)
{
    struct clew__record head = {(uint16_t)(size / 8), logger, what, ticks, clew_hot.span_id};

    memcpy(at, &head, sizeof(head));
}

/* ---- lines -------------------------------------------------------------------------- */

/* One event on its way: what its site says, or what became of it. */
struct event {
    const struct clew_site *site;
    const struct clew_logger *logger;
    const uint8_t *types;
    struct clew_value values[24];
    uint8_t resolved[25];
};

/* Cuts or gives up what would take the record past its limit. */
static size_t fit(struct event *event, size_t max)
{
    size_t total = sizeof(struct clew__record);

    for (unsigned i = 0; i < event->site->nfields; i++) {
        struct clew_value *value = &event->values[i];
        size_t size = clew__value_size(event->types[i], value);
        size_t rest = 8u * (event->site->nfields - i - 1); /* each later one gets this at least */

        if (__builtin_expect(total + size + rest > max, 0)) {
            size_t room = max - total - rest - 4;

            CLEW__COUNT_ONE(truncated);
            if (event->types != event->resolved) {
                memcpy(event->resolved, event->types, event->site->nfields);
                event->types = event->resolved;
            }
            if (event->types[i] == CLEW_TYPE_STRING || event->types[i] == CLEW_TYPE_MESSAGE) {
                value->len = clew__utf8_cut(value->as.s, value->len, room);
            } else if (event->types[i] == CLEW_TYPE_HEX || event->types[i] == CLEW_TYPE_BASE64) {
                value->len = room / 3 * 3;
            } else { /* half an object is none: null, which all types are written as alike */
                event->resolved[i] = CLEW_TYPE_STRING;
                *value = clew_value_stringn(NULL, 0);
            }
            size = clew__value_size(event->types[i], value);
        }
        total += size;
    }
    return clew__align8(total);
}

static void write_line(const struct lane *lane, struct event *event)
{
    const struct clew_context *context = clew__self.context;
    const struct clew_site *site = event->site;
    struct clew__ring *ring = lane->ring;
    uint64_t serial = current_serial(), ticks = clew__ticks();
    size_t size = fit(event, ring->record_max), context_size = 0;
    uint16_t logger = event->logger ? (uint16_t)event->logger->id : 0;
    char *at, *values;

    if (serial != ring->context_serial)
        context_size =
            clew__align8(sizeof(struct clew__record) + clew__context_payload_len(context));
    at = reserve(lane, context_size + size, site->level >= CLEW_LEVEL_WARN);
    if (!at)
        return;
    if (context_size) {
        put_header(at, context_size, 0, CLEW__WHAT_CONTEXT, ticks);
        clew__context_payload(context, at + sizeof(struct clew__record),
                              context_size - sizeof(struct clew__record));
        at += context_size;
        ring->context_serial = serial;
    }
    put_header(at, size, logger, site->id, ticks);
    values = at + sizeof(struct clew__record);
    for (unsigned i = 0; i < site->nfields; i++)
        values = clew__value_put(values, event->types[i], &event->values[i]);
    publish(lane, context_size + size);
    if (site->level >= CLEW_LEVEL_ERROR)
        clew__collector_wake();
}

/* As clew__stored_type() says. */
void clew__values_resolve(const struct clew_site *site, struct clew_value *values, uint8_t *types,
                          struct clew__resolved *room_for)
{
    char *text = room_for->text;
    size_t room = sizeof(room_for->text);

    memcpy(types, site->types, site->nfields);
    for (unsigned i = 0; i < site->nfields; i++) {
        struct clew_value *value = &values[i];

        if (!(site->secrets & (1u << i)))
            continue;
        if (site->types[i] == CLEW_TYPE_LAZY) {
            size_t len = value->as.lazy ? value->as.lazy(value->arg, text, room) : 0;

            if (len > room) {
                len = room ? clew__utf8_cut(text, room, room - 1) : 0;
                CLEW__COUNT_ONE(truncated);
            }
            *value = clew_value_stringn(text, len);
            types[i] = CLEW_TYPE_STRING;
            text += len;
            room -= len;
        }
        if (site->types[i] == CLEW_TYPE_SECRET || clew_key_is_secret(site->keys[i]))
            (void)clew__tokenise(types[i], value, room_for->tokens[i]);
        types[i] = clew__stored_type(site, i);
    }
}

static void write_event(struct event *event)
{
    struct lane lane;

    if (!enter(&lane))
        return;
    write_line(&lane, event);
    leave();
}

/* Apart, for the stack it needs. */
static __attribute__((noinline)) void write_resolved(struct event *event)
{
    struct clew__resolved resolved;

    clew__values_resolve(event->site, event->values, event->resolved, &resolved);
    event->types = event->resolved;
    write_event(event);
}

static void emit(const struct clew_site *site, const struct clew_logger *logger, uint32_t gate,
                 const struct clew_value *values)
{
    struct event event; /* not cleared: it is large, and little of it is used */

    event.site = site;
    event.logger = logger;
    event.types = site->types;
    memcpy(event.values, values, site->nfields * sizeof(*values));
    if (gate & CLEW_GATE_SECRET)
        write_resolved(&event);
    else
        write_event(&event);
}

/* Whom it concerns; whether a line is wanted. */
static bool wanted(const struct clew_site *site, const struct clew_logger *logger,
                   const struct clew_value *values, uint32_t *ret)
{
    *ret = __atomic_load_n(&site->gate, __ATOMIC_ACQUIRE);
    if (*ret & CLEW_GATE_OBSERVED)
        clew__site_observe(site, logger, values);
    return (*ret & CLEW_GATE_LINE) != 0;
}

/* Apart, so that what is only observed needs no frame. */
static __attribute__((noinline)) void emit_wanted(struct clew_site *site,
                                                  const struct clew_value *values)
{
    uint32_t gate;

    if (wanted(site, NULL, values, &gate))
        emit(site, NULL, gate, values);
}

void clew_log_emit(struct clew_site *site, const struct clew_value *values)
{
    if (__atomic_load_n(&site->gate, __ATOMIC_ACQUIRE) == CLEW_GATE_OBSERVED)
        clew__site_observe(site, NULL, values);
    else
        emit_wanted(site, values);
}

void clew_log_emit_to(struct clew_site *site, const struct clew_logger *logger,
                      const struct clew_value *values)
{
    uint32_t gate;

    if (wanted(site, logger, values, &gate) &&
        ((gate & CLEW_GATE_FORCED) || clew_logger_enabled(logger, (enum clew_level)site->level)))
        emit(site, logger, gate, values);
}

void clew_log_emit_limited(struct clew_site *site, struct clew_limit *limit,
                           const struct clew_value *values)
{
    struct clew_value with_held[24];
    uint32_t gate;
    uint64_t held;

    if (!wanted(site, NULL, values, &gate) || !clew__limit_passes(site, limit, &held))
        return;
    memcpy(with_held, values, site->nfields * sizeof(*values));
    with_held[site->nfields - 1] = clew_value_uint(held);
    emit(site, NULL, gate, with_held);
}

void clew_log_printf(struct clew_site *site, const char *format, ...)
{
    char text[PRINTF_BYTES];
    struct clew_value value;
    int saved = errno, n;
    va_list args;

    va_start(args, format);
    n = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (n < 0)
        n = (int)strlen(strcpy(text, "(this text cannot be formatted)"));
    if ((size_t)n >= sizeof(text)) {
        n = (int)clew__utf8_cut(text, sizeof(text) - 1, sizeof(text) - 2);
        CLEW__COUNT_ONE(truncated);
    }
    value = clew_value_stringn(text, (size_t)n);
    clew_log_emit(site, &value);
    errno = saved;
}

/* ---- other records ------------------------------------------------------------------- */

int clew__record_put(uint32_t what, uint64_t ticks, uint64_t span_id,
                     const struct clew__payload *payload, bool important)
{
    struct clew__record *record;
    struct lane lane;
    size_t size = clew__align8(sizeof(*record) + payload->len + payload->more_len);
    char *at;

    if (size > CLEW__RECORD_MAX || !enter(&lane))
        return 1;
    at = size <= lane.ring->record_max ? reserve(&lane, size, important) : NULL;
    if (at) {
        put_header(at, size, 0, what, ticks);
        record = (struct clew__record *)(void *)at;
        record->span_id = span_id;
        at += sizeof(*record);
        memcpy(at, payload->data, payload->len);
        if (payload->more_len)
            memcpy(at + payload->len, payload->more, payload->more_len);
        publish(&lane, size);
    }
    leave();
    return at ? 0 : 1;
}
