/* SPDX-License-Identifier: Apache-2.0
 * The generator of ids, inlined where spans start. */
#ifndef CLEW_ID_PRIV_H
#define CLEW_ID_PRIV_H

#include "core_priv.h"

/* A new process or thread. */
void clew__random_seed(struct clew__thread *self, unsigned epoch);

static inline uint64_t clew__rotl(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

static inline uint64_t clew__random(void)
{
    struct clew__thread *self = &clew__self;
    unsigned epoch = atomic_load_explicit(&clew__epoch, memory_order_relaxed);
    uint64_t *s = self->random, result, t;

    if (__builtin_expect(self->epoch != epoch, 0))
        clew__random_seed(self, epoch);
    result = clew__rotl(s[0] + s[3], 23) + s[0];
    t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = clew__rotl(s[3], 45);
    return result;
}

/* One id, written to both places, the second of which may be NULL: reading back
 * what was just written in other pieces makes the processor wait. */
void clew__id_uuid7_twice(char ret_text[37], char ret_same[37]);

/* Never 0. */
static inline uint64_t clew__id_span(void)
{
    uint64_t id;

    do
        id = clew__random();
    while (__builtin_expect(id == 0, 0));
    return id;
}

#endif
