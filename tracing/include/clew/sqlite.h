/* SPDX-License-Identifier: Apache-2.0
 *
 * clew/sqlite.h: SQLite's statements as client spans (3.14 and later).
 *
 * Header-only, so that libclew needs no SQLite. One call behind sqlite3_open():
 *
 *     if (clew_sqlite_trace(db) != SQLITE_OK)
 *         ...
 *
 * From then on each statement is a span under the scope that is current in the
 * thread that steps it, from its first sqlite3_step() until it is done or reset.
 * Its text has "?" for values (<clew/sql.h>); bound values are not looked at.
 *
 * SQLite does not say through its trace hook that a statement failed. Use
 * clew_sqlite_step() and clew_sqlite_exec() where the program called
 * sqlite3_step() and sqlite3_exec(), and the span of one that failed says so.
 *
 * Each statement's end is the event "database query completed" (<clew/sql.h>).
 */
#ifndef CLEW_SQLITE_H
#define CLEW_SQLITE_H

#include <clew/sql.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A statement that runs; several may, taking turns. */
struct clew_sqlite_statement_ {
    sqlite3_stmt *stmt;
    struct clew_span *span;
    uint64_t started_ns;
    char verb[CLEW_SQL_VERB_MAX];
    struct clew_sqlite_statement_ *next;
};

struct clew_sqlite_trace_ {
    sqlite3 *db;
    struct clew_sqlite_statement_ *running;
};

/* The statement that came to its end within a clew_sqlite_ call, which knows how;
 * one for the whole program. */
struct clew_sqlite_call_ {
    bool active;
    struct clew_sqlite_statement_ *ended;
};
__attribute__((weak)) __thread struct clew_sqlite_call_ clew_sqlite_call_;

/* Ends what it has and frees it; accepts NULL. */
static inline void clew_sqlite_complete_(struct clew_sqlite_statement_ *statement,
                                         const char *status)
{
    if (!statement)
        return;
    clew_sql_completed("sqlite", statement->verb, status, statement->started_ns);
    clew_span_end(statement->span);
    free(statement);
}

static inline void clew_sqlite_began_(struct clew_sqlite_trace_ *trace, sqlite3_stmt *stmt,
                                      const char *sql)
{
    struct clew_sqlite_statement_ *statement;
    struct clew_span_options options;
    const char *file, *name;

    if (strncmp(sql, "--", 2) == 0)
        return; /* a trigger within the statement */
    statement = (struct clew_sqlite_statement_ *)malloc(sizeof(*statement));
    if (!statement)
        return;
    memset(&options, 0, sizeof(options));
    options.kind = CLEW_SPAN_CLIENT;
    options.scope = "clew.sqlite";
    statement->stmt = stmt;
    statement->started_ns = clew_sql_now_ns();
    clew_sql_verb(sql, strlen(sql), statement->verb);
    statement->span = clew_span_start_with("sqlite", &options);
    statement->next = trace->running;
    trace->running = statement;
    if (!clew_span_is_recording(statement->span))
        return;
    clew_span_set(statement->span, clew_kv("db.system.name", "sqlite"));
    file = sqlite3_db_filename(trace->db, "main");
    if (file && *file) {
        name = strrchr(file, '/');
        clew_span_set(statement->span, clew_kv("db.namespace", name ? name + 1 : file));
    }
    clew_sql_describe(statement->span, sql, strlen(sql), CLEW_SQL_SQLITE);
}

static inline void clew_sqlite_ended_(struct clew_sqlite_trace_ *trace, sqlite3_stmt *stmt)
{
    struct clew_sqlite_statement_ **at = &trace->running, *statement;

    while (*at && (*at)->stmt != stmt)
        at = &(*at)->next;
    statement = *at;
    if (!statement)
        return;
    *at = statement->next;
    clew_sqlite_complete_(clew_sqlite_call_.ended, "ok");
    clew_sqlite_call_.ended = NULL;
    if (clew_sqlite_call_.active)
        clew_sqlite_call_.ended = statement;
    else
        clew_sqlite_complete_(statement, "ok");
}

static inline void clew_sqlite_close_(struct clew_sqlite_trace_ *trace)
{
    while (trace->running)
        clew_sqlite_ended_(trace, trace->running->stmt);
    free(trace);
}

static inline int clew_sqlite_hook_(unsigned type, void *arg, void *p, void *x)
{
    struct clew_sqlite_trace_ *trace = (struct clew_sqlite_trace_ *)arg;

    if (type == SQLITE_TRACE_STMT)
        clew_sqlite_began_(trace, (sqlite3_stmt *)p, (const char *)x);
    else if (type == SQLITE_TRACE_PROFILE)
        clew_sqlite_ended_(trace, (sqlite3_stmt *)p);
    else if (type == SQLITE_TRACE_CLOSE)
        clew_sqlite_close_(trace);
    return 0;
}

/* Traces the statements of db until it is closed. Takes the connection's trace
 * hook, of which there is one (sqlite3_trace_v2()).
 *
 * threads  as db itself     returns SQLITE_OK, SQLITE_NOMEM, … */
static inline int clew_sqlite_trace(sqlite3 *db)
{
    struct clew_sqlite_trace_ *trace = (struct clew_sqlite_trace_ *)malloc(sizeof(*trace));
    int code;

    if (!trace)
        return SQLITE_NOMEM;
    trace->db = db;
    trace->running = NULL;
    code = sqlite3_trace_v2(db, SQLITE_TRACE_STMT | SQLITE_TRACE_PROFILE | SQLITE_TRACE_CLOSE,
                            clew_sqlite_hook_, trace);
    if (code != SQLITE_OK)
        free(trace);
    return code;
}

/* Calls nest: a callback of sqlite3_exec() may step other statements. */
static inline struct clew_sqlite_call_ clew_sqlite_enter_(void)
{
    struct clew_sqlite_call_ outer = clew_sqlite_call_;

    clew_sqlite_call_.active = true;
    clew_sqlite_call_.ended = NULL;
    return outer;
}

static inline void clew_sqlite_leave_(struct clew_sqlite_call_ outer, sqlite3 *db, int code)
{
    struct clew_sqlite_statement_ *ended = clew_sqlite_call_.ended;
    struct clew_span *span = ended ? ended->span : NULL;
    char text[16] = "ok";

    clew_sqlite_call_ = outer;
    if (ended && code != SQLITE_OK && code != SQLITE_DONE && code != SQLITE_ROW) {
        code = sqlite3_extended_errcode(db);
        (void)snprintf(text, sizeof(text), "%d", code);
        clew_span_set(span, clew_kv("db.response.status_code", (const char *)text),
                      clew_kv("error.type", (const char *)text));
        clew_span_set_status(span, CLEW_SPAN_ERROR, sqlite3_errstr(code));
    }
    clew_sqlite_complete_(ended, text);
}

/* sqlite3_step(); a failure is noted in the span with SQLite's (extended) code.
 * Its message is not: it may quote values. */
static inline int clew_sqlite_step(sqlite3_stmt *stmt)
{
    struct clew_sqlite_call_ outer = clew_sqlite_enter_();
    int code = sqlite3_step(stmt);

    clew_sqlite_leave_(outer, sqlite3_db_handle(stmt), code);
    return code;
}

/* sqlite3_exec(); the last of its statements has the failure. */
static inline int clew_sqlite_exec(sqlite3 *db, const char *sql,
                                   int (*callback)(void *, int, char **, char **), void *arg,
                                   char **ret_error)
{
    struct clew_sqlite_call_ outer = clew_sqlite_enter_();
    int code = sqlite3_exec(db, sql, callback, arg, ret_error);

    clew_sqlite_leave_(outer, db, code);
    return code;
}

#endif
