/* SPDX-License-Identifier: Apache-2.0
 *
 * Time is nanoseconds since 1970 in 63 bits. Zones of the local kind are asked
 * for once a minute of the log, not once a line: no zone changes within one.
 */
#include "when.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

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

static bool rfc3339(const char *p, size_t len, int64_t *ret_ns, bool *ret_local)
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

bool cli_when_value(const struct clew__scan_value *value, int64_t *ret_ns)
{
    bool local;

    if (value->type == CLEW__SCAN_NUMBER)
        return epoch(value->at, value->len, ret_ns);
    return value->type == CLEW__SCAN_STRING && !value->escaped &&
           rfc3339(value->at, value->len, ret_ns, &local);
}

/* The wall clock's reading as local time, instead of UTC. */
static int64_t from_local(int64_t ns)
{
    time_t seconds = (time_t)(ns / SECOND);
    struct tm tm;

    (void)gmtime_r(&seconds, &tm);
    tm.tm_isdst = -1;
    return (int64_t)mktime(&tm) * SECOND + ns % SECOND;
}

static bool relative(const char *text, int64_t now_ns, int64_t *ret_ns)
{
    size_t n = strspn(text, "0123456789");
    int64_t unit;

    if (n == 0 || n > 7 || text[n] == '\0' || text[n + 1] != '\0')
        return false;
    unit = text[n] == 's'   ? 1
           : text[n] == 'm' ? 60
           : text[n] == 'h' ? 3600
           : text[n] == 'd' ? 86400
                            : 0;
    *ret_ns = now_ns - digits(text, (int)n) * unit * SECOND;
    return unit != 0;
}

bool cli_when_option(const char *text, int64_t now_ns, bool utc, int64_t *ret_ns)
{
    char full[32];
    size_t len = strlen(text);
    int64_t ns;
    bool local;

    if (relative(text, now_ns, ret_ns))
        return true;
    if (len == 10) {
        (void)snprintf(full, sizeof(full), "%.10sT00:00:00", text);
        text = full;
        len = strlen(full);
    }
    if (!rfc3339(text, len, &ns, &local))
        return false;
    *ret_ns = local && !utc ? from_local(ns) : ns;
    return true;
}

static void two(char *p, int v)
{
    p[0] = (char)('0' + v / 10);
    p[1] = (char)('0' + v % 10);
}

void cli_when_add(struct clew__buf *out, int64_t ns, bool utc, bool dated)
{
    static char text[64] = "";
    static int64_t last = -1;
    static bool last_utc;
    int64_t minute;
    int ms;

    ns = ns > 0 ? ns : 0;
    minute = ns / (60 * SECOND);
    ms = (int)(ns / (SECOND / 1000) % 1000);
    if (minute != last || utc != last_utc) {
        time_t seconds = (time_t)(minute * 60);
        struct tm tm;

        (void)(utc ? gmtime_r(&seconds, &tm) : localtime_r(&seconds, &tm));
        (void)snprintf(text, sizeof(text), "%04u-%02u-%02u %02u:%02u:00.000 ",
                       (unsigned)(tm.tm_year + 1900) % 10000, (unsigned)(tm.tm_mon + 1) % 100,
                       (unsigned)tm.tm_mday % 100, (unsigned)tm.tm_hour % 100,
                       (unsigned)tm.tm_min % 100);
        last = minute;
        last_utc = utc;
    }
    two(text + 17, (int)(ns / SECOND % 60));
    two(text + 20, ms / 10);
    text[22] = (char)('0' + ms % 10);
    clew__buf_add(out, text + (dated ? 0 : 11), dated ? 24 : 13);
}
