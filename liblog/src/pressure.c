/* SPDX-License-Identifier: Apache-2.0
 *
 * A full ring. Waiting for the collector would cost milliseconds whenever it
 * is not running, and one collector cannot keep up with many threads. So the
 * thread empties a part of its ring itself, as much as one write to the output
 * takes, and says that it does ("crowded") so that the collector looks after the
 * others. Where it cannot (the output is a pipe that nobody reads, or a sink
 * wants the lines in the collector's thread) it waits, bounded, and only once
 * for the same stop: a dead output costs one wait, not one a call.
 */
#include "pressure_priv.h"

#include "empty_priv.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CROWDED_NS 3000000u
#define WAIT_NS 1000000u

static uint64_t tail_of(const struct clew__ring *ring)
{
    return atomic_load_explicit(&ring->control->tail, memory_order_acquire) & ~UINT64_C(7);
}

bool clew__ring_is_crowded(struct clew__ring *ring, uint64_t now_ns)
{
    uint64_t since = atomic_load_explicit(&ring->crowded_ns, memory_order_relaxed);

    if (since && (int64_t)(now_ns - since) >= (int64_t)CROWDED_NS)
        atomic_compare_exchange_strong(&ring->crowded_ns, &since, 0);
    return since && (int64_t)(now_ns - since) < (int64_t)CROWDED_NS;
}

void clew__ring_moved(struct clew__ring *ring)
{
    if (atomic_load(&ring->waiting) && atomic_exchange(&ring->waiting, 0))
        (void)syscall(SYS_futex, &ring->waiting, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, NULL, NULL, 0);
}

static void wait_for_tail(struct clew__ring *ring, uint64_t until)
{
    struct timespec timeout = {0, WAIT_NS};

    clew__collector_wake();
    atomic_store(&ring->waiting, 1);
    if (tail_of(ring) < until)
        (void)syscall(SYS_futex, &ring->waiting, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 1, &timeout, NULL,
                      0);
    atomic_store(&ring->waiting, 0);
}

static bool make_room(struct clew__ring *ring, uint64_t until)
{
    uint64_t deadline = clew__monotonic_ns() + clew__config.block_ms * UINT64_C(1000000), now;

    do {
        now = clew__monotonic_ns();
        if (clew__may_help()) {
            atomic_store_explicit(&ring->crowded_ns, now, memory_order_relaxed);
            if (!clew__help(ring))
                wait_for_tail(ring, until);
        } else {
            wait_for_tail(ring, until);
        }
        ring->tail_seen = tail_of(ring);
        if (ring->tail_seen >= until)
            return true;
    } while (now < deadline);
    ring->stalled_at = ring->tail_seen + 1;
    return false;
}

/* The bytes that were withheld. A failure is not tried again by this thread: the
 * collector does, now and then. */
static bool back(struct clew__ring *ring)
{
    int saved = errno;
    bool backed = ring->stalled_at != ring->tail_seen + 1 && !clew__self.locks &&
                  clew__file_back_ring(ring) == 0;

    errno = saved;
    if (backed)
        ring->tail_seen = clew__ring_tail(ring);
    else
        ring->stalled_at = ring->tail_seen + 1;
    return backed;
}

bool clew__make_room(struct clew__ring *ring, uint64_t end, uint64_t usable)
{
    int saved = errno, cancel;
    bool made;

    if (atomic_load_explicit(&ring->withheld, memory_order_relaxed)) {
        if (!back(ring))
            return false;
        if (end - ring->tail_seen <= usable)
            return true;
    }
    if (!clew__may_help())
        clew__collector_wake();
    if (clew__config.block_ms == 0 || clew__in_collector() || !ring->nested ||
        ring->stalled_at == ring->tail_seen + 1)
        return false;
    /* Whoever cancels the thread must not find it with a lock in its hands. */
    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
    made = make_room(ring, end - usable);
    (void)pthread_setcancelstate(cancel, NULL);
    errno = saved;
    return made;
}
