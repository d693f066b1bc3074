/* SPDX-License-Identifier: Apache-2.0
 *
 * From the bytes of a span to its record: times become Unix times, the last name
 * and the last value of a key win, limits hold, text is made valid UTF-8. The
 * bytes may come from a damaged file, so every length is checked.
 *
 * One thread at a time: the collector's, or who recovers. What is handed out
 * points into the bytes where it can, else into a text buffer that has room for
 * everything at the worst, so that it never moves.
 */
#include "span_priv.h"

#include <empty_priv.h>
#include <fields_priv.h>
#include <value_priv.h>

#include <json.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* More cannot be in a body of CLEW_SPAN_BYTES_MAX: an attribute takes 10 bytes
 * at least, an event or a link 32. */
#define FIELDS_MAX (CLEW_SPAN_BYTES_MAX / 10u)
#define EVENTS_MAX (CLEW_SPAN_BYTES_MAX / 32u)

/* ---- limits (OpenTelemetry, "Span Limits") ---------------------------------------------- */

static struct {
    size_t attributes, value_len, events, links, event_attributes, link_attributes;
} limits;
static pthread_once_t limits_once = PTHREAD_ONCE_INIT;

static size_t read_limit(const char *name, const char *general, size_t fallback)
{
    const char *text = getenv(name);
    unsigned long long n;
    char *end;

    if ((!text || !*text) && general) {
        name = general;
        text = getenv(name);
    }
    if (!text || !*text)
        return fallback;
    errno = 0;
    n = strtoull(text, &end, 10);
    if (*end || errno || *text < '0' || *text > '9') {
        clew_warn("a limit of spans is not a number, using the default", clew_kv("variable", name),
                  clew_kv("value", text));
        return fallback;
    }
    return (size_t)n;
}

static void read_limits(void)
{
    limits.attributes =
        read_limit("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT", 128);
    limits.value_len = read_limit("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
                                  "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", SIZE_MAX);
    limits.events = read_limit("OTEL_SPAN_EVENT_COUNT_LIMIT", NULL, 128);
    limits.links = read_limit("OTEL_SPAN_LINK_COUNT_LIMIT", NULL, 128);
    limits.event_attributes =
        read_limit("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT", 128);
    limits.link_attributes =
        read_limit("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT", 128);
}

/* ---- text ------------------------------------------------------------------------------- */

/* Its room is taken at once: what it has must not move. */
#define TEXT_BYTES (5u * CLEW__RECORD_MAX)
static struct clew__buf text = {.max = TEXT_BYTES};

static inline bool is_ascii(const char *s, size_t len)
{
    uint64_t all = 0, word;

    if (len < 8) {
        for (size_t i = 0; i < len; i++)
            all |= (unsigned char)s[i];
    } else {
        for (size_t i = 0; i < len - 8; i += 8) {
            memcpy(&word, s + i, 8);
            all |= word;
        }
        memcpy(&word, s + len - 8, 8);
        all |= word;
    }
    return (all & UINT64_C(0x8080808080808080)) == 0;
}

static bool is_valid(const char *s, size_t len)
{
    if (is_ascii(s, len))
        return true;
    for (size_t i = 0, n; i < len; i += n)
        if (!(n = clew__utf8_sequence(s + i, len - i)))
            return false;
    return true;
}

/* A copy that is ended by NUL. */
static const char *copy(const char *s, size_t len, size_t *ret_len)
{
    size_t start = text.len;

    clew__utf8_clean(&text, s, len);
    *ret_len = text.len - start;
    clew__buf_addc(&text, '\0');
    return text.failed ? "" : text.data + start;
}

/* Text that has a NUL behind it already. */
static const char *ended(const char *s, size_t len)
{
    return is_valid(s, len) ? s : copy(s, len, &len);
}

/* How many bytes the first `limit` characters take. */
static size_t cut(const char *s, size_t len, size_t limit)
{
    size_t at = 0;

    if (len <= limit)
        return len;
    for (size_t n; at < len && limit-- > 0; at += n)
        if (!(n = clew__utf8_sequence(s + at, len - at)))
            n = 1;
    return at;
}

static void clean_odd_bytes(struct clew_field *field)
{
    struct clew_value *value = &field->value;

    if (field->type == CLEW_TYPE_STRING || field->type == CLEW_TYPE_JSON) {
        value->len = cut(value->as.s, value->len, limits.value_len);
        if (!is_valid(value->as.s, value->len))
            value->as.s = copy(value->as.s, value->len, &value->len);
    } else if ((field->type == CLEW_TYPE_HEX || field->type == CLEW_TYPE_BASE64) &&
               value->len > limits.value_len) {
        value->len = limits.value_len;
    }
}

static inline void clean_bytes(struct clew_field *field)
{
    if (field->value.len > limits.value_len || !is_ascii(field->value.as.s, field->value.len))
        clean_odd_bytes(field);
}

/* ---- attributes ------------------------------------------------------------------------- */

static struct clew_field fields[FIELDS_MAX];
static size_t nfields;

/* Attributes of one owner: a part of `fields`. */
struct list {
    struct clew_field *at;
    size_t n, max;
    uint32_t dropped;
};

static void list_begin(struct list *list, size_t max)
{
    list->at = fields + nfields;
    list->n = 0;
    list->max = max;
    list->dropped = 0;
}

static void list_end(const struct list *list)
{
    nfields += list->n;
}

/* Where the next field is to be put together; list_keep() makes it count. */
static inline struct clew_field *list_next(const struct list *list)
{
    static struct clew_field over;

    return nfields + list->n < FIELDS_MAX ? &list->at[list->n] : &over;
}

/* The first `known` fields may have the key; others cannot. */
static inline void list_keep(struct list *list, struct clew_field *field, size_t known)
{
    if (!clew__type_is_fixed(field->type) && field->value.as.s)
        clean_bytes(field);
    for (size_t i = 0; i < known; i++)
        if (list->at[i].key_len == field->key_len &&
            memcmp(list->at[i].key, field->key, field->key_len) == 0) {
            list->at[i] = *field;
            return;
        }
    if (__builtin_expect(list->n >= list->max || nfields + list->n >= FIELDS_MAX, 0))
        list->dropped++;
    else
        list->n++;
}

/* What never changes of a site's keys. The last few hundred sites; those of dead
 * processes come and go and are looked at each time. */
struct site_keys {
    const struct clew_site *site;
    bool distinct; /* no key twice */
    bool plain;    /* all are valid UTF-8, none is empty */
    uint8_t types[24];
    uint32_t len[24];
};

static void look_at_keys(struct site_keys *keys, const struct clew_site *site)
{
    keys->site = site;
    keys->distinct = keys->plain = true;
    for (unsigned i = 0; i < site->nfields; i++) {
        keys->types[i] = clew__stored_type(site, i);
        keys->len[i] = (uint32_t)strlen(site->keys[i]);
        keys->plain &= keys->len[i] > 0 && is_valid(site->keys[i], keys->len[i]);
        for (unsigned k = 0; k < i; k++)
            keys->distinct &= strcmp(site->keys[i], site->keys[k]) != 0;
    }
}

static const struct site_keys *keys_of(const struct clew_site *site, bool recovers)
{
    static struct site_keys seen[256], other;
    struct site_keys *keys = recovers ? &other : &seen[site->id % 256];

    if (recovers || keys->site != site)
        look_at_keys(keys, site);
    return keys;
}

/* Most spans have the attributes of one call only, whose keys are in order. */
static bool set_all_from_site(struct list *list, const struct clew_site *site,
                              const struct site_keys *keys, const char *bytes, size_t len)
{
    struct clew_field *field = list->at;
    size_t at = 0;

    for (unsigned i = 0; i < site->nfields; i++, field++) {
        field->key = site->keys[i];
        field->key_len = keys->len[i];
        field->type = (enum clew_type)keys->types[i];
        if (!clew__value_next(bytes, len, &at, field->type, &field->value))
            return false;
        if (!clew__type_is_fixed(field->type) && field->value.as.s)
            clean_bytes(field);
        list->n++;
    }
    return true;
}

static bool set_from_site(struct list *list, const struct clew_site *site, bool recovers,
                          const char *bytes, size_t len)
{
    const struct site_keys *keys = keys_of(site, recovers);
    size_t at = 0, before = list->n;

    if (before == 0 && keys->plain && keys->distinct && site->nfields <= list->max &&
        nfields + site->nfields <= FIELDS_MAX)
        return set_all_from_site(list, site, keys, bytes, len);
    for (unsigned i = 0; i < site->nfields; i++) {
        struct clew_field *field = list_next(list);

        field->key = site->keys[i];
        field->key_len = keys->len[i];
        field->type = (enum clew_type)keys->types[i];
        if (!clew__value_next(bytes, len, &at, field->type, &field->value))
            return false;
        if (!keys->plain) {
            size_t key_len = field->key_len;

            if (key_len == 0)
                continue;
            field->key = copy(field->key, key_len, &key_len);
            field->key_len = (uint32_t)key_len;
        }
        list_keep(list, field, keys->distinct ? before : list->n);
    }
    return true;
}

static bool set_named(struct list *list, const char *bytes, size_t len)
{
    struct clew__field named;
    size_t at = 0, key_len;

    while (clew__fields_next(bytes, len, &at, &named)) {
        struct clew_field *field = list_next(list);

        field->type = named.type;
        field->value = named.value;
        field->key = copy(named.key, named.key_len, &key_len);
        field->key_len = (uint32_t)key_len;
        if (key_len)
            list_keep(list, field, list->n);
    }
    return true; /* what is behind the last is padding */
}

/* ---- items ------------------------------------------------------------------------------- */

/* A span as it is put together. */
struct span {
    const struct clew__span_reader *reader;
    struct clew_span_record record;
    struct list attributes;
};

static struct clew_span_event events[EVENTS_MAX];
static struct clew_span_link links[EVENTS_MAX];

/* The attributes at the end of an item; false when there is something wrong. */
static bool read_attributes(struct span *span, struct list *list, uint32_t id, const char *bytes,
                            size_t len)
{
    const struct clew_site *site;

    if (id == 0)
        return set_named(list, bytes, len);
    site = span->reader->site(span->reader->sites, id);
    return site && set_from_site(list, site, span->reader->recovers, bytes, len);
}

/* The same as a list of its own; bytes begin with text of that length and its NUL. */
static bool read_own_list(struct span *span, struct list *list, size_t max, uint32_t id,
                          const char *bytes, size_t len, size_t text_len)
{
    bool good;

    list_begin(list, max);
    good = read_attributes(span, list, id, bytes + text_len + 1, len - text_len - 1);
    list_end(list);
    return good;
}

static bool read_event(struct span *span, const struct clew__item *item, const char *bytes,
                       size_t len)
{
    struct clew_span_event *event = &events[span->record.nevents];
    struct clew__event_item head;
    const struct clew_site *site;
    struct list list;
    bool good;

    if (span->record.nevents >= limits.events || span->record.nevents == EVENTS_MAX) {
        span->record.dropped_events++;
        return true;
    }
    if (len < sizeof(head) + 1)
        return false;
    memcpy(&head, bytes, sizeof(head));
    bytes += sizeof(head);
    len -= sizeof(head);
    if (head.name_len >= len || bytes[head.name_len] != '\0')
        return false;
    event->name = ended(bytes, head.name_len);
    site = item->site ? span->reader->site(span->reader->sites, item->site) : NULL;
    if (site)
        event->name = ended(site->message, strlen(site->message));
    event->time_ns = head.is_unix ? head.time : clew__ticks_to_ns(span->reader->clock, head.time);
    good =
        read_own_list(span, &list, limits.event_attributes, item->site, bytes, len, head.name_len);
    event->attributes = list.at;
    event->nattributes = list.n;
    event->dropped_attributes = list.dropped;
    span->record.nevents++;
    return good;
}

static bool read_link(struct span *span, const struct clew__item *item, const char *bytes,
                      size_t len)
{
    struct clew_span_link *link = &links[span->record.nlinks];
    struct clew__link_item head;
    struct list list;
    bool good;

    if (span->record.nlinks >= limits.links || span->record.nlinks == EVENTS_MAX) {
        span->record.dropped_links++;
        return true;
    }
    if (len < sizeof(head) + 1)
        return false;
    memcpy(&head, bytes, sizeof(head));
    bytes += sizeof(head);
    len -= sizeof(head);
    if (head.state_len >= len || bytes[head.state_len] != '\0')
        return false;
    good =
        read_own_list(span, &list, limits.link_attributes, item->site, bytes, len, head.state_len);
    *link = (struct clew_span_link){.span_id = head.span_id,
                                    .trace_flags = head.trace_flags,
                                    .is_remote = head.is_remote != 0,
                                    .trace_state = ended(bytes, head.state_len),
                                    .attributes = list.at,
                                    .nattributes = list.n,
                                    .dropped_attributes = list.dropped};
    memcpy(link->trace_id, head.trace_id, 16);
    span->record.nlinks++;
    return good;
}

static bool read_text(const char **ret, const char *bytes, size_t len)
{
    size_t n = strnlen(bytes, len);

    if (n == len)
        return false;
    *ret = ended(bytes, n);
    return true;
}

/* Of both passes, the first takes the span's own attributes, so that they lie in
 * a row, and the second events and links. */
static bool read_item(struct span *span, bool second, const struct clew__item *item,
                      const char *bytes, size_t len)
{
    if (second != (item->kind == CLEW__ITEM_EVENT || item->kind == CLEW__ITEM_LINK))
        return true;
    switch (item->kind) {
    case CLEW__ITEM_NAME:
        return read_text(&span->record.name, bytes, len);
    case CLEW__ITEM_MESSAGE:
        return read_text(&span->record.status_message, bytes, len);
    case CLEW__ITEM_SCOPE:
        return read_text(&span->record.scope, bytes, len);
    case CLEW__ITEM_STATE:
        return read_text(&span->record.trace_state, bytes, len);
    case CLEW__ITEM_SET:
        return read_attributes(span, &span->attributes, item->site, bytes, len);
    case CLEW__ITEM_EVENT:
        return read_event(span, item, bytes, len);
    case CLEW__ITEM_LINK:
        return read_link(span, item, bytes, len);
    default:
        return false;
    }
}

/* True when there was an event or a link. */
static bool read_items(struct span *span, bool second, const char *body, size_t len, bool *ret_good)
{
    bool more = false;

    while (len >= sizeof(struct clew__item)) {
        struct clew__item item;
        size_t size;

        memcpy(&item, body, sizeof(item));
        size = (size_t)item.units * 8;
        if (size < sizeof(item) || size > len) {
            *ret_good = false;
            return more;
        }
        more |= item.kind == CLEW__ITEM_EVENT || item.kind == CLEW__ITEM_LINK;
        if (!read_item(span, second, &item, body + sizeof(item), size - sizeof(item)))
            *ret_good = false;
        body += size;
        len -= size;
    }
    return more;
}

/* ---- all of it ------------------------------------------------------------------------------ */

void clew__span_times(const struct clew__span_head *head, const struct clew__clock *clock,
                      uint64_t *ret_start_ns, uint64_t *ret_end_ns)
{
    *ret_start_ns =
        head->flags & CLEW__SPAN_START_NS ? head->start : clew__ticks_to_ns(clock, head->start);
    *ret_end_ns = head->flags & CLEW__SPAN_END_NS ? head->end : clew__ticks_to_ns(clock, head->end);
    if (*ret_end_ns < *ret_start_ns)
        *ret_end_ns = *ret_start_ns;
}

uint64_t clew__span_duration_ns(const struct clew__span_head *head)
{
    struct clew__clock clock = clew__clock_now();
    uint64_t start_ns, end_ns;

    clew__span_times(head, &clock, &start_ns, &end_ns);
    return end_ns - start_ns;
}

bool clew__span_read(const struct clew__span_reader *reader, const struct clew__span_head *head,
                     const char *body, size_t len, bool interrupted)
{
    struct span span; /* not cleared: every member is set below */
    struct clew_span_record *record = &span.record;
    bool good = true;

    pthread_once(&limits_once, read_limits);
    if (head->kind < CLEW_SPAN_INTERNAL || head->kind > CLEW_SPAN_CONSUMER ||
        head->status > CLEW_SPAN_ERROR || len > CLEW__RECORD_MAX)
        return false;
    clew__buf_reset(&text);
    if (!clew__buf_room(&text, TEXT_BYTES))
        return false;
    nfields = 0;
    span.reader = reader;
    memcpy(record->trace_id, head->trace_id, 16);
    record->span_id = head->span_id;
    record->parent_span_id = head->parent_span_id;
    record->kind = (enum clew_span_kind)head->kind;
    record->status = (enum clew_span_status)head->status;
    record->trace_flags = head->trace_flags;
    record->parent_is_remote = head->flags & CLEW__SPAN_REMOTE;
    record->interrupted = interrupted;
    record->scope = record->name = record->status_message = record->trace_state = "";
    record->nevents = record->nlinks = 0;
    record->dropped_events = head->dropped_events;
    record->dropped_links = head->dropped_links;
    clew__span_times(head, reader->clock, &record->start_ns, &record->end_ns);
    list_begin(&span.attributes, limits.attributes);
    if (read_items(&span, false, body, len, &good)) {
        list_end(&span.attributes);
        (void)read_items(&span, true, body, len, &good);
    }
    record->attributes = span.attributes.at;
    record->nattributes = span.attributes.n;
    record->dropped_attributes = span.attributes.dropped + head->dropped_attributes;
    record->events = events;
    record->links = links;
    reader->deliver(reader->arg, record);
    return good;
}
