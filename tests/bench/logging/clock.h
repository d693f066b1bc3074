/* SPDX-License-Identifier: Apache-2.0
 * Ticks that cost little to read. On x86-64 the time stamp counter between two
 * fences: what came before is done, what comes after has not begun. */
#ifndef CLEW_BENCH_CLOCK_H
#define CLEW_BENCH_CLOCK_H

#include <stdint.h>

/* A wait of 0 to about 20 ns, another for each i. The counter may advance in
 * steps of 10 ns; calls that began right after a step each time would all be
 * measured too short. */
static inline void clock_dither(int i)
{
    for (unsigned n = (unsigned)i * 2654435761u >> 26; n > 0; n--)
        __asm__ volatile("");
}

#if defined(__x86_64__)
#include <x86intrin.h>

static inline uint64_t clock_fenced(void)
{
    uint64_t t;

    _mm_lfence();
    t = __rdtsc();
    _mm_lfence();
    return t;
}

static inline uint64_t clock_ticks(void)
{
    return __rdtsc();
}

#else
#include <time.h>

static inline uint64_t clock_ticks(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline uint64_t clock_fenced(void)
{
    return clock_ticks();
}
#endif

#endif
