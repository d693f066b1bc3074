/* SPDX-License-Identifier: Apache-2.0
 * Escalation on a store, with a clock of the test's own: who is told when, who is
 * left out, what a digest holds, and what a new configuration does to what waits. */
#include "bridge.h"

#include <commands.h>
#include <common/instant.h>
#include <escalation/escalation.h>
#include <route_test.h>

#include <clew/log.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct bench bench;
static struct clew__config *config;
static struct clew__store *store;
static char path[192];
static int64_t now;

#define MINUTE (60 * CLEW__SECOND_NS)
#define HOUR (60 * MINUTE)
#define FP1 "0000000000000001"

static const char config_text[] =
    "listen: 127.0.0.1:0\n"
    "storage: unused\n"
    "time_intervals:\n"
    "  - name: business-hours\n"
    "    time_intervals: [{times: [{start_time: '09:00', end_time: '17:00'}],"
    " weekdays: ['monday:friday']}]\n"
    "route:\n"
    "  receiver: team\n"
    "  routes:\n"
    "    - matchers: ['severity=\"critical\"']\n"
    "      receiver: on-call\n"
    "      escalation:\n"
    "        - {after: 15m, receiver: second}\n"
    "        - {after: 30m, receiver: managers}\n"
    "      repeat_interval: 1h\n"
    "    - {matchers: ['severity=\"warning\"'], receiver: team, after: 15m}\n"
    "    - {matchers: ['severity=\"info\"'], receiver: team,"
    " active_time_intervals: [business-hours]}\n"
    "receivers:\n"
    "  - {name: team, slack_configs: [{api_url: 'http://127.0.0.1:9/team'}]}\n"
    "  - {name: on-call, pagerduty_configs: [{routing_key: '" ROUTING_KEY "'}]}\n"
    "  - {name: second, slack_configs: [{api_url: 'http://127.0.0.1:9/second'}]}\n"
    "  - {name: managers, email_configs: [{to: boss@example.org, from: a@example.org,"
    " smarthost: '127.0.0.1:9', require_tls: false}]}\n";

static int64_t at(const char *text)
{
    int64_t instant;

    assert_true(clew__instant_parse(text, &instant));
    return instant;
}

static int setup(void **state)
{
    (void)state;
    bench_init(&bench);
    config = load_config(&bench, config_text);
    (void)snprintf(path, sizeof(path), "%s", bench.storage);
    store = open_store(&bench);
    now = at("2026-11-18T10:00:00Z"); /* a Wednesday */
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    store = clew__store_close(store);
    config = clew__config_free(config);
    bench_done(&bench);
    return 0;
}

static void apply(const char *group, const char *severity, const char *status, unsigned first,
                  unsigned last)
{
    struct made_alert alerts[8];
    char *body;
    size_t n = 0;

    for (unsigned i = first; i <= last; i++)
        alerts[n++] = (struct made_alert){"Disk", severity, status, "2026-01-01T00:00:00Z", i};
    body = make_body(group, "http://am", 0, alerts, n);
    apply_body(store, config, body, now);
}

static void advance(int64_t ns)
{
    (void)fire_due(store, config, now += ns);
}

static void acknowledge(const char *fingerprint)
{
    struct clew__by_hand work = {
        .fingerprint = fingerprint, .actor = "alice", .via = "slack", .now = now};

    assert_int_equal(clew__store_write(store, clew__store_acknowledge, &work), 0);
}

#define TO(receiver)                                                                   \
    number_in(store, "SELECT count(*) FROM deliveries WHERE receiver = '" receiver "'" \
                     " AND action = 'trigger'")
#define TIMERS number_in(store, "SELECT count(*) FROM timers")
#define AUDIT(decision) \
    number_in(store, "SELECT count(*) FROM audit WHERE decision = '" decision "'")

static void test_escalation_critical_climbs(void **state)
{
    (void)state;
    apply("g", "critical", "firing", 1, 2);
    assert_int_equal(TO("on-call"), 2);
    assert_int_equal(TIMERS, 1);
    advance(14 * MINUTE);
    assert_int_equal(TO("second"), 0);
    advance(1 * MINUTE);
    assert_int_equal(TO("second"), 1); /* one message about both */
    assert_int_equal(number_in(store, "SELECT fired FROM deliveries WHERE receiver = 'second'"), 2);
    assert_int_equal(number_in(store, "SELECT count(*) FROM deliveries WHERE note ="
                                      " 'escalation step 1: nobody has acknowledged for 15m'"),
                     1);
    advance(30 * MINUTE);
    assert_int_equal(TO("managers"), 1);
    advance(HOUR);
    assert_int_equal(TO("on-call"), 4);
    advance(15 * MINUTE);
    assert_int_equal(TO("second"), 2);
    /* Everybody who was told hears of the end. */
    apply("g", "critical", "resolved", 1, 2);
    assert_int_equal(number_in(store, "SELECT count(*) FROM deliveries WHERE action = 'resolve'"
                                      " AND kind = 'pagerduty'"),
                     2);
    advance(24 * HOUR);
    assert_int_equal(TIMERS, 0);
    assert_int_equal(TO("managers"), 1);
}

static void test_escalation_ends_with_an_acknowledgement(void **state)
{
    (void)state;
    apply("g", "critical", "firing", 1, 2);
    acknowledge(FP1);
    advance(15 * MINUTE);
    assert_int_equal(number_in(store, "SELECT fired FROM deliveries WHERE receiver = 'second'"), 1);
    acknowledge("0000000000000002");
    advance(30 * MINUTE);
    assert_int_equal(TO("managers"), 0);
    assert_int_equal(TIMERS, 0);
    /* Ended and fired again: from the beginning. */
    apply("g", "critical", "resolved", 1, 1);
    apply("g", "critical", "firing", 1, 1);
    advance(15 * MINUTE);
    assert_int_equal(TO("second"), 2);
}

/* The repeats of Alertmanager do not push the time back. */
static void test_escalation_warning_waits(void **state)
{
    (void)state;
    apply("g", "warning", "firing", 1, 2);
    assert_int_equal(TO("team"), 0);
    assert_int_equal(AUDIT("waits"), 2);
    advance(10 * MINUTE);
    apply("g", "warning", "firing", 1, 3); /* a third one joins */
    advance(5 * MINUTE);
    assert_int_equal(TO("team"), 1);
    assert_int_equal(number_in(store, "SELECT fired FROM deliveries"), 2);
    advance(10 * MINUTE);
    assert_int_equal(TO("team"), 2);
    advance(24 * HOUR);
    assert_int_equal(TO("team"), 2);
    assert_int_equal(TIMERS, 0);
}

static void test_escalation_warning_that_ends_tells_nobody(void **state)
{
    (void)state;
    apply("g", "warning", "firing", 1, 1);
    advance(14 * MINUTE);
    apply("g", "warning", "resolved", 1, 1);
    advance(24 * HOUR);
    assert_int_equal(number_in(store, "SELECT count(*) FROM deliveries"), 0);
    assert_int_equal(AUDIT("not sent"), 1);
    assert_int_equal(TIMERS, 0);
}

/* After downtime: once, and the next step counts from then. */
static void test_escalation_after_downtime(void **state)
{
    (void)state;
    apply("g", "critical", "firing", 1, 1);
    advance(48 * HOUR);
    assert_int_equal(TO("second"), 1);
    assert_int_equal(TO("managers"), 0);
    advance(29 * MINUTE);
    assert_int_equal(TO("managers"), 0);
    advance(1 * MINUTE);
    assert_int_equal(TO("managers"), 1);
    assert_int_equal(TO("on-call"), 1);
}

static void test_escalation_info_within_hours(void **state)
{
    (void)state;
    apply("g", "info", "firing", 1, 1);
    assert_int_equal(TO("team"), 1);
    assert_int_equal(TIMERS, 0);
}

static void test_escalation_digest_at_opening(void **state)
{
    struct clew__load load = {.delivery_id = 0};

    (void)state;
    now = at("2026-11-20T17:00:00Z"); /* Friday evening */
    apply("g1", "info", "firing", 1, 2);
    advance(HOUR);
    apply("g2", "info", "firing", 3, 3);
    apply("g2", "info", "resolved", 3, 3);
    apply("g3", "info", "firing", 4, 4);
    assert_int_equal(TO("team"), 0);
    assert_int_equal(TIMERS, 3);
    now = at("2026-11-23T08:59:59Z");
    advance(0);
    assert_int_equal(TO("team"), 0);
    advance(CLEW__SECOND_NS);
    assert_int_equal(TO("team"), 1);
    assert_int_equal(TIMERS, 0);
    assert_int_equal(number_in(store, "SELECT fired FROM deliveries"), 3);
    assert_int_equal(number_in(store, "SELECT resolved FROM deliveries"), 1);
    assert_int_equal(AUDIT("mentioned"), 1);
    load.delivery_id = number_in(store, "SELECT max(id) FROM deliveries");
    assert_int_equal(clew__store_read(store, clew__store_load, &load), 0);
    assert_string_equal(load.page.note, "held until business-hours");
    assert_string_equal(clew__page_name(&load.page), "Digest");
    assert_string_equal(clew__page_value(load.page.common_labels, "severity"), "info");
    assert_string_equal(clew__page_value(load.page.common_labels, "instance"), "");
    clew__load_done(&load);
    /* The channel is told of ends by whatever tells about the digest's incident. */
    apply("g1", "info", "resolved", 1, 2);
    apply("g3", "info", "resolved", 4, 4);
    assert_int_equal(number_in(store, "SELECT count(*) FROM incidents WHERE open = 1"), 0);
}

/* Nothing fires any more: the digest still says what was. */
static void test_escalation_digest_of_what_is_over(void **state)
{
    (void)state;
    now = at("2026-11-20T17:00:00Z");
    apply("g1", "info", "firing", 1, 1);
    apply("g1", "info", "resolved", 1, 1);
    now = at("2026-11-23T09:00:00Z");
    advance(0);
    assert_int_equal(number_in(store, "SELECT count(*) FROM deliveries WHERE action = 'resolve'"
                                      " AND resolved = 1"),
                     1);
    assert_int_equal(number_in(store, "SELECT count(*) FROM incidents WHERE open = 1"), 0);
}

static void test_escalation_follows_a_new_configuration(void **state)
{
    char text[sizeof(config_text) + 100];
    const char *cut = strstr(config_text, "    - {matchers: ['severity=\"warning\"']");

    (void)state;
    apply("g", "warning", "firing", 1, 1);
    /* No such route any more: the alert takes the default one, at once. */
    (void)clew__config_free(config);
    (void)snprintf(text, sizeof(text), "%.*s%s", (int)(cut - config_text), config_text,
                   strchr(cut, '\n') + 1);
    config = load_config(&bench, text);
    advance(15 * MINUTE);
    assert_int_equal(TO("team"), 1);
    assert_int_equal(TIMERS, 0);
}

static void test_escalation_is_explained(void **state)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    (void)state;
    apply("g", "critical", "firing", 1, 1);
    assert_int_equal(clew__command_explain(path, FP1, false, out), 0);
    advance(15 * MINUTE);
    apply("g", "warning", "firing", 2, 2);
    assert_int_equal(clew__command_explain(path, FP1, false, out), 0);
    assert_int_equal(clew__command_explain(path, "0000000000000002", true, out), 0);
    (void)fclose(out);
    assert_non_null(strstr(text, "2026-11-18T10:15:00Z \"second\", escalation step 1"));
    assert_non_null(strstr(text, "second; escalation step 1: nobody has acknowledged for 15m"));
    assert_non_null(strstr(text, "2026-11-18T10:45:00Z \"managers\", escalation step 2"));
    assert_non_null(strstr(text, "team is told after 15m, if it still fires and nobody has"));
    assert_non_null(strstr(text, "{\"at\":\"2026-11-18T10:30:00Z\",\"receiver\":\"team\""));
    free(text);
}

static void test_escalation_route_test(void **state)
{
    const struct made_alert alerts[] = {{"A", "critical", "firing", "2026-01-01T00:00:00Z", 1},
                                        {"B", "info", "firing", "2026-01-01T00:00:00Z", 2}};
    char *body = make_body("g", "http://am", 0, alerts, 2), *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    (void)state;
    assert_int_equal(clew__route_test(config, bench_write(&bench, "body.json", "%s", body),
                                      at("2026-11-21T12:00:00Z"), out),
                     0);
    (void)fclose(out);
    assert_non_null(strstr(text, "on-call is told at once\n"));
    assert_non_null(strstr(text, "    second is told 15m later, if it still fires and nobody has"));
    assert_non_null(strstr(text, "    on-call is told again 1h later"));
    assert_non_null(strstr(text, "team is told in the digest at 2026-11-23T09:00:00Z, outside"
                                 " business-hours\n"));
    free(text);
    free(body);
}

static void test_escalation_errors(void **state)
{
    static const char *const cases[][2] = {
        {"after: 15", "after is a span of time"},
        {"after: 32d", "after is 0s to 31d"},
        {"escalation: [{after: 0s, receiver: a}]", "after is 1s to 31d"},
        {"escalation: [{after: 1m, receiver: nobody}]", "there is no receiver \"nobody\""},
        {"escalation: [{receiver: a}]", "a step needs receiver and after"},
        {"escalation: [{after: 1m, receiver: a, when: now}]", "when"},
        {"repeat_interval: 0s", "repeat_interval is 1s to 31d"},
        {"active_time_intervals: [never]", "there is no time interval \"never\""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct clew__config *none = NULL;
        const char *file = bench_write(&bench, "bad.yml",
                                       "storage: x\nroute: {receiver: a, %s}\n"
                                       "receivers: [{name: a}]\n",
                                       cases[i][0]);

        assert_true(clew__config_load(file, NULL, &none) < 0);
        if (!strstr(clew_last_error(), cases[i][1]))
            fail_msg("%s: %s", cases[i][0], clew_last_error());
    }
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_escalation_critical_climbs),
        TEST(test_escalation_ends_with_an_acknowledgement),
        TEST(test_escalation_warning_waits),
        TEST(test_escalation_warning_that_ends_tells_nobody),
        TEST(test_escalation_after_downtime),
        TEST(test_escalation_info_within_hours),
        TEST(test_escalation_digest_at_opening),
        TEST(test_escalation_digest_of_what_is_over),
        TEST(test_escalation_follows_a_new_configuration),
        TEST(test_escalation_is_explained),
        TEST(test_escalation_route_test),
        TEST(test_escalation_errors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
