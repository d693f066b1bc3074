/* SPDX-License-Identifier: Apache-2.0
 * Redis commands as spans; the argument is the server's socket. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "print_spans.h"

#include <clew/hiredis.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *socket_path;

static int type_of(void *reply)
{
    int type = reply ? ((redisReply *)reply)->type : -1;

    if (reply)
        freeReplyObject(reply);
    return type;
}

static int commands(void *arg)
{
    const char *argv[20] = {"RPUSH", "list-secret"};
    redisContext *context;
    struct clew_sql_call call;
    void *reply;

    (void)arg;
    print_spans();
    (void)signal(SIGPIPE, SIG_IGN); /* the last command finds the connection closed */
    for (int i = 2; i < 20; i++)
        argv[i] = "a-secret";
    context = redisConnectUnix(socket_path);
    CHECK(context && !context->err);
    CHECK(type_of(clew_redis_command(context, "SET %s %b", "key-secret", "a-secret", (size_t)8)) ==
          REDIS_REPLY_STATUS);
    CHECK(type_of(clew_redis_command(context, "get key-secret")) == REDIS_REPLY_STRING);
    CHECK(type_of(clew_redis_command(context, "GET none-secret")) == REDIS_REPLY_NIL);
    CHECK(type_of(clew_redis_command(context, "GET list-secret")) == REDIS_REPLY_NIL);
    CHECK(type_of(clew_redis_command(context, "LPOP key-secret")) == REDIS_REPLY_ERROR);
    CHECK(type_of(clew_redis_command_argv(context, 20, argv, NULL)) == REDIS_REPLY_INTEGER);
    CHECK(type_of(clew_redis_command(context, "GET list-secret")) == REDIS_REPLY_ERROR);
    CHECK(clew_redis_command(context, "SET %y") == NULL); /* no format */
    /* a pipeline */
    clew_redis_begin(&call, context, "INCR", 1, 3);
    for (int i = 0; i < 3; i++)
        CHECK(redisAppendCommand(context, "INCR n") == REDIS_OK);
    for (int i = 0; i < 3; i++) {
        CHECK(redisGetReply(context, &reply) == REDIS_OK);
        if (i == 2)
            clew_redis_end(&call, context, reply);
        freeReplyObject(reply);
    }
    CHECK(type_of(clew_redis_command(context, "QUIT")) == REDIS_REPLY_STATUS);
    CHECK(clew_redis_command(context, "PING") == NULL);
    redisFree(context);
    return 0;
}

static size_t count(const char *operation, const char *status)
{
    char text[128];

    (void)snprintf(text, sizeof(text),
                   "TRACE system=redis operation=%s status=%s duration_seconds=*", operation,
                   status);
    return events_like("database query completed", text);
}

static void test_hiredis_commands(void **state)
{
    json_t *span;

    (void)state;
    setenv("CLEW_LOG_LEVEL", "trace", 1);
    child_run(commands, NULL);
    assert_int_equal(child.status, 0);
    assert_true(child.whole);
    assert_null(strstr(child.output, "secret"));
    assert_int_equal(child_count("span"), 10);
    span = span_named("SET", 0);
    assert_non_null(span);
    assert_string_equal(member(span, "scope"), "clew.hiredis");
    assert_string_equal(span_attribute(span, "db.system.name"), "redis");
    assert_string_equal(span_attribute(span, "db.operation.name"), "SET");
    assert_string_equal(span_attribute(span, "db.query.text"), "SET ? ?");
    assert_string_equal(span_attribute(span, "server.address"), socket_path);
    assert_string_equal(span_attribute(span_named("get", 0), "db.query.text"), "get ?");
    span = span_named("LPOP", 0);
    assert_string_equal(span_attribute(span, "error.type"), "WRONGTYPE");
    assert_string_equal(span_attribute(span, "db.response.status_code"), "WRONGTYPE");
    assert_string_equal(span_attribute(span_named("RPUSH", 0), "db.query.text"),
                        "RPUSH ? ? ? ? ? ? ? ? ? ? ? ? ? ? ? ? ...");
    assert_string_equal(span_attribute(span_named("INCR", 0), "db.operation.batch.size"), "3");
    assert_string_not_equal(span_attribute(span_named("PING", 0), "error.type"), "(none)");
    assert_int_equal(child_count("database query completed"), 10);
    assert_int_equal(count("SET", "ok"), 1);
    assert_int_equal(count("GET", "ok"), 3);
    assert_int_equal(count("GET", "error"), 1);
    assert_int_equal(count("LPOP", "error"), 1);
    assert_int_equal(count("RPUSH", "ok"), 1);
    assert_int_equal(count("INCR", "ok"), 1); /* a pipeline */
    assert_int_equal(count("QUIT", "ok"), 1);
    assert_int_equal(count("PING", "connection"), 1);
    assert_int_equal(child_count("cache lookup"), 3);
    assert_int_equal(events_like("cache lookup", "TRACE cache_type=redis hit=true"), 1);
    assert_int_equal(events_like("cache lookup", "TRACE cache_type=redis hit=false"), 2);
    assert_true(spans_follow_conventions());
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_hiredis_commands, child_setup, child_teardown),
    };

    if (argc != 2)
        return 64;
    socket_path = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
