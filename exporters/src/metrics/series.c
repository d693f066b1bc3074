/* SPDX-License-Identifier: Apache-2.0
 *
 * Series are made here: from values that were cleaned and that keep to the
 * limits. What is beyond a limit is found without a lock too, so that a flood of
 * new values costs the other threads nothing.
 */
#include "registry_priv.h"

#include <buf.h>
#include <json.h>

#include <stdlib.h>
#include <time.h>

/* ---- values ----------------------------------------------------------------------------- */

/* Text that is right as it is: valid UTF-8 without NUL. */
static bool is_clean(const char *s, size_t len)
{
    for (size_t i = 0; i < len;) {
        size_t n = s[i] > 0 ? 1 : s[i] ? clew__utf8_sequence(s + i, len - i) : 0;

        if (n == 0)
            return false;
        i += n;
    }
    return true;
}

bool clew__label_clean(const struct clew_label *value, char *room, struct clew_label *ret)
{
    size_t len = clew__utf8_cut(value->value, value->len, CLEW__LABEL_MAX), n = 0, step;

    if (len == value->len && is_clean(value->value, len)) {
        *ret = *value;
        return false;
    }
    for (size_t i = 0; i < len; i += step) {
        step = value->value[i] ? clew__utf8_sequence(value->value + i, len - i) : 0;
        if (step) {
            memcpy(room + n, value->value + i, step);
            n += step;
        } else {
            memcpy(room + n, "\xEF\xBF\xBD", 3);
            n += 3;
            step = 1;
        }
    }
    *ret = (struct clew_label){room, n};
    return true;
}

/* ---- making ------------------------------------------------------------------------------ */

static uint64_t unix_time_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

struct clew__series *clew__locked_series_new(struct clew_metric *metric,
                                             const struct clew_label *values)
{
    struct clew__series *series;
    size_t bytes = 0;
    char *at;

    for (size_t i = 0; i < metric->nlabels; i++)
        bytes += sizeof(struct clew__key) + values[i].len + 1;
    series = calloc(1, sizeof(*series) + bytes);
    if (!series)
        return NULL;
    series->metric = metric;
    series->buckets = &metric->buckets;
    series->created_ns = unix_time_ns();
    series->values = at = (char *)(series->keys + metric->nlabels);
    for (size_t i = 0; i < metric->nlabels; i++, at++) {
        memcpy(at, values[i].value, values[i].len);
        at += values[i].len; /* the NUL is there */
        series->is_long |= values[i].len > CLEW__KEY_WHOLE;
    }
    series->node.hash = clew__values_hash(metric, values, series->keys);
    series->place = clew__locked_place_new(metric->cell_bytes);
    if (!series->place.chunk) {
        free(series);
        return NULL;
    }
    if (metric->kind == CLEW__COUNTER)
        series->handle.chunk = series->place.chunk;
    if (metric->kind == CLEW__HISTOGRAM)
        series->observed_chunk = series->place.chunk;
    series->handle.offset = series->place.offset;
    return series;
}

void clew__series_free(struct clew__series *series)
{
    if (series)
        free(series->text);
    free(series);
}

void clew__locked_series_show(struct clew_metric *metric, struct clew__series *series)
{
    if (metric->last)
        atomic_store_explicit(&metric->last->next, series, memory_order_release);
    else
        atomic_store_explicit(&metric->first, series, memory_order_release);
    metric->last = series;
}

static struct clew__series *locked_add(struct clew_metric *metric, const struct clew_label *values)
{
    struct clew__series *series = NULL;

    if (atomic_load(&metric->nseries) < atomic_load(&metric->series_max))
        series = clew__locked_series_new(metric, values);
    if (!series)
        return NULL;
    /* Values that were counted stay counted if there is no memory for the rest. */
    if (!clew__locked_values_add(metric, values) ||
        !clew__table_add(&metric->table, &series->node)) {
        clew__locked_place_free(series->place, metric->cell_bytes, NULL, 0);
        clew__series_free(series);
        return NULL;
    }
    atomic_fetch_add(&metric->nseries, 1);
    clew__locked_series_show(metric, series);
    return series;
}

/* The series, known or new; the metric's overflow when neither can be. */
static struct clew__series *locked_get(struct clew_metric *metric, const struct clew_label *values,
                                       bool pinned)
{
    struct clew__series *series = clew__series_known(metric, values);

    if (!series)
        series = locked_add(metric, values);
    if (series && pinned)
        atomic_store_explicit(&series->pinned, true, memory_order_release);
    if (!series && !metric->overflow_is_shown) {
        metric->overflow_is_shown = true;
        clew__locked_series_show(metric, metric->overflow);
    }
    return series ? series : metric->overflow;
}

/* ---- limits -------------------------------------------------------------------------------- */

static struct clew__series *make_overflows(struct clew_metric *metric)
{
    struct clew_metric *family = clew_counter(
        "clew_metrics_overflow_total",
        "Updates that went to an overflow series because a metric or a label was at its limit.",
        (const char *const[]){"metric", NULL});
    struct clew_label value = {metric->name, metric->name_len};
    struct clew__series *series;

    if (!family)
        return NULL;
    clew__metrics_lock();
    series = locked_get(family, &value, true);
    clew__metrics_unlock();
    atomic_store_explicit(&metric->overflows, series, memory_order_release);
    return series;
}

/* A signal handler must not take the lock. */
static bool may_lock(const struct clew__shard *shard)
{
    return shard != &clew__shared && clew__locks == 0;
}

static void count_overflow(struct clew__shard *shard, struct clew_metric *metric)
{
    struct clew__series *overflows = atomic_load_explicit(&metric->overflows, memory_order_acquire);

    if (!overflows && may_lock(shard))
        overflows = make_overflows(metric);
    if (overflows)
        clew__update_add(shard, overflows, 1, NULL);
}

/* Whether values that nobody knows yet are certainly too many. */
static bool is_full(const struct clew_metric *metric)
{
    return atomic_load_explicit(&metric->overflow_is_shown, memory_order_acquire) &&
           atomic_load_explicit(&metric->nseries, memory_order_relaxed) >=
               atomic_load_explicit(&metric->series_max, memory_order_relaxed);
}

/* With values that are clean and keep to the limits of their labels. */
static struct clew__series *get_clean(struct clew__shard *shard, struct clew_metric *metric,
                                      struct clew_label *values, bool pinned)
{
    unsigned version = atomic_load_explicit(&metric->table.version, memory_order_acquire);
    struct clew__series *series = clew__series_known(metric, values);

    if (series && (!pinned || series->pinned))
        return series;
    if (!series && is_full(metric) && clew__table_is_settled(&metric->table, version))
        return metric->overflow;
    if (!may_lock(shard))
        return series ? series : metric->overflow;
    clew__metrics_lock();
    (void)clew__values_limit(metric, values);
    series = locked_get(metric, values, pinned);
    clew__metrics_unlock();
    return series;
}

struct clew__series *clew__series_get(struct clew__shard *shard, struct clew_metric *metric,
                                      const struct clew_label *values, bool pinned)
{
    char room[CLEW_METRIC_LABELS_MAX][CLEW__LABEL_CLEAN_MAX];
    struct clew_label clean[CLEW_METRIC_LABELS_MAX];
    struct clew__series *series;
    bool beyond;

    if (metric->nlabels == 0)
        return metric->overflow;
    for (size_t i = 0; i < metric->nlabels; i++)
        (void)clew__label_clean(&values[i], room[i], &clean[i]);
    beyond = clew__values_limit(metric, clean);
    series = get_clean(shard, metric, clean, pinned);
    if (beyond || series == metric->overflow)
        count_overflow(shard, metric);
    return series;
}
