/* SPDX-License-Identifier: Apache-2.0
 * The clock's rate and cost, order statistics. */
#include "bench.h"
#include "clock.h"

#include <stdlib.h>
#include <time.h>

#define READINGS 10001

static double ns_per_tick = 1;

static double now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

void bench_clock_calibrate(void)
{
    double ns = now_ns();
    uint64_t ticks = clock_fenced();
    const struct timespec pause = {0, 200000000};

    nanosleep(&pause, NULL);
    ns = now_ns() - ns;
    ns_per_tick = ns / (double)(clock_fenced() - ticks);
}

double bench_ns(double ticks)
{
    return ticks * ns_per_tick;
}

static uint64_t gcd(uint64_t a, uint64_t b)
{
    return b ? gcd(b, a % b) : a;
}

/* By how many ticks the counter advances at once. */
static uint64_t clock_step(void)
{
    uint64_t step = 0, last = clock_ticks();

    for (int i = 0; i < READINGS; i++) {
        uint64_t now = clock_ticks();

        step = gcd(now - last, step);
        last = now;
    }
    return step ? step : 1;
}

double bench_clock_step(void)
{
    static uint64_t step;

    if (step == 0)
        step = clock_step();
    return (double)step;
}

/* The mean of those that nothing interrupted. */
double bench_clock_cost(void)
{
    static uint64_t each[READINGS];
    double sum = 0, n = 0;
    uint64_t most;

    for (int i = 0; i < READINGS; i++) {
        uint64_t before;

        clock_dither(i);
        before = clock_fenced();
        each[i] = clock_fenced() - before;
    }
    most = 2 * bench_select(each, READINGS, READINGS * 9 / 10);
    for (int i = 0; i < READINGS; i++)
        if (each[i] <= most) {
            sum += (double)each[i];
            n++;
        }
    return sum / n;
}

/* Hoare's selection. */
uint64_t bench_select(uint64_t *values, size_t n, size_t k)
{
    size_t low = 0, high = n - 1;

    while (low < high) {
        uint64_t pivot = values[low + (high - low) / 2];
        size_t i = low, j = high;

        for (;;) {
            while (values[i] < pivot)
                i++;
            while (values[j] > pivot)
                j--;
            if (i >= j)
                break;
            uint64_t swap = values[i];
            values[i++] = values[j];
            values[j--] = swap;
        }
        if (k <= j)
            high = j;
        else
            low = j + 1;
    }
    return values[k];
}

/* All that were measured alike lie evenly within one step of the counter. */
double bench_quantile(uint64_t *values, size_t n, double q)
{
    size_t k = (size_t)((double)(n - 1) * q), below = 0, same = 0;
    uint64_t value = bench_select(values, n, k);

    for (size_t i = 0; i < n; i++) {
        below += values[i] < value;
        same += values[i] == value;
    }
    return (double)value + bench_clock_step() * (((double)(k - below) + 0.5) / (double)same - 0.5);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

double bench_median(double *values, int n)
{
    qsort(values, (size_t)n, sizeof(*values), by_value);
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}
