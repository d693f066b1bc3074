/* SPDX-License-Identifier: Apache-2.0
 * Points in time as nanoseconds since 1970, the only unit inside. */
#ifndef CLEW_ALERTBRIDGE_INSTANT_H
#define CLEW_ALERTBRIDGE_INSTANT_H

#include <stdbool.h>
#include <stdint.h>

#define CLEW__SECOND_NS 1000000000LL
#define CLEW__INSTANT_TEXT 40 /* bytes for clew__instant_format(), NUL included */

int64_t clew__instant_now(void);
/* Nanoseconds of a clock that nobody sets and that goes on while the machine sleeps:
 * for durations. */
int64_t clew__instant_steady(void);

/* Reads an RFC 3339 time with 0..9 fraction digits (further ones are cut). Go's
 * zero time, 0001-01-01T00:00:00Z, is 0: "not set".
 * returns false when the text is no time or lies outside 1678..2261 */
bool clew__instant_parse(const char *text, int64_t *ret_instant);

/* "2026-11-20T20:59:17.632Z"; the fraction is as long as it has to be. */
const char *clew__instant_format(int64_t instant, char ret_text[CLEW__INSTANT_TEXT]);

#endif
