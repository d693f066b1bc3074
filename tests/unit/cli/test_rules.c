/* SPDX-License-Identifier: Apache-2.0
 * `clew rules` as a process: what it prints and how it exits. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *clew;
static char folder[] = "/tmp/clew-rules-cli-XXXXXX";
static char output[65536];

static void write_file(const char *name, const char *text)
{
    char path[128];
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    file = fopen(path, "w");
    if (!file || fputs(text, file) < 0 || fclose(file) != 0)
        abort();
}

/* Runs the command in the folder; output has what it printed on both. */
static int run(const char *arguments)
{
    char command[512];
    FILE *pipe;
    int status;

    (void)snprintf(command, sizeof(command), "cd %s && '%s' rules %s 2>&1", folder, clew,
                   arguments);
    pipe = popen(command, "r");
    assert_non_null(pipe);
    output[fread(output, 1, sizeof(output) - 1, pipe)] = '\0';
    status = pclose(pipe);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#define HAS(text)                                        \
    do {                                                 \
        if (!strstr(output, text))                       \
            fail_msg("not there: %s\n%s", text, output); \
    } while (0)

static void test_rules_check_says_where(void **state)
{
    (void)state;
    write_file("good.yml", "rules:\n  - metric: a_total\n    type: counter\n    help: h\n"
                           "    match: {event: x}\n");
    write_file("warn.yml", "rules:\n  - metric: a_percent\n    type: gauge\n    help: h\n"
                           "    value: v\n    match: {event: x}\n");
    write_file("bad.yml",
               "rules:\n  - metric: a_total\n    type: contour\n    match: {event: x}\n");
    assert_int_equal(run("check good.yml"), 0);
    HAS("good.yml: 1 rule, good\n");
    assert_int_equal(run("check warn.yml"), 0);
    HAS("warn.yml:2:5: a_percent: not a base unit: a_ratio with scale: 0.01");
    assert_int_equal(run("check --strict warn.yml"), 1);
    assert_int_equal(run("check good.yml bad.yml"), 1);
    HAS("bad.yml:3:11: type is counter, gauge or histogram\n");
    assert_int_equal(run("check nowhere.yml"), 2);
    assert_int_equal(run("check"), 64);
    assert_int_equal(run("chek"), 64);
    assert_int_equal(run("--help"), 0);
    HAS("usage: clew rules check");
}

static void test_rules_run_prints_the_page(void **state)
{
    (void)state;
    write_file("log", "{\"message\":\"request completed\",\"context\":{\"method\":\"GET\","
                      "\"route\":\"/a\",\"status\":200,\"duration_seconds\":0.2}}\n"
                      "{\"message\":\"x\"}\n");
    assert_int_equal(run("run log"), 0);
    HAS("http_requests_total{method=\"GET\",path=\"/a\",status=\"200\"} 1.0\n");
    HAS("http_request_duration_seconds_bucket{method=\"GET\",path=\"/a\",le=\"0.25\"} 1.0\n");
    assert_int_equal(run("run --rules good.yml log - <log"), 0);
    HAS("http_requests_total{method=\"GET\",path=\"/a\",status=\"200\"} 2.0\n");
    HAS("\na_total 2.0\n");
    assert_int_equal(run("run --openmetrics <log"), 0);
    HAS("# EOF\n");
    write_file("cut", "{\"message\":\"x\"}\n{\"message\":");
    assert_int_equal(run("run cut"), 1);
    HAS("1 of 2 lines are no JSON objects");
    assert_int_equal(run("run nowhere"), 2);
    assert_int_equal(run("run --rules bad.yml log"), 1);
    HAS("bad.yml:3:11: ");
    assert_int_equal(run("run --oops"), 64);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    char command[128];

    (void)state;
    (void)snprintf(command, sizeof(command), "rm -r %s", folder);
    return system(command);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules_check_says_where),
        cmocka_unit_test(test_rules_run_prints_the_page),
    };

    if (argc < 2)
        return 64;
    clew = realpath(argv[1], NULL);
    if (!clew)
        return 2;
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
