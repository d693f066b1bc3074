/* SPDX-License-Identifier: Apache-2.0
 * OTLP/HTTP traces in (opentelemetry-proto, OTLP/HTTP), Tempo's query API out:
 * GET /api/traces/ID as protobuf or as JSON in Tempo's form, GET /api/search. */
#include "server.h"
#include "store.h"

#include <json.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool keep(void *arg, const struct clew__otlp_span *span)
{
    int *err = arg;

    *err = store_add_span(span);
    return *err == 0;
}

void handle_traces_push(struct request *request)
{
    const char *type = request_header(request, "Content-Type");
    int stored = 0, err;

    if (!type || strncasecmp(type, "application/x-protobuf", 22) != 0) {
        answer_text(request, 415, "application/x-protobuf is expected\n");
        return;
    }
    store_begin();
    err = clew__otlp_read(request->body, request->body_len, keep, &stored);
    if (store_commit(err == 0) < 0)
        err = -EIO;
    request->content_type = "application/x-protobuf";
    if (err == 0) {
        request->status = 200; /* an empty ExportTraceServiceResponse: all accepted */
        return;
    }
    /* google.rpc.Status{1 code, 2 message}: 3 is INVALID_ARGUMENT, 14 UNAVAILABLE */
    request->status = err == -EINVAL ? 400 : 503;
    request->answer = strdup(err == -EINVAL ? "\x08\x03\x12\x11malformed request"
                                            : "\x08\x0e\x12\x0cstore failed");
    request->answer_len = request->answer ? strlen(request->answer) : 0;
}

/* protojson writes bytes as base64 (RFC 4648, section 4). */
static json_t *base64_json(const uint8_t *bytes, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char text[32];
    size_t len = 0;

    for (size_t i = 0; i < n; i += 3) {
        uint32_t three = (uint32_t)bytes[i] << 16 | (i + 1 < n ? (uint32_t)bytes[i + 1] << 8 : 0) |
                         (i + 2 < n ? bytes[i + 2] : 0);

        text[len++] = digits[three >> 18];
        text[len++] = digits[three >> 12 & 63];
        text[len++] = i + 1 < n ? digits[three >> 6 & 63] : '=';
        text[len++] = i + 2 < n ? digits[three & 63] : '=';
    }
    return json_stringn(text, len);
}

static json_t *text_json(const char *text, size_t len)
{
    json_t *string = json_stringn(text, len);

    return string ? string : json_string("\xEF\xBF\xBD");
}

static void add_attribute(void *arg, const char *key, size_t key_len, const char *json,
                          size_t json_len)
{
    json_t *value = json_loadb(json, json_len, JSON_DECODE_ANY, NULL), *any;
    char number[32];

    if (json_is_integer(value)) {
        (void)snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(value));
        any = json_pack("{s:s}", "intValue", number);
    } else if (json_is_boolean(value)) {
        any = json_pack("{s:O}", "boolValue", value);
    } else if (json_is_real(value)) {
        any = json_pack("{s:O}", "doubleValue", value);
    } else if (json_is_string(value)) {
        any = json_pack("{s:O}", "stringValue", value);
    } else {
        any = json_pack("{s:o}", "stringValue", text_json(json, json_len));
    }
    json_array_append_new(arg,
                          json_pack("{s:o, s:o}", "key", text_json(key, key_len), "value", any));
    json_decref(value);
}

static json_t *attributes(const uint8_t *bytes, size_t len, unsigned number)
{
    json_t *list = json_array();

    (void)clew__otlp_attributes(bytes, len, number, add_attribute, list);
    return list;
}

static bool add_batch(void *arg, const struct clew__otlp_span *span)
{
    static const char *const kinds[] = {"SPAN_KIND_UNSPECIFIED", "SPAN_KIND_INTERNAL",
                                        "SPAN_KIND_SERVER",      "SPAN_KIND_CLIENT",
                                        "SPAN_KIND_PRODUCER",    "SPAN_KIND_CONSUMER"};
    static const char *const codes[] = {"STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR"};
    char start[32], end[32];
    json_t *s;

    (void)snprintf(start, sizeof(start), "%llu", (unsigned long long)span->start_ns);
    (void)snprintf(end, sizeof(end), "%llu", (unsigned long long)span->end_ns);
    s = json_pack(
        "{s:o, s:o, s:o, s:s, s:s, s:s, s:o, s:{s:s}}", "traceId", base64_json(span->trace_id, 16),
        "spanId", base64_json(span->span_id, 8), "name", text_json(span->name, span->name_len),
        "kind", kinds[span->kind], "startTimeUnixNano", start, "endTimeUnixNano", end, "attributes",
        attributes(span->bytes, span->bytes_len, 9), "status", "code", codes[span->status]);
    if (span->parent_id)
        json_object_set_new(s, "parentSpanId", base64_json(span->parent_id, 8));
    if (span->status_message_len)
        json_object_set_new(json_object_get(s, "status"), "message",
                            text_json(span->status_message, span->status_message_len));
    json_array_append_new(arg, json_pack("{s:{s:o}, s:[{s:[o]}]}", "resource", "attributes",
                                         attributes(span->resource, span->resource_len, 1),
                                         "scopeSpans", "spans", s));
    return true;
}

void handle_trace(struct request *request)
{
    const char *accept = request_header(request, "Accept");
    uint8_t trace_id[16];
    json_t *batches;
    char *bytes;
    size_t len;

    if (strlen(request->rest) != 32 || clew__unhex(trace_id, request->rest, 16) < 0) {
        answer_text(request, 400, "a trace id is 32 hex digits\n");
        return;
    }
    if (store_trace(trace_id, &bytes, &len) < 0) {
        answer_text(request, 404, "trace not found\n");
        return;
    }
    if (accept && strstr(accept, "application/protobuf")) {
        request->status = 200;
        request->content_type = "application/protobuf";
        request->answer = bytes;
        request->answer_len = len;
        return;
    }
    batches = json_array();
    (void)clew__otlp_read(bytes, len, add_batch, batches);
    free(bytes);
    answer_json(request, 200, json_pack("{s:o}", "batches", batches));
}

void handle_trace_search(struct request *request)
{
    const char *limit = request_argument(request, "limit");
    long n = limit ? strtol(limit, NULL, 10) : 20;

    answer_json(
        request, 200,
        json_pack("{s:o}", "traces", store_recent_traces(n < 1 || n > 1000 ? 20 : (size_t)n)));
}
