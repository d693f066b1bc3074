/* SPDX-License-Identifier: Apache-2.0
 * One JSON log line as a person reads it: ours, and what other loggers write,
 * with the names and levels they use. */
#ifndef CLEW_CLI_LINE_H
#define CLEW_CLI_LINE_H

#include "cli.h"
#include "scan.h"

#include <stdint.h>

/* What a member of the line is, by its key. */
enum cli_role {
    CLI_FIELD,
    CLI_TIME,    /* timestamp, time, ts, @timestamp */
    CLI_LEVEL,   /* level, lvl, severity */
    CLI_SERVICE, /* service */
    CLI_MESSAGE, /* message, msg */
    CLI_ID,      /* request_id, correlation_id, trace_id: not shown */
    CLI_SPAN,    /* span_id */
    CLI_CONTEXT, /* context */
    CLI_SOURCE,  /* source */
};
enum cli_role cli_role_of(const struct clew__scan_value *key);

struct cli_style {
    bool colour;
    bool utc;   /* else local time */
    bool dated; /* the date before the time */
};

/* Appends the line, without a newline; what is no log line is printed as it
 * is, made safe. time_ns: when the store says it was. */
void cli_format_line(struct clew__buf *out, const char *json, size_t len, long long time_ns,
                     bool colour);
/* The same with the line's own time, where it has one; false when the text is
 * no JSON object, nothing was appended then. */
bool cli_format_own(struct clew__buf *out, const char *json, size_t len,
                    const struct cli_style *style);
/* A value as it stands behind "key=". */
void cli_add_value(struct clew__buf *out, const struct clew__scan_value *value);

/* ---- level.c ---- */

/* A level's rank, 0 (trace) to 5 (fatal), from any of the names loggers use,
 * in any case; -1 unknown. */
int cli_level_rank(const char *name);
const char *cli_level_name(int rank);
/* The rank of the line's level. */
int cli_line_rank(const char *json, size_t len);

#endif
