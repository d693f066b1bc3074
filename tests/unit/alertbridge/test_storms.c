/* SPDX-License-Identifier: Apache-2.0
 * Too many alerts, and those that come and go, on a store with a clock of the test's
 * own: what is held, what passes, and what is told when it is over. */
#include "bridge.h"

#include <common/instant.h>
#include <store/vanish.h>
#include <timers/timer.h>
#include <watchdog/watchdog.h>

#include <clew/log.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct bench bench;
static struct clew__config *config;
static struct clew__store *store;
static int64_t now;

#define MINUTE (60 * CLEW__SECOND_NS)
#define NAME_SLACK "    slack_configs: [{api_url: 'http://127.0.0.1:9/s', send_resolved: true}]\n"
#define NAME_PAGER "    pagerduty_configs: [{routing_key: k}]\n"
#define ONE_RECEIVER(keys, kinds) \
    "storage: unused\n" keys "route: {receiver: a}\nreceivers:\n  - name: a\n" kinds

static void begin(const char *text)
{
    bench_init(&bench);
    config = load_config(&bench, text);
    store = open_store(&bench);
    now = 1800000000 * CLEW__SECOND_NS;
}

static int setup(void **state)
{
    (void)state;
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

/* A group of its own for each alert. */
static void apply(const char *severity, const char *status, unsigned alert, const char *starts_at)
{
    const struct made_alert alerts[] = {{"Disk", severity, status, starts_at, alert}};
    char group[16], *body;

    (void)snprintf(group, sizeof(group), "g%u", alert);
    body = make_body(group, "http://am", 0, alerts, 1);
    apply_body(store, config, body, now);
}

static void advance(int64_t ns)
{
    (void)fire_due(store, config, now += ns);
}

#define DELIVERIES number_in(store, "SELECT count(*) FROM deliveries")
#define PD(action)                                                                             \
    number_in(store,                                                                           \
              "SELECT count(*) FROM deliveries WHERE kind = 'pagerduty' AND action = '" action \
              "'")
#define TIMERS number_in(store, "SELECT count(*) FROM timers")
#define AUDIT(decision) \
    number_in(store, "SELECT count(*) FROM audit WHERE decision = '" decision "'")
#define OPEN number_in(store, "SELECT count(*) FROM incidents WHERE open = 1")

#define SINCE "2026-01-01T00:00:00Z"

/* ---- limits ---------------------------------------------------------------- */

static void test_storm_digest(void **state)
{
    (void)state;
    begin(ONE_RECEIVER("", "    limit: {pages: 3, window: 5m}\n" NAME_SLACK));
    for (unsigned i = 1; i <= 10; i++) {
        apply("warning", "firing", i, SINCE);
        now += CLEW__SECOND_NS;
    }
    assert_int_equal(DELIVERIES, 3);
    assert_int_equal(AUDIT("held"), 7);
    apply("critical", "firing", 11, SINCE);
    assert_int_equal(DELIVERIES, 4);
    apply("warning", "resolved", 10, SINCE); /* nobody knew of it */
    assert_int_equal(DELIVERIES, 4);
    advance(5 * MINUTE - 11 * CLEW__SECOND_NS);
    assert_int_equal(DELIVERIES, 4);
    advance(CLEW__SECOND_NS);
    assert_int_equal(DELIVERIES, 5);
    assert_int_equal(number_in(store, "SELECT fired FROM deliveries ORDER BY id DESC LIMIT 1"), 6);
    assert_int_equal(number_in(store, "SELECT count(*) FROM deliveries d JOIN webhooks w"
                                      " ON w.id = d.webhook_id WHERE d.note LIKE"
                                      " '%7 were held, 1 of them are over' AND"
                                      " w.group_labels = '{\"alertname\":\"7 more\"}'"),
                     1);
    assert_int_equal(TIMERS, 0);
    /* A new window, and the held ones' ends. */
    apply("warning", "firing", 12, SINCE);
    assert_int_equal(DELIVERIES, 6);
    apply("warning", "resolved", 9, SINCE);
    assert_int_equal(DELIVERIES, 7);
}

/* What cannot be merged becomes one incident, which ends with the last of them. */
static void test_storm_pager(void **state)
{
    (void)state;
    begin(ONE_RECEIVER("", "    limit: {pages: 2, window: 1m}\n" NAME_PAGER));
    for (unsigned i = 1; i <= 5; i++)
        apply("warning", "firing", i, SINCE);
    assert_int_equal(PD("trigger"), 2);
    advance(MINUTE);
    assert_int_equal(PD("trigger"), 3);
    assert_int_equal(OPEN, 3);
    for (unsigned i = 3; i <= 5; i++) {
        assert_int_equal(PD("resolve"), 0);
        apply("warning", "resolved", i, SINCE);
    }
    assert_int_equal(PD("resolve"), 1);
    assert_int_equal(OPEN, 2);
}

static void test_storm_that_is_over_tells_nothing(void **state)
{
    (void)state;
    begin(ONE_RECEIVER("", "    limit: {pages: 1, window: 1m}\n" NAME_SLACK));
    apply("warning", "firing", 1, SINCE);
    apply("warning", "firing", 2, SINCE);
    apply("warning", "resolved", 2, SINCE);
    advance(MINUTE);
    assert_int_equal(DELIVERIES, 1);
    assert_int_equal(AUDIT("not sent"), 1);
    assert_int_equal(number_in(store, "SELECT count(*) FROM storm_alerts"), 0);
}

/* ---- flapping ---------------------------------------------------------------- */

#define FLAPPING "flapping: {fires: 3, window: 30m, calm: 15m}\n"

/* Beginning and end of an occurrence a minute. */
static void flap(unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        char since[32];
        static unsigned serial;

        (void)snprintf(since, sizeof(since), "2026-01-01T00:%02u:%02uZ", serial / 60, serial % 60);
        serial++;
        apply("critical", "firing", 1, since);
        advance(30 * CLEW__SECOND_NS);
        apply("critical", "resolved", 1, since);
        advance(30 * CLEW__SECOND_NS);
    }
}

static void test_flap_is_held_until_calm(void **state)
{
    (void)state;
    begin(ONE_RECEIVER(FLAPPING, NAME_PAGER));
    flap(2);
    assert_int_equal(PD("trigger"), 2);
    assert_int_equal(PD("resolve"), 2);
    flap(5);
    assert_int_equal(PD("trigger"), 3);
    assert_int_equal(PD("resolve"), 2);
    assert_int_equal(OPEN, 1);
    assert_int_equal(
        number_in(store,
                  "SELECT count(*) FROM deliveries WHERE note LIKE 'it comes and goes: 3 times%'"),
        1);
    assert_int_equal(AUDIT("held"), 4 + 5);
    advance(14 * MINUTE);
    assert_int_equal(PD("resolve"), 2);
    advance(MINUTE);
    assert_int_equal(PD("resolve"), 3);
    assert_int_equal(OPEN, 0);
    assert_int_equal(
        number_in(
            store,
            "SELECT count(*) FROM deliveries WHERE note LIKE 'calm at last: it had fired 7%'"),
        1);
    assert_int_equal(TIMERS, 0);
    advance(30 * MINUTE);
    flap(1); /* that is long ago now */
    assert_int_equal(PD("trigger"), 4);
    assert_int_equal(PD("resolve"), 4);
}

/* Alice does something about the first alert. */
static void by_hand(int (*act)(struct clew__db *db, void *arg))
{
    struct clew__by_hand work = {
        .fingerprint = "0000000000000001", .actor = "alice", .via = "slack", .now = now};

    assert_int_equal(clew__store_write(store, act, &work), 0);
}

/* It stays with whoever has it in hand, and its end is told at once after a long time. */
static void test_flap_keeps_its_hand_and_may_end_by_firing_on(void **state)
{
    (void)state;
    begin(ONE_RECEIVER(FLAPPING, NAME_PAGER));
    flap(3);
    apply("critical", "firing", 1, "2026-02-01T00:00:00Z");
    by_hand(clew__store_acknowledge);
    apply("critical", "resolved", 1, "2026-02-01T00:00:00Z");
    apply("critical", "firing", 1, "2026-02-01T00:01:00Z");
    assert_int_equal(number_in(store,
                               "SELECT count(*) FROM acks k JOIN alerts a ON a.id = k.alert_id"
                               " WHERE a.status = 'firing'"),
                     1);
    advance(20 * MINUTE);
    assert_int_equal(OPEN, 1);
    apply("critical", "resolved", 1, "2026-02-01T00:01:00Z");
    assert_int_equal(OPEN, 0);
    assert_int_equal(number_in(store, "SELECT count(*) FROM flaps"), 0);
}

/* Somebody closed it in PagerDuty: what fires then is news. */
static void test_flap_that_nobody_knows_is_told(void **state)
{
    (void)state;
    begin(ONE_RECEIVER(FLAPPING, NAME_PAGER));
    flap(3);
    apply("critical", "firing", 1, "2026-02-01T00:00:00Z");
    by_hand(clew__store_resolve_by_hand);
    assert_int_equal(OPEN, 0);
    apply("critical", "resolved", 1, "2026-02-01T00:00:00Z");
    apply("critical", "firing", 1, "2026-02-01T00:01:00Z");
    assert_int_equal(OPEN, 1);
    assert_int_equal(PD("trigger"), 4);
}

/* ---- dead man's switch ---------------------------------------------------------- */

#define WATCHDOG                                                               \
    "watchdogs:\n  - {name: eu, matchers: ['severity=\"none\"'], within: 10m," \
    " receiver: a}\n"

static void start(bool process)
{
    struct clew__watchdog_begin work = {config, now, process};

    assert_int_equal(clew__store_write(store, clew__watchdog_begin, &work), 0);
}

static void begin_watchdog(void)
{
    begin(WATCHDOG "storage: unused\nroute: {receiver: nobody}\nreceivers:\n  - name: nobody\n"
                   "  - name: a\n" NAME_PAGER);
    start(true);
}

static int read_name(struct clew__db *db, void *arg)
{
    struct clew__firing_alerts alerts = {0};
    const char *name = arg;
    int64_t n = 0;
    int r = clew__store_firing_alerts(db, &alerts), found = 0;

    for (size_t i = 0; i < alerts.n && r == 0; i++) {
        char pattern[64];

        (void)snprintf(pattern, sizeof(pattern), "%%\"alertname\":\"%s\"%%", name);
        r = clew__db_number(db, 0, &n,
                            "SELECT count(*) FROM alerts WHERE id = ?1 AND labels LIKE ?2", "is",
                            alerts.items[i].id, pattern);
        found += n > 0;
    }
    return r < 0 ? r : found;
}

/* Whether Alertmanager is asked about it: it does not know the bridge's own. */
static bool asked_about(const char *name)
{
    return clew__store_read(store, read_name, (void *)(uintptr_t)name) > 0;
}

static void test_watchdog_missing_and_back(void **state)
{
    (void)state;
    begin_watchdog();
    advance(9 * MINUTE);
    apply("none", "firing", 1, SINCE);
    advance(9 * MINUTE);
    apply("none", "firing", 1, SINCE); /* a repeat counts */
    advance(9 * MINUTE);
    assert_int_equal(DELIVERIES, 0);
    advance(MINUTE);
    assert_int_equal(PD("trigger"), 1);
    assert_int_equal(
        number_in(store, "SELECT count(*) FROM alerts WHERE status = 'firing' AND annotations LIKE"
                         " '%The watchdog eu has not been seen for 10m%'"),
        1);
    advance(60 * MINUTE);
    assert_int_equal(PD("trigger"), 1);
    assert_false(asked_about("WatchdogMissing"));
    assert_true(asked_about("Disk"));
    apply("none", "firing", 1, SINCE);
    assert_int_equal(PD("resolve"), 1);
    assert_int_equal(OPEN, 0);
    advance(10 * MINUTE); /* and again */
    assert_int_equal(PD("trigger"), 2);
}

static void test_watchdog_that_ends_is_missing(void **state)
{
    (void)state;
    begin_watchdog();
    apply("none", "firing", 1, SINCE);
    apply("none", "resolved", 1, SINCE);
    apply("none", "resolved", 1, SINCE);
    advance(CLEW__SECOND_NS);
    assert_int_equal(PD("trigger"), 1);
    advance(60 * MINUTE);
    assert_int_equal(PD("trigger"), 1);
}

static void test_watchdog_outlives_a_restart(void **state)
{
    (void)state;
    begin_watchdog();
    apply("none", "firing", 1, SINCE);
    now += 12 * MINUTE; /* nobody could hear it */
    start(true);
    advance(9 * MINUTE);
    assert_int_equal(DELIVERIES, 0);
    now += 12 * MINUTE; /* once is enough: it is not the restarts */
    start(true);
    advance(CLEW__SECOND_NS);
    assert_int_equal(PD("trigger"), 1);
    start(true);
    advance(60 * MINUTE);
    assert_int_equal(PD("trigger"), 1);
}

static void test_watchdog_keeps_its_time_over_a_short_restart(void **state)
{
    (void)state;
    begin_watchdog();
    apply("none", "firing", 1, SINCE);
    now += 5 * MINUTE;
    start(true);
    advance(4 * MINUTE);
    assert_int_equal(DELIVERIES, 0);
    advance(MINUTE);
    assert_int_equal(PD("trigger"), 1);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_storm_digest),
        TEST(test_storm_pager),
        TEST(test_storm_that_is_over_tells_nothing),
        TEST(test_flap_is_held_until_calm),
        TEST(test_flap_keeps_its_hand_and_may_end_by_firing_on),
        TEST(test_flap_that_nobody_knows_is_told),
        TEST(test_watchdog_missing_and_back),
        TEST(test_watchdog_that_ends_is_missing),
        TEST(test_watchdog_outlives_a_restart),
        TEST(test_watchdog_keeps_its_time_over_a_short_restart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
