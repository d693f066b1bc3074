/* SPDX-License-Identifier: Apache-2.0
 * The measuring loops around peer_log(), which the file that includes this has
 * defined. C11 and C++17. */
#ifndef CLEW_BENCH_LOOPS_H
#define CLEW_BENCH_LOOPS_H

#include "clock.h"
#include "peer.h"

#include <time.h>

static void loop_paced(uint64_t *each, int n, uint64_t gap)
{
    for (int i = 0; i < n; i++) {
        uint64_t before;

        clock_dither(i);
        before = clock_fenced();
        peer_log(i);
        each[i] = clock_fenced() - before;
        while (clock_ticks() - before < gap)
            ;
    }
}

static void loop_bursts(uint64_t *each, int n)
{
    const struct timespec pause = {0, 1000000};

    for (int i = 0; i < n; i++) {
        uint64_t before;

        nanosleep(&pause, NULL);
        before = clock_fenced();
        for (int j = 0; j < BENCH_BURST; j++)
            peer_log(j);
        each[i] = clock_fenced() - before;
    }
}

static void loop_plain(int first, int n)
{
    for (int i = first; i < first + n; i++)
        peer_log(i);
}

/* One reading a call and no fence: it shall not slow the loop down, and what is
 * looked for here lasts microseconds. */
static void loop_timed(uint64_t *each, int first, int n)
{
    uint64_t before = clock_ticks();

    for (int i = 0; i < n; i++) {
        uint64_t after;

        peer_log(first + i);
        after = clock_ticks();
        each[i] = after - before;
        before = after;
    }
}

static void loop_endless(uint64_t *done, int first, uint64_t gap)
{
    uint64_t next = clock_ticks();

    for (int i = first;; i++) {
        peer_log(i);
        __atomic_store_n(done, (uint64_t)i, __ATOMIC_RELEASE);
        next += gap;
        while ((int64_t)(clock_ticks() - next) < 0)
            ;
    }
}

static const struct loops peer_loops = {loop_paced, loop_bursts, loop_plain, loop_timed,
                                        loop_endless};

#endif
