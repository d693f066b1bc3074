/* SPDX-License-Identifier: Apache-2.0 */
#include "exemplars.h"

#include "registry_priv.h"

#include <string.h>
#include <time.h>

static struct clew__exemplar_cell *at(char *chunk, struct clew__place place, unsigned word)
{
    return (struct clew__exemplar_cell *)(void *)chunk + place.offset / 8 + word;
}

static struct clew__exemplar_cell *written(const struct clew__shard *shard,
                                           struct clew__place place, unsigned word)
{
    char *chunk = atomic_load_explicit(&shard->exemplars[place.chunk], memory_order_acquire);

    return chunk ? at(chunk, place, word) : NULL;
}

/* Several may write to the shared shard: who finds another at it goes without. */
static bool begin(struct clew__exemplar_cell *cell, uint64_t *ret_version, bool shared)
{
    *ret_version = atomic_load_explicit(&cell->version, memory_order_relaxed);
    if (!shared) {
        atomic_store_explicit(&cell->version, *ret_version + 1, memory_order_relaxed);
    } else if ((*ret_version & 1) ||
               !atomic_compare_exchange_strong(&cell->version, ret_version, *ret_version + 1)) {
        return false;
    }
    clew__fence_release();
    return true;
}

static void write_cell(struct clew__exemplar_cell *cell, bool shared,
                       const struct clew__exemplar *exemplar)
{
    uint64_t version, trace[2];

    if (!begin(cell, &version, shared))
        return;
    memcpy(trace, exemplar->trace_id, 16);
    clew__store(&cell->trace[0], trace[0]);
    clew__store(&cell->trace[1], trace[1]);
    clew__store(&cell->span, exemplar->span_id);
    clew__store(&cell->value_bits, clew__to_bits(exemplar->value));
    clew__store(&cell->time_ns, exemplar->time_ns);
    atomic_store_explicit(&cell->version, version + 2, memory_order_release);
}

static bool read_cell(struct clew__exemplar_cell *cell, struct clew__exemplar *ret)
{
    uint64_t version = atomic_load_explicit(&cell->version, memory_order_acquire), trace[2];

    if (version == 0 || (version & 1))
        return false;
    trace[0] = clew__load(&cell->trace[0]);
    trace[1] = clew__load(&cell->trace[1]);
    ret->span_id = clew__load(&cell->span);
    ret->value = clew__to_double(clew__load(&cell->value_bits));
    ret->time_ns = clew__load(&cell->time_ns);
    memcpy(ret->trace_id, trace, 16);
    clew__fence_acquire();
    return clew__load(&cell->version) == version;
}

void clew__exemplar_put(struct clew__shard *shard, struct clew__place place, unsigned word,
                        double value, const uint8_t *trace_id, uint64_t span_id)
{
    char *chunk = atomic_load_explicit(&shard->exemplars[place.chunk], memory_order_relaxed);
    struct clew__exemplar exemplar = {.value = value, .span_id = span_id};
    struct timespec now;

    if (!chunk)
        chunk = clew__shard_map(shard, shard->exemplars, place.chunk);
    if (!chunk)
        return;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    exemplar.time_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    memcpy(exemplar.trace_id, trace_id, 16);
    write_cell(at(chunk, place, word), shard == &clew__shared, &exemplar);
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
    char *chunk;

    if (!written(from, place, word) || !clew__exemplar_get(both, 2, place, word, &newest))
        return;
    chunk = atomic_load(&to->exemplars[place.chunk]);
    if (!chunk)
        chunk = clew__shard_map(to, to->exemplars, place.chunk);
    if (chunk)
        write_cell(at(chunk, place, word), false, &newest);
}
