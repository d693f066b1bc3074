/* SPDX-License-Identifier: Apache-2.0
 * Health checks: results, times, and checks that hang. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "sample.h"

#include <child.h>
#include <clew/export.h>
#include <health.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

static int setup(void **state)
{
    setenv("CLEW_LOG_FORMAT", "json", 1);
    return child_setup(state);
}

static void run(int (*scenario)(void *))
{
    child_run(scenario, NULL);
    assert_int_equal(child.status, 0);
}

static uint64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void pause_ms(unsigned ms)
{
    const struct timespec t = {ms / 1000, (long)(ms % 1000) * 1000000};

    nanosleep(&t, NULL);
}

/* The check's result, read again and again until it is as wanted, with this in
 * its reason; false after 10 seconds. */
static bool becomes(const char *name, bool healthy, const char *reason)
{
    static struct clew__health health;

    for (uint64_t end = now_ms() + 10000; now_ms() < end; pause_ms(2)) {
        clew__health_read(&health);
        for (size_t i = 0; i < health.n; i++)
            if (strcmp(health.checks[i].name, name) == 0 && health.checks[i].healthy == healthy &&
                strstr(health.checks[i].reason, reason))
                return true;
    }
    for (size_t i = 0; i < health.n; i++)
        fprintf(stderr, "%s: %d %s\n", health.checks[i].name, health.checks[i].healthy,
                health.checks[i].reason);
    return false;
}

static bool is_ready(void)
{
    static struct clew__health health;

    clew__health_read(&health);
    return health.ready;
}

static unsigned threads(void)
{
    DIR *dir = opendir("/proc/self/task");
    unsigned n = 0;

    while (dir && readdir(dir))
        n++;
    closedir(dir);
    return n - 2;
}

/* Waits until this was logged: a result can be read a moment before its line is
 * written. Standard output is a file here. */
static bool logged(const char *message)
{
    static char text[65536];

    for (uint64_t end = now_ms() + 10000; now_ms() < end; pause_ms(2)) {
        int fd = open("/proc/self/fd/1", O_RDONLY);
        ssize_t n;

        (void)clew_log_flush(1000);
        n = fd < 0 ? 0 : pread(fd, text, sizeof(text) - 1, 0);
        close(fd);
        text[n > 0 ? n : 0] = '\0';
        if (strstr(text, message))
            return true;
    }
    return false;
}

/* ---- checks ----------------------------------------------------------------------- */

static _Atomic bool state_is_good = true, gate_is_shut;
static _Atomic unsigned calls;

static bool look(void *arg, char *reason, size_t size)
{
    atomic_fetch_add(&calls, 1);
    if (!atomic_load(&state_is_good))
        snprintf(reason, size, "no route to \"%s\" \xff", (const char *)arg);
    return atomic_load(&state_is_good);
}

static bool hang(void *arg, char *reason, size_t size)
{
    (void)reason;
    (void)size;
    while (atomic_load((_Atomic bool *)arg))
        pause_ms(5);
    return true;
}

static bool slow(void *arg, char *reason, size_t size)
{
    (void)arg;
    (void)reason;
    (void)size;
    pause_ms(80);
    return true;
}

static int add(const char *name, clew_health_function *function, void *arg, unsigned interval_ms,
               unsigned timeout_ms)
{
    const struct clew_health_check check = {name, function, arg, interval_ms, timeout_ms, false};

    return clew_health_add(&check);
}

static int results(void *arg)
{
    static char where[] = "db";

    (void)arg;
    CHECK(add("database", look, where, 20, 1000) == 0); /* before the start is early enough */
    CHECK(!is_ready());                                 /* not looked yet */
    CHECK(clew_start("s", "1") == 0);
    CHECK(becomes("database", true, ""));
    CHECK(is_ready());
    CHECK(sample("service_health_status") == 1);
    CHECK(sample("service_health_check_status{check=\"database\"}") == 1);
    atomic_store(&state_is_good, false);
    CHECK(becomes("database", false, "no route to \"db\" \xef\xbf\xbd")); /* U+FFFD */
    CHECK(!is_ready());
    CHECK(sample("service_health_status") == 0);
    CHECK(sample("service_health_check_status{check=\"database\"}") == 0);
    CHECK(logged("health check failed"));
    atomic_store(&state_is_good, true);
    CHECK(becomes("database", true, ""));
    CHECK(logged("health check passes again"));
    CHECK(clew_health_set("grpc_server", false) == 0);
    CHECK(!is_ready());
    CHECK(sample("service_health_check_status{check=\"grpc_server\"}") == 0);
    CHECK(clew_health_set("grpc_server", true) == 0);
    CHECK(is_ready());
    clew_drain();
    CHECK(!is_ready());
    CHECK(sample("service_health_status") == 1); /* well, but not to be sent anything */
    clew_stop();
    return 0;
}

static void test_health_results_come_from_the_background(void **state)
{
    (void)state;
    run(results);
    assert_int_equal(child_count("health check failed"), 1);
    assert_int_equal(child_count("health check passes again"), 1);
}

static int wrong(void *arg)
{
    char name[80];

    (void)arg;
    CHECK(add("bad name", look, NULL, 0, 0) == -EINVAL);
    CHECK(add("", look, NULL, 0, 0) == -EINVAL);
    CHECK(add(NULL, look, NULL, 0, 0) == -EINVAL);
    CHECK(add("none", NULL, NULL, 0, 0) == -EINVAL);
    CHECK(add("often", look, NULL, 9, 0) == -EINVAL);
    CHECK(add("rare", look, NULL, 86400001, 0) == -EINVAL);
    CHECK(add("long", look, NULL, 0, 3600001) == -EINVAL);
    CHECK(clew_health_add(NULL) == -EINVAL);
    memset(name, 'x', 65);
    name[65] = '\0';
    CHECK(clew_health_set(name, true) == -EINVAL);
    CHECK(clew_health_set(name + 1, true) == 0);
    CHECK(add("f", look, NULL, 0, 0) == 0);
    CHECK(add("f", look, NULL, 0, 0) == -EEXIST);
    CHECK(clew_health_set("f", true) == -EEXIST);
    for (int i = 2; i < 64; i++) {
        snprintf(name, sizeof(name), "n%d", i);
        CHECK(clew_health_set(name, true) == 0);
    }
    CHECK(clew_health_set("one_more", true) == -ENOSPC);
    CHECK(add("one_more", look, NULL, 0, 0) == -ENOSPC);
    CHECK(strstr(clew_last_error(), "one_more"));
    return 0;
}

static void test_health_wrong_checks_are_refused(void **state)
{
    (void)state;
    run(wrong);
}

/* Five that hang: each is told, each costs a thread and no more, the others go
 * on, and they are well again when they come back. */
static int hanging(void *arg)
{
    static const char *const names[] = {"h0", "h1", "h2", "h3", "h4"};
    unsigned before, seen;

    (void)arg;
    atomic_store(&gate_is_shut, true);
    CHECK(clew_start("s", "1") == 0);
    CHECK(add("good", look, NULL, 10, 1000) == 0);
    CHECK(becomes("good", true, ""));
    before = threads();
    for (int i = 0; i < 5; i++)
        CHECK(add(names[i], hang, &gate_is_shut, 10, 30) == 0);
    for (int i = 0; i < 5; i++)
        CHECK(becomes(names[i], false, "no answer within 30 ms"));
    for (int i = 0; i < 5; i++)
        CHECK(logged(names[i]));
    seen = atomic_load(&calls);
    for (uint64_t end = now_ms() + 5000; atomic_load(&calls) < seen + 5; pause_ms(2))
        CHECK(now_ms() < end);
    CHECK(becomes("good", true, ""));
    CHECK(threads() <= before + 5 + 2);
    atomic_store(&gate_is_shut, false);
    for (int i = 0; i < 5; i++)
        CHECK(becomes(names[i], true, ""));
    for (uint64_t end = now_ms() + 5000; threads() > before + 2; pause_ms(2))
        CHECK(now_ms() < end);
    clew_stop();
    return 0;
}

static void test_health_a_hung_check_hangs_nothing_else(void **state)
{
    (void)state;
    run(hanging);
    assert_true(child_count("health check failed") >= 5);
}

static int shutdown_beside_one(void *arg)
{
    uint64_t began;

    (void)arg;
    atomic_store(&gate_is_shut, true);
    CHECK(clew_start("s", "1") == 0);
    CHECK(add("hung", hang, &gate_is_shut, 10, 30) == 0);
    CHECK(becomes("hung", false, "no answer"));
    began = now_ms();
    clew_stop();
    CHECK(now_ms() - began < 3000);
    return 0;
}

static void test_health_a_hung_check_does_not_hold_up_the_end(void **state)
{
    (void)state;
    run(shutdown_beside_one);
}

/* What is under way and within its time is waited for: it may use what the
 * service frees next. */
static int shutdown_waits(void *arg)
{
    unsigned at_end;

    (void)arg;
    CHECK(clew_start("s", "1") == 0);
    CHECK(add("slow", slow, NULL, 10, 5000) == 0);
    CHECK(add("quick", look, NULL, 10, 5000) == 0);
    CHECK(becomes("slow", true, ""));
    clew_stop();
    at_end = atomic_load(&calls);
    pause_ms(60);
    CHECK(atomic_load(&calls) == at_end);
    return 0;
}

static void test_health_no_check_runs_after_the_end(void **state)
{
    (void)state;
    run(shutdown_waits);
}

static int too_slow(void *arg)
{
    static struct clew__health health;

    (void)arg;
    CHECK(clew_start("s", "1") == 0);
    CHECK(add("slow", slow, NULL, 3600000, 10) == 0);
    CHECK(becomes("slow", false, "took "));
    clew__health_read(&health);
    CHECK(health.live);
    clew_stop();
    return 0;
}

static void test_health_a_late_answer_is_none(void **state)
{
    (void)state;
    run(too_slow);
}

static int liveness(void *arg)
{
    static struct clew__health health;
    const struct clew_health_check check = {"deadlock", look, NULL, 10, 1000, true};

    (void)arg;
    atomic_store(&state_is_good, false);
    CHECK(clew_health_add(&check) == 0);
    clew__health_read(&health);
    CHECK(health.live && health.ready); /* until it has looked */
    CHECK(clew_health_set("database", false) == 0);
    clew__health_read(&health);
    CHECK(health.live && !health.ready); /* restarting would not help */
    CHECK(clew_start("s", "1") == 0);
    CHECK(becomes("deadlock", false, ""));
    clew__health_read(&health);
    CHECK(!health.live && !health.ready && !health.healthy);
    clew_stop();
    return 0;
}

static void test_health_liveness_is_apart(void **state)
{
    (void)state;
    run(liveness);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, child_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_health_results_come_from_the_background),
        TEST(test_health_wrong_checks_are_refused),
        TEST(test_health_a_hung_check_hangs_nothing_else),
        TEST(test_health_a_hung_check_does_not_hold_up_the_end),
        TEST(test_health_no_check_runs_after_the_end),
        TEST(test_health_a_late_answer_is_none),
        TEST(test_health_liveness_is_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
