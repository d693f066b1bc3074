/* SPDX-License-Identifier: Apache-2.0
 * What goes over the wire to Loki, and what its answers mean. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "pb_field.h"

#include <exporters_priv.h>
#include <json.h>
#include <protobuf_read.h>

#include <snappy-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
    struct clew__batch *batch = clew__batch_new(1 << 20);
    struct clew__body request;
    struct clew__buf body;
    size_t len;
    char *plain;

    (void)state;
    memcpy(&line.span_id, span_id, 8);
    clew__loki_append(&batch->records, &line);
    clew__body_init(&request, 1 << 20);
    assert_true(clew__loki_encode(batch, &request) && clew__body_finish(&request));
    body = request.own;
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
    clew__body_done(&request);
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

static void test_encode_loki_verdicts(void **state)
{
    static const struct {
        unsigned status;
        enum clew__verdict verdict;
    } table[] = {
        {200, CLEW__DONE},      {204, CLEW__DONE},      {301, CLEW__PERMANENT},
        {400, CLEW__DONE},      {401, CLEW__PERMANENT}, {404, CLEW__PERMANENT},
        {413, CLEW__PERMANENT}, {422, CLEW__PERMANENT}, {429, CLEW__RETRY},
        {500, CLEW__RETRY_FEW}, {502, CLEW__RETRY},     {503, CLEW__RETRY},
        {504, CLEW__RETRY},     {507, CLEW__RETRY_FEW},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct clew__answer a = {.status = table[i].status, .body = "", .records = 5};

        assert_int_equal(clew__loki_judge(&a), table[i].verdict);
        assert_int_equal(a.rejected, table[i].status == 400 ? 5 : 0);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_encode_loki_push_request),
        cmocka_unit_test(test_encode_loki_leaves_out_what_is_unknown),
        cmocka_unit_test(test_encode_loki_verdicts),
        cmocka_unit_test(test_encode_loki_says_how_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
