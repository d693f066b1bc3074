/* SPDX-License-Identifier: Apache-2.0
 * Only the outermost list is taken apart here, by its brackets and strings; each
 * object in it goes to jansson, which checks it. See listing.h. */
#include "listing.h"

#include <common/instant.h>

#include <clew/log.h>

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

void clew__listing_begin(struct clew__listing *listing, uint16_t by)
{
    clew__buf_done(&listing->object);
    clew__buf_init(&listing->object, CLEW__LISTING_ALERT_MAX);
    listing->at = CLEW__LISTING_BEGIN;
    listing->depth = 0;
    listing->in_string = listing->escaped = false;
    listing->by = by;
}

void clew__listing_done(struct clew__listing *listing)
{
    free(listing->items);
    clew__buf_done(&listing->object);
    *listing = (struct clew__listing){.items = NULL};
}

bool clew__fingerprint_number(const char *text, uint64_t *ret_fingerprint)
{
    uint64_t number = 0;

    for (unsigned i = 0; i < 16; i++) {
        static const char digits[] = "0123456789abcdef";
        const char *digit = text[i] ? strchr(digits, text[i] | 0x20) : NULL;

        if (!digit || (text[i] < '0'))
            return false;
        number = number << 4 | (uint64_t)(digit - digits);
    }
    *ret_fingerprint = number;
    return true;
}

static int add(struct clew__listing *listing, const struct clew__listed *listed)
{
    if (listing->n == listing->room) {
        size_t room = listing->room ? listing->room * 2 : 256;
        struct clew__listed *longer = realloc(listing->items, room * sizeof(*longer));

        if (!longer)
            return clew_set_error(-ENOMEM, "out of memory");
        listing->items = longer;
        listing->room = room;
    }
    listing->items[listing->n++] = *listed;
    return 0;
}

static int take_object(struct clew__listing *listing)
{
    json_t *alert =
        json_loadb(listing->object.data, listing->object.len, JSON_REJECT_DUPLICATES, NULL);
    const char *fingerprint = json_string_value(json_object_get(alert, "fingerprint"));
    const char *starts_at = json_string_value(json_object_get(alert, "startsAt"));
    const char *state =
        json_string_value(json_object_get(json_object_get(alert, "status"), "state"));
    struct clew__listed listed = {.by = listing->by};
    int64_t starts;
    int r;

    if (listing->n >= CLEW__LISTING_ALERTS_MAX) {
        r = clew_set_error(-EINVAL, "more than %u alerts", CLEW__LISTING_ALERTS_MAX);
    } else if (!fingerprint || !starts_at || !state || strlen(fingerprint) != 16 ||
               !clew__fingerprint_number(fingerprint, &listed.fingerprint) ||
               !clew__instant_parse(starts_at, &starts)) {
        r = clew_set_error(-EINVAL, "alert %zu has no fingerprint, startsAt or status.state",
                           listing->n);
    } else {
        listed.starts_ms = starts / (CLEW__SECOND_NS / 1000);
        listed.active = strcmp(state, "suppressed") != 0;
        r = add(listing, &listed);
    }
    json_decref(alert);
    clew__buf_reset(&listing->object);
    return r;
}

/* A byte of an alert; *ret_whole: it was its last. */
static void scan(struct clew__listing *listing, char c, bool *ret_whole)
{
    if (listing->escaped) {
        listing->escaped = false;
    } else if (listing->in_string) {
        listing->escaped = c == '\\';
        listing->in_string = c != '"';
    } else if (c == '"') {
        listing->in_string = true;
    } else if (c == '{' || c == '[') {
        listing->depth++;
    } else if (c == '}' || c == ']') {
        *ret_whole = --listing->depth == 0;
    }
}

/* The bytes of one alert from data on; *ret_len: how many they are. */
static int take_bytes(struct clew__listing *listing, const char *data, size_t len, size_t *ret_len)
{
    bool whole = false;
    size_t n = 0;

    while (n < len && !whole)
        scan(listing, data[n++], &whole);
    clew__buf_add(&listing->object, data, n);
    *ret_len = n;
    if (listing->object.failed)
        return clew_set_error(-EINVAL, "an alert of more than %u bytes", CLEW__LISTING_ALERT_MAX);
    if (!whole)
        return 0;
    listing->at = CLEW__LISTING_COMMA;
    return take_object(listing);
}

/* A byte between alerts. returns false: it does not belong there */
static bool take_between(struct clew__listing *listing, char c)
{
    if (c == ' ' || c == '\n' || c == '\r' || c == '\t')
        return true;
    if (listing->at == CLEW__LISTING_BEGIN && c == '[')
        listing->at = CLEW__LISTING_FIRST;
    else if (listing->at == CLEW__LISTING_COMMA && c == ',')
        listing->at = CLEW__LISTING_NEXT;
    else if ((listing->at == CLEW__LISTING_COMMA || listing->at == CLEW__LISTING_FIRST) && c == ']')
        listing->at = CLEW__LISTING_END;
    else
        return false;
    return true;
}

int clew__listing_feed(struct clew__listing *listing, const char *data, size_t len)
{
    size_t n = 1;
    int r = 0;

    for (; len && r == 0 && listing->at != CLEW__LISTING_FAILED; data += n, len -= n) {
        if ((listing->at == CLEW__LISTING_FIRST || listing->at == CLEW__LISTING_NEXT) &&
            *data == '{')
            listing->at = CLEW__LISTING_OBJECT;
        if (listing->at == CLEW__LISTING_OBJECT) {
            r = take_bytes(listing, data, len, &n);
            continue;
        }
        n = 1;
        if (!take_between(listing, *data))
            r = clew_set_error(-EINVAL, "no list of alerts");
    }
    if (r < 0)
        listing->at = CLEW__LISTING_FAILED;
    return listing->at == CLEW__LISTING_FAILED && r == 0 ? -EINVAL : r;
}

int clew__listing_end(struct clew__listing *listing)
{
    clew__buf_done(&listing->object);
    return listing->at == CLEW__LISTING_END ? 0
                                            : clew_set_error(-EINVAL, "the list of alerts is cut");
}

static int compare(const void *left, const void *right)
{
    const struct clew__listed *a = left, *b = right;

    if (a->fingerprint != b->fingerprint)
        return a->fingerprint < b->fingerprint ? -1 : 1;
    return (a->starts_ms > b->starts_ms) - (a->starts_ms < b->starts_ms);
}

void clew__listing_unite(struct clew__listing *listing)
{
    size_t n = 0;

    if (listing->n)
        qsort(listing->items, listing->n, sizeof(*listing->items), compare);
    for (size_t i = 0; i < listing->n; i++) {
        struct clew__listed *last = n ? &listing->items[n - 1] : NULL;

        if (last && compare(last, &listing->items[i]) == 0) {
            last->by |= listing->items[i].by;
            last->active = last->active || listing->items[i].active;
        } else {
            listing->items[n++] = listing->items[i];
        }
    }
    listing->n = n;
}

const struct clew__listed *clew__listing_find(const struct clew__listing *listing,
                                              uint64_t fingerprint, int64_t starts_ms,
                                              bool *ret_active)
{
    const struct clew__listed *found = NULL;
    size_t low = 0, high = listing->n;

    *ret_active = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (listing->items[middle].fingerprint < fingerprint)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < listing->n && listing->items[low].fingerprint == fingerprint; low++) {
        *ret_active = *ret_active || listing->items[low].active;
        if (!found || listing->items[low].starts_ms == starts_ms)
            found = &listing->items[low];
    }
    return found;
}
