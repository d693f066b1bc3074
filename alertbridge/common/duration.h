/* SPDX-License-Identifier: Apache-2.0
 * Spans of time as Prometheus and Alertmanager write them: "90s", "1h30m", "1d". */
#ifndef CLEW_ALERTBRIDGE_DURATION_H
#define CLEW_ALERTBRIDGE_DURATION_H

#include <stdbool.h>
#include <stdint.h>

#define CLEW__DURATION_TEXT 48 /* bytes for clew__duration_format(), NUL included */

/* Whole numbers with y, w, d, h, m, s, ms, each unit at most once and in this order;
 * "0" alone needs none. returns false when it is none, or longer than a year */
bool clew__duration_parse(const char *text, int64_t *ret_ns);

/* "1h30m"; milliseconds are the smallest. */
const char *clew__duration_format(int64_t ns, char ret_text[CLEW__DURATION_TEXT]);

#endif
