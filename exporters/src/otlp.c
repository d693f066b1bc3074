/* SPDX-License-Identifier: Apache-2.0
 *
 * Spans over OTLP/HTTP as binary protobuf (OTLP specification 1.x, "OTLP/HTTP";
 * messages in opentelemetry-proto, trace.proto). The collector appends Span
 * messages, the delivery thread wraps them in resource and scope and, when
 * asked to, compresses them with gzip.
 */
#include "exporters_priv.h"
#include "otlp_read.h"
#include "protobuf_write.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#define BATCH_BYTES (4u << 20)
#define FLAGS_HAS_IS_REMOTE 0x100u
#define FLAGS_IS_REMOTE 0x200u

static const struct clew__settings *settings;
static struct clew__batcher batcher;
static struct clew__destination destination;
static char headers[CLEW__SECRET_MAX + 256];

/* ---- encoding ------------------------------------------------------------------------ */

/* Types that OTLP does not have travel as the text they are in a line. */
static void add_text(struct clew__buf *out, enum clew_type type, const struct clew_value *value)
{
    struct clew_field field = {.key = "", .type = type, .value = *value};
    char text[4096];
    size_t len = clew_field_text(&field, text, sizeof(text));

    clew__pb_bytes(out, 1, text, len < sizeof(text) ? len : sizeof(text));
}

/* AnyValue (number 2 of KeyValue); members are written even when they are zero. */
static void add_any(struct clew__buf *out, enum clew_type type, const struct clew_value *value)
{
    size_t at = clew__pb_begin(out, 2);
    double seconds = (double)value->as.i / 1e9;
    uint64_t bits;

    switch (type) {
    case CLEW_TYPE_NULL:
        break;
    case CLEW_TYPE_STRING:
        clew__pb_bytes(out, 1, value->as.s, value->len);
        break;
    case CLEW_TYPE_BOOL:
        clew__pb_uint(out, 2, value->as.b);
        break;
    case CLEW_TYPE_INT:
    case CLEW_TYPE_ERRNO:
        clew__pb_uint(out, 3, (uint64_t)value->as.i);
        break;
    case CLEW_TYPE_UINT: /* OTLP has no unsigned: what does not fit is the largest */
        clew__pb_uint(out, 3, value->as.u > INT64_MAX ? INT64_MAX : value->as.u);
        break;
    case CLEW_TYPE_DOUBLE:
    case CLEW_TYPE_DURATION:
        memcpy(&bits, type == CLEW_TYPE_DOUBLE ? &value->as.d : &seconds, 8);
        clew__pb_fixed64(out, 4, bits);
        break;
    default:
        add_text(out, type, value);
        break;
    }
    clew__pb_end(out, at);
}

static void add_attribute(struct clew__buf *out, unsigned number, const char *key,
                          enum clew_type type, const struct clew_value *value)
{
    size_t at = clew__pb_begin(out, number);

    clew__pb_string(out, 1, key);
    add_any(out, type, value);
    clew__pb_end(out, at);
}

static void add_string_attribute(struct clew__buf *out, unsigned number, const char *key,
                                 const char *text, size_t len)
{
    struct clew_value value = clew_value_stringn(text, len);

    add_attribute(out, number, key, CLEW_TYPE_STRING, &value);
}

static void add_status(struct clew__buf *out, const struct clew_span_record *span)
{
    size_t at;

    if (span->status == CLEW_SPAN_UNSET)
        return;
    at = clew__pb_begin(out, 15);
    if (span->status_message[0])
        clew__pb_string(out, 2, span->status_message);
    clew__pb_uint(out, 3, span->status);
    clew__pb_end(out, at);
}

/* ScopeSpans.spans (2): Span */
void clew__otlp_append(struct clew__buf *out, const struct clew_span_record *span)
{
    size_t at = clew__pb_begin(out, 2);
    uint32_t flags = span->trace_flags | FLAGS_HAS_IS_REMOTE;

    if (span->parent_is_remote)
        flags |= FLAGS_IS_REMOTE;
    clew__pb_bytes(out, 1, span->trace_id, 16);
    clew__pb_bytes(out, 2, &span->span_id, 8);
    if (span->trace_state[0])
        clew__pb_string(out, 3, span->trace_state);
    if (span->parent_span_id)
        clew__pb_bytes(out, 4, &span->parent_span_id, 8);
    clew__pb_string(out, 5, span->name);
    clew__pb_uint(out, 6, span->kind);
    clew__pb_fixed64(out, 7, span->start_ns);
    clew__pb_fixed64(out, 8, span->end_ns);
    for (size_t i = 0; i < span->nattributes; i++)
        add_attribute(out, 9, span->attributes[i].key, span->attributes[i].type,
                      &span->attributes[i].value);
    if (span->dropped_attributes)
        clew__pb_uint(out, 10, span->dropped_attributes);
    add_status(out, span);
    clew__pb_fixed32(out, 16, flags);
    clew__pb_end(out, at);
}

/* OTEL_RESOURCE_ATTRIBUTES: k=v,k2=v2, values percent-encoded. What the SDK
 * itself sets is left out here. */
static void add_environment(struct clew__buf *out)
{
    const char *p = getenv("OTEL_RESOURCE_ATTRIBUTES");

    while (p && *p) {
        size_t len = strcspn(p, ","), key = strcspn(p, "=,"), n = 0;
        char name[256], value[1024];

        if (key && key < sizeof(name) && p[key] == '=' && len - key <= sizeof(value)) {
            for (size_t i = key + 1; i < len; i++) {
                unsigned c = (unsigned char)p[i];

                if (c == '%' && len - i > 2 && isxdigit((unsigned char)p[i + 1]) &&
                    isxdigit((unsigned char)p[i + 2]) && sscanf(p + i + 1, "%2x", &c) == 1)
                    i += 2;
                value[n++] = (char)c;
            }
            (void)snprintf(name, sizeof(name), "%.*s", (int)key, p);
            if (strcmp(name, "service.name") != 0 && strcmp(name, "service.version") != 0)
                add_string_attribute(out, 1, name, value, n);
        }
        p += len;
        p += *p == ',';
    }
}

/* ResourceSpans.resource (1) */
static void add_resource(struct clew__buf *out)
{
    size_t at = clew__pb_begin(out, 1);
    struct clew_value pid = clew_value_int(getpid());
    char host[256] = "";

    add_string_attribute(out, 1, "service.name", clew_service_name(), strlen(clew_service_name()));
    if (clew_service_version()[0])
        add_string_attribute(out, 1, "service.version", clew_service_version(),
                             strlen(clew_service_version()));
    add_string_attribute(out, 1, "telemetry.sdk.name", "clewline", 8);
    add_string_attribute(out, 1, "telemetry.sdk.language", "c", 1);
    add_string_attribute(out, 1, "telemetry.sdk.version", CLEW_VERSION, strlen(CLEW_VERSION));
    if (gethostname(host, sizeof(host) - 1) == 0 && host[0])
        add_string_attribute(out, 1, "host.name", host, strlen(host));
    add_attribute(out, 1, "process.pid", CLEW_TYPE_INT, &pid);
    add_environment(out);
    clew__pb_end(out, at);
}

static bool compress_gzip(const struct clew__buf *plain, struct clew__buf *ret)
{
    z_stream z = {.next_in = (Bytef *)plain->data, .avail_in = (uInt)plain->len};
    bool good = false;
    char *room;
    uLong bound;

    if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return false;
    bound = deflateBound(&z, (uLong)plain->len);
    room = clew__buf_room(ret, bound);
    if (room) {
        z.next_out = (Bytef *)room;
        z.avail_out = (uInt)bound;
        good = deflate(&z, Z_FINISH) == Z_STREAM_END;
        ret->len += z.total_out;
    }
    (void)deflateEnd(&z);
    return good;
}

bool clew__otlp_encode(const struct clew__batch *batch, struct clew__buf *ret_body)
{
    struct clew__buf plain;
    size_t resource_spans, scope_spans, scope;
    bool good;

    clew__buf_init(&plain, batch->records.len + 65536);
    resource_spans = clew__pb_begin(&plain, 1);
    add_resource(&plain);
    scope_spans = clew__pb_begin(&plain, 2);
    scope = clew__pb_begin(&plain, 1);
    clew__pb_string(&plain, 1, "clewline");
    clew__pb_string(&plain, 2, CLEW_VERSION);
    clew__pb_end(&plain, scope);
    clew__buf_add(&plain, batch->records.data, batch->records.len);
    clew__pb_end(&plain, scope_spans);
    clew__pb_end(&plain, resource_spans);
    good = !plain.failed;
    if (good && settings && settings->otlp_gzip)
        good = compress_gzip(&plain, ret_body);
    else if (good)
        clew__buf_add(ret_body, plain.data, plain.len);
    clew__buf_done(&plain);
    return good && !ret_body->failed;
}

/* ---- answers --------------------------------------------------------------------------- */

void clew__answer_reason(struct clew__answer *answer, const char *text, size_t len)
{
    size_t n = 0;

    for (size_t i = 0; i < len && n < sizeof(answer->reason) - 1; i++)
        answer->reason[n++] = (unsigned char)text[i] < 0x20 ? ' ' : text[i];
    answer->reason[n] = '\0';
}

/* ExportTraceServiceResponse{1 partial_success{1 rejected_spans, 2 message}} */
static void read_partial_success(struct clew__answer *answer)
{
    struct clew__pb pb = clew__pb_of(answer->body, answer->len), inner;
    struct clew__pb_field f;

    while (clew__pb_next(&pb, &f)) {
        if (f.number != 1 || f.wire != CLEW__PB_BYTES)
            continue;
        inner = clew__pb_of(f.bytes, f.len);
        while (clew__pb_next(&inner, &f)) {
            if (f.number == 1 && f.wire == CLEW__PB_VARINT)
                answer->rejected = f.value < answer->records ? (size_t)f.value : answer->records;
            else if (f.number == 2 && f.wire == CLEW__PB_BYTES)
                clew__answer_reason(answer, (const char *)f.bytes, f.len);
        }
    }
}

/* google.rpc.Status{2 message} */
static void read_error(struct clew__answer *answer)
{
    struct clew__pb pb = clew__pb_of(answer->body, answer->len);
    struct clew__pb_field f;

    while (clew__pb_next(&pb, &f))
        if (f.number == 2 && f.wire == CLEW__PB_BYTES)
            clew__answer_reason(answer, (const char *)f.bytes, f.len);
}

enum clew__verdict clew__otlp_judge(struct clew__answer *answer)
{
    switch (answer->status) {
    case 200:
        read_partial_success(answer);
        return CLEW__DONE;
    case 429:
    case 502:
    case 503:
    case 504:
        read_error(answer);
        return CLEW__RETRY;
    default:
        read_error(answer);
        return answer->status < 300 ? CLEW__DONE : CLEW__PERMANENT;
    }
}

/* ---- the sink ----------------------------------------------------------------------------- */

static void take_span(void *self, const struct clew_span_record *span)
{
    (void)self;
    clew__otlp_append(clew__batcher_begin(&batcher), span);
    if (clew__batcher_commit(&batcher))
        clew__delivery_wake();
}

int clew__otlp_add(const struct clew__settings *s)
{
    static const struct clew_sink_ops ops = {
        "otlp", NULL, take_span, clew__delivery_batch_end, NULL, CLEW_LEVEL_TRACE};
    static bool sink_is_added; /* by a start that failed later */
    int n, err;

    settings = s;
    n = snprintf(headers, sizeof(headers), "Content-Type: application/x-protobuf\n%s%s",
                 s->otlp_gzip ? "Content-Encoding: gzip\n" : "", s->otlp_headers);
    if (n < 0 || (size_t)n >= sizeof(headers))
        return clew_set_error(-EINVAL, "OTEL_EXPORTER_OTLP_HEADERS: too long");
    clew__batcher_init(&batcher, BATCH_BYTES, s->bsp_batch, (uint64_t)s->bsp_delay_ms * 1000000,
                       s->queue_bytes);
    destination = (struct clew__destination){.name = "otlp_traces",
                                             .batcher = &batcher,
                                             .url = s->otlp_url,
                                             .headers = headers,
                                             .certificate = s->otlp_certificate,
                                             .timeout_ms = s->otlp_timeout_ms,
                                             .encode = clew__otlp_encode,
                                             .judge = clew__otlp_judge};
    err = clew__delivery_add(&destination);
    if (err == 0 && !sink_is_added) {
        err = clew_sink_add(&ops, &destination);
        sink_is_added = err == 0;
    }
    return err;
}
