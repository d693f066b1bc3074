/* SPDX-License-Identifier: Apache-2.0
 *
 * Updates that are known, done again and again: where each of them writes was
 * found before. Those that are not of the three usual kinds, and all that are
 * not in the thread's own shard, take the long way of update.c.
 */
#ifndef CLEW_UPDATE_KNOWN_H
#define CLEW_UPDATE_KNOWN_H

#include "update_priv.h"

/* An update of a series that is known, in a shard that is. */
struct clew__update {
    struct clew__series *series;
    void *cell;    /* what is written, where how says that it is done here */
    double factor; /* of the value */
    union {
        uint64_t whole; /* what that is, where it is always the same */
        const struct clew__buckets *buckets;
    } of;
    uint8_t how;   /* enum clew__update_how */
    uint8_t value; /* which of the values; CLEW__UPDATE_ONE: it is 1 */
};
#define CLEW__UPDATE_ONE UINT8_MAX

enum clew__update_how {
    CLEW__UPDATE_COUNT,
    CLEW__UPDATE_UP_OR_DOWN,
    CLEW__UPDATE_OBSERVE_CLASSIC,
    /* and the long way */
    CLEW__UPDATE_ADD,
    CLEW__UPDATE_SET,
    CLEW__UPDATE_OBSERVE
};

/* to: one of the last three. Good for as long as shard has its cells and series
 * is there. */
struct clew__update clew__update_new(struct clew__shard *shard, struct clew__series *series,
                                     enum clew__update_how to, double factor, uint8_t value);
/* The long way. */
void clew__update_any(struct clew__shard *shard, const struct clew__update *update, double value,
                      const struct clew__exemplar *exemplar);

/* False: the gauge was set since the thread added to it last, or it is to be
 * noted that it is in use. */
static inline bool clew__update_up_or_down(const struct clew__update *update)
{
    struct clew__series *series = update->series;
    struct clew__gauge_cell *cell = update->cell;

    if (__builtin_expect(atomic_load_explicit(&series->epoch, memory_order_acquire) !=
                                 clew__load(&cell->epoch) ||
                             atomic_load_explicit(&series->use, memory_order_relaxed) !=
                                 (CLEW__SERIES_TOUCHED | CLEW__SERIES_ADDED),
                         0))
        return false;
    clew__bump(&cell->whole, update->of.whole);
    return true;
}

static inline void clew__update_observe_classic(struct clew__shard *shard,
                                                const struct clew__update *update, double value,
                                                const struct clew__exemplar *exemplar)
{
    struct clew__histogram_cell *cell = update->cell;
    size_t bucket;

    if (__builtin_expect(!clew__buckets_find(update->of.buckets, value, &bucket), 0)) {
        clew__update_any(shard, update, value, exemplar);
        return;
    }
    clew__bump_double(&cell->sum_bits, value);
    clew__bump(&cell->buckets[bucket], 1);
    if (exemplar)
        clew__exemplar_put(shard, update->series->place, (unsigned)bucket + 1, value, exemplar);
}

/* Does n of them, in between clew__enter() and clew__leave(); values and whether
 * they are numbers (NULL: all are) as the updates name them, exemplar may be NULL.
 * Those whose value is no number are left out; whether there was any other. */
static inline bool clew__update_all(struct clew__shard *shard, const struct clew__update *updates,
                                    size_t n, const double *values, const bool *numbers,
                                    const struct clew__exemplar *exemplar)
{
    bool any = false;

    for (const struct clew__update *update = updates, *end = updates + n; update < end; update++) {
        if (update->how == CLEW__UPDATE_COUNT) {
            clew__bump(&((struct clew__counter_cell *)update->cell)->whole, update->of.whole);
            if (exemplar)
                clew__exemplar_put(shard, update->series->place, 0, update->factor, exemplar);
        } else if (update->how == CLEW__UPDATE_OBSERVE_CLASSIC) {
            if (numbers && !numbers[update->value])
                continue;
            clew__update_observe_classic(shard, update, update->factor * values[update->value],
                                         exemplar);
        } else if (update->how != CLEW__UPDATE_UP_OR_DOWN || !clew__update_up_or_down(update)) {
            double value = update->factor;

            if (update->value != CLEW__UPDATE_ONE) {
                if (numbers && !numbers[update->value])
                    continue;
                value *= values[update->value];
            }
            clew__update_any(shard, update, value, exemplar);
        }
        any = true;
    }
    return any;
}

#endif
