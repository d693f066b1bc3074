/* SPDX-License-Identifier: Apache-2.0
 * OTLP traces taken apart in place: nothing is copied but attribute values,
 * which are given as JSON text. Stateless. */
#include "otlp_read.h"

#include <json.h>

#include <errno.h>
#include <string.h>

#define DEPTH_MAX 8

struct walk {
    bool (*take)(void *arg, const struct clew__otlp_span *span);
    void *arg;
    struct clew__otlp_span span; /* service, resource, scope: of the place we are at */
};

static double double_of(uint64_t bits)
{
    double v;

    memcpy(&v, &bits, 8);
    return v;
}

static bool add_any(struct clew__buf *out, const uint8_t *bytes, size_t len, int depth);

/* ArrayValue (list) or KeyValueList: field 1, repeated. */
static bool add_list(struct clew__buf *out, const struct clew__pb_field *list, bool pairs,
                     int depth)
{
    struct clew__pb pb = clew__pb_of(list->bytes, list->len);
    struct clew__pb_field item, part;
    bool first = true;

    clew__buf_addc(out, pairs ? '{' : '[');
    while (clew__pb_next(&pb, &item)) {
        if (item.number != 1 || item.wire != CLEW__PB_BYTES)
            continue;
        if (!first)
            clew__buf_addc(out, ',');
        first = false;
        if (pairs) {
            struct clew__pb pair = clew__pb_of(item.bytes, item.len);
            const uint8_t *value = NULL;
            size_t value_len = 0;
            const char *key = "";
            size_t key_len = 0;

            while (clew__pb_next(&pair, &part)) {
                if (part.wire == CLEW__PB_BYTES && part.number == 1) {
                    key = (const char *)part.bytes;
                    key_len = part.len;
                } else if (part.wire == CLEW__PB_BYTES && part.number == 2) {
                    value = part.bytes;
                    value_len = part.len;
                }
            }
            if (pair.bad)
                return false;
            clew__json_string(out, key, key_len);
            clew__buf_addc(out, ':');
            if (!add_any(out, value, value_len, depth + 1))
                return false;
        } else if (!add_any(out, item.bytes, item.len, depth + 1)) {
            return false;
        }
    }
    clew__buf_addc(out, pairs ? '}' : ']');
    return !pb.bad;
}

/* AnyValue as JSON; bytes as hex. */
static bool add_any(struct clew__buf *out, const uint8_t *bytes, size_t len, int depth)
{
    struct clew__pb pb = clew__pb_of(bytes, len);
    struct clew__pb_field f;
    char *room;

    if (depth > DEPTH_MAX)
        return false;
    if (!clew__pb_next(&pb, &f)) {
        clew__buf_adds(out, "null");
        return !pb.bad;
    }
    switch (f.number) {
    case 1:
        clew__json_string(out, (const char *)f.bytes, f.len);
        break;
    case 2:
        clew__buf_adds(out, f.value ? "true" : "false");
        break;
    case 3:
        clew__json_int(out, (int64_t)f.value);
        break;
    case 4:
        clew__json_double(out, double_of(f.value));
        break;
    case 5:
    case 6:
        return f.wire == CLEW__PB_BYTES && add_list(out, &f, f.number == 6, depth);
    case 7:
        clew__buf_addc(out, '"');
        room = clew__buf_room(out, 2 * f.len);
        if (room) {
            clew__hex(room, f.bytes, f.len);
            out->len += 2 * f.len;
        }
        clew__buf_addc(out, '"');
        break;
    default:
        clew__buf_adds(out, "null");
    }
    return true;
}

static int read_pair(const struct clew__pb_field *pair, struct clew__buf *value,
                     void (*take)(void *arg, const char *key, size_t key_len, const char *json,
                                  size_t json_len),
                     void *arg)
{
    struct clew__pb pb = clew__pb_of(pair->bytes, pair->len);
    const char *key = "";
    size_t key_len = 0;
    struct clew__pb_field part;

    clew__buf_reset(value);
    while (clew__pb_next(&pb, &part)) {
        if (part.number == 1 && part.wire == CLEW__PB_BYTES) {
            key = (const char *)part.bytes;
            key_len = part.len;
        } else if (part.number == 2 && part.wire == CLEW__PB_BYTES) {
            clew__buf_reset(value);
            if (!add_any(value, part.bytes, part.len, 0))
                return -EINVAL;
        }
    }
    if (pb.bad || value->failed)
        return -EINVAL;
    take(arg, key, key_len, value->len ? value->data : "null", value->len ? value->len : 4);
    return 0;
}

int clew__otlp_attributes(const uint8_t *bytes, size_t len, unsigned number,
                          void (*take)(void *arg, const char *key, size_t key_len, const char *json,
                                       size_t json_len),
                          void *arg)
{
    struct clew__pb pb = clew__pb_of(bytes, len);
    struct clew__pb_field f;
    struct clew__buf value;
    int err = 0;

    clew__buf_init(&value, 1 << 20);
    while (err == 0 && clew__pb_next(&pb, &f))
        if (f.number == number && f.wire == CLEW__PB_BYTES)
            err = read_pair(&f, &value, take, arg);
    clew__buf_done(&value);
    return pb.bad ? -EINVAL : err;
}

static int read_status(struct clew__otlp_span *span, const struct clew__pb_field *field)
{
    struct clew__pb pb = clew__pb_of(field->bytes, field->len);
    struct clew__pb_field f;

    while (clew__pb_next(&pb, &f)) {
        if (f.number == 2 && f.wire == CLEW__PB_BYTES) {
            span->status_message = (const char *)f.bytes;
            span->status_message_len = f.len;
        } else if (f.number == 3 && f.wire == CLEW__PB_VARINT) {
            span->status = f.value <= 2 ? (unsigned)f.value : 0;
        }
    }
    return pb.bad ? -EINVAL : 0;
}

static int read_bytes_field(struct clew__otlp_span *span, const struct clew__pb_field *f)
{
    switch (f->number) {
    case 1:
        if (f->len != 16)
            return -EINVAL;
        span->trace_id = f->bytes;
        break;
    case 2:
        if (f->len != 8)
            return -EINVAL;
        span->span_id = f->bytes;
        break;
    case 4:
        if (f->len != 0 && f->len != 8)
            return -EINVAL;
        span->parent_id = f->len ? f->bytes : NULL;
        break;
    case 5:
        span->name = (const char *)f->bytes;
        span->name_len = f->len;
        break;
    case 15:
        return read_status(span, f);
    default:
        break;
    }
    return 0;
}

static int read_span(struct walk *walk, const struct clew__pb_field *field)
{
    struct clew__pb pb = clew__pb_of(field->bytes, field->len);
    struct clew__otlp_span span = walk->span;
    struct clew__pb_field f;
    int err;

    span.name = span.status_message = "";
    span.bytes = field->bytes;
    span.bytes_len = field->len;
    while (clew__pb_next(&pb, &f)) {
        if (f.wire == CLEW__PB_BYTES) {
            err = read_bytes_field(&span, &f);
            if (err < 0)
                return err;
        } else if (f.number == 6 && f.wire == CLEW__PB_VARINT) {
            span.kind = f.value <= 5 ? (unsigned)f.value : 0;
        } else if (f.number == 7 && f.wire == CLEW__PB_FIXED64) {
            span.start_ns = f.value;
        } else if (f.number == 8 && f.wire == CLEW__PB_FIXED64) {
            span.end_ns = f.value;
        }
    }
    if (pb.bad || !span.trace_id || !span.span_id)
        return -EINVAL;
    return walk->take(walk->arg, &span) ? 0 : -ECANCELED;
}

static int read_scope_spans(struct walk *walk, const struct clew__pb_field *field)
{
    struct clew__pb pb = clew__pb_of(field->bytes, field->len);
    struct clew__pb_field f;
    int err = 0;

    walk->span.scope = NULL;
    walk->span.scope_len = 0;
    while (err == 0 && clew__pb_next(&pb, &f)) {
        if (f.wire != CLEW__PB_BYTES)
            continue;
        if (f.number == 1) {
            walk->span.scope = f.bytes;
            walk->span.scope_len = f.len;
        } else if (f.number == 2) {
            err = read_span(walk, &f);
        }
    }
    return pb.bad ? -EINVAL : err;
}

/* service.name of a Resource, as it lies in the message. */
static void find_service(struct walk *walk, const uint8_t *resource, size_t len)
{
    struct clew__pb pb = clew__pb_of(resource, len);
    struct clew__pb_field pair, part, value;

    while (clew__pb_next(&pb, &pair)) {
        struct clew__pb parts = clew__pb_of(pair.bytes, pair.number == 1 ? pair.len : 0);
        bool is_name = false;

        while (clew__pb_next(&parts, &part)) {
            if (part.number == 1 && part.wire == CLEW__PB_BYTES)
                is_name = part.len == 12 && memcmp(part.bytes, "service.name", 12) == 0;
            else if (part.number == 2 && part.wire == CLEW__PB_BYTES && is_name) {
                struct clew__pb any = clew__pb_of(part.bytes, part.len);

                if (clew__pb_next(&any, &value) && value.number == 1 &&
                    value.wire == CLEW__PB_BYTES) {
                    walk->span.service = (const char *)value.bytes;
                    walk->span.service_len = value.len;
                }
            }
        }
    }
}

static int read_resource_spans(struct walk *walk, const struct clew__pb_field *field)
{
    struct clew__pb pb = clew__pb_of(field->bytes, field->len);
    struct clew__pb_field f;
    int err = 0;

    walk->span = (struct clew__otlp_span){.service = "unknown_service", .service_len = 15};
    while (err == 0 && clew__pb_next(&pb, &f)) {
        if (f.wire != CLEW__PB_BYTES)
            continue;
        if (f.number == 1) {
            walk->span.resource = f.bytes;
            walk->span.resource_len = f.len;
            find_service(walk, f.bytes, f.len);
        } else if (f.number == 2) {
            err = read_scope_spans(walk, &f);
        }
    }
    return pb.bad ? -EINVAL : err;
}

int clew__otlp_read(const void *bytes, size_t len,
                    bool (*take)(void *arg, const struct clew__otlp_span *span), void *arg)
{
    struct walk walk = {.take = take, .arg = arg};
    struct clew__pb pb = clew__pb_of(bytes, len);
    struct clew__pb_field f;
    int err = 0;

    while (err == 0 && clew__pb_next(&pb, &f))
        if (f.number == 1 && f.wire == CLEW__PB_BYTES)
            err = read_resource_spans(&walk, &f);
    return pb.bad ? -EINVAL : err;
}
