/* SPDX-License-Identifier: Apache-2.0
 * Lines and waterfalls as the clew command prints them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <line.h>
#include <protobuf_write.h>
#include <waterfall.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *format(struct clew__buf *out, const char *json)
{
    clew__buf_init(out, 65536);
    cli_format_line(out, json, strlen(json), 1700000000123000000, false);
    clew__buf_addc(out, '\0');
    return out->data;
}

static void test_cli_line_is_readable(void **state)
{
    struct clew__buf out;

    (void)state;
    setenv("TZ", "UTC", 1);
    assert_string_equal(
        format(&out,
               "{\"level\":\"WARN\",\"service\":\"s\",\"request_id\":\"r\",\"username\":\"bob\","
               "\"message\":\"disk full\",\"context\":{\"n\":3,\"t\":\"a b\",\"d\":0.1},"
               "\"source\":{\"file\":\"x.c\",\"line\":7}}"),
        "22:13:20.123 WARN  s                disk full username=bob n=3 t=\"a b\" d=0.1 x.c:7");
    clew__buf_done(&out);
}

static void test_cli_line_cannot_move_the_cursor(void **state)
{
    static const char *const hostile[] = {
        "{\"level\":\"INFO\",\"service\":\"\\u001b[2J\",\"message\":\"\\u001b]0;x\\u0007\","
        "\"context\":{\"\\u001b[1A\":\"\\r\\u009b31m\"}}",
        "not json \033[31m\r\b",
        "{\"level\":5}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++) {
        struct clew__buf out;
        const char *text = format(&out, hostile[i]);

        for (const char *p = text; *p; p++)
            assert_true((unsigned char)*p >= 0x20 && *p != 0x7F &&
                        !((unsigned char)p[0] == 0xC2 && (unsigned char)p[1] < 0xA0));
        clew__buf_done(&out);
    }
}

static void add_span(struct clew__buf *out, uint8_t id, uint8_t parent, const char *name,
                     uint64_t start, uint64_t end, bool error)
{
    uint8_t span[8] = {id}, up[8] = {parent}, trace[16] = {1};
    size_t at = clew__pb_begin(out, 2), status;

    clew__pb_bytes(out, 1, trace, 16);
    clew__pb_bytes(out, 2, span, 8);
    if (parent)
        clew__pb_bytes(out, 4, up, 8);
    clew__pb_string(out, 5, name);
    clew__pb_uint(out, 6, 2);
    clew__pb_fixed64(out, 7, start);
    clew__pb_fixed64(out, 8, end);
    if (error) {
        status = clew__pb_begin(out, 15);
        clew__pb_string(out, 2, "no\033luck");
        clew__pb_uint(out, 3, 2);
        clew__pb_end(out, status);
    }
    clew__pb_end(out, at);
}

static void test_cli_waterfall_is_a_tree(void **state)
{
    struct clew__buf trace, out;
    size_t resource, scope;

    (void)state;
    clew__buf_init(&trace, 65536);
    resource = clew__pb_begin(&trace, 1);
    scope = clew__pb_begin(&trace, 2);
    add_span(&trace, 3, 2, "grandchild", 3000000, 4000000, true);
    add_span(&trace, 1, 0, "root", 1000000, 11000000, false);
    add_span(&trace, 2, 1, "child", 2000000, 6000000, false);
    add_span(&trace, 4, 1, "second", 7000000, 8000000, false);
    add_span(&trace, 5, 99, "orphan", 9000000, 9500000, false);
    clew__pb_end(&trace, scope);
    clew__pb_end(&trace, resource);
    clew__buf_init(&out, 65536);
    assert_int_equal(cli_waterfall(&out, trace.data, trace.len, 95, false, true), 5);
    clew__buf_addc(&out, '\0');
    assert_string_equal(
        out.data, "5 spans of 1 services, 1 with errors,    10.000 ms\n"
                  "root                                   unknown_service  server   ########## "
                  "   10.000 ms\n"
                  "|-child                                unknown_service  server   .####..... "
                  "    4.000 ms\n"
                  "| `-grandchild                         unknown_service  server   ..#....... "
                  "    1.000 ms error: no\\x1bluck\n"
                  "`-second                               unknown_service  server   ......#... "
                  "    1.000 ms\n"
                  "orphan                                 unknown_service  server   ........#. "
                  "  500.000 us (its parent span is not here)\n");
    clew__buf_done(&out);
    clew__buf_done(&trace);
}

static void test_cli_waterfall_survives_loops_and_garbage(void **state)
{
    struct clew__buf trace, out;
    size_t resource, scope;

    (void)state;
    clew__buf_init(&trace, 65536);
    clew__buf_init(&out, 65536);
    resource = clew__pb_begin(&trace, 1);
    scope = clew__pb_begin(&trace, 2);
    add_span(&trace, 1, 2, "a", 2, 1, false);
    add_span(&trace, 2, 1, "b", 1, 2, false);
    add_span(&trace, 3, 3, "self", 1, 2, false);
    clew__pb_end(&trace, scope);
    clew__pb_end(&trace, resource);
    assert_int_equal(cli_waterfall(&out, trace.data, trace.len, 80, true, false), 3);
    assert_int_equal(cli_waterfall(&out, "\x0a\xff", 2, 80, true, false), -EINVAL);
    assert_int_equal(cli_waterfall(&out, "", 0, 80, true, false), 0);
    clew__buf_done(&out);
    clew__buf_done(&trace);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cli_line_is_readable),
        cmocka_unit_test(test_cli_line_cannot_move_the_cursor),
        cmocka_unit_test(test_cli_waterfall_is_a_tree),
        cmocka_unit_test(test_cli_waterfall_survives_loops_and_garbage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
