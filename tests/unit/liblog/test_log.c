/* SPDX-License-Identifier: Apache-2.0
 * The log call from the macro to the line. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <child.h>
#include <clew/sink.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void run(int (*scenario)(void *))
{
    child_run(scenario, NULL);
    assert_int_equal(child.status, 0);
    assert_true(child.whole);
}

static int one_request(void *arg)
{
    struct clew_context *context = clew_context_new();
    uint8_t trace_id[16] = {0x0a, 0xf7, [15] = 0x9c};
    struct clew_scope scope = {context, 0};
    uint8_t span_id[8] = {1, 2, 3, 4, 5, 6, 7, 8};

    (void)arg;
    if (clew_log_start("user_service", "1.0") != 0)
        return 1;
    clew_context_set_request_id(context, "req-1", 5);
    clew_context_set_correlation_id(context, "corr-1", 6);
    clew_context_set_trace(context, trace_id, 1);
    clew_context_bind(context, clew_kv("username", "alice"));
    memcpy(&scope.span_id, span_id, 8);
    scope = clew_scope_enter(scope);
    clew_info("User balance updated", clew_kv("operation", "deposit"), clew_kv("amount", 100.0));
    clew_scope_leave(scope);
    clew_context_unref(context);
    return 0;
}

static void test_log_line_is_the_design_to_the_byte(void **state)
{
    static const char expected[] =
        "\",\"level\":\"INFO\",\"service\":\"user_service\",\"request_id\":\"req-1\","
        "\"correlation_id\":\"corr-1\",\"trace_id\":\"0af7000000000000000000000000009c\","
        "\"span_id\":\"0102030405060708\",\"username\":\"alice\","
        "\"message\":\"User balance updated\",\"context\":{\"operation\":\"deposit\","
        "\"amount\":100.0},\"source\":{\"file\":\"test_log.c\",\"line\":";
    const char *line;

    (void)state;
    run(one_request);
    line = child.output;
    assert_memory_equal(line, "{\"timestamp\":\"20", 16);
    assert_int_equal(line[43], 'Z');
    assert_memory_equal(line + 44, expected, sizeof(expected) - 1);
    assert_non_null(strstr(line, ",\"function\":\"one_request\"}}\n"));
}

static int all_types(void *arg)
{
    char text[] = "array";
    unsigned char small = 200;

    (void)arg;
    clew_info("types", clew_kv("bool", (bool)true), clew_kv("int", -7), clew_kv("long", INT64_MIN),
              clew_kv("unsigned", (uint64_t)INT64_MAX), clew_kv("small", small),
              clew_kv("float", 0.5f), clew_kv("text", text), clew_kvn("part", "abcdef", 3),
              clew_kv("null", (const char *)NULL), clew_kv("nan", 0.0 / 0.0));
    clew_info("bare");
    clew_info("twice", clew_kv("k", 1), clew_kv("other", 2), clew_kv("k", 3));
    clew_info("quote \" and\nnewline \xff", clew_kv("key \" too", 1));
    return 0;
}

static void test_log_types_and_odd_texts(void **state)
{
    json_t *context;

    (void)state;
    run(all_types);
    context = json_object_get(child_line("types"), "context");
    assert_true(json_is_true(json_object_get(context, "bool")));
    assert_int_equal(json_integer_value(json_object_get(context, "int")), -7);
    assert_true(json_integer_value(json_object_get(context, "long")) == INT64_MIN);
    assert_true(json_integer_value(json_object_get(context, "unsigned")) == INT64_MAX);
    assert_int_equal(json_integer_value(json_object_get(context, "small")), 200);
    assert_true(json_real_value(json_object_get(context, "float")) == 0.5);
    assert_string_equal(json_string_value(json_object_get(context, "text")), "array");
    assert_string_equal(json_string_value(json_object_get(context, "part")), "abc");
    assert_true(json_is_null(json_object_get(context, "null")));
    assert_string_equal(json_string_value(json_object_get(context, "nan")), "NaN");
    assert_null(json_object_get(child_line("bare"), "context"));
    context = json_object_get(child_line("twice"), "context");
    assert_int_equal(json_object_size(context), 2);
    assert_int_equal(json_integer_value(json_object_get(context, "k")), 3);
    assert_non_null(child_line("quote \" and\nnewline \xEF\xBF\xBD"));
}

static int random_values(void *arg)
{
    char bytes[300];

    (void)arg;
    setenv("CLEW_RING_FULL", "block", 1);
    srand(4);
    for (int i = 0; i < 20000; i++) {
        size_t len = (size_t)rand() % sizeof(bytes);

        for (size_t j = 0; j < len; j++)
            bytes[j] = (char)rand();
        clew_info("random", clew_kvn("v", bytes, len), clew_kv("i", i));
    }
    return 0;
}

static void test_log_any_bytes_stay_valid_json(void **state)
{
    (void)state;
    run(random_values);
    assert_int_equal(child_count("random"), 20000);
}

static int evaluated;

static int touch(void)
{
    return ++evaluated;
}

static int levels(void *arg)
{
    (void)arg;
    clew_debug("off", clew_kv("v", touch()));
    if (evaluated != 0)
        return 1;
    clew_log_set_level(CLEW_LEVEL_DEBUG);
    for (int i = 0; i < 2; i++) {
        clew_debug("switched", clew_kv("v", touch()));
        clew_log_set_level(CLEW_LEVEL_ERROR);
    }
    clew_warn("below");
    clew_fatal("fatal is a level, not an exit");
    errno = EBUSY;
    clew_error("kept");
    return errno == EBUSY && evaluated == 1 ? 0 : 2;
}

static void test_log_levels_switch_at_run_time(void **state)
{
    (void)state;
    run(levels);
    assert_int_equal(child_count("off"), 0);
    assert_int_equal(child_count("switched"), 1);
    assert_int_equal(child_count("below"), 0);
    assert_int_equal(child_count("fatal is a level, not an exit"), 1);
}

static int bad_variable(void *arg)
{
    (void)arg;
    if (clew_log_start("s", NULL) != -EINVAL)
        return 1;
    return strstr(clew_last_error(), "CLEW_LOG_LEVEL=loud") ? 0 : 2;
}

static void test_log_wrong_variable_is_named(void **state)
{
    (void)state;
    setenv("CLEW_LOG_LEVEL", "loud", 1);
    run(bad_variable);
}

static void *churn(void *arg)
{
    for (int i = 0; i < 50; i++)
        clew_info("churn", clew_kv("thread", *(int *)arg), clew_kv("i", i));
    return NULL;
}

static int threads(void *arg)
{
    struct clew_stats stats;

    (void)arg;
    setenv("CLEW_RING_FULL", "block", 1);
    for (int round = 0; round < 100; round++) {
        pthread_t t[4];
        int number[4];

        for (int i = 0; i < 4; i++) {
            number[i] = round * 4 + i;
            pthread_create(&t[i], NULL, churn, &number[i]);
        }
        for (int i = 0; i < 4; i++)
            pthread_join(t[i], NULL);
        if (round % 10 == 9)
            clew_log_flush(5000);
    }
    clew_stats_read(&stats);
    return stats.rings < 150 ? 0 : 1; /* rings of ended threads are used again */
}

static void test_log_threads_come_and_go(void **state)
{
    int last[400];
    size_t i;
    json_t *line;

    (void)state;
    run(threads);
    assert_int_equal(child_count("churn"), 20000);
    memset(last, -1, sizeof(last));
    json_array_foreach(child.lines, i, line)
    {
        json_t *context = json_object_get(line, "context");
        int thread = (int)json_integer_value(json_object_get(context, "thread"));
        int n = (int)json_integer_value(json_object_get(context, "i"));

        assert_int_equal(n, last[thread] + 1);
        last[thread] = n;
    }
}

static int forks(void *arg)
{
    int status;
    pid_t pid;

    (void)arg;
    clew_info("before");
    CHILD_BEFORE_FORK();
    pid = fork();
    if (pid == 0) {
        for (int i = 0; i < 100; i++)
            clew_info("child");
        return 0; /* exit(): flushes */
    }
    for (int i = 0; i < 100; i++)
        clew_info("parent");
    waitpid(pid, &status, 0);
    CHILD_BEFORE_FORK();
    if (fork() == 0)
        return 0; /* never logs: must end as well */
    wait(NULL);
    return status;
}

static void test_log_fork_keeps_both(void **state)
{
    (void)state;
    run(forks);
    assert_int_equal(child_count("before"), 1);
    assert_int_equal(child_count("child"), 100);
    assert_int_equal(child_count("parent"), 100);
}

static int text_format(void *arg)
{
    (void)arg;
    setenv("CLEW_LOG_FORMAT", "text", 1);
    clew_warn("to a person", clew_kv("name", "two words"), clew_kv("esc", "\033[31m"));
    return 0;
}

static void test_log_text_has_no_raw_controls(void **state)
{
    (void)state;
    child_run(text_format, NULL);
    assert_int_equal(child.status, 0);
    assert_non_null(
        strstr(child.output, "WARN  to a person name=\"two words\" esc=\"\\u001b[31m\""));
    assert_null(strchr(child.output, '\033'));
}

struct seen {
    int lines, observed;
    char request_id[16];
};

static void take_line(void *self, const struct clew_line *line)
{
    struct seen *seen = self;

    seen->lines++;
    strncpy(seen->request_id, line->request_id, sizeof(seen->request_id) - 1);
}

static void *match_watched(void *self, const struct clew_site *site)
{
    return strcmp(site->message, "watched") == 0 ? self : NULL;
}

static void observe(void *state, const struct clew_site *site, const struct clew_logger *logger,
                    const struct clew_value *values, const struct clew_scope *scope)
{
    (void)site;
    (void)logger;
    (void)scope;
    ((struct seen *)state)->observed += (int)values[0].as.i;
}

static int sinks(void *arg)
{
    static const struct clew_sink_ops ops = {"test", take_line, NULL, NULL, NULL, CLEW_LEVEL_TRACE};
    static const struct clew_observer_ops watcher = {"test", match_watched, observe};
    struct clew_scope scope = {clew_context_new(), 0}, was;
    struct seen seen = {0};

    (void)arg;
    clew_sink_add(&ops, &seen);
    clew_context_set_request_id(scope.context, "r9", 2);
    was = clew_scope_enter(scope);
    for (int i = 0; i < 10; i++) {
        clew_debug("watched", clew_kv("n", 2)); /* its level is off */
        if (i == 4)
            clew_observer_add(&watcher, &seen);
    }
    clew_info("seen");
    clew_scope_leave(was);
    clew_context_unref(scope.context);
    if (clew_log_flush(5000) != 0)
        return 1;
    if (seen.lines != 1 || strcmp(seen.request_id, "r9") != 0)
        return 2;
    return seen.observed == 10 ? 0 : 3;
}

static void test_log_sinks_and_observers_see_events(void **state)
{
    (void)state;
    run(sinks);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, child_setup, child_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_log_line_is_the_design_to_the_byte),
        TEST(test_log_types_and_odd_texts),
        TEST(test_log_any_bytes_stay_valid_json),
        TEST(test_log_levels_switch_at_run_time),
        TEST(test_log_wrong_variable_is_named),
        TEST(test_log_threads_come_and_go),
        TEST(test_log_fork_keeps_both),
        TEST(test_log_text_has_no_raw_controls),
        TEST(test_log_sinks_and_observers_see_events),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
