/* SPDX-License-Identifier: Apache-2.0
 * Spans as OTLP, protobuf and JSON, with everything that a span may have, and
 * what a collector's answers mean. Independent decoders read the same in
 * tests/integration/otlp. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "pb_field.h"

#include <otlp_priv.h>
#include <otlp_read.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- spans to encode ------------------------------------------------------------------- */

static struct clew_span_record span_with(const struct clew_field *attributes, size_t n)
{
    struct clew_span_record span = {.trace_id = {0x0a},
                                    .start_ns = 1000,
                                    .end_ns = UINT64_C(1700000000123456789),
                                    .kind = CLEW_SPAN_SERVER,
                                    .trace_flags = 1,
                                    .scope = "",
                                    .name = "GET /x",
                                    .status_message = "",
                                    .trace_state = "",
                                    .nattributes = n,
                                    .attributes = attributes};

    memcpy(&span.span_id, "\1\2\3\4\5\6\7\10", 8);
    return span;
}

/* Containers as they are stored: see liblog/src/value_priv.h. */
#define N64(byte) byte "\0\0\0\0\0\0\0"
#define N32(byte) byte "\0\0\0"
static const char ints[] = "\2" N64("\1") "\xfe\xff\xff\xff\xff\xff\xff\xff";
static const char bools[] = "\1\1\0";
static const char texts[] = "\7" N32("\1") "a" N32("\3") "b\"\xff"
                                                         "\xff\xff\xff\xff";
static const char object[] = "\2\1n" N64("\1") /* comes again */
    "\x17\2in" N32("\x0b") "\4\1x"
                           "\0\0\0\0\0\0\4\x40" /* 2.5 */
                           "\x10\1n" N32("\4") "last";

static struct clew_field stored(const char *key, enum clew_type type, const char *bytes, size_t len)
{
    return (struct clew_field){.key = key, .type = type, .value = clew_value_stringn(bytes, len)};
}

static size_t all_types(struct clew_field fields[16])
{
    size_t n = 0;

    fields[n++] = (struct clew_field){"s", CLEW_TYPE_STRING, 1, clew_value_stringn("t", 1)};
    fields[n++] = (struct clew_field){"empty", CLEW_TYPE_STRING, 0, clew_value_stringn("", 0)};
    fields[n++] = (struct clew_field){"i", CLEW_TYPE_INT, 1, clew_value_int(-3)};
    fields[n++] = (struct clew_field){"b", CLEW_TYPE_BOOL, 1, clew_value_bool(false)};
    fields[n++] = (struct clew_field){"d", CLEW_TYPE_DOUBLE, 1, clew_value_double(0.5)};
    fields[n++] = (struct clew_field){"u", CLEW_TYPE_UINT, 1, clew_value_uint(UINT64_MAX)};
    fields[n++] = (struct clew_field){"bytes", CLEW_TYPE_HEX, 0, clew_value_stringn("\0\xff", 2)};
    fields[n++] = (struct clew_field){"took", CLEW_TYPE_DURATION, 0, clew_value_int(1500000000)};
    fields[n++] = (struct clew_field){"null", CLEW_TYPE_NULL, 0, clew_value_uint(0)};
    fields[n++] = (struct clew_field){"errno", CLEW_TYPE_ERRNO, 0, clew_value_int(2)};
    fields[n++] = stored("ints", CLEW_TYPE_ARRAY, ints, sizeof(ints) - 1);
    fields[n++] = stored("bools", CLEW_TYPE_ARRAY, bools, sizeof(bools) - 1);
    fields[n++] = stored("texts", CLEW_TYPE_ARRAY, texts, sizeof(texts) - 1);
    fields[n++] = stored("object", CLEW_TYPE_OBJECT, object, sizeof(object) - 1);
    return n;
}

/* ---- requests of one batch ---------------------------------------------------------------- */

struct request {
    struct clew__batch *batch;
    struct clew__body body;
    char *text;
};

static void add(struct request *r, bool json, const struct clew_span_record *span)
{
    if (!r->batch)
        r->batch = clew__batch_new(1 << 20);
    (json ? clew__otlp_json_append : clew__otlp_protobuf_append)(&r->batch->records, span);
    r->batch->items = realloc(r->batch->items, (r->batch->n + 1) * sizeof(struct clew__item));
    r->batch->items[r->batch->n++] =
        (struct clew__item){(uint32_t)r->batch->records.len, clew__otlp_group(span->scope)};
}

static void encode(struct request *r, bool json)
{
    clew__body_init(&r->body, 1 << 20);
    assert_true((json ? clew__otlp_json_encode : clew__otlp_protobuf_encode)(r->batch, &r->body));
    r->text = calloc(1, r->body.len + 1);
    assert_int_equal(clew__body_read(&r->body, r->text, r->body.len), r->body.len);
}

static void done(struct request *r)
{
    free(r->text);
    clew__body_done(&r->body);
    clew__batch_free(r->batch);
}

static char seen[2048];

static void take_attribute(void *arg, const char *key, size_t key_len, const char *json,
                           size_t json_len)
{
    (void)arg;
    snprintf(seen + strlen(seen), sizeof(seen) - strlen(seen), "%.*s=%.*s;", (int)key_len, key,
             (int)json_len, json);
}

static bool keep_span(void *arg, const struct clew__otlp_span *span)
{
    *(struct clew__otlp_span *)arg = *span;
    return true;
}

/* ---- protobuf ----------------------------------------------------------------------------- */

static void test_otlp_protobuf_span(void **state)
{
    struct clew_field fields[16] = {{.key = ""}};
    struct clew_span_record span = span_with(fields, 6);
    struct request r = {.batch = NULL};
    struct clew__otlp_span got;

    (void)state;
    setenv("OTEL_RESOURCE_ATTRIBUTES", "service.name=no,deployment.environment.name=a%20b", 1);
    (void)all_types(fields);
    span.status = CLEW_SPAN_ERROR;
    span.status_message = "broken";
    span.trace_state = "a=1";
    span.parent_is_remote = true;
    span.interrupted = true;
    memset(&span.parent_span_id, 9, 8);
    add(&r, false, &span);
    encode(&r, false);
    assert_int_equal(clew__otlp_read(r.text, r.body.len, keep_span, &got), 0);
    assert_int_equal(got.trace_id[0], 0x0a);
    assert_memory_equal(got.span_id, "\1\2\3\4\5\6\7\10", 8);
    assert_memory_equal(got.parent_id, "\11\11\11\11\11\11\11\11", 8);
    assert_memory_equal(got.name, "GET /x", got.name_len);
    assert_int_equal(got.kind, CLEW_SPAN_SERVER);
    assert_int_equal(got.status, CLEW_SPAN_ERROR);
    assert_memory_equal(got.status_message, "broken", got.status_message_len);
    assert_int_equal(got.start_ns, 1000);
    assert_int_equal(got.end_ns, UINT64_C(1700000000123456789));
    assert_int_equal(field(got.bytes, got.bytes_len, 16, 0).value, 0x301);
    assert_memory_equal(field(got.bytes, got.bytes_len, 3, 0).bytes, "a=1", 3);
    seen[0] = '\0';
    assert_int_equal(clew__otlp_attributes(got.bytes, got.bytes_len, 9, take_attribute, NULL), 0);
    assert_string_equal(seen, "s=\"t\";empty=\"\";i=-3;b=false;d=0.5;u=\"18446744073709551615\";"
                              "clew.interrupted=true;");
    seen[0] = '\0';
    (void)clew__otlp_attributes(got.resource, got.resource_len, 1, take_attribute, NULL);
    assert_non_null(strstr(seen, "telemetry.sdk.language=\"c\";"));
    assert_non_null(strstr(seen, "deployment.environment.name=\"a b\";"));
    done(&r);
}

/* ---- JSON ----------------------------------------------------------------------------------- */

static json_t *parse(const struct request *r)
{
    json_error_t error;
    json_t *json = json_loadb(r->text, r->body.len, JSON_REJECT_DUPLICATES, &error);

    if (!json)
        fail_msg("%s at %d in %s", error.text, error.position, r->text);
    return json;
}

static json_t *spans_of(json_t *json, size_t scope)
{
    json_t *resource = json_array_get(json_object_get(json, "resourceSpans"), 0);

    return json_object_get(json_array_get(json_object_get(resource, "scopeSpans"), scope), "spans");
}

static void assert_text(const json_t *json, const char *expected)
{
    char *text = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);

    assert_string_equal(text ? text : "(none)", expected);
    free(text);
}

static void assert_value(const json_t *attributes, const char *key, const char *expected)
{
    json_t *attribute;
    size_t i;

    json_array_foreach((json_t *)attributes, i, attribute)
    {
        if (strcmp(json_string_value(json_object_get(attribute, "key")), key) == 0) {
            assert_text(json_object_get(attribute, "value"), expected);
            return;
        }
    }
    fail_msg("no attribute %s", key);
}

static void test_otlp_json_values(void **state)
{
    struct clew_field fields[16];
    struct clew_span_record span = span_with(fields, all_types(fields));
    struct request r = {.batch = NULL};
    json_t *json, *attributes;

    (void)state;
    add(&r, true, &span);
    encode(&r, true);
    json = parse(&r);
    attributes = json_object_get(json_array_get(spans_of(json, 0), 0), "attributes");
    assert_int_equal(json_array_size(attributes), span.nattributes);
    assert_value(attributes, "s", "{\"stringValue\":\"t\"}");
    assert_value(attributes, "empty", "{\"stringValue\":\"\"}");
    assert_value(attributes, "i", "{\"intValue\":\"-3\"}");
    assert_value(attributes, "b", "{\"boolValue\":false}");
    assert_value(attributes, "d", "{\"doubleValue\":0.5}");
    assert_value(attributes, "u", "{\"stringValue\":\"18446744073709551615\"}");
    assert_value(attributes, "bytes", "{\"bytesValue\":\"AP8=\"}");
    assert_value(attributes, "took", "{\"doubleValue\":1.5}");
    assert_value(attributes, "null", "{}");
    assert_value(attributes, "errno", "{\"intValue\":\"2\"}");
    assert_value(attributes, "ints",
                 "{\"arrayValue\":{\"values\":[{\"intValue\":\"1\"},{\"intValue\":\"-2\"}]}}");
    assert_value(attributes, "bools",
                 "{\"arrayValue\":{\"values\":[{\"boolValue\":true},{\"boolValue\":false}]}}");
    assert_value(attributes, "texts",
                 "{\"arrayValue\":{\"values\":[{\"stringValue\":\"a\"},{\"stringValue\":"
                 "\"b\\\"\xEF\xBF\xBD\"},{}]}}");
    assert_value(attributes, "object",
                 "{\"kvlistValue\":{\"values\":[{\"key\":\"in\",\"value\":{\"kvlistValue\":"
                 "{\"values\":[{\"key\":\"x\",\"value\":{\"doubleValue\":2.5}}]}}},"
                 "{\"key\":\"n\",\"value\":{\"stringValue\":\"last\"}}]}}");
    json_decref(json);
    done(&r);
}

static void fill_rare(struct clew_span_record *span, struct clew_span_event *event,
                      struct clew_span_link *link, const struct clew_field *field)
{
    *event = (struct clew_span_event){5, "exception", field, 1, 2};
    *link = (struct clew_span_link){.trace_id = {1},
                                    .trace_flags = 1,
                                    .is_remote = true,
                                    .trace_state = "k=v",
                                    .attributes = field,
                                    .nattributes = 1,
                                    .dropped_attributes = 3};
    memset(&link->span_id, 2, 8);
    span->events = event;
    span->nevents = 1;
    span->links = link;
    span->nlinks = 1;
    span->dropped_attributes = 4;
    span->dropped_events = 5;
    span->dropped_links = 6;
    span->status = CLEW_SPAN_ERROR;
    span->status_message = "no";
}

static void test_otlp_json_events_links_and_counts(void **state)
{
    const struct clew_field one = {"k", CLEW_TYPE_INT, 1, clew_value_int(7)};
    struct clew_span_record span = span_with(NULL, 0);
    struct clew_span_event event;
    struct clew_span_link link;
    struct request r = {.batch = NULL};
    json_t *json;

    (void)state;
    fill_rare(&span, &event, &link, &one);
    add(&r, true, &span);
    encode(&r, true);
    json = parse(&r);
    assert_text(json_array_get(spans_of(json, 0), 0),
                "{\"traceId\":\"0a000000000000000000000000000000\",\"spanId\":\"0102030405060708\","
                "\"flags\":257,\"name\":\"GET /x\",\"kind\":2,\"startTimeUnixNano\":\"1000\","
                "\"endTimeUnixNano\":\"1700000000123456789\",\"attributes\":[],"
                "\"droppedAttributesCount\":4,\"events\":[{\"timeUnixNano\":\"5\",\"name\":"
                "\"exception\",\"attributes\":[{\"key\":\"k\",\"value\":{\"intValue\":\"7\"}}],"
                "\"droppedAttributesCount\":2}],\"droppedEventsCount\":5,\"links\":[{\"traceId\":"
                "\"01000000000000000000000000000000\",\"spanId\":\"0202020202020202\","
                "\"traceState\":\"k=v\",\"attributes\":[{\"key\":\"k\",\"value\":{\"intValue\":"
                "\"7\"}}],\"droppedAttributesCount\":3,\"flags\":769}],\"droppedLinksCount\":6,"
                "\"status\":{\"message\":\"no\",\"code\":2}}");
    json_decref(json);
    done(&r);
}

static void test_otlp_protobuf_events_links_and_counts(void **state)
{
    const struct clew_field one = {"k", CLEW_TYPE_INT, 1, clew_value_int(7)};
    struct clew_span_record span = span_with(NULL, 0);
    struct clew_span_event event;
    struct clew_span_link link;
    struct request r = {.batch = NULL};
    struct clew__otlp_span got;
    struct clew__pb_field f;

    (void)state;
    fill_rare(&span, &event, &link, &one);
    add(&r, false, &span);
    encode(&r, false);
    assert_int_equal(clew__otlp_read(r.text, r.body.len, keep_span, &got), 0);
    f = field(got.bytes, got.bytes_len, 11, 0);
    assert_int_equal(field(f.bytes, f.len, 1, 0).value, 5);
    assert_memory_equal(field(f.bytes, f.len, 2, 0).bytes, "exception", 9);
    assert_int_equal(field(f.bytes, f.len, 4, 0).value, 2);
    f = field(got.bytes, got.bytes_len, 13, 0);
    assert_int_equal(field(f.bytes, f.len, 1, 0).len, 16);
    assert_int_equal(field(f.bytes, f.len, 2, 0).len, 8);
    assert_memory_equal(field(f.bytes, f.len, 3, 0).bytes, "k=v", 3);
    assert_int_equal(field(f.bytes, f.len, 5, 0).value, 3);
    assert_int_equal(field(f.bytes, f.len, 6, 0).value, 769);
    assert_int_equal(field(got.bytes, got.bytes_len, 10, 0).value, 4);
    assert_int_equal(field(got.bytes, got.bytes_len, 12, 0).value, 5);
    assert_int_equal(field(got.bytes, got.bytes_len, 14, 0).value, 6);
    done(&r);
}

/* Spans of one scope stand together, however they came. */
static void test_otlp_groups_by_scope(void **state)
{
    static const char *const scopes[] = {"", "clew.mhd", "", "own \"x\"", "clew.mhd", "clew.mhd"};
    struct request json_request = {.batch = NULL}, request = {.batch = NULL};
    char name[8];
    json_t *json;

    (void)state;
    for (size_t i = 0; i < 6; i++) {
        struct clew_span_record span = span_with(NULL, 0);

        snprintf(name, sizeof(name), "n%zu", i);
        span.name = name;
        span.scope = scopes[i];
        add(&json_request, true, &span);
        add(&request, false, &span);
    }
    encode(&json_request, true);
    json = parse(&json_request);
    assert_int_equal(json_array_size(spans_of(json, 0)), 2);
    assert_int_equal(json_array_size(spans_of(json, 1)), 3);
    assert_int_equal(json_array_size(spans_of(json, 2)), 1);
    assert_null(spans_of(json, 3));
    assert_string_equal(
        json_string_value(json_object_get(json_array_get(spans_of(json, 1), 1), "name")), "n4");
    json_decref(json);
    encode(&request, false);
    struct clew__pb_field resource = field(request.text, request.body.len, 1, 0);
    struct clew__pb_field scope = field(resource.bytes, resource.len, 2, 1);
    struct clew__pb_field head = field(scope.bytes, scope.len, 1, 0);

    assert_memory_equal(field(head.bytes, head.len, 1, 0).bytes, "clew.mhd", 8);
    assert_int_equal(field(head.bytes, head.len, 2, 0).len, strlen(CLEW_VERSION));
    (void)field(scope.bytes, scope.len, 2, 2);
    done(&request);
    done(&json_request);
}

/* ---- the iterator ------------------------------------------------------------------------------
 */

static void test_otlp_damaged_containers_end(void **state)
{
    static const char *const damaged[] = {
        "\x02",                 /* no element */
        "\x09xxxxxxxx",         /* no such element */
        "\x07\xff\xff\xff\x7f", /* a string that is longer than all */
        "\x02\x01\x02",         /* half a number */
    };
    struct clew_field container = {.key = "", .type = CLEW_TYPE_ARRAY}, element;

    (void)state;
    for (size_t i = 0; i < sizeof(damaged) / sizeof(damaged[0]); i++) {
        size_t at = 0;

        container.value = clew_value_stringn(damaged[i], strlen(damaged[i]));
        assert_false(clew_field_next(&container, &at, &element));
        assert_false(clew_field_next(&container, &at, &element));
    }
    container.type = CLEW_TYPE_OBJECT;
    container.value = clew_value_stringn("\x02\xffk", 3); /* a key that is longer than all */
    size_t at = 0;
    assert_false(clew_field_next(&container, &at, &element));
    container.type = CLEW_TYPE_STRING;
    at = 0;
    assert_false(clew_field_next(&container, &at, &element));
}

/* ---- answers ------------------------------------------------------------------------------------
 */

static void test_otlp_http_verdicts(void **state)
{
    static const struct {
        unsigned status;
        enum clew__verdict verdict;
    } table[] = {
        {200, CLEW__DONE},      {202, CLEW__DONE},      {301, CLEW__PERMANENT}, {400, CLEW__SPLIT},
        {401, CLEW__PERMANENT}, {404, CLEW__PERMANENT}, {413, CLEW__SPLIT},     {429, CLEW__RETRY},
        {500, CLEW__PERMANENT}, {502, CLEW__RETRY},     {503, CLEW__RETRY},     {504, CLEW__RETRY},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct clew__answer a = {.status = table[i].status, .body = "", .records = 5};

        assert_int_equal(clew__otlp_judge_protobuf(&a), table[i].verdict);
        assert_int_equal(clew__otlp_judge_json(&a), table[i].verdict);
    }
}

static void test_otlp_partial_success_is_counted(void **state)
{
    static const char json[] =
        "{\"partialSuccess\":{\"rejectedSpans\":\"3\",\"errorMessage\":\"oops\"}}";
    struct clew__answer a = {
        .status = 200, .body = "\x0a\x08\x08\x03\x12\x04oops", .len = 10, .records = 5};
    struct clew__answer b = {.status = 200, .body = json, .len = sizeof(json) - 1, .records = 5};
    struct clew__answer c = {.status = 503, .body = "{\"message\":\"later\"}", .len = 19};
    struct clew__answer d = {.status = 200,
                             .body = "{\"partialSuccess\":{\"rejectedSpans\":99}}",
                             .len = 39,
                             .records = 5};

    (void)state;
    assert_int_equal(clew__otlp_judge_protobuf(&a), CLEW__DONE);
    assert_int_equal(a.rejected, 3);
    assert_string_equal(a.reason, "oops");
    assert_int_equal(clew__otlp_judge_json(&b), CLEW__DONE);
    assert_int_equal(b.rejected, 3);
    assert_string_equal(b.reason, "oops");
    assert_int_equal(clew__otlp_judge_json(&c), CLEW__RETRY);
    assert_string_equal(c.reason, "later");
    assert_int_equal(clew__otlp_judge_json(&d), CLEW__DONE);
    assert_int_equal(d.rejected, 5); /* never more than there were */
}

static enum clew__verdict grpc(const char *headers, unsigned status, struct clew__answer *ret)
{
    *ret = (struct clew__answer){.status = status,
                                 .headers = headers,
                                 .headers_len = strlen(headers),
                                 .body = "\0\0\0\0\x0a\x0a\x08\x08\x03\x12\x04oops",
                                 .len = 15,
                                 .records = 5};
    return clew__otlp_judge_grpc(ret);
}

static void test_otlp_grpc_verdicts(void **state)
{
    static const enum clew__verdict table[] = {
        CLEW__DONE,      CLEW__RETRY,     CLEW__PERMANENT, CLEW__SPLIT,     CLEW__RETRY,
        CLEW__PERMANENT, CLEW__PERMANENT, CLEW__PERMANENT, CLEW__SPLIT,     CLEW__PERMANENT,
        CLEW__RETRY,     CLEW__RETRY,     CLEW__PERMANENT, CLEW__PERMANENT, CLEW__RETRY,
        CLEW__RETRY,     CLEW__PERMANENT, CLEW__PERMANENT};
    struct clew__answer a;
    char headers[128];

    (void)state;
    for (int i = 0; i < 18; i++) {
        snprintf(headers, sizeof(headers),
                 "HTTP/2 200 \r\nGrpc-Status: %d\r\ngrpc-message: no%%20way%%0a\r\n\r\n", i);
        assert_int_equal(grpc(headers, 200, &a), table[i]);
        assert_int_equal(a.code, i);
        assert_string_equal(a.reason, i ? "no way " : "oops");
    }
    assert_int_equal(a.rejected, 0);
    assert_int_equal(grpc("grpc-status: 0\r\n", 200, &a), CLEW__DONE);
    assert_int_equal(a.rejected, 3);
    /* without a status of its own, HTTP's */
    assert_int_equal(grpc("", 503, &a), CLEW__RETRY);
    assert_int_equal(a.code, 14);
    assert_int_equal(grpc("grpc-status:\r\n", 404, &a), CLEW__PERMANENT);
    assert_int_equal(a.code, 12);
    assert_int_equal(grpc("grpc-status: x\r\n", 200, &a), CLEW__PERMANENT);
}

/* google.rpc.Status{1: 8, 3: Any{RetryInfo{Duration{2 s, 500000000 ns}}}} */
static void test_otlp_grpc_retry_info(void **state)
{
    static const char with[] = "grpc-status: 8\r\ngrpc-status-details-bin: "
                               "CAgaNgoodHlwZS5nb29nbGVhcGlzLmNvbS9nb29nbGUucnBjLlJldHJ5SW5mbxIK"
                               "CggIAhCAyrXuAQ\r\n";
    struct clew__answer a;

    (void)state;
    assert_int_equal(grpc(with, 200, &a), CLEW__RETRY);
    assert_int_equal(a.retry_after_ns, UINT64_C(2500000000));
    assert_int_equal(grpc("grpc-status: 8\r\ngrpc-status-details-bin: !!\r\n", 200, &a),
                     CLEW__SPLIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_otlp_protobuf_span),
        cmocka_unit_test(test_otlp_protobuf_events_links_and_counts),
        cmocka_unit_test(test_otlp_json_values),
        cmocka_unit_test(test_otlp_json_events_links_and_counts),
        cmocka_unit_test(test_otlp_groups_by_scope),
        cmocka_unit_test(test_otlp_damaged_containers_end),
        cmocka_unit_test(test_otlp_http_verdicts),
        cmocka_unit_test(test_otlp_partial_success_is_counted),
        cmocka_unit_test(test_otlp_grpc_verdicts),
        cmocka_unit_test(test_otlp_grpc_retry_info),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
