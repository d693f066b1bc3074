/* SPDX-License-Identifier: Apache-2.0
 * GLib's log in ours. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#define G_LOG_DOMAIN "test-domain"
#include <child.h>
#include <clew/glib.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

static const char *field(size_t i, const char *key)
{
    json_t *context = json_object_get(json_array_get(child.lines, i), "context");
    const char *text = json_string_value(json_object_get(context, key));

    return text ? text : "";
}

static const char *level(size_t i)
{
    return json_string_value(json_object_get(json_array_get(child.lines, i), "level"));
}

static int at_each_level(void *arg)
{
    (void)arg;
    setenv("CLEW_LOG_LEVEL", "debug", 1);
    clew_glib_install();
    g_debug("debug %d", 1);
    g_info("info");
    g_message("message");
    g_warning("warning");
    g_critical("critical");
    g_log("other", G_LOG_LEVEL_WARNING, "%s", "another domain");
    return 0;
}

static void test_glib_maps_levels(void **state)
{
    static const char *const expected[][3] = {
        {"DEBUG", "debug 1", "test-domain"},  {"INFO", "info", "test-domain"},
        {"INFO", "message", "test-domain"},   {"WARN", "warning", "test-domain"},
        {"ERROR", "critical", "test-domain"}, {"WARN", "another domain", "other"},
    };

    (void)state;
    child_run(at_each_level, NULL);
    assert_int_equal(child.status, 0);
    assert_true(child.whole);
    assert_int_equal(child_count("GLib message"), 6);
    for (size_t i = 0; i < 6; i++) {
        assert_string_equal(level(i), expected[i][0]);
        assert_string_equal(field(i, "text"), expected[i][1]);
        assert_string_equal(field(i, "domain"), expected[i][2]);
    }
}

static int structured(void *arg)
{
    static const char bytes[] = {'a', 'b', (char)0xFF, 'c'};
    char *room = g_strnfill(4000, 'x');
    const GLogField fields[] = {
        {"MESSAGE", "not ended by NUL", 8},
        {"PRIORITY", "4", -1},
        {"REQUEST", "r-1", -1},
        {"PART", "partial", 4},
        {"BINARY", bytes, sizeof(bytes)},
        {"NOTHING", NULL, 0},
        {"LONG", room, -1},
        {"LAST", "x", -1},
    };

    (void)arg;
    clew_glib_install();
    g_log_structured(G_LOG_DOMAIN, G_LOG_LEVEL_INFO, "USER", "alice", "CODE_LINE", "12", "MESSAGE",
                     "hello %s", "you");
    g_log_structured_array((GLogLevelFlags)(1 << G_LOG_LEVEL_USER_SHIFT), fields, 8);
    (void)clew_glib_writer(G_LOG_LEVEL_INFO, NULL, 0, NULL);
    g_free(room);
    return 0;
}

static void test_glib_keeps_other_fields(void **state)
{
    (void)state;
    child_run(structured, NULL);
    assert_int_equal(child.status, 0);
    assert_true(child.whole);
    assert_int_equal(child_count("GLib message"), 3);
    assert_string_equal(field(0, "text"), "hello you");
    assert_string_equal(field(0, "fields"), "USER=alice CODE_LINE=12");
    assert_string_equal(level(1), "WARN");
    assert_string_equal(field(1, "text"), "not ende");
    assert_string_equal(field(1, "fields"), "REQUEST=r-1 PART=part LAST=x");
    assert_string_equal(field(2, "text"), "");
}

/* What kills the program is out before. */
static int fatal(void *arg)
{
    (void)arg;
    (void)signal(SIGTRAP, SIG_DFL);
    (void)signal(SIGABRT, SIG_DFL);
    clew_glib_install();
    g_error("this is the end");
    return 0;
}

static void test_glib_fatal_is_written(void **state)
{
    (void)state;
    child_run(fatal, NULL);
    assert_true(WIFSIGNALED(child.status));
    assert_int_equal(child_count("GLib message"), 1);
    assert_string_equal(level(0), "FATAL");
    assert_string_equal(field(0, "text"), "this is the end");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, child_setup, child_teardown)
        TEST(test_glib_maps_levels),
        TEST(test_glib_keeps_other_fields),
        TEST(test_glib_fatal_is_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
