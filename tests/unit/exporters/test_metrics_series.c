/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "metrics/scrape.h"
#include "sample.h"

#include <pthread.h>
#include <unistd.h>

#define LABELS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define TEXT(s)          \
    {                    \
        s, sizeof(s) - 1 \
    }

static struct clew_label label(const char *text)
{
    return (struct clew_label){text, strlen(text)};
}

/* ---- by label values -------------------------------------------------------------------- */

static void test_series_values_need_no_nul(void **state)
{
    struct clew_metric *metric = clew_counter("cut_total", "C.", LABELS("a", "b"));
    const struct clew_label values[] = {{"onetwo", 3}, {"", 0}};
    const struct clew_label with_nul[] = {{"x\0y", 3}, {"z", 1}};

    (void)state;
    clew_metric_add(metric, values, 1);
    clew_series_add(clew_metric_series(metric, LABELS("one", "")), 1);
    clew_metric_add(metric, with_nul, 4);
    assert_true(sample("cut_total{a=\"one\",b=\"\"}") == 2);
    assert_true(sample("cut_total{a=\"x\xEF\xBF\xBDy\",b=\"z\"}") == 4);
}

/* Sets that share a cache slot, or a prefix, or only differ in the middle. */
static void test_series_many_sets_are_told_apart(void **state)
{
    struct clew_metric *metric = clew_counter("apart_total", "C.", LABELS("v"));
    enum { N = 1900 };

    (void)state;
    for (int round = 0; round < 3; round++)
        for (unsigned i = 0; i < N; i++) {
            char text[64];
            struct clew_label value = {text, 0};

            value.len =
                (size_t)snprintf(text, sizeof(text), i % 2 ? "%u" : "a long prefix %u suffix", i);
            clew_metric_add(metric, &value, i);
        }
    for (unsigned i = 0; i < N; i += 97) {
        char name[100];

        snprintf(name, sizeof(name),
                 i % 2 ? "apart_total{v=\"%u\"}" : "apart_total{v=\"a long prefix %u suffix\"}", i);
        assert_true(sample(name) == 3.0 * i);
    }
}

static void test_series_set_and_observe_by_values(void **state)
{
    struct clew_metric *gauge = clew_gauge("by_values", "G.", LABELS("l"));
    struct clew_metric *histogram =
        clew_histogram("by_values_seconds", "H.", LABELS("l"), (const double[]){1, 2}, 2);
    struct clew_label value = label("x");

    (void)state;
    clew_metric_set(gauge, &value, 3.5);
    clew_metric_add(gauge, &value, 1);
    clew_metric_observe(histogram, &value, 1.5, NULL, 0);
    assert_true(sample("by_values{l=\"x\"}") == 4.5);
    assert_true(sample("by_values_seconds_bucket{l=\"x\",le=\"1.0\"}") == 0);
    assert_true(sample("by_values_seconds_bucket{l=\"x\",le=\"2.0\"}") == 1);
    clew_metric_set(histogram, &value, 1); /* is not taken */
    assert_true(sample("by_values_seconds_count{l=\"x\"}") == 1);
}

/* ---- limits -------------------------------------------------------------------------------- */

static long resident_kib(void)
{
    FILE *f = fopen("/proc/self/statm", "re");
    long size, resident = 0;

    assert_non_null(f);
    assert_int_equal(fscanf(f, "%ld %ld", &size, &resident), 2);
    fclose(f);
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

static void test_series_a_flood_of_values_costs_no_memory(void **state)
{
    enum { N = 300000 };
    struct clew_metric *metric = clew_counter("flood_total", "F.", LABELS("path", "method"));
    long before = 0;

    (void)state;
    for (unsigned i = 0; i < N; i++) {
        char path[64];
        struct clew_label values[] = {{path, 0}, TEXT("GET")};

        values[0].len = (size_t)snprintf(path, sizeof(path), "/hostile/\xff%u\n", i);
        clew_metric_add(metric, values, 1);
        if (i == N / 10)
            before = resident_kib();
    }
    assert_true(sample("flood_total{path=\"overflow\",method=\"overflow\"}") == N - 2000);
    assert_true(sample("clew_metrics_overflow_total{metric=\"flood_total\"}") == N - 2000);
    assert_true(resident_kib() - before < 2048);
}

static void test_series_limit_of_a_metric(void **state)
{
    struct clew_metric *metric = clew_counter("three_total", "T.", LABELS("v"));
    const char *const all[] = {"a", "b", "c", "d", "e"};

    (void)state;
    assert_int_equal(clew_metric_limit(metric, NULL, 3), 0);
    assert_true(clew_metric_limit(metric, NULL, 0) < 0);
    assert_true(clew_metric_limit(metric, "w", 3) < 0);
    assert_true(clew_metric_limit(NULL, NULL, 3) < 0);
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 5; i++) {
            struct clew_label value = label(all[i]);

            clew_metric_add(metric, &value, 1);
        }
    assert_true(sample("three_total{v=\"c\"}") == 2);
    assert_true(sample("three_total{v=\"d\"}") == -1);
    assert_true(sample("three_total{v=\"overflow\"}") == 4);
    assert_true(sample("clew_metrics_overflow_total{metric=\"three_total\"}") == 4);
}

/* The other labels stay right. */
static void test_series_limit_of_a_label(void **state)
{
    struct clew_metric *metric = clew_counter("label_total", "L.", LABELS("path", "status"));
    const char *const paths[] = {"/a", "/b", "/c", "/d"};

    (void)state;
    clew_series_add(clew_metric_series(metric, LABELS("/a", "200")), 1);
    assert_int_equal(clew_metric_limit(metric, "path", 2), 0);
    for (int i = 0; i < 4; i++) {
        const struct clew_label ok[] = {label(paths[i]), TEXT("200")};
        const struct clew_label bad[] = {label(paths[i]), TEXT("500")};

        clew_metric_add(metric, ok, 1);
        clew_metric_add(metric, bad, 1);
    }
    assert_true(sample("label_total{path=\"/a\",status=\"200\"}") == 2);
    assert_true(sample("label_total{path=\"/b\",status=\"500\"}") == 1);
    assert_true(sample("label_total{path=\"/c\",status=\"200\"}") == -1);
    assert_true(sample("label_total{path=\"overflow\",status=\"200\"}") == 2);
    assert_true(sample("label_total{path=\"overflow\",status=\"500\"}") == 2);
    assert_true(sample("clew_metrics_overflow_total{metric=\"label_total\"}") == 4);
}

/* ---- expiry --------------------------------------------------------------------------------- */

static void look(uint64_t now_s)
{
    struct clew__scrape scrape;

    assert_true(clew__scrape_begin(&scrape));
    clew__expire_now(&scrape, now_s * 1000000000u, 10000000000u);
    clew__scrape_end(&scrape);
}

static void test_series_that_are_idle_expire(void **state)
{
    struct clew_metric *metric = clew_counter("idle_total", "I.", LABELS("v"));
    struct clew_metric *gauge = clew_gauge("idle_gauge", "I.", LABELS("v"));
    struct clew_label busy = label("busy"), idle = label("idle"), handle = label("handle");

    (void)state;
    (void)clew_metric_limit(metric, "v", 3);
    clew_metric_add(metric, &idle, 1);
    clew_metric_set(gauge, &idle, 1);
    clew_metric_add(gauge, &busy, 1); /* a gauge that goes up goes down some day */
    clew_metric_add(metric, &handle, 1);
    (void)clew_metric_series(metric, LABELS("handle"));
    for (uint64_t t = 100; t < 120; t++) {
        clew_metric_add(metric, &busy, 1);
        look(t);
    }
    assert_true(sample("idle_total{v=\"idle\"}") == -1);
    assert_true(sample("idle_gauge{v=\"idle\"}") == -1);
    assert_true(sample("idle_gauge{v=\"busy\"}") == 1);
    assert_true(sample("idle_total{v=\"busy\"}") == 20);
    assert_true(sample("idle_total{v=\"handle\"}") == 1);
    clew_metric_add(metric, &idle, 5); /* back, from zero */
    assert_true(sample("idle_total{v=\"idle\"}") == 5);
    assert_int_equal(metric->nseries, 3);
    assert_int_equal(metric->limit[0].n, 3);
}

#if !defined(__SANITIZE_ADDRESS__) /* which keeps what was freed for a while */
static void test_series_memory_is_used_again(void **state)
{
    struct clew_metric *metric = clew_histogram("again_seconds", "A.", LABELS("v"), NULL, 0);
    long before = 0;

    (void)state;
    for (uint64_t round = 0; round < 60; round++) {
        for (unsigned i = 0; i < 1000; i++) {
            char text[32];
            struct clew_label value = {text, 0};

            value.len = (size_t)snprintf(text, sizeof(text), "%u-%u", (unsigned)round, i);
            clew_metric_observe(metric, &value, 1, NULL, 0);
        }
        assert_true(metric->last->place.chunk <= 6); /* 1,000 of 144 bytes, once */
        look(1000 + 100 * round);                    /* sees them */
        look(1050 + 100 * round);                    /* and that they are idle */
        assert_int_equal(metric->nseries, 0);
        if (round == 10)
            before = resident_kib();
    }
#if !defined(__SANITIZE_ADDRESS__) /* it keeps what is freed */
    assert_true(resident_kib() - before < 2048);
#else
    (void)before;
#endif
}
#endif

/* Updates go on while series expire as fast as they can: every one is either on
 * the page in the end or was on it when its series went. */
static struct clew_metric *racing;
static _Atomic bool stop;
static _Atomic uint64_t added;

static void *race(void *arg)
{
    unsigned i = (unsigned)(uintptr_t)arg;

    while (!stop) {
        char text[8];
        struct clew_label value = {text, 0};

        value.len = (size_t)snprintf(text, sizeof(text), "%u", i++ % 50);
        clew_metric_add(racing, &value, 1);
        added++;
    }
    return NULL;
}

/* A series as it was; a later one may have its memory, but not its time too. */
struct was {
    const struct clew__series *series;
    uint64_t created_ns;
    double value;
};

static size_t remember(const struct clew__scrape *scrape, struct was was[])
{
    size_t n = 0;

    for (struct clew__series *s = racing->first; s; s = s->next)
        was[n++] = (struct was){s, s->created_ns, clew__read_number(scrape, s).value};
    return n;
}

static bool is_there(const struct was *was)
{
    for (struct clew__series *s = racing->first; s; s = s->next)
        if (s == was->series && s->created_ns == was->created_ns)
            return true;
    return false;
}

/* What the page loses when idle series expire: at most this, because what is counted
 * meanwhile brings a series back, or goes with all it had to the one in its place. */
static double expire_at(uint64_t now_ns)
{
    struct clew__scrape scrape;
    struct was was[100];
    double lost = 0;
    size_t n;

    assert_true(clew__scrape_begin(&scrape));
    n = remember(&scrape, was);
    clew__expire_now(&scrape, now_ns, 1); /* idle since the look before */
    for (size_t i = 0; i < n; i++)
        lost += is_there(&was[i]) ? 0 : was[i].value;
    clew__scrape_end(&scrape);
    return lost;
}

static void test_series_expire_under_load(void **state)
{
    pthread_t threads[3];
    struct clew__scrape scrape;
    struct was was[100];
    double lost = 0, left = 0;

    (void)state;
    racing = clew_counter("racing_total", "R.", LABELS("v"));
    for (uintptr_t i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, race, (void *)(i * 17));
    for (uint64_t t = 1; t < 3000; t++)
        lost += expire_at(t * 1000000000u);
    stop = true;
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    assert_true(racing->nseries <= 50);
    assert_true(clew__scrape_begin(&scrape));
    for (size_t n = remember(&scrape, was); n > 0; n--)
        left += was[n - 1].value;
    clew__scrape_end(&scrape);
    assert_true(left <= (double)added);
    assert_true(left + lost >= (double)added);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_series_values_need_no_nul),
        cmocka_unit_test(test_series_many_sets_are_told_apart),
        cmocka_unit_test(test_series_set_and_observe_by_values),
        cmocka_unit_test(test_series_a_flood_of_values_costs_no_memory),
        cmocka_unit_test(test_series_limit_of_a_metric),
        cmocka_unit_test(test_series_limit_of_a_label),
        cmocka_unit_test(test_series_that_are_idle_expire),
#if !defined(__SANITIZE_ADDRESS__)
        cmocka_unit_test(test_series_memory_is_used_again),
#endif
        cmocka_unit_test(test_series_expire_under_load),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
