/* SPDX-License-Identifier: Apache-2.0
 * What goes over the wire to Loki and to an OTLP collector, and what their
 * answers mean. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <exporters_priv.h>
#include <json.h>
#include <otlp_read.h>

#include <snappy-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct clew__batch *batch_of(void (*append)(struct clew__buf *, const void *),
                                    const void *record)
{
    struct clew__batch *batch = calloc(1, sizeof(*batch));

    clew__buf_init(&batch->records, 1 << 20);
    append(&batch->records, record);
    batch->n = 1;
    return batch;
}

static void append_line(struct clew__buf *out, const void *record)
{
    clew__loki_append(out, record);
}

static void append_span(struct clew__buf *out, const void *record)
{
    clew__otlp_append(out, record);
}

/* The n-th field of this number in a message. */
static struct clew__pb_field field(const void *bytes, size_t len, uint32_t number, int n)
{
    struct clew__pb pb = clew__pb_of(bytes, len);
    struct clew__pb_field f;

    while (clew__pb_next(&pb, &f))
        if (f.number == number && n-- == 0)
            return f;
    fail_msg("no field %u", number);
    return f;
}

static void assert_metadata(const struct clew__pb_field *entry, int n, const char *name,
                            const char *value)
{
    struct clew__pb_field pair = field(entry->bytes, entry->len, 3, n);
    struct clew__pb_field key = field(pair.bytes, pair.len, 1, 0);
    struct clew__pb_field text = field(pair.bytes, pair.len, 2, 0);

    assert_int_equal(key.len, strlen(name));
    assert_memory_equal(key.bytes, name, key.len);
    assert_int_equal(text.len, strlen(value));
    assert_memory_equal(text.bytes, value, text.len);
}

static void test_encode_loki_push_request(void **state)
{
    static const uint8_t trace_id[16] = {0x0a, [15] = 0xff};
    static const uint8_t span_id[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    struct clew_line line = {.time_ns = UINT64_C(1700000000123456789),
                             .level = CLEW_LEVEL_WARN,
                             .json = "{\"message\":\"m\"}",
                             .json_len = 15,
                             .request_id = "r-1",
                             .correlation_id = "c-1",
                             .trace_id = trace_id};
    struct clew__pb_field stream, entry, time;
    struct clew__batch *batch;
    struct clew__buf body;
    size_t len;
    char *plain;

    (void)state;
    memcpy(&line.span_id, span_id, 8);
    batch = batch_of(append_line, &line);
    clew__buf_init(&body, 1 << 20);
    assert_true(clew__loki_encode(batch, &body));
    assert_int_equal(snappy_uncompressed_length(body.data, body.len, &len), SNAPPY_OK);
    plain = malloc(len);
    assert_int_equal(snappy_uncompress(body.data, body.len, plain, &len), SNAPPY_OK);
    stream = field(plain, len, 1, 0);
    assert_memory_equal(field(stream.bytes, stream.len, 1, 0).bytes, "{service=\"", 10);
    entry = field(stream.bytes, stream.len, 2, 0);
    time = field(entry.bytes, entry.len, 1, 0);
    assert_int_equal(field(time.bytes, time.len, 1, 0).value, 1700000000);
    assert_int_equal(field(time.bytes, time.len, 2, 0).value, 123456789);
    assert_memory_equal(field(entry.bytes, entry.len, 2, 0).bytes, line.json, 15);
    assert_metadata(&entry, 0, "level", "warn");
    assert_metadata(&entry, 1, "request_id", "r-1");
    assert_metadata(&entry, 2, "correlation_id", "c-1");
    assert_metadata(&entry, 3, "trace_id", "0a0000000000000000000000000000ff");
    assert_metadata(&entry, 4, "span_id", "0102030405060708");
    free(plain);
    clew__buf_done(&body);
    clew__batch_free(batch);
}

static void test_encode_loki_leaves_out_what_is_unknown(void **state)
{
    static const uint8_t none[16];
    struct clew_line line = {.time_ns = 1,
                             .level = CLEW_LEVEL_INFO,
                             .json = "{}",
                             .json_len = 2,
                             .request_id = "",
                             .correlation_id = "",
                             .trace_id = none};
    struct clew__buf out;
    struct clew__pb pb;
    struct clew__pb_field entry, f;
    int pairs = 0;

    (void)state;
    clew__buf_init(&out, 4096);
    clew__loki_append(&out, &line);
    entry = field(out.data, out.len, 2, 0);
    pb = clew__pb_of(entry.bytes, entry.len);
    while (clew__pb_next(&pb, &f))
        pairs += f.number == 3;
    assert_int_equal(pairs, 1); /* the level */
    clew__buf_done(&out);
}

static char seen_attributes[1024];

static void take_attribute(void *arg, const char *key, size_t key_len, const char *json,
                           size_t json_len)
{
    (void)arg;
    snprintf(seen_attributes + strlen(seen_attributes),
             sizeof(seen_attributes) - strlen(seen_attributes), "%.*s=%.*s;", (int)key_len, key,
             (int)json_len, json);
}

static bool check_span(void *arg, const struct clew__otlp_span *span)
{
    (*(int *)arg)++;
    assert_int_equal(span->trace_id[0], 0x0a);
    assert_memory_equal(span->span_id, "\1\2\3\4\5\6\7\10", 8);
    assert_memory_equal(span->parent_id, "\11\11\11\11\11\11\11\11", 8);
    assert_memory_equal(span->name, "GET /x", span->name_len);
    assert_int_equal(span->kind, CLEW_SPAN_SERVER);
    assert_int_equal(span->status, CLEW_SPAN_ERROR);
    assert_memory_equal(span->status_message, "broken", span->status_message_len);
    assert_int_equal(span->start_ns, 1000);
    assert_int_equal(span->end_ns, 2000);
    assert_int_equal(field(span->bytes, span->bytes_len, 16, 0).value, 0x301);
    assert_memory_equal(field(span->bytes, span->bytes_len, 3, 0).bytes, "a=1", 3);
    seen_attributes[0] = '\0';
    assert_int_equal(clew__otlp_attributes(span->bytes, span->bytes_len, 9, take_attribute, NULL),
                     0);
    assert_string_equal(seen_attributes, "s=\"t\";i=-3;b=false;d=0.5;u=9223372036854775807;");
    seen_attributes[0] = '\0';
    (void)clew__otlp_attributes(span->resource, span->resource_len, 1, take_attribute, NULL);
    assert_non_null(strstr(seen_attributes, "telemetry.sdk.language=\"c\";"));
    assert_non_null(strstr(seen_attributes, "deployment.environment.name=\"a b\";"));
    return true;
}

static void test_encode_otlp_request(void **state)
{
    const struct clew_field attributes[] = {
        {"s", CLEW_TYPE_STRING, 1, clew_value_stringn("t", 1)},
        {"i", CLEW_TYPE_INT, 1, clew_value_int(-3)},
        {"b", CLEW_TYPE_BOOL, 1, clew_value_bool(false)},
        {"d", CLEW_TYPE_DOUBLE, 1, clew_value_double(0.5)},
        {"u", CLEW_TYPE_UINT, 1, clew_value_uint(UINT64_MAX)},
    };
    struct clew_span_record span = {.trace_id = {0x0a},
                                    .start_ns = 1000,
                                    .end_ns = 2000,
                                    .kind = CLEW_SPAN_SERVER,
                                    .status = CLEW_SPAN_ERROR,
                                    .trace_flags = 1,
                                    .parent_is_remote = true,
                                    .name = "GET /x",
                                    .status_message = "broken",
                                    .trace_state = "a=1",
                                    .nattributes = 5,
                                    .attributes = attributes};
    struct clew__batch *batch;
    struct clew__buf body;
    int n = 0;

    (void)state;
    setenv("OTEL_RESOURCE_ATTRIBUTES", "service.name=no,deployment.environment.name=a%20b", 1);
    memcpy(&span.span_id, "\1\2\3\4\5\6\7\10", 8);
    memset(&span.parent_span_id, 9, 8);
    batch = batch_of(append_span, &span);
    clew__buf_init(&body, 1 << 20);
    assert_true(clew__otlp_encode(batch, &body));
    assert_int_equal(clew__otlp_read(body.data, body.len, check_span, &n), 0);
    assert_int_equal(n, 1);
    clew__buf_done(&body);
    clew__batch_free(batch);
}

static void test_encode_verdicts(void **state)
{
    static const struct {
        unsigned status;
        enum clew__verdict loki, otlp;
    } table[] = {
        {200, CLEW__DONE, CLEW__DONE},           {204, CLEW__DONE, CLEW__DONE},
        {301, CLEW__PERMANENT, CLEW__PERMANENT}, {400, CLEW__DONE, CLEW__PERMANENT},
        {401, CLEW__PERMANENT, CLEW__PERMANENT}, {404, CLEW__PERMANENT, CLEW__PERMANENT},
        {413, CLEW__PERMANENT, CLEW__PERMANENT}, {422, CLEW__PERMANENT, CLEW__PERMANENT},
        {429, CLEW__RETRY, CLEW__RETRY},         {500, CLEW__RETRY_FEW, CLEW__PERMANENT},
        {502, CLEW__RETRY, CLEW__RETRY},         {503, CLEW__RETRY, CLEW__RETRY},
        {504, CLEW__RETRY, CLEW__RETRY},         {507, CLEW__RETRY_FEW, CLEW__PERMANENT},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct clew__answer a = {.status = table[i].status, .body = "", .records = 5};

        assert_int_equal(clew__loki_judge(&a), table[i].loki);
        assert_int_equal(a.rejected, table[i].status == 400 ? 5 : 0);
        assert_int_equal(clew__otlp_judge(&a), table[i].otlp);
    }
}

static void test_encode_loki_says_how_many(void **state)
{
    static const struct {
        const char *body;
        size_t rejected;
    } table[] = {
        {"entry too old, total ignored: 2 out of 5", 2},
        {"total ignored: 0 out of 5", 5},
        {"total ignored: 99999999999999999999999 out of 5", 5},
        {"total ignored: ", 5},
        {"parse error", 5},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct clew__answer a = {
            .status = 400, .body = table[i].body, .len = strlen(table[i].body), .records = 5};

        assert_int_equal(clew__loki_judge(&a), CLEW__DONE);
        assert_int_equal(a.rejected, table[i].rejected);
    }
}

static void test_encode_partial_success_is_counted(void **state)
{
    struct clew__answer a = {
        .status = 200, .body = "\x0a\x08\x08\x03\x12\x04oops", .len = 10, .records = 5};

    (void)state;
    assert_int_equal(clew__otlp_judge(&a), CLEW__DONE);
    assert_int_equal(a.rejected, 3);
    assert_string_equal(a.reason, "oops");
}

static void test_encode_batcher_bounds_and_counts(void **state)
{
    struct clew__batcher b;
    uint64_t wait;
    size_t n = 0;

    (void)state;
    clew__batcher_init(&b, 100, 0, UINT64_C(3600000000000), 250);
    for (int i = 0; i < 50; i++) {
        clew__buf_add(clew__batcher_begin(&b), "0123456789", 10);
        (void)clew__batcher_commit(&b);
    }
    assert_int_equal(b.dropped, 30);
    assert_int_equal(b.queued, 20);
    clew__buf_add(clew__batcher_begin(&b), "x", 1);
    assert_false(clew__batcher_commit(&b));
    for (struct clew__batch *batch; (batch = clew__batcher_take(&b, false, &wait)); n++) {
        assert_int_equal(batch->n, 10);
        clew__batch_free(batch);
    }
    assert_int_equal(n, 2);
    assert_true(wait > 0 && wait < UINT64_MAX); /* the open one is not due */
    struct clew__batch *last = clew__batcher_take(&b, true, &wait);
    assert_int_equal(last->n, 1);
    clew__batch_free(last);
    clew__batcher_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_encode_loki_push_request),
        cmocka_unit_test(test_encode_loki_leaves_out_what_is_unknown),
        cmocka_unit_test(test_encode_otlp_request),
        cmocka_unit_test(test_encode_verdicts),
        cmocka_unit_test(test_encode_loki_says_how_many),
        cmocka_unit_test(test_encode_partial_success_is_counted),
        cmocka_unit_test(test_encode_batcher_bounds_and_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
