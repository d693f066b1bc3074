/* SPDX-License-Identifier: Apache-2.0
 * RFC 3339 times. Two webhooks name the same occurrence with the same time but
 * not always the same text (the fraction is of variable length), so times are
 * compared as numbers. The calendar is the proleptic Gregorian one, computed
 * here because timegm() accepts what is no date. No state. */
#include "instant.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

int64_t clew__instant_now(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * CLEW__SECOND_NS + now.tv_nsec;
}

int64_t clew__instant_steady(void)
{
    struct timespec time;

    (void)clock_gettime(CLOCK_BOOTTIME, &time);
    return time.tv_sec * CLEW__SECOND_NS + time.tv_nsec;
}

/* n digits at *at; moves on. */
static bool take_number(const char **at, unsigned n, int *ret_number)
{
    int number = 0;

    for (unsigned i = 0; i < n; i++, (*at)++) {
        if (**at < '0' || **at > '9')
            return false;
        number = number * 10 + (**at - '0');
    }
    *ret_number = number;
    return true;
}

static bool take(const char **at, char c)
{
    if (**at != c)
        return false;
    (*at)++;
    return true;
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return month == 2 && leap ? 29 : days[month - 1];
}

/* Days from 1970-01-01; counted from 1 March, so that a leap day is last. */
static int64_t day_number(int year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t m = month <= 2 ? month + 9 : month - 3;

    return y * 365 + y / 4 - y / 100 + y / 400 + (m * 153 + 2) / 5 + day - 1 - 719468;
}

static bool take_offset(const char **at, int *ret_seconds)
{
    int hours, minutes, sign = **at == '-' ? -1 : 1;

    if (take(at, 'Z') || take(at, 'z')) {
        *ret_seconds = 0;
        return true;
    }
    if (!take(at, '+') && !take(at, '-'))
        return false;
    if (!take_number(at, 2, &hours) || !take(at, ':') || !take_number(at, 2, &minutes) ||
        hours > 23 || minutes > 59)
        return false;
    *ret_seconds = sign * (hours * 3600 + minutes * 60);
    return true;
}

static bool take_fraction(const char **at, int64_t *ret_ns)
{
    int64_t unit = CLEW__SECOND_NS / 10, ns = 0;
    const char *start;

    if (!take(at, '.'))
        return true;
    for (start = *at; **at >= '0' && **at <= '9'; (*at)++, unit /= 10)
        ns += (**at - '0') * unit;
    *ret_ns = ns;
    return *at > start;
}

bool clew__instant_parse(const char *text, int64_t *ret_instant)
{
    int year, month, day, hour, minute, second, offset;
    int64_t ns = 0, seconds;

    if (!take_number(&text, 4, &year) || !take(&text, '-') || !take_number(&text, 2, &month) ||
        !take(&text, '-') || !take_number(&text, 2, &day) ||
        (!take(&text, 'T') && !take(&text, 't')))
        return false;
    if (month < 1 || month > 12 || year < 1 || day < 1 || day > days_in_month(year, month))
        return false;
    if (!take_number(&text, 2, &hour) || !take(&text, ':') || !take_number(&text, 2, &minute) ||
        !take(&text, ':') || !take_number(&text, 2, &second) || hour > 23 || minute > 59 ||
        second > 60)
        return false;
    if (!take_fraction(&text, &ns) || !take_offset(&text, &offset) || *text)
        return false;
    seconds = day_number(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset;
    if (seconds == day_number(1, 1, 1) * 86400 && ns == 0) {
        *ret_instant = 0;
        return true;
    }
    if (year < 1678 || year > 2261)
        return false;
    *ret_instant = seconds * CLEW__SECOND_NS + ns;
    return true;
}

const char *clew__instant_format(int64_t instant, char ret_text[CLEW__INSTANT_TEXT])
{
    int64_t ns = instant % CLEW__SECOND_NS;
    time_t seconds = (time_t)(instant / CLEW__SECOND_NS);
    struct tm parts;
    size_t len;

    if (ns < 0) {
        ns += CLEW__SECOND_NS;
        seconds--;
    }
    (void)gmtime_r(&seconds, &parts);
    len = strftime(ret_text, CLEW__INSTANT_TEXT, "%Y-%m-%dT%H:%M:%S", &parts);
    if (ns) {
        len += (size_t)snprintf(ret_text + len, CLEW__INSTANT_TEXT - len, ".%09lld", (long long)ns);
        while (ret_text[len - 1] == '0')
            len--;
    }
    (void)snprintf(ret_text + len, CLEW__INSTANT_TEXT - len, "Z");
    return ret_text;
}
