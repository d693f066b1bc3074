/* SPDX-License-Identifier: Apache-2.0
 * One JSON log line as a person reads it. */
#ifndef CLEW_CLI_LINE_H
#define CLEW_CLI_LINE_H

#include "cli.h"

/* Appends the line, without a newline; what is no line of ours is printed as
 * it is, made safe. time_ns: when the store says it was. */
void cli_format_line(struct clew__buf *out, const char *json, size_t len, long long time_ns,
                     bool colour);
/* The rank of the line's level, 0 (trace) to 5 (fatal); -1 unknown. */
int cli_level_rank(const char *name);
int cli_line_rank(const char *json, size_t len);

#endif
