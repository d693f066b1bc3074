/* SPDX-License-Identifier: Apache-2.0
 *
 * The memory that threads count in. A shard has room for every cell; it belongs
 * to one thread, which alone writes to it, plainly. When the thread ends the
 * shard is free, with what it holds, and the next thread goes on counting in it.
 * Of free shards that nobody takes, a scrape moves the cells to the retired
 * shard and gives the memory back.
 *
 * Two shards are special. The shared one is for whoever has none: a signal
 * handler that interrupted an update of its thread, a thread without memory. It
 * is written atomically. The retired one only the scrape writes.
 */
#ifndef CLEW_SHARDS_PRIV_H
#define CLEW_SHARDS_PRIV_H

#include <clew/series.h>

#include <stdatomic.h>
#include <stddef.h>

/* Where cells are. An exemplar belongs to each word of them, at the same place
 * in chunks of its own. */
struct clew__place {
    uint32_t chunk;
    uint32_t offset; /* bytes */
};

#define CLEW__CHUNK_MIN_BYTES ((size_t)16 << 10)

static inline size_t clew__chunk_bytes(unsigned chunk)
{
    return CLEW__CHUNK_MIN_BYTES << (chunk - 1);
}

struct clew__exemplar_cell; /* exemplars.h */
struct clew__cache;         /* lookup.c */
struct clew__memory;        /* rules_memory.c */

struct clew__shard {
    struct clew__shard *next;
    _Atomic int state;     /* CLEW__SHARD_ */
    _Atomic uint32_t busy; /* its thread is in between clew__enter() and clew__leave() */
    char *_Atomic cells[CLEW__CHUNKS];
    char *_Atomic exemplars[CLEW__CHUNKS];
    struct clew__cache *cache;
    struct clew__memory *memory;
};

#define CLEW__SHARD_OWNED 0
#define CLEW__SHARD_FREE 1
#define CLEW__SHARD_EMPTY 2 /* free, and without memory */
#define CLEW__SHARD_TAKEN 3 /* by the scrape, to empty it */

extern struct clew__shard clew__shared, clew__retired;
/* All others, newest first; they stay for ever. */
extern struct clew__shard *_Atomic clew__shards;

extern __thread struct clew__shard *clew__own_shard CLEW__TLS_MODEL;
/* Inside the registry's lock: a signal handler must not want it. */
extern __thread unsigned clew__locks CLEW__TLS_MODEL;

/* The thread's shard, made or taken over; NULL without memory. AS-Safe. */
struct clew__shard *clew__shard_attach(void);

/* Between the two what the thread found in tables stays valid, and a signal
 * handler keeps out of the thread's shard: it gets the shared one. Never NULL;
 * leave takes what enter gave. */
static inline struct clew__shard *clew__enter(void)
{
    struct clew__shard *shard = clew__own_shard;

    if (__builtin_expect(!shard, 0))
        shard = clew__shard_attach();
    if (__builtin_expect(!shard || atomic_load_explicit(&shard->busy, memory_order_relaxed), 0))
        return &clew__shared;
    atomic_store_explicit(&shard->busy, 1, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    return shard;
}

static inline void clew__leave(struct clew__shard *shard)
{
    /* Of the shared one it means nothing. */
    atomic_store_explicit(&shard->busy, 0, memory_order_release);
}

/* The long way: maps the chunk. NULL without memory. */
char *clew__shard_map(struct clew__shard *shard, char *_Atomic *chunks, unsigned chunk);

/* The cells there, for writing; NULL without memory. */
static inline char *clew__cells(struct clew__shard *shard, struct clew__place place)
{
    char *chunk = atomic_load_explicit(&shard->cells[place.chunk], memory_order_relaxed);

    if (__builtin_expect(!chunk, 0))
        chunk = clew__shard_map(shard, shard->cells, place.chunk);
    return chunk ? chunk + place.offset : NULL;
}

/* The same for reading; NULL: nothing was written there yet. */
static inline char *clew__cells_written(const struct clew__shard *shard, struct clew__place place)
{
    char *chunk = atomic_load_explicit(&shard->cells[place.chunk], memory_order_acquire);

    return chunk ? chunk + place.offset : NULL;
}

/* Shards that may have cells, the special ones among them, for the scrape.
 * free() *ret; 0 without memory. */
size_t clew__shards_list(struct clew__shard ***ret);
/* Waits until no thread is where it was when this was called, in between enter
 * and leave, and none sees older state of the tables than the caller. False: some
 * thread did not move for long, or the system cannot tell. */
bool clew__shards_settled(void);
/* For the scrape: empties free shards that are too many. move: adds the cells
 * of one shard to another. */
void clew__shards_retire(void (*move)(struct clew__shard *from, struct clew__shard *to));
/* lookup.c, rules_memory.c: what a shard that is emptied had of them; accept NULL. */
void clew__cache_free(struct clew__cache *cache);
void clew__memory_free(struct clew__memory *memory);
/* In the child of a fork: zeros everywhere, and only the caller's shard is owned. */
void clew__shards_forked(void);

#endif
