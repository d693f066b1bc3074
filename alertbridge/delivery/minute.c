/* SPDX-License-Identifier: Apache-2.0
 * The times of the latest requests, in a ring. A burst goes out at once; the one
 * after it waits until the oldest that counts is a minute ago, so no window of a
 * minute, wherever it begins, holds more than the limit. A far side that counts in
 * windows of its own never sees more either. */
#include "minute.h"

#include <common/instant.h>

#include <clew/log.h>

#include <errno.h>
#include <stdlib.h>

#define WINDOW_NS (60 * CLEW__SECOND_NS)

int clew__minute_init(struct clew__minute *minute, unsigned max_per_minute)
{
    *minute = (struct clew__minute){.max = max_per_minute};
    if (max_per_minute == 0)
        return 0;
    minute->times = calloc(max_per_minute, sizeof(*minute->times));
    return minute->times ? 0 : clew_set_error(-ENOMEM, "out of memory");
}

void clew__minute_done(struct clew__minute *minute)
{
    free(minute->times);
    *minute = (struct clew__minute){0};
}

int64_t clew__minute_next(const struct clew__minute *minute, bool critical)
{
    unsigned allowed = critical ? minute->max : minute->max - minute->max / 6;

    if (minute->n < allowed || minute->max == 0)
        return 0;
    /* The allowed-th latest has to leave the window. */
    return minute->times[(minute->at + minute->max - allowed) % minute->max] + WINDOW_NS;
}

void clew__minute_count(struct clew__minute *minute, int64_t now)
{
    if (minute->max == 0)
        return;
    minute->times[minute->at] = now;
    minute->at = (minute->at + 1) % minute->max;
    if (minute->n < minute->max)
        minute->n++;
}
