/* SPDX-License-Identifier: Apache-2.0
 *
 * Sizes and periods of rotation, from text and on the calendar. The calendar
 * is the local one, with days of 23 and 25 hours. Stateless.
 */
#include "rotate_priv.h"

#include <errno.h>
#include <string.h>
#include <strings.h>
#include <time.h>

/* The number that text begins with; NULL when there is none or it is too large. */
static const char *parse_number(const char *text, uint64_t *ret)
{
    uint64_t n = 0;
    const char *p = text;

    for (; *p >= '0' && *p <= '9'; p++)
        if (__builtin_mul_overflow(n, 10, &n) ||
            __builtin_add_overflow(n, (uint64_t)(*p - '0'), &n))
            return NULL;
    *ret = n;
    return p > text ? p : NULL;
}

int clew__size_parse(const char *what, const char *text, uint64_t *ret_bytes)
{
    static const char units[] = "kmgt";
    uint64_t n;
    const char *end = parse_number(text, &n), *unit;

    if (end && *end) {
        unit = strchr(units, *end >= 'A' && *end <= 'Z' ? *end - 'A' + 'a' : *end);
        if (!unit || end[1] || n > UINT64_MAX >> 10 * (unit - units + 1))
            end = NULL;
        else
            n <<= 10 * (unit - units + 1);
    }
    if (!end)
        return clew_set_error(-EINVAL,
                              "%s=%.40s: not a size; use a number of bytes or one with k, M, G or "
                              "T behind it, like 100M",
                              what, text);
    *ret_bytes = n;
    return 0;
}

int clew__period_parse(const char *what, const char *text, struct clew__period *ret_period)
{
    static const struct {
        char unit;
        unsigned seconds;
    } units[] = {{'\0', 1}, {'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    struct clew__period period = {.kind = CLEW__PERIOD_SECONDS};
    const char *end = parse_number(text, &period.seconds);

    if (strcasecmp(text, "none") == 0)
        period = (struct clew__period){.kind = CLEW__PERIOD_NONE};
    else if (strcasecmp(text, "hourly") == 0)
        period = (struct clew__period){.kind = CLEW__PERIOD_HOURLY};
    else if (strcasecmp(text, "daily") == 0)
        period = (struct clew__period){.kind = CLEW__PERIOD_DAILY};
    else if (!end || (*end && end[1]))
        goto bad;
    else
        for (size_t i = 0;; i++) {
            if (i == sizeof(units) / sizeof(units[0]))
                goto bad;
            if (units[i].unit != *end)
                continue;
            /* A hundred years are plenty, and no sum below overflows. */
            if (period.seconds < 1 || period.seconds > UINT64_C(3153600000) / units[i].seconds)
                goto bad;
            period.seconds *= units[i].seconds;
            break;
        }
    *ret_period = period;
    return 0;

bad:
    return clew_set_error(-EINVAL,
                          "%s=%.40s: not a period; use none, hourly, daily or a number of seconds, "
                          "or one with s, m, h or d behind it, like 12h",
                          what, text);
}

uint64_t clew__period_end(const struct clew__period *period, uint64_t now_s)
{
    time_t now = (time_t)now_s, end;
    struct tm tm;

    switch (period->kind) {
    case CLEW__PERIOD_NONE:
        break;
    case CLEW__PERIOD_SECONDS:
        return now_s - now_s % period->seconds + period->seconds;
    case CLEW__PERIOD_HOURLY:
        (void)localtime_r(&now, &tm);
        return now_s - (unsigned)(tm.tm_min * 60 + tm.tm_sec % 60) + 3600;
    case CLEW__PERIOD_DAILY:
        (void)localtime_r(&now, &tm);
        tm.tm_mday++;
        tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
        tm.tm_isdst = -1;
        end = mktime(&tm);
        return end > now ? (uint64_t)end : now_s + 3600; /* a midnight the zone leaves out */
    }
    return 0;
}
