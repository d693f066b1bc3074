/* SPDX-License-Identifier: Apache-2.0 */
#include "exemplars.h"

#include "registry_priv.h"

#include <string.h>
#include <time.h>

static struct clew__exemplar_cell *written(const struct clew__shard *shard,
                                           struct clew__place place, unsigned word)
{
    char *chunk = atomic_load_explicit(&shard->exemplars[place.chunk], memory_order_acquire);

    return chunk ? clew__exemplar_at(chunk, place, word) : NULL;
}

static bool read_cell(struct clew__exemplar_cell *cell, struct clew__exemplar *ret)
{
    uint64_t version = atomic_load_explicit(&cell->version, memory_order_acquire);

    if (version == 0 || (version & 1))
        return false;
    ret->trace[0] = clew__load(&cell->trace[0]);
    ret->trace[1] = clew__load(&cell->trace[1]);
    ret->span_id = clew__load(&cell->span);
    ret->value = clew__to_double(clew__load(&cell->value_bits));
    ret->time_ns = clew__load(&cell->time_ns);
    clew__fence_acquire();
    return clew__load(&cell->version) == version;
}

void clew__exemplar_begin(struct clew__exemplar *ret, const uint8_t *trace_id, uint64_t span_id)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    memcpy(ret->trace, trace_id, 16);
    ret->span_id = span_id;
    ret->time_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void clew__exemplar_put_any(struct clew__shard *shard, struct clew__place place, unsigned word,
                            double value, const struct clew__exemplar *exemplar)
{
    char *chunk = atomic_load_explicit(&shard->exemplars[place.chunk], memory_order_relaxed);
    struct clew__exemplar_cell *cell;
    uint64_t version;

    if (!chunk)
        chunk = clew__shard_map(shard, shard->exemplars, place.chunk);
    if (!chunk)
        return;
    cell = clew__exemplar_at(chunk, place, word);
    version = clew__load(&cell->version);
    if (!(version & 1) && atomic_compare_exchange_strong(&cell->version, &version, version + 1))
        clew__exemplar_write(cell, version + 1, value, exemplar);
}

bool clew__exemplar_get(struct clew__shard *const *shards, size_t n, struct clew__place place,
                        unsigned word, struct clew__exemplar *ret)
{
    struct clew__exemplar one;
    bool found = false;

    for (size_t i = 0; i < n; i++) {
        struct clew__exemplar_cell *cell = written(shards[i], place, word);

        if (cell && read_cell(cell, &one) && (!found || one.time_ns > ret->time_ns)) {
            *ret = one;
            found = true;
        }
    }
    return found;
}

void clew__exemplar_move(struct clew__shard *from, struct clew__shard *to, struct clew__place place,
                         unsigned word)
{
    struct clew__shard *const both[] = {from, to};
    struct clew__exemplar newest;

    if (written(from, place, word) && clew__exemplar_get(both, 2, place, word, &newest))
        clew__exemplar_put_any(to, place, word, newest.value, &newest);
}
