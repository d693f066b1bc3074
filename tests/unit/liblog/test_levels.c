/* SPDX-License-Identifier: Apache-2.0
 * Which lines are written: thresholds, rules, loggers, limits of call sites;
 * and what a logger adds to a line. */
#define CLEW_LOGGER "db.pool"
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <child.h>
#include <clew/context.h>
#include <clew/logger.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void speak(void)
{
    clew_debug("db debug");
    clew_trace("db trace");
}

static int rules(void *arg)
{
    const struct clew_logger *http = clew_logger_get("http.server");
    char levels[CLEW_LOG_LEVELS_MAX];

    (void)arg;
    speak();
    CHECK(clew_log_set_levels("warn,db=debug") == 0);
    speak();
    clew_debug_to(http, "http debug");
    CHECK(!clew_logger_enabled(http, CLEW_LEVEL_INFO));
    CHECK(clew_log_set_levels("warn,db=warn,db.pool=trace,http=debug") == 0);
    speak();
    clew_debug_to(http, "http debug");
    CHECK(clew_log_set_levels("info,file:test_lev*.c=trace,function:speak=off") == 0);
    speak();
    clew_trace("by file");
    CHECK(clew_log_levels(levels) == strlen(levels));
    CHECK(strcmp(levels, "info,file:test_lev*.c=trace,function:speak=off") == 0);
    CHECK(clew_log_set_levels(levels) == 0);
    CHECK(clew_log_set_levels("off,message:*secret word*=debug") == 0);
    clew_error("not this");
    clew_debug("the secret word");
    clew_debug_to(http, "a secret word");
    CHECK(clew_log_set_levels("db.pool=loud") == -EINVAL);
    CHECK(strstr(clew_last_error(), "db.pool=loud"));
    clew_debug("the secret word"); /* nothing was changed */
    CHECK(clew_log_set_levels("=info") == -EINVAL);
    CHECK(clew_log_set_levels("info") == 0);
    CHECK(clew_log_set_level(CLEW_LEVEL_DEBUG) == 0);
    clew_debug("debug again");
    CHECK(clew_logger_get("") == NULL && clew_logger_get("a b") == NULL);
    CHECK(clew_logger_get("http.server") == http);
    return 0;
}

static void test_levels_rules(void **state)
{
    (void)state;
    child_run(rules, NULL);
    assert_int_equal(child.status, 0);
    assert_int_equal(child_count("db debug"), 2);
    assert_int_equal(child_count("db trace"), 1);
    assert_int_equal(child_count("http debug"), 1);
    assert_int_equal(child_count("by file"), 1);
    assert_int_equal(child_count("not this"), 0);
    assert_int_equal(child_count("the secret word"), 2);
    assert_int_equal(child_count("a secret word"), 1);
    assert_int_equal(child_count("debug again"), 1);
    assert_string_equal(json_string_value(json_object_get(child_line("db debug"), "logger")),
                        "db.pool");
    assert_string_equal(json_string_value(json_object_get(child_line("http debug"), "logger")),
                        "http.server");
}

static int from_environment(void *arg)
{
    (void)arg;
    setenv("CLEW_LOG_LEVEL", "error,db=trace", 1);
    speak();
    return 0;
}

static void test_levels_from_the_environment(void **state)
{
    (void)state;
    child_run(from_environment, NULL);
    assert_int_equal(child_count("db trace"), 1);
}

static int with_fields(void *arg)
{
    const struct clew_logger *shard =
        clew_logger_with(clew_logger_get("db.pool"), clew_kv("shard", 3), clew_kv("user", "u"),
                         clew_kv("password", "hunter2"));
    const struct clew_logger *deeper = clew_logger_with(shard, clew_kv("shard", 4));
    char big[2000];

    (void)arg;
    CHECK(shard && deeper);
    clew_info_to(shard, "opened", clew_kv("user", "call's"), clew_kv("n", 1));
    clew_info_to(deeper, "bare");
    clew_info_to(NULL, "nameless", clew_kv("n", 1));
    memset(big, 'x', sizeof(big));
    CHECK(clew_logger_with(shard, clew_kvn("big", big, sizeof(big))) == NULL);
    CHECK(strstr(clew_last_error(), "big"));
    return 0;
}

static void test_levels_logger_fields(void **state)
{
    char *text;

    (void)state;
    child_run(with_fields, NULL);
    assert_int_equal(child.status, 0);
    assert_null(strstr(child.output, "hunter2"));
    assert_non_null(strstr(child.output, "\"context\":{\"shard\":3,\"password\":\"tok_"));
    assert_non_null(strstr(child.output, ",\"user\":\"call's\",\"n\":1}"));
    text = json_dumps(json_object_get(child_line("bare"), "context"), JSON_COMPACT);
    assert_non_null(strstr(text, "\"shard\":4"));
    assert_null(strstr(text, "\"shard\":3"));
    free(text);
}

static int limits(void *arg)
{
    struct clew_stats stats;

    (void)arg;
    for (int i = 0; i < 100; i++) {
        clew_log_limited(CLEW_LEVEL_INFO, CLEW_EVERY(10), "one in ten", clew_kv("i", i));
        clew_log_limited(CLEW_LEVEL_INFO, CLEW_FIRST(3, 50), "the first", clew_kv("i", i));
        clew_log_limited(CLEW_LEVEL_INFO, CLEW_FIRST(2, 0), "only the first");
        clew_log_limited(CLEW_LEVEL_INFO, CLEW_PER_SECOND(1000), "not too many");
        clew_log_limited(CLEW_LEVEL_DEBUG, CLEW_EVERY(1), "below");
    }
    clew_log_flush(5000);
    clew_stats_read(&stats);
    CHECK(stats.held_back == 90 + 95 + 98);
    return 0;
}

static void test_levels_limits(void **state)
{
    json_int_t held = 0;
    json_t *line;
    size_t i;

    (void)state;
    child_run(limits, NULL);
    assert_int_equal(child.status, 0);
    assert_int_equal(child_count("one in ten"), 10);
    assert_int_equal(child_count("the first"), 5); /* 0 1 2, 3, 53 */
    assert_int_equal(child_count("only the first"), 2);
    assert_int_equal(child_count("not too many"), 100);
    assert_int_equal(child_count("below"), 0);
    json_array_foreach(
        child.lines, i,
        line) if (strcmp(json_string_value(json_object_get(line, "message")), "one in ten") == 0)
        held += json_integer_value(json_object_get(json_object_get(line, "context"), "held_back"));
    assert_int_equal(held, 81); /* nine before each but the first */
    assert_null(json_object_get(json_object_get(child_line("one in ten"), "context"), "held_back"));
}

static int per_second(void *arg)
{
    struct clew_stats stats;

    (void)arg;
    do {
        clew_log_limited(CLEW_LEVEL_INFO, CLEW_PER_SECOND(7), "loud");
        clew_stats_read(&stats);
    } while (stats.held_back < 200000);
    return 0;
}

static void test_levels_per_second(void **state)
{
    (void)state;
    child_run(per_second, NULL);
    assert_true(child_count("loud") >= 7 && child_count("loud") % 7 <= 1);
}

static _Atomic bool stop;

static void *shout(void *arg)
{
    while (!stop) {
        clew_debug("switched");
        clew_info_to(arg, "switched to");
    }
    return NULL;
}

/* Rules change while threads pass the sites they are about. */
static int switching(void *arg)
{
    pthread_t threads[3];

    (void)arg;
    setenv("CLEW_RING_FULL", "drop", 1);
    setenv("CLEW_LOG_OUTPUT", "/dev/null", 1);
    for (int i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, shout, (void *)clew_logger_get("x.y"));
    for (int i = 0; i < 2000; i++)
        CHECK(clew_log_set_levels(i % 2 ? "info,x=off" : "debug,function:sh*=debug") == 0);
    stop = true;
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    return 0;
}

static void test_levels_switch_under_load(void **state)
{
    (void)state;
    child_run(switching, NULL);
    assert_int_equal(child.status, 0);
}

static int secrets(void *arg)
{
    const char *card = "4111111111111111";
    struct clew_scope scope = {clew_context_new(), 0};

    (void)arg;
    setenv("CLEW_SECRET_KEY", "a key for this test", 1);
    setenv("CLEW_SECRET_FIELDS", "colour,-pin", 1);
    clew_info("secrets", clew_secret("value", card), clew_kv("card", card),
              clew_kv("user_password", "hunter2"), clew_kv("X-Api-Key", "open sesame"),
              clew_kv("Authorization", "Bearer abc"), clew_kv("cvv", 987654321),
              clew_kv("colour", "red"), clew_kv("pin", "not hidden"), clew_kv("tokens_used", 5),
              clew_kv("has_password", (bool)true), clew_object("in", clew_kv("passwd", "deep")),
              clew_secret("none", NULL));
    clew_context_bind(scope.context, clew_kv("session_token", "s3cr3t"));
    (void)clew_scope_enter(scope);
    clew_info("bound");
    return 0;
}

static void test_levels_secrets_are_tokens(void **state)
{
    /* None of them can be part of a time, an id or a token by chance. */
    static const char *const hidden[] = {"4111111111111111", "hunter2", "open sesame", "Bearer",
                                         "987654321",        "\"red",   "deep",        "s3cr3t"};
    char *first, *second;

    (void)state;
    child_run(secrets, NULL);
    assert_int_equal(child.status, 0);
    for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++)
        assert_null(strstr(child.output, hidden[i]));
    assert_non_null(strstr(child.output, "\"pin\":\"not hidden\",\"tokens_used\":5,"
                                         "\"has_password\":true"));
    assert_non_null(strstr(child.output, "\"none\":null"));
    /* The same value, the same token; with the same key in another process too. */
    assert_string_equal(json_string_value(json_object_get(
                            json_object_get(child_line("secrets"), "context"), "card")),
                        json_string_value(json_object_get(
                            json_object_get(child_line("secrets"), "context"), "value")));
    first = strdup(json_string_value(
        json_object_get(json_object_get(child_line("secrets"), "context"), "card")));
    child_run(secrets, NULL);
    second = strdup(json_string_value(
        json_object_get(json_object_get(child_line("secrets"), "context"), "card")));
    assert_string_equal(first, second);
    free(first);
    free(second);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, child_setup, child_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_levels_rules),
        TEST(test_levels_from_the_environment),
        TEST(test_levels_logger_fields),
        TEST(test_levels_limits),
        TEST(test_levels_per_second),
        TEST(test_levels_switch_under_load),
        TEST(test_levels_secrets_are_tokens),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
