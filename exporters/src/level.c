/* SPDX-License-Identifier: Apache-2.0
 * Severities, under the names that loggers give them. */
#include "level.h"

#include <string.h>
#include <strings.h>

#define NAME_MAX_BYTES 16

static const struct {
    const char *name;
    int rank;
} levels[] = {
    {"INFO", 2},    {"DEBUG", 1}, {"WARN", 3},  {"ERROR", 4},  {"TRACE", 0},       {"FATAL", 5},
    {"WARNING", 3}, {"PANIC", 5}, {"ERR", 4},   {"NOTICE", 2}, {"INFORMATION", 2}, {"CRITICAL", 5},
    {"DPANIC", 5},  {"CRIT", 5},  {"ALERT", 5}, {"EMERG", 5},  {"EMERGENCY", 5},   {"VERBOSE", 1},
};

int clew__level_rank(const char *name, size_t len)
{
    for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++)
        if (strlen(levels[i].name) == len && strncasecmp(name, levels[i].name, len) == 0)
            return levels[i].rank;
    return -1;
}

/* pino and bunyan: 10 is trace, 60 fatal; what lies between belongs to the one
 * below. */
static int rank_of_number(const char *text, size_t len)
{
    if (len != 2 || text[0] < '1' || text[0] > '6' || text[1] < '0' || text[1] > '9')
        return -1;
    return text[0] - '1';
}

int clew__level_value(const struct clew__scan_value *value)
{
    struct clew__buf name;
    int rank;

    if (value->type == CLEW__SCAN_NUMBER)
        return rank_of_number(value->at, value->len);
    if (value->type != CLEW__SCAN_STRING || value->len > 6 * NAME_MAX_BYTES)
        return -1;
    if (!value->escaped)
        return clew__level_rank(value->at, value->len);
    clew__buf_init(&name, 256);
    clew__scan_decode(&name, value);
    rank = name.failed || !name.data ? -1 : clew__level_rank(name.data, name.len);
    clew__buf_done(&name);
    return rank;
}
