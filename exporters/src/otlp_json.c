/* SPDX-License-Identifier: Apache-2.0
 *
 * Spans as JSON (OTLP specification, "JSON Protobuf Encoding"): lowerCamelCase
 * names, ids in hex, 64-bit numbers as strings, enums as numbers. As for
 * protobuf, room is made once for a span. Each span begins with a comma, which
 * the first of a scope leaves out.
 */
#include "otlp_priv.h"

#include <base64.h>
#include <json.h>

/* A literal. */
#define PUT(p, text) ((char *)mempcpy(p, text, sizeof(text) - 1))

static char *put_quoted(char *p, const char *text, size_t len)
{
    *p++ = '"';
    p = clew__put_chars(p, text, len, len);
    *p++ = '"';
    return p;
}

static char *put_hex(char *p, const void *bytes, size_t n)
{
    *p++ = '"';
    clew__hex(p, bytes, n);
    p += 2 * n;
    *p++ = '"';
    return p;
}

/* The seconds of a Unix time; most spans have those of the one before. */
static char *put_seconds(char *p, uint64_t seconds)
{
    static uint64_t last; /* collector thread */
    static char text[24];
    static size_t len;

    if (seconds != last) {
        len = (size_t)(clew__put_uint(text, seconds) - text);
        last = seconds;
    }
    memcpy(p, text, sizeof(text));
    return p + len;
}

/* A Unix time: numbers of 64 bits are strings. */
static char *put_time(char *p, uint64_t ns)
{
    *p++ = '"';
    if (ns >= 1000000000u) {
        p = put_seconds(p, ns / 1000000000u);
        p = clew__put_fraction(p, (uint32_t)(ns % 1000000000u));
    } else {
        p = clew__put_uint(p, ns);
    }
    *p++ = '"';
    return p;
}

/* ---- values --------------------------------------------------------------------------- */

static char *put_attributes(char *p, const struct clew_field *fields, size_t n);

/* Text that is made first: a number, a time or an address beside, anything else
 * behind where it will stand. */
static char *put_field_text(char *p, const struct clew_field *field)
{
    size_t room = 16 + 6 * field->value.len;
    char small[64], *text = p + CLEW__PUT_CHARS_MAX(room);

    if (field->type != CLEW_TYPE_JSON)
        return put_quoted(p, small, clew_field_text(field, small, sizeof(small)));
    return put_quoted(p, text, clew_field_text(field, text, room));
}

static char *put_any(char *p, const struct clew_field *field, unsigned depth);

static char *put_container(char *p, const struct clew_field *container, unsigned depth)
{
    bool is_map = container->type == CLEW_TYPE_OBJECT, first = true;
    struct clew_field field;

    p = is_map ? PUT(p, "{\"kvlistValue\":{\"values\":[") : PUT(p, "{\"arrayValue\":{\"values\":[");
    for (size_t at = 0; clew_field_next(container, &at, &field); first = false) {
        if (!first)
            *p++ = ',';
        if (is_map) {
            p = PUT(p, "{\"key\":");
            p = put_quoted(p, field.key, field.key_len);
            p = PUT(p, ",\"value\":");
        }
        p = put_any(p, &field, depth + is_map);
        if (is_map)
            *p++ = '}';
    }
    return PUT(p, "]}}");
}

/* AnyValue */
static char *put_any(char *p, const struct clew_field *field, unsigned depth)
{
    const struct clew_value *value = &field->value;
    double number = 0;

    switch (clew__otlp_value(field, depth, &number)) {
    case CLEW__OTLP_EMPTY:
        return PUT(p, "{}");
    case CLEW__OTLP_STRING:
        p = PUT(p, "{\"stringValue\":");
        p = put_quoted(p, value->as.s, value->len);
        break;
    case CLEW__OTLP_BOOL:
        return value->as.u & 0xFF ? PUT(p, "{\"boolValue\":true}")
                                  : PUT(p, "{\"boolValue\":false}");
    case CLEW__OTLP_INT:
        p = PUT(p, "{\"intValue\":\"");
        p = clew__put_int(p, value->as.i);
        *p++ = '"';
        break;
    case CLEW__OTLP_DOUBLE:
        p = PUT(p, "{\"doubleValue\":");
        p = clew__put_double(p, number);
        break;
    case CLEW__OTLP_BYTES:
        p = PUT(p, "{\"bytesValue\":\"");
        p = clew__put_base64(p, value->as.s, value->len);
        *p++ = '"';
        break;
    case CLEW__OTLP_LIST:
    case CLEW__OTLP_MAP:
        return put_container(p, field, depth);
    case CLEW__OTLP_TEXT:
        p = PUT(p, "{\"stringValue\":");
        p = put_field_text(p, field);
        break;
    }
    *p++ = '}';
    return p;
}

static char *put_attribute(char *p, const struct clew_field *field)
{
    p = PUT(p, "{\"key\":");
    p = put_quoted(p, field->key, clew__otlp_key_len(field));
    p = PUT(p, ",\"value\":");
    p = put_any(p, field, 0);
    *p++ = '}';
    return p;
}

static char *put_attributes(char *p, const struct clew_field *fields, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (i)
            *p++ = ',';
        p = put_attribute(p, &fields[i]);
    }
    return p;
}

/* ---- spans ------------------------------------------------------------------------------ */

static char *put_dropped(char *p, const char *name, size_t len, uint32_t n)
{
    if (n == 0)
        return p;
    p = mempcpy(p, name, len);
    return clew__put_uint(p, n);
}
#define PUT_DROPPED(p, what, n) \
    put_dropped(p, ",\"dropped" what "Count\":", sizeof(",\"dropped" what "Count\":") - 1, n)

static char *put_event(char *p, const struct clew_span_event *event)
{
    p = PUT(p, "{\"timeUnixNano\":");
    p = put_time(p, event->time_ns);
    p = PUT(p, ",\"name\":");
    p = put_quoted(p, event->name, strlen(event->name));
    p = PUT(p, ",\"attributes\":[");
    p = put_attributes(p, event->attributes, event->nattributes);
    *p++ = ']';
    p = PUT_DROPPED(p, "Attributes", event->dropped_attributes);
    *p++ = '}';
    return p;
}

static char *put_link(char *p, const struct clew_span_link *link)
{
    p = PUT(p, "{\"traceId\":");
    p = put_hex(p, link->trace_id, 16);
    p = PUT(p, ",\"spanId\":");
    p = put_hex(p, &link->span_id, 8);
    if (link->trace_state[0]) {
        p = PUT(p, ",\"traceState\":");
        p = put_quoted(p, link->trace_state, strlen(link->trace_state));
    }
    p = PUT(p, ",\"attributes\":[");
    p = put_attributes(p, link->attributes, link->nattributes);
    *p++ = ']';
    p = PUT_DROPPED(p, "Attributes", link->dropped_attributes);
    p = PUT(p, ",\"flags\":");
    p = clew__put_uint(p, clew__otlp_flags(link->trace_flags, link->is_remote));
    *p++ = '}';
    return p;
}

static char *put_status(char *p, const struct clew_span_record *span)
{
    p = PUT(p, ",\"status\":{");
    if (span->status_message[0]) {
        p = PUT(p, "\"message\":");
        p = put_quoted(p, span->status_message, strlen(span->status_message));
        *p++ = ',';
    }
    p = PUT(p, "\"code\":");
    p = clew__put_uint(p, span->status);
    *p++ = '}';
    return p;
}

/* Events, links, status and what was dropped: most spans have none. */
static char *put_rare(char *p, const struct clew_span_record *span)
{
    p = PUT_DROPPED(p, "Attributes", span->dropped_attributes);
    if (span->nevents) {
        p = PUT(p, ",\"events\":[");
        for (size_t i = 0; i < span->nevents; i++) {
            if (i)
                *p++ = ',';
            p = put_event(p, &span->events[i]);
        }
        *p++ = ']';
    }
    p = PUT_DROPPED(p, "Events", span->dropped_events);
    if (span->nlinks) {
        p = PUT(p, ",\"links\":[");
        for (size_t i = 0; i < span->nlinks; i++) {
            if (i)
                *p++ = ',';
            p = put_link(p, &span->links[i]);
        }
        *p++ = ']';
    }
    p = PUT_DROPPED(p, "Links", span->dropped_links);
    return span->status == CLEW_SPAN_UNSET ? p : put_status(p, span);
}

static char *put_span(char *p, const struct clew_span_record *span)
{
    p = PUT(p, ",{\"traceId\":");
    p = put_hex(p, span->trace_id, 16);
    p = PUT(p, ",\"spanId\":");
    p = put_hex(p, &span->span_id, 8);
    if (span->trace_state[0]) {
        p = PUT(p, ",\"traceState\":");
        p = put_quoted(p, span->trace_state, strlen(span->trace_state));
    }
    if (span->parent_span_id) {
        p = PUT(p, ",\"parentSpanId\":");
        p = put_hex(p, &span->parent_span_id, 8);
    }
    p = PUT(p, ",\"flags\":");
    p = clew__put_uint(p, clew__otlp_flags(span->trace_flags, span->parent_is_remote));
    p = PUT(p, ",\"name\":");
    p = put_quoted(p, span->name, strlen(span->name));
    p = PUT(p, ",\"kind\":");
    p = clew__put_uint(p, span->kind);
    p = PUT(p, ",\"startTimeUnixNano\":");
    p = put_time(p, span->start_ns);
    p = PUT(p, ",\"endTimeUnixNano\":");
    p = put_time(p, span->end_ns);
    p = PUT(p, ",\"attributes\":[");
    p = put_attributes(p, span->attributes, span->nattributes);
    if (span->interrupted) {
        if (span->nattributes)
            *p++ = ',';
        p = PUT(p, "{\"key\":\"" CLEW__OTLP_INTERRUPTED "\",\"value\":{\"boolValue\":true}}");
    }
    *p++ = ']';
    p = put_rare(p, span);
    *p++ = '}';
    return p;
}

/* A byte of text takes six when it is escaped; a bool in an array, one byte,
 * takes 20; text that is made first takes its room twice. */
static size_t attributes_bound(const struct clew_field *fields, size_t n)
{
    size_t bound = 0;

    for (size_t i = 0; i < n; i++) {
        bound += 6 * clew__otlp_key_len(&fields[i]) + 128;
        if (fields[i].type == CLEW_TYPE_STRING)
            bound += 6 * fields[i].value.len;
        else if (fields[i].type > CLEW_TYPE_STRING)
            bound += 64 * fields[i].value.len + 640;
        else if (fields[i].type != CLEW_TYPE_BOOL && fields[i].type != CLEW_TYPE_INT)
            bound += 640;
    }
    return bound;
}

static size_t bound_of(const struct clew_span_record *span)
{
    size_t bound =
        768 + 6 * (strlen(span->name) + strlen(span->status_message) + strlen(span->trace_state));

    bound += attributes_bound(span->attributes, span->nattributes);
    for (size_t i = 0; i < span->nevents; i++)
        bound += 192 + 6 * strlen(span->events[i].name) +
                 attributes_bound(span->events[i].attributes, span->events[i].nattributes);
    for (size_t i = 0; i < span->nlinks; i++)
        bound += 256 + 6 * strlen(span->links[i].trace_state) +
                 attributes_bound(span->links[i].attributes, span->links[i].nattributes);
    return bound;
}

void clew__otlp_json_append(struct clew__buf *out, const struct clew_span_record *span)
{
    char *p = clew__buf_room(out, bound_of(span));

    if (p)
        out->len = (size_t)(put_span(p, span) - out->data);
}

/* ---- requests ----------------------------------------------------------------------------- */

static void add_resource(struct clew__buf *out)
{
    const struct clew__resource *resource = clew__resource_get();
    char *p = clew__buf_room(out, attributes_bound(resource->fields, resource->n));

    if (p)
        out->len = (size_t)(put_attributes(p, resource->fields, resource->n) - out->data);
}

struct request {
    struct clew__body *body;
    bool has_scope, has_span;
};

static void begin_scope(void *arg, uint32_t group)
{
    struct request *request = arg;
    struct clew__buf *own = &request->body->own;
    const char *name = clew__otlp_scope_name(group), *version = clew__otlp_scope_version(group);

    clew__buf_adds(own, request->has_scope ? ",{" : "{");
    request->has_scope = true;
    request->has_span = false;
    if (name[0]) {
        clew__buf_adds(own, "\"scope\":{\"name\":");
        clew__json_string(own, name, strlen(name));
        if (version[0]) {
            clew__buf_adds(own, ",\"version\":");
            clew__json_string(own, version, strlen(version));
        }
        clew__buf_adds(own, "},");
    }
    clew__buf_adds(own, "\"spans\":[");
}

static void add_run(void *arg, const char *records, size_t len)
{
    struct request *request = arg;
    size_t comma = !request->has_span;

    request->has_span = true;
    clew__body_add(request->body, records + comma, len - comma);
}

static void end_scope(void *arg)
{
    clew__buf_adds(&((struct request *)arg)->body->own, "]}");
}

bool clew__otlp_json_encode(const struct clew__batch *batch, struct clew__body *ret_body)
{
    static const struct clew__otlp_groups to = {begin_scope, add_run, end_scope};
    struct request request = {.body = ret_body};

    clew__buf_adds(&ret_body->own, "{\"resourceSpans\":[{\"resource\":{\"attributes\":[");
    add_resource(&ret_body->own);
    clew__buf_adds(&ret_body->own, "]},\"scopeSpans\":[");
    clew__otlp_each_group(batch, &to, &request);
    clew__buf_adds(&ret_body->own, "]}]}");
    return clew__body_finish(ret_body);
}
