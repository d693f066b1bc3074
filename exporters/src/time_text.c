/* SPDX-License-Identifier: Apache-2.0 */
#include "time_text.h"

#include <string.h>

#define SECOND INT64_C(1000000000)

/* Days from 1970-01-01 in the Gregorian calendar; years begin in March here, so
 * that the leap day is the last of one. */
static int64_t days(int64_t year, int month, int day)
{
    int64_t y = year - (month <= 2), m = (month + 9) % 12;

    return 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

/* n digits as a number; -1 when they are none. */
static int digits(const char *p, int n)
{
    int v = 0;

    for (; n > 0; n--, p++) {
        if (*p < '0' || *p > '9')
            return -1;
        v = 10 * v + (*p - '0');
    }
    return v;
}

/* ".123" and so on at *p, in nanoseconds; *p behind it. */
static int64_t fraction(const char **p, const char *end)
{
    int64_t ns = 0, unit = SECOND / 10;

    if (*p >= end || (**p != '.' && **p != ','))
        return 0;
    for (++*p; *p < end && **p >= '0' && **p <= '9'; ++*p, unit /= 10)
        ns += unit * (**p - '0');
    return ns;
}

/* Z, +02:00, +0200; nothing is *ret_local. */
static bool zone(const char *p, const char *end, int *ret_minutes, bool *ret_local)
{
    int hours, minutes;

    *ret_minutes = 0;
    *ret_local = p == end;
    if (p == end || (end - p == 1 && (*p == 'Z' || *p == 'z')))
        return true;
    if (end - p == 6 ? p[3] != ':' : end - p != 5)
        return false;
    hours = digits(p + 1, 2);
    minutes = digits(end - 2, 2);
    if ((*p != '+' && *p != '-') || hours < 0 || minutes < 0 || hours > 23 || minutes > 59)
        return false;
    *ret_minutes = *p == '-' ? -(60 * hours + minutes) : 60 * hours + minutes;
    return true;
}

bool clew__time_rfc3339(const char *p, size_t len, int64_t *ret_ns, bool *ret_local)
{
    const char *end = p + len;
    int year, month, day, hour, minute, second, offset;
    int64_t ns;

    if (len < 19 || p[4] != '-' || p[7] != '-' || !strchr("Tt ", p[10]) || p[13] != ':' ||
        p[16] != ':')
        return false;
    year = digits(p, 4), month = digits(p + 5, 2), day = digits(p + 8, 2);
    hour = digits(p + 11, 2), minute = digits(p + 14, 2), second = digits(p + 17, 2);
    if (year < 1970 || year > 2261 || month < 1 || month > 12 || day < 1 || day > 31 || hour < 0 ||
        hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 60)
        return false;
    p += 19;
    ns = fraction(&p, end);
    if (!zone(p, end, &offset, ret_local))
        return false;
    ns += ((days(year, month, day) * 24 + hour) * 60 + minute - offset) * 60 * SECOND +
          second * SECOND;
    if (ns < 0)
        return false;
    *ret_ns = ns;
    return true;
}

/* Its unit is told by its size: seconds up to the year 5138, then thousandths
 * of the unit before. */
static bool epoch(const char *p, size_t len, int64_t *ret_ns)
{
    const char *end = p + len;
    int64_t whole = 0, part, unit;

    for (; p < end && *p >= '0' && *p <= '9'; p++) {
        if (whole > (INT64_MAX - 9) / 10)
            return false;
        whole = 10 * whole + (*p - '0');
    }
    part = fraction(&p, end);
    if (p != end) /* a sign or an exponent: no clock writes those */
        return false;
    unit = whole < INT64_C(100000000000)         ? SECOND
           : whole < INT64_C(100000000000000)    ? SECOND / 1000
           : whole < INT64_C(100000000000000000) ? SECOND / 1000000
                                                 : 1;
    if (whole > (INT64_MAX - SECOND) / unit)
        return false;
    *ret_ns = whole * unit + part / (SECOND / unit);
    return true;
}

bool clew__time_value(const struct clew__scan_value *value, int64_t *ret_ns)
{
    bool local;

    if (value->type == CLEW__SCAN_NUMBER)
        return epoch(value->at, value->len, ret_ns);
    return value->type == CLEW__SCAN_STRING && !value->escaped &&
           clew__time_rfc3339(value->at, value->len, ret_ns, &local);
}
