/* SPDX-License-Identifier: Apache-2.0
 * An instant is taken apart in the interval's zone and compared field by field, so
 * both hours of an autumn night count, and the one that spring leaves out never
 * comes. The next opening is searched forward: minute by minute on a day that may
 * match, hour by hour else; openings are minutes, and every zone's hours begin on
 * a minute. GLib reads the system's zone files, each zone once. No other state. */
#include "interval.h"

#include <common/instant.h>

#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SEARCH_SECONDS (3653LL * 86400)

void *clew__zone_new(const char *name)
{
    return g_time_zone_new_identifier(name);
}

void *clew__zone_free(void *zone)
{
    if (zone)
        g_time_zone_unref(zone);
    return NULL;
}

void clew__interval_done(struct clew__interval *interval)
{
    for (size_t i = 0; i < interval->nparts; i++)
        (void)clew__zone_free(interval->parts[i].zone);
    free(interval->parts);
    free(interval->name);
}

/* What the clock and the calendar there show. */
static struct tm local(const struct clew__interval_part *part, int64_t seconds)
{
    struct tm parts;
    time_t time = (time_t)seconds;

    if (part->zone)
        time += g_time_zone_get_offset(
            part->zone,
            g_time_zone_find_interval(part->zone, G_TIME_TYPE_UNIVERSAL, (gint64)seconds));
    (void)gmtime_r(&time, &parts);
    return parts;
}

static int days_of(const struct tm *date)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year = date->tm_year + 1900;
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return date->tm_mon == 1 && leap ? 29 : days[date->tm_mon];
}

static bool in_ranges(const struct clew__range *ranges, size_t n, int value)
{
    for (size_t i = 0; i < n; i++)
        if (value >= ranges[i].begin && value <= ranges[i].end)
            return true;
    return n == 0;
}

static bool in_days(const struct clew__interval_part *part, const struct tm *date)
{
    int days = days_of(date);

    for (size_t i = 0; i < part->ndays; i++) {
        int begin = part->days[i].begin, end = part->days[i].end;

        begin = begin < 0 ? days + 1 + begin : begin;
        end = end < 0 ? days + 1 + end : end;
        if (date->tm_mday >= begin && date->tm_mday <= end)
            return true;
    }
    return part->ndays == 0;
}

static bool in_date(const struct clew__interval_part *part, const struct tm *date)
{
    return (part->weekdays & 1u << date->tm_wday) && (part->months & 1u << (date->tm_mon + 1)) &&
           in_days(part, date) && in_ranges(part->years, part->nyears, date->tm_year + 1900);
}

static bool in_times(const struct clew__interval_part *part, const struct tm *date)
{
    int minute = date->tm_hour * 60 + date->tm_min;

    for (size_t i = 0; i < part->ntimes; i++)
        if (minute >= part->times[i].begin && minute < part->times[i].end)
            return true;
    return part->ntimes == 0;
}

static int64_t seconds_of(int64_t instant)
{
    return instant / CLEW__SECOND_NS - (instant % CLEW__SECOND_NS < 0);
}

bool clew__interval_has(const struct clew__interval *interval, int64_t instant)
{
    for (size_t i = 0; i < interval->nparts; i++) {
        struct tm date = local(&interval->parts[i], seconds_of(instant));

        if (in_date(&interval->parts[i], &date) && in_times(&interval->parts[i], &date))
            return true;
    }
    return false;
}

static bool in_any(const struct clew__interval *const *list, size_t n, int64_t instant)
{
    for (size_t i = 0; i < n; i++)
        if (clew__interval_has(list[i], instant))
            return true;
    return false;
}

bool clew__hours_open(const struct clew__hours *hours, int64_t instant)
{
    return (hours->nactive == 0 || in_any(hours->active, hours->nactive, instant)) &&
           !in_any(hours->mute, hours->nmute, instant);
}

/* Whether this may become open before the next hour begins anywhere: it is the right
 * day, or only what mutes has to end. */
static bool may_open_soon(const struct clew__hours *hours, int64_t seconds)
{
    for (size_t i = 0; i < hours->nactive; i++)
        for (size_t j = 0; j < hours->active[i]->nparts; j++) {
            const struct clew__interval_part *part = &hours->active[i]->parts[j];
            struct tm date = local(part, seconds);

            if (in_date(part, &date))
                return true;
        }
    return hours->nactive == 0;
}

int64_t clew__hours_next(const struct clew__hours *hours, int64_t from)
{
    int64_t start = seconds_of(from), at = start;

    if (clew__hours_open(hours, from))
        return from;
    at -= (at % 60 + 60) % 60;
    while (at < start + SEARCH_SECONDS) {
        /* Zones' hours begin at quarters of an hour of UTC. */
        int64_t step = may_open_soon(hours, at) ? 60 : 900;

        at += step - (at % step + step) % step;
        if (clew__hours_open(hours, at * CLEW__SECOND_NS))
            return at * CLEW__SECOND_NS;
    }
    return 0;
}

const char *clew__hours_text(const struct clew__hours *hours, char *text, size_t size)
{
    size_t len = 0;

    text[0] = '\0';
    for (size_t i = 0; i < hours->nactive && len < size; i++)
        len +=
            (size_t)snprintf(text + len, size - len, "%s%s", i ? ", " : "", hours->active[i]->name);
    for (size_t i = 0; i < hours->nmute && len < size; i++)
        len += (size_t)snprintf(text + len, size - len, "%snot %s", i || hours->nactive ? ", " : "",
                                hours->mute[i]->name);
    return text;
}
