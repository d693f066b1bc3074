/* SPDX-License-Identifier: Apache-2.0
 *
 * From label values to the series. A thread remembers what it found last in a
 * cache of its own, by a hash that nobody outside can foresee, and compares the
 * values. Behind it is the metric's table, which is read without a lock.
 *
 * When series expire the caches are declared old, all at once, before the
 * memory goes; a thread looks at that with every lookup.
 */
#include "update_priv.h"

#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>

#define SLOTS 1024u      /* a power of two; pairs of them share what falls there */
#define CACHED_LABELS 4u /* of metrics that have more the table is read */

struct clew__cache {
    uint64_t epoch;
    struct {
        uint64_t hash;
        struct clew__series *series;
    } slot[SLOTS];
};

_Atomic uint64_t clew__cache_epoch = 1;

void clew__caches_forget(void)
{
    atomic_fetch_add(&clew__cache_epoch, 1);
}

/* ---- hashing -------------------------------------------------------------------------- */

uint64_t clew__values_seed(void)
{
    struct timespec now;
    uint64_t seed;

    if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) == (ssize_t)sizeof(seed))
        return seed;
    clock_gettime(CLOCK_MONOTONIC, &now); /* early at boot: better than nothing */
    return (uint64_t)now.tv_nsec * UINT64_C(0x9E3779B97F4A7C15) ^ (uintptr_t)&now;
}

uint64_t clew__hash_long(const char *p, size_t len, uint64_t seed)
{
    uint64_t hash = seed ^ len;

    for (; len > 16; p += 16, len -= 16)
        hash = clew__key_mix(clew__load8(p) ^ hash, clew__load8(p + 8) ^ CLEW__SECRET_1);
    return clew__key_mix(clew__load8(p + len - 16) ^ hash,
                         clew__load8(p + len - 8) ^ CLEW__SECRET_2);
}

uint64_t clew__bytes_hash(const char *bytes, size_t len, uint64_t seed)
{
    struct clew__key key = clew__key_of(bytes, len, seed);

    return clew__key_mix(clew__hash_key(&key, seed), seed ^ CLEW__SECRET_2);
}

/* The values are hashed side by side, each with a seed of its own. */
static inline uint64_t hash_values(const struct clew_metric *metric,
                                   const struct clew_label *values, struct clew__key *keys)
{
    uint64_t hash = metric->seed, seed = metric->seed;

    for (size_t i = 0; i < metric->nlabels; i++, seed += CLEW__SECRET_2) {
        keys[i] = clew__key_of(values[i].value, values[i].len, seed);
        hash += clew__hash_key(&keys[i], seed);
    }
    return hash;
}

uint64_t clew__values_hash(const struct clew_metric *metric, const struct clew_label *values,
                           struct clew__key *ret_keys)
{
    return hash_values(metric, values, ret_keys);
}

/* Long values that have the same key are compared byte by byte. */
static bool long_values_equal(const struct clew__series *series, const struct clew_label *values)
{
    const char *has = series->values;

    for (size_t i = 0; i < series->metric->nlabels; i++) {
        if (values[i].len > CLEW__KEY_WHOLE &&
            !clew__key_same_text(has, values[i].value, values[i].len))
            return false;
        has += values[i].len + 1;
    }
    return true;
}

static bool is_it(const struct clew__series *series, const struct clew_label *values,
                  const struct clew__key *keys)
{
    for (size_t i = 0; i < series->metric->nlabels; i++) {
        const struct clew__key *key = &series->keys[i];

        if ((key->a ^ keys[i].a) | (key->b ^ keys[i].b) | (key->len ^ keys[i].len))
            return false;
    }
    return !series->is_long || long_values_equal(series, values);
}

static struct clew__series *known(const struct clew_metric *metric, const struct clew_label *values,
                                  const struct clew__key *keys, uint64_t hash)
{
    struct clew__node *node = clew__table_first(&metric->table, hash);

    while (node && !is_it(clew__series_of_node(node), values, keys))
        node = clew__table_next(atomic_load_explicit(&node->next, memory_order_acquire), hash);
    return node ? clew__series_of_node(node) : NULL;
}

struct clew__series *clew__series_known(const struct clew_metric *metric,
                                        const struct clew_label *values)
{
    struct clew__key keys[CLEW_METRIC_LABELS_MAX];
    uint64_t hash = hash_values(metric, values, keys);

    return known(metric, values, keys, hash);
}

/* ---- the thread's cache ------------------------------------------------------------------ */

static struct clew__cache *make_cache(struct clew__shard *shard)
{
    void *p = mmap(NULL, sizeof(struct clew__cache), PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED)
        return NULL;
    shard->cache = p;
    return p;
}

void clew__cache_free(struct clew__cache *cache)
{
    if (cache)
        (void)munmap(cache, sizeof(*cache));
}

/* NULL: there is none, and for a signal handler that interrupted its thread
 * there must be none. */
static inline struct clew__cache *current_cache(struct clew__shard *shard)
{
    struct clew__cache *cache = shard->cache;
    uint64_t epoch = clew__caches_epoch();

    if (__builtin_expect(!cache, 0)) {
        cache = shard == &clew__shared ? NULL : make_cache(shard);
        if (!cache)
            return NULL;
    }
    if (__builtin_expect(cache->epoch != epoch, 0)) {
        memset(cache->slot, 0, sizeof(cache->slot));
        cache->epoch = epoch;
    }
    return cache;
}

/* Looks there, with the hash that is computed on the way; n, the number of labels, is
 * known when this is compiled. NULL: it is not there. */
static inline __attribute__((always_inline)) struct clew__series *
cached(const struct clew__cache *cache, const struct clew_metric *metric,
       const struct clew_label *values, const size_t n)
{
    uint64_t hash = metric->seed, seed = metric->seed;
    struct clew__key keys[CACHED_LABELS];
    struct clew__series *series;
    size_t slot;

#pragma GCC unroll 4
    for (size_t i = 0; i < n; i++, seed += CLEW__SECRET_2) {
        keys[i] = clew__key_of(values[i].value, values[i].len, seed);
        hash += clew__hash_key(&keys[i], seed);
    }
    slot = hash & (SLOTS - 2);
    if (cache->slot[slot].hash != hash && cache->slot[++slot].hash != hash)
        return NULL;
    series = cache->slot[slot].series;
    if (__builtin_expect(!series || series->metric != metric, 0))
        return NULL;
#pragma GCC unroll 4
    for (size_t i = 0; i < n; i++)
        if ((series->keys[i].a ^ keys[i].a) | (series->keys[i].b ^ keys[i].b) |
            (series->keys[i].len ^ keys[i].len))
            return NULL;
    return series->is_long && !long_values_equal(series, values) ? NULL : series;
}

#define CACHED(n)                                                            \
    static struct clew__series *cached_##n(const struct clew__cache *cache,  \
                                           const struct clew_metric *metric, \
                                           const struct clew_label *values)  \
    {                                                                        \
        return cached(cache, metric, values, n);                             \
    }
CACHED(1)
CACHED(2)
CACHED(3)
CACHED(4)

static __attribute__((noinline)) struct clew__series *find_slowly(struct clew__shard *shard,
                                                                  struct clew__cache *cache,
                                                                  struct clew_metric *metric,
                                                                  const struct clew_label *values)
{
    struct clew__key keys[CLEW_METRIC_LABELS_MAX];
    uint64_t hash = hash_values(metric, values, keys);
    struct clew__series *series = known(metric, values, keys, hash);
    size_t slot = hash & (SLOTS - 2);

    if (!series)
        return clew__series_get(shard, metric, values, false);
    if (cache && metric->nlabels <= CACHED_LABELS) {
        cache->slot[slot + 1] = cache->slot[slot];
        cache->slot[slot].hash = hash;
        cache->slot[slot].series = series;
    }
    return series;
}

static inline struct clew__series *find(struct clew__shard *shard, struct clew_metric *metric,
                                        const struct clew_label *values)
{
    static struct clew__series *(*const looks[])(
        const struct clew__cache *, const struct clew_metric *,
        const struct clew_label *) = {cached_1, cached_2, cached_3, cached_4};
    struct clew__cache *cache = current_cache(shard);
    struct clew__series *series;

    if (metric->nlabels == 0)
        return metric->overflow;
    if (cache && metric->nlabels <= CACHED_LABELS) {
        series = looks[metric->nlabels - 1](cache, metric, values);
        if (__builtin_expect(series != NULL, 1))
            return series;
    }
    return find_slowly(shard, cache, metric, values);
}

struct clew__series *clew__series_find(struct clew__shard *shard, struct clew_metric *metric,
                                       const struct clew_label *values)
{
    return find(shard, metric, values);
}

/* ---- the calls --------------------------------------------------------------------------- */

struct clew_series *clew_metric_series(struct clew_metric *metric, const char *const *label_values)
{
    struct clew_label values[CLEW_METRIC_LABELS_MAX];
    struct clew__series *series;
    struct clew__shard *shard;

    if (!metric)
        return NULL;
    for (size_t i = 0; i < metric->nlabels; i++) {
        if (!label_values || !label_values[i])
            return &metric->overflow->handle;
        values[i] = (struct clew_label){label_values[i], strlen(label_values[i])};
    }
    shard = clew__enter();
    series = find(shard, metric, values);
    if (!atomic_load_explicit(&series->pinned, memory_order_acquire))
        series = clew__series_get(shard, metric, values, true);
    clew__leave(shard);
    return &series->handle;
}

void clew_metric_add(struct clew_metric *metric, const struct clew_label *values, double amount)
{
    struct clew__series *series;
    struct clew__shard *shard;

    if (!metric)
        return;
    shard = clew__enter();
    series = find(shard, metric, values);
    if (!(amount >= 0 && clew__is_whole(amount)) ||
        !clew__add_whole(&series->handle, (uint64_t)(int64_t)amount))
        clew__update_add(shard, series, amount, NULL);
    clew__leave(shard);
}

void clew_metric_set(struct clew_metric *metric, const struct clew_label *values, double value)
{
    struct clew__shard *shard;

    if (!metric)
        return;
    shard = clew__enter();
    clew__update_set(find(shard, metric, values), value);
    clew__leave(shard);
}

void clew_metric_observe(struct clew_metric *metric, const struct clew_label *values, double value,
                         const uint8_t *trace_id, uint64_t span_id)
{
    struct clew__exemplar exemplar;
    struct clew__shard *shard;

    if (!metric)
        return;
    if (trace_id)
        clew__exemplar_begin(&exemplar, trace_id, span_id);
    shard = clew__enter();
    clew__update_observe(shard, find(shard, metric, values), value, trace_id ? &exemplar : NULL);
    clew__leave(shard);
}
