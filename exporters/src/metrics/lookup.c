/* SPDX-License-Identifier: Apache-2.0
 *
 * From label values to the series. A thread remembers what it found last in a
 * cache of its own, by a hash that nobody outside can foresee, and compares the
 * values. Behind it is the metric's table, which is read without a lock.
 *
 * When series expire the caches are declared old, all at once, before the
 * memory goes; a thread looks at that with every lookup.
 */
#include "registry_priv.h"

#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>

#define SLOTS 1024u /* a power of two; pairs of them share what falls there */

struct clew__cache {
    uint64_t epoch;
    struct {
        uint64_t hash;
        struct clew__series *series;
    } slot[SLOTS];
};

static _Atomic uint64_t cache_epoch = 1;

void clew__caches_forget(void)
{
    atomic_fetch_add(&cache_epoch, 1);
}

uint64_t clew__caches_epoch(void)
{
    return atomic_load_explicit(&cache_epoch, memory_order_acquire);
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

static inline uint64_t mix(uint64_t a, uint64_t b)
{
    __extension__ unsigned __int128 product = (unsigned __int128)a * b;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t load8(const char *p)
{
    uint64_t v;

    memcpy(&v, p, 8);
    return v;
}

static inline uint64_t load4(const char *p)
{
    uint32_t v;

    memcpy(&v, p, 4);
    return v;
}

/* Of 0 to 16 bytes: as two numbers that overlap in the middle. */
static inline void load_ends(const char *p, size_t len, uint64_t *a, uint64_t *b)
{
    if (len >= 8) {
        *a = load8(p);
        *b = load8(p + len - 8);
    } else if (len >= 4) {
        *a = load4(p);
        *b = load4(p + len - 4);
    } else if (len) {
        *a = (uint64_t)(unsigned char)p[0] << 8 | (unsigned char)p[len - 1];
        *b = (unsigned char)p[len / 2];
    } else {
        *a = *b = 0;
    }
}

static inline uint64_t hash_bytes(const char *p, size_t len, uint64_t seed)
{
    uint64_t a, b, hash = seed ^ len;

    for (; len > 16; p += 16, len -= 16)
        hash = mix(load8(p) ^ hash, load8(p + 8) ^ UINT64_C(0xA0761D6478BD642F));
    load_ends(p, len, &a, &b);
    return mix(a ^ hash, b ^ UINT64_C(0xE7037ED1A0B428DB));
}

uint64_t clew__bytes_hash(const char *bytes, size_t len, uint64_t seed)
{
    return hash_bytes(bytes, len, seed);
}

uint64_t clew__values_hash(const struct clew_metric *metric, const struct clew_label *values)
{
    uint64_t hash = metric->seed;

    for (size_t i = 0; i < metric->nlabels; i++)
        hash = hash_bytes(values[i].value, values[i].len, hash);
    return hash;
}

static inline bool bytes_equal(const char *a, const char *b, size_t len)
{
    uint64_t a1, a2, b1, b2;

    if (len > 16)
        return memcmp(a, b, len) == 0;
    load_ends(a, len, &a1, &a2);
    load_ends(b, len, &b1, &b2);
    return a1 == b1 && a2 == b2;
}

static inline bool values_equal(const struct clew__series *series, const struct clew_label *values)
{
    for (size_t i = 0; i < series->metric->nlabels; i++)
        if (series->value[i].len != values[i].len ||
            !bytes_equal(series->values + series->value[i].at, values[i].value, values[i].len))
            return false;
    return true;
}

struct clew__series *clew__series_known(const struct clew_metric *metric,
                                        const struct clew_label *values, uint64_t hash)
{
    struct clew__node *node = clew__table_first(&metric->table, hash);

    while (node && !values_equal(clew__series_of_node(node), values))
        node = clew__table_next(atomic_load_explicit(&node->next, memory_order_acquire), hash);
    return node ? clew__series_of_node(node) : NULL;
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
    uint64_t epoch = atomic_load_explicit(&cache_epoch, memory_order_acquire);

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

static struct clew__series *find_slowly(struct clew__shard *shard, struct clew__cache *cache,
                                        struct clew_metric *metric, const struct clew_label *values,
                                        uint64_t hash)
{
    struct clew__series *series = clew__series_known(metric, values, hash);
    size_t i = hash & (SLOTS - 2);

    if (!series)
        series = clew__series_get(shard, metric, values, false);
    else if (cache) {
        cache->slot[i + 1] = cache->slot[i];
        cache->slot[i].hash = hash;
        cache->slot[i].series = series;
    }
    return series;
}

struct clew__series *clew__series_find(struct clew__shard *shard, struct clew_metric *metric,
                                       const struct clew_label *values)
{
    struct clew__cache *cache = current_cache(shard);
    uint64_t hash = clew__values_hash(metric, values);
    size_t i = hash & (SLOTS - 2);

    for (size_t end = i + 2; cache && i < end; i++) {
        struct clew__series *series = cache->slot[i].series;

        if (cache->slot[i].hash == hash && series && series->metric == metric &&
            values_equal(series, values))
            return series;
    }
    return metric->nlabels ? find_slowly(shard, cache, metric, values, hash) : metric->overflow;
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
    series = clew__series_find(shard, metric, values);
    if (!atomic_load_explicit(&series->pinned, memory_order_acquire))
        series = clew__series_get(shard, metric, values, true);
    clew__leave(shard);
    return &series->handle;
}

void clew_metric_add(struct clew_metric *metric, const struct clew_label *values, double amount)
{
    struct clew__shard *shard;

    if (!metric)
        return;
    shard = clew__enter();
    clew__update_add(shard, clew__series_find(shard, metric, values), amount);
    clew__leave(shard);
}

void clew_metric_set(struct clew_metric *metric, const struct clew_label *values, double value)
{
    struct clew__shard *shard;

    if (!metric)
        return;
    shard = clew__enter();
    clew__update_set(clew__series_find(shard, metric, values), value);
    clew__leave(shard);
}

void clew_metric_observe(struct clew_metric *metric, const struct clew_label *values, double value,
                         const uint8_t *trace_id, uint64_t span_id)
{
    struct clew__shard *shard;

    if (!metric)
        return;
    shard = clew__enter();
    clew__update_observe(shard, clew__series_find(shard, metric, values), value, trace_id, span_id);
    clew__leave(shard);
}
