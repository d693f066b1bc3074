/* SPDX-License-Identifier: Apache-2.0
 * Metrics and their series, as the registry and the renderer share them. */
#ifndef CLEW_REGISTRY_PRIV_H
#define CLEW_REGISTRY_PRIV_H

#include <clew/metrics.h>

#include <stdatomic.h>

#define SHARDS 8u
#define LABEL_VALUE_MAX 256u
#define TABLE_SLOTS 4096u /* power of two, twice CLEW_METRIC_SERIES_MAX */

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

/* The newest trace that fell into a bucket. version is odd while it is being
 * written; whoever finds it so does not wait but goes without. */
struct exemplar {
    _Atomic uint64_t version;
    _Atomic uint64_t trace[2], span, value_bits, time_ns;
};

/* Whole amounts stay exact for ever; the rest is added as a double. */
struct counter_shard {
    _Alignas(64) _Atomic uint64_t whole;
    _Atomic uint64_t fraction_bits;
};

struct histogram_shard {
    _Alignas(64) _Atomic uint64_t sum_bits;
    _Atomic uint64_t buckets[]; /* nbounds + 1 */
};

struct clew_series {
    struct clew_metric *metric;
    struct clew_series *next;
    uint64_t hash;
    char *values[CLEW_METRIC_LABELS_MAX];
    double (*callback)(void *arg);
    void *callback_arg;
    _Atomic uint64_t gauge_bits;
    struct counter_shard *counters; /* SHARDS of them */
    char *histograms;               /* SHARDS of histogram_shard, metric->shard_bytes apart */
    struct exemplar *exemplars;     /* nbounds + 1 */
};

struct clew_metric {
    struct clew_metric *next;
    char *name;
    char *help;
    enum metric_type type;
    size_t nlabels;
    char *labels[CLEW_METRIC_LABELS_MAX];
    double *bounds;
    size_t nbounds;
    size_t shard_bytes;
    size_t nseries;
    struct clew_series *_Atomic series; /* newest first */
    struct clew_series *overflow;
    bool overflow_is_linked;
    struct clew_series *_Atomic *table;
};

static inline struct histogram_shard *histogram_shard_at(const struct clew_series *series,
                                                         unsigned shard)
{
    return (struct histogram_shard *)(series->histograms + shard * series->metric->shard_bytes);
}

static inline double bits_to_double(uint64_t bits)
{
    double v;

    __builtin_memcpy(&v, &bits, 8);
    return v;
}

static inline uint64_t double_to_bits(double v)
{
    uint64_t bits;

    __builtin_memcpy(&bits, &v, 8);
    return bits;
}

/* All metrics in the order they were made; they are never freed. */
struct clew_metric *clew__metrics_first(void);
/* The series' value comes from a function: internal, for labelled ones too. */
void clew__series_callback(struct clew_series *series, double (*value)(void *arg), void *arg);

#endif
