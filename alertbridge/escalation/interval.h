/* SPDX-License-Identifier: Apache-2.0
 * Named times of the clock and the calendar: Alertmanager's time_intervals. They are
 * read by config/intervals.c and do not change afterwards: MT-Safe. */
#ifndef CLEW_ALERTBRIDGE_INTERVAL_H
#define CLEW_ALERTBRIDGE_INTERVAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLEW__INTERVAL_RANGES_MAX 64

/* Both ends belong to it, except for minutes: there the end does not. */
struct clew__range {
    int begin, end;
};

/* Everything that is given has to match; what is empty always does. */
struct clew__interval_part {
    struct clew__range times[CLEW__INTERVAL_RANGES_MAX]; /* minutes of the day */
    struct clew__range days[CLEW__INTERVAL_RANGES_MAX];  /* of the month; -1 is its last */
    struct clew__range years[CLEW__INTERVAL_RANGES_MAX];
    size_t ntimes, ndays, nyears;
    unsigned weekdays; /* 1u << day, Sunday is 0 */
    unsigned months;   /* 1u << month, January is 1 */
    void *zone;        /* NULL: UTC; clew__zone_free() */
};

struct clew__interval {
    char *name;
    struct clew__interval_part *parts; /* one that matches is enough */
    size_t nparts;
};

/* A zone of the IANA database by its name, as the system has it; NULL: unknown. */
void *clew__zone_new(const char *name);
void *clew__zone_free(void *zone);

/* Frees what it holds. */
void clew__interval_done(struct clew__interval *interval);
/* Whether an instant is in it. */
bool clew__interval_has(const struct clew__interval *interval, int64_t instant);

/* Active within one of `active` (none: always) and outside all of `mute`. */
struct clew__hours {
    const struct clew__interval **active, **mute;
    size_t nactive, nmute;
};
bool clew__hours_open(const struct clew__hours *hours, int64_t instant);
/* The first instant from `from` on at which they are open, to the minute; 0: not
 * within ten years. */
int64_t clew__hours_next(const struct clew__hours *hours, int64_t from);
/* "business-hours, not holidays", for people. */
const char *clew__hours_text(const struct clew__hours *hours, char *text, size_t size);

#endif
