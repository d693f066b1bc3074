/* SPDX-License-Identifier: Apache-2.0
 *
 * Ticks to wall-clock time. The counter's rate is measured against
 * CLOCK_REALTIME over an ever longer base; records are converted shortly after
 * they were written, so even the first rough rate is good to microseconds.
 * Collector thread only, but for the beginning.
 */
#include "ticks_priv.h"

#include <cpu.h>

bool clew__ticks_from_tsc;

struct pair {
    uint64_t ticks;
    uint64_t ns;
};

static struct pair base;      /* where the measured stretch begins */
static uint64_t rate_from_ns; /* until then the stretch is too short: the old rate is better */

/* Before main(), so that every thread that ever reads the ticks agrees. */
__attribute__((constructor)) static void choose_source(void)
{
    clew__ticks_from_tsc = clew__cpu_has_steady_tsc();
}

/* The narrowest of a few readings: wall clock between two counter reads. */
static struct pair read_pair(void)
{
    struct pair best = {0, 0};
    uint64_t narrowest = UINT64_MAX;

    for (int i = 0; i < 4; i++) {
        uint64_t before = clew__ticks();
        uint64_t ns = clew__realtime_ns();
        uint64_t after = clew__ticks();

        if (after - before < narrowest) {
            narrowest = after - before;
            best = (struct pair){before + (after - before) / 2, ns};
        }
    }
    return best;
}

static uint64_t rate(const struct pair *from, const struct pair *to)
{
    return (uint64_t)(((unsigned __int128)(to->ns - from->ns) << 32) / (to->ticks - from->ticks));
}

void clew__ticks_begin(void)
{
    base = read_pair();
}

void clew__ticks_init(struct clew__clock *ret_clock)
{
    struct pair now;

    if (!clew__ticks_from_tsc) {
        *ret_clock = (struct clew__clock){0, 0, UINT64_C(1) << 32};
        return;
    }
    do
        now = read_pair();
    while (now.ns - base.ns < 50000 || now.ticks == base.ticks);
    *ret_clock = (struct clew__clock){now.ticks, now.ns, rate(&base, &now)};
}

void clew__ticks_calibrate(struct clew__clock *clock)
{
    struct pair now;
    int64_t off;

    if (!clew__ticks_from_tsc)
        return;
    now = read_pair();
    if (now.ticks <= base.ticks)
        return;
    off = (int64_t)(now.ns - clew__ticks_to_ns(clock, now.ticks));
    if (off > 5000000 || off < -5000000 || now.ns <= base.ns) {
        /* The wall clock was set: keep the rate, take the new time. */
        base = now;
        rate_from_ns = now.ns + 1000000000u;
    }
    *clock = (struct clew__clock){now.ticks, now.ns,
                                  now.ns >= rate_from_ns ? rate(&base, &now) : clock->mult};
    if (now.ns - base.ns > UINT64_C(600000000000)) {
        base = now; /* slewing changes the rate: forget the distant past */
        rate_from_ns = now.ns + 1000000000u;
    }
}
