/* SPDX-License-Identifier: Apache-2.0
 *
 * Updates, one at a time. A thread writes its own cells with plain loads and
 * stores; nobody else writes there. In the shared shard there may be several, and adding is
 * atomic. The value that a gauge was set to is with the series, and every set
 * begins a new epoch: what threads added in an older one does not count.
 */
#include "update_priv.h"

#include <sched.h>

static _Atomic uint64_t rejected;
static _Atomic bool shared_is_locked; /* for native histograms */
static __thread bool has_shared CLEW__TLS_MODEL;

uint64_t clew__rejected(void)
{
    return clew__load(&rejected);
}

static void reject(void)
{
    atomic_fetch_add_explicit(&rejected, 1, memory_order_relaxed);
}

/* ---- cells --------------------------------------------------------------------------------- */

static inline void add_whole(const struct clew__shard *shard, _Atomic uint64_t *word,
                             uint64_t amount)
{
    if (shard == &clew__shared)
        atomic_fetch_add_explicit(word, amount, memory_order_relaxed);
    else
        clew__bump(word, amount);
}

static inline void add_double(const struct clew__shard *shard, _Atomic uint64_t *bits,
                              double amount)
{
    if (shard == &clew__shared)
        clew__add_shared(bits, amount);
    else
        clew__bump_double(bits, amount);
}

/* ---- counters ------------------------------------------------------------------------------ */

/* False: it was not taken. */
static bool add_counter(struct clew__shard *shard, struct clew__series *series, double amount)
{
    struct clew__counter_cell *cell;

    if (!(amount >= 0) || !clew__is_finite(amount))
        return false;
    cell = (void *)clew__cells(shard, series->place);
    if (!cell)
        return false;
    if (clew__is_whole(amount))
        add_whole(shard, &cell->whole, (uint64_t)amount);
    else
        add_double(shard, &cell->fraction_bits, amount);
    return true;
}

/* ---- gauges -------------------------------------------------------------------------------- */

static inline void note_use(struct clew__series *series, uint8_t use)
{
    if ((atomic_load_explicit(&series->use, memory_order_relaxed) & use) != use)
        atomic_fetch_or_explicit(&series->use, use, memory_order_relaxed);
}

/* What is added while another thread sets may count as before or after it. */
static bool add_gauge(struct clew__shard *shard, struct clew__series *series, double amount)
{
    uint64_t epoch = atomic_load_explicit(&series->epoch, memory_order_acquire) & ~UINT64_C(1);
    struct clew__gauge_cell *cell = NULL;

    if (amount != amount)
        return false;
    note_use(series, CLEW__SERIES_TOUCHED | CLEW__SERIES_ADDED);
    if (shard != &clew__shared && clew__is_whole(amount))
        cell = (void *)clew__cells(shard, series->place);
    if (!cell) {
        clew__add_shared(&series->base_bits[epoch / 2 % 2], amount);
        return true;
    }
    if (clew__load(&cell->epoch) != epoch) {
        clew__store(&cell->whole, 0);
        atomic_store_explicit(&cell->epoch, epoch, memory_order_release);
    }
    clew__bump(&cell->whole, (uint64_t)(int64_t)amount);
    return true;
}

/* Whoever finds another at it leaves it to him: that one ends later, and so his
 * value is the last. */
void clew__update_set(struct clew__series *series, double value)
{
    uint64_t epoch = atomic_load_explicit(&series->epoch, memory_order_relaxed);

    if (series->metric->kind != CLEW__GAUGE && series->metric->kind != CLEW__INFO) {
        reject();
        return;
    }
    note_use(series, CLEW__SERIES_TOUCHED);
    if ((epoch & 1) || !atomic_compare_exchange_strong(&series->epoch, &epoch, epoch + 1))
        return;
    clew__store(&series->base_bits[(epoch / 2 + 1) % 2], clew__to_bits(value));
    atomic_store_explicit(&series->epoch, epoch + 2, memory_order_release);
}

/* ---- histograms ------------------------------------------------------------------------------ */

static bool observe_classic(struct clew__shard *shard, struct clew__series *series, double value,
                            const struct clew__exemplar *exemplar)
{
    struct clew__histogram_cell *cell = (void *)clew__cells(shard, series->place);
    size_t bucket;

    if (!cell)
        return false;
    if (!clew__buckets_find(series->buckets, value, &bucket))
        bucket = clew__buckets_search(series->buckets, value);
    add_double(shard, &cell->sum_bits, value);
    add_whole(shard, &cell->buckets[bucket], 1);
    if (exemplar)
        clew__exemplar_put(shard, series->place, (unsigned)bucket + 1, value, exemplar);
    return true;
}

/* Several threads must not move the buckets of the shared shard. Whoever has it
 * is done soon, unless he is the one that this signal handler interrupted. */
static bool lock_shared(void)
{
    if (has_shared)
        return false;
    has_shared = true;
    atomic_signal_fence(memory_order_seq_cst);
    while (atomic_exchange_explicit(&shared_is_locked, true, memory_order_acquire))
        (void)sched_yield();
    return true;
}

static void unlock_shared(void)
{
    atomic_store_explicit(&shared_is_locked, false, memory_order_release);
    atomic_signal_fence(memory_order_seq_cst);
    has_shared = false;
}

void clew__update_forked(void)
{
    atomic_store(&shared_is_locked, has_shared);
    atomic_store(&rejected, 0);
}

static bool observe_native(struct clew__shard *shard, struct clew__series *series, double value,
                           const struct clew__exemplar *exemplar)
{
    struct clew__native_cell *cell = (void *)clew__cells(shard, series->place);
    unsigned word;

    if (!cell || (shard == &clew__shared && !lock_shared()))
        return false;
    word = clew__native_observe(cell, series->metric, value);
    if (shard == &clew__shared)
        unlock_shared();
    if (exemplar)
        clew__exemplar_put(shard, series->place, word, value, exemplar);
    return true;
}

/* ---- in between enter and leave -------------------------------------------------------------- */

void clew__update_add(struct clew__shard *shard, struct clew__series *series, double amount,
                      const struct clew__exemplar *exemplar)
{
    bool taken = false;

    if (series->metric->kind == CLEW__COUNTER) {
        taken = add_counter(shard, series, amount);
        if (taken && exemplar)
            clew__exemplar_put(shard, series->place, 0, amount, exemplar);
    } else if (series->metric->kind == CLEW__GAUGE) {
        taken = add_gauge(shard, series, amount);
    }
    if (!taken)
        reject();
}

void clew__update_observe(struct clew__shard *shard, struct clew__series *series, double value,
                          const struct clew__exemplar *exemplar)
{
    bool taken = false;

    if (!clew__is_finite(value))
        taken = false;
    else if (__builtin_expect(series->metric->kind == CLEW__HISTOGRAM, 1))
        taken = observe_classic(shard, series, value, exemplar);
    else if (series->metric->kind == CLEW__NATIVE)
        taken = observe_native(shard, series, value, exemplar);
    if (__builtin_expect(!taken, 0))
        reject();
}

/* ---- the calls ---------------------------------------------------------------------------------
 */

static void add_any(struct clew_series *handle, double amount,
                    const struct clew__exemplar *exemplar)
{
    struct clew__shard *shard = clew__enter();

    clew__update_add(shard, clew__series(handle), amount, exemplar);
    clew__leave(shard);
}

void clew_series_add_any(struct clew_series *handle, double amount)
{
    if (handle)
        add_any(handle, amount, NULL);
}

void clew_series_add_traced(struct clew_series *handle, double amount, const uint8_t *trace_id,
                            uint64_t span_id)
{
    struct clew__exemplar exemplar;

    if (!handle)
        return;
    if (trace_id)
        clew__exemplar_begin(&exemplar, trace_id, span_id);
    add_any(handle, amount, trace_id ? &exemplar : NULL);
}

void clew_series_set(struct clew_series *handle, double value)
{
    if (handle)
        clew__update_set(clew__series(handle), value);
}

static __attribute__((noinline)) void observe_any(struct clew__series *series, double value,
                                                  const struct clew__exemplar *exemplar)
{
    struct clew__shard *shard = clew__enter();

    clew__update_observe(shard, series, value, exemplar);
    clew__leave(shard);
}

static __attribute__((noinline)) void observe_traced(struct clew__series *series, double value,
                                                     const uint8_t *trace_id, uint64_t span_id)
{
    struct clew__exemplar exemplar;

    clew__exemplar_begin(&exemplar, trace_id, span_id);
    observe_any(series, value, &exemplar);
}

/* The same for the common case, without a call or a frame: a classic histogram in
 * which the thread has observed before. */
void clew_series_observe(struct clew_series *handle, double value, const uint8_t *trace_id,
                         uint64_t span_id)
{
    struct clew__series *series = clew__series(handle);
    struct clew__shard *shard = clew__own_shard;
    struct clew__histogram_cell *cell;
    size_t bucket;
    char *chunk;

    if (!series)
        return;
    if (__builtin_expect(trace_id != NULL, 0)) {
        observe_traced(series, value, trace_id, span_id);
        return;
    }
    chunk = clew_cells.chunk[series->observed_chunk];
    if (__builtin_expect(!chunk || !clew__buckets_find(series->buckets, value, &bucket) ||
                             atomic_load_explicit(&shard->busy, memory_order_relaxed),
                         0)) {
        observe_any(series, value, NULL);
        return;
    }
    cell = (void *)(chunk + series->place.offset);
    atomic_store_explicit(&shard->busy, 1, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    clew__bump_double(&cell->sum_bits, value);
    clew__bump(&cell->buckets[bucket], 1);
    clew__leave(shard);
}
