/* SPDX-License-Identifier: Apache-2.0
 * The scanner: what is JSON and what is not, beside jansson on random lines. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <scan.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RANDOM_LINES 60000

/* The number of members; -1 malformed. */
static int members(const char *text, size_t len)
{
    struct clew__scan scan;
    struct clew__scan_member m;
    int n = 0, more = -1;

    if (clew__scan_open(&scan, text, len))
        while ((more = clew__scan_next(&scan, &m)) == 1)
            n++;
    return more < 0 ? -1 : n;
}

static void test_scan_takes_json_and_nothing_else(void **state)
{
    static const struct {
        const char *text;
        int members;
    } cases[] = {
        {"{}", 0},
        {" {\t}\r ", 0},
        {"{\"a\":1}", 1},
        {"{ \"a\" : [ ] , \"b\" : { } }", 2},
        {"{\"a\":[1,{\"b\":[[],{}]},\"x\"],\"c\":-0.5e+10}", 2},
        {"{\"a\":\"\\u00e9\\n\\\"\\\\\\/\",\"b\":true,\"c\":false,\"d\":null}", 4},
        {"{\"a\":\"\\ud800\"}", 1},
        {"", -1},
        {"[]", -1},
        {"1", -1},
        {"{", -1},
        {"{\"a\"", -1},
        {"{\"a\":", -1},
        {"{\"a\":1", -1},
        {"{\"a\":1,}", -1},
        {"{,\"a\":1}", -1},
        {"{\"a\":1}x", -1},
        {"{\"a\":1}{", -1},
        {"{\"a\":01}", -1},
        {"{\"a\":1.}", -1},
        {"{\"a\":.5}", -1},
        {"{\"a\":1e}", -1},
        {"{\"a\":-}", -1},
        {"{\"a\":+1}", -1},
        {"{\"a\":NaN}", -1},
        {"{\"a\":tru}", -1},
        {"{\"a\":\"\\x\"}", -1},
        {"{\"a\":\"\\u12g4\"}", -1},
        {"{\"a\":\"\\u12", -1},
        {"{\"a\":\"x\ty\"}", -1},
        {"{\"a\":[1}", -1},
        {"{\"a\":{]}", -1},
        {"{\"a\":[1,]}", -1},
        {"{\"a\":{\"b\"}}", -1},
        {"{\"a\":{\"b\":1,}}", -1},
        {"{a:1}", -1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        /* At the very end of the memory, so that a read beyond is seen. */
        size_t len = strlen(cases[i].text);
        char *copy = malloc(len ? len : 1);

        memcpy(copy, cases[i].text, len);
        if (members(copy, len) != cases[i].members)
            fail_msg("%s", cases[i].text);
        free(copy);
    }
}

static void test_scan_bounds_the_depth(void **state)
{
    static char text[3 * CLEW__SCAN_DEPTH];
    size_t n;

    (void)state;
    for (size_t depth = CLEW__SCAN_DEPTH; depth <= CLEW__SCAN_DEPTH + 1; depth++) {
        n = (size_t)sprintf(text, "{\"a\":");
        memset(text + n, '[', depth);
        memset(text + n + depth, ']', depth);
        text[n + 2 * depth] = '}';
        assert_int_equal(members(text, n + 2 * depth + 1), depth == CLEW__SCAN_DEPTH ? 1 : -1);
    }
}

static void test_scan_numbers_compare_by_value(void **state)
{
    static const struct {
        const char *a, *b;
        bool same;
    } cases[] = {
        {"100", "100.0", true},
        {"1e2", "100", true},
        {"0.001", "1e-3", true},
        {"0.0010", "10E-4", true},
        {"-0", "0", true},
        {"0e99", "0.000", true},
        {"-1", "1", false},
        {"9007199254740993", "9007199254740992", false},
        {"12", "120", false},
        {"1.5", "15", false},
        {"1.5", "15e-1", true},
        {"1e400", "1e401", false},
        {"10e399", "1e400", true},
        {"1e99999999999999999999", "1e99999999999999999999", true},
        {"0.1", "0.10000000000000001", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        for (int turn = 0; turn < 2; turn++) {
            const char *a = turn ? cases[i].b : cases[i].a, *b = turn ? cases[i].a : cases[i].b;

            if (clew__scan_same_number(a, strlen(a), b, strlen(b)) != cases[i].same)
                fail_msg("%s and %s", a, b);
        }
    assert_true(clew__scan_is_number("-1.5e3", 6));
    assert_false(clew__scan_is_number("1 ", 2));
    assert_false(clew__scan_is_number("1,\"a\":2", 7));
    assert_false(clew__scan_is_number("0x10", 4));
    assert_false(clew__scan_is_number("", 0));
    assert_false(clew__scan_is_number("\"1\"", 3));
}

static void test_scan_strings_are_decoded(void **state)
{
    static const struct {
        const char *raw, *text;
        size_t len;
    } cases[] = {
        {"plain", "plain", 5},
        {"a\\\"\\\\\\/\\b\\f\\n\\r\\tz", "a\"\\/\b\f\n\r\tz", 10},
        {"\\u0041\\u00e9\\u20AC\\ud83d\\ude00", "A\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80", 10},
        {"\\u0000", "\0", 1},
        {"\\ud83d!\\ude00", "\xEF\xBF\xBD!\xEF\xBF\xBD", 7},
        {"\\ud83d\\u0041",
         "\xEF\xBF\xBD"
         "A",
         4},
    };
    struct clew__buf out;

    (void)state;
    clew__buf_init(&out, 1024);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct clew__scan_value v = {.type = CLEW__SCAN_STRING,
                                     .escaped = strchr(cases[i].raw, '\\') != NULL,
                                     .at = cases[i].raw,
                                     .len = strlen(cases[i].raw)};

        clew__buf_reset(&out);
        clew__scan_decode(&out, &v);
        assert_int_equal(out.len, cases[i].len);
        assert_memory_equal(out.data, cases[i].text, out.len);
        assert_true(clew__scan_equals(&v, cases[i].text, cases[i].len));
        assert_false(clew__scan_equals(&v, cases[i].text, cases[i].len - 1));
        assert_false(clew__scan_equals(&v, "another", 7));
    }
    clew__buf_done(&out);
}

/* ---- beside jansson --------------------------------------------------------- */

static uint64_t seed = 88172645463325252u;

static unsigned pick(unsigned n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)(seed >> 20) % n;
}

static void add_space(struct clew__buf *out)
{
    for (unsigned n = pick(8) ? 0 : pick(3); n > 0; n--)
        clew__buf_addc(out, " \t\r\n"[pick(4)]);
}

static void add_string(struct clew__buf *out, unsigned max)
{
    static const char *const pieces[] = {"a",
                                         "Zq ",
                                         "\\n",
                                         "\\\"",
                                         "\\\\",
                                         "\\/",
                                         "\\u0041",
                                         "\\u00e9",
                                         "\xC3\xA9",
                                         "\xE2\x82\xAC",
                                         "\\ud83d\\ude00",
                                         "\\u0000",
                                         "{",
                                         "]",
                                         ":",
                                         ",",
                                         "\x7f",
                                         "0123456789abcdef"};

    clew__buf_addc(out, '"');
    for (unsigned n = pick(max); n > 0; n--)
        clew__buf_adds(out, pieces[pick(sizeof(pieces) / sizeof(pieces[0]))]);
    clew__buf_addc(out, '"');
}

static void add_value(struct clew__buf *out, unsigned depth)
{
    static const char *const scalars[] = {
        "true", "false", "null", "0", "-1", "12.50", "1e3", "-0.5E-2", "123456789012345678"};
    unsigned kind = pick(depth > 4 ? 2 : 4);
    bool object = kind == 3;

    add_space(out);
    if (kind == 0) {
        add_string(out, 6);
    } else if (kind == 1) {
        clew__buf_adds(out, scalars[pick(sizeof(scalars) / sizeof(scalars[0]))]);
    } else {
        clew__buf_addc(out, object ? '{' : '[');
        for (unsigned i = 0, n = pick(4); i < n; i++) {
            if (i > 0)
                clew__buf_addc(out, ',');
            add_space(out);
            if (object) {
                add_string(out, 4);
                add_space(out);
                clew__buf_addc(out, ':');
            }
            add_value(out, depth + 1);
        }
        add_space(out);
        clew__buf_addc(out, object ? '}' : ']');
    }
    add_space(out);
}

static void add_random_line(struct clew__buf *out)
{
    clew__buf_reset(out);
    clew__buf_addc(out, '{');
    for (unsigned i = 0, n = pick(8); i < n; i++) {
        if (i > 0)
            clew__buf_addc(out, ',');
        add_space(out);
        add_string(out, 4);
        clew__buf_addc(out, ':');
        add_value(out, 0);
    }
    clew__buf_addc(out, '}');
    for (unsigned n = pick(3) ? 0 : 1 + pick(3); n > 0; n--)
        switch (pick(3)) {
        case 0:
            out->data[pick((unsigned)out->len)] = "{}[]\",:\\u0-.e \t\n\x80\xC3x"[pick(20)];
            break;
        case 1:
            out->len = 1 + pick((unsigned)out->len);
            break;
        default:
            clew__buf_addc(out, "{}],\" x"[pick(7)]);
        }
}

/* What we let through on purpose and jansson does not. */
static bool is_leniency(const json_error_t *error)
{
    switch (json_error_code(error)) {
    case json_error_invalid_utf8:
    case json_error_null_byte_in_key:
    case json_error_numeric_overflow:
        return true;
    default:
        return strstr(error->text, "invalid Unicode") || strstr(error->text, "unable to decode");
    }
}

static void compare(json_t *reference, const char *text, size_t len)
{
    struct clew__scan scan;
    struct clew__scan_member m;
    struct clew__buf key, value;

    clew__buf_init(&key, 65536);
    clew__buf_init(&value, 65536);
    assert_true(clew__scan_open(&scan, text, len));
    while (clew__scan_next(&scan, &m) == 1) {
        json_t *mine;

        clew__buf_reset(&key);
        clew__buf_reset(&value);
        clew__scan_decode(&key, &m.key);
        clew__scan_compact(&value, &m.value);
        mine = json_loadb(value.data, value.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        clew__buf_addc(&key, '\0'); /* jansson takes no key with a NUL in it */
        if (!mine || !json_equal(mine, json_object_get(reference, key.data)))
            fail_msg("member %.*s of %.*s", (int)key.len, key.data, (int)len, text);
        json_decref(mine);
    }
    clew__buf_done(&key);
    clew__buf_done(&value);
}

static void test_scan_agrees_with_jansson(void **state)
{
    struct clew__buf line;
    int compared = 0, refused = 0;

    (void)state;
    clew__buf_init(&line, 1u << 20);
    for (int i = 0; i < RANDOM_LINES; i++) {
        json_error_t error;
        json_t *reference;
        char *exact;
        int n;

        add_random_line(&line);
        exact = malloc(line.len);
        memcpy(exact, line.data, line.len);
        n = members(exact, line.len);
        reference = json_loadb(exact, line.len, JSON_ALLOW_NUL, &error);
        if ((n >= 0) != (reference != NULL) && !(n >= 0 && is_leniency(&error)))
            fail_msg("jansson: %s; we: %d; %.*s", reference ? "good" : error.text, n, (int)line.len,
                     line.data);
        if (reference && (size_t)n == json_object_size(reference)) {
            compare(reference, exact, line.len);
            compared++;
        }
        refused += n < 0;
        json_decref(reference);
        free(exact);
    }
    assert_true(compared > RANDOM_LINES / 4);
    assert_true(refused > RANDOM_LINES / 20);
    clew__buf_done(&line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scan_takes_json_and_nothing_else),
        cmocka_unit_test(test_scan_bounds_the_depth),
        cmocka_unit_test(test_scan_numbers_compare_by_value),
        cmocka_unit_test(test_scan_strings_are_decoded),
        cmocka_unit_test(test_scan_agrees_with_jansson),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
