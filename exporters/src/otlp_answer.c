/* SPDX-License-Identifier: Apache-2.0
 *
 * What a collector's answers mean (OTLP specification, "OTLP/gRPC Response" and
 * "OTLP/HTTP Response"; gRPC over HTTP/2, "Responses"; google.rpc.Status and
 * RetryInfo in googleapis, google/rpc). They come from outside: bounded, and
 * read by readers that check.
 */
#include "exporters_priv.h"
#include "otlp_priv.h"
#include "protobuf_read.h"

#include <base64.h>
#include <json.h>

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define RETRY_AFTER_MAX_NS UINT64_C(86400000000000)

void clew__answer_reason(struct clew__answer *answer, const char *text, size_t len)
{
    size_t n = 0;

    for (size_t i = 0; i < len && n < sizeof(answer->reason) - 1; i++)
        answer->reason[n++] = (unsigned char)text[i] < 0x20 ? ' ' : text[i];
    answer->reason[n] = '\0';
}

static void set_rejected(struct clew__answer *answer, uint64_t n)
{
    answer->rejected = n < answer->records ? (size_t)n : answer->records;
}

/* ---- protobuf ------------------------------------------------------------------------- */

/* ExportTraceServiceResponse{1 partial_success{1 rejected_spans, 2 message}} */
static void read_partial_success(struct clew__answer *answer, const char *bytes, size_t len)
{
    struct clew__pb pb = clew__pb_of(bytes, len), inner;
    struct clew__pb_field f;

    while (clew__pb_next(&pb, &f)) {
        if (f.number != 1 || f.wire != CLEW__PB_BYTES)
            continue;
        inner = clew__pb_of(f.bytes, f.len);
        while (clew__pb_next(&inner, &f)) {
            if (f.number == 1 && f.wire == CLEW__PB_VARINT)
                set_rejected(answer, f.value);
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

/* ---- OTLP/HTTP ------------------------------------------------------------------------- */

static enum clew__verdict verdict_of_http(unsigned status)
{
    switch (status) {
    case 429:
    case 502:
    case 503:
    case 504:
        return CLEW__RETRY;
    case 400: /* perhaps for one of its spans */
    case 413:
        return CLEW__SPLIT;
    default:
        return status >= 200 && status < 300 ? CLEW__DONE : CLEW__PERMANENT;
    }
}

enum clew__verdict clew__otlp_judge_protobuf(struct clew__answer *answer)
{
    enum clew__verdict verdict = verdict_of_http(answer->status);

    if (verdict == CLEW__DONE)
        read_partial_success(answer, answer->body, answer->len);
    else
        read_error(answer);
    return verdict;
}

/* A 64-bit number, which may be a string or a number. */
static uint64_t json_number(const json_t *value)
{
    const char *text = json_string_value(value);

    if (text)
        return *text == '-' ? 0 : strtoull(text, NULL, 10);
    return json_integer_value(value) > 0 ? (uint64_t)json_integer_value(value) : 0;
}

enum clew__verdict clew__otlp_judge_json(struct clew__answer *answer)
{
    enum clew__verdict verdict = verdict_of_http(answer->status);
    json_t *body = json_loadb(answer->body, answer->len, 0, NULL);
    const json_t *partial = json_object_get(body, "partialSuccess");
    const char *message =
        json_string_value(verdict == CLEW__DONE ? json_object_get(partial, "errorMessage")
                                                : json_object_get(body, "message"));

    if (verdict == CLEW__DONE)
        set_rejected(answer, json_number(json_object_get(partial, "rejectedSpans")));
    if (message)
        clew__answer_reason(answer, message, strlen(message));
    json_decref(body);
    return verdict;
}

/* ---- OTLP/gRPC ------------------------------------------------------------------------- */

/* The last header or trailer of that name: NULL, or its value. */
static const char *find_header(const struct clew__answer *answer, const char *name, size_t *ret_len)
{
    const char *at = answer->headers, *end = at ? at + answer->headers_len : NULL, *found = NULL;
    size_t name_len = strlen(name);

    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *stop = newline ? newline : end;

        if ((size_t)(stop - at) > name_len && at[name_len] == ':' &&
            strncasecmp(at, name, name_len) == 0) {
            found = at + name_len + 1;
            while (found < stop && *found == ' ')
                found++;
            while (stop > found && (stop[-1] == '\r' || stop[-1] == ' '))
                stop--;
            *ret_len = (size_t)(stop - found);
        }
        at = newline ? newline + 1 : end;
    }
    return found;
}

static int grpc_status(const struct clew__answer *answer)
{
    size_t len;
    const char *text = find_header(answer, "grpc-status", &len);
    int status = 0;

    if (text && len > 0 && len < 4) {
        for (size_t i = 0; i < len; i++) {
            if (text[i] < '0' || text[i] > '9')
                return 2;
            status = status * 10 + text[i] - '0';
        }
        return status;
    }
    switch (answer->status) { /* "HTTP to gRPC Status Code Mapping" */
    case 400:
        return 13;
    case 401:
        return 16;
    case 403:
        return 7;
    case 404:
        return 12;
    case 429:
    case 502:
    case 503:
    case 504:
        return 14;
    default:
        return 2;
    }
}

static void read_grpc_message(struct clew__answer *answer)
{
    size_t len, n = 0;
    const char *text = find_header(answer, "grpc-message", &len);
    char plain[sizeof(answer->reason)];

    for (size_t i = 0; text && i < len && n < sizeof(plain); i++) {
        unsigned char c = (unsigned char)text[i];

        if (c == '%' && len - i > 2 && clew__unhex(&c, text + i + 1, 1) == 0)
            i += 2;
        plain[n++] = (char)c;
    }
    clew__answer_reason(answer, plain, n);
}

/* RetryInfo{1 Duration{1 seconds, 2 nanos}}; 0 when it is none. */
static uint64_t read_retry_info(const uint8_t *bytes, size_t len)
{
    struct clew__pb pb = clew__pb_of(bytes, len), duration;
    struct clew__pb_field f;
    uint64_t seconds = 0, nanos = 0;

    while (clew__pb_next(&pb, &f)) {
        if (f.number != 1 || f.wire != CLEW__PB_BYTES)
            continue;
        duration = clew__pb_of(f.bytes, f.len);
        while (clew__pb_next(&duration, &f)) {
            if (f.number == 1 && f.wire == CLEW__PB_VARINT)
                seconds = f.value;
            else if (f.number == 2 && f.wire == CLEW__PB_VARINT)
                nanos = f.value;
        }
    }
    if (seconds > INT64_MAX || nanos > 999999999)
        return 0;
    if (seconds >= RETRY_AFTER_MAX_NS / 1000000000u)
        return RETRY_AFTER_MAX_NS;
    return seconds * 1000000000u + nanos;
}

/* The RetryInfo among Status{3* Any{1 type_url, 2 value}} of
 * grpc-status-details-bin; whether there is one. */
static bool find_retry_info(const struct clew__answer *answer, uint64_t *ret_ns)
{
    static const char type[] = "type.googleapis.com/google.rpc.RetryInfo";
    uint8_t details[4096];
    size_t len;
    const char *text = find_header(answer, "grpc-status-details-bin", &len);
    long n = text && len < sizeof(details) ? clew__unbase64(details, text, len) : -1;
    struct clew__pb pb = clew__pb_of(details, n > 0 ? (size_t)n : 0), any;
    struct clew__pb_field f;

    while (clew__pb_next(&pb, &f)) {
        const uint8_t *value = (const uint8_t *)""; /* an Any may have none */
        size_t value_len = 0;
        bool is_retry_info = false;

        if (f.number != 3 || f.wire != CLEW__PB_BYTES)
            continue;
        any = clew__pb_of(f.bytes, f.len);
        while (clew__pb_next(&any, &f)) {
            if (f.number == 1 && f.wire == CLEW__PB_BYTES)
                is_retry_info = f.len == sizeof(type) - 1 && memcmp(f.bytes, type, f.len) == 0;
            if (f.number == 2 && f.wire == CLEW__PB_BYTES) {
                value = f.bytes;
                value_len = f.len;
            }
        }
        if (is_retry_info) {
            *ret_ns = read_retry_info(value, value_len);
            return true;
        }
    }
    return false;
}

/* The message of the answer: a byte for compression, which we do not ask for,
 * and four for its length. */
static void read_grpc_body(struct clew__answer *answer)
{
    const unsigned char *b = (const unsigned char *)answer->body;
    size_t len;

    if (answer->len < 5 || b[0] != 0)
        return;
    len = (size_t)b[1] << 24 | (size_t)b[2] << 16 | (size_t)b[3] << 8 | b[4];
    if (len <= answer->len - 5)
        read_partial_success(answer, answer->body + 5, len);
}

enum clew__verdict clew__otlp_judge_grpc(struct clew__answer *answer)
{
    bool asks = find_retry_info(answer, &answer->retry_after_ns);

    answer->code = grpc_status(answer);
    read_grpc_message(answer);
    switch (answer->code) {
    case 0:
        read_grpc_body(answer);
        return CLEW__DONE;
    case 1:  /* CANCELLED */
    case 4:  /* DEADLINE_EXCEEDED */
    case 10: /* ABORTED */
    case 11: /* OUT_OF_RANGE */
    case 14: /* UNAVAILABLE */
    case 15: /* DATA_LOSS */
        return CLEW__RETRY;
    case 8: /* RESOURCE_EXHAUSTED: of a quota, or the message is too large */
        return asks ? CLEW__RETRY : CLEW__SPLIT;
    case 3: /* INVALID_ARGUMENT */
        return CLEW__SPLIT;
    default:
        return CLEW__PERMANENT;
    }
}
