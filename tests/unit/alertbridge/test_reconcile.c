/* SPDX-License-Identifier: Apache-2.0
 * What Alertmanager says itself: what it no longer has is closed, and only that; a
 * page that comes later is confirmed, and comes if nobody answers. The Alertmanagers
 * here say what the test wants. */
#include "bridge.h"

#include <alertmanager/watch.h>
#include <common/instant.h>
#include <timers/thread.h>

#include <clew/log.h>

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct bench bench;
static struct clew__config *config;
static struct clew__store *store;
static struct clew__watch *watch;
static struct clew__timers *timers;

/* One Alertmanager. */
struct am {
    struct far far;
    bool down;
    int64_t began;
    char state[16]; /* of alert 1; "": it has none */
    char status[128], alerts[512];
};
static struct am am[2];

static unsigned decide(struct far *far, const struct far_request *request, const char **text,
                       const char **retry_after)
{
    struct am *self = far->arg;
    char time[CLEW__INSTANT_TEXT];

    (void)retry_after;
    if (strcmp(request->path, "/api/v2/status") == 0) {
        (void)snprintf(self->status, sizeof(self->status), "{\"uptime\":\"%s\"}",
                       clew__instant_format(self->began, time));
        *text = self->status;
    } else {
        (void)snprintf(self->alerts, sizeof(self->alerts),
                       *self->state ? "[{\"fingerprint\":\"0000000000000001\",\"startsAt\":"
                                      "\"2026-01-01T00:00:00.000Z\",\"status\":{\"state\":\"%s\"}}]"
                                    : "[%s]",
                       self->state);
        *text = self->alerts;
    }
    return self->down ? 500 : 200;
}

/* With the lock of the far side, which answers meanwhile. */
static void say(unsigned which, const char *state, int64_t age, bool down)
{
    (void)pthread_mutex_lock(&am[which].far.lock);
    (void)snprintf(am[which].state, sizeof(am[which].state), "%s", state);
    am[which].began = (clew__instant_now() / CLEW__SECOND_NS - age) * CLEW__SECOND_NS;
    am[which].down = down;
    (void)pthread_mutex_unlock(&am[which].far.lock);
}

/* The same, without beginning anew. */
static void now_says(unsigned which, const char *state)
{
    (void)pthread_mutex_lock(&am[which].far.lock);
    (void)snprintf(am[which].state, sizeof(am[which].state), "%s", state);
    (void)pthread_mutex_unlock(&am[which].far.lock);
}

static int setup(void **state)
{
    (void)state;
    bench_init(&bench);
    memset(am, 0, sizeof(am));
    for (unsigned i = 0; i < 2; i++) {
        am[i].far.arg = &am[i];
        am[i].far.decide = decide;
        far_start(&am[i].far);
        say(i, "active", 7200, false);
    }
    store = open_store(&bench);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    timers = clew__timers_stop(timers);
    watch = clew__watch_stop(watch);
    store = clew__store_close(store);
    config = clew__config_free(config);
    for (unsigned i = 0; i < 2; i++)
        far_stop(&am[i].far);
    bench_done(&bench);
    return 0;
}

static void configure(unsigned nalertmanagers)
{
    char text[2048], second[128] = "";

    if (nalertmanagers > 1)
        (void)snprintf(second, sizeof(second), ", {url: 'http://127.0.0.1:%u/'}", am[1].far.port);
    (void)snprintf(text, sizeof(text),
                   "storage: unused\n"
                   "reconcile_interval: 1s\n"
                   "alertmanagers: [{url: 'http://127.0.0.1:%u'}%s]\n"
                   "route:\n"
                   "  receiver: pager\n"
                   "  routes: [{matchers: ['severity=\"warning\"'], receiver: pager, after: 1s}]\n"
                   "receivers:\n"
                   "  - {name: pager, pagerduty_configs: [{routing_key: '" ROUTING_KEY "',"
                   " url: 'http://127.0.0.1:9/'}]}\n",
                   am[0].far.port, second);
    config = load_config(&bench, text);
}

static void begin(void)
{
    assert_int_equal(clew__watch_start(config, store, NULL, &watch), 0);
}

static void apply(const char *severity, const char *status)
{
    const struct made_alert alert = {"Disk", severity, status, "2026-01-01T00:00:00Z", 1};
    char *body = make_body("g", "http://am", 0, &alert, 1);

    apply_body(store, config, body, clew__instant_now());
}

#define CLOSED number_in(store, "SELECT count(*) FROM alerts WHERE status = 'resolved'")
#define RESOLVES number_in(store, "SELECT count(*) FROM deliveries WHERE action = 'resolve'")
#define TRIGGERS number_in(store, "SELECT count(*) FROM deliveries WHERE action = 'trigger'")

/* Waits until sql gives this number; false after some seconds. */
static bool becomes(const char *sql, int64_t value)
{
    for (unsigned i = 0; i < 800; i++) {
        if (number_in(store, sql) == value)
            return true;
        (void)usleep(10000);
    }
    return false;
}

/* Waits for n further rounds with the Alertmanager. */
static void rounds(unsigned which, size_t n)
{
    assert_true(far_wait(&am[which].far, far_count(&am[which].far) + 2 * n, 30));
}

/* It was silenced when it ended: nobody ever said so. */
static void test_reconcile_closes_what_ended_silenced(void **state)
{
    int64_t ended;

    (void)state;
    configure(1);
    apply("critical", "firing");
    begin();
    rounds(0, 2);
    now_says(0, "suppressed");
    rounds(0, 2);
    assert_int_equal(CLOSED, 0);
    now_says(0, "");
    ended = clew__instant_now();
    assert_true(becomes("SELECT count(*) FROM alerts WHERE status = 'resolved'", 1));
    /* Two intervals, and what a busy machine needs. */
    assert_true(clew__instant_now() - ended < 4 * CLEW__SECOND_NS);
    assert_int_equal(RESOLVES, 1);
    assert_int_equal(number_in(store, "SELECT count(*) FROM incidents WHERE open = 1"), 0);
    assert_int_equal(number_in(store, "SELECT count(*) FROM audit WHERE decision = 'resolved'"), 1);
    /* If it fires after all, that counts at once. */
    apply("critical", "firing");
    assert_int_equal(TRIGGERS, 2);
}

/* Prometheus has not told it yet. */
static void test_reconcile_trusts_no_restarted_one(void **state)
{
    (void)state;
    configure(1);
    apply("critical", "firing");
    begin();
    rounds(0, 2);
    say(0, "", 30, false);
    rounds(0, 4);
    assert_int_equal(CLOSED, 0);
    /* Once it has had it, it counts. */
    now_says(0, "active");
    rounds(0, 2);
    now_says(0, "");
    assert_true(becomes("SELECT count(*) FROM alerts WHERE status = 'resolved'", 1));
}

/* One that is old enough has what there is, even if it was never seen with it. */
static void test_reconcile_trusts_an_old_one(void **state)
{
    (void)state;
    configure(1);
    say(0, "", 7200, false);
    apply("critical", "firing");
    begin();
    assert_true(becomes("SELECT count(*) FROM alerts WHERE status = 'resolved'", 1));
    assert_int_equal(RESOLVES, 1);
}

static void test_reconcile_needs_all_of_them(void **state)
{
    (void)state;
    configure(2);
    say(0, "", 7200, false);
    apply("critical", "firing");
    begin();
    rounds(0, 4); /* the second one has it */
    assert_int_equal(CLOSED, 0);
    say(1, "", 7200, true);
    rounds(0, 4); /* the second one may have it */
    assert_int_equal(CLOSED, 0);
    say(1, "", 7200, false);
    assert_true(becomes("SELECT count(*) FROM alerts WHERE status = 'resolved'", 1));
}

static void begin_timers(void)
{
    begin();
    assert_int_equal(clew__timers_start(config, store, NULL, watch, clew__timer_kinds, &timers), 0);
}

static void test_reconcile_confirms_a_page(void **state)
{
    (void)state;
    configure(1);
    begin_timers();
    apply("warning", "firing");
    assert_true(becomes("SELECT count(*) FROM deliveries WHERE action = 'trigger'", 1));
}

/* Silenced: not now, but when the silence is over. */
static void test_reconcile_holds_what_is_silenced(void **state)
{
    (void)state;
    configure(1);
    now_says(0, "suppressed");
    apply("warning", "firing");
    begin_timers();
    assert_true(becomes("SELECT count(*) FROM audit WHERE decision = 'waits'", 2));
    rounds(0, 3);
    assert_int_equal(TRIGGERS, 0);
    assert_int_equal(number_in(store, "SELECT count(*) FROM audit WHERE decision = 'waits'"), 2);
    now_says(0, "active");
    assert_true(becomes("SELECT count(*) FROM deliveries WHERE action = 'trigger'", 1));
    assert_int_equal(number_in(store, "SELECT count(*) FROM timers"), 0);
}

static void test_reconcile_pages_when_nobody_answers(void **state)
{
    int64_t due;

    (void)state;
    configure(2);
    say(0, "suppressed", 7200, true);
    say(1, "", 7200, true);
    begin_timers();
    apply("warning", "firing");
    due = clew__instant_now() + CLEW__SECOND_NS;
    assert_true(becomes("SELECT count(*) FROM deliveries WHERE action = 'trigger'", 1));
    assert_true(number_in(store, "SELECT max(created_at) FROM deliveries") - due < CLEW__SECOND_NS);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_reconcile_closes_what_ended_silenced),
        TEST(test_reconcile_trusts_no_restarted_one),
        TEST(test_reconcile_trusts_an_old_one),
        TEST(test_reconcile_needs_all_of_them),
        TEST(test_reconcile_confirms_a_page),
        TEST(test_reconcile_holds_what_is_silenced),
        TEST(test_reconcile_pages_when_nobody_answers),
    };
    int r;

    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
    r = cmocka_run_group_tests(tests, NULL, NULL);
    curl_global_cleanup();
    return r;
}
