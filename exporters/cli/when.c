/* SPDX-License-Identifier: Apache-2.0
 *
 * Zones of the local kind are asked for once a minute of the log, not once a line:
 * no zone changes within one.
 */
#include "when.h"

#include <time_text.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SECOND INT64_C(1000000000)

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
    *ret_ns = now_ns - atoi(text) * unit * SECOND;
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
    if (!clew__time_rfc3339(text, len, &ns, &local))
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
