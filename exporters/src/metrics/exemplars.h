/* SPDX-License-Identifier: Apache-2.0
 *
 * Exemplars: the newest trace that fell into a bucket. Each thread has its own
 * for each word of its cells; a sequence number tells a reader whether it got a
 * whole one, and nobody waits.
 */
#ifndef CLEW_EXEMPLARS_H
#define CLEW_EXEMPLARS_H

#include "shards_priv.h"

struct clew__exemplar_cell {
    _Atomic uint64_t version; /* odd: being written; 0: never was */
    _Atomic uint64_t trace[2], span, value_bits, time_ns;
};

struct clew__exemplar {
    uint8_t trace_id[16];
    uint64_t span_id; /* 0: none; bytes as they lie */
    double value;
    uint64_t time_ns; /* Unix time */
};

/* Of the word-th word of the cells there. */
void clew__exemplar_put(struct clew__shard *shard, struct clew__place place, unsigned word,
                        double value, const uint8_t *trace_id, uint64_t span_id);
/* The newest of the shards; false when there is none. */
bool clew__exemplar_get(struct clew__shard *const *shards, size_t n, struct clew__place place,
                        unsigned word, struct clew__exemplar *ret);
/* For a shard that is about to go: keeps what is newer there. */
void clew__exemplar_move(struct clew__shard *from, struct clew__shard *to, struct clew__place place,
                         unsigned word);

#endif
