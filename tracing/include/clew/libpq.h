/* SPDX-License-Identifier: Apache-2.0
 *
 * clew/libpq.h: PostgreSQL's queries as client spans, with libpq.
 *
 * Header-only, so that libclew needs no libpq. clew_pq_exec() and the like
 * stand where PQexec() stood. For queries that are sent now and answered later:
 *
 *     struct clew_sql_call call;
 *     clew_pq_begin(&call, conn, sql);
 *     PQsendQuery(conn, sql);
 *     ...
 *     clew_pq_end(&call, conn, result);     // the last result, or the one that failed
 *
 * The end is the event "database query completed" (<clew/sql.h>).
 *
 * A span has the text with "?" for values (<clew/sql.h>); parameters are not
 * looked at, and of an error only the SQLSTATE: messages quote values.
 */
#ifndef CLEW_LIBPQ_H
#define CLEW_LIBPQ_H

#include <clew/sql.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of the connection: db.system.name, db.namespace, server.address and .port. */
static inline struct clew_span *clew_pq_start_(PGconn *conn)
{
    struct clew_span_options options;
    struct clew_span *span;
    const char *host, *port, *database;

    memset(&options, 0, sizeof(options));
    options.kind = CLEW_SPAN_CLIENT;
    options.scope = "clew.libpq";
    span = clew_span_start_with("postgresql", &options);
    if (!clew_span_is_recording(span))
        return span;
    host = PQhost(conn);
    port = PQport(conn);
    database = PQdb(conn);
    clew_span_set(span, clew_kv("db.system.name", "postgresql"));
    if (database && *database)
        clew_span_set(span, clew_kv("db.namespace", database));
    if (host && *host)
        clew_span_set(span, clew_kv("server.address", host));
    if (host && *host != '/' && port && *port) /* a path is a Unix socket's */
        clew_span_set(span, clew_kv("server.port", atoi(port)));
    return span;
}

/* Opens the span of a query under the current scope.
 *
 * args     sql: borrowed      owner clew_pq_end() */
static inline void clew_pq_begin(struct clew_sql_call *ret, PGconn *conn, const char *sql)
{
    const size_t len = strlen(sql);

    memset(ret, 0, sizeof(*ret));
    ret->span = clew_pq_start_(conn);
    clew_sql_verb(sql, len, ret->operation);
    if (clew_span_is_recording(ret->span)) {
        const char *standard = PQparameterStatus(conn, "standard_conforming_strings");

        clew_sql_describe(ret->span, sql, len,
                          standard && strcmp(standard, "off") == 0 ? CLEW_SQL_POSTGRESQL_BACKSLASH
                                                                   : CLEW_SQL_POSTGRESQL);
    }
    ret->started_ns = clew_sql_now_ns();
}

/* The same of a prepared statement, which is known by its name only.
 *
 * args     operation: "PREPARE", "EXECUTE" */
static inline void clew_pq_begin_named(struct clew_sql_call *ret, PGconn *conn,
                                       const char *operation, const char *statement)
{
    char summary[CLEW_SQL_SUMMARY_MAX];

    memset(ret, 0, sizeof(*ret));
    ret->span = clew_pq_start_(conn);
    clew_sql_verb(operation, strlen(operation), ret->operation);
    if (clew_span_is_recording(ret->span)) {
        (void)snprintf(summary, sizeof(summary), *statement ? "%s %s" : "%s", operation, statement);
        clew_span_set_name(ret->span, summary);
        clew_span_set(ret->span, clew_kv("db.operation.name", operation),
                      clew_kv("db.query.summary", (const char *)summary));
    }
    ret->started_ns = clew_sql_now_ns();
}

/* The SQLSTATE, or what else went wrong; NULL: nothing. */
static inline const char *clew_pq_error_(PGconn *conn, const PGresult *result)
{
    ExecStatusType status = PQresultStatus(result); /* of NULL: PGRES_FATAL_ERROR */
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

    if (status != PGRES_FATAL_ERROR && status != PGRES_BAD_RESPONSE)
        return NULL;
    return state ? state : PQstatus(conn) == CONNECTION_BAD ? "connection" : PQresStatus(status);
}

/* Ends the span with what came of the query, and logs its event.
 *
 * args     result: borrowed, NULL when there is none: the connection broke */
static inline void clew_pq_end(struct clew_sql_call *call, PGconn *conn, const PGresult *result)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *error = clew_pq_error_(conn, result);

    clew_sql_completed("postgresql", call->operation, error ? error : "ok", call->started_ns);
    if (state)
        clew_span_set(call->span, clew_kv("db.response.status_code", state));
    if (error) {
        clew_span_set(call->span, clew_kv("error.type", error));
        clew_span_set_status(call->span, CLEW_SPAN_ERROR, NULL);
    }
    clew_span_end(call->span);
}

static inline PGresult *clew_pq_exec(PGconn *conn, const char *sql)
{
    struct clew_sql_call call;

    clew_pq_begin(&call, conn, sql);
    PGresult *result = PQexec(conn, sql);
    clew_pq_end(&call, conn, result);
    return result;
}

static inline PGresult *clew_pq_exec_params(PGconn *conn, const char *sql, int n, const Oid *types,
                                            const char *const *values, const int *lengths,
                                            const int *formats, int result_format)
{
    struct clew_sql_call call;

    clew_pq_begin(&call, conn, sql);
    PGresult *result = PQexecParams(conn, sql, n, types, values, lengths, formats, result_format);
    clew_pq_end(&call, conn, result);
    return result;
}

static inline PGresult *clew_pq_prepare(PGconn *conn, const char *statement, const char *sql, int n,
                                        const Oid *types)
{
    struct clew_sql_call call;

    clew_pq_begin_named(&call, conn, "PREPARE", statement);
    PGresult *result = PQprepare(conn, statement, sql, n, types);
    clew_pq_end(&call, conn, result);
    return result;
}

static inline PGresult *clew_pq_exec_prepared(PGconn *conn, const char *statement, int n,
                                              const char *const *values, const int *lengths,
                                              const int *formats, int result_format)
{
    struct clew_sql_call call;

    clew_pq_begin_named(&call, conn, "EXECUTE", statement);
    PGresult *result = PQexecPrepared(conn, statement, n, values, lengths, formats, result_format);
    clew_pq_end(&call, conn, result);
    return result;
}

#endif
