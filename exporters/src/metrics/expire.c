/* SPDX-License-Identifier: Apache-2.0
 *
 * Series that nobody has a handle of, and nobody counts in, expire. In this
 * order, so that no update is lost: it leaves the table; the threads' caches are
 * declared old; every thread is waited for that may have found it before. Then
 * its cells are read once more: what was counted meanwhile goes to the series
 * that took its place, or brings it back.
 */
#include "config.h"
#include "scrape.h"

#include <stdlib.h>

#define LOOKS 8u /* at each series before it expires */

struct clew__series *clew__expired;
static struct clew__value *expired_values;
static struct clew__heads *old_heads;
static uint64_t looked_at_ns;

/* In the child the lists may be in pieces; they are left alone. */
void clew__expire_forked(void)
{
    clew__expired = NULL;
    expired_values = NULL;
    old_heads = NULL;
}

/* ---- idle? ------------------------------------------------------------------------------- */

/* Differs when something was counted. */
static uint64_t activity(const struct clew__scrape *scrape, const struct clew__series *series)
{
    size_t words = series->metric->cell_bytes / 8;
    uint64_t sum = 0;

    for (size_t i = 0; i < scrape->nshards; i++) {
        _Atomic uint64_t *cells = (void *)clew__cells_written(scrape->shards[i], series->place);

        for (size_t w = 0; cells && w < words; w++)
            sum += clew__load(&cells[w]);
    }
    return sum;
}

static bool is_idle(const struct clew__scrape *scrape, struct clew__series *series, uint64_t now_ns,
                    uint64_t idle_ns)
{
    uint64_t seen;

    if (series->pinned || series->callback ||
        ((series->use & CLEW__SERIES_ADDED) && clew__read_number(scrape, series).value != 0))
        return false;
    seen = activity(scrape, series);
    if ((atomic_fetch_and(&series->use, CLEW__SERIES_ADDED) & CLEW__SERIES_TOUCHED) || seen != series->seen ||
        series->seen_at_ns == 0) {
        series->seen = seen;
        series->seen_at_ns = now_ns;
        return false;
    }
    return now_ns - series->seen_at_ns >= idle_ns;
}

/* ---- out ----------------------------------------------------------------------------------- */

/* False: it has become pinned. */
static bool take_out(struct clew_metric *metric, struct clew__series *before,
                     struct clew__series *series)
{
    struct clew__series *next;
    bool expires;

    clew__metrics_lock();
    expires = !series->pinned;
    if (expires) {
        next = atomic_load(&series->next);
        atomic_store(before ? &before->next : &metric->first, next);
        if (metric->last == series)
            metric->last = before;
        clew__table_remove(&metric->table, &series->node);
        clew__locked_values_remove(metric, series, &expired_values);
        atomic_fetch_sub(&metric->nseries, 1);
    }
    clew__metrics_unlock();
    return expires;
}

static void look_at(const struct clew__scrape *scrape, struct clew_metric *metric, uint64_t now_ns,
                    uint64_t idle_ns)
{
    struct clew__series *series = atomic_load(&metric->first), *before = NULL, *next;

    for (; series; series = next) {
        next = atomic_load_explicit(&series->next, memory_order_acquire);
        if (!is_idle(scrape, series, now_ns, idle_ns) || !take_out(metric, before, series)) {
            before = series;
            continue;
        }
        next = atomic_load_explicit(&series->next, memory_order_acquire);
        series->gone = clew__expired;
        clew__expired = series;
    }
}

/* ---- gone ---------------------------------------------------------------------------------- */

/* What was counted in a series goes to the one that took its place. */
static void add_to_twin(const struct clew__scrape *scrape, struct clew__series *series,
                        struct clew__series *twin)
{
    char *target;

    if (series->metric->kind == CLEW__GAUGE) {
        if (series->use & CLEW__SERIES_ADDED)
            clew__add_shared(&twin->base_bits[twin->epoch / 2 % 2],
                             clew__read_number(scrape, series).value);
        return;
    }
    target = clew__cells(&clew__retired, twin->place);
    for (size_t i = 0; target && i < scrape->nshards; i++) {
        char *source = clew__cells_written(scrape->shards[i], series->place);

        if (source)
            clew__cells_move(source, target, series);
    }
}

/* Back on the page; NULL when that is done, else the series that is there. */
static struct clew__series *bring_back(struct clew__series *series)
{
    struct clew_metric *metric = series->metric;
    struct clew_label values[CLEW_METRIC_LABELS_MAX];
    struct clew__series *twin;

    for (size_t i = 0; i < metric->nlabels; i++)
        values[i] = clew__series_value(series, i);
    clew__metrics_lock();
    twin = clew__series_known(metric, values);
    if (!twin) {
        atomic_store(&series->next, NULL);
        (void)clew__locked_values_add(metric, values);
        (void)clew__table_add(&metric->table, &series->node); /* has heads: it was in it */
        clew__locked_series_show(metric, series);
        atomic_fetch_add(&metric->nseries, 1);
    }
    clew__metrics_unlock();
    return twin;
}

static void forget(const struct clew__scrape *scrape, struct clew__series *series)
{
    clew__metrics_lock();
    clew__locked_place_free(series->place, series->metric->cell_bytes, scrape->shards,
                            scrape->nshards);
    clew__metrics_unlock();
    clew__series_free(series);
}

/* Nobody can see them any more. */
static void finish(const struct clew__scrape *scrape)
{
    struct clew__series *series = clew__expired, *next, *twin;
    struct clew__value *value = expired_values, *next_value;

    for (; series; series = next) {
        next = series->gone;
        if ((series->use & CLEW__SERIES_TOUCHED) || activity(scrape, series) != series->seen) {
            twin = bring_back(series);
            if (!twin)
                continue;
            add_to_twin(scrape, series, twin);
        }
        forget(scrape, series);
    }
    for (; value; value = next_value) {
        next_value = value->gone;
        free(value);
    }
    clew__heads_free(old_heads);
    clew__expire_forked();
}

static void take_old_heads(struct clew_metric *metric)
{
    struct clew__table *tables[CLEW_METRIC_LABELS_MAX + 1] = {&metric->table};
    struct clew__heads *heads, *last;

    for (size_t i = 0; i < metric->nlabels; i++)
        tables[i + 1] = &metric->limit[i].table;
    for (size_t i = 0; i <= metric->nlabels; i++) {
        clew__metrics_lock();
        heads = clew__table_old_heads(tables[i]);
        clew__metrics_unlock();
        for (last = heads; last && last->older;)
            last = last->older;
        if (last) {
            last->older = old_heads;
            old_heads = heads;
        }
    }
}

void clew__expire_now(const struct clew__scrape *scrape, uint64_t now_ns, uint64_t idle_ns)
{
    for (struct clew_metric *m = clew__metrics_first(); m; m = clew__metrics_next(m)) {
        if (m->nlabels == 0)
            continue;
        look_at(scrape, m, now_ns, idle_ns);
        take_old_heads(m);
    }
    if (!clew__expired && !old_heads)
        return;
    clew__caches_forget();
    if (clew__shards_settled())
        finish(scrape);
}

void clew__expire(const struct clew__scrape *scrape, uint64_t now_ns)
{
    uint64_t idle_ns = (uint64_t)clew__metrics_config()->idle_s * 1000000000u;

    if (idle_ns == 0 || now_ns - looked_at_ns < idle_ns / LOOKS)
        return;
    looked_at_ns = now_ns;
    clew__expire_now(scrape, now_ns, idle_ns);
}
