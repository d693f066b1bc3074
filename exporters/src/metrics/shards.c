/* SPDX-License-Identifier: Apache-2.0
 *
 * Shards: taken, given back, emptied. Nothing here uses malloc or a lock where
 * a thread attaches, because its first update may come from a signal handler. A
 * shard's own memory is never unmapped, so a pointer to one is always good; only
 * the chunks come and go, and those only where no thread owns the shard.
 */
#include "shards_priv.h"

#include "exemplars.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define FREE_KEPT 4u        /* free shards that stay for the next threads, at least */
#define SETTLE_NS 100000000 /* how long a thread may take */
#define EXEMPLARS_PER_CELL (sizeof(struct clew__exemplar_cell) / 8)

__thread struct clew_cells clew_cells CLEW__TLS_MODEL;
__thread struct clew__shard *clew__own_shard CLEW__TLS_MODEL;
__thread unsigned clew__locks CLEW__TLS_MODEL;
struct clew__shard clew__shared, clew__retired;
struct clew__shard *_Atomic clew__shards;

static pthread_key_t exit_key;
static pthread_once_t exit_once = PTHREAD_ONCE_INIT;
static bool have_exit_key;

static void *map(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                   -1, 0);

    return p == MAP_FAILED ? NULL : p;
}

/* ---- attaching -------------------------------------------------------------------- */

static void thread_ends(void *arg)
{
    struct clew__shard *shard = arg;

    memset(&clew_cells, 0, sizeof(clew_cells));
    clew__own_shard = NULL;
    atomic_store_explicit(&shard->state, CLEW__SHARD_FREE, memory_order_release);
}

static void make_key(void)
{
    have_exit_key = pthread_key_create(&exit_key, thread_ends) == 0;
}

static struct clew__shard *take_free(void)
{
    struct clew__shard *shard = atomic_load_explicit(&clew__shards, memory_order_acquire);

    for (; shard; shard = shard->next) {
        int state = atomic_load_explicit(&shard->state, memory_order_relaxed);

        if ((state == CLEW__SHARD_FREE || state == CLEW__SHARD_EMPTY) &&
            atomic_compare_exchange_strong(&shard->state, &state, CLEW__SHARD_OWNED))
            return shard;
    }
    return NULL;
}

static struct clew__shard *make(void)
{
    struct clew__shard *shard = map(sizeof(*shard));

    if (!shard)
        return NULL;
    shard->next = atomic_load(&clew__shards);
    while (!atomic_compare_exchange_weak(&clew__shards, &shard->next, shard))
        ;
    return shard;
}

struct clew__shard *clew__shard_attach(void)
{
    struct clew__shard *shard;
    int saved = errno;

    pthread_once(&exit_once, make_key);
    if (!have_exit_key) /* it would never be free again */
        return NULL;
    shard = take_free();
    if (!shard)
        shard = make();
    if (shard) {
        for (unsigned i = 1; i < CLEW__CHUNKS; i++)
            clew_cells.chunk[i] = atomic_load(&shard->cells[i]);
        (void)pthread_setspecific(exit_key, shard);
        clew__own_shard = shard;
    }
    errno = saved;
    return shard;
}

char *clew__shard_map(struct clew__shard *shard, char *_Atomic *chunks, unsigned chunk)
{
    size_t bytes = clew__chunk_bytes(chunk) * (chunks == shard->cells ? 1 : EXEMPLARS_PER_CELL);
    char *there = NULL, *mine;
    int saved = errno;

    mine = map(bytes);
    if (!mine || !atomic_compare_exchange_strong(&chunks[chunk], &there, mine)) {
        if (mine) /* a signal handler, or with the shared one another thread, was first */
            (void)munmap(mine, bytes);
        mine = there;
    }
    if (mine && shard == clew__own_shard && chunks == shard->cells)
        clew_cells.chunk[chunk] = mine;
    errno = saved;
    return mine;
}

/* ---- for the scrape ---------------------------------------------------------------- */

size_t clew__shards_list(struct clew__shard ***ret)
{
    struct clew__shard *first = atomic_load_explicit(&clew__shards, memory_order_acquire);
    size_t n = 2;

    for (struct clew__shard *shard = first; shard; shard = shard->next)
        n++;
    *ret = malloc(n * sizeof(**ret));
    if (!*ret)
        return 0;
    (*ret)[0] = &clew__retired;
    (*ret)[1] = &clew__shared;
    n = 2;
    for (struct clew__shard *shard = first; shard; shard = shard->next)
        if (atomic_load_explicit(&shard->state, memory_order_acquire) != CLEW__SHARD_EMPTY)
            (*ret)[n++] = shard;
    return n;
}

static void empty(struct clew__shard *shard)
{
    for (unsigned i = 1; i < CLEW__CHUNKS; i++) {
        char *cells = atomic_exchange(&shard->cells[i], NULL);
        char *exemplars = atomic_exchange(&shard->exemplars[i], NULL);

        if (cells)
            (void)munmap(cells, clew__chunk_bytes(i));
        if (exemplars)
            (void)munmap(exemplars, clew__chunk_bytes(i) * EXEMPLARS_PER_CELL);
    }
    clew__cache_free(shard->cache);
    shard->cache = NULL;
    clew__memory_free(shard->memory);
    shard->memory = NULL;
}

void clew__shards_retire(void (*move)(struct clew__shard *from, struct clew__shard *to))
{
    struct clew__shard *first = atomic_load_explicit(&clew__shards, memory_order_acquire);
    size_t owned = 0, kept = 0;

    for (struct clew__shard *shard = first; shard; shard = shard->next)
        owned += atomic_load_explicit(&shard->state, memory_order_relaxed) == CLEW__SHARD_OWNED;
    for (struct clew__shard *shard = first; shard; shard = shard->next) {
        int state = CLEW__SHARD_FREE;

        if (atomic_load_explicit(&shard->state, memory_order_relaxed) != CLEW__SHARD_FREE ||
            ++kept <= (owned > FREE_KEPT ? owned : FREE_KEPT) ||
            !atomic_compare_exchange_strong(&shard->state, &state, CLEW__SHARD_TAKEN))
            continue;
        move(shard, &clew__retired);
        empty(shard);
        atomic_store_explicit(&shard->state, CLEW__SHARD_EMPTY, memory_order_release);
    }
}

/* Every thread of the process sees what the caller wrote, and the caller what
 * they wrote. */
static bool barrier(void)
{
    static _Atomic int registered; /* 1: yes, -1: the kernel has none */

    if (atomic_load(&registered) == 0)
        atomic_store(
            &registered,
            syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0 ? 1 : -1);
    return atomic_load(&registered) == 1 &&
           syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0;
}

bool clew__shards_settled(void)
{
    struct timespec nap = {0, 100000};
    long left = SETTLE_NS / nap.tv_nsec;

    if (!barrier())
        return false;
    for (struct clew__shard *shard = atomic_load_explicit(&clew__shards, memory_order_acquire);
         shard; shard = shard->next)
        while (atomic_load_explicit(&shard->busy, memory_order_acquire)) {
            if (shard == clew__own_shard || left-- == 0)
                return false;
            (void)nanosleep(&nap, NULL);
        }
    return true;
}

/* ---- fork --------------------------------------------------------------------------- */

static void zero(struct clew__shard *shard)
{
    for (unsigned i = 1; i < CLEW__CHUNKS; i++) {
        char *cells = atomic_load(&shard->cells[i]), *exemplars = atomic_load(&shard->exemplars[i]);

        if (cells)
            (void)madvise(cells, clew__chunk_bytes(i), MADV_DONTNEED);
        if (exemplars)
            (void)madvise(exemplars, clew__chunk_bytes(i) * EXEMPLARS_PER_CELL, MADV_DONTNEED);
    }
}

void clew__shards_forked(void)
{
    zero(&clew__shared);
    zero(&clew__retired);
    for (struct clew__shard *shard = atomic_load(&clew__shards); shard; shard = shard->next) {
        zero(shard);
        if (shard == clew__own_shard)
            continue;
        atomic_store(&shard->busy, 0);
        atomic_store(&shard->state, CLEW__SHARD_FREE);
    }
}
