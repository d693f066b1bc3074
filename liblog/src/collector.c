/* SPDX-License-Identifier: Apache-2.0
 *
 * The collector: one thread that empties all rings, merging them by their time
 * stamps, and hands the lines to the outputs and the sinks.
 *
 * A pass notes how far each ring was written and merges up to there, in batches;
 * a ring whose thread empties it itself is left alone until that ends. Between
 * passes it sleeps, longer the less there is to do; a thread wakes it for an
 * error or when its ring is half full. Order is exact within a thread; between
 * threads it is exact for what one pass saw, and approximate while rings are
 * full.
 */
#include "crash_priv.h"
#include "empty_priv.h"
#include "pressure_priv.h"
#include "target_priv.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SLEEP_MIN_NS 1000000u
#define SLEEP_MAX_NS 50000000u

static pthread_t thread;
static _Atomic bool running;
static _Atomic bool stopping;
static _Atomic uint32_t sleeping; /* the futex */
static __thread bool in_collector CLEW__TLS_MODEL;

static pthread_mutex_t flush_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t flush_cond;
static _Atomic uint64_t flush_wanted;
static uint64_t flush_done; /* under flush_lock, and so is: */
static bool ended;

bool clew__in_collector(void)
{
    return in_collector;
}

/* ---- one pass ---------------------------------------------------------------- */

/* A ring whose thread ended is free once it and its nested one are empty. */
static bool is_empty(const struct clew__ring *ring)
{
    return __atomic_load_n(&ring->control->head, __ATOMIC_ACQUIRE) ==
           (atomic_load_explicit(&ring->control->tail, memory_order_acquire) & ~UINT64_C(7));
}

static void free_orphans(void)
{
    struct clew__ring *ring = atomic_load_explicit(&clew__rings, memory_order_acquire);

    for (; ring; ring = ring->next)
        if (atomic_load_explicit(&ring->state, memory_order_acquire) == CLEW__RING_ORPHAN &&
            is_empty(ring) && is_empty(ring->nested))
            atomic_store_explicit(&ring->state, CLEW__RING_FREE, memory_order_release);
}

/* Takes hold of the rings that have something, up to what they have now. */
static size_t look(struct clew__ring *found[CLEW__CHUNKS_MAX], bool all)
{
    struct clew__ring *ring = atomic_load_explicit(&clew__rings, memory_order_acquire);
    uint64_t now = clew__monotonic_ns();
    size_t n = 0;

    for (; ring; ring = ring->next) {
        if ((!all && clew__ring_is_crowded(ring, now)) || n == CLEW__CHUNKS_MAX || is_empty(ring) ||
            !clew__ring_try_lock(ring))
            continue;
        ring->limit = __atomic_load_n(&ring->control->head, __ATOMIC_ACQUIRE);
        if (ring->read == ring->limit) {
            clew__ring_unlock(ring);
            continue;
        }
        ring->next_ticks = clew__ring_record(ring)->ticks;
        found[n++] = ring;
    }
    return n;
}

/* The ring with the oldest record, and until when it stays the oldest. */
static size_t oldest(struct clew__ring *const rings[], size_t n, uint64_t *ret_until)
{
    size_t best = 0;
    uint64_t second = UINT64_MAX;

    for (size_t i = 1; i < n; i++) {
        if (rings[i]->next_ticks < rings[best]->next_ticks) {
            second = rings[best]->next_ticks;
            best = i;
        } else if (rings[i]->next_ticks < second) {
            second = rings[i]->next_ticks;
        }
    }
    *ret_until = second;
    return best;
}

static struct clew__ring *active[CLEW__CHUNKS_MAX]; /* of the pass */

/* Writes the batch and lets go of rings whose threads help themselves by now. */
static size_t end_batch(struct clew__batch *batch, size_t n, bool all)
{
    uint64_t now = clew__monotonic_ns();

    clew__batch_end(batch);
    for (size_t i = 0; i < n && !all;) {
        if (clew__ring_is_crowded(active[i], now)) {
            clew__ring_unlock(active[i]);
            active[i] = active[--n];
        } else {
            i++;
        }
    }
    if (n > 0)
        clew__batch_begin(batch);
    return n;
}

/* Takes from the oldest ring as long as it is the oldest, or the batch is full;
 * true when that emptied it. */
static bool take_from(struct clew__batch *batch, struct clew__ring *ring, uint64_t until)
{
    do {
        if (!clew__batch_take(batch, ring)) { /* no memory: what is left is lost */
            CLEW__COUNT_ONE(output);
            clew__ring_advance(ring, clew__record_size(clew__ring_record(ring)));
        }
        if (ring->read == ring->limit)
            return true;
        ring->next_ticks = clew__ring_record(ring)->ticks;
    } while (ring->next_ticks <= until && !clew__batch_is_full(batch));
    return false;
}

/* Empties the rings up to where they are now; false when there was nothing. */
static bool pass(bool all)
{
    struct clew__batch *batch = clew__batch_of_collector();
    size_t n = batch ? look(active, all) : 0;

    if (n == 0)
        return false;
    clew__clock_calibrate();
    clew__batch_begin(batch);
    while (n > 0) {
        uint64_t until;
        size_t best = oldest(active, n, &until);

        if (take_from(batch, active[best], until))
            active[best] = active[--n];
        if (n == 0 || clew__batch_is_full(batch))
            n = end_batch(batch, n, all);
    }
    return true;
}

/* Who logs will log more: storage for all of its ring before it needs it. */
static void back_rings(void)
{
    struct clew__ring *ring = atomic_load_explicit(&clew__rings, memory_order_acquire);

    for (; ring; ring = ring->next)
        if (atomic_load_explicit(&ring->withheld, memory_order_relaxed) &&
            __atomic_load_n(&ring->control->head, __ATOMIC_RELAXED) > 0)
            (void)clew__file_back_ring(ring);
}

/* ---- the thread ---------------------------------------------------------------- */

/* Says in the log itself what the log lost, at most once a second, and not
 * before the outputs take lines again. */
static void report_drops(bool now)
{
    static uint64_t told, told_at_ns;
    uint64_t t = clew__monotonic_ns();
    struct clew_stats s;
    uint64_t total;

    if (!now && (t - told_at_ns < 1000000000u || clew__targets_failing()))
        return;
    clew_stats_read(&s);
    total = s.dropped_ring_full + s.dropped_no_ring + s.dropped_nested + s.dropped_space +
            s.dropped_closed + s.dropped_output + s.dropped_sinks;
    if (total == told)
        return;
    clew_warn("log records dropped", clew_kv("since_last", total - told),
              clew_kv("ring_full", s.dropped_ring_full), clew_kv("no_ring", s.dropped_no_ring),
              clew_kv("nested", s.dropped_nested), clew_kv("no_space", s.dropped_space),
              clew_kv("closed", s.dropped_closed), clew_kv("output", s.dropped_output),
              clew_kv("sinks", s.dropped_sinks));
    told = total;
    told_at_ns = t;
}

static bool any_half_full(void)
{
    struct clew__ring *ring = atomic_load_explicit(&clew__rings, memory_order_acquire);
    uint64_t now = clew__monotonic_ns();

    for (; ring; ring = ring->next)
        if (__atomic_load_n(&ring->control->head, __ATOMIC_SEQ_CST) -
                    (atomic_load(&ring->control->tail) & ~UINT64_C(7)) >
                ring->size / 2 &&
            !clew__ring_is_crowded(ring, now))
            return true;
    return false;
}

static void futex(int operation, uint32_t value, const struct timespec *timeout)
{
    (void)syscall(SYS_futex, &sleeping, operation | FUTEX_PRIVATE_FLAG, value, timeout, NULL, 0);
}

void clew__collector_wake(void)
{
    int saved = errno;

    if (atomic_load_explicit(&sleeping, memory_order_relaxed) && atomic_exchange(&sleeping, 0))
        futex(FUTEX_WAKE, 1, NULL);
    errno = saved;
}

static void sleep_for(uint64_t ns, uint64_t flushed)
{
    struct timespec timeout = {0, (long)ns};

    atomic_store(&sleeping, 1);
    if (!any_half_full() && !atomic_load(&stopping) && atomic_load(&flush_wanted) == flushed)
        futex(FUTEX_WAIT, 1, &timeout);
    atomic_store(&sleeping, 0);
}

static void finish_flush(uint64_t ticket)
{
    pthread_mutex_lock(&flush_lock);
    flush_done = ticket;
    pthread_cond_broadcast(&flush_cond);
    pthread_mutex_unlock(&flush_lock);
}

static void *collect(void *arg)
{
    const char *directory = arg;
    uint64_t pause = SLEEP_MIN_NS, flushed = 0;

    in_collector = true;
    (void)pthread_setname_np(pthread_self(), "clew-collector");
    if (directory)
        clew__recover(directory, clew__config.service);
    while (!atomic_load(&stopping)) {
        uint64_t ticket = atomic_load(&flush_wanted);

        if (pass(ticket != flushed)) {
            pause = SLEEP_MIN_NS;
            back_rings();
        } else if (pause < SLEEP_MAX_NS) {
            pause *= 2;
        }
        free_orphans();
        report_drops(false);
        clew__limits_report();
        clew__targets_tend(clew__monotonic_ns());
        if (ticket != flushed)
            finish_flush(flushed = ticket);
        sleep_for(pause, flushed);
    }
    while (pass(true))
        ;
    report_drops(true);
    (void)pass(true);
    pthread_mutex_lock(&flush_lock);
    ended = true;
    pthread_cond_broadcast(&flush_cond);
    pthread_mutex_unlock(&flush_lock);
    return NULL;
}

int clew__collector_start(void)
{
    static bool recovered;
    sigset_t old;
    pthread_condattr_t attr;
    void *directory = recovered || !clew__file_name()[0] ? NULL : clew__config.ring_directory;
    int err;

    recovered = true;
    clew__clock_start();
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&flush_cond, &attr);
    pthread_condattr_destroy(&attr);
    atomic_store(&stopping, false);
    /* Signals are the program's: none is handled here, SIGPIPE included, but for
     * those of a crash. */
    clew__block_signals(&old);
    err = pthread_create(&thread, NULL, collect, directory);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (err)
        return clew_set_error(-err, "collector thread: %s", strerror(err));
    atomic_store(&running, true);
    return 0;
}

/* Waits until the flush of this ticket is done, or, for 0, the thread has ended;
 * false when the deadline came first. */
static bool wait_until(uint64_t deadline_ns, uint64_t ticket)
{
    struct timespec until = {(time_t)(deadline_ns / 1000000000u),
                             (long)(deadline_ns % 1000000000u)};
    bool done;

    clew__collector_wake();
    pthread_mutex_lock(&flush_lock);
    while (!(done = ticket ? flush_done >= ticket : ended))
        if (pthread_cond_timedwait(&flush_cond, &flush_lock, &until) != 0)
            break;
    pthread_mutex_unlock(&flush_lock);
    return done;
}

int clew__collector_flush(uint64_t deadline_ns)
{
    if (!atomic_load(&running))
        return -ESRCH;
    return wait_until(deadline_ns, atomic_fetch_add(&flush_wanted, 1) + 1) ? 0 : -ETIMEDOUT;
}

static bool nothing_left(void)
{
    struct clew__ring *ring = atomic_load_explicit(&clew__rings, memory_order_acquire);

    for (; ring; ring = ring->next)
        if (!is_empty(ring))
            return false;
    return true;
}

int clew__collector_stop(uint64_t deadline_ns)
{
    if (!atomic_exchange(&running, false))
        return 0;
    atomic_store(&stopping, true);
    if (!wait_until(deadline_ns, 0))
        return -ETIMEDOUT; /* stuck in an output: what is left stays in the ring file */
    pthread_join(thread, NULL);
    clew__sinks_close(deadline_ns);
    if (clew__helpers_stop(deadline_ns))
        clew__targets_close();
    /* What other threads wrote meanwhile is left for the next start. */
    clew__file_close(nothing_left());
    return 0;
}

void clew__collector_after_fork(void)
{
    atomic_store(&running, false);
    atomic_store(&stopping, false);
    atomic_store(&sleeping, 0);
    pthread_mutex_init(&flush_lock, NULL);
    atomic_store(&flush_wanted, 0);
    flush_done = 0;
    ended = false;
    in_collector = false;
}
