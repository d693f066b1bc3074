/* SPDX-License-Identifier: Apache-2.0
 * Timers while the clock is set: a span of time ends when it is over, a time of the
 * clock comes when the clock shows it. This program has its own clock_gettime(), so
 * the wall clock is what the test says. */
#include "bridge.h"

#include <common/instant.h>
#include <timers/thread.h>

#include <clew/log.h>

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define HOUR (3600 * CLEW__SECOND_NS)

static _Atomic int64_t set_by; /* how far the wall clock is off */

int clock_gettime(clockid_t clock, struct timespec *ret_time)
{
    int r = (int)syscall(SYS_clock_gettime, clock, ret_time);

    if (clock == CLOCK_REALTIME)
        ret_time->tv_sec += set_by / CLEW__SECOND_NS;
    return r;
}

static struct bench bench;
static struct clew__config *config;
static struct clew__store *store;
static struct clew__timers *timers;
static atomic_uint nspans, ntimes;

static int note(struct clew__db *db, struct clew__firing *firing)
{
    (void)db;
    (void)atomic_fetch_add(strcmp(firing->timer->key, "span") == 0 ? &nspans : &ntimes, 1);
    return 0;
}

static const struct clew__timer_ops test_kind = {.kind = "test", .fire = note};
static const struct clew__timer_ops *const kinds[] = {&test_kind, NULL};

static int setup(void **state)
{
    (void)state;
    set_by = 0;
    nspans = ntimes = 0;
    bench_init(&bench);
    config = load_config(&bench, usual_config(9, ""));
    store = open_store(&bench);
    assert_int_equal(clew__timers_start(config, store, NULL, NULL, kinds, &timers), 0);
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

static int set_timer(struct clew__db *db, void *arg)
{
    const int64_t *after = arg;
    int64_t now = clew__instant_now();
    int r = clew__timer_after(db, "test", "span", now, *after, "");

    return r == 0 ? clew__timer_at(db, "test", "time", now + *after, "") : r;
}

static void set(int64_t after)
{
    assert_int_equal(clew__store_write(store, set_timer, &after), 0);
}

/* Waits; returns after how many nanoseconds of real time it came, -1: not at all. */
static int64_t becomes(const atomic_uint *n, unsigned value, int64_t at_most)
{
    struct timespec begin, now;
    int64_t passed = 0;

    (void)clock_gettime(CLOCK_MONOTONIC, &begin);
    while (atomic_load(n) != value && passed < at_most) {
        (void)usleep(2000);
        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        passed = (now.tv_sec - begin.tv_sec) * CLEW__SECOND_NS + now.tv_nsec - begin.tv_nsec;
    }
    return atomic_load(n) == value ? passed : -1;
}

/* The thread has looked at the timers. */
static void let_look(void)
{
    (void)usleep(700000);
}

static void test_clock_set_forward(void **state)
{
    (void)state;
    set(HOUR);
    let_look();
    set_by = HOUR + 10 * CLEW__SECOND_NS;
    assert_true(becomes(&ntimes, 1, 5 * CLEW__SECOND_NS) >= 0);
    let_look();
    assert_int_equal(nspans, 0); /* the hour is not over */
}

static void test_clock_set_back(void **state)
{
    int64_t passed;

    (void)state;
    set(3 * CLEW__SECOND_NS);
    let_look();
    set_by = -HOUR;
    passed = becomes(&nspans, 1, 10 * CLEW__SECOND_NS);
    assert_true(passed >= 0 && passed < 4 * CLEW__SECOND_NS);
    assert_int_equal(ntimes, 0); /* it has yet to be that time again */
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_clock_set_forward),
        TEST(test_clock_set_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
