/* SPDX-License-Identifier: Apache-2.0
 * Points in time as log lines write them: nanoseconds since 1970 in 63 bits. MT-Safe. */
#ifndef CLEW_TIME_TEXT_H
#define CLEW_TIME_TEXT_H

#include "scan.h"

#include <stdint.h>

/* A time of a line: RFC 3339 (without a zone it is UTC), or a number of
 * seconds, milliseconds, microseconds or nanoseconds since 1970, told apart by
 * its size. False when it is none, or before 1970 or after 2262. */
bool clew__time_value(const struct clew__scan_value *value, int64_t *ret_ns);
/* RFC 3339 only. *ret_local: it has no zone. */
bool clew__time_rfc3339(const char *p, size_t len, int64_t *ret_ns, bool *ret_local);

#endif
