/* SPDX-License-Identifier: Apache-2.0
 *
 * Threads and their rings. A thread gets its ring with its first record; when
 * it ends the ring is an orphan, which the collector empties and sets free for
 * the next thread. Rings are never unmapped while the process lives, so a
 * pointer to one is always good.
 */
#include "core_priv.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

__thread struct clew__thread clew__self CLEW__TLS_MODEL;
_Atomic unsigned clew__epoch = 1;
struct clew__ring *_Atomic clew__rings;

static pthread_key_t exit_key;
static pthread_once_t exit_once = PTHREAD_ONCE_INIT;
static bool have_exit_key;

static void thread_ends(void *arg)
{
    struct clew__ring *ring = arg;

    if (clew__self.ring == ring)
        clew__self.ring = NULL;
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

static struct clew__ring *make_ring(void)
{
    struct clew__ring *ring = aligned_alloc(64, (sizeof(*ring) + 63) & ~(size_t)63);

    if (!ring)
        return NULL;
    *ring = (struct clew__ring){.size = clew__config.ring_bytes};
    ring->context = clew__line_context_new();
    if (!ring->context || clew__file_add_ring(ring->size, &ring->control, &ring->data) < 0) {
        clew__line_context_free(ring->context);
        free(ring);
        return NULL;
    }
    atomic_store(&ring->state, CLEW__RING_OWNED);
    ring->next = atomic_load(&clew__rings);
    while (!atomic_compare_exchange_weak(&clew__rings, &ring->next, ring))
        ;
    CLEW__COUNT_ONE(rings);
    return ring;
}

void clew__rings_forget(void)
{
    struct clew__ring *ring = atomic_exchange(&clew__rings, NULL);

    clew__self.ring = NULL;
    atomic_store(&clew__counters.rings, 0);
    while (ring) { /* their mappings were not inherited */
        struct clew__ring *next = ring->next;

        clew__line_context_free(ring->context);
        free(ring);
        ring = next;
    }
    if (have_exit_key)
        (void)pthread_setspecific(exit_key, NULL);
}

struct clew__ring *clew__thread_attach(void)
{
    struct clew__ring *ring;
    int saved = errno;

    if (!clew__ensure_started()) {
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
    ring->head = atomic_load(&ring->control->head);
    ring->tail_seen = atomic_load(&ring->control->tail) & ~UINT64_C(7);
    ring->context_serial = UINT64_MAX; /* whatever the last owner left: say anew */
    if (have_exit_key)
        (void)pthread_setspecific(exit_key, ring);
    clew__self.ring = ring;
    errno = saved;
    return ring;
}
