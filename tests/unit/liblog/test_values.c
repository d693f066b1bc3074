/* SPDX-License-Identifier: Apache-2.0
 * Every kind of field, from the call to the JSON that a reader gets back; what
 * is hostile, too long or too deep; and printf. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <child.h>
#include <clew/context.h>
#include <clew/logger.h>
#include <format_priv.h>

#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *field(const char *message, const char *key)
{
    json_t *line = child_line(message);

    assert_non_null(line);
    return json_object_get(json_object_get(line, "context"), key);
}

static void assert_json(const char *message, const char *key, const char *expected)
{
    json_t *value = field(message, key);
    char *text = value ? json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS) : NULL;

    if (!text)
        fail_msg("%s: no field \"%s\"", message, key);
    assert_string_equal(text, expected);
    free(text);
}

static size_t fill(void *arg, char *buf, size_t size)
{
    size_t len = *(size_t *)arg;

    memset(buf, 'z', len < size ? len : size);
    return len;
}

static int all_types(void *arg)
{
    static const char good[] = " { \"a\" : [ 1 , -2.5e+3 , \"\\u00e9\" ] , \"b\":null }";
    static const char *const names[] = {"a", "b\"c", NULL, ""};
    static const int ints[] = {1, -2, INT32_MIN};
    static const unsigned long long big[] = {1, INT64_MAX};
    static const double doubles[] = {0.1, -0.0, 1e300};
    static const bool bools[] = {true, false};
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    struct sockaddr unknown = {.sa_family = AF_UNIX};
    size_t ten = 10, huge = 100000;
    const char *none = NULL;

    (void)arg;
    (void)inet_pton(AF_INET, "192.0.2.7", &v4.sin_addr);
    (void)inet_pton(AF_INET6, "2001:db8::1", &v6.sin6_addr);
    clew_info("plain", clew_kv("b", (bool)true), clew_kv("i", INT64_MIN),
              clew_kv("u", (uint64_t)INT64_MAX), clew_kv("d", 0.1), clew_kv("s", "text"),
              clew_kv("null", none), clew_kvn("n", "abcdef", 3), clew_kv("empty", ""));
    clew_info("more", clew_null("null"), clew_time("time", INT64_C(1700000000123456789)),
              clew_time("before", INT64_C(-1)), clew_duration("took", INT64_C(1500000)),
              clew_duration("back", INT64_C(-2000000000)), clew_errno("error", ENOENT),
              clew_errno("odd", 99999), clew_ip("v4", (struct sockaddr *)&v4),
              clew_ip("v6", (struct sockaddr *)&v6), clew_ip("no", &unknown),
              clew_ip("nil", (struct sockaddr *)NULL), clew_hex("hex", "\x00\xff\x10", 3),
              clew_base64("b3", "foo", 3), clew_base64("b2", "fo", 2), clew_base64("b1", "f", 1),
              clew_base64("b0", "", 0));
    clew_info("lists", clew_array("ints", ints, 3), clew_array("big", big, 2),
              clew_array("doubles", doubles, 3), clew_array("bools", bools, 2),
              clew_array("names", names, 4), clew_array("nothing", ints, 0));
    clew_info("objects",
              clew_object("o", clew_kv("x", 1), clew_kv("x", 2),
                          clew_object("in", clew_kv("s", "\n"), clew_array("a", ints, 2))),
              clew_object("empty", clew_null("only")));
    clew_info("json", clew_json("good", good, sizeof(good) - 1), clew_json("bad", "{\"a\":}", 6),
              clew_json("twice", "{\"a\":1,\"a\":2}", 13), clew_json("lines", "[1,\n2]", 6),
              clew_json("zero", "01", 2), clew_json("tail", "1 x", 3), clew_json("empty", "", 0));
    clew_info("lazy", clew_lazy("ten", fill, &ten), clew_lazy("huge", fill, &huge));
    clew_info("the site's text", clew_message("the call's \"text\"", 17), clew_kv("k", 1));
    clew_info("only a message", clew_message("alone", 5));
    clew_infof("%s and %d", "text", 5);
    clew_warnf("%s", "no more");
    return 0;
}

static void test_values_of_every_type(void **state)
{
    (void)state;
    child_run(all_types, NULL);
    assert_int_equal(child.status, 0);
    assert_true(child.whole);
    assert_json("plain", "b", "true");
    assert_json("plain", "i", "-9223372036854775808");
    assert_json("plain", "u", "9223372036854775807");
    assert_json("plain", "d", "0.10000000000000001"); /* jansson's 17 digits of 0.1 */
    assert_non_null(strstr(child.output, "\"d\":0.1,"));
    assert_json("plain", "null", "null");
    assert_json("plain", "n", "\"abc\"");
    assert_json("plain", "empty", "\"\"");
    assert_json("more", "null", "null");
    assert_json("more", "time", "\"2023-11-14T22:13:20.123456789Z\"");
    assert_json("more", "before", "\"1969-12-31T23:59:59.999999999Z\"");
    assert_non_null(strstr(child.output, "\"took\":0.0015,\"back\":-2.0,"));
    assert_json("more", "error",
                "{\"name\":\"ENOENT\",\"number\":2,\"text\":\"No such file or directory\"}");
    assert_json("more", "odd", "{\"number\":99999,\"text\":\"unknown error\"}");
    assert_json("more", "v4", "\"192.0.2.7\"");
    assert_json("more", "v6", "\"2001:db8::1\"");
    assert_json("more", "no", "null");
    assert_json("more", "nil", "null");
    assert_json("more", "hex", "\"00ff10\"");
    assert_json("more", "b3", "\"Zm9v\"");
    assert_json("more", "b2", "\"Zm8=\"");
    assert_json("more", "b1", "\"Zg==\"");
    assert_json("more", "b0", "\"\"");
    assert_json("lists", "ints", "[1,-2,-2147483648]");
    assert_json("lists", "big", "[1,9223372036854775807]");
    assert_non_null(strstr(child.output, "\"doubles\":[0.1,-0.0,1e+300]"));
    assert_json("lists", "bools", "[true,false]");
    assert_json("lists", "names", "[\"a\",\"b\\\"c\",null,\"\"]");
    assert_json("lists", "nothing", "[]");
    assert_json("objects", "o", "{\"in\":{\"a\":[1,-2],\"s\":\"\\n\"},\"x\":2}");
    assert_json("objects", "empty", "{\"only\":null}");
    assert_non_null(strstr(child.output, "\"good\":{\"a\":[1,-2.5e+3,\"\\u00e9\"],\"b\":null}"));
    assert_json("json", "bad", "\"{\\\"a\\\":}\"");
    assert_json("json", "twice", "\"{\\\"a\\\":1,\\\"a\\\":2}\"");
    assert_json("json", "lines", "[1,2]");
    assert_json("json", "zero", "\"01\"");
    assert_json("json", "tail", "\"1 x\"");
    assert_json("json", "empty", "\"\"");
    assert_json("lazy", "ten", "\"zzzzzzzzzz\"");
    assert_int_equal(json_string_length(field("lazy", "huge")), 4096 - 10 - 1);
    assert_null(child_line("the site's text"));
    assert_json("the call's \"text\"", "k", "1");
    assert_null(json_object_get(child_line("alone"), "context"));
    assert_non_null(child_line("text and 5"));
    assert_string_equal(json_string_value(json_object_get(child_line("no more"), "level")), "WARN");
}

/* More than many readers take, but a number all the same. */
static int unsigned_max(void *arg)
{
    static const unsigned long max[] = {UINT64_MAX};

    (void)arg;
    clew_info("max", clew_kv("u", UINT64_MAX), clew_array("a", max, 1));
    return 0;
}

static void test_values_largest_number(void **state)
{
    (void)state;
    child_run(unsigned_max, NULL);
    assert_non_null(
        strstr(child.output, "{\"u\":18446744073709551615,\"a\":[18446744073709551615]}"));
}

static int too_much(void *arg)
{
    static char text[100000];
    static int many[20000];
    struct clew_stats stats;

    (void)arg;
    memset(text, 'x', sizeof(text) - 1);
    text[40000] = '\0';
    clew_info("long", clew_kv("text", text), clew_kv("after", 7), clew_kv("more", "yes"));
    text[40000] = 'x';
    clew_info("wide", clew_array("many", many, 20000), clew_kv("after", 7));
    clew_info("bytes", clew_hex("hex", text, 50000), clew_kv("after", 7));
    clew_infof("%s", text);
    clew_log_flush(5000);
    clew_stats_read(&stats);
    return stats.truncated == 4 && stats.dropped_output == 0 ? 0 : 2;
}

static void test_values_too_long_are_cut(void **state)
{
    (void)state;
    child_run(too_much, NULL);
    assert_int_equal(child.status, 0);
    assert_true(child.whole);
    assert_true(json_string_length(field("long", "text")) > 32000);
    assert_json("long", "after", "7");
    assert_json("long", "more", "\"yes\"");
    assert_json("wide", "many", "null");
    assert_json("wide", "after", "7");
    assert_true(json_string_length(field("bytes", "hex")) > 60000);
    assert_json("bytes", "after", "7");
    assert_int_equal(json_array_size(child.lines), 4);
}

/* What is deeper than eight levels is null, and so is a loop of any depth. */
static int deep(void *arg)
{
    const char *keys[] = {"in", NULL};
    const uint8_t types[] = {CLEW_TYPE_OBJECT, CLEW_TYPE_END};
    struct clew_value value;
    struct clew_fields loop = {1, keys, types, &value};

    (void)arg;
    value = clew_value_object(&loop);
    clew_info("deep", ("o", CLEW_TYPE_OBJECT, clew_value_object(&loop)));
    return 0;
}

static void test_values_nest_eight_deep(void **state)
{
    json_t *object;
    int depth = 0;

    (void)state;
    child_run(deep, NULL);
    assert_int_equal(child.status, 0);
    for (object = field("deep", "o"); json_is_object(object); depth++)
        object = json_object_get(object, "in");
    assert_int_equal(depth, 8);
    assert_true(json_is_null(object));
}

static int random_doubles(void *arg)
{
    (void)arg;
    srand(3);
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = (uint64_t)rand() << 42 ^ (uint64_t)rand() << 21 ^ (uint64_t)rand();
        double d;

        if (i % 3 == 0)
            d = (double)(rand() % 1000000) / (double)(1 + rand() % 1000);
        else if (i % 3 == 1)
            d = ldexp((double)rand(), rand() % 60 - 90);
        else
            memcpy(&d, &bits, 8);
        clew_info("double", clew_kv("d", d), clew_kv("bits", (uint64_t)(d == d ? 0 : 1)),
                  clew_hex("raw", &d, 8));
    }
    return 0;
}

static void test_values_doubles_read_back_equal(void **state)
{
    char *line = NULL, *save = NULL;
    size_t n = 0;

    (void)state;
    child_run(random_doubles, NULL);
    assert_int_equal(child.status, 0);
    for (line = strtok_r(child.output, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        char *text = strstr(line, "\"d\":") + 4, *raw = strstr(line, "\"raw\":\"") + 7;
        unsigned char bytes[8];
        double expected, got;

        for (int i = 0; i < 8; i++)
            assert_int_equal(sscanf(raw + 2 * i, "%2hhx", &bytes[i]), 1);
        memcpy(&expected, bytes, 8);
        if (isfinite(expected)) {
            got = strtod(text, NULL);
            assert_memory_equal(&got, &expected, 8);
        }
        n++;
    }
    assert_int_equal(n, 20000);
}

static void assert_address(const char *text)
{
    char bytes[16], ours[64] = "";
    int family = strchr(text, ':') ? AF_INET6 : AF_INET;

    assert_int_equal(inet_pton(family, text, bytes), 1);
    *clew__put_ip(ours, bytes, family == AF_INET ? 4 : 16) = '\0';
    assert_string_equal(ours, text);
}

/* Random ones too, most of their groups zero, as the C library writes them. */
static void test_values_addresses_as_text(void **state)
{
    static const char *const some[] = {"0.0.0.0",
                                       "255.255.255.255",
                                       "10.0.200.7",
                                       "::",
                                       "::1",
                                       "fe80::",
                                       "2001:db8::1",
                                       "::ffff:10.0.0.1",
                                       "::1.2.3.4",
                                       "1:0:2:0:3:0:4:0",
                                       "1::2:0:0:3:4",
                                       "1:2:3:4:5:6:7:8",
                                       "abcd:ef01:2345:6789:abcd:ef01:2345:6789"};
    char theirs[INET6_ADDRSTRLEN];

    (void)state;
    for (size_t i = 0; i < sizeof(some) / sizeof(some[0]); i++)
        assert_address(some[i]);
    srand(3);
    for (int i = 0; i < 20000; i++) {
        unsigned char bytes[16] = {0};

        for (int k = 0; k < 16; k += 2)
            if (rand() % 3 == 0)
                bytes[k] = (unsigned char)(rand() % 3 ? 0 : rand()),
                bytes[k + 1] = (unsigned char)rand();
            else if (rand() % 8 == 0)
                bytes[k] = bytes[k + 1] = 0xFF;
        assert_non_null(inet_ntop(AF_INET6, bytes, theirs, sizeof(theirs)));
        assert_address(theirs);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, child_setup, child_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_values_of_every_type),           TEST(test_values_largest_number),
        TEST(test_values_too_long_are_cut),        TEST(test_values_nest_eight_deep),
        TEST(test_values_doubles_read_back_equal), cmocka_unit_test(test_values_addresses_as_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
