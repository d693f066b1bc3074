/* SPDX-License-Identifier: Apache-2.0
 *
 * Words that threads share: one writes, others read.
 */
#ifndef CLEW_WORDS_H
#define CLEW_WORDS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static inline double clew__to_double(uint64_t bits)
{
    double v;

    memcpy(&v, &bits, 8);
    return v;
}

static inline uint64_t clew__to_bits(double v)
{
    uint64_t bits;

    memcpy(&bits, &v, 8);
    return bits;
}

static inline uint64_t clew__load(const _Atomic uint64_t *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

static inline void clew__store(_Atomic uint64_t *word, uint64_t v)
{
    atomic_store_explicit(word, v, memory_order_relaxed);
}

/* To a double that others may add to as well. */
static inline void clew__add_shared(_Atomic uint64_t *bits, double amount)
{
    uint64_t old = clew__load(bits);

    while (!atomic_compare_exchange_weak_explicit(bits, &old,
                                                  clew__to_bits(clew__to_double(old) + amount),
                                                  memory_order_relaxed, memory_order_relaxed))
        ;
}

static inline bool clew__is_finite(double v)
{
    return __builtin_fabs(v) <= 1.7976931348623157e308;
}

#if defined(__SANITIZE_THREAD__)
/* ThreadSanitizer does not know fences; a locked instruction orders as well. */
static inline void clew__fence(void)
{
    static _Atomic int any;

    (void)atomic_fetch_add(&any, 0);
}
#define clew__fence_release clew__fence
#define clew__fence_acquire clew__fence
#else
#define clew__fence_release() atomic_thread_fence(memory_order_release)
#define clew__fence_acquire() atomic_thread_fence(memory_order_acquire)
#endif

#endif
