/* SPDX-License-Identifier: Apache-2.0
 *
 * Native histograms (Prometheus; OpenTelemetry: exponential). A thread's cell is
 * a window of buckets for values above zero, and one for those below. A value
 * outside moves the window; where the values between them need more buckets than
 * there are, the schema goes down by one and buckets are joined two by two. Only
 * those moves are announced to readers, by an odd version: to count is to add one
 * to a word.
 */
#include "registry_priv.h"

#include <math.h>
#include <pthread.h>
#include <sched.h>

#define SCHEMA_MAX 8
#define STEPS (1u << SCHEMA_MAX)

static double fractions[STEPS]; /* 2^(i/256) / 2: the bounds in [0.5, 1) of schema 8 */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_fractions(void)
{
    for (unsigned i = 0; i < STEPS; i++)
        fractions[i] = exp2((double)i / STEPS - 1);
}

void clew__native_prepare(void)
{
    pthread_once(&once, make_fractions);
}

/* ---- keys ----------------------------------------------------------------------------- */

/* How many of the bounds of this schema are below the fraction, which is in
 * [0.5, 1): a search without branches. */
static unsigned steps_below(double fraction, int schema)
{
    unsigned stride = STEPS >> schema, n = 0;

    for (unsigned half = STEPS / 2; half >= stride; half /= 2)
        n += fraction > fractions[n + half] ? half : 0;
    return (n + (fraction > fractions[n] ? stride : 0)) / stride;
}

int64_t clew__native_key(double value, int schema)
{
    int exponent;
    double fraction = frexp(value, &exponent); /* [0.5, 1) */

    if (schema > 0)
        return ((int64_t)exponent - 1) * (1 << schema) + steps_below(fraction, schema);
    if (fraction == 0.5) /* a bucket has its upper bound */
        exponent--;
    return ((int64_t)exponent + (1 << -schema) - 1) >> -schema;
}

/* ---- a window --------------------------------------------------------------------------- */

struct window {
    _Atomic uint64_t *start, *used, *buckets;
    int64_t max;
};

static struct window window_of(struct clew__native_cell *cell, const struct clew_metric *metric,
                               bool negative)
{
    return (struct window){&cell->start[negative], &cell->used[negative],
                           cell->buckets + (negative ? metric->native_max : 0),
                           (int64_t)metric->native_max};
}

/* Keys of the first and the last bucket that counted something. */
static void range_of(const struct window *w, int64_t *ret_low, int64_t *ret_high)
{
    int64_t start = (int64_t)clew__load(w->start), low = 0, high = w->max - 1;

    while (low < high && !clew__load(&w->buckets[low]))
        low++;
    while (high > low && !clew__load(&w->buckets[high]))
        high--;
    *ret_low = start + low;
    *ret_high = start + high;
}

/* The windows' counts are copied out, put together by their new keys, copied in:
 * each key goes down by shift schemas. */
static void rearrange(const struct window *w, unsigned shift, int64_t start)
{
    uint64_t counts[CLEW_METRIC_NATIVE_MAX] = {0};
    int64_t old = (int64_t)clew__load(w->start);

    for (int64_t i = 0; i < w->max; i++) {
        uint64_t n = clew__load(&w->buckets[i]);

        if (n)
            counts[((old + i + ((int64_t)1 << shift) - 1) >> shift) - start] += n;
    }
    for (int64_t i = 0; i < w->max; i++)
        clew__store(&w->buckets[i], counts[i]);
    clew__store(w->start, (uint64_t)start);
}

static int64_t coarser(int64_t key, unsigned shift)
{
    return (key + ((int64_t)1 << shift) - 1) >> shift;
}

/* Where a window begins so that low to high are in it, about in the middle. */
static int64_t middle(int64_t low, int64_t high, int64_t max)
{
    return low - (max - (high - low + 1)) / 2;
}

static void lower_schema(struct clew__native_cell *cell, const struct clew_metric *metric,
                         unsigned shift)
{
    for (int negative = 0; negative < 2; negative++) {
        struct window w = window_of(cell, metric, negative);
        int64_t low, high;

        if (!clew__load(w.used))
            continue;
        range_of(&w, &low, &high);
        low = coarser(low, shift);
        high = coarser(high, shift);
        rearrange(&w, shift, middle(low, high, w.max));
    }
    clew__store(&cell->schema, clew__load(&cell->schema) - shift);
}

/* Makes room for a key; it may have to become a coarser one. */
static int64_t make_room(struct clew__native_cell *cell, const struct clew_metric *metric,
                         bool negative, int64_t key)
{
    struct window w = window_of(cell, metric, negative);
    int64_t low = key, high = key;
    unsigned shift = 0;

    if (clew__load(w.used)) {
        range_of(&w, &low, &high);
        low = key < low ? key : low;
        high = key > high ? key : high;
    }
    while (coarser(high, shift) - coarser(low, shift) >= w.max)
        shift++;
    clew__store(&cell->version, clew__load(&cell->version) + 1);
    clew__fence_release();
    if (shift)
        lower_schema(cell, metric, shift);
    low = coarser(low, shift);
    high = coarser(high, shift);
    if (clew__load(w.used))
        rearrange(&w, 0, middle(low, high, w.max));
    else
        clew__store(w.start, (uint64_t)middle(low, high, w.max));
    clew__store(w.used, 1);
    atomic_store_explicit(&cell->version, clew__load(&cell->version) + 1, memory_order_release);
    return coarser(key, shift);
}

static void count(struct clew__native_cell *cell, const struct clew_metric *metric, bool negative,
                  int64_t key, uint64_t n)
{
    struct window w = window_of(cell, metric, negative);
    int64_t i = key - (int64_t)clew__load(w.start);

    if (__builtin_expect(i < 0 || i >= w.max || !clew__load(w.used), 0))
        i = make_room(cell, metric, negative, key) - (int64_t)clew__load(w.start);
    clew__store(&w.buckets[i], clew__load(&w.buckets[i]) + n);
}

static int schema_of(struct clew__native_cell *cell, const struct clew_metric *metric)
{
    uint64_t schema = clew__load(&cell->schema);

    if (schema)
        return (int)schema - CLEW__NATIVE_SCHEMA;
    clew__store(&cell->schema, (uint64_t)(metric->schema + CLEW__NATIVE_SCHEMA));
    return metric->schema;
}

unsigned clew__native_observe(struct clew__native_cell *cell, const struct clew_metric *metric,
                              double value)
{
    int schema = schema_of(cell, metric);
    int64_t key;

    clew__store(&cell->sum_bits,
                clew__to_bits(clew__to_double(clew__load(&cell->sum_bits)) + value));
    if (fabs(value) <= CLEW__NATIVE_ZERO) {
        clew__store(&cell->zero, clew__load(&cell->zero) + 1);
        return 0;
    }
    key = clew__native_key(fabs(value), schema);
    count(cell, metric, value < 0, key, 1);
    return (unsigned)((uint64_t)key % CLEW__NATIVE_EXEMPLARS);
}

/* ---- merging -------------------------------------------------------------------------------- */

static void copy_words(struct clew__native_cell *to, const struct clew__native_cell *from,
                       size_t words)
{
    for (size_t i = 0; i < words; i++)
        clew__store((_Atomic uint64_t *)(void *)to + i,
                    clew__load((const _Atomic uint64_t *)(const void *)from + i));
}

bool clew__native_read(struct clew__native_copy *ret, const struct clew__native_cell *from,
                       const struct clew_metric *metric)
{
    struct clew__native_cell *to = &ret->cell;
    size_t words = clew__native_bytes(metric->native_max) / 8;
    uint64_t version;

    for (;;) {
        version = atomic_load_explicit(&from->version, memory_order_acquire);
        copy_words(to, from, words);
        clew__fence_acquire();
        if (!(version & 1) && clew__load(&from->version) == version)
            break;
        (void)sched_yield(); /* buckets are being moved, which is soon over */
    }
    return clew__load(&to->schema) != 0;
}

void clew__native_merge(struct clew__native_cell *to, struct clew__native_cell *from,
                        const struct clew_metric *metric)
{
    uint64_t schema = clew__load(&from->schema), own;

    if (!schema)
        return;
    (void)schema_of(to, metric);
    own = clew__load(&to->schema);
    if (schema < own)
        lower_schema(to, metric, (unsigned)(own - schema));
    clew__store(&to->sum_bits, clew__to_bits(clew__to_double(clew__load(&to->sum_bits)) +
                                             clew__to_double(clew__load(&from->sum_bits))));
    clew__store(&to->zero, clew__load(&to->zero) + clew__load(&from->zero));
    for (int negative = 0; negative < 2; negative++) {
        struct window w = window_of(from, metric, negative);

        for (int64_t i = 0; clew__load(w.used) && i < w.max; i++) {
            int64_t key = (int64_t)clew__load(w.start) + i;
            uint64_t n = clew__load(&w.buckets[i]);

            if (n)
                count(to, metric, negative,
                      coarser(key, (unsigned)(schema - clew__load(&to->schema))), n);
        }
    }
}
