/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <metrics/buckets.h>

#include <float.h>
#include <math.h>
#include <stdlib.h>

struct bounds {
    size_t n;
    bool has_table;
    double at[64];
};

static size_t expected(const struct bounds *bounds, double value)
{
    size_t i = 0;

    while (i < bounds->n && value > bounds->at[i])
        i++;
    return i;
}

static void check(const struct clew__buckets *buckets, const struct bounds *bounds, double value)
{
    size_t by_table = expected(bounds, value);
    bool in_table = clew__buckets_find(buckets, value, &by_table);

    if (by_table != expected(bounds, value) ||
        clew__buckets_search(buckets, value) != expected(bounds, value))
        fail_msg("%.17g: %zu and %zu, not %zu", value, by_table,
                 clew__buckets_search(buckets, value), expected(bounds, value));
    if (bounds->has_table && !signbit(value) && value <= bounds->at[bounds->n - 1])
        assert_true(in_table);
}

static void test_buckets_are_those_of_the_bounds(void **state)
{
    static struct bounds all[] = {
        {0, false, {0}},
        {1, true, {0.5}},
        {14, true, {0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10}},
        {3, false, {0x1p-1074, 0x1p-1073, 0x1p-1072}},
        {4, false, {-1, 0, 1, 2}},
        {2, false, {0, 1}},
        {2, false, {1, 0x1.0000000000001p0}},
        {3, false, {1e-300, 1, 1e300}},
        {2, true, {0x1p1022, 0x1.8p1023}},
        {64, false, {0}},
    };

    (void)state;
    for (size_t i = 0; i < 64; i++)
        all[9].at[i] = (double)i - 20;
    for (size_t b = 0; b < sizeof(all) / sizeof(all[0]); b++) {
        size_t padded = clew__bounds_padded(all[b].n);
        double *bounds = aligned_alloc(16, padded * sizeof(double));
        struct clew__buckets buckets;

        for (size_t i = 0; i < padded; i++)
            bounds[i] = i < all[b].n ? all[b].at[i] : INFINITY;
        clew__buckets_init(&buckets, bounds, all[b].n);
        assert_int_equal(buckets.ncells != 0, all[b].has_table);
        for (size_t i = 0; i < all[b].n; i++) {
            check(&buckets, &all[b], bounds[i]);
            check(&buckets, &all[b], nextafter(bounds[i], -INFINITY));
            check(&buckets, &all[b], nextafter(bounds[i], INFINITY));
        }
        for (double value = 1e-320; value < 1e300; value *= 1.37) {
            check(&buckets, &all[b], value);
            check(&buckets, &all[b], -value);
        }
        check(&buckets, &all[b], 0);
        check(&buckets, &all[b], -0.0);
        check(&buckets, &all[b], DBL_MAX);
        check(&buckets, &all[b], -DBL_MAX);
        assert_false(clew__buckets_find(&buckets, INFINITY, &(size_t){0}));
        assert_false(clew__buckets_find(&buckets, -INFINITY, &(size_t){0}));
        assert_false(clew__buckets_find(&buckets, NAN, &(size_t){0}));
        free(bounds);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buckets_are_those_of_the_bounds),
    };

    return cmocka_run_group_tests_name("buckets", tests, NULL, NULL);
}
