/* SPDX-License-Identifier: Apache-2.0
 *
 * clew/sql.h: what of an SQL statement may be kept.
 *
 * <clew/sqlite.h>, <clew/libpq.h> and <clew/hiredis.h> use it; so can an adapter
 * of another database. The text is meant for db.query.text, the summary for
 * db.query.summary and the span's name (OpenTelemetry semantic conventions for
 * databases, "Sanitization of db.query.text" and "Generating a summary of the
 * query").
 */
#ifndef CLEW_SQL_H
#define CLEW_SQL_H

#include <clew/trace.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CLEW_SQL_READ_MAX 65536u /* bytes of a statement that are looked at */
#define CLEW_SQL_TEXT_MAX 2048u  /* with NUL */
#define CLEW_SQL_SUMMARY_MAX 256u
#define CLEW_SQL_NAME_MAX 128u

enum clew_sql_dialect {
    CLEW_SQL_SQLITE,     /* "x" is a name only where a table's must stand, else a value */
    CLEW_SQL_POSTGRESQL, /* "x" is a name; $tag$…$tag$, E'…', nested comments */
    /* The same with standard_conforming_strings off: '…' knows backslashes. */
    CLEW_SQL_POSTGRESQL_BACKSLASH
};

/* All strings are NUL-terminated, "" for unknown. */
struct clew_sql {
    /* The statement on one line: values are "?", comments are gone, white space
     * is one space, a list of values behind IN is its first. Placeholders stay. */
    char text[CLEW_SQL_TEXT_MAX];
    char summary[CLEW_SQL_SUMMARY_MAX]; /* "INSERT orders SELECT carts"; whole words */
    char operation[CLEW_SQL_NAME_MAX];  /* "INSERT", if there is but one in it */
    char collection[CLEW_SQL_NAME_MAX]; /* "orders", if there is but one in it */
    bool cut;                           /* text is not the whole statement */
};

/* Normalises a statement or several, well formed or not. A string or comment
 * that has no end counts up to the end of the statement: what looks like a
 * value is never in the result.
 *
 * args     sql: any bytes, in an encoding that contains ASCII (UTF-8, ISO
 *          8859); borrowed; at most CLEW_SQL_READ_MAX are looked at
 * threads  MT-Safe     signals AS-Safe     blocks never */
CLEW_PUBLIC void clew_sql_normalise(const char *sql, size_t len, enum clew_sql_dialect dialect,
                                    struct clew_sql *ret);

/* Sets db.query.text, db.query.summary, db.operation.name and
 * db.collection.name of a span that is recorded, and names it after the
 * summary. */
CLEW_PUBLIC void clew_sql_describe(struct clew_span *span, const char *sql, size_t len,
                                   enum clew_sql_dialect dialect);

#define CLEW_SQL_VERB_MAX 16u

/* The first word of a statement, "SELECT", in upper case; "" when it begins with
 * none. As clew_sql_normalise(), and cheap. */
CLEW_PUBLIC void clew_sql_verb(const char *sql, size_t len, char ret_verb[CLEW_SQL_VERB_MAX]);

/* Logs the event "database query completed" at level trace, which metrics are
 * derived from: system ("sqlite"), operation (the verb), status ("ok", or what
 * kind of error) and duration_seconds since then, CLOCK_MONOTONIC. */
CLEW_PUBLIC void clew_sql_completed(const char *system, const char *operation, const char *status,
                                    uint64_t started_ns);
/* CLOCK_MONOTONIC. */
CLEW_PUBLIC uint64_t clew_sql_now_ns(void);

/* A query or command that has begun and not ended: the caller's memory, which the
 * begin fills and the end reads. Its members are the adapters' own. */
struct clew_sql_call {
    struct clew_span *span;
    uint64_t started_ns;
    unsigned batch;                    /* commands that it is; 0: one */
    char operation[CLEW_SQL_VERB_MAX]; /* of the event */
};

#ifdef __cplusplus
}
#endif

#endif
