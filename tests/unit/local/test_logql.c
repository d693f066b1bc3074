/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <logql.h>

#include <stdlib.h>
#include <string.h>

static struct store_line line;

static int setup(void **state)
{
    (void)state;
    line = (struct store_line){.text = "{\"message\":\"disk full\"}", .len = 23};
    line.labels = json_pack("{s:s, s:s}", "service", "order", "env", "prod");
    line.metadata = json_pack("{s:s}", "request_id", "r-\"1\"");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    json_decref(line.labels);
    json_decref(line.metadata);
    return 0;
}

static void test_logql_filters(void **state)
{
    static const struct {
        const char *query;
        bool matches;
    } table[] = {
        {"{service=\"order\"}", true},
        {"{service=\"orde\"}", false},
        {"{service=~\"o.*\", env!=\"dev\"}", true},
        {"{service=~\"o\"}", false}, /* anchored */
        {"{service=~\"order|user\",}", true},
        {"{service!~\"user\", env=\"prod\"}", true},
        {"{service=\"order\"} |= \"full\"", true},
        {"{service=\"order\"} != \"full\"", false},
        {"{service=\"order\"} |~ \"f[ul]+\"", true},
        {"{service=\"order\"} !~ `full$`", true},
        {"{service=\"order\"} | request_id=\"r-\\\"1\\\"\"", true},
        {"{service=\"order\"} | request_id=\"r-2\"", false},
        {"{service=\"order\"} | missing=\"\" | env=\"prod\"", true},
        {"  { service = \"order\" }  |=  \"disk\"  ", true},
    };
    char error[256];

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct logql *query = logql_parse(table[i].query, error);

        if (!query)
            fail_msg("%s: %s", table[i].query, error);
        if (logql_matches(query, &line) != table[i].matches)
            fail_msg("%s", table[i].query);
        logql_free(query);
    }
}

static void test_logql_errors_say_where(void **state)
{
    static const char *const wrong[] = {
        "",
        "service",
        "{",
        "{}",
        "{service=\"x}",
        "{service=x}",
        "{service==\"x\"}",
        "{service=~\"(\"}",
        "{service=~\".*\"}",
        "{service=\"\"}",
        "{service=\"x\"} | json",
        "{service=\"x\"} request_id=\"y\"",
        "{service=\"x\"} | status > 5",
        "{service=\"x\"} |",
        "rate({service=\"x\"}[5m])",
    };
    char error[256];

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        error[0] = '\0';
        if (logql_parse(wrong[i], error))
            fail_msg("taken: %s", wrong[i]);
        assert_memory_equal(error, "parse error at column ", 22);
    }
}

static void test_logql_finds_exact_ids(void **state)
{
    char error[256];
    struct logql *query =
        logql_parse("{service=~\".+\"} | request_id=\"a\" | trace_id=~\"b\"", error);

    (void)state;
    assert_string_equal(logql_exact(query, "request_id"), "a");
    assert_null(logql_exact(query, "trace_id"));
    logql_free(query);
}

static void test_logql_survives_any_text(void **state)
{
    (void)state;
    srand(8);
    for (int round = 0; round < 50000; round++) {
        char text[40], error[256];
        size_t len = (size_t)rand() % sizeof(text);

        for (size_t i = 0; i + 1 < len; i++)
            text[i] = "{}=~!\"\\`|,a1 "[rand() % 13];
        text[len ? len - 1 : 0] = '\0';
        logql_free(logql_parse(text, error));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_logql_filters, setup, teardown),
        cmocka_unit_test(test_logql_errors_say_where),
        cmocka_unit_test(test_logql_finds_exact_ids),
        cmocka_unit_test(test_logql_survives_any_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
