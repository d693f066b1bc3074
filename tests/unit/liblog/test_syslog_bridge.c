/* SPDX-License-Identifier: Apache-2.0
 * Programs that call syslog(3), with the bridge linked and with it preloaded:
 * arguments are the path of each, and of the library. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <child.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *linked, *plain, *library;

static int run_linked(void *arg)
{
    (void)arg;
    setenv("CLEW_LOG_LEVEL", "debug", 1);
    execl(linked, "linked", (char *)NULL);
    return 127;
}

static const char *field(json_t *line, const char *key)
{
    const char *text = json_string_value(json_object_get(json_object_get(line, "context"), key));

    return text ? text : "";
}

/* What syslog_caller.c calls. */
static const struct {
    const char *level, *text, *ident, *facility, *severity;
} expected[] = {
    {"INFO", "before openlog", NULL, "user", "info"},
    {"FATAL", "severity 0", "caller", "daemon", "emerg"},
    {"ERROR", "severity 1", "caller", "daemon", "alert"},
    {"ERROR", "severity 2", "caller", "daemon", "crit"},
    {"ERROR", "severity 3", "caller", "daemon", "err"},
    {"WARN", "severity 4", "caller", "daemon", "warning"},
    {"INFO", "severity 5", "caller", "daemon", "notice"},
    {"INFO", "severity 6", "caller", "daemon", "info"},
    {"DEBUG", "severity 7", "caller", "daemon", "debug"},
    {"ERROR", "cannot open it: No such file or directory", "caller", "mail", "err"},
    {"WARN", "by vsyslog", "caller", "local7", "warning"},
    {"INFO", "checked", "caller", "daemon", "notice"},
    {"INFO", "7", "caller", "daemon", "notice"},
    {"WARN", "not masked", "caller", "daemon", "warning"},
    {"INFO", NULL, "caller", "daemon", "info"},
    {"INFO", "after closelog", NULL, "unknown", "info"},
};
#define EXPECTED (sizeof(expected) / sizeof(expected[0]))

static void check(const char *program)
{
    assert_int_equal(child.status, 0);
    assert_true(child.whole);
    assert_int_equal(json_array_size(child.lines), EXPECTED);
    for (size_t i = 0; i < EXPECTED; i++) {
        json_t *line = json_array_get(child.lines, i);

        assert_string_equal(json_string_value(json_object_get(line, "message")), "syslog message");
        assert_string_equal(json_string_value(json_object_get(line, "level")), expected[i].level);
        if (expected[i].text)
            assert_string_equal(field(line, "text"), expected[i].text);
        else
            assert_in_range(strlen(field(line, "text")), 8000, 8191);
        assert_string_equal(field(line, "ident"), expected[i].ident ? expected[i].ident : program);
        assert_string_equal(field(line, "facility"), expected[i].facility);
        assert_string_equal(field(line, "severity"), expected[i].severity);
        assert_true(json_integer_value(json_object_get(json_object_get(line, "context"), "pid")) >
                    1);
    }
}

static void test_syslog_bridge_linked(void **state)
{
    (void)state;
    child_run(run_linked, NULL);
    check("linked");
}

#if !defined(__SANITIZE_ADDRESS__) /* its runtime refuses to start behind a preloaded library */
static int run_preloaded(void *arg)
{
    (void)arg;
    setenv("CLEW_LOG_LEVEL", "debug", 1);
    setenv("LD_PRELOAD", library, 1);
    execl(plain, "preloaded", (char *)NULL);
    return 127;
}

static void test_syslog_bridge_preloaded(void **state)
{
    (void)state;
    child_run(run_preloaded, NULL);
    check("preloaded");
}
#endif

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, child_setup, child_teardown)
        TEST(test_syslog_bridge_linked),
#if !defined(__SANITIZE_ADDRESS__)
        TEST(test_syslog_bridge_preloaded),
#endif
    };

    if (argc != 4)
        return 64;
    linked = argv[1];
    plain = argv[2];
    library = argv[3];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
