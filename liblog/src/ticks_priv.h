/* SPDX-License-Identifier: Apache-2.0
 * Time stamps of the caller: the invariant TSC where there is one, else
 * CLOCK_REALTIME in nanoseconds. */
#ifndef CLEW_TICKS_PRIV_H
#define CLEW_TICKS_PRIV_H

#include "ringfile_priv.h"

#include <time.h>
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

extern bool clew__ticks_from_tsc;

static inline uint64_t clew__realtime_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline uint64_t clew__ticks(void)
{
#if defined(__x86_64__)
    if (__builtin_expect(clew__ticks_from_tsc, 1))
        return __rdtsc();
#endif
    return clew__realtime_ns();
}

/* Makes a first, rough clock, from what it is now and was some 50 us ago: the
 * sooner the beginning, the less there is to wait for. Once per process each. */
void clew__ticks_begin(void);
void clew__ticks_init(struct clew__clock *ret_clock);
/* Makes the clock better from a longer base; follows steps of the wall clock. */
void clew__ticks_calibrate(struct clew__clock *clock);

static inline uint64_t clew__ticks_to_ns(const struct clew__clock *clock, uint64_t ticks)
{
    __int128 delta = (__int128)((int64_t)(ticks - clock->ticks0)) * (__int128)clock->mult;

    return clock->ns0 + (uint64_t)(int64_t)(delta >> 32);
}

#endif
