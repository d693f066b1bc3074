/* SPDX-License-Identifier: Apache-2.0
 *
 * Slots for open spans: pages of the ring file, in slabs. Each thread has a list
 * of free ones; a thread that ends more spans than it starts gives half of a
 * long list to all, and so does one that ends. Slots are never unmapped, so a
 * stale handle can always be looked at: its low bits say which use of the slot
 * it is of (8 bits), and of which process (3 bits).
 */
#include "span_priv.h"

#include <pthread.h>

#define SLABS_MAX 1024u
#define FIRST_SLOTS 4u /* most threads have no more open spans, and each slot is a page */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct clew__slot *spare; /* under lock, and so is: */
static unsigned nslabs;

/* Slots of an earlier process are not mapped in this one. */
void clew__slots_forget_if_forked(void)
{
    unsigned epoch = atomic_load_explicit(&clew__epoch, memory_order_relaxed);

    if (clew__self.slots_epoch != epoch) {
        clew__self.slots = NULL;
        clew__self.nslots = 0;
        clew__self.slots_epoch = epoch;
    }
}

static bool take_spare(void)
{
    struct clew__slot *slot;

    if (pthread_mutex_trylock(&lock) != 0)
        return false;
    for (unsigned i = 0; i < CLEW__SLAB_SLOTS && (slot = spare) != NULL; i++) {
        spare = slot->next;
        clew__slot_keep(slot);
    }
    pthread_mutex_unlock(&lock);
    return clew__self.slots != NULL;
}

static bool add_slab(void)
{
    unsigned slots;
    char *slab = NULL;
    bool may;

    pthread_mutex_lock(&lock);
    slots = nslabs == 0 ? FIRST_SLOTS : CLEW__SLAB_SLOTS;
    may = nslabs < SLABS_MAX;
    nslabs += may;
    pthread_mutex_unlock(&lock);
    if (may)
        slab = clew__file_add_spans((size_t)slots * CLEW__SLOT_BYTES);
    if (may && !slab) /* these will not outlive the process */
        slab = clew__map_memory((size_t)slots * CLEW__SLOT_BYTES);
    for (unsigned i = slots; slab && i-- > 0;)
        clew__slot_keep((struct clew__slot *)(void *)(slab + (size_t)i * CLEW__SLOT_BYTES));
    return slab != NULL;
}

/* The long way: this thread has none, or is new, or in a new process. */
struct clew__slot *clew__slot_take_long(void)
{
    struct clew__slot *slot;

    if (!clew__self.ring && !clew__thread_attach())
        return NULL;
    clew__slots_forget_if_forked();
    if (!clew__self.slots && !take_spare() && !add_slab())
        return NULL;
    slot = clew__self.slots;
    clew__self.slots = slot->next;
    clew__self.nslots--;
    return slot;
}

/* Half of the list goes to all. */
void clew__slots_share(unsigned keep)
{
    if (pthread_mutex_trylock(&lock) != 0)
        return;
    while (clew__self.nslots > keep) {
        struct clew__slot *slot = clew__self.slots;

        clew__self.slots = slot->next;
        clew__self.nslots--;
        slot->next = spare;
        spare = slot;
    }
    pthread_mutex_unlock(&lock);
}

struct clew__slot *clew__slot_of_void(const struct clew_span *span)
{
    unsigned epoch = atomic_load_explicit(&clew__epoch, memory_order_relaxed);

    if ((((uintptr_t)span >> 8 ^ epoch) & CLEW__TAG_EPOCH) == 0)
        clew__misuse("a span was used that had ended");
    return NULL;
}

void clew__slots_thread_ends(void)
{
    clew__hold_end();
    clew__slots_forget_if_forked();
    clew__slots_share(0);
}

void clew__slots_after_fork(void)
{
    (void)pthread_mutex_init(&lock, NULL);
    spare = NULL;
    nslabs = 0;
    clew__self.span = NULL;
    clew__hold_forget();
}
