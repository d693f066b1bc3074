/* SPDX-License-Identifier: Apache-2.0
 * The level of a line, and what it is called. */
#include "line.h"

#include <level.h>

#include <string.h>

const char *cli_level_name(int rank)
{
    static const char *const names[] = {"TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"};

    return rank >= 0 && rank < 6 ? names[rank] : "";
}

int cli_level_rank(const char *name)
{
    return name ? clew__level_rank(name, strlen(name)) : -1;
}

int cli_line_rank(const char *json, size_t len)
{
    struct clew__scan scan;
    struct clew__scan_member member;
    int rank = -1, more;

    if (!clew__scan_open(&scan, json, len))
        return -1;
    while ((more = clew__scan_next(&scan, &member)) == 1)
        if (rank < 0 && cli_role_of(&member.key) == CLI_LEVEL)
            rank = clew__level_value(&member.value);
    return more == 0 ? rank : -1;
}
