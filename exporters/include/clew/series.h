/* SPDX-License-Identifier: Apache-2.0
 *
 * clew/series.h: what an update of a counter compiles to. Not for direct use:
 * <clew/metrics.h> includes it.
 *
 * A series has cells, at the same place in every thread's memory: a handle says
 * where. Only the thread itself writes its cells, so that adding is one plain
 * instruction; a scrape reads the cells of all threads. Everything else goes
 * through clew_series_add_any(): a thread's first update, gauges, fractions,
 * amounts that a counter does not take, processors other than x86-64.
 */
#ifndef CLEW_SERIES_H
#define CLEW_SERIES_H

#include <clew/site.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One combination of label values. Its members are the library's own. */
struct clew_series {
    uint32_t chunk; /* of a counter's cell; 0: always the long way */
    uint32_t offset;
};

/* A thread's cells: chunks of growing size, NULL where it has written none.
 * The first is always NULL. */
#define CLEW__CHUNKS 19u
struct clew_cells {
    char *chunk[CLEW__CHUNKS];
};
extern CLEW_PUBLIC __thread struct clew_cells clew_cells CLEW__TLS_MODEL;

CLEW_PUBLIC void clew_series_add_any(struct clew_series *series, double amount);

#ifdef __cplusplus
} /* extern "C" */
#endif

/* Above it not every whole number is a double. */
#define CLEW__WHOLE_MAX 9007199254740992.0

CLEW__INLINE bool clew__add_whole(struct clew_series *series, uint64_t amount)
{
#if defined(__x86_64__)
    char *chunk = series ? clew_cells.chunk[series->chunk] : NULL;

    if (__builtin_expect(chunk == NULL, 0))
        return false;
    /* One instruction: a signal handler comes before or after it. */
    __asm__("addq %1, %0" : "+m"(*(uint64_t *)(void *)(chunk + series->offset)) : "er"(amount));
    return true;
#else
    (void)series, (void)amount;
    return false;
#endif
}

#endif
