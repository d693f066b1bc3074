/* SPDX-License-Identifier: Apache-2.0
 *
 * The registry. Metrics and series are made under a lock and live for ever, so
 * finding and updating them needs none: a metric's table of series is open
 * addressing over atomic pointers that are only ever filled. Counters and
 * histograms are kept in shards, a cache line or more apart, so that threads
 * do not fight over one; a scrape adds the shards up.
 */
#include "registry_priv.h"

#include <buf.h>
#include <json.h>

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct clew_metric *_Atomic first;
static struct clew_metric *last;

static const double standard_bounds[] = {0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25,
                                         0.5,   0.75, 1,     2.5,  5,     7.5, 10};

struct clew_metric *clew__metrics_first(void)
{
    return atomic_load_explicit(&first, memory_order_acquire);
}

static bool name_is_good(const char *name, bool colons)
{
    if (!name || !*name || isdigit((unsigned char)*name))
        return false;
    for (; *name; name++)
        if (!isalnum((unsigned char)*name) && *name != '_' && !(colons && *name == ':'))
            return false;
    return true;
}

/* Any text as valid UTF-8, cut. */
static char *clean_copy(const char *text, size_t max)
{
    size_t len = clew__utf8_cut(text ? text : "", text ? strlen(text) : 0, max);
    struct clew__buf clean;

    clew__buf_init(&clean, 3 * max + 1);
    clew__utf8_clean(&clean, text ? text : "", len);
    return clew__buf_take(&clean, &len);
}

/* ---- series --------------------------------------------------------------------- */

static uint64_t hash_values(const struct clew_metric *metric, const char *const *values)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < metric->nlabels; i++) {
        for (const char *p = values[i] ? values[i] : ""; *p; p++)
            hash = (hash ^ (unsigned char)*p) * UINT64_C(0x100000001b3);
        hash = (hash ^ 0xFF) * UINT64_C(0x100000001b3);
    }
    return hash;
}

/* Values are told apart by their 64-bit hash alone. */
static struct clew_series *find(const struct clew_metric *metric, uint64_t hash)
{
    for (size_t i = hash % TABLE_SLOTS;; i = (i + 1) % TABLE_SLOTS) {
        struct clew_series *series = atomic_load_explicit(&metric->table[i], memory_order_acquire);

        if (!series || series->hash == hash)
            return series;
    }
}

static void *zeroed(size_t alignment, size_t size)
{
    void *p = aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);

    if (p)
        memset(p, 0, size);
    return p;
}

static void free_series(struct clew_series *series)
{
    if (!series)
        return;
    for (size_t i = 0; i < CLEW_METRIC_LABELS_MAX; i++)
        free(series->values[i]);
    free(series->counters);
    free(series->histograms);
    free(series->exemplars);
    free(series);
}

static struct clew_series *make_series(struct clew_metric *metric, const char *const *values,
                                       uint64_t hash)
{
    struct clew_series *series = calloc(1, sizeof(*series));
    bool good = series != NULL;

    if (!good)
        return NULL;
    series->metric = metric;
    series->hash = hash;
    for (size_t i = 0; good && i < metric->nlabels; i++)
        good = (series->values[i] = clean_copy(values[i], LABEL_VALUE_MAX)) != NULL;
    if (metric->type == METRIC_COUNTER)
        good = good && (series->counters = zeroed(64, SHARDS * sizeof(struct counter_shard)));
    if (metric->type == METRIC_HISTOGRAM) {
        good = good && (series->histograms = zeroed(64, SHARDS * metric->shard_bytes));
        good = good && (series->exemplars = calloc(metric->nbounds + 1, sizeof(struct exemplar)));
    }
    if (good)
        return series;
    free_series(series);
    return NULL;
}

static void link_series(struct clew_metric *metric, struct clew_series *series)
{
    series->next = atomic_load(&metric->series);
    atomic_store_explicit(&metric->series, series, memory_order_release);
    metric->nseries++;
}

static struct clew_series *add_clean_series(struct clew_metric *metric, const char *const *values,
                                            uint64_t hash)
{
    struct clew_series *series;

    pthread_mutex_lock(&lock);
    series = find(metric, hash);
    if (series)
        goto out; /* another thread was first */
    if (metric->nseries < CLEW_METRIC_SERIES_MAX)
        series = make_series(metric, values, hash);
    if (series) {
        size_t i = hash % TABLE_SLOTS;

        while (atomic_load(&metric->table[i]))
            i = (i + 1) % TABLE_SLOTS;
        link_series(metric, series);
        atomic_store_explicit(&metric->table[i], series, memory_order_release);
    } else {
        series = metric->overflow;
        if (!metric->overflow_is_linked)
            link_series(metric, series); /* shown from its first use on */
        metric->overflow_is_linked = true;
    }
out:
    pthread_mutex_unlock(&lock);
    return series;
}

/* Values that look alike on the page, cleaned and cut, are one series. Such odd
 * ones are looked up under the lock each time. */
static struct clew_series *add_series(struct clew_metric *metric, const char *const *values)
{
    char *clean[CLEW_METRIC_LABELS_MAX] = {NULL};
    struct clew_series *series = metric->overflow;
    uint64_t hash;
    size_t i;

    for (i = 0; i < metric->nlabels && (clean[i] = clean_copy(values[i], LABEL_VALUE_MAX)); i++)
        ;
    if (i == metric->nlabels) {
        hash = hash_values(metric, (const char *const *)clean);
        series = add_clean_series(metric, (const char *const *)clean, hash);
    }
    while (i > 0)
        free(clean[--i]);
    return series;
}

struct clew_series *clew_metric_series(struct clew_metric *metric, const char *const *label_values)
{
    static const char *const none[] = {NULL};
    const char *const *values = label_values ? label_values : none;
    struct clew_series *series;
    uint64_t hash;

    if (!metric)
        return NULL;
    if (metric->nlabels == 0)
        return metric->overflow; /* its one series */
    for (size_t i = 0; i < metric->nlabels; i++)
        if (!values[i])
            return metric->overflow;
    hash = hash_values(metric, values);
    series = find(metric, hash);
    return series ? series : add_series(metric, values);
}

/* ---- metrics ------------------------------------------------------------------------ */

static void free_metric(struct clew_metric *metric)
{
    if (!metric)
        return;
    free_series(metric->overflow);
    free(metric->table);
    free(metric->bounds);
    for (size_t i = 0; i < metric->nlabels; i++)
        free(metric->labels[i]);
    free(metric->help);
    free(metric->name);
    free(metric);
}

static bool has_label(const struct clew_metric *metric, const char *name)
{
    for (size_t i = 0; i < metric->nlabels; i++)
        if (strcmp(metric->labels[i], name) == 0)
            return true;
    return false;
}

static bool set_labels(struct clew_metric *metric, const char *const *names)
{
    for (; names && *names; names++) {
        if (metric->nlabels == CLEW_METRIC_LABELS_MAX || !name_is_good(*names, false) ||
            strncmp(*names, "__", 2) == 0 ||
            (metric->type == METRIC_HISTOGRAM && strcmp(*names, "le") == 0) ||
            has_label(metric, *names)) {
            (void)clew_set_error(-EINVAL,
                                 "metric %s: label name \"%.64s\" is bad, there twice or one too "
                                 "many",
                                 metric->name, *names);
            return false;
        }
        metric->labels[metric->nlabels] = strdup(*names);
        if (!metric->labels[metric->nlabels++])
            return false;
    }
    return true;
}

static bool set_bounds(struct clew_metric *metric, const double *bounds, size_t n)
{
    if (!bounds) {
        bounds = standard_bounds;
        n = sizeof(standard_bounds) / sizeof(standard_bounds[0]);
    }
    for (size_t i = 0; i < n; i++)
        if (!isfinite(bounds[i]) || (i && bounds[i] <= bounds[i - 1]) ||
            n > CLEW_METRIC_BUCKETS_MAX) {
            (void)clew_set_error(-EINVAL,
                                 "metric %s: bounds must be finite, ascending and at most %u",
                                 metric->name, CLEW_METRIC_BUCKETS_MAX);
            return false;
        }
    metric->bounds = malloc((n ? n : 1) * sizeof(*bounds));
    if (!metric->bounds)
        return false;
    memcpy(metric->bounds, bounds, n * sizeof(*bounds));
    metric->nbounds = n;
    metric->shard_bytes =
        (sizeof(struct histogram_shard) + (n + 1) * sizeof(uint64_t) + 63) & ~(size_t)63;
    return true;
}

static struct clew_metric *make(enum metric_type type, const char *name, const char *help,
                                const char *const *label_names, const double *bounds,
                                size_t nbounds)
{
    static const char *const overflow[CLEW_METRIC_LABELS_MAX] = {"overflow", "overflow", "overflow",
                                                                 "overflow", "overflow", "overflow",
                                                                 "overflow", "overflow"};
    struct clew_metric *metric = calloc(1, sizeof(*metric));

    if (!metric)
        return NULL;
    metric->type = type;
    metric->name = strdup(name);
    metric->help = clean_copy(help, 1024);
    if (!metric->name || !metric->help || !set_labels(metric, label_names) ||
        (type == METRIC_HISTOGRAM && !set_bounds(metric, bounds, nbounds)))
        goto bad;
    if (metric->nlabels && !(metric->table = calloc(TABLE_SLOTS, sizeof(*metric->table))))
        goto bad;
    metric->overflow = make_series(metric, overflow, 0);
    if (!metric->overflow)
        goto bad;
    if (metric->nlabels == 0)
        link_series(metric, metric->overflow);
    return metric;
bad:
    free_metric(metric);
    return NULL;
}

static bool same_labels(const struct clew_metric *metric, const char *const *names)
{
    size_t n = 0;

    for (; names && names[n]; n++)
        if (n >= metric->nlabels || strcmp(names[n], metric->labels[n]) != 0)
            return false;
    return n == metric->nlabels;
}

/* OpenMetrics calls the family of the counter x_total x, so no other may. */
static bool same_family(const struct clew_metric *metric, enum metric_type type, const char *name)
{
    size_t a = strlen(metric->name), b = strlen(name);

    if (metric->type == METRIC_COUNTER)
        a -= 6;
    if (type == METRIC_COUNTER)
        b -= 6;
    return (a == b && strncmp(metric->name, name, a) == 0) || strcmp(metric->name, name) == 0;
}

static struct clew_metric *get(enum metric_type type, const char *name, const char *help,
                               const char *const *label_names, const double *bounds, size_t nbounds)
{
    struct clew_metric *metric;
    size_t len = name ? strlen(name) : 0;

    if (!name_is_good(name, true) || len > 200 ||
        (type == METRIC_COUNTER && (len < 7 || strcmp(name + len - 6, "_total") != 0))) {
        (void)clew_set_error(-EINVAL,
                             "metric \"%.64s\": [a-zA-Z_:][a-zA-Z0-9_:]*, counters end in _total",
                             name ? name : "");
        return NULL;
    }
    pthread_mutex_lock(&lock);
    for (metric = atomic_load(&first); metric && !same_family(metric, type, name);
         metric = metric->next)
        ;
    if (metric && strcmp(metric->name, name) != 0) {
        (void)clew_set_error(-EEXIST, "metric %s: %s is the same family in OpenMetrics", name,
                             metric->name);
        metric = NULL;
    } else if (metric && (metric->type != type || !same_labels(metric, label_names))) {
        (void)clew_set_error(-EEXIST, "metric %s: exists with another type or other labels", name);
        metric = NULL;
    } else if (!metric) {
        metric = make(type, name, help, label_names, bounds, nbounds);
        if (metric && last)
            __atomic_store_n(&last->next, metric, __ATOMIC_RELEASE);
        else if (metric)
            atomic_store_explicit(&first, metric, memory_order_release);
        if (metric)
            last = metric;
    }
    pthread_mutex_unlock(&lock);
    return metric;
}

struct clew_metric *clew_counter(const char *name, const char *help, const char *const *labels)
{
    return get(METRIC_COUNTER, name, help, labels, NULL, 0);
}

struct clew_metric *clew_gauge(const char *name, const char *help, const char *const *labels)
{
    return get(METRIC_GAUGE, name, help, labels, NULL, 0);
}

struct clew_metric *clew_histogram(const char *name, const char *help, const char *const *labels,
                                   const double *bounds, size_t nbounds)
{
    return get(METRIC_HISTOGRAM, name, help, labels, bounds, nbounds);
}

void clew__series_callback(struct clew_series *series, double (*value)(void *arg), void *arg)
{
    if (!series)
        return;
    series->callback_arg = arg;
    __atomic_store_n(&series->callback, value, __ATOMIC_RELEASE);
}

int clew_metric_callback(struct clew_metric *metric, double (*value)(void *arg), void *arg)
{
    if (!metric || !value || metric->nlabels || metric->type == METRIC_HISTOGRAM)
        return clew_set_error(-EINVAL, "callback: needs a counter or gauge without labels");
    clew__series_callback(metric->overflow, value, arg);
    return 0;
}

/* ---- updates ------------------------------------------------------------------------- */

static unsigned my_shard(void)
{
    static _Atomic unsigned threads;
    static __thread unsigned mine;

    if (mine == 0)
        mine = atomic_fetch_add_explicit(&threads, 1, memory_order_relaxed) % SHARDS + 1;
    return mine - 1;
}

static void add_double(_Atomic uint64_t *bits, double amount)
{
    uint64_t old = atomic_load_explicit(bits, memory_order_relaxed);

    while (!atomic_compare_exchange_weak_explicit(bits, &old,
                                                  double_to_bits(bits_to_double(old) + amount),
                                                  memory_order_relaxed, memory_order_relaxed))
        ;
}

void clew_series_add(struct clew_series *series, double amount)
{
    struct counter_shard *shard;

    if (!series)
        return;
    if (series->metric->type == METRIC_GAUGE) {
        add_double(&series->gauge_bits, amount);
        return;
    }
    if (series->metric->type != METRIC_COUNTER || !(amount >= 0) || isinf(amount))
        return;
    shard = &series->counters[my_shard()];
    if (amount < 4503599627370496.0 && amount == (double)(uint64_t)amount)
        atomic_fetch_add_explicit(&shard->whole, (uint64_t)amount, memory_order_relaxed);
    else
        add_double(&shard->fraction_bits, amount);
}

void clew_series_set(struct clew_series *series, double value)
{
    if (series && series->metric->type == METRIC_GAUGE)
        atomic_store_explicit(&series->gauge_bits, double_to_bits(value), memory_order_relaxed);
}

static void set_exemplar(struct exemplar *e, double value, const uint8_t *trace_id,
                         uint64_t span_id)
{
    uint64_t version = atomic_load_explicit(&e->version, memory_order_relaxed), trace[2];
    struct timespec now;

    if ((version & 1) || !atomic_compare_exchange_strong(&e->version, &version, version + 1))
        return;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    memcpy(trace, trace_id, 16);
    atomic_store_explicit(&e->trace[0], trace[0], memory_order_relaxed);
    atomic_store_explicit(&e->trace[1], trace[1], memory_order_relaxed);
    atomic_store_explicit(&e->span, span_id, memory_order_relaxed);
    atomic_store_explicit(&e->value_bits, double_to_bits(value), memory_order_relaxed);
    atomic_store_explicit(&e->time_ns, (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec,
                          memory_order_relaxed);
    atomic_store_explicit(&e->version, version + 2, memory_order_release);
}

void clew_series_observe(struct clew_series *series, double value, const uint8_t *trace_id,
                         uint64_t span_id)
{
    struct histogram_shard *shard;
    size_t bucket = 0;

    if (!series || series->metric->type != METRIC_HISTOGRAM || isnan(value))
        return;
    while (bucket < series->metric->nbounds && value > series->metric->bounds[bucket])
        bucket++;
    shard = histogram_shard_at(series, my_shard());
    atomic_fetch_add_explicit(&shard->buckets[bucket], 1, memory_order_relaxed);
    add_double(&shard->sum_bits, value);
    if (trace_id)
        set_exemplar(&series->exemplars[bucket], value, trace_id, span_id);
}
