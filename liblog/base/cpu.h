/* SPDX-License-Identifier: Apache-2.0
 * What the processor can do. libc asked it when the program was loaded: asking
 * again would cost an exit to the hypervisor each time in a virtual machine, and
 * programs that run for a millisecond feel it. */
#ifndef CLEW_BASE_CPU_H
#define CLEW_BASE_CPU_H

#include <stdbool.h>

#if defined(__x86_64__)
#if __has_include(<sys/platform/x86.h>)
#include <sys/platform/x86.h>
#else /* a libc that does not say */
#include <cpuid.h>
#define CLEW__ASK_CPU
#endif
#endif

/* AVX2, and BMI1 and BMI2, which came with it. Known before main() begins: see cpu.c. */
extern bool clew__avx2;

static inline bool clew__cpu_has_avx2(void)
{
#if defined(CLEW__ASK_CPU)
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
           __builtin_cpu_supports("bmi2");
#elif defined(__x86_64__)
    return CPU_FEATURE_ACTIVE(AVX2) && CPU_FEATURE_ACTIVE(BMI1) && CPU_FEATURE_ACTIVE(BMI2);
#else
    return false;
#endif
}

/* A time stamp counter of one rate, whatever the power state. */
static inline bool clew__cpu_has_steady_tsc(void)
{
#if defined(CLEW__ASK_CPU)
    unsigned a, b, c, d;

    return __get_cpuid(0x80000007, &a, &b, &c, &d) && (d & (1u << 8));
#elif defined(__x86_64__)
    return CPU_FEATURE_PRESENT(INVARIANT_TSC);
#else
    return false;
#endif
}

#endif
