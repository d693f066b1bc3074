/* SPDX-License-Identifier: Apache-2.0
 *
 * Adding the shards up. What is read of a thread never goes back, and so do the
 * sums; only that doubles are added in another order after a shard was emptied
 * could take one back by its last bit, and that is not shown.
 */
#include "scrape.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#define ROUNDING 1e-9 /* of a value: more than adding in another order makes */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* ---- emptying shards ---------------------------------------------------------------------- */

static void move_scalar(_Atomic uint64_t *from, _Atomic uint64_t *to,
                        const struct clew__series *series)
{
    uint64_t epoch = atomic_load(&series->epoch) & ~UINT64_C(1);

    if (series->metric->kind == CLEW__COUNTER) {
        clew__store(&to[0], clew__load(&to[0]) + clew__load(&from[0]));
        clew__add_shared(&to[1], clew__to_double(clew__load(&from[1])));
        return;
    }
    if (clew__load(&from[1]) != epoch)
        return;
    if (clew__load(&to[1]) != epoch)
        clew__store(&to[0], 0);
    clew__store(&to[1], epoch);
    clew__store(&to[0], clew__load(&to[0]) + clew__load(&from[0]));
}

static void move_classic(struct clew__histogram_cell *from, struct clew__histogram_cell *to,
                         size_t buckets)
{
    clew__add_shared(&to->sum_bits, clew__to_double(clew__load(&from->sum_bits)));
    for (size_t i = 0; i < buckets; i++)
        clew__store(&to->buckets[i], clew__load(&to->buckets[i]) + clew__load(&from->buckets[i]));
}

static void move_native(const struct clew__native_cell *from, struct clew__native_cell *to,
                        const struct clew_metric *metric)
{
    struct clew__native_copy copy;

    if (clew__native_read(&copy, from, metric))
        clew__native_merge(to, &copy.cell, metric);
}

void clew__cells_move(char *from, char *to, const struct clew__series *series)
{
    const struct clew_metric *metric = series->metric;

    if (metric->kind == CLEW__HISTOGRAM)
        move_classic((void *)from, (void *)to, metric->nbounds + 1);
    else if (metric->kind == CLEW__NATIVE)
        move_native((void *)from, (void *)to, metric);
    else
        move_scalar((void *)from, (void *)to, series);
}

static void move_series(struct clew__shard *from, struct clew__shard *to,
                        struct clew__series *series)
{
    const struct clew_metric *metric = series->metric;
    char *source = clew__cells_written(from, series->place);
    char *target = source ? clew__cells(to, series->place) : NULL;
    size_t words = metric->kind == CLEW__HISTOGRAM ? metric->nbounds + 2
                   : metric->kind == CLEW__NATIVE  ? CLEW__NATIVE_EXEMPLARS
                                                   : 1;

    if (!target)
        return;
    clew__cells_move(source, target, series);
    for (unsigned i = 0; i < words; i++)
        clew__exemplar_move(from, to, series->place, i);
}

static void move_shard(struct clew__shard *from, struct clew__shard *to)
{
    for (struct clew_metric *m = clew__metrics_first(); m; m = clew__metrics_next(m))
        for (struct clew__series *s = atomic_load_explicit(&m->first, memory_order_acquire); s;
             s = atomic_load_explicit(&s->next, memory_order_acquire))
            move_series(from, to, s);
    for (struct clew__series *s = clew__expired; s; s = s->gone)
        move_series(from, to, s);
}

/* ---- beginning and end ---------------------------------------------------------------------- */

bool clew__scrape_begin(struct clew__scrape *ret)
{
    pthread_mutex_lock(&lock);
    clew__shards_retire(move_shard);
    ret->nshards = clew__shards_list(&ret->shards);
    if (ret->nshards == 0)
        pthread_mutex_unlock(&lock);
    return ret->nshards > 0;
}

void clew__scrape_end(struct clew__scrape *scrape)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    clew__expire(scrape, (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec);
    free(scrape->shards);
    pthread_mutex_unlock(&lock);
}

/* Whoever held it is not here. */
void clew__scrape_forked(void)
{
    pthread_mutex_init(&lock, NULL);
    clew__expire_forked();
}

/* ---- reading --------------------------------------------------------------------------------- */

uint64_t clew__series_created(const struct clew__series *series)
{
    uint64_t since = clew__counting_since();

    return series->created_ns > since ? series->created_ns : since;
}

static double not_back(struct clew__series *series, double value)
{
    double shown = series->generation == clew__generation() ? series->shown : 0;

    if (value < shown && shown - value < ROUNDING * shown)
        value = shown;
    series->shown = value;
    series->generation = clew__generation();
    return value;
}

static struct clew__number read_counter(const struct clew__scrape *scrape,
                                        struct clew__series *series)
{
    struct clew__number number = {.is_whole = true};
    double fraction = 0;

    for (size_t i = 0; i < scrape->nshards; i++) {
        struct clew__counter_cell *cell =
            (void *)clew__cells_written(scrape->shards[i], series->place);

        if (!cell)
            continue;
        number.whole += clew__load(&cell->whole);
        fraction += clew__to_double(clew__load(&cell->fraction_bits));
    }
    number.value = (double)number.whole;
    if (fraction != 0) {
        number.is_whole = false;
        number.value = not_back(series, number.value + fraction);
    }
    return number;
}

static double read_gauge(const struct clew__scrape *scrape, struct clew__series *series)
{
    uint64_t epoch, whole;
    double base;

    do {
        epoch = atomic_load_explicit(&series->epoch, memory_order_acquire) & ~UINT64_C(1);
        base = clew__to_double(clew__load(&series->base_bits[epoch / 2 % 2]));
        whole = 0;
        for (size_t i = 0; i < scrape->nshards; i++) {
            struct clew__gauge_cell *cell =
                (void *)clew__cells_written(scrape->shards[i], series->place);

            if (cell && atomic_load_explicit(&cell->epoch, memory_order_acquire) == epoch)
                whole += clew__load(&cell->whole);
        }
        clew__fence_acquire();
    } while ((atomic_load_explicit(&series->epoch, memory_order_acquire) & ~UINT64_C(1)) != epoch);
    return base + (double)(int64_t)whole;
}

struct clew__number clew__read_number(const struct clew__scrape *scrape,
                                      struct clew__series *series)
{
    double (*callback)(void *) = atomic_load_explicit(&series->callback, memory_order_acquire);
    struct clew__number number = {.is_whole = false};

    if (!callback && series->metric->kind == CLEW__COUNTER)
        return read_counter(scrape, series);
    number.value = callback ? callback(series->callback_arg) : read_gauge(scrape, series);
    if (series->metric->kind == CLEW__COUNTER && !(number.value >= 0 && isfinite(number.value)))
        number.value = 0; /* no counter is anything else */
    if (number.value >= 0 && number.value < CLEW__WHOLE_MAX && !signbit(number.value) &&
        number.value == (double)(uint64_t)number.value) {
        number.is_whole = true;
        number.whole = (uint64_t)number.value;
    }
    return number;
}

uint64_t clew__read_classic(const struct clew__scrape *scrape, struct clew__series *series,
                            uint64_t counts[CLEW_METRIC_BUCKETS_MAX + 1], double *ret_sum)
{
    size_t n = series->metric->nbounds + 1;
    uint64_t count = 0;
    double sum = 0;

    memset(counts, 0, n * sizeof(*counts));
    for (size_t i = 0; i < scrape->nshards; i++) {
        struct clew__histogram_cell *cell =
            (void *)clew__cells_written(scrape->shards[i], series->place);

        if (!cell)
            continue;
        sum += clew__to_double(clew__load(&cell->sum_bits));
        for (size_t b = 0; b < n; b++)
            counts[b] += clew__load(&cell->buckets[b]);
    }
    for (size_t b = 0; b < n; b++)
        count += counts[b];
    *ret_sum = not_back(series, sum);
    return count;
}

uint64_t clew__read_native(const struct clew__scrape *scrape, struct clew__series *series,
                           struct clew__native_copy *ret)
{
    const struct clew_metric *metric = series->metric;
    struct clew__native_cell *sum = &ret->cell;
    struct clew__native_copy one;
    uint64_t count;

    memset(ret, 0, sizeof(*ret));
    for (size_t i = 0; i < scrape->nshards; i++) {
        struct clew__native_cell *cell =
            (void *)clew__cells_written(scrape->shards[i], series->place);

        if (cell && clew__native_read(&one, cell, metric))
            clew__native_merge(sum, &one.cell, metric);
    }
    count = clew__load(&sum->zero);
    for (size_t i = 0; i < 2 * (size_t)metric->native_max; i++)
        count += clew__load(&sum->buckets[i]);
    clew__store(&sum->sum_bits,
                clew__to_bits(not_back(series, clew__to_double(clew__load(&sum->sum_bits)))));
    return count;
}
