/* SPDX-License-Identifier: Apache-2.0
 *
 * Threads and their rings. A thread gets its rings with its first record: its
 * own, and a small one for signal handlers that interrupt a log call. When it
 * ends the rings are orphans, which the collector empties and sets free for the
 * next thread. Rings are never unmapped while the process lives, so a pointer
 * to one is always good. Nothing here uses malloc: the first record of a thread
 * may come from a signal handler.
 */
#include "empty_priv.h"
#include "target_priv.h"

#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>

__thread struct clew_hot clew_hot CLEW__TLS_MODEL;
__thread struct clew__thread clew__self CLEW__TLS_MODEL;
_Atomic unsigned clew__epoch = 1;
struct clew__ring *_Atomic clew__rings;

static pthread_key_t exit_key;
static pthread_once_t exit_once = PTHREAD_ONCE_INIT;
static bool have_exit_key;

void *clew__map_memory(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return p == MAP_FAILED ? NULL : p;
}

static void detach(void)
{
    clew_hot.limit = NULL;
    clew__self.ring = NULL;
}

static void thread_ends(void *arg)
{
    struct clew__ring *ring = arg;

    if (clew__span_hooks)
        clew__span_hooks->thread_ends();
    if (clew__self.ring == ring)
        detach();
    atomic_store_explicit(&ring->state, CLEW__RING_ORPHAN, memory_order_release);
}

static void make_key(void)
{
    have_exit_key = pthread_key_create(&exit_key, thread_ends) == 0;
}

static struct clew__ring *take_free_ring(void)
{
    struct clew__ring *ring = atomic_load_explicit(&clew__rings, memory_order_acquire);

    for (; ring; ring = ring->next) {
        int state = CLEW__RING_FREE;

        if (atomic_compare_exchange_strong(&ring->state, &state, CLEW__RING_OWNED))
            return ring;
    }
    return NULL;
}

static void size_ring(struct clew__ring *ring, uint64_t size, uint64_t record_max, int state)
{
    ring->size = size;
    ring->record_max = record_max;
    atomic_store(&ring->state, state);
}

static void begin_ring(struct clew__ring *ring)
{
    ring->read_at = ring->data;
    /* Recovery needs them even if nobody came to read a record. */
    ring->control->checkpoint[0].clock = clew__clock_now();
    clew__targets_positions(ring->control->checkpoint[0].position);
}

static void publish_ring(struct clew__ring *ring)
{
    ring->next = atomic_load(&clew__rings);
    while (!atomic_compare_exchange_weak(&clew__rings, &ring->next, ring))
        ;
}

static struct clew__ring *make_ring(void)
{
    uint64_t size =
        clew__config.ring_bytes - 2 * CLEW__RING_CONTROL_BYTES - CLEW__NESTED_DATA_BYTES;
    struct clew__ring *rings = clew__map_memory(2 * sizeof(*rings));

    if (!rings)
        return NULL;
    size_ring(&rings[1], CLEW__NESTED_DATA_BYTES, CLEW__NESTED_RECORD_MAX, CLEW__RING_NESTED);
    size_ring(&rings[0], size, CLEW__RECORD_MAX, CLEW__RING_OWNED);
    if (clew__file_add_rings(&rings[0], &rings[1]) < 0) {
        (void)munmap(rings, 2 * sizeof(*rings));
        return NULL;
    }
    begin_ring(&rings[1]);
    begin_ring(&rings[0]);
    rings[0].nested = &rings[1];
    publish_ring(&rings[1]);
    publish_ring(&rings[0]);
    CLEW__COUNT_ONE(rings);
    return rings;
}

void clew__rings_forget(void)
{
    struct clew__ring *ring = atomic_exchange(&clew__rings, NULL);

    detach();
    clew_hot.busy = 0;
    atomic_store(&clew__counters.rings, 0);
    while (ring) { /* their mappings were not inherited; the context texts were */
        clew__line_context_free(ring->context);
        ring->context = NULL;
        ring = ring->next;
    }
    if (have_exit_key)
        (void)pthread_setspecific(exit_key, NULL);
}

static void take_over(struct clew__ring *ring, struct clew_hot *hot)
{
    hot->head = __atomic_load_n(&ring->control->head, __ATOMIC_RELAXED);
    hot->at = ring->data + hot->head % ring->size;
    hot->limit = NULL;
    hot->published = &ring->control->head;
    ring->tail_seen = clew__ring_tail(ring);
    ring->granted = 0;
    ring->context_serial = UINT64_MAX; /* whatever the last owner left: say anew */
    ring->stalled_at = 0;
}

struct clew__ring *clew__thread_attach(void)
{
    struct clew__ring *ring;
    int saved = errno;

    if (clew__self.locks || !clew__ensure_started()) {
        CLEW__COUNT_ONE(no_ring);
        errno = saved;
        return NULL;
    }
    pthread_once(&exit_once, make_key);
    ring = take_free_ring();
    if (!ring)
        ring = make_ring();
    if (!ring) {
        CLEW__COUNT_ONE(no_ring);
        errno = saved;
        return NULL;
    }
    take_over(ring->nested, &clew__self.nested);
    take_over(ring, &clew_hot);
    if (have_exit_key)
        (void)pthread_setspecific(exit_key, ring);
    clew__self.ring = ring;
    errno = saved;
    return ring;
}
