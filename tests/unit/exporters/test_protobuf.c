/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <otlp_read.h>
#include <protobuf_read.h>
#include <protobuf_write.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void test_protobuf_known_bytes(void **state)
{
    /* the examples of the encoding specification: 150, "testing", fixed */
    static const uint8_t bytes[] =
        "\x08\x96\x01\x12\x07testing\x19\x01\0\0\0\0\0\0\x80\x25\x02\0\0\0";
    struct clew__pb pb = clew__pb_of(bytes, sizeof(bytes) - 1);
    struct clew__pb_field f;

    (void)state;
    assert_true(clew__pb_next(&pb, &f));
    assert_int_equal(f.number, 1);
    assert_int_equal(f.value, 150);
    assert_true(clew__pb_next(&pb, &f));
    assert_int_equal(f.len, 7);
    assert_memory_equal(f.bytes, "testing", 7);
    assert_true(clew__pb_next(&pb, &f));
    assert_true(f.value == UINT64_C(0x8000000000000001));
    assert_true(clew__pb_next(&pb, &f));
    assert_int_equal(f.number, 4);
    assert_int_equal(f.value, 2);
    assert_false(clew__pb_next(&pb, &f));
    assert_false(pb.bad);
}

static void test_protobuf_malformed_is_bad(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
    } table[] = {
        {"\x08", 1},                                          /* no value */
        {"\x08\x80", 2},                                      /* varint without an end */
        {"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 11}, /* over 64 bits */
        {"\x12\x05"
         "abc",
         5},                                                  /* shorter than it says */
        {"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11}, /* a length of 2^64-1 */
        {"\x00\x01", 2},                                      /* field 0 */
        {"\x0b", 1},                                          /* a group */
        {"\x0d\x01\x02", 3},                                  /* half a fixed32 */
    };

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        char *exact = malloc(table[i].len);
        struct clew__pb pb;
        struct clew__pb_field f;

        memcpy(exact, table[i].bytes, table[i].len);
        pb = clew__pb_of(exact, table[i].len);
        assert_false(clew__pb_next(&pb, &f));
        assert_true(pb.bad);
        free(exact);
    }
}

static void test_protobuf_nested_messages_round_trip(void **state)
{
    struct clew__buf out;
    struct clew__pb pb, inner;
    struct clew__pb_field f;
    size_t outer, at;

    (void)state;
    clew__buf_init(&out, 1 << 20);
    outer = clew__pb_begin(&out, 1);
    at = clew__pb_begin(&out, 2);
    for (int i = 0; i < 100; i++)
        clew__pb_string(&out, 3, "text");
    clew__pb_end(&out, at);
    clew__pb_uint(&out, 4, UINT64_MAX);
    clew__pb_end(&out, outer);
    pb = clew__pb_of(out.data, out.len);
    assert_true(clew__pb_next(&pb, &f));
    assert_int_equal(f.number, 1);
    inner = clew__pb_of(f.bytes, f.len);
    assert_true(clew__pb_next(&inner, &f));
    assert_int_equal(f.len, 600);
    assert_true(clew__pb_next(&inner, &f));
    assert_true(f.value == UINT64_MAX);
    assert_false(clew__pb_next(&inner, &f) || inner.bad || clew__pb_next(&pb, &f));
    clew__buf_done(&out);
}

static bool take(void *arg, const struct clew__otlp_span *span)
{
    (*(int *)arg)++;
    assert_non_null(span->trace_id);
    return true;
}

static void ignore(void *arg, const char *key, size_t key_len, const char *json, size_t json_len)
{
    (void)arg;
    (void)key;
    (void)key_len;
    (void)json;
    (void)json_len;
}

static void test_protobuf_otlp_survives_any_bytes(void **state)
{
    (void)state;
    srand(7);
    for (int round = 0; round < 50000; round++) {
        size_t len = (size_t)rand() % 100;
        uint8_t *bytes = malloc(len ? len : 1);
        int n = 0;

        for (size_t i = 0; i < len; i++)
            bytes[i] =
                (uint8_t)(rand() % 3 ? "\x0a\x12\x1a\x04\x02\x08\x10\x20"[rand() % 8] : rand());
        (void)clew__otlp_read(bytes, len, take, &n);
        (void)clew__otlp_attributes(bytes, len, 1, ignore, NULL);
        free(bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_protobuf_known_bytes),
        cmocka_unit_test(test_protobuf_malformed_is_bad),
        cmocka_unit_test(test_protobuf_nested_messages_round_trip),
        cmocka_unit_test(test_protobuf_otlp_survives_any_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
