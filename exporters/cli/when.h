/* SPDX-License-Identifier: Apache-2.0
 * Points in time as options and people write them. */
#ifndef CLEW_CLI_WHEN_H
#define CLEW_CLI_WHEN_H

#include <buf.h>

#include <stdbool.h>
#include <stdint.h>

/* A time of an option: RFC 3339, a date, both without a zone in local time or
 * UTC; or 90s, 10m, 2h, 7d before now_ns. */
bool cli_when_option(const char *text, int64_t now_ns, bool utc, int64_t *ret_ns);
/* "2025-08-20 10:00:00.123 ", or from the hour on. MT-Unsafe: the last minute
 * is remembered. */
void cli_when_add(struct clew__buf *out, int64_t ns, bool utc, bool dated);

#endif
