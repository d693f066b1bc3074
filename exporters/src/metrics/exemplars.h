/* SPDX-License-Identifier: Apache-2.0
 *
 * Exemplars: the newest trace that fell into a bucket. Each thread has its own
 * for each word of its cells; a sequence number tells a reader whether it got a
 * whole one, and nobody waits.
 */
#ifndef CLEW_EXEMPLARS_H
#define CLEW_EXEMPLARS_H

#include "shards_priv.h"
#include "words.h"

struct clew__exemplar_cell {
    _Atomic uint64_t version; /* odd: being written; 0: never was */
    _Atomic uint64_t trace[2], span, value_bits, time_ns;
};

struct clew__exemplar {
    uint64_t trace[2]; /* the id's bytes as they lie */
    uint64_t span_id;  /* 0: none; likewise */
    double value;
    uint64_t time_ns; /* Unix time */
};

/* Of an event that is now; its value is left out. */
void clew__exemplar_begin(struct clew__exemplar *ret, const uint8_t *trace_id, uint64_t span_id);
/* As clew__exemplar_put(), with whatever it takes: the memory, other writers of the
 * shared shard, of whom one that finds another at it goes without. */
void clew__exemplar_put_any(struct clew__shard *shard, struct clew__place place, unsigned word,
                            double value, const struct clew__exemplar *exemplar);

static inline struct clew__exemplar_cell *clew__exemplar_at(char *chunk, struct clew__place place,
                                                            unsigned word)
{
    return (struct clew__exemplar_cell *)(void *)chunk + place.offset / 8 + word;
}

/* version: the odd one that it has now. */
static inline void clew__exemplar_write(struct clew__exemplar_cell *cell, uint64_t version,
                                        double value, const struct clew__exemplar *exemplar)
{
    clew__fence_release();
    clew__store(&cell->trace[0], exemplar->trace[0]);
    clew__store(&cell->trace[1], exemplar->trace[1]);
    clew__store(&cell->span, exemplar->span_id);
    clew__store(&cell->value_bits, clew__to_bits(value));
    clew__store(&cell->time_ns, exemplar->time_ns);
    atomic_store_explicit(&cell->version, version + 1, memory_order_release);
}

/* Of the word-th word of the cells there. One that was written in the same tick of
 * the clock is as new and stays. */
static inline void clew__exemplar_put(struct clew__shard *shard, struct clew__place place,
                                      unsigned word, double value,
                                      const struct clew__exemplar *exemplar)
{
    char *chunk = atomic_load_explicit(&shard->exemplars[place.chunk], memory_order_relaxed);
    struct clew__exemplar_cell *cell;
    uint64_t version;

    if (__builtin_expect(!chunk || shard == &clew__shared, 0)) {
        clew__exemplar_put_any(shard, place, word, value, exemplar);
        return;
    }
    cell = clew__exemplar_at(chunk, place, word);
    if (clew__load(&cell->time_ns) == exemplar->time_ns)
        return;
    version = clew__load(&cell->version) | 1;
    clew__store(&cell->version, version);
    clew__exemplar_write(cell, version, value, exemplar);
}

/* The newest of the shards; false when there is none. */
bool clew__exemplar_get(struct clew__shard *const *shards, size_t n, struct clew__place place,
                        unsigned word, struct clew__exemplar *ret);
/* For a shard that is about to go: keeps what is newer there. */
void clew__exemplar_move(struct clew__shard *from, struct clew__shard *to, struct clew__place place,
                         unsigned word);

#endif
