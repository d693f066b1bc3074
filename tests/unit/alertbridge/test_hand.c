/* SPDX-License-Identifier: Apache-2.0
 * Acknowledging and resolving by hand: what is noted, and who else is told. */
#include "bridge.h"

#include <commands.h>
#include <common/instant.h>
#include <intake/status.h>

#include <clew/log.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct bench bench;
static struct clew__config *config;
static struct clew__store *store;
static char path[192];
static int64_t now;

static int open_with(const char *extra)
{
    bench_init(&bench);
    config = load_config(&bench, usual_config(9, extra));
    (void)snprintf(path, sizeof(path), "%s", bench.storage);
    store = open_store(&bench);
    now = 1800000000 * CLEW__SECOND_NS;
    return 0;
}

static int setup(void **state)
{
    (void)state;
    return open_with("");
}

static int setup_group(void **state)
{
    (void)state;
    return open_with(", dedup: group");
}

static int teardown(void **state)
{
    (void)state;
    store = clew__store_close(store);
    config = clew__config_free(config);
    bench_done(&bench);
    return 0;
}

static void apply(const char *status, unsigned first, unsigned last)
{
    struct made_alert alerts[8];
    char *body;
    size_t n = 0;

    for (unsigned i = first; i <= last; i++)
        alerts[n++] = (struct made_alert){"Disk", "critical", status, "2026-01-01T00:00:00Z", i};
    body = make_body("g", "http://am", 0, alerts, n);
    now += CLEW__SECOND_NS;
    apply_body(store, config, body, now);
}

#define DELIVERIES(action)                                                     \
    number_in(store, "SELECT count(*) FROM deliveries WHERE action = '" action \
                     "' AND kind = 'pagerduty'")
#define ACKS number_in(store, "SELECT count(*) FROM acks")
#define FP1 "0000000000000001"
#define FP2 "0000000000000002"

static struct clew__by_hand by(const char *fingerprint)
{
    return (struct clew__by_hand){
        .fingerprint = fingerprint, .actor = "alice (U123)", .via = "slack", .now = now};
}

static void test_hand_acknowledges_an_alert(void **state)
{
    struct clew__by_hand work = by(FP1);

    (void)state;
    apply("firing", 1, 2);
    assert_int_equal(clew__store_write(store, clew__store_acknowledge, &work), 0);
    assert_int_equal(work.nalerts, 1);
    assert_int_equal(work.ndeliveries, 1);
    assert_int_equal(ACKS, 1);
    assert_int_equal(DELIVERIES("acknowledge"), 1);
    assert_int_equal(number_in(store, "SELECT count(*) FROM deliveries WHERE note ="
                                      " 'acknowledged by alice (U123)'"),
                     1);
    assert_int_equal(number_in(store, "SELECT count(*) FROM audit WHERE decision = 'acknowledged'"
                                      " AND fingerprint = '" FP1 "'"),
                     1);
    assert_int_equal(number_in(store, "SELECT count(*) FROM alerts WHERE status = 'firing'"), 2);
    /* Once is enough. */
    assert_int_equal(clew__store_write(store, clew__store_acknowledge, &work), 0);
    assert_int_equal(work.nalerts, 0);
    assert_int_equal(work.ndeliveries, 0);
}

/* From PagerDuty: nothing goes back there. */
static void test_hand_does_not_tell_the_origin(void **state)
{
    struct clew__by_hand work = by(NULL);

    (void)state;
    apply("firing", 1, 1);
    work.incident_id = number_in(store, "SELECT id FROM incidents WHERE kind = 'pagerduty'");
    assert_int_equal(clew__store_write(store, clew__store_acknowledge, &work), 0);
    assert_int_equal(work.nalerts, 1);
    assert_int_equal(work.ndeliveries, 0);
}

static int first_key(struct clew__db *db, void *arg)
{
    struct clew__row *row =
        clew__db_prepare(db, "SELECT dedup_key FROM incidents WHERE kind = 'pagerduty'", "");

    assert_int_equal(clew__db_step(db, row), 1);
    (void)snprintf(arg, 80, "%s", clew__db_text(row, 0));
    clew__db_reset(row);
    return 0;
}

static void test_hand_by_dedup_key(void **state)
{
    struct clew__by_hand work = by(NULL);
    char key[80];

    (void)state;
    apply("firing", 1, 1);
    assert_int_equal(clew__store_read(store, first_key, key), 0);
    work.kind = "pagerduty";
    work.dedup_key = key;
    assert_int_equal(clew__store_write(store, clew__store_acknowledge, &work), 0);
    assert_int_equal(work.nalerts, 1);
    assert_int_equal(work.ndeliveries, 0);
    work.dedup_key = "no such";
    assert_int_equal(clew__store_write(store, clew__store_acknowledge, &work), -ENOENT);
}

/* A group is in hand when all of it is; who joins later is not. */
static void test_hand_of_a_group(void **state)
{
    struct clew__by_hand work = by(FP1);

    (void)state;
    apply("firing", 1, 2);
    assert_int_equal(clew__store_write(store, clew__store_acknowledge, &work), 0);
    assert_int_equal(DELIVERIES("acknowledge"), 0);
    work = by(FP2);
    assert_int_equal(clew__store_write(store, clew__store_acknowledge, &work), 0);
    assert_int_equal(DELIVERIES("acknowledge"), 1);
    apply("firing", 1, 3);
    assert_int_equal(ACKS, 2);
    /* Over and fired again: nobody has it. */
    apply("resolved", 1, 1);
    apply("firing", 1, 1);
    assert_int_equal(ACKS, 1);
}

static void test_hand_resolves(void **state)
{
    struct clew__by_hand work = by(FP1);

    (void)state;
    apply("firing", 1, 2);
    assert_int_equal(clew__store_write(store, clew__store_resolve_by_hand, &work), 0);
    assert_int_equal(work.nalerts, 1);
    assert_int_equal(DELIVERIES("resolve"), 1);
    assert_int_equal(number_in(store, "SELECT count(*) FROM alerts WHERE status = 'firing'"), 2);
    assert_int_equal(
        number_in(store, "SELECT count(*) FROM incidents WHERE kind = 'pagerduty' AND open = 1"),
        1);
    /* Its real end says nothing more to PagerDuty, but does to the channel. */
    apply("resolved", 1, 1);
    assert_int_equal(DELIVERIES("resolve"), 1);
    assert_int_equal(number_in(store, "SELECT count(*) FROM deliveries WHERE kind = 'slack'"
                                      " AND resolved = 1"),
                     1);
    apply("firing", 1, 1);
    assert_int_equal(DELIVERIES("trigger"), 3);
}

static void test_hand_resolves_where_it_came_from(void **state)
{
    struct clew__by_hand work = by(NULL);

    (void)state;
    apply("firing", 1, 1);
    work.incident_id = number_in(store, "SELECT id FROM incidents WHERE kind = 'pagerduty'");
    assert_int_equal(clew__store_write(store, clew__store_resolve_by_hand, &work), 0);
    assert_int_equal(DELIVERIES("resolve"), 0);
    assert_int_equal(number_in(store, "SELECT open FROM incidents WHERE kind = 'pagerduty'"), 0);
    /* PagerDuty says it again. */
    assert_int_equal(clew__store_write(store, clew__store_resolve_by_hand, &work), -ENOENT);
}

static void test_hand_command(void **state)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    (void)state;
    assert_int_equal(clew__command_ack(path, "00ff", false, out), 1);
    assert_int_equal(clew__command_ack(path, "x", false, out), -EINVAL);
    apply("firing", 1, 1);
    assert_int_equal(clew__command_ack(path, FP1, true, out), 0);
    assert_int_equal(clew__command_explain(path, FP1, true, out), 0);
    assert_int_equal(clew__command_explain(path, FP1, false, out), 0);
    (void)fclose(out);
    assert_non_null(strstr(text, "{\"acknowledged\":1,\"deliveries\":1}"));
    assert_non_null(strstr(text, "\"acknowledgedBy\":\"user "));
    assert_non_null(strstr(text, "  in hand since "));
    free(text);
    assert_int_equal(ACKS, 1);
}

/* Who opens the page wants to know what burns and who has it. */
static void test_hand_is_on_the_page(void **state)
{
    struct clew__by_hand work = by(FP1);
    struct clew__buf html;

    (void)state;
    work.actor = "<b>alice</b>";
    apply("firing", 1, 2);
    assert_int_equal(clew__store_write(store, clew__store_acknowledge, &work), 0);
    clew__buf_init(&html, 1u << 20);
    assert_int_equal(clew__status_page(store, &html), 0);
    clew__buf_addc(&html, '\0');
    assert_non_null(strstr(html.data, "<td class=\"critical\"><b>Disk</b> critical<br>"));
    assert_non_null(strstr(html.data, "<td>2026-01-01 00:00:00</td>"));
    assert_non_null(strstr(html.data, "<td>&lt;b&gt;alice&lt;/b&gt;</td>"));
    assert_null(strstr(html.data, "<b>alice"));
    clew__buf_done(&html);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_hand_acknowledges_an_alert),
        TEST(test_hand_does_not_tell_the_origin),
        TEST(test_hand_by_dedup_key),
        cmocka_unit_test_setup_teardown(test_hand_of_a_group, setup_group, teardown),
        TEST(test_hand_resolves),
        TEST(test_hand_resolves_where_it_came_from),
        TEST(test_hand_command),
        TEST(test_hand_is_on_the_page),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
