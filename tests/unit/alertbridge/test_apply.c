/* SPDX-License-Identifier: Apache-2.0
 * What notifications make of the store: no network, no thread but the writer. */
#include "bridge.h"

#include <common/instant.h>

#include <clew/log.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct bench bench;
static struct clew__config *config;
static struct clew__store *store;
static int64_t now;

static void open_text(const char *text)
{
    bench_init(&bench);
    config = load_config(&bench, text);
    store = open_store(&bench);
    now = 1800000000 * CLEW__SECOND_NS;
}

static void open_with(const char *extra)
{
    open_text(usual_config(9, extra));
}

static int setup(void **state)
{
    (void)state;
    open_with("");
    return 0;
}

static int setup_group(void **state)
{
    (void)state;
    open_with(", dedup: group");
    return 0;
}

static int setup_labels(void **state)
{
    (void)state;
    open_with(", dedup: {labels: [alertname]}");
    return 0;
}

/* All to one routing key, an incident a group. */
static int setup_all(void **state)
{
    (void)state;
    open_text("storage: unused\nroute: {receiver: all}\nreceivers:\n  - name: all\n"
              "    pagerduty_configs: [{routing_key: k, dedup: group}]\n");
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

/* Applies a body; returns how many deliveries it queued. */
static uint64_t apply(const char *body)
{
    struct clew__notification notification;
    struct clew__thread_of thread = {"request", "correlation", ""};
    struct clew__apply work = {
        .config = config, .notification = &notification, .thread = &thread, .now = now};

    now += CLEW__SECOND_NS;
    assert_int_equal(clew__notification_parse(&notification, body, strlen(body)), 0);
    assert_int_equal(clew__store_write(store, clew__store_apply, &work), 0);
    clew__notification_done(&notification);
    return work.ndeliveries;
}

static uint64_t apply_sample(const char *name)
{
    char *body = read_sample(name, NULL);
    uint64_t n = apply(body);

    free(body);
    return n;
}

static uint64_t apply_made(const char *group, const char *url, unsigned truncated,
                           const struct made_alert *alerts, size_t n)
{
    char *body = make_body(group, url, truncated, alerts, n);
    uint64_t queued = apply(body);

    free(body);
    return queued;
}

#define FIRING number_in(store, "SELECT count(*) FROM alerts WHERE status = 'firing'")
#define RESOLVED number_in(store, "SELECT count(*) FROM alerts WHERE status = 'resolved'")
#define PD_TRIGGERS  \
    number_in(store, \
              "SELECT count(*) FROM deliveries WHERE kind = 'pagerduty' AND action = 'trigger'")
#define PD_RESOLVES  \
    number_in(store, \
              "SELECT count(*) FROM deliveries WHERE kind = 'pagerduty' AND action = 'resolve'")
#define SLACK number_in(store, "SELECT count(*) FROM deliveries WHERE kind = 'slack'")
#define AUDIT(decision) \
    number_in(store, "SELECT count(*) FROM audit WHERE decision = '" decision "'")

/* Trap A: the body says "resolved", three alerts that it left out still fire. */
static void test_apply_cut_list_resolves_nothing_else(void **state)
{
    (void)state;
    assert_int_equal(apply_sample("grouped_firing_4"), 5);
    assert_int_equal(PD_TRIGGERS, 4);
    assert_int_equal(SLACK, 1);
    assert_int_equal(apply_sample("truncated_FALSE_RESOLVED_3_still_firing"), 2);
    assert_int_equal(FIRING, 3);
    assert_int_equal(RESOLVED, 1);
    assert_int_equal(PD_RESOLVES, 1);
    assert_int_equal(
        number_in(store, "SELECT count(*) FROM incidents WHERE kind = 'pagerduty' AND open = 1"),
        3);
    /* The whole list later resolves each of them, once. */
    assert_int_equal(apply_sample("grouped_all_resolved_4"), 4);
    assert_int_equal(PD_RESOLVES, 4);
    assert_int_equal(number_in(store, "SELECT count(*) FROM incidents WHERE open = 1"), 0);
}

/* The same with one incident for the group: a cut list does not end it. */
static void test_apply_cut_list_holds_the_groups_incident(void **state)
{
    const struct made_alert firing[] = {{"A", "critical", "firing", "2026-01-01T00:00:00Z", 1}};
    const struct made_alert over[] = {{"A", "critical", "resolved", "2026-01-01T00:00:00Z", 1}};

    (void)state;
    assert_int_equal(apply_made("g", "http://am", 3, firing, 1), 2);
    assert_int_equal(apply_made("g", "http://am", 3, over, 1), 1); /* Slack alone */
    assert_int_equal(PD_RESOLVES, 0);
    assert_int_equal(AUDIT("held open"), 1);
    /* A repeat changes no alert, but its list is whole. */
    assert_int_equal(apply_made("g", "http://am", 0, over, 1), 1);
    assert_int_equal(PD_RESOLVES, 1);
    assert_int_equal(apply_made("g", "http://am", 0, over, 1), 0);
}

static void test_apply_group_incident_ends_with_its_last_alert(void **state)
{
    (void)state;
    assert_int_equal(apply_sample("grouped_firing_4"), 2);
    assert_int_equal(apply_sample("grouped_mixed_firing_and_resolved"), 1);
    assert_int_equal(PD_RESOLVES, 0);
    assert_int_equal(apply_sample("grouped_all_resolved_4"), 2);
    assert_int_equal(PD_TRIGGERS, 1);
    assert_int_equal(PD_RESOLVES, 1);
}

/* Traps B and C: the same message again and again. */
static void test_apply_repeats_queue_nothing(void **state)
{
    (void)state;
    assert_int_equal(apply_sample("firing_single_critical"), 2);
    for (int i = 0; i < 10; i++)
        assert_int_equal(apply_sample("firing_single_critical"), 0);
    assert_int_equal(apply_sample("resolved_single_critical"), 2);
    for (int i = 0; i < 10; i++)
        assert_int_equal(apply_sample("resolved_single_critical"), 0);
    assert_int_equal(number_in(store, "SELECT repeats FROM alerts"), 20);
    assert_int_equal(number_in(store, "SELECT count(*) FROM deliveries"), 4);
    assert_int_equal(number_in(store, "SELECT count(*) FROM webhooks"), 2);
}

/* Trap D: two Alertmanagers, which differ in nothing but their URL. */
static void test_apply_two_senders_are_one(void **state)
{
    const struct made_alert firing[] = {{"A", "critical", "firing", "2026-01-01T00:00:00Z", 1}};
    const struct made_alert over[] = {{"A", "critical", "resolved", "2026-01-01T00:00:00.0Z", 1}};

    (void)state;
    assert_int_equal(apply_made("g", "http://am-1", 0, firing, 1), 2);
    assert_int_equal(apply_made("g", "http://am-2", 0, firing, 1), 0);
    assert_int_equal(apply_made("g", "http://am-1", 0, over, 1), 2);
    /* am-2's firing was overtaken by am-1's resolved. */
    assert_int_equal(apply_made("g", "http://am-2", 0, firing, 1), 0);
    assert_int_equal(AUDIT("firing"), 2);
    assert_int_equal(FIRING, 0);
    assert_int_equal(apply_made("g", "http://am-2", 0, over, 1), 0);
    assert_int_equal(PD_TRIGGERS, 1);
    assert_int_equal(PD_RESOLVES, 1);
}

/* Firing again with the same startsAt: news from the sender that reported the
 * end, and from anybody when the end is long ago. */
static void test_apply_fires_again(void **state)
{
    const struct made_alert firing[] = {{"A", "critical", "firing", "2026-01-01T00:00:00Z", 1}};
    const struct made_alert over[] = {{"A", "critical", "resolved", "2026-01-01T00:00:00Z", 1}};

    (void)state;
    (void)apply_made("g", "http://am-1", 0, firing, 1);
    (void)apply_made("g", "http://am-1", 0, over, 1);
    assert_int_equal(apply_made("g", "http://am-1", 0, firing, 1), 2);
    assert_int_equal(FIRING, 1);
    assert_int_equal(apply_made("g", "http://am-1", 0, over, 1), 2);
    now += 600 * CLEW__SECOND_NS;
    assert_int_equal(apply_made("g", "http://am-2", 0, firing, 1), 2);
    assert_int_equal(number_in(store, "SELECT count(*) FROM alerts"), 1);
    assert_int_equal(number_in(store, "SELECT count(*) FROM incidents WHERE open = 1"), 2);
}

static void test_apply_new_occurrence_is_new(void **state)
{
    const struct made_alert first[] = {{"A", "critical", "firing", "2026-01-01T00:00:00Z", 1}};
    const struct made_alert over[] = {{"A", "critical", "resolved", "2026-01-01T00:00:00Z", 1}};
    const struct made_alert second[] = {{"A", "critical", "firing", "2026-01-01T01:00:00Z", 1}};

    (void)state;
    assert_int_equal(apply_made("g", "http://am", 0, first, 1), 2);
    assert_int_equal(apply_made("g", "http://am", 0, over, 1), 2);
    assert_int_equal(apply_made("g", "http://am", 0, second, 1), 2);
    assert_int_equal(
        number_in(store,
                  "SELECT count(DISTINCT dedup_key) FROM incidents WHERE kind = 'pagerduty'"),
        2);
}

static void test_apply_stray_resolved_pages_nobody(void **state)
{
    (void)state;
    assert_int_equal(apply_sample("grouped_all_resolved_4"), 0);
    assert_int_equal(RESOLVED, 4);
    assert_int_equal(AUDIT("resolved"), 4);
}

static void test_apply_absent_alert_keeps_its_state(void **state)
{
    const struct made_alert both[] = {{"A", "critical", "firing", "2026-01-01T00:00:00Z", 1},
                                      {"A", "critical", "firing", "2026-01-01T00:00:00Z", 2}};

    (void)state;
    (void)apply_made("g", "http://am", 0, both, 2);
    assert_int_equal(apply_made("g", "http://am", 0, both, 1), 0);
    assert_int_equal(apply_made("g", "http://am", 0, both, 0), 0);
    assert_int_equal(FIRING, 2);
    assert_int_equal(number_in(store, "SELECT count(*) FROM incidents WHERE open = 1"), 3);
}

/* Fires and is over within one body: both are told, in this order. */
static void test_apply_both_in_one_body(void **state)
{
    const struct made_alert alerts[] = {{"A", "critical", "firing", "2026-01-01T00:00:00Z", 1},
                                        {"A", "critical", "resolved", "2026-01-01T00:00:00Z", 1}};

    (void)state;
    assert_int_equal(apply_made("g", "http://am", 0, alerts, 2), 3);
    assert_int_equal(number_in(store,
                               "SELECT (SELECT min(id) FROM deliveries WHERE kind = 'pagerduty' AND"
                               " action = 'trigger') < (SELECT min(id) FROM deliveries WHERE"
                               " kind = 'pagerduty' AND action = 'resolve')"),
                     1);
    assert_int_equal(number_in(store, "SELECT count(*) FROM incidents WHERE open = 1"), 0);
}

/* The routes changed between firing and resolved: the end goes where the
 * beginning went. */
static void test_apply_end_follows_the_beginning(void **state)
{
    char text[4096];

    (void)state;
    assert_int_equal(apply_sample("firing_single_critical"), 2);
    (void)clew__config_free(config);
    (void)snprintf(text, sizeof(text), "%s", usual_config(9, ""));
    memcpy(strstr(text, "critical"), "harmless", 8);
    config = load_config(&bench, text);
    assert_int_equal(apply_sample("resolved_single_critical"), 2);
    assert_int_equal(PD_RESOLVES, 1);
    assert_int_equal(number_in(store, "SELECT count(DISTINCT target) FROM deliveries"), 2);
}

static void test_apply_severity_none_is_not_lost(void **state)
{
    const struct made_alert watchdog[] = {
        {"Watchdog", "none", "firing", "2026-01-01T00:00:00Z", 1}};

    (void)state;
    assert_int_equal(apply_made("g", "http://am", 0, watchdog, 1), 1);
    assert_int_equal(SLACK, 1);
}

static int fail_after_writing(struct clew__db *db, void *arg)
{
    (void)arg;
    assert_int_equal(clew__db_run(db,
                                  "INSERT INTO audit (at, fingerprint, starts_at, target, decision,"
                                  " reason) VALUES (1, '', 0, '', 'half', '')",
                                  ""),
                     0);
    return clew_set_error(-ENOSPC, "no room");
}

static void test_store_undoes_failed_work(void **state)
{
    (void)state;
    assert_int_equal(clew__store_write(store, fail_after_writing, NULL), -ENOSPC);
    assert_string_equal(clew_last_error(), "no room");
    assert_int_equal(AUDIT("half"), 0);
    assert_int_equal(apply_sample("firing_single_critical"), 2);
}

/* A file is; PostgreSQL is for replicas. */
static void test_store_is_for_one_process(void **state)
{
    struct clew__store *second = NULL;
    bool shared = clew__db_is_shared(bench.storage);

    (void)state;
    assert_int_equal(clew__store_open(bench.storage, &second), shared ? 0 : -EBUSY);
    assert_int_equal(second != NULL, shared);
    (void)clew__store_close(second);
}

static void test_store_survives_reopening(void **state)
{
    (void)state;
    assert_int_equal(apply_sample("grouped_firing_4"), 5);
    store = clew__store_close(store);
    store = open_store(&bench);
    assert_int_equal(apply_sample("grouped_firing_4"), 0);
    assert_int_equal(PD_TRIGGERS, 4);
}

static int set_version(struct clew__db *db, void *arg)
{
    (void)arg;
    return clew__db_exec(db, clew__db_is_shared(bench.storage)
                                 ? "INSERT INTO schema_version (version) VALUES (1000)"
                                 : "PRAGMA user_version = 1000");
}

static void test_store_refuses_a_newer_schema(void **state)
{
    (void)state;
    assert_int_equal(clew__store_write(store, set_version, NULL), 0);
    store = clew__store_close(store);
    assert_int_equal(clew__store_open(bench.storage, &store), -EPROTO);
    store = NULL;
}

static void finish_all(void)
{
    for (;;) {
        struct clew__attempt attempt = {.kind = CLEW__DONE, .reason = "", .now = now};

        attempt.delivery_id =
            number_in(store, "SELECT min(id) FROM deliveries WHERE state = 'queued'");
        if (attempt.delivery_id < 0)
            return;
        assert_int_equal(clew__store_write(store, clew__store_attempt, &attempt), 0);
    }
}

static void test_store_prunes_only_what_is_over(void **state)
{
    int64_t later;

    (void)state;
    (void)apply_sample("firing_single_critical");
    (void)apply_sample("resolved_single_critical");
    (void)apply_sample("firing_single_info");
    finish_all();
    later = now + 6 * 86400 * CLEW__SECOND_NS;
    assert_int_equal(clew__store_write(store, clew__store_prune, &later), 0);
    assert_int_equal(number_in(store, "SELECT count(*) FROM alerts"), 2);
    later = now + 40 * 86400 * CLEW__SECOND_NS;
    assert_int_equal(clew__store_write(store, clew__store_prune, &later), 0);
    assert_int_equal(number_in(store, "SELECT count(*) FROM deliveries"), 0);
    assert_int_equal(number_in(store, "SELECT count(*) FROM webhooks"),
                     1); /* what still fires came by it */
    assert_int_equal(number_in(store, "SELECT count(*) FROM audit"), 0);
    assert_int_equal(number_in(store, "SELECT count(*) FROM incidents"), 1); /* the open one */
    assert_int_equal(FIRING, 1);
    assert_int_equal(RESOLVED, 0);
}

/* FIFO: a resolve is not the next delivery while its trigger waits. */
static void test_queue_keeps_order_per_incident(void **state)
{
    const struct made_alert firing[] = {{"A", "critical", "firing", "2026-01-01T00:00:00Z", 1},
                                        {"A", "critical", "firing", "2026-01-01T00:00:00Z", 2}};
    const struct made_alert over[] = {{"A", "critical", "resolved", "2026-01-01T00:00:00Z", 1}};
    struct clew__next next = {.target = NULL};
    struct clew__attempt attempt = {.kind = CLEW__RETRY, .reason = "timeout"};
    int64_t first;

    (void)state;
    (void)apply_made("g", "http://am", 0, firing, 2);
    (void)apply_made("g", "http://am", 0, over, 1);
    next.target = clew__config_receiver(config, "on-call")->integrations[1].target;
    assert_int_equal(clew__store_read(store, clew__store_next, &next), 1);
    first = next.delivery.id;
    assert_int_equal(next.delivery.action, CLEW__ACTION_TRIGGER);
    attempt.delivery_id = first;
    attempt.next_attempt_at = now + 3600 * CLEW__SECOND_NS;
    assert_int_equal(clew__store_write(store, clew__store_attempt, &attempt), 0);
    /* Now the other alert's trigger, then nothing before the first one's time. */
    assert_int_equal(clew__store_read(store, clew__store_next, &next), 1);
    assert_true(next.delivery.id != first && next.delivery.action == CLEW__ACTION_TRIGGER);
    attempt = (struct clew__attempt){
        .delivery_id = next.delivery.id, .kind = CLEW__DONE, .reason = "", .now = now};
    assert_int_equal(clew__store_write(store, clew__store_attempt, &attempt), 0);
    assert_int_equal(clew__store_read(store, clew__store_next, &next), 1);
    assert_int_equal(next.delivery.id, first);
    assert_int_equal(next.delivery.attempts, 1);
    attempt.delivery_id = first;
    attempt.kind = CLEW__PERMANENT;
    assert_int_equal(clew__store_write(store, clew__store_attempt, &attempt), 0);
    assert_int_equal(clew__store_read(store, clew__store_next, &next), 1);
    assert_int_equal(next.delivery.action, CLEW__ACTION_RESOLVE);
    assert_int_equal(AUDIT("given up"), 1);
}

/* Alerts of two groups are one incident, as long as one of them fires. */
static void test_apply_dedup_by_labels(void **state)
{
    const struct made_alert first[] = {{"A", "critical", "firing", "2026-01-01T00:00:00Z", 1},
                                       {"A", "critical", "firing", "2026-01-01T00:00:00Z", 2}};
    const struct made_alert second[] = {{"A", "critical", "firing", "2026-01-01T00:00:00Z", 3},
                                        {"B", "critical", "firing", "2026-01-01T00:00:00Z", 4}};
    struct made_alert over[] = {first[0], first[1]}, rest[] = {second[0]};

    (void)state;
    over[0].status = over[1].status = rest[0].status = "resolved";
    (void)apply_made("g1", "http://am", 0, first, 2);
    assert_int_equal(PD_TRIGGERS, 1);
    (void)apply_made("g2", "http://am", 0, second, 2);
    assert_int_equal(PD_TRIGGERS, 3); /* a further alert for A, and B */
    assert_int_equal(number_in(store, "SELECT count(*) FROM incidents WHERE kind = 'pagerduty'"),
                     2);
    (void)apply_made("g1", "http://am", 0, over, 2);
    assert_int_equal(PD_RESOLVES, 0);
    (void)apply_made("g2", "http://am", 5, rest, 1);
    assert_int_equal(PD_RESOLVES, 0); /* the list was cut */
    assert_int_equal(AUDIT("held open"), 1);
    (void)apply_made("g1", "http://am", 0, over, 2);
    assert_int_equal(PD_RESOLVES, 0); /* the whole list of another group says nothing */
    (void)apply_made("g2", "http://am", 0, rest, 1);
    assert_int_equal(PD_RESOLVES, 1);
}

/* Among what is due the critical goes first, and what stands before it in its order. */
static void test_queue_criticals_first(void **state)
{
    const struct made_alert warning[] = {{"A", "warning", "firing", "2026-01-01T00:00:00Z", 1}};
    const struct made_alert other[] = {{"B", "warning", "firing", "2026-01-01T00:00:00Z", 2}};
    const struct made_alert critical[] = {{"B", "critical", "firing", "2026-01-01T00:00:00Z", 3}};
    struct clew__next next = {.now = now + 3600 * CLEW__SECOND_NS};
    int64_t ids[3];

    (void)state;
    (void)apply_made("g1", "http://am", 0, warning, 1);
    (void)apply_made("g2", "http://am", 0, other, 1);
    (void)apply_made("g2", "http://am", 0, critical, 1);
    next.target = clew__config_receiver(config, "all")->integrations[0].target;
    for (unsigned i = 0; i < 3; i++) {
        struct clew__attempt done = {.kind = CLEW__DONE, .reason = "", .now = now};

        assert_int_equal(clew__store_read(store, clew__store_next, &next), 1);
        ids[i] = done.delivery_id = next.delivery.id;
        assert_int_equal(clew__store_write(store, clew__store_attempt, &done), 0);
    }
    assert_true(ids[0] == 2 && ids[1] == 3 && ids[2] == 1);
}

static void test_load_gives_the_page(void **state)
{
    struct clew__load load = {.delivery_id = 0};

    (void)state;
    (void)apply_sample("grouped_firing_4");
    (void)apply_sample("truncated_FALSE_RESOLVED_3_still_firing");
    load.delivery_id = number_in(store, "SELECT max(id) FROM deliveries WHERE kind = 'slack'");
    assert_int_equal(clew__store_read(store, clew__store_load, &load), 0);
    assert_int_equal(load.page.action, CLEW__ACTION_RESOLVE);
    assert_int_equal(load.page.nfired, 0);
    assert_int_equal(load.page.nresolved, 1);
    assert_int_equal(load.page.nfiring, 3);
    assert_int_equal(load.page.ntruncated, 3);
    assert_int_equal(load.page.nalerts, 1);
    assert_false(load.page.alerts[0].firing);
    assert_string_equal(load.page.alerts[0].fingerprint, "132a18f910b64af5");
    assert_string_equal(load.thread.request_id, "request");
    clew__load_done(&load);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
#define GROUP_TEST(function) cmocka_unit_test_setup_teardown(function, setup_group, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_apply_cut_list_resolves_nothing_else),
        GROUP_TEST(test_apply_cut_list_holds_the_groups_incident),
        GROUP_TEST(test_apply_group_incident_ends_with_its_last_alert),
        TEST(test_apply_repeats_queue_nothing),
        TEST(test_apply_two_senders_are_one),
        TEST(test_apply_fires_again),
        TEST(test_apply_new_occurrence_is_new),
        TEST(test_apply_stray_resolved_pages_nobody),
        TEST(test_apply_absent_alert_keeps_its_state),
        TEST(test_apply_both_in_one_body),
        TEST(test_apply_end_follows_the_beginning),
        TEST(test_apply_severity_none_is_not_lost),
        TEST(test_store_undoes_failed_work),
        TEST(test_store_is_for_one_process),
        TEST(test_store_survives_reopening),
        TEST(test_store_refuses_a_newer_schema),
        TEST(test_store_prunes_only_what_is_over),
        TEST(test_queue_keeps_order_per_incident),
        cmocka_unit_test_setup_teardown(test_apply_dedup_by_labels, setup_labels, teardown),
        cmocka_unit_test_setup_teardown(test_queue_criticals_first, setup_all, teardown),
        TEST(test_load_gives_the_page),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
