/* SPDX-License-Identifier: Apache-2.0
 * Timers: set, replaced, fired once and in order, moved along with the clock, and
 * kept when a handler fails or the process ends. */
#include "bridge.h"

#include <common/instant.h>
#include <timers/thread.h>

#include <clew/log.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static struct bench bench;
static struct clew__config *config;
static struct clew__store *store;
static struct clew__timers *timers;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t fired_one = PTHREAD_COND_INITIALIZER;
static struct {
    char key[32], arg[32];
    int64_t at;
} fired[16];
static size_t nfired;
static int fails;

/* Also a row, so that what is undone can be told from what is not. */
static int note(struct clew__db *db, struct clew__firing *firing)
{
    int r = clew__timer_after(db, "done", firing->timer->key, firing->now, 1000 * CLEW__SECOND_NS,
                              firing->timer->arg);

    (void)pthread_mutex_lock(&lock);
    if (fails > 0) {
        fails--;
        r = clew_set_error(-EIO, "as the test wants");
    } else if (nfired < 16) {
        (void)snprintf(fired[nfired].key, sizeof(fired[0].key), "%.31s", firing->timer->key);
        (void)snprintf(fired[nfired].arg, sizeof(fired[0].arg), "%.31s", firing->timer->arg);
        fired[nfired++].at = clew__instant_now();
    }
    (void)pthread_cond_broadcast(&fired_one);
    (void)pthread_mutex_unlock(&lock);
    return r;
}

static const struct clew__timer_ops test_kind = {.kind = "test", .fire = note};
static const struct clew__timer_ops *const kinds[] = {&test_kind, NULL};

static bool wait_fired(size_t n)
{
    struct timespec time;
    bool reached;
    int r = 0;

    (void)clock_gettime(CLOCK_REALTIME, &time);
    time.tv_sec += 20;
    (void)pthread_mutex_lock(&lock);
    while (nfired < n && r == 0)
        r = pthread_cond_timedwait(&fired_one, &lock, &time);
    reached = nfired >= n;
    (void)pthread_mutex_unlock(&lock);
    return reached;
}

static void begin(void)
{
    assert_int_equal(clew__timers_start(config, store, NULL, NULL, kinds, &timers), 0);
}

static int setup(void **state)
{
    (void)state;
    bench_init(&bench);
    config = load_config(&bench, usual_config(9, ""));
    store = open_store(&bench);
    nfired = 0;
    fails = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    timers = clew__timers_stop(timers);
    store = clew__store_close(store);
    config = clew__config_free(config);
    bench_done(&bench);
    return 0;
}

struct setting {
    const char *kind, *key, *arg;
    int64_t now, after, at;
};

static int set_after(struct clew__db *db, void *arg)
{
    const struct setting *s = arg;

    return clew__timer_after(db, s->kind, s->key, s->now, s->after, s->arg);
}

static int set_at(struct clew__db *db, void *arg)
{
    const struct setting *s = arg;

    return clew__timer_at(db, s->kind, s->key, s->at, s->arg);
}

static int cancel(struct clew__db *db, void *arg)
{
    const struct setting *s = arg;

    return clew__timer_cancel(db, s->kind, s->key);
}

static void after(const char *key, const char *arg, int64_t ns)
{
    struct setting s = {"test", key, arg, clew__instant_now(), ns, 0};

    assert_int_equal(clew__store_write(store, set_after, &s), 0);
}

/* Overdue ones fire at once and in order, each once. */
static void test_timers_fire_in_order(void **state)
{
    (void)state;
    after("second", "b", -1 * CLEW__SECOND_NS);
    after("first", "a", -3600 * CLEW__SECOND_NS);
    after("later", "c", 300000000);
    begin();
    assert_true(wait_fired(3));
    assert_string_equal(fired[0].key, "first");
    assert_string_equal(fired[0].arg, "a");
    assert_string_equal(fired[1].key, "second");
    assert_string_equal(fired[2].key, "later");
    timers = clew__timers_stop(timers);
    assert_int_equal(nfired, 3);
    assert_int_equal(number_in(store, "SELECT count(*) FROM timers WHERE kind = 'test'"), 0);
    assert_int_equal(number_in(store, "SELECT count(*) FROM timers WHERE kind = 'done'"), 3);
}

/* Known beforehand or set while the thread sleeps: less than a second late. */
static void test_timers_are_in_time(void **state)
{
    int64_t due[5], worst = 0;

    (void)state;
    begin();
    for (int i = 0; i < 5; i++) {
        char key[8];

        (void)snprintf(key, sizeof(key), "k%d", i);
        due[i] = clew__instant_now() + (i * 290 + 50) * 1000000LL;
        after(key, "", due[i] - clew__instant_now());
    }
    assert_true(wait_fired(5));
    for (int i = 0; i < 5; i++) {
        assert_true(fired[i].at >= due[i]);
        assert_true(fired[i].at - due[i] < CLEW__SECOND_NS);
        if (fired[i].at - due[i] > worst)
            worst = fired[i].at - due[i];
    }
    print_message("at most %.3f s late\n", (double)worst / 1e9);
}

static void test_timers_replace_and_cancel(void **state)
{
    struct setting s = {.kind = "test", .key = "gone"};

    (void)state;
    after("k", "old", 0);
    after("k", "new", 0);
    after("gone", "", 0);
    assert_int_equal(clew__store_write(store, cancel, &s), 0);
    begin();
    assert_true(wait_fired(1));
    timers = clew__timers_stop(timers);
    assert_int_equal(nfired, 1);
    assert_string_equal(fired[0].arg, "new");
}

/* A handler that fails leaves no trace, and does not hold up the others. */
static void test_timers_put_off_what_fails(void **state)
{
    (void)state;
    fails = 1;
    after("bad", "", -2 * CLEW__SECOND_NS);
    after("good", "", -1 * CLEW__SECOND_NS);
    begin();
    assert_true(wait_fired(1));
    timers = clew__timers_stop(timers); /* what fired is committed */
    assert_string_equal(fired[0].key, "good");
    assert_int_equal(number_in(store, "SELECT count(*) FROM timers WHERE kind = 'done'"), 1);
    assert_int_equal(
        number_in(store, "SELECT count(*) FROM timers WHERE kind = 'test' AND key = 'bad'"), 1);
}

static void test_timers_of_an_unknown_kind_wait(void **state)
{
    struct setting s = {"other", "k", "", 0, 1, 0};

    (void)state;
    assert_int_equal(clew__store_write(store, set_after, &s), 0);
    after("k", "", 0);
    begin();
    assert_true(wait_fired(1));
    timers = clew__timers_stop(timers); /* what fired is committed */
    assert_int_equal(number_in(store, "SELECT count(*) FROM timers WHERE kind = 'other'"), 1);
}

static void test_timers_refuse_long_texts(void **state)
{
    static char text[CLEW__TIMER_ARG_MAX + 2];
    struct setting s = {"test", "k", text, 0, 0, 0};

    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    assert_int_equal(clew__store_write(store, set_after, &s), -EINVAL);
    s.arg = "";
    s.key = text;
    assert_int_equal(clew__store_write(store, set_at, &s), -EINVAL);
}

/* ---- kill -9 ----------------------------------------------------------- */

#define NKILLED 200

/* A line for each time that a timer fires. */
static int count(struct clew__db *db, struct clew__firing *firing)
{
    return clew__db_run(db,
                        "INSERT INTO audit (at, webhook_id, fingerprint, starts_at, target,"
                        " decision, reason) VALUES (?1, NULL, '', 0, '', 'fired', ?2)",
                        "is", firing->now, firing->timer->key);
}

static const struct clew__timer_ops count_kind = {.kind = "count", .fire = count};
static const struct clew__timer_ops *const count_kinds[] = {&count_kind, NULL};

static int set_many(struct clew__db *db, void *arg)
{
    const int64_t *now = arg;
    int r = 0;

    for (int i = 0; i < NKILLED && r == 0; i++) {
        char key[8];

        (void)snprintf(key, sizeof(key), "%d", i);
        r = clew__timer_after(db, "count", key, *now, i * CLEW__SECOND_NS / 200, "");
    }
    return r;
}

/* A process that fires timers until it is killed, after so many microseconds. */
static void live_for(unsigned us)
{
    int ready[2], status;
    char byte;
    pid_t child;

    assert_int_equal(pipe(ready), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (clew__store_open(bench.storage, &store) < 0 ||
            clew__timers_start(config, store, NULL, NULL, count_kinds, &timers) < 0 ||
            write(ready[1], "r", 1) != 1)
            _exit(1);
        for (;;)
            (void)pause();
    }
    (void)close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    (void)close(ready[0]);
    (void)usleep(us);
    (void)kill(child, SIGKILL);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
}

/* None is lost, none fires twice, wherever its process is killed. */
static void test_timers_survive_kills(void **state)
{
    int64_t now = clew__instant_now(), left = 1;
    unsigned between = 0; /* kills that left some */

    (void)state;
    assert_int_equal(clew__store_write(store, set_many, &now), 0);
    store = clew__store_close(store);
    for (unsigned i = 0; i < 40 && left > 0; i++) {
        live_for(i * 7919 % 30000);
        store = open_store(&bench);
        left = number_in(store, "SELECT count(*) FROM timers");
        between += left > 0;
        store = clew__store_close(store);
    }
    assert_true(between >= 3);
    store = open_store(&bench);
    assert_int_equal(clew__timers_start(config, store, NULL, NULL, count_kinds, &timers), 0);
    for (unsigned i = 0; i < 1000 && number_in(store, "SELECT count(*) FROM timers") > 0; i++)
        (void)usleep(20000);
    timers = clew__timers_stop(timers);
    assert_int_equal(number_in(store, "SELECT count(*) FROM audit WHERE decision = 'fired'"),
                     NKILLED);
    assert_int_equal(number_in(store, "SELECT count(DISTINCT reason) FROM audit"), NKILLED);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_timers_fire_in_order),           TEST(test_timers_are_in_time),
        TEST(test_timers_replace_and_cancel),      TEST(test_timers_put_off_what_fails),
        TEST(test_timers_of_an_unknown_kind_wait), TEST(test_timers_refuse_long_texts),
        TEST(test_timers_survive_kills),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
