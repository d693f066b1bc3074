/* SPDX-License-Identifier: Apache-2.0
 * What the stand-ins for Slack and PagerDuty share. */
#ifndef CLEW_LOCAL_STANDINS_H
#define CLEW_LOCAL_STANDINS_H

#include "server.h"

/* Characters of a UTF-8 text, as both services count them; NULL: 0. */
static inline size_t standin_runes(const char *text)
{
    size_t n = 0;

    for (; text && *text; text++)
        n += ((unsigned char)*text & 0xC0) != 0x80;
    return n;
}

/* since_id of a list's query. */
int64_t standin_since(const struct request *request);

#endif
