/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "metrics/scrape.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>

static struct clew_metric *make(const char *name, int schema, unsigned max)
{
    struct clew_metric *metric = clew_native_histogram(name, "N.", NULL, schema, max);

    assert_non_null(metric);
    return metric;
}

/* By the definition: the upper bound is the bucket's, the lower one is not. */
static void test_native_keys(void **state)
{
    (void)state;
    clew__native_prepare();
    for (int schema = -4; schema <= 8; schema++) {
        double base = pow(2, pow(2, -schema));

        assert_int_equal(clew__native_key(1, schema), 0);
        assert_int_equal(clew__native_key(nextafter(1, 2), schema), 1);
        for (int i = 0; i < 2000; i++) {
            double value = exp((double)rand() / RAND_MAX * 60 - 30);
            int64_t key = clew__native_key(value, schema);

            assert_true(value <= pow(base, (double)key) * (1 + 1e-12));
            assert_true(value > pow(base, (double)key - 1) * (1 - 1e-12));
        }
        for (int e = -100; e <= 100; e += 16) /* powers of two are bounds in each schema */
            assert_int_equal(clew__native_key(ldexp(1, e), schema),
                             (int64_t)ceil(ldexp(e, schema)));
    }
}

struct read {
    uint64_t count, zero, positive, negative;
    int schema;
    double sum;
};

static struct read read_one(struct clew_metric *metric)
{
    struct clew__scrape scrape;
    struct clew__native_copy copy;
    struct read r = {0};

    assert_true(clew__scrape_begin(&scrape));
    r.count = clew__read_native(&scrape, metric->overflow, &copy);
    r.zero = copy.cell.zero;
    r.schema = clew__native_schema(&copy.cell, metric);
    r.sum = clew__to_double(copy.cell.sum_bits);
    for (unsigned i = 0; i < metric->native_max; i++) {
        r.positive += copy.cell.buckets[i];
        r.negative += copy.cell.buckets[metric->native_max + i];
    }
    clew__scrape_end(&scrape);
    return r;
}

static void test_native_schema_gives_way_to_the_range(void **state)
{
    struct clew_metric *metric = make("range_native", 8, 80);
    struct clew_series *series = clew_metric_series(metric, NULL);
    struct read r;

    (void)state;
    clew_series_observe(series, 1, NULL, 0);
    clew_series_observe(series, 1.01, NULL, 0);
    assert_int_equal(read_one(metric).schema, 8);
    for (int e = -20; e <= 20; e++)
        clew_series_observe(series, ldexp(1.5, e), NULL, 0);
    clew_series_observe(series, -3, NULL, 0);
    clew_series_observe(series, -3e9, NULL, 0);
    clew_series_observe(series, 0, NULL, 0);
    clew_series_observe(series, -1e-300, NULL, 0);
    clew_series_observe(series, INFINITY, NULL, 0); /* is not taken */
    clew_series_observe(series, NAN, NULL, 0);
    r = read_one(metric);
    assert_int_equal(r.schema, 0); /* 41 doublings */
    assert_int_equal(r.count, 2 + 41 + 2 + 2);
    assert_int_equal(r.zero, 2);
    assert_int_equal(r.positive, 43);
    assert_int_equal(r.negative, 2);
}

static void test_native_takes_the_whole_range_of_doubles(void **state)
{
    struct clew_metric *metric = make("whole_native", 8, 80);
    struct clew_series *series = clew_metric_series(metric, NULL);
    struct read r;

    (void)state;
    clew_series_observe(series, 1e-38, NULL, 0);
    clew_series_observe(series, 1.7e308, NULL, 0);
    clew_series_observe(series, -1.7e308, NULL, 0);
    r = read_one(metric);
    assert_int_equal(r.count, 3);
    assert_true(r.schema == -4);
}

/* Two threads with values far apart: neither sees the other's, the sum must. */
static void *observe_around(void *arg)
{
    double *middle = arg;

    for (int i = 0; i < 50000; i++)
        clew_series_observe(clew_metric_series(make("apart_native", 5, 80), NULL),
                            *middle * (1 + i % 100 / 100.0), NULL, 0);
    return NULL;
}

static void test_native_threads_are_put_together(void **state)
{
    struct clew_metric *metric = make("apart_native", 5, 80);
    double middles[] = {1e-6, 1e6};
    pthread_t threads[2];
    struct read r;

    (void)state;
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, observe_around, &middles[i]);
    for (int i = 0; i < 200; i++) {
        r = read_one(metric);
        assert_int_equal(r.count, r.positive);
    }
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    r = read_one(metric);
    assert_int_equal(r.count, 100000);
    assert_true(fabs(r.sum - 50000 * 1.495 * (1e6 + 1e-6)) < 1);
    assert_int_equal(r.schema, 0); /* 2^41 apart, in 80 buckets */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_native_keys),
        cmocka_unit_test(test_native_schema_gives_way_to_the_range),
        cmocka_unit_test(test_native_takes_the_whole_range_of_doubles),
        cmocka_unit_test(test_native_threads_are_put_together),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
