/* SPDX-License-Identifier: Apache-2.0
 * Alertmanager's time_intervals: the same keys, words and ranges. What it would
 * read otherwise than it looks (an end before its beginning, a day that no month
 * has) is an error. MT-Unsafe, as the tree is. */
#include "intervals.h"

#include <common/duration.h>

#include <clew/log.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INTERVALS_MAX 256
#define PARTS_MAX 64

static const char *const weekdays[] = {"sunday",   "monday", "tuesday",  "wednesday",
                                       "thursday", "friday", "saturday", NULL};
static const char *const months[] = {"",        "january",  "february", "march",  "april",
                                     "may",     "june",     "july",     "august", "september",
                                     "october", "november", "december", NULL};

int clew__config_duration(struct clew__yaml_node mapping, const char *key, int64_t *ret_ns)
{
    struct clew__yaml_node node = clew__yaml_get(mapping, key);
    char *text = NULL;
    int r = clew__yaml_text(node, 64, NULL, &text);

    if (r == 0 && text && !clew__duration_parse(text, ret_ns))
        r = clew__yaml_error(node, "%s is a span of time like 90s, 15m or 1h30m", key);
    free(text);
    return r;
}

static bool read_number(const char *text, size_t len, int *ret_number)
{
    bool negative = len > 0 && text[0] == '-';
    int number = 0;

    text += negative;
    len -= negative;
    if (len == 0 || len > 4)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        number = number * 10 + (text[i] - '0');
    }
    *ret_number = negative ? -number : number;
    return true;
}

/* A word of the table, or a number. */
static bool read_value(const char *text, size_t len, const char *const *words, int *ret_value)
{
    for (int i = 0; words && words[i]; i++)
        if (strlen(words[i]) == len && len && strncasecmp(words[i], text, len) == 0) {
            *ret_value = i;
            return true;
        }
    return read_number(text, len, ret_value);
}

/* "begin:end", or one value for both; within min..max. */
static int read_range(struct clew__yaml_node node, const char *const *words, int min, int max,
                      struct clew__range *ret_range)
{
    char *text = NULL;
    const char *colon;
    bool good;
    int r = clew__yaml_text(node, 64, "", &text);

    if (r < 0)
        return r;
    colon = strchr(text, ':');
    good =
        read_value(text, colon ? (size_t)(colon - text) : strlen(text), words, &ret_range->begin);
    ret_range->end = ret_range->begin;
    if (good && colon)
        good = read_value(colon + 1, strlen(colon + 1), words, &ret_range->end);
    free(text);
    if (!good)
        return clew__yaml_error(node, "a range like 'begin:end', or one value, was expected");
    if (ret_range->begin < min || ret_range->end > max || ret_range->begin > max ||
        ret_range->end < min)
        return clew__yaml_error(node, "only values from %d to %d are possible here", min, max);
    return 0;
}

static int read_mask(struct clew__yaml_node list, const char *const *words, int min, int max,
                     unsigned *ret_mask)
{
    int n = clew__yaml_count(list, CLEW__INTERVAL_RANGES_MAX), r = 0;
    struct clew__range range;

    if (n < 0)
        return n;
    *ret_mask = n ? 0 : ~0u;
    for (int i = 0; i < n && r == 0; i++) {
        r = read_range(clew__yaml_entry(list, i), words, min, max, &range);
        if (r == 0 && range.end < range.begin)
            r = clew__yaml_error(clew__yaml_entry(list, i), "the end comes before the beginning");
        for (int value = range.begin; r == 0 && value <= range.end; value++)
            *ret_mask |= 1u << value;
    }
    return r;
}

/* Day -1 is the last of a month, so a range may begin above and end below zero. */
static int read_days(struct clew__yaml_node list, struct clew__interval_part *part)
{
    int n = clew__yaml_count(list, CLEW__INTERVAL_RANGES_MAX), r = 0;

    for (int i = 0; i < n && r == 0; i++) {
        struct clew__range *range = &part->days[part->ndays++];

        r = read_range(clew__yaml_entry(list, i), NULL, -31, 31, range);
        if (r == 0 && (range->begin == 0 || range->end == 0 ||
                       (range->end < range->begin && (range->begin < 0) == (range->end < 0)) ||
                       (range->begin < 0 && range->end > 0)))
            r = clew__yaml_error(clew__yaml_entry(list, i),
                                 "days are 1 to 31 or, from the month's end, -31 to -1, the "
                                 "earlier one first");
    }
    return n < 0 ? n : r;
}

static int read_years(struct clew__yaml_node list, struct clew__interval_part *part)
{
    int n = clew__yaml_count(list, CLEW__INTERVAL_RANGES_MAX), r = 0;

    for (int i = 0; i < n && r == 0; i++) {
        struct clew__range *range = &part->years[part->nyears++];

        r = read_range(clew__yaml_entry(list, i), NULL, 1970, 2261, range);
        if (r == 0 && range->end < range->begin)
            r = clew__yaml_error(clew__yaml_entry(list, i), "the end comes before the beginning");
    }
    return n < 0 ? n : r;
}

/* "09:00"; 24:00 is the day's end. */
static int read_clock(struct clew__yaml_node mapping, const char *key, int *ret_minute)
{
    struct clew__yaml_node node = clew__yaml_get(mapping, key);
    char *text = NULL;
    int hour, minute, r = clew__yaml_text(node, 64, "", &text);
    bool good;

    if (r < 0)
        return r;
    good = strlen(text) == 5 && text[2] == ':' && read_number(text, 2, &hour) &&
           read_number(text + 3, 2, &minute) && hour >= 0 && minute >= 0 && minute < 60 &&
           hour * 60 + minute <= 1440;
    free(text);
    if (!good)
        return clew__yaml_error(node.node ? node : mapping, "%s is a time from 00:00 to 24:00",
                                key);
    *ret_minute = hour * 60 + minute;
    return 0;
}

static int read_times(struct clew__yaml_node list, struct clew__interval_part *part)
{
    static const char *const keys[] = {"start_time", "end_time", NULL};
    int n = clew__yaml_count(list, CLEW__INTERVAL_RANGES_MAX), r = 0;

    for (int i = 0; i < n && r == 0; i++) {
        struct clew__yaml_node node = clew__yaml_entry(list, i);
        struct clew__range *range = &part->times[part->ntimes++];

        r = clew__yaml_keys(node, keys);
        if (r == 0)
            r = read_clock(node, "start_time", &range->begin);
        if (r == 0)
            r = read_clock(node, "end_time", &range->end);
        if (r == 0 && range->end <= range->begin)
            r = clew__yaml_error(node, "end_time is not after start_time; a night is two ranges");
    }
    return n < 0 ? n : r;
}

static int read_location(struct clew__yaml_node node, struct clew__interval_part *part)
{
    char *name = NULL;
    int r = clew__yaml_text(node, 256, "UTC", &name);

    if (r == 0 && strcmp(name, "UTC") != 0) {
        part->zone = clew__zone_new(name);
        if (!part->zone)
            r = clew__yaml_error(node, "the system knows no time zone of this name (IANA's, like "
                                       "Europe/Berlin; Debian has them in tzdata)");
    }
    free(name);
    return r;
}

static int read_part(struct clew__yaml_node node, struct clew__interval_part *part)
{
    static const char *const keys[] = {"times",    "weekdays", "days_of_month", "months", "years",
                                       "location", NULL};
    int r = clew__yaml_keys(node, keys);

    if (r == 0)
        r = read_times(clew__yaml_get(node, "times"), part);
    if (r == 0)
        r = read_mask(clew__yaml_get(node, "weekdays"), weekdays, 0, 6, &part->weekdays);
    if (r == 0)
        r = read_days(clew__yaml_get(node, "days_of_month"), part);
    if (r == 0)
        r = read_mask(clew__yaml_get(node, "months"), months, 1, 12, &part->months);
    if (r == 0)
        r = read_years(clew__yaml_get(node, "years"), part);
    return r == 0 ? read_location(clew__yaml_get(node, "location"), part) : r;
}

static int read_interval(struct clew__yaml_node node, struct clew__config *config)
{
    static const char *const keys[] = {"name", "time_intervals", NULL};
    struct clew__interval *interval = &config->intervals[config->nintervals];
    struct clew__yaml_node name, list;
    int n, r = clew__yaml_keys(node, keys);

    if (r < 0)
        return r;
    name = clew__yaml_get(node, "name");
    r = clew__yaml_text(name, 256, "", &interval->name);
    if (r < 0)
        return r;
    if (!*interval->name || clew__config_interval(config, interval->name)) {
        free(interval->name);
        return clew__yaml_error(name.node ? name : node,
                                "the interval's name is missing, or taken already");
    }
    config->nintervals++;
    list = clew__yaml_get(node, "time_intervals");
    n = clew__yaml_count(list, PARTS_MAX);
    if (n < 0)
        return n;
    if (n == 0)
        return clew__yaml_error(node, "time_intervals are missing");
    interval->parts = calloc((size_t)n, sizeof(*interval->parts));
    if (!interval->parts)
        return clew_set_error(-ENOMEM, "out of memory");
    for (int i = 0; i < n && r == 0; i++) {
        interval->nparts++;
        r = read_part(clew__yaml_entry(list, i), &interval->parts[i]);
    }
    return r;
}

int clew__config_intervals(struct clew__yaml_node list, struct clew__config *config)
{
    int n = clew__yaml_count(list, INTERVALS_MAX), r = 0;

    if (n <= 0)
        return n;
    config->intervals = calloc((size_t)n, sizeof(*config->intervals));
    if (!config->intervals)
        return clew_set_error(-ENOMEM, "out of memory");
    for (int i = 0; i < n && r == 0; i++)
        r = read_interval(clew__yaml_entry(list, i), config);
    return r;
}

const struct clew__interval *clew__config_interval(const struct clew__config *config,
                                                   const char *name)
{
    for (size_t i = 0; i < config->nintervals; i++)
        if (strcmp(config->intervals[i].name, name) == 0)
            return &config->intervals[i];
    return NULL;
}
