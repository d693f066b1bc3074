/* SPDX-License-Identifier: Apache-2.0
 * The times of the latest requests, in a ring. A burst goes out at once; the one
 * after it waits until the oldest that counts is a minute ago, so no window of a
 * minute, wherever it begins, holds more than the limit. A far side that counts in
 * windows of its own never sees more either. */
#include "pace.h"

#include <common/instant.h>

#include <clew/log.h>

#include <errno.h>
#include <stdlib.h>

#define WINDOW_NS (60 * CLEW__SECOND_NS)

int clew__pace_init(struct clew__pace *pace, unsigned max_per_minute)
{
    *pace = (struct clew__pace){.max = max_per_minute};
    if (max_per_minute == 0)
        return 0;
    pace->times = calloc(max_per_minute, sizeof(*pace->times));
    return pace->times ? 0 : clew_set_error(-ENOMEM, "out of memory");
}

void clew__pace_done(struct clew__pace *pace)
{
    free(pace->times);
    *pace = (struct clew__pace){0};
}

int64_t clew__pace_next(const struct clew__pace *pace, bool critical)
{
    unsigned allowed = critical ? pace->max : pace->max - pace->max / 6;

    if (pace->n < allowed || pace->max == 0)
        return 0;
    /* The allowed-th latest has to leave the window. */
    return pace->times[(pace->at + pace->max - allowed) % pace->max] + WINDOW_NS;
}

void clew__pace_count(struct clew__pace *pace, int64_t now)
{
    if (pace->max == 0)
        return;
    pace->times[pace->at] = now;
    pace->at = (pace->at + 1) % pace->max;
    if (pace->n < pace->max)
        pace->n++;
}
