/* SPDX-License-Identifier: Apache-2.0
 *
 * The body of an open span: items in a row, 8-byte aligned. It begins in the
 * slot; when it outgrows that it moves to the heap whole, and a crash keeps what
 * was in the slot until then. What does not fit is dropped and counted.
 */
#include "span_priv.h"

#include <secret_priv.h>
#include <value_priv.h>

#include <copy.h>
#include <json.h>

#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#define FIELDS_MAX 128u

const char *clew__slot_body(const struct clew__slot *slot, size_t *ret_len)
{
    *ret_len = slot->more ? slot->more_len : atomic_load_explicit(&slot->len, memory_order_relaxed);
    return slot->more ? slot->more : slot->inlined;
}

static char *grow(struct clew__slot *slot, size_t need)
{
    size_t len, cap;
    const char *body = clew__slot_body(slot, &len);
    char *more;

    if (len + need > CLEW_SPAN_BYTES_MAX)
        return NULL;
    if (slot->more && len + need <= slot->more_cap)
        return slot->more + len;
    cap = 2 * (len + need);
    if (cap > CLEW_SPAN_BYTES_MAX)
        cap = CLEW_SPAN_BYTES_MAX;
    more = malloc(cap);
    if (!more)
        return NULL;
    memcpy(more, body, len);
    free(slot->more);
    slot->more = more;
    slot->more_len = (uint32_t)len;
    slot->more_cap = (uint32_t)cap;
    return more + len;
}

/* Room for an item with that much behind its head; NULL: none. It counts with
 * finish(). */
static char *begin(struct clew__slot *slot, enum clew__item_kind kind, uint32_t site, size_t bytes)
{
    size_t size = clew__align8(sizeof(struct clew__item) + bytes);
    uint32_t len = atomic_load_explicit(&slot->len, memory_order_relaxed);
    struct clew__item item = {(uint16_t)kind, (uint16_t)(size / 8), site};
    char *at =
        !slot->more && len + size <= CLEW__SLOT_BODY ? slot->inlined + len : grow(slot, size);

    if (at)
        memcpy(at, &item, sizeof(item));
    return at ? at + sizeof(item) : NULL;
}

static void finish(struct clew__slot *slot, size_t bytes)
{
    uint32_t size = (uint32_t)clew__align8(sizeof(struct clew__item) + bytes);

    if (slot->more)
        slot->more_len += size;
    else
        atomic_store_explicit(&slot->len,
                              atomic_load_explicit(&slot->len, memory_order_relaxed) + size,
                              memory_order_release);
}

void clew__item_text(struct clew__slot *slot, enum clew__item_kind kind, const char *text,
                     size_t len)
{
    char *at = begin(slot, kind, 0, len + 1);

    if (!at)
        return;
    memcpy(at, text, len);
    at[len] = '\0';
    finish(slot, len + 1);
}

/* ---- attributes ------------------------------------------------------------------ */

static void count_dropped(struct clew__slot *slot, size_t n)
{
    size_t sum = slot->head.dropped_attributes + n;

    slot->head.dropped_attributes = (uint16_t)(sum > UINT16_MAX ? UINT16_MAX : sum);
}

/* Values of a site, ready to be stored. */
struct ready {
    const struct clew_value *values;
    const uint8_t *types;
    struct clew_value own[24];
    uint8_t own_types[24];
    struct clew__resolved resolved;
};

/* Measures them; secrets and lazy values are seen to first. */
static size_t make_ready(struct ready *ready, const struct clew_site *site,
                         const struct clew_value *values)
{
    size_t size = 0;

    ready->values = values;
    ready->types = site->types;
    if (site->secrets) {
        memcpy(ready->own, values, site->nfields * sizeof(*values));
        clew__values_resolve(site, ready->own, ready->own_types, &ready->resolved);
        ready->values = ready->own;
        ready->types = ready->own_types;
    }
    for (unsigned i = 0; i < site->nfields; i++)
        size += clew__is_plain(ready->types[i])
                    ? clew__plain_size(ready->types[i], &ready->values[i])
                    : clew__value_size(ready->types[i], &ready->values[i]);
    return size;
}

static char *put_values(char *at, const struct ready *ready, size_t n)
{
    for (size_t i = 0; i < n; i++)
        at = clew__is_plain(ready->types[i])
                 ? clew__plain_put(at, ready->types[i], &ready->values[i])
                 : clew__value_put(at, ready->types[i], &ready->values[i]);
    return at;
}

/* A key from run time: what there is to know of it. */
struct named {
    size_t key_len;
    unsigned type;
    struct clew_value value;
    char token[CLEW__TOKEN_BYTES];
};

/* 0 bytes: it cannot be kept. */
static size_t make_named(struct named *named, const struct clew__attributes *attributes, size_t i)
{
    const char *key = attributes->keys[i];
    unsigned type = attributes->types[i];

    named->key_len = key ? strnlen(key, 256) : 0;
    named->value = attributes->values[i];
    named->type = type;
    if (named->key_len == 0 || named->key_len > 255)
        return 0;
    if (!attributes->resolved && (type == CLEW_TYPE_SECRET || clew_key_is_secret(key)))
        named->type = clew__tokenise(type, &named->value, named->token);
    if (!clew__type_is_stored(named->type) || named->type == CLEW_TYPE_MESSAGE)
        return 0;
    return 2 + named->key_len + clew__value_size(named->type, &named->value);
}

/* As many fields as fit into room; what it takes, and what is left out. */
static size_t measure_named(const struct clew__attributes *attributes, size_t room,
                            bool kept[FIELDS_MAX], size_t *ret_dropped)
{
    struct named named;
    size_t total = 0;

    *ret_dropped = attributes->n > FIELDS_MAX ? attributes->n - FIELDS_MAX : 0;
    for (size_t i = 0; i < attributes->n && i < FIELDS_MAX; i++) {
        size_t size = make_named(&named, attributes, i);

        kept[i] = size && total + size <= room;
        *ret_dropped += !kept[i];
        total += kept[i] ? size : 0;
    }
    return total;
}

static char *put_named(char *at, const struct clew__attributes *attributes,
                       const bool kept[FIELDS_MAX])
{
    struct named named;

    for (size_t i = 0; i < attributes->n && i < FIELDS_MAX; i++) {
        if (!kept[i])
            continue;
        (void)make_named(&named, attributes, i);
        *at++ = (char)named.type;
        *at++ = (char)(uint8_t)named.key_len;
        at = mempcpy(at, attributes->keys[i], named.key_len);
        at = clew__value_put(at, named.type, &named.value);
    }
    return at;
}

static size_t room_left(const struct clew__slot *slot, size_t fixed)
{
    size_t len;

    (void)clew__slot_body(slot, &len);
    fixed += sizeof(struct clew__item) + 8;
    return CLEW_SPAN_BYTES_MAX - len > fixed ? CLEW_SPAN_BYTES_MAX - len - fixed : 0;
}

/* ---- items ------------------------------------------------------------------------- */

static size_t length(const struct iovec *pieces, size_t n)
{
    size_t sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += pieces[i].iov_len;
    return sum;
}

/* An item that begins with the pieces and goes on with attributes. False:
 * not even they fit. */
static bool add_named(struct clew__slot *slot, enum clew__item_kind kind,
                      const struct iovec *pieces, size_t npieces,
                      const struct clew__attributes *attributes)
{
    size_t fixed = length(pieces, npieces), dropped, size;
    bool kept[FIELDS_MAX];
    char *at;

    size = fixed + measure_named(attributes, room_left(slot, fixed), kept, &dropped);
    count_dropped(slot, dropped);
    if (size == 0 || !(at = begin(slot, kind, 0, size))) {
        if (size)
            count_dropped(slot, attributes->n - dropped);
        return false;
    }
    for (size_t i = 0; i < npieces; i++)
        at = mempcpy(at, pieces[i].iov_base, pieces[i].iov_len);
    (void)put_named(at, attributes, kept);
    finish(slot, size);
    return true;
}

static bool add_sited(struct clew__slot *slot, enum clew__item_kind kind,
                      const struct iovec *pieces, size_t npieces,
                      const struct clew__attributes *attributes)
{
    size_t size;
    const struct clew_site *site = attributes->site;
    struct ready ready;
    char *at;

    size = length(pieces, npieces) + make_ready(&ready, site, attributes->values);
    at = size <= room_left(slot, 0) ? begin(slot, kind, site->id, size) : NULL;
    if (!at) { /* those that fit, one by one */
        struct clew__attributes named = {.keys = site->keys,
                                         .types = ready.types,
                                         .n = site->nfields,
                                         .values = ready.values,
                                         .resolved = true};

        return add_named(slot, kind, pieces, npieces, &named);
    }
    for (size_t i = 0; i < npieces; i++)
        at = mempcpy(at, pieces[i].iov_base, pieces[i].iov_len);
    (void)put_values(at, &ready, site->nfields);
    finish(slot, size);
    return true;
}

static bool add(struct clew__slot *slot, enum clew__item_kind kind, const struct iovec *pieces,
                size_t npieces, const struct clew__attributes *attributes)
{
    return attributes->site ? add_sited(slot, kind, pieces, npieces, attributes)
                            : add_named(slot, kind, pieces, npieces, attributes);
}

static inline char *put_plain(char *at, unsigned type, const struct clew_value *value)
{
    uint32_t len;

    if (type != CLEW_TYPE_STRING)
        return clew__plain_put(at, type, value);
    len = value->as.s ? (uint32_t)value->len : CLEW__NULL_STRING;
    memcpy(at, &len, 4);
    clew__copy_short(at + 4, value->as.s, value->len);
    return at + 4 + value->len;
}

/* As most spans have them: plain values that fit into the slot. False: nothing
 * was done. */
static bool set_plain(struct clew__slot *slot, const struct clew_site *site,
                      const struct clew_value *values)
{
    uint32_t len = atomic_load_explicit(&slot->len, memory_order_relaxed);
    char *begin = slot->inlined + len, *at = begin + sizeof(struct clew__item);
    size_t size, room = CLEW__SLOT_BODY - len;
    struct clew__item item = {CLEW__ITEM_SET, 0, site->id};

    if (site->secrets || slot->more || room < sizeof(item))
        return false;
    room -= sizeof(item);
    for (unsigned i = 0; i < site->nfields; i++) {
        unsigned type = site->types[i];

        if (!clew__is_plain(type))
            return false;
        size = clew__plain_size(type, &values[i]);
        if (size > room || values[i].len > CLEW__SLOT_BODY)
            return false;
        room -= size;
        at = put_plain(at, type, &values[i]);
    }
    size = clew__align8((size_t)(at - begin)); /* the body's room is a multiple of 8 */
    item.units = (uint16_t)(size / 8);
    memcpy(begin, &item, sizeof(item));
    atomic_store_explicit(&slot->len, len + (uint32_t)size, memory_order_release);
    return true;
}

void clew__item_set_site(struct clew__slot *slot, struct clew_site *site,
                         const struct clew_value *values)
{
    if (!set_plain(slot, site, values))
        clew__item_set(slot, &(struct clew__attributes){.site = site, .values = values});
}

void clew__item_name_first(struct clew__slot *slot, const char *name, size_t len)
{
    struct clew__item item = {CLEW__ITEM_NAME,
                              (uint16_t)(clew__align8(sizeof(struct clew__item) + len + 1) / 8), 0};

    memcpy(slot->inlined, &item, sizeof(item));
    clew__copy_short(slot->inlined + sizeof(item), name, len);
    slot->inlined[sizeof(item) + len] = '\0';
    atomic_store_explicit(&slot->len, item.units * 8u, memory_order_relaxed);
}

void clew__item_set(struct clew__slot *slot, const struct clew__attributes *attributes)
{
    (void)add(slot, CLEW__ITEM_SET, NULL, 0, attributes);
}

void clew__item_event(struct clew__slot *slot, uint64_t time_ns, const char *name,
                      const struct clew__attributes *attributes)
{
    size_t len = clew__utf8_cut(name, strnlen(name, CLEW_SPAN_NAME_MAX + 1), CLEW_SPAN_NAME_MAX);
    struct clew__event_item event = {time_ns ? time_ns : clew__ticks(), time_ns != 0,
                                     (uint32_t)len};
    struct iovec pieces[3] = {{&event, sizeof(event)}, {(void *)name, len}, {(void *)"", 1}};

    if (!add(slot, CLEW__ITEM_EVENT, pieces, 3, attributes) &&
        slot->head.dropped_events < UINT16_MAX)
        slot->head.dropped_events++;
}

void clew__item_link(struct clew__slot *slot, const struct clew_link *link,
                     const struct clew__attributes *attributes)
{
    const char *state = link->trace_state ? link->trace_state : "";
    size_t len = strnlen(state, CLEW_TRACESTATE_MAX + 1);
    struct clew__link_item item = {
        .span_id = link->span_id, .trace_flags = link->trace_flags, .is_remote = link->is_remote};
    struct iovec pieces[3] = {{&item, sizeof(item)}, {(void *)state, 0}, {(void *)"", 1}};

    if (len <= CLEW_TRACESTATE_MAX) /* one that is longer is none: members cannot be cut in half */
        item.state_len = (uint16_t)(pieces[1].iov_len = len);
    memcpy(item.trace_id, link->trace_id, 16);
    if (!add(slot, CLEW__ITEM_LINK, pieces, 3, attributes) && slot->head.dropped_links < UINT16_MAX)
        slot->head.dropped_links++;
}
