/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <json.h>

#include <jansson.h>
#include <math.h>
#include <stdlib.h>

static void assert_string_becomes(const char *in, size_t len, const char *expected)
{
    struct clew__buf out;

    clew__buf_init(&out, 4096);
    clew__json_string(&out, in, len);
    clew__buf_addc(&out, '\0');
    assert_false(out.failed);
    assert_string_equal(out.data, expected);
    clew__buf_done(&out);
}

static void test_json_string_escapes(void **state)
{
    static const struct {
        const char *in;
        size_t len;
        const char *expected;
    } table[] = {
        {"", 0, "\"\""},
        {"plain", 5, "\"plain\""},
        {"a\"b\\c", 5, "\"a\\\"b\\\\c\""},
        {"\n\r\t\x01\x1f\x7f", 6, "\"\\n\\r\\t\\u0001\\u001f\\u007f\""},
        {"a\0b", 3, "\"a\\u0000b\""},
        {"gr\xc3\xbc\xc3\x9f \xf0\x9f\x94\xa5", 11, "\"gr\xc3\xbc\xc3\x9f \xf0\x9f\x94\xa5\""},
        {"\xff", 1, "\"\xEF\xBF\xBD\""},
        {"\xc3", 1, "\"\xEF\xBF\xBD\""},
        {"\xc0\xaf", 2, "\"\xEF\xBF\xBD\xEF\xBF\xBD\""},
        {"\xed\xa0\x80x", 4, "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBDx\""},
        {"\xf4\x90\x80\x80", 4, "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\""},
        {"eight by\"eight by", 17, "\"eight by\\\"eight by\""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        assert_string_becomes(table[i].in, table[i].len, table[i].expected);
}

static void test_json_string_of_random_bytes_is_valid(void **state)
{
    struct clew__buf out;
    char bytes[64];

    (void)state;
    clew__buf_init(&out, 4096);
    srand(1);
    for (int round = 0; round < 20000; round++) {
        size_t len = (size_t)rand() % sizeof(bytes);
        json_t *parsed;

        for (size_t i = 0; i < len; i++)
            bytes[i] = (char)rand();
        clew__buf_reset(&out);
        clew__json_string(&out, bytes, len);
        parsed = json_loadb(out.data, out.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        assert_non_null(parsed);
        json_decref(parsed);
    }
    clew__buf_done(&out);
}

static void assert_double_becomes(double v, const char *expected)
{
    struct clew__buf out;

    clew__buf_init(&out, 4096);
    clew__json_double(&out, v);
    clew__buf_addc(&out, '\0');
    assert_string_equal(out.data, expected);
    clew__buf_done(&out);
}

static void test_json_double_known_values(void **state)
{
    (void)state;
    assert_double_becomes(0, "0.0");
    assert_double_becomes(-0.0, "-0.0");
    assert_double_becomes(100, "100.0");
    assert_double_becomes(-1.5, "-1.5");
    assert_double_becomes(0.1, "0.1");
    assert_double_becomes(1234.05, "1234.05");
    assert_double_becomes(0.000009123, "0.000009123");
    assert_double_becomes(-1e-7, "-0.0000001");
    assert_double_becomes(1e-8, "1e-08");
    assert_double_becomes(1e300, "1e+300");
    assert_double_becomes(NAN, "\"NaN\"");
    assert_double_becomes(INFINITY, "\"Infinity\"");
    assert_double_becomes(-INFINITY, "\"-Infinity\"");
}

static void test_json_double_reads_back_equal(void **state)
{
    struct clew__buf out;

    (void)state;
    clew__buf_init(&out, 4096);
    srand(2);
    for (int i = 0; i < 200000; i++) {
        uint64_t bits = (uint64_t)rand() << 42 ^ (uint64_t)rand() << 21 ^ (uint64_t)rand();
        double v;

        memcpy(&v, &bits, 8);
        if (i % 3 == 0)
            v = (double)(rand() % 1000000) / 1000;
        else if (i % 3 == 1)
            v = (double)(rand() % 100000) / 1e9; /* short durations */
        if (!isfinite(v))
            continue;
        clew__buf_reset(&out);
        clew__json_double(&out, v);
        clew__buf_addc(&out, '\0');
        assert_true(strtod(out.data, NULL) == v);
    }
    clew__buf_done(&out);
}

static void test_json_integers_at_their_ends(void **state)
{
    struct clew__buf out;

    (void)state;
    clew__buf_init(&out, 4096);
    clew__json_int(&out, INT64_MIN);
    clew__buf_addc(&out, ' ');
    clew__json_int(&out, INT64_MAX);
    clew__buf_addc(&out, ' ');
    clew__json_uint(&out, UINT64_MAX);
    clew__buf_addc(&out, '\0');
    assert_string_equal(out.data, "-9223372036854775808 9223372036854775807 18446744073709551615");
    clew__buf_done(&out);
}

static void test_json_utf8_cut_keeps_sequences_whole(void **state)
{
    (void)state;
    assert_int_equal(clew__utf8_cut("abc", 3, 5), 3);
    assert_int_equal(clew__utf8_cut("abc", 3, 2), 2);
    assert_int_equal(clew__utf8_cut("a\xc3\xbc", 3, 2), 1);
    assert_int_equal(clew__utf8_cut("\xf0\x9f\x94\xa5x", 5, 3), 0);
    assert_int_equal(clew__utf8_cut("\xf0\x9f\x94\xa5x", 5, 4), 4);
}

static void test_json_buffer_keeps_its_cap(void **state)
{
    struct clew__buf out;

    (void)state;
    clew__buf_init(&out, 16);
    clew__buf_add(&out, "0123456789", 10);
    clew__buf_add(&out, "0123456789", 10);
    assert_true(out.failed);
    clew__buf_add(&out, "x", 1);
    assert_int_equal(out.len, 10);
    clew__buf_reset(&out);
    clew__buf_addf(&out, "%s", "0123456789abcdef0");
    assert_true(out.failed);
    clew__buf_done(&out);
}

static void test_json_hex_both_ways(void **state)
{
    unsigned char bytes[2];
    char text[4];

    (void)state;
    clew__hex(text, "\x0a\xff", 2);
    assert_memory_equal(text, "0aff", 4);
    assert_int_equal(clew__unhex(bytes, "0AfF", 2), 0);
    assert_memory_equal(bytes, "\x0a\xff", 2);
    assert_int_equal(clew__unhex(bytes, "0g", 1), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_string_escapes),
        cmocka_unit_test(test_json_string_of_random_bytes_is_valid),
        cmocka_unit_test(test_json_double_known_values),
        cmocka_unit_test(test_json_double_reads_back_equal),
        cmocka_unit_test(test_json_integers_at_their_ends),
        cmocka_unit_test(test_json_utf8_cut_keeps_sequences_whole),
        cmocka_unit_test(test_json_buffer_keeps_its_cap),
        cmocka_unit_test(test_json_hex_both_ways),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
