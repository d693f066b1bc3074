/* SPDX-License-Identifier: Apache-2.0 */
#include "buckets.h"

#include <math.h>

#define SHIFT_MAX 52u /* a cell for each power of two */
#define SHIFT_MIN 44u

/* Of values above zero: in their order. */
static uint64_t cell_of(double value, unsigned shift)
{
    return clew__to_bits(value) >> shift;
}

/* Whether cells of that size do; then the table is made. */
static bool make_table(struct clew__buckets *buckets, size_t n, unsigned shift)
{
    uint64_t base = cell_of(buckets->bounds[0], shift), ncells;
    uint8_t below = 0;

    base -= base > 0;
    ncells = cell_of(buckets->bounds[n - 1], shift) + 2 - base;
    if (ncells > CLEW__BUCKET_CELLS || base + ncells > cell_of(INFINITY, shift))
        return false;
    for (size_t i = 1; i < n; i++)
        if (cell_of(buckets->bounds[i], shift) == cell_of(buckets->bounds[i - 1], shift))
            return false;
    buckets->shift = shift;
    buckets->base = base;
    buckets->ncells = ncells;
    for (uint64_t cell = 0; cell < ncells; cell++) {
        buckets->below[cell] = below;
        if (below < n && cell_of(buckets->bounds[below], shift) - base == cell)
            below++;
    }
    return true;
}

void clew__buckets_init(struct clew__buckets *buckets, const double *bounds, size_t n)
{
    buckets->bounds = bounds;
    buckets->n = n;
    buckets->ncells = 0;
    if (n == 0 || n > UINT8_MAX || !(bounds[0] > 0))
        return;
    for (unsigned shift = SHIFT_MAX; shift >= SHIFT_MIN; shift--)
        if (make_table(buckets, n, shift))
            return;
}

/* All bounds are compared, a few at a time, without a branch that depends on
 * them. Where there are many, halves that it cannot be in are left out first. */
size_t clew__buckets_search(const struct clew__buckets *buckets, double value)
{
    typedef double pair __attribute__((vector_size(16)));
    typedef int64_t pair_of_int __attribute__((vector_size(16)));
    const double *bounds = __builtin_assume_aligned(buckets->bounds, 16);
    size_t n = buckets->n, below = 0;
    pair v = {value, value};
    pair_of_int sum = {0, 0}, sum2 = {0, 0};

    if (n > 0 && value > bounds[n - 1])
        return n;
    while (n - below > 24) {
        size_t half = (n - below) / 2 & ~(size_t)1;

        if (value > bounds[below + half - 1])
            below += half;
        else
            n = below + half;
    }
    for (size_t i = below; i < n; i += CLEW__BOUNDS_STEP) {
        const pair *p = (const pair *)(const void *)(bounds + i);

        sum -= (pair_of_int)(v > p[0]);
        sum2 -= (pair_of_int)(v > p[1]);
    }
    sum += sum2;
    return below + (size_t)(sum[0] + sum[1]);
}
