/* SPDX-License-Identifier: Apache-2.0
 * Points in time as log lines, options and people write them. */
#ifndef CLEW_CLI_WHEN_H
#define CLEW_CLI_WHEN_H

#include "scan.h"

#include <stdint.h>

/* A time of a line: RFC 3339 (without a zone it is UTC), or a number of
 * seconds, milliseconds, microseconds or nanoseconds since 1970, told apart by
 * its size. False when it is none, or before 1970 or after 2262. */
bool cli_when_value(const struct clew__scan_value *value, int64_t *ret_ns);
/* A time of an option: RFC 3339, a date, both without a zone in local time or
 * UTC; or 90s, 10m, 2h, 7d before now_ns. */
bool cli_when_option(const char *text, int64_t now_ns, bool utc, int64_t *ret_ns);
/* "2025-08-20 10:00:00.123 ", or from the hour on. MT-Unsafe: the last minute
 * is remembered. */
void cli_when_add(struct clew__buf *out, int64_t ns, bool utc, bool dated);

#endif
