/* SPDX-License-Identifier: Apache-2.0
 *
 * How a thread writes its own cells, as the files named update*.c share it. Nobody
 * else writes there.
 */
#ifndef CLEW_UPDATE_PRIV_H
#define CLEW_UPDATE_PRIV_H

#include "registry_priv.h"

static inline void clew__bump(_Atomic uint64_t *word, uint64_t amount)
{
#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)
    __asm__("addq %1, %0" : "+m"(*word) : "er"(amount));
#else
    clew__store(word, clew__load(word) + amount);
#endif
}

/* The same for a double. As an atomic it would pass through integer registers,
 * which is most of what adding costs; aligned words are read and written whole
 * in any case. */
static inline void clew__bump_double(_Atomic uint64_t *bits, double amount)
{
#if defined(__SANITIZE_THREAD__)
    clew__store(bits, clew__to_bits(clew__to_double(clew__load(bits)) + amount));
#else
    typedef double __attribute__((may_alias)) aliasing;
    volatile aliasing *v = (volatile aliasing *)(void *)bits;

    *v = *v + amount;
#endif
}

/* Whether adding it as an integer is the same. */
static inline bool clew__is_whole(double v)
{
    return v > -CLEW__WHOLE_MAX && v < CLEW__WHOLE_MAX && v == (double)(int64_t)v;
}

#endif
