/* SPDX-License-Identifier: Apache-2.0
 * A store in PostgreSQL, as two replicas in one process see it. */
#include "bridge.h"

#include <common/instant.h>
#include <store/lease.h>

#include <clew/log.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct bench bench;
static struct clew__store *stores[2];

static int setup(void **state)
{
    (void)state;
    bench_init(&bench);
    stores[0] = open_store(&bench);
    stores[1] = open_store(&bench);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    stores[0] = clew__store_close(stores[0]);
    stores[1] = clew__store_close(stores[1]);
    bench_done(&bench);
    return 0;
}

static int64_t epoch_within(const struct clew__lease *lease, bool held, unsigned seconds)
{
    int64_t give_up = clew__instant_now() + seconds * CLEW__SECOND_NS, epoch;

    while (((epoch = clew__lease_epoch(lease)) != 0) != held && clew__instant_now() < give_up)
        (void)usleep(2000);
    return epoch;
}

/* ---- leases ------------------------------------------------------------ */

static void test_shared_one_holds_a_lease(void **state)
{
    struct clew__lease *first, *second, *other;
    int64_t epoch;

    (void)state;
    first = clew__lease_want(stores[0], "work");
    epoch = epoch_within(first, true, 10);
    assert_true(epoch > 0);
    second = clew__lease_want(stores[1], "work");
    other = clew__lease_want(stores[1], "other work");
    assert_true(epoch_within(other, true, 10) > 0);
    assert_int_equal(clew__lease_epoch(second), 0);
    assert_int_equal(clew__lease_epoch(first), epoch);
    (void)clew__lease_drop(first);
    assert_int_equal(epoch_within(second, true, 10), epoch + 1);
    (void)clew__lease_drop(second);
    (void)clew__lease_drop(other);
}

static void test_shared_lease_goes_with_the_session(void **state)
{
    struct clew__lease *first = clew__lease_want(stores[0], "work"), *second;
    int64_t epoch, n, give_up = clew__instant_now() + 20 * CLEW__SECOND_NS;
    struct clew__db db;

    (void)state;
    epoch = epoch_within(first, true, 10);
    assert_true(epoch > 0);
    second = clew__lease_want(stores[1], "work");
    assert_int_equal(clew__db_open(&db, bench.storage), 0);
    assert_int_equal(clew__db_number(&db, 0, &n,
                                     "SELECT count(pg_terminate_backend(pid)) FROM pg_locks"
                                     " WHERE locktype = 'advisory' AND classid ="
                                     " (SELECT oid FROM pg_class WHERE oid = 'leases'::regclass)",
                                     ""),
                     0);
    assert_int_equal(n, 1);
    clew__db_close(&db);
    /* One of them gets it, whoever is earlier, and it is not the old one. */
    while (clew__lease_epoch(first) <= epoch && clew__lease_epoch(second) <= epoch &&
           clew__instant_now() < give_up)
        (void)usleep(2000);
    assert_true((clew__lease_epoch(first) > epoch) != (clew__lease_epoch(second) > epoch));
    (void)clew__lease_drop(first);
    (void)clew__lease_drop(second);
}

/* ---- what is said late --------------------------------------------------- */

static int queue_page(struct clew__db *db, void *arg)
{
    int64_t webhook = 0, incident = 0;
    int r = clew__db_number(db, 0, &webhook,
                            "INSERT INTO webhooks (received_at, group_digest, group_key,"
                            " sender_receiver, external_url, group_labels, common_labels,"
                            " common_annotations, truncated, request_id, correlation_id,"
                            " traceparent) VALUES (1, 'g', 'g', '', '', '{}', '{}', '{}', 0, '',"
                            " '', '') RETURNING id",
                            "");

    if (r == 0)
        r = clew__db_number(db, 0, &incident,
                            "INSERT INTO incidents (target, dedup_key, kind, receiver, per_alert,"
                            " group_digest, open, opened_at) VALUES ('work', 'k', 'slack', 'r', 0,"
                            " 'g', 1, 1) ON CONFLICT (target, dedup_key) DO UPDATE SET open = 1"
                            " RETURNING id",
                            "");
    return r < 0 ? r
                 : clew__db_number(db, 0, arg,
                                   "INSERT INTO deliveries (webhook_id, incident_id, target,"
                                   " order_key, receiver, kind, action, alert_ids, fired, resolved,"
                                   " firing, created_at, next_attempt_at) VALUES (?1, ?2, 'work',"
                                   " 'work', 'r', 'slack', 'trigger', '[]', 0, 0, 0, 1, 1)"
                                   " RETURNING id",
                                   "ii", webhook, incident);
}

struct state_of {
    int64_t id;
    char text[16];
};

static int read_state(struct clew__db *db, void *arg)
{
    struct state_of *state = arg;
    struct clew__row *row =
        clew__db_prepare(db, "SELECT state FROM deliveries WHERE id = ?1", "i", state->id);
    int r = row ? clew__db_step(db, row) : -EIO;

    if (r == 1)
        (void)snprintf(state->text, sizeof(state->text), "%s", clew__db_text(row, 0));
    clew__db_reset(row);
    return r;
}

static const char *state_after(int64_t id, enum clew__verdict_kind kind, int64_t epoch)
{
    static struct state_of state;
    struct clew__attempt attempt = {.delivery_id = id,
                                    .now = clew__instant_now(),
                                    .epoch = epoch,
                                    .kind = kind,
                                    .next_attempt_at = clew__instant_now(),
                                    .reason = "x"};

    state = (struct state_of){.id = id};
    assert_int_equal(clew__store_write(stores[0], clew__store_attempt, &attempt), 0);
    assert_int_equal(clew__store_read(stores[0], read_state, &state), 1);
    return state.text;
}

static void test_shared_only_a_fact_counts_late(void **state)
{
    struct clew__lease *before = clew__lease_want(stores[0], "work"), *lease;
    int64_t epoch = epoch_within(before, true, 10), dead = 0, done = 0;

    (void)state;
    assert_true(epoch > 0);
    lease = clew__lease_want(stores[0], "work");
    epoch = epoch_within(lease, true, 10);
    (void)clew__lease_drop(before);
    assert_true(epoch > 1);
    assert_int_equal(clew__store_write(stores[0], queue_page, &dead), 0);
    assert_int_equal(clew__store_write(stores[0], queue_page, &done), 0);
    assert_string_equal(state_after(dead, CLEW__PERMANENT, epoch - 1), "queued");
    assert_string_equal(state_after(dead, CLEW__PERMANENT, epoch + 1), "queued");
    assert_string_equal(state_after(dead, CLEW__PERMANENT, epoch), "dead");
    assert_string_equal(state_after(done, CLEW__DONE, epoch - 1), "done");
    assert_string_equal(state_after(done, CLEW__PERMANENT, epoch), "done");
    (void)clew__lease_drop(lease);
}

/* ---- who hears of what --------------------------------------------------- */

static void count_wake(void *arg)
{
    (void)atomic_fetch_add((atomic_uint *)arg, 1);
}

static void test_shared_the_other_hears_of_deliveries(void **state)
{
    int64_t id = 0, give_up = clew__instant_now() + 10 * CLEW__SECOND_NS, begin;
    struct clew__lease *lease = clew__lease_want(stores[1], "work");
    atomic_uint wakes = 0;

    (void)state;
    assert_true(epoch_within(lease, true, 10) > 0); /* its session stands */
    (void)usleep(100000);
    assert_int_equal(clew__store_watch(stores[1], count_wake, &wakes), 0);
    begin = clew__instant_now();
    assert_int_equal(clew__store_write(stores[0], queue_page, &id), 0);
    while (atomic_load(&wakes) == 0 && clew__instant_now() < give_up)
        (void)usleep(1000);
    assert_true(atomic_load(&wakes) > 0);
    assert_true(clew__instant_now() - begin < CLEW__SECOND_NS); /* not by the next round */
    clew__store_unwatch(stores[1], &wakes);
    (void)clew__lease_drop(lease);
}

/* ---- transactions -------------------------------------------------------- */

static int note(struct clew__db *db, void *arg)
{
    return clew__db_run(db,
                        "INSERT INTO audit (at, fingerprint, starts_at, target, decision, reason)"
                        " VALUES (1, 'f', 1, '', ?1, '')",
                        "s", (const char *)arg);
}

static int count_notes(struct clew__db *db, void *arg)
{
    return clew__db_number(db, -1, arg, "SELECT count(*) FROM audit", "");
}

/* A process that was stopped within a transaction keeps the others waiting for a moment
 * only, and what it had done is undone. */
static void test_shared_stopped_writer_is_thrown_out(void **state)
{
    char half[] = "half", whole[] = "whole";
    struct clew__db db;
    int64_t n = 0;

    (void)state;
    assert_int_equal(clew__db_open(&db, bench.storage), 0);
    assert_int_equal(clew__db_begin(&db), 0);
    assert_int_equal(note(&db, half), 0);
    assert_int_equal(clew__store_write(stores[0], note, whole), 0);
    assert_true(clew__db_commit(&db) < 0);
    clew__db_rollback(&db);
    assert_false(clew__db_in_transaction(&db));
    assert_int_equal(clew__store_read(stores[1], count_notes, &n), 0);
    assert_int_equal(n, 1);
    /* And goes on. */
    assert_int_equal(clew__db_begin(&db), 0);
    assert_int_equal(note(&db, half), 0);
    assert_int_equal(clew__db_commit(&db), 0);
    clew__db_close(&db);
}

static void test_shared_connects_again(void **state)
{
    char text[] = "x";
    struct clew__db db;
    int64_t n = 0;

    (void)state;
    assert_int_equal(clew__store_write(stores[0], note, text), 0);
    assert_int_equal(clew__db_open(&db, bench.storage), 0);
    assert_int_equal(clew__db_exec(&db, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                                        " WHERE application_name = 'alertbridge'"
                                        " AND pid <> pg_backend_pid()"),
                     0);
    clew__db_close(&db);
    assert_int_equal(clew__store_write(stores[0], note, text), 0);
    assert_int_equal(clew__store_read(stores[0], count_notes, &n), 0);
    assert_int_equal(n, 2);
}

/* Another program locks the same rows the other way round. */
struct rows {
    unsigned runs;
    atomic_bool locked_one;
};

static int lock_both(struct clew__db *db, void *arg)
{
    struct rows *rows = arg;
    int r = clew__db_run(db, "UPDATE audit SET reason = 'a' WHERE id = 2", "");

    rows->runs++;
    atomic_store(&rows->locked_one, true);
    (void)usleep(200000);
    return r == 0 ? clew__db_run(db, "UPDATE audit SET reason = 'a' WHERE id = 1", "") : r;
}

static void *lock_other_way(void *arg)
{
    struct rows *rows = arg;
    struct clew__db db;
    int r = clew__db_open(&db, bench.storage);

    /* The other one looks for deadlocks first, and is the one to give way. */
    if (r == 0)
        r = clew__db_exec(&db, "SET deadlock_timeout = '20s'; BEGIN;"
                               " UPDATE audit SET reason = 'b' WHERE id = 1");
    while (r == 0 && !atomic_load(&rows->locked_one))
        (void)usleep(1000);
    if (r == 0)
        r = clew__db_exec(&db, "UPDATE audit SET reason = 'b' WHERE id = 2; COMMIT");
    clew__db_close(&db);
    return r == 0 ? arg : NULL;
}

static void test_shared_deadlock_is_tried_again(void **state)
{
    struct rows rows = {.runs = 0};
    char text[] = "x";
    pthread_t thread;
    void *result;

    (void)state;
    assert_int_equal(clew__store_write(stores[0], note, text), 0);
    assert_int_equal(clew__store_write(stores[0], note, text), 0);
    assert_int_equal(pthread_create(&thread, NULL, lock_other_way, &rows), 0);
    (void)usleep(300000);
    assert_int_equal(clew__store_write(stores[0], lock_both, &rows), 0);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_non_null(result);
    assert_int_equal(rows.runs, 2);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_shared_one_holds_a_lease),
        TEST(test_shared_lease_goes_with_the_session),
        TEST(test_shared_only_a_fact_counts_late),
        TEST(test_shared_the_other_hears_of_deliveries),
        TEST(test_shared_stopped_writer_is_thrown_out),
        TEST(test_shared_connects_again),
        TEST(test_shared_deadlock_is_tried_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
