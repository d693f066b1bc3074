/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "metrics/scrape.h"
#include "sample.h"

#include <pthread.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define LABELS(...) ((const char *const[]){__VA_ARGS__, NULL})

static struct clew_series *plain(const char *name)
{
    return clew_metric_series(clew_counter(name, "C.", NULL), NULL);
}

/* ---- threads come and go, pages are made all the while -------------------------------- */

static struct clew_series *counter, *gauge, *histogram, *native;
static _Atomic bool stop;

static void *count_a_little(void *arg)
{
    uint8_t trace_id[16] = {0xab};

    (void)arg;
    for (int i = 0; i < 1000; i++) {
        clew_series_add(counter, 1);
        clew_series_add(counter, 0.5);
        clew_series_add(gauge, i % 2 ? -1 : 1);
        clew_series_observe(histogram, i % 12, trace_id, 7);
        clew_series_observe(native, 1 + i % 100, NULL, 0);
    }
    return NULL;
}

static double read_at(const char *page, const char *name)
{
    char line[200];
    const char *at;

    snprintf(line, sizeof(line), "\n%s ", name);
    at = strstr(page, line);
    return at ? strtod(at + strlen(line), NULL) : -1;
}

static void *scrape(void *arg)
{
    double before = 0, sum_before = 0;

    while (!stop) {
        char *page;
        size_t len;
        double now, sum;

        assert_int_equal(clew_metrics_render(true, &page, &len), 0);
        now = read_at(page, "coming_total");
        sum = read_at(page, "coming_seconds_sum");
        if (now < before || sum < sum_before ||
            read_at(page, "coming_seconds_count") !=
                read_at(page, "coming_seconds_bucket{le=\"+Inf\"}"))
            ++*(unsigned *)arg;
        before = now;
        sum_before = sum;
        free(page);
    }
    return NULL;
}

static void test_threads_coming_and_going_lose_nothing(void **state)
{
    enum { ROUNDS = 40, THREADS = 16 };
    pthread_t scraper, threads[THREADS];
    unsigned wrong = 0;

    (void)state;
    counter = plain("coming_total");
    gauge = clew_metric_series(clew_gauge("coming_now", "G.", NULL), NULL);
    histogram = clew_metric_series(
        clew_histogram("coming_seconds", "H.", NULL, (const double[]){1, 2, 4, 8}, 4), NULL);
    native = clew_metric_series(clew_native_histogram("coming_native", "N.", NULL, 3, 0), NULL);
    clew_series_set(gauge, 5);
    pthread_create(&scraper, NULL, scrape, &wrong);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < THREADS; i++)
            pthread_create(&threads[i], NULL, count_a_little, NULL);
        for (int i = 0; i < THREADS; i++)
            pthread_join(threads[i], NULL);
    }
    stop = true;
    pthread_join(scraper, NULL);
    assert_int_equal(wrong, 0);
    assert_true(sample("coming_total") == 1.5 * 1000 * ROUNDS * THREADS);
    assert_true(sample("coming_now") == 5);
    assert_true(sample("coming_seconds_count") == 1000 * ROUNDS * THREADS);
    assert_true(sample("coming_native_count") == 1000 * ROUNDS * THREADS);
    assert_true(sample("coming_native_sum") == 50.5 * 1000 * ROUNDS * THREADS);
}

/* ---- shards that nobody takes are emptied ------------------------------------------------ */

static pthread_barrier_t together;

static void *count_together(void *arg)
{
    clew_series_add(arg, 3);
    clew_series_observe(histogram, 1.5, (const uint8_t *)"0123456789abcdef", 1);
    pthread_barrier_wait(&together);
    return NULL;
}

static size_t shards_with_memory(void)
{
    size_t n = 0;

    for (struct clew__shard *shard = clew__shards; shard; shard = shard->next)
        n += shard->state != CLEW__SHARD_EMPTY;
    return n;
}

static void test_shards_of_ended_threads_are_emptied(void **state)
{
    enum { THREADS = 64 };
    struct clew_series *series = plain("together_total");
    double observed = sample("coming_seconds_count"), sum = sample("coming_seconds_sum");
    pthread_t threads[THREADS];

    (void)state;
    pthread_barrier_init(&together, NULL, THREADS);
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, count_together, series);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&together);
    assert_true(shards_with_memory() >= THREADS);
    assert_true(sample("together_total") == 3 * THREADS);
    assert_true(shards_with_memory() < THREADS / 2);
    assert_true(sample("together_total") == 3 * THREADS);
    assert_true(sample("coming_seconds_count") == observed + THREADS);
    assert_true(sample("coming_seconds_sum") == sum + 1.5 * THREADS);
}

/* ---- gauges -------------------------------------------------------------------------------- */

static void *go_up_and_down(void *arg)
{
    for (int i = 0; i < 100000; i++) {
        clew_series_add(arg, 1);
        clew_series_add(arg, -1);
    }
    clew_series_add(arg, 0.25);
    return NULL;
}

static void *set_often(void *arg)
{
    for (int i = 0; i < 100000; i++)
        clew_series_set(arg, 1000);
    return NULL;
}

static void test_gauge_set_counts_from_there_on(void **state)
{
    struct clew_series *series = clew_metric_series(clew_gauge("set_gauge", "G.", NULL), NULL);
    pthread_t threads[3];
    double value;

    (void)state;
    clew_series_add(series, 7);
    clew_series_set(series, 0.1);
    assert_true(sample("set_gauge") == 0.1);
    clew_series_add(series, 2);
    assert_true(sample("set_gauge") == 2.1);
    clew_series_set(series, -3);
    clew_series_add(series, -2);
    assert_true(sample("set_gauge") == -5);
    for (int i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, i ? go_up_and_down : set_often, series);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    /* A set may have come between the two of a pair, in each of the threads. */
    value = sample("set_gauge");
    assert_true(value >= 1000 - 2 && value <= 1000 + 2 + 0.5);
}

/* ---- signals --------------------------------------------------------------------------------- */

static struct clew_series *in_handler;
static _Atomic unsigned handled;

static void on_signal(int number)
{
    (void)number;
    clew_series_add(in_handler, 1);
    clew_series_add(in_handler, 0.5);
    clew_series_observe(histogram, 2.5, NULL, 0);
    clew_series_observe(native, 2.5, NULL, 0);
    handled++;
}

static void test_updates_in_signal_handlers_are_exact(void **state)
{
    struct sigaction action = {.sa_handler = on_signal};
    double observed = sample("coming_seconds_count"), natives = sample("coming_native_count");
    pthread_t self = pthread_self();
    unsigned n = 0;

    (void)state;
    in_handler = plain("handled_total");
    sigaction(SIGUSR1, &action, NULL);
    struct itimerval often = {{0, 50}, {0, 50}};
    struct sigaction old;
    sigaction(SIGALRM, &action, &old);
    setitimer(ITIMER_REAL, &often, NULL);
    while (handled < 2000 && n < 50000000) {
        clew_series_add(in_handler, 1);
        clew_series_add(in_handler, 0.5);
        clew_series_observe(histogram, 2.5, NULL, 0);
        clew_series_observe(native, 2.5, NULL, 0);
        n++;
    }
    memset(&often, 0, sizeof(often));
    setitimer(ITIMER_REAL, &often, NULL);
    sigaction(SIGALRM, &old, NULL);
    (void)self;
    assert_true(handled > 100);
    assert_true(sample("handled_total") == 1.5 * (n + handled));
    assert_true(sample("coming_seconds_count") == observed + n + handled);
    assert_true(sample("coming_native_count") == natives + n + handled);
}

/* ---- fork ------------------------------------------------------------------------------------ */

static void *count_until_told(void *arg)
{
    while (!stop)
        clew_series_add(arg, 1);
    return NULL;
}

static bool child_counts_its_own(struct clew_series *series, struct clew_series *level)
{
    bool good = sample("forked_total") == 0 && sample("forked_level") == 41;

    clew_series_add(series, 2);
    clew_series_add(level, 1);
    return good && sample("forked_total") == 2 && sample("forked_level") == 42 &&
           clew_counter("only_in_child_total", "C.", NULL);
}

static void test_fork_starts_at_zero(void **state)
{
    struct clew_series *series = plain("forked_total");
    struct clew_series *level = clew_metric_series(clew_gauge("forked_level", "G.", NULL), NULL);
    pthread_t thread;
    int status;

    (void)state;
    stop = false;
    clew_series_set(level, 41);
    pthread_create(&thread, NULL, count_until_told, series);
    for (int i = 0; i < 20; i++) {
        pid_t pid;

        clew_series_add(series, 1);
        pid = fork();
        if (pid == 0)
            _exit(child_counts_its_own(series, level) ? 0 : 1);
        assert_true(pid > 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
    }
    stop = true;
    pthread_join(thread, NULL);
    assert_true(sample("forked_total") >= 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads_coming_and_going_lose_nothing),
        cmocka_unit_test(test_shards_of_ended_threads_are_emptied),
        cmocka_unit_test(test_gauge_set_counts_from_there_on),
        cmocka_unit_test(test_updates_in_signal_handlers_are_exact),
        cmocka_unit_test(test_fork_starts_at_zero),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
