/* SPDX-License-Identifier: Apache-2.0
 *
 * Limits of single call sites. The counters are the site's own; a line that
 * passes takes the number of those held back with it. What no line took along
 * for some seconds the collector tells.
 */
#include "pressure_priv.h"

#include <string.h>

#define REPORT_NS UINT64_C(10000000000)

static struct clew_limit *_Atomic limits; /* those that ever held something back */

static void enlist(struct clew_limit *limit)
{
    if (__atomic_load_n(&limit->listed, __ATOMIC_RELAXED) ||
        __atomic_exchange_n(&limit->listed, 1, __ATOMIC_ACQ_REL))
        return;
    limit->next = atomic_load(&limits);
    while (!atomic_compare_exchange_weak(&limits, &limit->next, limit))
        ;
}

static bool number_passes(const struct clew_limit *limit, uint64_t number)
{
    if (number < limit->first)
        return true;
    return limit->every && (number - limit->first) % limit->every == 0;
}

/* A race at the turn of a second may let one more through. */
static bool second_passes(struct clew_limit *limit)
{
    uint64_t now = clew__monotonic_ns() / 1000000000u;

    if (limit->per_second == 0)
        return true;
    if (__atomic_load_n(&limit->second, __ATOMIC_RELAXED) != now) {
        __atomic_store_n(&limit->in_second, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&limit->second, now, __ATOMIC_RELAXED);
    }
    return __atomic_fetch_add(&limit->in_second, 1, __ATOMIC_RELAXED) < limit->per_second;
}

bool clew__limit_passes(struct clew_site *site, struct clew_limit *limit, uint64_t *ret_held)
{
    uint64_t number = __atomic_fetch_add(&limit->seen, 1, __ATOMIC_RELAXED);

    if (number_passes(limit, number) && second_passes(limit)) {
        *ret_held = __atomic_exchange_n(&limit->held, 0, __ATOMIC_RELAXED);
        return true;
    }
    __atomic_store_n(&limit->site, site, __ATOMIC_RELAXED);
    (void)__atomic_fetch_add(&limit->held, 1, __ATOMIC_RELAXED);
    CLEW__COUNT_ONE(held_back);
    enlist(limit);
    return false;
}

void clew__limits_report(void)
{
    static uint64_t last_ns;
    uint64_t now = clew__monotonic_ns();

    if (now - last_ns < REPORT_NS)
        return;
    last_ns = now;
    for (struct clew_limit *limit = atomic_load(&limits); limit; limit = limit->next) {
        uint64_t held = __atomic_exchange_n(&limit->held, 0, __ATOMIC_RELAXED);
        const struct clew_site *site = __atomic_load_n(&limit->site, __ATOMIC_RELAXED);
        const char *file = held ? strrchr(site->file, '/') : NULL;

        if (held)
            clew_info(
                "log lines held back", clew_kv("count", held), clew_kv("of_message", site->message),
                clew_kv("of_file", file ? file + 1 : site->file), clew_kv("of_line", site->line));
    }
}
