/* SPDX-License-Identifier: Apache-2.0
 *
 * In which bucket of a classic histogram a value is, in a few instructions
 * whatever the bounds are. The upper bits of a double, exponent and some of the
 * fraction, number cells in the order of the values; where no cell has more than
 * one bound, a table says how many are below it and one comparison does the rest.
 */
#ifndef CLEW_BUCKETS_H
#define CLEW_BUCKETS_H

#include "words.h"

#include <stddef.h>

#define CLEW__BUCKET_CELLS 256u

struct clew__buckets {
    const double *bounds; /* n of them, ascending, then infinities up to clew__bounds_padded() */
    size_t n;
    uint64_t base;   /* the cell before that of the first bound */
    uint64_t ncells; /* up to the one behind that of the last bound; 0: there is no table */
    unsigned shift;
    uint8_t below[CLEW__BUCKET_CELLS];
};

/* How many doubles to keep for n bounds, aligned to 16 bytes. */
#define CLEW__BOUNDS_STEP 4u
static inline size_t clew__bounds_padded(size_t n)
{
    return (n + CLEW__BOUNDS_STEP) / CLEW__BOUNDS_STEP * CLEW__BOUNDS_STEP;
}

/* bounds stay the caller's, for as long as buckets. */
void clew__buckets_init(struct clew__buckets *buckets, const double *bounds, size_t n);
/* The first bucket whose bound is not below the value, which is finite. */
size_t clew__buckets_search(const struct clew__buckets *buckets, double value);

/* The same by the table. False: the value is in none of its cells, as those above
 * all bounds, negative ones, and what is not finite. */
static inline bool clew__buckets_find(const struct clew__buckets *buckets, double value,
                                      size_t *ret)
{
    uint64_t cell = clew__to_bits(value) >> buckets->shift;

    cell = (cell < buckets->base ? buckets->base : cell) - buckets->base;
    if (__builtin_expect(cell >= buckets->ncells, 0))
        return false;
    *ret = buckets->below[cell];
    *ret += value > buckets->bounds[*ret];
    return true;
}

#endif
