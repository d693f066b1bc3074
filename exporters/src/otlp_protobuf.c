/* SPDX-License-Identifier: Apache-2.0
 *
 * Spans as binary protobuf. The room that a span can take at most is made once;
 * then bytes are only written. Lengths of scalars are known before; those of
 * messages are written behind, into a varint of four bytes that is padded,
 * which every decoder accepts.
 */
#include "otlp_priv.h"
#include "protobuf_write.h"

#include <copy.h>
#include <json.h>

#define TAG(number, wire) ((char)((number) << 3 | (wire)))
#define LENGTH_BYTES 4u

/* ---- raw writing ------------------------------------------------------------------ */

static inline size_t varint_size(uint64_t v)
{
    return (size_t)(70 - __builtin_clzll(v | 1)) / 7;
}

static inline char *put_varint(char *p, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        *p++ = (char)(v | 0x80);
    *p++ = (char)v;
    return p;
}

static inline char *put_fixed64(char *p, char tag, uint64_t v)
{
    *p = tag;
    memcpy(p + 1, &v, 8); /* little-endian, as the machines this runs on */
    return p + 9;
}

static inline char *put_bytes(char *p, const void *bytes, size_t n)
{
    clew__copy_short(p, bytes, n);
    return p + n;
}

static inline char *put_string(char *p, char tag, const char *text, size_t len)
{
    *p++ = tag;
    return put_bytes(put_varint(p, len), text, len);
}

/* Returns where the message's bytes begin, for put_end(). */
static inline char *put_begin(char *p, char tag)
{
    *p = tag;
    return p + 1 + LENGTH_BYTES;
}

/* Four bytes of seven bits: 256 MiB, more than a record can have. */
static inline void put_length(char *begin, size_t len)
{
    uint32_t padded = 0x808080 | (len & 0x7F) | (len << 1 & 0x7F00) | (len << 2 & 0x7F0000) |
                      (uint32_t)(len << 3 & 0x7F000000);

    memcpy(begin - LENGTH_BYTES, &padded, LENGTH_BYTES);
}

static inline char *put_end(char *begin, char *p)
{
    put_length(begin, (size_t)(p - begin));
    return p;
}

/* Strings within arrays and objects are as the call gave them. */
static char *put_clean(char *p, const char *s, size_t len)
{
    while (len > 0) {
        size_t n = clew__utf8_sequence(s, len);

        if (n == 0) {
            memcpy(p, "\xEF\xBF\xBD", 3);
            p += 3;
            n = 1;
        } else {
            p = put_bytes(p, s, n);
        }
        s += n;
        len -= n;
    }
    return p;
}

/* ---- values --------------------------------------------------------------------------- */

static char *put_container(char *p, const struct clew_field *field, unsigned depth);

/* The members of an AnyValue that are not scalars. */
static char *put_large(char *p, enum clew__otlp_kind kind, const struct clew_field *field,
                       unsigned depth)
{
    char *begin;

    switch (kind) {
    case CLEW__OTLP_LIST:
    case CLEW__OTLP_MAP:
        return put_container(p, field, depth);
    case CLEW__OTLP_STRING: /* within a container */
        begin = put_begin(p, TAG(1, 2));
        return put_end(begin, put_clean(begin, field->value.as.s, field->value.len));
    default: /* text: the room for the span is enough for it */
        begin = put_begin(p, TAG(1, 2));
        return put_end(begin, begin + clew_field_text(field, begin, 64 + 6 * field->value.len));
    }
}

/* What a scalar takes; 0 for EMPTY. */
static inline size_t scalar_size(enum clew__otlp_kind kind, const struct clew_value *value)
{
    switch (kind) {
    case CLEW__OTLP_STRING:
    case CLEW__OTLP_BYTES:
        return 1 + varint_size(value->len) + value->len;
    case CLEW__OTLP_BOOL:
        return 2;
    case CLEW__OTLP_INT:
        return 1 + varint_size(value->as.u);
    case CLEW__OTLP_DOUBLE:
        return 9;
    default:
        return 0;
    }
}

/* A member is written even when it is zero. */
static inline char *put_scalar(char *p, enum clew__otlp_kind kind, const struct clew_value *value,
                               double number)
{
    uint64_t bits;

    switch (kind) {
    case CLEW__OTLP_STRING:
        return put_string(p, TAG(1, 2), value->as.s, value->len);
    case CLEW__OTLP_BYTES:
        return put_string(p, TAG(7, 2), value->as.s, value->len);
    case CLEW__OTLP_BOOL:
        *p++ = TAG(2, 0);
        *p++ = (value->as.u & 0xFF) != 0;
        return p;
    case CLEW__OTLP_INT:
        *p++ = TAG(3, 0);
        return put_varint(p, value->as.u);
    case CLEW__OTLP_DOUBLE:
        memcpy(&bits, &number, 8);
        return put_fixed64(p, TAG(4, 1), bits);
    default:
        return p;
    }
}

/* AnyValue as a field: of ArrayValue or of a KeyValue within an object. */
static char *put_nested(char *p, char tag, const struct clew_field *field, unsigned depth)
{
    double number = 0;
    enum clew__otlp_kind kind = clew__otlp_value(field, depth, &number);
    bool large =
        kind == CLEW__OTLP_STRING || kind >= CLEW__OTLP_LIST; /* LIST, MAP and TEXT come last */
    char *begin;

    if (!large) {
        *p++ = tag;
        p = put_varint(p, scalar_size(kind, &field->value));
        return put_scalar(p, kind, &field->value, number);
    }
    begin = put_begin(p, tag);
    return put_end(begin, put_large(begin, kind, field, depth));
}

/* array_value (5) or kvlist_value (6) with their elements (1). */
static char *put_container(char *p, const struct clew_field *container, unsigned depth)
{
    bool is_map = container->type == CLEW_TYPE_OBJECT;
    char *begin = put_begin(p, is_map ? TAG(6, 2) : TAG(5, 2)), *pair, *key;
    struct clew_field field;

    p = begin;
    for (size_t at = 0; clew_field_next(container, &at, &field);) {
        if (!is_map) {
            p = put_nested(p, TAG(1, 2), &field, depth);
            continue;
        }
        pair = put_begin(p, TAG(1, 2));
        key = put_begin(pair, TAG(1, 2));
        p = put_end(key, put_clean(key, field.key, field.key_len));
        p = put_end(pair, put_nested(p, TAG(2, 2), &field, depth + 1));
    }
    return put_end(begin, p);
}

/* A KeyValue with text in which each length is one byte. */
static inline char *put_short_text(char *p, char tag, const struct clew_field *field,
                                   size_t key_len)
{
    const struct clew_value *value = &field->value;

    p[0] = tag;
    p[1] = (char)(6 + key_len + value->len);
    p[2] = TAG(1, 2);
    p[3] = (char)key_len;
    p = put_bytes(p + 4, field->key, key_len);
    p[0] = TAG(2, 2);
    p[1] = (char)(2 + value->len);
    p[2] = TAG(1, 2);
    p[3] = (char)value->len;
    return put_bytes(p + 4, value->as.s, value->len);
}

/* KeyValue{1 key, 2 value} */
static inline char *put_attribute(char *p, char tag, const struct clew_field *field)
{
    size_t key_len = clew__otlp_key_len(field), size, all;
    double number = 0;
    enum clew__otlp_kind kind = clew__otlp_value(field, 0, &number);
    char *begin;

    if (kind == CLEW__OTLP_STRING && key_len + field->value.len < 128 - 6)
        return put_short_text(p, tag, field, key_len);
    if (kind >= CLEW__OTLP_LIST) {
        begin = put_begin(p, tag);
        p = put_string(begin, TAG(1, 2), field->key, key_len);
        return put_end(begin, put_nested(p, TAG(2, 2), field, 0));
    }
    size = scalar_size(kind, &field->value);
    all = 4 + key_len + size;
    *p++ = tag;
    if (__builtin_expect(all < 128, 1)) { /* then each length in it is one byte */
        p[0] = (char)all;
        p[1] = TAG(1, 2);
        p[2] = (char)key_len;
        p = put_bytes(p + 3, field->key, key_len);
        p[0] = TAG(2, 2);
        p[1] = (char)size;
        return put_scalar(p + 2, kind, &field->value, number);
    }
    p = put_varint(p, 2 + varint_size(key_len) + key_len + varint_size(size) + size);
    p = put_string(p, TAG(1, 2), field->key, key_len);
    *p++ = TAG(2, 2);
    return put_scalar(put_varint(p, size), kind, &field->value, number);
}

static char *put_attributes(char *p, char tag, const struct clew_field *fields, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p = put_attribute(p, tag, &fields[i]);
    return p;
}

/* ---- spans ------------------------------------------------------------------------------ */

/* A number that is left out when it is zero. */
static inline char *put_count(char *p, char tag, uint32_t count)
{
    if (count == 0)
        return p;
    *p++ = tag;
    return put_varint(p, count);
}

static inline char *put_text(char *p, char tag, const char *text)
{
    return text[0] ? put_string(p, tag, text, strlen(text)) : p;
}

static char *put_event(char *p, const struct clew_span_event *event)
{
    char *begin = put_begin(p, TAG(11, 2));

    p = put_fixed64(begin, TAG(1, 1), event->time_ns);
    p = put_text(p, TAG(2, 2), event->name);
    p = put_attributes(p, TAG(3, 2), event->attributes, event->nattributes);
    p = put_count(p, TAG(4, 0), event->dropped_attributes);
    return put_end(begin, p);
}

/* What Span and Link begin with, numbered alike. */
static char *put_ids(char *p, const uint8_t trace_id[16], const uint64_t *span_id,
                     const char *trace_state)
{
    p = put_string(p, TAG(1, 2), (const char *)trace_id, 16);
    p = put_string(p, TAG(2, 2), (const char *)span_id, 8);
    return put_text(p, TAG(3, 2), trace_state);
}

static char *put_link(char *p, const struct clew_span_link *link)
{
    char *begin = put_begin(p, TAG(13, 2));
    uint32_t flags = clew__otlp_flags(link->trace_flags, link->is_remote);

    p = put_ids(begin, link->trace_id, &link->span_id, link->trace_state);
    p = put_attributes(p, TAG(4, 2), link->attributes, link->nattributes);
    p = put_count(p, TAG(5, 0), link->dropped_attributes);
    *p++ = TAG(6, 5);
    memcpy(p, &flags, 4);
    return put_end(begin, p + 4);
}

static char *put_status(char *p, const struct clew_span_record *span)
{
    char *begin;

    if (span->status == CLEW_SPAN_UNSET)
        return p;
    begin = put_begin(p, TAG(15, 2));
    p = put_text(begin, TAG(2, 2), span->status_message);
    return put_end(begin, put_count(p, TAG(3, 0), span->status));
}

/* Events, links, status and what was dropped: most spans have none. */
static char *put_rare(char *p, const struct clew_span_record *span)
{
    static const struct clew_field interrupted = {
        CLEW__OTLP_INTERRUPTED, CLEW_TYPE_BOOL, 0, {.as.u = 1}};

    if (span->interrupted)
        p = put_attribute(p, TAG(9, 2), &interrupted);
    p = put_count(p, TAG(10, 0), span->dropped_attributes);
    for (size_t i = 0; i < span->nevents; i++)
        p = put_event(p, &span->events[i]);
    p = put_count(p, TAG(12, 0), span->dropped_events);
    for (size_t i = 0; i < span->nlinks; i++)
        p = put_link(p, &span->links[i]);
    p = put_count(p, TAG(14, 0), span->dropped_links);
    return put_status(p, span);
}

/* ScopeSpans.spans (2): Span */
static char *put_span(char *p, const struct clew_span_record *span)
{
    char *begin = put_begin(p, TAG(2, 2));
    uint32_t flags = clew__otlp_flags(span->trace_flags, span->parent_is_remote);

    p = put_ids(begin, span->trace_id, &span->span_id, span->trace_state);
    if (span->parent_span_id)
        p = put_string(p, TAG(4, 2), (const char *)&span->parent_span_id, 8);
    p = put_text(p, TAG(5, 2), span->name);
    p = put_count(p, TAG(6, 0), span->kind);
    p = put_fixed64(p, TAG(7, 1), span->start_ns);
    p = put_fixed64(p, TAG(8, 1), span->end_ns);
    p = put_attributes(p, TAG(9, 2), span->attributes, span->nattributes);
    p = put_rare(p, span);
    memcpy(p, "\x85\x01", 2); /* flags (16), fixed32 */
    memcpy(p + 2, &flags, 4);
    return put_end(begin, p + 6);
}

/* A bool in an array, one byte, takes four here; an invalid byte of a string
 * three; a field of an object, ten bytes at least, 32 and its text. */
static size_t attributes_bound(const struct clew_field *fields, size_t n)
{
    size_t bound = 0;

    for (size_t i = 0; i < n; i++) {
        bound += clew__otlp_key_len(&fields[i]) + 96;
        if (fields[i].type == CLEW_TYPE_STRING)
            bound += fields[i].value.len;
        else if (fields[i].type > CLEW_TYPE_STRING)
            bound += 16 * fields[i].value.len;
    }
    return bound;
}

/* Mostly there is none. */
static inline size_t text_len(const char *text)
{
    return text[0] ? strlen(text) : 0;
}

static size_t bound_of(const struct clew_span_record *span)
{
    size_t bound = 256 + strlen(span->name) + text_len(span->status_message) +
                   text_len(span->trace_state) +
                   attributes_bound(span->attributes, span->nattributes);

    for (size_t i = 0; i < span->nevents; i++)
        bound += 64 + strlen(span->events[i].name) +
                 attributes_bound(span->events[i].attributes, span->events[i].nattributes);
    for (size_t i = 0; i < span->nlinks; i++)
        bound += 96 + strlen(span->links[i].trace_state) +
                 attributes_bound(span->links[i].attributes, span->links[i].nattributes);
    return bound;
}

void clew__otlp_protobuf_append(struct clew__buf *out, const struct clew_span_record *span)
{
    char *p = clew__buf_room(out, bound_of(span));

    if (p)
        out->len = (size_t)(put_span(p, span) - out->data);
}

/* ---- requests ----------------------------------------------------------------------------- */

/* ResourceSpans.resource (1): made once, and again in the child of a fork. */
static const struct clew__buf *encoded_resource(void)
{
    static struct clew__buf encoded = {.max = 1u << 20}; /* delivery thread */
    static unsigned long made_for;
    const struct clew__resource *resource = clew__resource_get();
    char *p, *begin;

    if (made_for == resource->serial)
        return &encoded;
    clew__buf_reset(&encoded);
    p = clew__buf_room(&encoded, 16 + attributes_bound(resource->fields, resource->n));
    if (!p)
        return &encoded;
    begin = put_begin(p, TAG(1, 2));
    p = put_end(begin, put_attributes(begin, TAG(1, 2), resource->fields, resource->n));
    encoded.len = (size_t)(p - encoded.data);
    made_for = resource->serial;
    return &encoded;
}

struct request {
    struct clew__body *body;
    size_t borrowed; /* bytes of it that are not in body->own */
    size_t scope_spans, scope_borrowed;
};

static void begin_scope(void *arg, uint32_t group)
{
    struct request *request = arg;
    struct clew__buf *own = &request->body->own;
    size_t scope;

    request->scope_spans = clew__pb_begin(own, 2);
    request->scope_borrowed = 0;
    if (!clew__otlp_scope_name(group)[0])
        return;
    scope = clew__pb_begin(own, 1);
    clew__pb_string(own, 1, clew__otlp_scope_name(group));
    if (clew__otlp_scope_version(group)[0])
        clew__pb_string(own, 2, clew__otlp_scope_version(group));
    clew__pb_end(own, scope);
}

static void add_run(void *arg, const char *records, size_t len)
{
    struct request *request = arg;

    clew__body_add(request->body, records, len);
    request->scope_borrowed += len;
}

static void end_scope(void *arg)
{
    struct request *request = arg;

    clew__pb_end_with(&request->body->own, request->scope_spans, request->scope_borrowed);
    request->borrowed += request->scope_borrowed;
}

bool clew__otlp_protobuf_encode(const struct clew__batch *batch, struct clew__body *ret_body)
{
    static const struct clew__otlp_groups to = {begin_scope, add_run, end_scope};
    const struct clew__buf *resource = encoded_resource();
    struct request request = {.body = ret_body};
    size_t resource_spans = clew__pb_begin(&ret_body->own, 1);

    clew__buf_add(&ret_body->own, resource->data, resource->len);
    clew__otlp_each_group(batch, &to, &request);
    clew__pb_end_with(&ret_body->own, resource_spans, request.borrowed);
    return clew__body_finish(ret_body) && !resource->failed;
}
