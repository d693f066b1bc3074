/* SPDX-License-Identifier: Apache-2.0
 *
 * Metrics and their series, as the files of the registry share them.
 *
 * Three locks, in this order: the scrape's (one page at a time; whoever holds it
 * may remove series and empty shards), the registry's (making and removing, for
 * microseconds), and none at all for updates and for finding what exists.
 */
#ifndef CLEW_REGISTRY_PRIV_H
#define CLEW_REGISTRY_PRIV_H

#include "buckets.h"
#include "exemplars.h"
#include "key.h"
#include "shards_priv.h"
#include "table.h"
#include "words.h"

#include <clew/metrics.h>

#define CLEW__LABEL_MAX 256u                        /* bytes of a value that are taken … */
#define CLEW__LABEL_CLEAN_MAX (3 * CLEW__LABEL_MAX) /* … and what replacing makes of them */
#define CLEW__SERIES_MAX_MAX 10000000u

enum clew__kind {
    CLEW__COUNTER,
    CLEW__GAUGE,
    CLEW__INFO, /* a gauge that says 1 */
    CLEW__HISTOGRAM,
    CLEW__NATIVE
};

/* ---- cells ------------------------------------------------------------------------- */

/* Whole amounts stay exact for ever; the rest is added as a double. */
struct clew__counter_cell {
    _Atomic uint64_t whole;
    _Atomic uint64_t fraction_bits;
};

/* What was added since the gauge was set last; older epochs do not count. */
struct clew__gauge_cell {
    _Atomic uint64_t whole; /* two's complement */
    _Atomic uint64_t epoch;
};

struct clew__histogram_cell {
    _Atomic uint64_t sum_bits;
    _Atomic uint64_t buckets[]; /* nbounds + 1 */
};

/* ---- series -------------------------------------------------------------------------- */

/* One value that a label takes, where the label has a limit. */
struct clew__value {
    struct clew__node node;
    struct clew__value *gone; /* after it: to be freed */
    size_t series;            /* that have it */
    size_t len;
    char text[];
};

struct clew__series {
    struct clew_series handle; /* first: a handle is a series */
    struct clew__place place;
    struct clew_metric *metric;
    /* Of a classic histogram: the short way to its cells, 0 for all others, and
     * the metric's buckets. */
    uint32_t observed_chunk;
    const struct clew__buckets *buckets;
    struct clew__node node; /* in the metric's table */
    _Atomic bool pinned;    /* somebody has a handle. Set under the registry's lock */
    double (*_Atomic callback)(void *arg);
    void *callback_arg;

    /* Gauges: base[epoch / 2 % 2] was set last; epoch is odd while the other is
     * being written. */
    _Atomic uint64_t epoch;
    _Atomic uint64_t base_bits[2];
    _Atomic uint8_t use; /* CLEW__SERIES_ */

    struct clew__series *_Atomic next; /* on the page */
    uint64_t created_ns;               /* Unix time */
    /* The scrape's own. */
    char *text; /* name{labels} and a space */
    uint32_t text_len, labels_at, labels_len, text_version;
    unsigned generation; /* of shown: a fork makes it obsolete */
    double shown;        /* the last value or sum: rounding must not take it back */
    uint64_t seen;       /* for expiry: the count, and when it was new */
    uint64_t seen_at_ns;
    struct clew__series *gone; /* the next of those that expired */

    bool is_long;            /* some value is more than its key */
    char *values;            /* one after the other, each with a NUL behind */
    struct clew__key keys[]; /* nlabels, then the values */
};

struct clew_metric {
    struct clew_metric *_Atomic next;
    enum clew__kind kind;
    char *name, *help; /* both fit for a page but for escapes */
    size_t name_len;
    size_t nlabels;
    char *labels[CLEW_METRIC_LABELS_MAX];
    double *bounds; /* padded with infinities for the search */
    size_t nbounds;
    struct clew__buckets buckets;
    char **bound_texts; /* le="0.5"} and a space; nbounds + 1 */
    int schema;
    unsigned native_max;
    size_t cell_bytes;
    uint64_t seed;

    struct clew__table table;
    struct clew__series *_Atomic first; /* oldest first */
    struct clew__series *last;
    _Atomic size_t nseries, series_max;
    struct clew__series *overflow; /* without labels: the only series */
    _Atomic bool overflow_is_shown;
    struct clew__series *_Atomic overflows; /* in clew_metrics_overflow_total; NULL: none yet */
    struct {
        _Atomic size_t max, n; /* max 0: no limit, and nothing in the table */
        struct clew__table table;
    } limit[CLEW_METRIC_LABELS_MAX];
};

#define CLEW__SERIES_TOUCHED 1u /* since the last look for idle ones */
#define CLEW__SERIES_ADDED 2u   /* ever added to: it counts something that will go back */

static inline struct clew__series *clew__series(struct clew_series *handle)
{
    return (struct clew__series *)(void *)handle;
}

static inline struct clew__series *clew__series_of_node(struct clew__node *node)
{
    return (struct clew__series *)(void *)((char *)node - offsetof(struct clew__series, node));
}

static inline struct clew_label clew__series_value(const struct clew__series *series, size_t i)
{
    const char *at = series->values;

    for (size_t before = 0; before < i; before++)
        at += series->keys[before].len + 1;
    return (struct clew_label){at, series->keys[i].len};
}

#define CLEW__OVERFLOW ((struct clew_label){"overflow", 8})

/* ---- registry.c ------------------------------------------------------------------------ */

/* Under it the thread makes and removes. A signal handler must not want it:
 * clew__locks says so. */
void clew__metrics_lock(void);
void clew__metrics_unlock(void);

/* All metrics in the order they were made; they are never freed. */
struct clew_metric *clew__metrics_first(void);
static inline struct clew_metric *clew__metrics_next(const struct clew_metric *metric)
{
    return atomic_load_explicit(&metric->next, memory_order_acquire);
}

/* What the runtime derives has the configured prefix before its name. These are
 * clew_counter() and so on for such. */
struct clew_metric *clew__derived_counter(const char *name, const char *help,
                                          const char *const *label_names);
struct clew_metric *clew__derived_gauge(const char *name, const char *help,
                                        const char *const *label_names);
struct clew_metric *clew__derived_histogram(const char *name, const char *help,
                                            const char *const *label_names, const double *bounds,
                                            size_t nbounds);
int clew__derived_info(const char *name, const char *help, const char *const *label_names,
                       const char *const *label_values);

/* Unix time from which the process counts: its start, or the fork it is from. */
uint64_t clew__counting_since(void);
/* Changes with every fork. */
unsigned clew__generation(void);

/* ---- lookup.c -------------------------------------------------------------------------- */

/* The series with these values, made if there is none; never NULL. Between
 * clew__enter() and clew__leave() of shard, and valid until the latter. */
struct clew__series *clew__series_find(struct clew__shard *shard, struct clew_metric *metric,
                                       const struct clew_label *values);
/* In the table, without the thread's cache: NULL when it is not there. */
struct clew__series *clew__series_known(const struct clew_metric *metric,
                                        const struct clew_label *values);
uint64_t clew__values_hash(const struct clew_metric *metric, const struct clew_label *values,
                           struct clew__key *ret_keys);
uint64_t clew__bytes_hash(const char *bytes, size_t len, uint64_t seed);
/* Nobody outside can know it. */
uint64_t clew__values_seed(void);
/* After series were removed: what the threads' caches hold is good no longer. */
void clew__caches_forget(void);
/* Another number after each time: for caches elsewhere, which are read in between
 * clew__enter() and clew__leave(). */
extern _Atomic uint64_t clew__cache_epoch;
static inline uint64_t clew__caches_epoch(void)
{
    return atomic_load_explicit(&clew__cache_epoch, memory_order_acquire);
}

/* ---- series.c -------------------------------------------------------------------------- */

/* The slow half of finding: the values cleaned and limited, the series made. */
struct clew__series *clew__series_get(struct clew__shard *shard, struct clew_metric *metric,
                                      const struct clew_label *values, bool pinned);
/* A series that is not in the table; NULL without memory. Locked. */
struct clew__series *clew__locked_series_new(struct clew_metric *metric,
                                             const struct clew_label *values);
/* On the page from now on. */
void clew__locked_series_show(struct clew_metric *metric, struct clew__series *series);
void clew__series_free(struct clew__series *series);
/* Any text as UTF-8 without NUL, cut. False: it was that already, *ret is value;
 * else it is in room, CLEW__LABEL_CLEAN_MAX bytes. */
bool clew__label_clean(const struct clew_label *value, char *room, struct clew_label *ret);

/* ---- values.c -------------------------------------------------------------------------- */

/* Replaces the values that are beyond the limits of their labels by "overflow";
 * whether there was any. */
bool clew__values_limit(const struct clew_metric *metric, struct clew_label *values);
/* Counts the values of a new series in, of a removed one out. What is not needed
 * any more goes to *ret_gone. Locked. */
bool clew__locked_values_add(struct clew_metric *metric, const struct clew_label *values);
void clew__locked_values_remove(struct clew_metric *metric, const struct clew__series *series,
                                struct clew__value **ret_gone);
/* Counts the values of a label in that had no limit yet. Locked. */
bool clew__locked_values_learn(struct clew_metric *metric, size_t label);

/* ---- cells.c ---------------------------------------------------------------------------- */

/* Room for cells of that size in every shard, all zero. chunk 0: no room is
 * left. Locked. */
struct clew__place clew__locked_place_new(size_t bytes);
/* Nobody writes there any more; zeroed in the shards. Locked. */
void clew__locked_place_free(struct clew__place place, size_t bytes,
                             struct clew__shard *const *shards, size_t n);

/* ---- update.c ----------------------------------------------------------------------------- */

/* In between clew__enter() and clew__leave(); exemplar may be NULL. */
void clew__update_add(struct clew__shard *shard, struct clew__series *series, double amount,
                      const struct clew__exemplar *exemplar);
void clew__update_set(struct clew__series *series, double value);
void clew__update_observe(struct clew__shard *shard, struct clew__series *series, double value,
                          const struct clew__exemplar *exemplar);
/* Updates that were not taken. */
uint64_t clew__rejected(void);
/* In the child of a fork. */
void clew__update_forked(void);

/* ---- native.c ------------------------------------------------------------------------------ */

/* A native histogram's cells; read by others under its sequence number. */
struct clew__native_cell {
    _Atomic uint64_t version; /* odd while buckets are moved */
    _Atomic uint64_t sum_bits;
    _Atomic uint64_t zero;
    _Atomic uint64_t schema;    /* with CLEW__NATIVE_SCHEMA added; 0: none yet */
    _Atomic uint64_t start[2];  /* key of the first bucket of positive and negative values */
    _Atomic uint64_t used[2];   /* whether there are any */
    _Atomic uint64_t buckets[]; /* native_max positive ones, then as many negative ones */
};

#define CLEW__NATIVE_ZERO 0x1p-128
#define CLEW__NATIVE_SCHEMA 64
static inline size_t clew__native_bytes(unsigned max)
{
    return sizeof(struct clew__native_cell) + 2 * (size_t)max * 8;
}

/* A cell with room for all the buckets there may be. */
struct clew__native_copy {
    struct clew__native_cell cell;
    _Atomic uint64_t room[2 * CLEW_METRIC_NATIVE_MAX];
};

/* Before the first observation. */
void clew__native_prepare(void);
/* The key of a value above zero; a bucket is (2^((key-1)/2^schema), 2^(key/2^schema)]. */
int64_t clew__native_key(double value, int schema);
/* The thread's own cell. returns the word whose exemplar it is. */
unsigned clew__native_observe(struct clew__native_cell *cell, const struct clew_metric *metric,
                              double value);
/* Copies another thread's cell; false when nothing was observed there. */
bool clew__native_read(struct clew__native_copy *ret, const struct clew__native_cell *from,
                       const struct clew_metric *metric);
static inline int clew__native_schema(const struct clew__native_cell *cell,
                                      const struct clew_metric *metric)
{
    uint64_t schema = clew__load(&cell->schema);

    return schema ? (int)schema - CLEW__NATIVE_SCHEMA : metric->schema;
}
/* Adds a copy to a cell that nobody else writes. */
void clew__native_merge(struct clew__native_cell *to, struct clew__native_cell *from,
                        const struct clew_metric *metric);
#define CLEW__NATIVE_EXEMPLARS 8u

#endif
