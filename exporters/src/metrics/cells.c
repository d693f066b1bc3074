/* SPDX-License-Identifier: Apache-2.0
 *
 * Which cells are whose: places are given out one after the other, chunk after
 * chunk, and those of expired series again to series of the same size.
 */
#include "registry_priv.h"

#include <stdlib.h>

#define SIZES_MAX 64u

struct freed {
    struct freed *next;
    struct clew__place place;
};

static struct clew__place next = {1, 0};
static struct {
    size_t bytes;
    struct freed *first;
} freed[SIZES_MAX];

static struct freed **freed_of(size_t bytes)
{
    for (unsigned i = 0; i < SIZES_MAX; i++) {
        if (freed[i].bytes == 0)
            freed[i].bytes = bytes;
        if (freed[i].bytes == bytes)
            return &freed[i].first;
    }
    return NULL;
}

struct clew__place clew__locked_place_new(size_t bytes)
{
    struct freed **list = freed_of(bytes), *first = list ? *list : NULL;
    struct clew__place place;

    if (first) {
        place = first->place;
        *list = first->next;
        free(first);
        return place;
    }
    while (next.chunk < CLEW__CHUNKS && clew__chunk_bytes(next.chunk) - next.offset < bytes) {
        next.chunk++;
        next.offset = 0;
    }
    if (next.chunk >= CLEW__CHUNKS)
        return (struct clew__place){0, 0};
    place = next;
    next.offset += (uint32_t)bytes;
    return place;
}

/* Reading memory that nobody wrote costs none. */
static void zero(_Atomic uint64_t *word)
{
    if (clew__load(word))
        clew__store(word, 0);
}

static void zero_cells(const struct clew__shard *shard, struct clew__place place, size_t bytes)
{
    char *cells = clew__cells_written(shard, place);
    char *chunk = atomic_load_explicit(&shard->exemplars[place.chunk], memory_order_acquire);
    struct clew__exemplar_cell *exemplar = (void *)chunk;

    for (size_t i = 0; cells && i < bytes / 8; i++)
        zero((_Atomic uint64_t *)(void *)cells + i);
    for (size_t i = 0; exemplar && i < bytes / 8; i++)
        zero(&exemplar[place.offset / 8 + i].version);
}

void clew__locked_place_free(struct clew__place place, size_t bytes,
                             struct clew__shard *const *shards, size_t n)
{
    struct freed **list = freed_of(bytes), *one = malloc(sizeof(*one));

    for (size_t i = 0; i < n; i++)
        zero_cells(shards[i], place, bytes);
    if (!list || !one) { /* the place stays unused */
        free(one);
        return;
    }
    *one = (struct freed){*list, place};
    *list = one;
}
