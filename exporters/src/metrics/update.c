/* SPDX-License-Identifier: Apache-2.0
 *
 * Updates. A thread writes its own cells with plain loads and stores; nobody
 * else writes there. In the shared shard there may be several, and adding is
 * atomic. The value that a gauge was set to is with the series, and every set
 * begins a new epoch: what threads added in an older one does not count.
 */
#include "registry_priv.h"

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

/* To a word of the thread's own. */
static inline void bump(_Atomic uint64_t *word, uint64_t amount)
{
#if defined(__x86_64__)
    __asm__("addq %1, %0" : "+m"(*word) : "er"(amount));
#else
    clew__store(word, clew__load(word) + amount);
#endif
}

static inline void add_whole(const struct clew__shard *shard, _Atomic uint64_t *word,
                             uint64_t amount)
{
    if (shard == &clew__shared)
        atomic_fetch_add_explicit(word, amount, memory_order_relaxed);
    else
        bump(word, amount);
}

/* The same for a double. As an atomic it would pass through integer registers,
 * which is most of what adding costs; aligned words are read and written whole
 * in any case. */
static inline void bump_double(_Atomic uint64_t *bits, double amount)
{
#if defined(__SANITIZE_THREAD__)
    clew__store(bits, clew__to_bits(clew__to_double(clew__load(bits)) + amount));
#else
    typedef double __attribute__((may_alias)) aliasing;
    volatile aliasing *v = (volatile aliasing *)(void *)bits;

    *v = *v + amount;
#endif
}

static inline void add_double(const struct clew__shard *shard, _Atomic uint64_t *bits,
                              double amount)
{
    if (shard == &clew__shared)
        clew__add_shared(bits, amount);
    else
        bump_double(bits, amount);
}

static inline bool is_whole(double v)
{
    return v > -CLEW__WHOLE_MAX && v < CLEW__WHOLE_MAX && v == (double)(int64_t)v;
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
    if (is_whole(amount))
        add_whole(shard, &cell->whole, (uint64_t)amount);
    else
        add_double(shard, &cell->fraction_bits, amount);
    return true;
}

/* ---- gauges -------------------------------------------------------------------------------- */

static inline void flag_up(_Atomic bool *flag)
{
    if (!atomic_load_explicit(flag, memory_order_relaxed))
        atomic_store_explicit(flag, true, memory_order_relaxed);
}

/* What is added while another thread sets may count as before or after it. */
static bool add_gauge(struct clew__shard *shard, struct clew__series *series, double amount)
{
    uint64_t epoch = atomic_load_explicit(&series->epoch, memory_order_acquire) & ~UINT64_C(1);
    struct clew__gauge_cell *cell = NULL;

    if (amount != amount)
        return false;
    flag_up(&series->touched);
    flag_up(&series->added);
    if (shard != &clew__shared && is_whole(amount))
        cell = (void *)clew__cells(shard, series->place);
    if (!cell) {
        clew__add_shared(&series->base_bits[epoch / 2 % 2], amount);
        return true;
    }
    if (clew__load(&cell->epoch) != epoch) {
        clew__store(&cell->whole, 0);
        atomic_store_explicit(&cell->epoch, epoch, memory_order_release);
    }
    bump(&cell->whole, (uint64_t)(int64_t)amount);
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
    flag_up(&series->touched);
    if ((epoch & 1) || !atomic_compare_exchange_strong(&series->epoch, &epoch, epoch + 1))
        return;
    clew__store(&series->base_bits[(epoch / 2 + 1) % 2], clew__to_bits(value));
    atomic_store_explicit(&series->epoch, epoch + 2, memory_order_release);
}

/* ---- histograms ------------------------------------------------------------------------------ */

/* The first bucket whose bound is not below the value: all bounds are compared,
 * a few at a time, without a branch that depends on them. Where there are many,
 * halves that it cannot be in are left out first. */
static inline size_t find_bucket(const struct clew__series *series, double value)
{
    typedef double pair __attribute__((vector_size(16)));
    typedef int64_t pair_of_int __attribute__((vector_size(16)));
    const double *bounds = __builtin_assume_aligned(series->bounds, 16);
    size_t n = series->nbounds, below = 0;
    pair v = {value, value};
    pair_of_int sum = {0, 0}, sum2 = {0, 0};

    while (n - below > 24) {
        size_t half = (n - below) / 2 & ~(size_t)1;

        if (value > bounds[below + half - 1])
            below += half;
        else
            n = below + half;
    }
    for (size_t i = below; i < n; i += CLEW__BOUNDS_STEP) {
        const pair *p = (const pair *)(const void *)(bounds + i);

        sum -= (pair_of_int)(v > p[0]);
        sum2 -= (pair_of_int)(v > p[1]);
    }
    sum += sum2;
    return below + (size_t)(sum[0] + sum[1]);
}

static bool observe_classic(struct clew__shard *shard, struct clew__series *series, double value,
                            const uint8_t *trace_id, uint64_t span_id)
{
    struct clew__histogram_cell *cell = (void *)clew__cells(shard, series->place);
    size_t bucket = find_bucket(series, value);

    if (!cell)
        return false;
    add_double(shard, &cell->sum_bits, value);
    add_whole(shard, &cell->buckets[bucket], 1);
    if (trace_id)
        clew__exemplar_put(shard, series->place, (unsigned)bucket + 1, value, trace_id, span_id);
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
                           const uint8_t *trace_id, uint64_t span_id)
{
    struct clew__native_cell *cell = (void *)clew__cells(shard, series->place);
    unsigned word;

    if (!cell || (shard == &clew__shared && !lock_shared()))
        return false;
    word = clew__native_observe(cell, series->metric, value);
    if (shard == &clew__shared)
        unlock_shared();
    if (trace_id)
        clew__exemplar_put(shard, series->place, word, value, trace_id, span_id);
    return true;
}

/* ---- in between enter and leave -------------------------------------------------------------- */

void clew__update_add(struct clew__shard *shard, struct clew__series *series, double amount)
{
    bool taken = false;

    if (series->metric->kind == CLEW__COUNTER)
        taken = add_counter(shard, series, amount);
    else if (series->metric->kind == CLEW__GAUGE)
        taken = add_gauge(shard, series, amount);
    if (!taken)
        reject();
}

void clew__update_trace(struct clew__shard *shard, struct clew__series *series, double amount,
                        const uint8_t *trace_id, uint64_t span_id)
{
    clew__update_add(shard, series, amount);
    if (trace_id && series->metric->kind == CLEW__COUNTER && amount >= 0)
        clew__exemplar_put(shard, series->place, 0, amount, trace_id, span_id);
}

void clew__update_observe(struct clew__shard *shard, struct clew__series *series, double value,
                          const uint8_t *trace_id, uint64_t span_id)
{
    bool taken = false;

    if (!clew__is_finite(value))
        taken = false;
    else if (__builtin_expect(series->metric->kind == CLEW__HISTOGRAM, 1))
        taken = observe_classic(shard, series, value, trace_id, span_id);
    else if (series->metric->kind == CLEW__NATIVE)
        taken = observe_native(shard, series, value, trace_id, span_id);
    if (__builtin_expect(!taken, 0))
        reject();
}

/* ---- updates that are known --------------------------------------------------------------------
 */

enum { ADD, SET, OBSERVE, COUNT, UP_OR_DOWN, OBSERVE_CLASSIC };

struct clew__update clew__update_new(struct clew__series *series, enum clew__update_to to,
                                     double factor, uint8_t value)
{
    static const uint8_t hows[] = {
        [CLEW__UPDATE_ADD] = ADD, [CLEW__UPDATE_SET] = SET, [CLEW__UPDATE_OBSERVE] = OBSERVE};
    bool is_constant = value == CLEW__UPDATE_ONE && is_whole(factor);
    struct clew__update update = {series, factor, 0, hows[to], value};

    if (is_constant)
        update.whole = (uint64_t)(int64_t)factor;
    if (to == CLEW__UPDATE_ADD && is_constant && factor >= 0 &&
        series->metric->kind == CLEW__COUNTER)
        update.how = COUNT;
    else if (to == CLEW__UPDATE_ADD && is_constant && series->metric->kind == CLEW__GAUGE)
        update.how = UP_OR_DOWN;
    else if (to == CLEW__UPDATE_OBSERVE && series->metric->kind == CLEW__HISTOGRAM)
        update.how = OBSERVE_CLASSIC;
    return update;
}

/* The three that most are, in cells that the thread has written before; false:
 * it takes the long way. */
static inline bool update_shortly(struct clew__shard *shard, const struct clew__update *update,
                                  double value)
{
    struct clew__series *series = update->series;
    char *chunk = atomic_load_explicit(&shard->cells[series->place.chunk], memory_order_relaxed);
    char *at = chunk + series->place.offset;
    struct clew__gauge_cell *gauge = (void *)at;
    struct clew__histogram_cell *histogram = (void *)at;

    if (__builtin_expect(!chunk, 0))
        return false;
    switch (update->how) {
    case COUNT:
        bump(&((struct clew__counter_cell *)(void *)at)->whole, update->whole);
        return true;
    case UP_OR_DOWN:
        if (atomic_load_explicit(&series->epoch, memory_order_acquire) !=
                clew__load(&gauge->epoch) ||
            !atomic_load_explicit(&series->touched, memory_order_relaxed) ||
            !atomic_load_explicit(&series->added, memory_order_relaxed))
            return false;
        bump(&gauge->whole, update->whole);
        return true;
    case OBSERVE_CLASSIC:
        if (!clew__is_finite(value))
            return false;
        bump_double(&histogram->sum_bits, value);
        bump(&histogram->buckets[find_bucket(series, value)], 1);
        return true;
    default:
        return false;
    }
}

static __attribute__((noinline)) void update_any(struct clew__shard *shard,
                                                 const struct clew__update *update, double value,
                                                 const uint8_t *trace_id, uint64_t span_id)
{
    switch (update->how) {
    case SET:
        clew__update_set(update->series, value);
        break;
    case OBSERVE:
    case OBSERVE_CLASSIC:
        clew__update_observe(shard, update->series, value, trace_id, span_id);
        break;
    default:
        clew__update_trace(shard, update->series, value, trace_id, span_id);
        break;
    }
}

bool clew__update_all(struct clew__shard *shard, const struct clew__update *updates, size_t n,
                      const double *values, const bool *numbers, const uint8_t *trace_id,
                      uint64_t span_id)
{
    bool is_short = shard != &clew__shared, any = false;

    for (const struct clew__update *update = updates, *end = updates + n; update < end; update++) {
        double value = update->factor;

        if (update->value != CLEW__UPDATE_ONE) {
            if (!numbers[update->value])
                continue;
            value *= values[update->value];
        }
        any = true;
        if (!is_short || (trace_id && update->how != UP_OR_DOWN) ||
            !update_shortly(shard, update, value))
            update_any(shard, update, value, trace_id, span_id);
    }
    return any;
}

/* ---- the calls ---------------------------------------------------------------------------------
 */

void clew_series_add_any(struct clew_series *handle, double amount)
{
    struct clew__shard *shard;

    if (!handle)
        return;
    shard = clew__enter();
    clew__update_add(shard, clew__series(handle), amount);
    clew__leave(shard);
}

void clew_series_add_traced(struct clew_series *handle, double amount, const uint8_t *trace_id,
                            uint64_t span_id)
{
    struct clew__shard *shard;

    if (!handle)
        return;
    shard = clew__enter();
    clew__update_trace(shard, clew__series(handle), amount, trace_id, span_id);
    clew__leave(shard);
}

void clew_series_set(struct clew_series *handle, double value)
{
    if (handle)
        clew__update_set(clew__series(handle), value);
}

static __attribute__((noinline)) void observe_any(struct clew__series *series, double value,
                                                  const uint8_t *trace_id, uint64_t span_id)
{
    struct clew__shard *shard = clew__enter();

    clew__update_observe(shard, series, value, trace_id, span_id);
    clew__leave(shard);
}

/* The same for the common case, without a call: a classic histogram in which
 * the thread has observed before. */
void clew_series_observe(struct clew_series *handle, double value, const uint8_t *trace_id,
                         uint64_t span_id)
{
    struct clew__series *series = clew__series(handle);
    struct clew__shard *shard = clew__own_shard;
    struct clew__histogram_cell *cell;
    char *chunk;

    if (!series)
        return;
    chunk = clew_cells.chunk[series->observed_chunk];
    if (__builtin_expect(!chunk || !clew__is_finite(value) || trace_id ||
                             atomic_load_explicit(&shard->busy, memory_order_relaxed),
                         0)) {
        observe_any(series, value, trace_id, span_id);
        return;
    }
    cell = (void *)(chunk + series->place.offset);
    atomic_store_explicit(&shard->busy, 1, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    bump_double(&cell->sum_bits, value);
    bump(&cell->buckets[find_bucket(series, value)], 1);
    atomic_store_explicit(&shard->busy, 0, memory_order_release);
}
