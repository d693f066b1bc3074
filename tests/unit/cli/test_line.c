/* SPDX-License-Identifier: Apache-2.0
 * Lines of several loggers in the readable form. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <line.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct cli_style plain = {.utc = true, .dated = true};

static void test_line_of_other_loggers(void **state)
{
    static const struct {
        const char *json, *text;
    } cases[] = {
        /* ours */
        {"{\"timestamp\":\"2025-08-20T10:00:00.123456789Z\",\"level\":\"WARN\",\"service\":\"s\","
         "\"request_id\":\"r\",\"trace_id\":\"t\",\"span_id\":\"5\",\"username\":\"bob\","
         "\"message\":\"disk full\",\"context\":{\"n\":3,\"t\":\"a b\",\"d\":0.10},"
         "\"source\":{\"file\":\"x.c\",\"line\":7,\"function\":\"f\"}}",
         "2025-08-20 10:00:00.123 WARN  s                disk full username=bob n=3 t=\"a b\" "
         "d=0.10 span=5 x.c:7"},
        /* zerolog */
        {"{\"level\":\"info\",\"user\":\"u\",\"time\":\"2025-08-20T10:00:00Z\",\"message\":\"hi\"}",
         "2025-08-20 10:00:00.000 INFO  hi user=u"},
        /* pino */
        {"{\"level\":50,\"time\":1755684000123,\"pid\":1,\"hostname\":\"h\",\"msg\":\"no\"}",
         "2025-08-20 10:00:00.123 ERROR no pid=1 hostname=h"},
        /* logrus, zap */
        {"{\"level\":\"warning\",\"msg\":\"m\",\"time\":\"2025-08-20T12:00:00+02:00\"}",
         "2025-08-20 10:00:00.000 WARN  m"},
        {"{\"level\":\"dpanic\",\"ts\":1755684000.5,\"caller\":\"a/b.go:3\",\"msg\":\"m\"}",
         "2025-08-20 10:00:00.500 FATAL m caller=a/b.go:3"},
        /* escapes, nesting, what is not what its key says */
        {"{ \"m\\u0073g\" : \"a\\tb\" , \"l\\u0076l\" : \"\\u0045rr\" , \"x\" : [ 1 , {\"k\": "
         "\"\\u00e9\\n\" } ] , \"e\" : \"\" , \"z\":null}",
         "ERROR a\\x09b x=[1,{\"k\":\"\xC3\xA9\\n\"}] e=\"\" z=null"},
        {"{\"level\":\"loud\",\"time\":\"noon\",\"service\":5,\"message\":\"m\",\"msg\":\"n\","
         "\"context\":\"c\",\"source\":\"s\",\"span_id\":9}",
         "m level=loud time=noon service=5 msg=n context=c span_id=9 source=s"},
        {"{\"msg\":\"m\",\"a\":1,\"a\":2}", "m a=1 a=2"},
        {"{\"msg\":\"m\",\"source\":{}}", "m ?:"},
        /* neither message nor level */
        {"{\"a\":1}", "{\"a\":1}"},
        {"{}", "{}"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct clew__buf out;

        clew__buf_init(&out, 65536);
        assert_true(cli_format_own(&out, cases[i].json, strlen(cases[i].json), &plain));
        clew__buf_addc(&out, '\0');
        assert_string_equal(out.data, cases[i].text);
        clew__buf_done(&out);
    }
}

static void test_line_that_is_no_object(void **state)
{
    struct clew__buf out;

    (void)state;
    clew__buf_init(&out, 1024);
    assert_false(cli_format_own(&out, "{\"msg\":1", 8, &plain));
    assert_false(cli_format_own(&out, "[]", 2, &plain));
    assert_false(cli_format_own(&out, "", 0, &plain));
    assert_int_equal(out.len, 0);
    clew__buf_done(&out);
}

static void test_line_with_very_many_fields(void **state)
{
    struct clew__buf json, out, expected;

    (void)state;
    clew__buf_init(&json, 65536);
    clew__buf_init(&out, 65536);
    clew__buf_init(&expected, 65536);
    clew__buf_adds(&json, "{\"level\":\"info\"");
    clew__buf_adds(&expected, "INFO  m");
    for (int i = 0; i < 200; i++) {
        clew__buf_addf(&json, ",\"f%d\":%d", i, i);
        clew__buf_addf(&expected, " f%d=%d", i, i);
    }
    clew__buf_adds(&json, ",\"msg\":\"m\"}");
    assert_true(cli_format_own(&out, json.data, json.len, &plain));
    assert_int_equal(out.len, expected.len);
    assert_memory_equal(out.data, expected.data, out.len);
    clew__buf_done(&json);
    clew__buf_done(&out);
    clew__buf_done(&expected);
}

static void test_line_colours(void **state)
{
    const struct cli_style style = {.colour = true, .utc = true};
    static const char json[] = "{\"time\":1,\"level\":30,\"service\":\"s\",\"msg\":\"m\",\"a\":1}";
    struct clew__buf out;

    (void)state;
    clew__buf_init(&out, 1024);
    assert_true(cli_format_own(&out, json, strlen(json), &style));
    clew__buf_addc(&out, '\0');
    assert_non_null(strstr(out.data, "\033[32mINFO  \033[0m"));
    assert_non_null(strstr(out.data, "\033[1mm\033[0m \033[2ma=\033[0m1"));
    clew__buf_done(&out);
}

/* Every byte there is, at every place: none reaches the terminal as a control. */
static void test_line_controls_are_shown(void **state)
{
    struct clew__buf out;
    char line[64];

    (void)state;
    clew__buf_init(&out, 65536);
    for (unsigned c = 0; c < 256; c++) {
        int n = snprintf(line, sizeof(line), "{\"msg\":\"%c\\u%04x\",\"%c\\u%04x\":\"%c\\u%04x\"}",
                         c, c, c, c, c, c);

        clew__buf_reset(&out);
        if (!cli_format_own(&out, line, (size_t)n, &plain))
            cli_add_safe(&out, line, (size_t)n);
        for (size_t i = 0; i < out.len; i++)
            if ((unsigned char)out.data[i] < 0x20 || out.data[i] == 0x7F ||
                (i > 0 && (unsigned char)out.data[i - 1] == 0xC2 &&
                 (unsigned char)out.data[i] < 0xA0))
                fail_msg("byte %02x", c);
    }
    clew__buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_line_of_other_loggers),
        cmocka_unit_test(test_line_that_is_no_object),
        cmocka_unit_test(test_line_with_very_many_fields),
        cmocka_unit_test(test_line_colours),
        cmocka_unit_test(test_line_controls_are_shown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
