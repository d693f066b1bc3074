/* SPDX-License-Identifier: Apache-2.0
 * Rules are replaced while events come: nothing is counted twice or not at all, and
 * what was replaced is freed. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "rules_file.h"
#include "sample.h"

#include <child.h>
#include <clew/export.h>
#include <clew/rules.h>

#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>

#define ORDERS "{method=\"GET\",path=\"/orders\""
#define LONG "{method=\"GET\",path=\"/a/route/of/more/than/32/bytes/{id}\""
#define STATUS ",status=\"200\"}"

static _Atomic bool all_replaced, all_sent;
static _Atomic uint64_t sent; /* of each, in pairs */

static void *send_events(void *arg)
{
    static const uint8_t trace_id[16] = {7};
    struct clew_scope scope = {clew_context_new(), 9};

    (void)arg;
    clew_context_set_trace(scope.context, trace_id, CLEW_TRACE_SAMPLED);
    (void)clew_scope_enter(scope);
    for (int i = 0; i % 2 || !all_replaced; i++) {
        clew_info("one");
        clew_trace("request completed", clew_kv("method", "GET"),
                   clew_kv("route", i % 2 ? "/orders" : "/a/route/of/more/than/32/bytes/{id}"),
                   clew_kv("status", 200), clew_kv("duration_seconds", i % 16));
        sent++;
    }
    (void)clew_scope_enter((struct clew_scope){NULL, 0});
    clew_context_unref(scope.context);
    return NULL;
}

static void *read_pages(void *arg)
{
    (void)arg;
    while (!all_sent) {
        char *page;
        size_t len;

        if (clew_metrics_render(true, &page, &len) == 0)
            free(page);
    }
    return NULL;
}

/* Two sets in turn, of different length; in each the event counts once. */
static bool replace_rules(int round)
{
    char text[256];

    (void)snprintf(text, sizeof(text),
                   "rules:\n  - {metric: %s_total, type: counter, match: {event: one}, labels: "
                   "{a: {value: b}}}\n%*s# %d\n",
                   round % 2 ? "odd" : "even", 1 + round % 2, "", round);
    write_rules(text);
    return clew_rules_reload() >= 0;
}

static int replaced_while_events_come(void *arg)
{
    pthread_t threads[3], reader;

    (void)arg;
    setenv("CLEW_LOG_LEVEL", "off", 1);
    setenv("CLEW_METRICS_RULES", file, 1);
    write_rules("rules: []\n");
    if (clew_start("rules", "1") < 0 || !replace_rules(0))
        return 2;
    pthread_create(&reader, NULL, read_pages, NULL);
    for (int i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, send_events, NULL);
    for (int round = 1; round < 60; round++)
        if (!replace_rules(round))
            return 3;
    all_replaced = true;
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    all_sent = true;
    pthread_join(reader, NULL);
    if (sample("http_request_duration_seconds_count" ORDERS "}") != (double)sent / 2 ||
        sample("http_requests_total" ORDERS STATUS) != (double)sent / 2 ||
        sample("http_requests_total" LONG STATUS) != (double)sent / 2)
        return 4;
    return sample("odd_total{a=\"b\"}") + sample("even_total{a=\"b\"}") == (double)sent ? 0 : 5;
}

static void test_rules_are_replaced_while_events_come(void **state)
{
    (void)state;
    child_run(replaced_while_events_come, NULL);
    assert_int_equal(child.status, 0);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* they have another malloc */
static int replaced_are_freed(void *arg)
{
    size_t before = 0;

    (void)arg;
    setenv("CLEW_METRICS_RULES", file, 1);
    write_rules("rules: []\n");
    if (clew_start("rules", "1") < 0)
        return 2;
    for (int round = 0; round < 60; round++) {
        clew_info("one");
        if (!replace_rules(round))
            return 3;
        if (round == 20)
            before = mallinfo2().uordblks;
    }
    return mallinfo2().uordblks < before + 4096 ? 0 : 4;
}

static void test_rules_that_were_replaced_are_freed(void **state)
{
    (void)state;
    child_run(replaced_are_freed, NULL);
    assert_int_equal(child.status, 0);
}
#endif

#define CHILD(name) cmocka_unit_test_setup_teardown(name, child_setup, child_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHILD(test_rules_are_replaced_while_events_come),
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
        CHILD(test_rules_that_were_replaced_are_freed),
#endif
    };

    return cmocka_run_group_tests_name("rules_replaced", tests, rules_file_make, rules_file_remove);
}
