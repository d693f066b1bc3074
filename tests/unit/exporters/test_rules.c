/* SPDX-License-Identifier: Apache-2.0
 * Rules of a file at call sites and on lines, and what is wrong with files. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "rules_file.h"

#include <child.h>
#include <clew/export.h>
#include <clew/logger.h>
#include <clew/rules.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CHECK_PAGE(expected)                                                          \
    do {                                                                              \
        char *page_;                                                                  \
        size_t len_;                                                                  \
        clew_metrics_render(false, &page_, &len_);                                    \
        if (!strstr(page_, "\n" expected "\n")) {                                     \
            fprintf(stderr, "line %d: not there: %s\n%s", __LINE__, expected, page_); \
            return 1;                                                                 \
        }                                                                             \
        free(page_);                                                                  \
    } while (0)

static const char shop[] =
    "rules:\n"
    "  - {metric: orders_total, type: counter, match: {event: order placed},\n"
    "     labels: {kind: {field: kind, map: {m: market}, default: other}, shop: {value: web}}}\n"
    "  - {metric: revenue_euros_total, type: counter, value: {field: cents, scale: 0.01},\n"
    "     match: {event: order placed, fields: {currency: [EUR, eur]}}}\n"
    "  - {metric: stock_items, type: gauge, value: left, match: {message: {glob: 'stock*'}}}\n"
    "  - {metric: open_orders, type: gauge, operation: add, match: {event: order placed}}\n"
    "  - {metric: open_orders, type: gauge, operation: subtract, match: {event: order done}}\n"
    "  - {metric: order_seconds, type: histogram, buckets: [0.1, 1], value: took,\n"
    "     match: {event: order done}}\n"
    "  - {metric: db_errors_total, type: counter, match: {logger: db, level: error}}\n"
    "  - {metric: strange_total, type: counter,\n"
    "     match: {fields: {note: {exists: true}, code: {not: {regex: '^2'}}}},\n"
    "     labels: {code: code, city: user.city}}\n";

static void shop_events(void)
{
    const struct clew_logger *pool = clew_logger_get("db.pool");

    for (int i = 0; i < 3; i++)
        clew_trace("order placed", clew_kv("kind", i == 0 ? "m" : "x"), clew_kv("cents", 150),
                   clew_kv("currency", i == 2 ? "USD" : "EUR"));
    clew_debug("order done", clew_duration("took", 500000000));
    clew_infof("stock of %s", "apples"); /* has no value */
    clew_info("stock low", clew_kv("left", 7));
    clew_error_to(pool, "lost");
    clew_warn_to(pool, "slow");
    clew_error("not a database's");
    clew_info("any", clew_kv("note", "n"), clew_kv("code", 404),
              clew_object("user", clew_kv("city", "Rome")));
    clew_info("any", clew_kv("note", "n"), clew_kv("code", 204));
    clew_info("any", clew_kv("note", (const char *)NULL), clew_kv("code", 404));
}

static int at_call_sites(void *arg)
{
    (void)arg;
    write_rules(shop);
    setenv("CLEW_METRICS_RULES", file, 1);
    setenv("CLEW_LOG_LEVEL", "off", 1);
    if (clew_start("rules", "1") < 0)
        return 2;
    for (int i = 0; i < 2; i++) /* seen for the first time, and known */
        shop_events();
    CHECK_PAGE("orders_total{kind=\"market\",shop=\"web\"} 2.0");
    CHECK_PAGE("orders_total{kind=\"other\",shop=\"web\"} 4.0");
    CHECK_PAGE("revenue_euros_total 6.0");
    CHECK_PAGE("open_orders 4.0");
    CHECK_PAGE("stock_items 7.0");
    CHECK_PAGE("order_seconds_bucket{le=\"1.0\"} 2.0");
    CHECK_PAGE("order_seconds_sum 1.0");
    CHECK_PAGE("db_errors_total 2.0");
    CHECK_PAGE("strange_total{code=\"404\",city=\"Rome\"} 2.0");
    return 0;
}

static void test_rules_apply_at_call_sites(void **state)
{
    (void)state;
    child_run(at_call_sites, NULL);
    assert_int_equal(child.status, 0);
}

static void one(void)
{
    clew_info("one");
}

static int reloaded(void *arg)
{
    (void)arg;
    write_rules("rules:\n  - {metric: ones_total, type: counter, match: {event: one}}\n");
    setenv("CLEW_METRICS_RULES", file, 1);
    if (clew_start("rules", "1") < 0)
        return 2;
    one();
    if (clew_rules_reload() != 1)
        return 3;
    write_rules("rules:\n  - {metric: ones_total, type: counter, match: {event: one}, oops: 1}\n");
    if (clew_rules_reload() != -EINVAL || !strstr(clew_last_error(), ":2:") ||
        !strstr(clew_last_error(), "unknown key \"oops\"; known here: "))
        return 4;
    one();
    CHECK_PAGE("ones_total 2.0");
    write_rules("rules:\n  - {metric: one_again_total, type: counter, match: {event: one}}\n");
    if (clew_rules_reload() != 0)
        return 5;
    one();
    CHECK_PAGE("ones_total 2.0");
    CHECK_PAGE("one_again_total 1.0");
    write_rules("rules: []\n");
    if (clew_rules_reload() != 0)
        return 6;
    one();
    CHECK_PAGE("one_again_total 1.0");
    return 0;
}

static void test_rules_are_reloaded_and_kept_when_wrong(void **state)
{
    (void)state;
    child_run(reloaded, NULL);
    assert_int_equal(child.status, 0);
}

static int noticed(void *arg)
{
    (void)arg;
    write_rules("rules: []\n");
    setenv("CLEW_METRICS_RULES", file, 1);
    if (clew_start("rules", "1") < 0)
        return 2;
    write_rules("rules:\n  - {metric: ones_total, type: counter, match: {event: one}}\n");
    for (int i = 0; i < 600; i++) { /* by itself */
        char *page;
        size_t len;
        bool there;

        clew_metrics_render(false, &page, &len);
        there = strstr(page, "ones_total 0.0") != NULL;
        free(page);
        if (there)
            return 0;
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
    return 3;
}

static void test_rules_notice_a_changed_file(void **state)
{
    (void)state;
    child_run(noticed, NULL);
    assert_int_equal(child.status, 0);
}

static int secrets(void *arg)
{
    (void)arg;
    write_rules("rules:\n  - {metric: cards_total, type: counter, match: {event: paid},\n"
                "     labels: {holder: {field: holder, default: hidden}}}\n");
    setenv("CLEW_METRICS_RULES", file, 1);
    if (clew_start("rules", "1") < 0)
        return 2;
    clew_info("paid", clew_secret("holder", "4111"));
    CHECK_PAGE("cards_total{holder=\"hidden\"} 1.0");
    return 0;
}

static void test_rules_never_show_a_secret(void **state)
{
    (void)state;
    child_run(secrets, NULL);
    assert_int_equal(child.status, 0);
}

/* ---- files --------------------------------------------------------------------------- */

static void test_rules_errors_name_the_place(void **state)
{
    static const struct {
        const char *text, *place, *reason;
    } cases[] = {
        {"", ":1:1: ", "empty"},
        {"rules:\n  - {type: counter}\n", ":2:5: ", "metric is missing"},
        {"rules:\n  - {metric: a_total}\n", ":2:5: ", "type is counter, gauge or histogram"},
        {"rules:\n  - metric: a_total\n    type: counter\n", ":2:5: ", "match is missing"},
        {"rules:\n  - {metric: a_total, type: counter, match: {}}\n", ":2:45: ", "every event"},
        {"rules:\n  - {metric: a, type: counter, match: {event: x}}\n", ":2:5: ", "_total"},
        {"rules:\n  - {metric: a, type: histogram, match: {event: x}}\n",
         ":2:5: ", "value is missing"},
        {"rules:\n  - {metric: a, type: gauge, match: {message: {regex: '('}}}\n",
         ":2:55: ", "regular expression"},
        {"rules:\n  - metric: a\n    type: gauge\n    match: {event: x}\n"
         "    labels: {r: request_id}\n",
         ":5:17: ", "request_id cannot be a label"},
        {"rules:\n  - metric: a\n    type: gauge\n    match: {event: x}\n"
         "    labels: {r: {field: api_key}}\n",
         ":5:25: ", "secret"},
        {"rules:\n  - metric: a\n    type: gauge\n    match: {event: x}\n    value: {scale: 2}\n",
         ":5:12: ", "field is missing"},
        {"rules:\n  - metric: a\n    type: histogram\n    match: {event: x}\n    value: v\n"
         "    buckets: [1, 1]\n",
         ":6:18: ", "ascend"},
        {"rules:\n  - metric: a\n    type: gauge\n    match: {event: x, level: loud}\n",
         ":4:30: ", "expected trace"},
        {"rules:\n  - metric: a\n    type: counter\n    operation: add\n    match: {event: x}\n",
         ":4:16: ", "only a gauge"},
        {"rules: [\n", ":2:1: ", ""},
        {"rules:\n  - {metric: http_requests_total, type: counter, match: {event: x}}\n",
         ":2:5: ", "other labels"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char place[64];

        write_rules(cases[i].text);
        (void)snprintf(place, sizeof(place), "%s%s", file, cases[i].place);
        assert_true(clew_rules_check(file, NULL, NULL) < 0);
        if (strncmp(clew_last_error(), place, strlen(place)) != 0 ||
            !strstr(clew_last_error(), cases[i].reason))
            fail_msg("case %zu: wanted %s %s, got: %s", i, place, cases[i].reason,
                     clew_last_error());
    }
    assert_int_equal(clew_rules_check("/nonexistent/rules.yml", NULL, NULL), -ENOENT);
}

static void collect(void *arg, const char *text)
{
    strncat(arg, text, 4000 - strlen(arg));
    strcat(arg, "\n");
}

static void test_rules_lint_warns(void **state)
{
    static const char *const expected[] = {
        ":2:5: cpu_percent: no help",
        "cpu_ratio with scale: 0.01",
        ":4:5: lint_seen_timestamp: not a base unit: lint_seen_timestamp_seconds",
        ":6:5: lint_wait: no unit",
        ":8:5: lint_total: label p: url is as clients send it",
        "label o: order_id looks like an id",
        "label e: error is free text",
    };
    char text[4200] = "";

    (void)state;
    write_rules("rules:\n"
                "  - {metric: cpu_percent, type: gauge, value: v, match: {event: x}}\n"
                "\n"
                "  - {metric: lint_seen_timestamp, type: gauge, help: h, value: v,\n"
                "     match: {event: x}}\n"
                "  - {metric: lint_wait, type: histogram, help: h, value: v,\n"
                "     match: {event: x}}\n"
                "  - {metric: lint_total, type: counter, help: h, match: {event: x},\n"
                "     labels: {p: url, o: order_id, e: error}}\n");
    if (clew_rules_check(file, collect, text) != 4)
        fail_msg("%s", clew_last_error());
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
        if (!strstr(text, expected[i]))
            fail_msg("not there: %s\n%s", expected[i], text);
}

static void test_rules_example_is_good(void **state)
{
    char text[4200] = "";

    (void)state;
    if (clew_rules_check(CLEW_RULES_EXAMPLE, collect, text) < 8)
        fail_msg("%s", clew_last_error());
    assert_string_equal(text, "");
}

/* ---- lines ------------------------------------------------------------------------------ */

static int lines(void *arg)
{
    static const char log[] =
        "{\"timestamp\":\"t\",\"level\":\"INFO\",\"message\":\"order placed\","
        "\"context\":{\"kind\":\"m\",\"cents\":150,\"currency\":\"EUR\"}}\n"
        "{\"currency\":\"\\u0045UR\",\"cents\":\"150\",\"msg\":\"order\\u0020placed\","
        "\"kin\\u0064\":\"x\"}\r\n"
        "  { \"cents\" : 1.5e2 , \"deep\":[{\"a\":[1,{}]},[]], \"message\" : \"order placed\","
        " \"currency\":\"USD\", \"kind\":null }\n"
        "\n"
        "{\"message\":\"order placed\"\n"
        "{\"level\":50,\"logger\":\"db.pool\",\"msg\":\"lost\"}\n"
        "{\"level\":\"warn\",\"logger\":\"db.pool\",\"msg\":\"lost\"}\n"
        "{\"severity\":\"ERROR\",\"logger\":\"dbx\",\"msg\":\"lost\"}\n"
        "{\"message\":\"order done\",\"took\":0.5}\n"
        "{\"message\":\"order done\",\"took\":\"soon\"}\n"
        "{\"note\":1,\"code\":404,\"context\":{\"user\":{\"city\":\"Rome\"}}}\n"
        "{\"note\":1,\"code\":\"404\",\"user\":{\"city\":\"Ro\\u006de\"}}\n"
        "{\"message\":\"stock low\",\"left\":7}";
    struct clew_deriver *deriver;
    struct clew_deriver_stats stats;
    size_t len = strlen(log), taken = 0;

    (void)arg;
    write_rules(shop);
    deriver = clew_deriver_new(file);
    if (!deriver)
        return 2;
    for (size_t end = 1; end <= len; end++) /* as it comes */
        taken += clew_derive(deriver, log + taken, end - taken, end == len);
    clew_deriver_stats(deriver, &stats);
    deriver = clew_deriver_free(deriver);
    if (taken != len || stats.lines != 13 || stats.not_json != 1)
        return 3;
    CHECK_PAGE("orders_total{kind=\"market\",shop=\"web\"} 1.0");
    CHECK_PAGE("orders_total{kind=\"other\",shop=\"web\"} 2.0");
    CHECK_PAGE("revenue_euros_total 3.0");
    CHECK_PAGE("db_errors_total 1.0");
    CHECK_PAGE("order_seconds_sum 0.5");
    CHECK_PAGE("order_seconds_count 1.0");
    CHECK_PAGE("strange_total{code=\"404\",city=\"Rome\"} 2.0");
    CHECK_PAGE("stock_items 7.0");
    return 0;
}

static void test_rules_apply_to_lines(void **state)
{
    (void)state;
    child_run(lines, NULL);
    assert_int_equal(child.status, 0);
}

/* Of a log without the lines that a gauge rises by none falls below zero; from the
 * first of them on it counts. */
static int gauges_of_half_a_log(void *arg)
{
    static const char ended[] = "{\"message\":\"request completed\",\"method\":\"GET\",\"route\":"
                                "\"/a\",\"status\":200,\"duration_seconds\":0.1}\n",
                      began[] = "{\"message\":\"request started\",\"method\":\"GET\"}\n";
    struct clew_deriver *deriver = clew_deriver_new(NULL);

    (void)arg;
    if (!deriver)
        return 2;
    for (int i = 0; i < 2; i++)
        (void)clew_derive(deriver, ended, strlen(ended), true);
    CHECK_PAGE("active_connections 0.0");
    for (int i = 0; i < 3; i++)
        (void)clew_derive(deriver, began, strlen(began), true);
    (void)clew_derive(deriver, ended, strlen(ended), true);
    CHECK_PAGE("active_connections 2.0");
    CHECK_PAGE("http_requests_total{method=\"GET\",path=\"/a\",status=\"200\"} 3.0");
    clew_deriver_free(deriver);
    return 0;
}

static void test_rules_gauges_of_half_a_log_do_not_fall(void **state)
{
    (void)state;
    child_run(gauges_of_half_a_log, NULL);
    assert_int_equal(child.status, 0);
}

/* More kinds of lines and values than are remembered, twice each. */
static int exemplars(void *arg)
{
#define DONE(time, trace, took) \
    "{" time "\"message\":\"order done\",\"trace_id\":\"" trace "\",\"took\":" took "}\n"
    static const char log[] = DONE("\"timestamp\":\"2025-08-20T10:00:00.5Z\",",
                                   "4bf92f3577b34da6a3ce929d0e0e4736", "0.05")
        DONE("\"timestamp\":\"2025-08-20T10:00:00.9Z\",", "00000000000000000000000000000001",
             "0.05") DONE("\"timestamp\":\"2025-08-20T10:00:01Z\",", "not of 32 digits", "0.05")
            DONE("\"timestamp\":\"2025-08-20T10:00:02Z\",", "xyz92f3577b34da6a3ce929d0e0e4736",
                 "0.05") DONE("", "00000000000000000000000000000002", "0.05")
                DONE("\"time\":1755684003.25,", "00000000000000000000000000000003", "0.5")
                    DONE("\"timestamp\":\"2025-08-21T01:02:03+01:00\",",
                         "00000000000000000000000000000004", "2");
    struct clew_deriver *deriver;
    char *page;
    size_t len;
    bool good;

    (void)arg;
    write_rules(shop);
    deriver = clew_deriver_new(file);
    if (!deriver || clew_derive(deriver, log, strlen(log), true) != strlen(log))
        return 2;
    clew_deriver_free(deriver);
    clew_metrics_render(true, &page, &len);
    good = strstr(page, "order_seconds_bucket{le=\"0.1\"} 5.0 # "
                        "{trace_id=\"4bf92f3577b34da6a3ce929d0e0e4736\"} 0.05 1755684000.000\n") &&
           strstr(page, "order_seconds_bucket{le=\"1.0\"} 6.0 # "
                        "{trace_id=\"00000000000000000000000000000003\"} 0.5 1755684003.000\n") &&
           strstr(page, "order_seconds_bucket{le=\"+Inf\"} 7.0 # "
                        "{trace_id=\"00000000000000000000000000000004\"} 2.0 1755734523.000\n");
    if (!good)
        fputs(page, stderr);
    free(page);
    return good ? 0 : 3;
}

static void test_rules_take_exemplars_from_lines(void **state)
{
    (void)state;
    child_run(exemplars, NULL);
    assert_int_equal(child.status, 0);
}

static int many(void *arg)
{
    struct clew_deriver *deriver;
    char line[160];

    (void)arg;
    write_rules("rules:\n  - {metric: many_total, type: counter, match: {message: {glob: 'm*'}},\n"
                "     labels: {v: v}}\n");
    deriver = clew_deriver_new(file);
    if (!deriver)
        return 2;
    for (int i = 0; i < 2 * 1900; i++) {
        int n = snprintf(line, sizeof(line), "{\"message\":\"m%d\",\"v\":\"value-%d\"}\n", i % 3000,
                         i % 1900);

        if (clew_derive(deriver, line, (size_t)n, false) != (size_t)n)
            return 3;
    }
    clew_deriver_free(deriver);
    CHECK_PAGE("many_total{v=\"value-0\"} 2.0");
    CHECK_PAGE("many_total{v=\"value-1899\"} 2.0");
    return 0;
}

static void test_rules_remember_no_more_than_they_may(void **state)
{
    (void)state;
    child_run(many, NULL);
    assert_int_equal(child.status, 0);
}

#define CHILD(name) cmocka_unit_test_setup_teardown(name, child_setup, child_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHILD(test_rules_apply_at_call_sites),
        CHILD(test_rules_are_reloaded_and_kept_when_wrong),
        CHILD(test_rules_notice_a_changed_file),
        CHILD(test_rules_never_show_a_secret),
        CHILD(test_rules_apply_to_lines),
        CHILD(test_rules_take_exemplars_from_lines),
        CHILD(test_rules_gauges_of_half_a_log_do_not_fall),
        CHILD(test_rules_remember_no_more_than_they_may),
        /* They make metrics, which children would have too. */
        cmocka_unit_test(test_rules_errors_name_the_place),
        cmocka_unit_test(test_rules_lint_warns),
        cmocka_unit_test(test_rules_example_is_good),
    };

    return cmocka_run_group_tests(tests, rules_file_make, rules_file_remove);
}
