/* SPDX-License-Identifier: Apache-2.0
 *
 * What came out for the values of earlier events, remembered. Which rules match
 * an event, and with which labels, is decided by the values of its key columns
 * alone; so for keys that were there before, the updates are known.
 *
 * What is not known takes the long way, and is remembered if it fits.
 *
 * The memory is a table for each thread, of places that are written over when
 * another event wants them. It belongs to the thread's shard of the registry, and
 * is used in between clew__enter() and clew__leave(), which keeps the series that
 * it holds, and signal handlers out. When series expire, all tables are forgotten;
 * a table goes when the cells of its shard do.
 */
#ifndef CLEW_RULES_MEMORY_H
#define CLEW_RULES_MEMORY_H

#include "rules_priv.h"
#include "update_known.h"

#define CLEW__MEMO_KEYS 8u /* of more nothing is remembered */
#define CLEW__MEMO_BYTES 96u
#define CLEW__MEMO_UPDATES 8u
#define CLEW__MEMORY_SETS 256u /* a power of two */
#define CLEW__MEMORY_WAYS 4u   /* places that an event may take in its set */

/* A key that is a number, or a text of up to CLEW__KEY_WHOLE bytes, or stands for a
 * longer one. */
struct clew__memo_key {
    uint64_t a, b;
};

/* Of each key the kind and the length, four of them in a number. */
struct clew__shapes {
    uint64_t first, second;
};

struct clew__memo {
    uint64_t program; /* its serial; 0: empty */
    struct clew__shapes shapes;
    size_t nupdates, nlong;
    struct clew__memo_key keys[CLEW__MEMO_KEYS];
    struct clew__update updates[CLEW__MEMO_UPDATES];
    char bytes[CLEW__MEMO_BYTES]; /* the long texts, nlong of them, one after the other */
};

struct clew__memory {
    uint64_t epoch; /* series of an older one may be gone */
    unsigned next;  /* the way that is written over next */
    uint64_t hashes[CLEW__MEMORY_SETS][CLEW__MEMORY_WAYS];
    struct clew__memo memos[CLEW__MEMORY_SETS][CLEW__MEMORY_WAYS];
};

/* ---- keys ---------------------------------------------------------------------------- */

/* Sums of products with odd numbers, whose upper bits depend on everything. Who
 * chooses texts that collide only makes himself slow: the table writes over what is
 * there, and compares. */
static inline uint64_t clew__key_hash(size_t i, const struct clew__memo_key *key)
{
    static const uint64_t odd[CLEW__MEMO_KEYS][2] = {
        {0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9}, {0x94D049BB133111EB, 0xD6E8FEB86659FD93},
        {0xA0761D6478BD642F, 0xE7037ED1A0B428DB}, {0x8EBC6AF09C88C6E3, 0x589965CC75374CC3},
        {0x1D8E4E27C47D124F, 0xEB44ACCAB455D165}, {0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9},
        {0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5}, {0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53}};

    return key->a * odd[i][0] + key->b * odd[i][1];
}

/* What is added to that: each program has its own places. */
static inline uint64_t clew__shapes_hash(uint64_t serial, struct clew__shapes shapes)
{
    return (serial ^ shapes.first ^ shapes.second << 1) * CLEW__SECRET_2;
}

/* The kind is above the length, which is CLEW__MEMO_BYTES at most. */
#define CLEW__SHAPE_BITS 16u
#define CLEW__SHAPE_KIND 8u
#define CLEW__SHAPES_FIRST 4u /* keys that have their shape there */

/* ---- looking ------------------------------------------------------------------------- */

void clew__memory_forget(struct clew__memory *memory, uint64_t epoch);

static inline size_t clew__memory_set(uint64_t hash)
{
    return hash / (UINT64_MAX / CLEW__MEMORY_SETS + 1);
}

/* What was learned for that hash, not yet compared; NULL: nothing. */
static inline const struct clew__memo *clew__memory_at(struct clew__memory *memory, uint64_t hash)
{
    uint64_t epoch = clew__caches_epoch();
    size_t set = clew__memory_set(hash);
    const uint64_t *hashes;

    if (__builtin_expect(!memory, 0))
        return NULL;
    if (__builtin_expect(memory->epoch != epoch, 0))
        clew__memory_forget(memory, epoch);
    hashes = memory->hashes[set];
    if (__builtin_expect(hashes[0] == hash, 1)) /* most have a set of their own */
        return memory->memos[set];
    for (size_t way = 1; way < CLEW__MEMORY_WAYS; way++)
        if (hashes[way] == hash)
            return &memory->memos[set][way];
    return NULL;
}

/* The values of an event. */
struct clew__amounts {
    double values[CLEW__COLUMNS_MAX];
    bool numbers[CLEW__COLUMNS_MAX]; /* whether values[i] is one */
};

/* In between clew__enter() and clew__leave() of shard.
 * args     keys: as the program lists them. exemplar: may be NULL
 * returns  whether any rule matched */
bool clew__memory_run(struct clew__shard *shard, const struct clew__program *program,
                      const struct clew__rule_value *keys, const struct clew__amounts *amounts,
                      const struct clew__exemplar *exemplar);

#endif
