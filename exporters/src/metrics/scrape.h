/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading the metrics: whoever scrapes has the shards to itself, as a reader. In
 * between begin and end series are neither removed nor freed; new ones may
 * appear at the end of the lists.
 */
#ifndef CLEW_SCRAPE_H
#define CLEW_SCRAPE_H

#include "registry_priv.h"

struct clew__scrape {
    struct clew__shard **shards;
    size_t nshards;
};

/* One at a time: waits for the one before. False without memory, and there is
 * no end then. */
bool clew__scrape_begin(struct clew__scrape *ret);
void clew__scrape_end(struct clew__scrape *scrape);
/* In the child of a fork: nobody scrapes. */
void clew__scrape_forked(void);

/* A counter's or a gauge's value. */
struct clew__number {
    bool is_whole;
    uint64_t whole; /* exact */
    double value;
};
struct clew__number clew__read_number(const struct clew__scrape *scrape,
                                      struct clew__series *series);
/* Counts of a classic histogram's buckets, each for itself; returns their sum. */
uint64_t clew__read_classic(const struct clew__scrape *scrape, struct clew__series *series,
                            uint64_t counts[CLEW_METRIC_BUCKETS_MAX + 1], double *ret_sum);
/* A native one's; returns the count of all. */
uint64_t clew__read_native(const struct clew__scrape *scrape, struct clew__series *series,
                           struct clew__native_copy *ret);
/* Of a word of its cells: 0 for a counter, 1 + bucket, 0 … CLEW__NATIVE_EXEMPLARS - 1. */
static inline bool clew__read_exemplar(const struct clew__scrape *scrape,
                                       const struct clew__series *series, unsigned word,
                                       struct clew__exemplar *ret)
{
    return clew__exemplar_get(scrape->shards, scrape->nshards, series->place, word, ret);
}
/* Adds the cells of a series to others of its kind that nobody else writes. */
void clew__cells_move(char *from, char *to, const struct clew__series *series);
/* Unix time at which it counted from zero. */
uint64_t clew__series_created(const struct clew__series *series);

/* ---- expire.c --------------------------------------------------------------------------- */

/* Removes series that were idle for long. now_ns: CLOCK_MONOTONIC */
void clew__expire(const struct clew__scrape *scrape, uint64_t now_ns);
/* The same, now, whenever it was done last. */
void clew__expire_now(const struct clew__scrape *scrape, uint64_t now_ns, uint64_t idle_ns);
/* Expired ones that some thread may still see: a shard that is emptied needs
 * theirs too. */
extern struct clew__series *clew__expired;
void clew__expire_forked(void);

#endif
