/* SPDX-License-Identifier: Apache-2.0
 * PagerDuty is down and comes back: nothing is lost, the order of each incident
 * holds, no incident is opened that nobody closes, and what is critical goes first;
 * and never more than it takes in a minute. */
#include "bridge.h"

#include <common/instant.h>
#include <delivery/delivery.h>
#include <delivery/minute.h>

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct bench bench;
static struct far far;
static struct clew__config *config;
static struct clew__store *store;
static struct clew__senders *senders;

/* What the far side does with the first `left` events. */
static struct {
    unsigned left, status;
    bool lose;
} trouble;

static unsigned stumble(struct far *self, const struct far_request *request, const char **text,
                        const char **retry_after)
{
    (void)request, (void)text, (void)retry_after;
    self->lose = false;
    self->hang_ms = 0;
    if (trouble.left == 0)
        return 202;
    trouble.left--;
    self->lose = trouble.lose;
    return trouble.status;
}

static int setup(void **state)
{
    (void)state;
    bench_init(&bench);
    memset(&trouble, 0, sizeof(trouble));
    far_start(&far);
    far.decide = stumble;
    store = open_store(&bench);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    senders = clew__senders_stop(senders, clew__instant_now() + 5 * CLEW__SECOND_NS);
    store = clew__store_close(store);
    config = clew__config_free(config);
    far_stop(&far);
    bench_done(&bench);
    return 0;
}

/* extra: further keys of the PagerDuty entry, as ", skip_ended: true". */
static void begin(const char *extra)
{
    char text[1024];

    (void)snprintf(text, sizeof(text),
                   "storage: unused\nroute: {receiver: a}\nreceivers:\n  - name: a\n"
                   "    pagerduty_configs:\n      - {routing_key: '" ROUTING_KEY "',"
                   " url: 'http://127.0.0.1:%u/v2/enqueue'%s}\n",
                   far.port, extra);
    config = load_config(&bench, text);
    assert_int_equal(clew__senders_start(config, store, &senders), 0);
}

static void apply(const struct made_alert *alerts, size_t n)
{
    char *body = make_body("g", "http://am.example", 0, alerts, n);

    apply_body(store, config, body, clew__instant_now());
    clew__senders_wake(senders);
}

#define SINCE "2026-01-01T00:00:00Z"
#define NCRITICAL 3u
#define NALERTS 9u

/* Six warnings, then three criticals; one of either ends while nobody hears. */
static void apply_incidents(void)
{
    struct made_alert alerts[NALERTS];
    const struct made_alert over[] = {{"A", "warning", "resolved", SINCE, 1},
                                      {"A", "critical", "resolved", SINCE, NALERTS}};

    for (unsigned i = 0; i < NALERTS; i++)
        alerts[i] = (struct made_alert){"A", i < NALERTS - NCRITICAL ? "warning" : "critical",
                                        "firing", SINCE, i + 1};
    apply(alerts, NALERTS);
    apply(over, 2);
}

static int read_failures(struct clew__db *db, void *arg)
{
    return clew__db_number(db, 0, arg, "SELECT sum(attempts) FROM deliveries", "");
}

static void wait_for_failures(int64_t n)
{
    int64_t give_up = clew__instant_now() + 30 * CLEW__SECOND_NS, attempts = 0;

    while (attempts < n && clew__instant_now() < give_up) {
        assert_int_equal(clew__store_read(store, read_failures, &attempts), 0);
        (void)usleep(10000);
    }
    assert_true(attempts >= n);
}

static void wait_for_end(void)
{
    wait_for_queue(store, 0);
    assert_int_equal(queue_of(store).dead, 0);
}

static const char *severity(size_t i)
{
    json_t *payload = json_object_get(far.requests[i].body, "payload");
    const char *text = json_string_value(json_object_get(payload, "severity"));

    return text ? text : "";
}

/* Of the accepted triggers the criticals come first, but for `before` at most: the
 * one by which it is noticed that the far side is back. */
static void assert_criticals_first(unsigned before)
{
    unsigned others = 0;

    for (size_t i = 0; i < far.n; i++) {
        if (far.requests[i].status != 202)
            continue;
        others += strcmp(severity(i), "warning") == 0;
        if (strcmp(severity(i), "critical") == 0)
            assert_true(others <= before);
    }
}

static void assert_all_told(void)
{
    struct pager pager = far_pager(&far);

    assert_int_equal(pager.opened, NALERTS);
    assert_int_equal(pager.open, NALERTS - 2);
    assert_int_equal(pager.most, 1);
    assert_false(pager.late);
}

static void test_outage_refused(void **state)
{
    uint16_t port = far.port;

    (void)state;
    begin("");
    far_stop(&far);
    apply_incidents();
    wait_for_failures(4);
    far.port = port;
    far.decide = stumble;
    far_start(&far);
    wait_for_end();
    assert_all_told();
    assert_criticals_first(1);
}

static void test_outage_errors(void **state)
{
    (void)state;
    begin("");
    trouble.left = 4;
    trouble.status = 500;
    apply_incidents();
    wait_for_end();
    assert_all_told();
    assert_criticals_first(1);
}

/* It takes the events, but nobody hears its answers. */
static void test_outage_lost_answers(void **state)
{
    (void)state;
    begin("");
    trouble.left = 4;
    trouble.status = 202;
    trouble.lose = true;
    apply_incidents();
    wait_for_end();
    assert_all_told();
    assert_criticals_first(1);
}

static void test_outage_hanging(void **state)
{
    (void)state;
    begin("");
    far.hang_path = "/v2/";
    far.hang_ms = 16000; /* a request gives up earlier; the next one is answered */
    trouble.left = 1;
    trouble.status = 202;
    trouble.lose = true;
    apply_incidents();
    wait_for_failures(1);
    far.hang_ms = 0;
    wait_for_end();
    assert_all_told();
    assert_criticals_first(0);
}

/* Nobody is woken for what is over; its end is told, in case that it was opened. */
static void test_outage_skips_what_ended(void **state)
{
    struct pager pager;

    (void)state;
    begin(", skip_ended: true");
    trouble.left = 4;
    trouble.status = 500;
    apply_incidents();
    wait_for_end();
    pager = far_pager(&far);
    assert_int_equal(pager.opened, NALERTS - 2);
    assert_int_equal(pager.open, NALERTS - 2);
    assert_int_equal(pager.most, 1);
}

static void test_outage_skips_but_closes_what_arrived(void **state)
{
    struct pager pager;

    (void)state;
    begin(", skip_ended: true");
    trouble.left = 4;
    trouble.status = 202;
    trouble.lose = true;
    apply_incidents();
    wait_for_end();
    pager = far_pager(&far);
    assert_int_equal(pager.open, NALERTS - 2);
    assert_int_equal(pager.most, 1);
}

/* The limit holds for what is critical too, but a part of it is for that alone. */
static void test_outage_pace(void **state)
{
    struct made_alert alerts[20];
    const struct made_alert critical[] = {{"A", "critical", "firing", SINCE, 99}};

    (void)state;
    begin(", events_per_minute: 12");
    for (unsigned i = 0; i < 20; i++)
        alerts[i] = (struct made_alert){"A", "warning", "firing", SINCE, i + 1};
    apply(alerts, 20);
    assert_true(far_wait(&far, 10, 10));
    assert_false(far_wait(&far, 11, 1));
    apply(critical, 1);
    assert_true(far_wait(&far, 11, 10));
    assert_string_equal(severity(10), "critical");
    assert_false(far_wait(&far, 12, 1));
}

static void test_minute_any(void **state)
{
    struct clew__minute minute;
    int64_t sent[200], now = 0;

    (void)state;
    assert_int_equal(clew__minute_init(&minute, 12), 0);
    for (unsigned i = 0; i < 200; i++) {
        bool critical = i % 3 == 0;
        int64_t next = clew__minute_next(&minute, critical);

        now = next > now ? next : now + (int64_t)(i % 5) * CLEW__SECOND_NS;
        clew__minute_count(&minute, now);
        sent[i] = now;
        if (i >= 12)
            assert_true(sent[i] - sent[i - 12] >= 60 * CLEW__SECOND_NS);
        if (i >= 10 && !critical)
            assert_true(sent[i] - sent[i - 10] >= 60 * CLEW__SECOND_NS);
    }
    clew__minute_done(&minute);
    assert_int_equal(clew__minute_init(&minute, 0), 0);
    clew__minute_count(&minute, 1);
    assert_int_equal(clew__minute_next(&minute, false), 0);
    clew__minute_done(&minute);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_outage_refused),
        TEST(test_outage_errors),
        TEST(test_outage_lost_answers),
        TEST(test_outage_hanging),
        TEST(test_outage_skips_what_ended),
        TEST(test_outage_skips_but_closes_what_arrived),
        TEST(test_outage_pace),
        cmocka_unit_test(test_minute_any),
    };

    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
