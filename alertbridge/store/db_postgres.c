/* SPDX-License-Identifier: Apache-2.0
 * PostgreSQL, for replicas that share a store. Writing transactions take an advisory
 * lock at their beginning, so they run one after the other as SQLite's do, and no
 * work has to think of another's. A process that stops in the middle of one is
 * thrown out by the server (idle_in_transaction_session_timeout), which undoes it
 * and frees the lock.
 *
 * Results are read whole, so statements may be used while others stand on a row. */
#include "db_priv.h"
#include "postgres_conninfo.h"
#include "postgres_session.h"
#include "postgres_sql.h"

#include <clew/log.h>

#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Types of parameters and results, as in the server's pg_type. */
#define TYPE_BOOL 16
#define TYPE_INT8 20
#define TYPE_TEXT 25

/* The number is "CLEW"; the second one keeps schemas apart. */
#define BEGIN                             \
    "BEGIN; SELECT pg_advisory_xact_lock" \
    "(1129071959, current_schema()::regnamespace::oid::int)"

struct statement {
    struct clew__row row;
    struct clew__postgres *postgres;
    char *sql, name[16];
    uint64_t session; /* in which it is prepared */
    Oid types[CLEW__DB_VALUES_MAX];
    int formats[CLEW__DB_VALUES_MAX], lengths[CLEW__DB_VALUES_MAX];
    int64_t numbers[CLEW__DB_VALUES_MAX]; /* big endian */
    const char *values[CLEW__DB_VALUES_MAX];
    int n;
    PGresult *result; /* NULL: not executed */
    int at;
};

static struct clew__postgres *postgres_of(const struct clew__db *db)
{
    return db->connection;
}

static struct statement *statement_of(struct clew__row *row)
{
    return (struct statement *)row;
}

/* ---- connections ----------------------------------------------------- */

static void close_connection(struct clew__db *db)
{
    struct clew__postgres *postgres = postgres_of(db);

    PQfinish(postgres->handle);
    free(postgres->conninfo);
    free(postgres);
    db->connection = NULL;
}

static int open_connection(struct clew__db *db, const char *where, bool read_only)
{
    struct clew__postgres *postgres = calloc(1, sizeof(*postgres));
    int r;

    if (!postgres)
        return clew_set_error(-ENOMEM, "out of memory");
    db->connection = postgres;
    postgres->read_only = read_only;
    postgres->conninfo = strdup(where);
    r = postgres->conninfo ? clew__postgres_conninfo_check(where)
                           : clew_set_error(-ENOMEM, "out of memory");
    if (r == 0)
        r = clew__postgres_connect(postgres);
    if (r < 0)
        close_connection(db);
    return r;
}

static int open_own(struct clew__db *db, const char *where)
{
    return open_connection(db, where, false);
}

static int open_beside(struct clew__db *db, const char *where, bool write)
{
    return open_connection(db, where, !write);
}

static int open_session(struct clew__db *db, const char *where)
{
    int r = open_connection(db, where, false);

    if (r == 0)
        postgres_of(db)->session_only = true;
    return r;
}

/* Takes what has come; how many notifications. */
static int take_notices(struct clew__postgres *postgres)
{
    PGnotify *notice;
    int n = 0;

    while ((notice = PQnotifies(postgres->handle)) != NULL) {
        PQfreemem(notice);
        n++;
    }
    return n;
}

static int wait_in_session(struct clew__db *db, int fd, int timeout_ms)
{
    struct clew__postgres *postgres = postgres_of(db);
    struct pollfd fds[] = {{0, POLLIN, 0}, {fd, POLLIN, 0}};

    if (!postgres->handle)
        return clew__postgres_fail(-EIO, "the connection was lost");
    if (take_notices(postgres)) /* they came with an answer */
        return 1;
    fds[0].fd = PQsocket(postgres->handle);
    if (poll(fds, 2, timeout_ms) <= 0 || !fds[0].revents)
        return 0;
    if (!PQconsumeInput(postgres->handle) || PQstatus(postgres->handle) != CONNECTION_OK)
        return clew__postgres_lost(postgres);
    return take_notices(postgres) > 0;
}

static int exec(struct clew__db *db, const char *sql)
{
    struct clew__postgres *postgres = postgres_of(db);
    char *text = clew__postgres_sql(sql, true);
    int r = text ? clew__postgres_connected(postgres) : clew_set_error(-ENOMEM, "out of memory");

    if (r == 0)
        r = clew__postgres_run(postgres, text, NULL);
    free(text);
    return r;
}

/* ---- transactions ---------------------------------------------------- */

static int begin(struct clew__db *db)
{
    struct clew__postgres *postgres = postgres_of(db);
    int r = clew__postgres_connected(postgres);

    if (r < 0)
        return r;
    r = clew__postgres_run(postgres, BEGIN, NULL);
    /* The connection was lost before anything happened. */
    if (r < 0 && !postgres->handle && clew__postgres_connected(postgres) == 0)
        r = clew__postgres_run(postgres, BEGIN, NULL);
    postgres->transaction = true;
    if (r < 0)
        clew__db_rollback(db);
    return r;
}

static int commit(struct clew__db *db)
{
    struct clew__postgres *postgres = postgres_of(db);
    PGresult *result;
    int r = clew__postgres_connected(postgres);

    if (r == 0)
        r = clew__postgres_run(postgres, "COMMIT", &result);
    if (r < 0)
        return r;
    /* After a failure within it the server answers with another word, not an error. */
    if (strcmp(PQcmdStatus(result), "COMMIT") != 0)
        r = clew__postgres_fail(-EIO, "the transaction was given up");
    PQclear(result);
    postgres->transaction = false;
    return r;
}

static void roll_back(struct clew__db *db)
{
    struct clew__postgres *postgres = postgres_of(db);

    if (postgres->transaction && postgres->handle)
        (void)clew__postgres_run(postgres, "ROLLBACK", NULL);
    postgres->transaction = false;
}

static bool in_transaction(const struct clew__db *db)
{
    return postgres_of(db)->transaction && postgres_of(db)->handle;
}

static int64_t changed(const struct clew__db *db)
{
    return postgres_of(db)->changed;
}

/* ---- statements ------------------------------------------------------ */

static struct clew__row *prepare(struct clew__db *db, const char *sql)
{
    struct clew__postgres *postgres = postgres_of(db);
    struct statement *statement = calloc(1, sizeof(*statement));

    if (statement)
        statement->sql = clew__postgres_sql(sql, false);
    if (!statement || !statement->sql) {
        free(statement);
        (void)clew_set_error(-ENOMEM, "out of memory");
        return NULL;
    }
    statement->row.ops = db->ops;
    statement->postgres = postgres;
    (void)snprintf(statement->name, sizeof(statement->name), "s%u", ++postgres->nnames);
    return &statement->row;
}

static int bind(struct clew__db *db, struct clew__row *row, const struct clew__db_value *values,
                size_t n)
{
    struct statement *statement = statement_of(row);

    (void)db;
    row->ops->reset(row);
    statement->n = (int)n;
    for (size_t i = 0; i < n; i++) {
        statement->types[i] = values[i].is_text ? TYPE_TEXT : TYPE_INT8;
        statement->formats[i] = !values[i].is_text;
        statement->lengths[i] = sizeof(int64_t); /* of a text it is not looked at */
        statement->numbers[i] =
            values[i].is_text ? 0 : (int64_t)htobe64((uint64_t)values[i].as.number);
        statement->values[i] =
            values[i].is_text ? values[i].as.text : (const char *)&statement->numbers[i];
    }
    return 0;
}

static int prepare_in_session(struct statement *statement)
{
    struct clew__postgres *postgres = statement->postgres;
    PGresult *result;
    int r;

    if (statement->session == postgres->session)
        return 0;
    if (!PQsendPrepare(postgres->handle, statement->name, statement->sql, statement->n,
                       statement->types))
        return clew__postgres_lost(postgres);
    r = clew__postgres_answer(postgres, &result);
    if (r < 0)
        return r;
    PQclear(result);
    statement->session = postgres->session;
    return 0;
}

static int execute_once(struct statement *statement)
{
    struct clew__postgres *postgres = statement->postgres;
    int r = prepare_in_session(statement);

    if (r < 0)
        return r;
    if (!PQsendQueryPrepared(postgres->handle, statement->name, statement->n, statement->values,
                             statement->lengths, statement->formats, 0))
        return clew__postgres_lost(postgres);
    return clew__postgres_answer(postgres, &statement->result);
}

static int execute(struct statement *statement)
{
    struct clew__postgres *postgres = statement->postgres;
    int r = clew__postgres_connected(postgres);
    const char *rows;

    if (r == 0)
        r = execute_once(statement);
    /* Outside a transaction there is only reading: it may be done again. */
    if (r < 0 && !postgres->handle && !postgres->transaction &&
        clew__postgres_connected(postgres) == 0)
        r = execute_once(statement);
    if (r < 0)
        return r;
    rows = PQcmdTuples(statement->result);
    if (strncmp(PQcmdStatus(statement->result), "SELECT", 6) != 0 && *rows)
        postgres->changed = strtoll(rows, NULL, 10);
    statement->at = -1;
    return 0;
}

static int step(struct clew__db *db, struct clew__row *row)
{
    struct statement *statement = statement_of(row);

    (void)db;
    if (!statement->result) {
        int r = execute(statement);

        if (r < 0)
            return r;
    }
    return ++statement->at < PQntuples(statement->result);
}

static void reset(struct clew__row *row)
{
    struct statement *statement = statement_of(row);

    PQclear(statement->result);
    statement->result = NULL;
}

static void finalize(struct clew__row *row)
{
    reset(row);
    free(statement_of(row)->sql);
    free(row);
}

static bool is_null(struct clew__row *row, int column)
{
    const struct statement *statement = statement_of(row);

    return column >= PQnfields(statement->result) ||
           PQgetisnull(statement->result, statement->at, column);
}

static int64_t number(struct clew__row *row, int column)
{
    const struct statement *statement = statement_of(row);
    const char *value = PQgetvalue(statement->result, statement->at, column);

    return PQftype(statement->result, column) == TYPE_BOOL ? *value == 't'
                                                           : strtoll(value, NULL, 10);
}

static const char *text(struct clew__row *row, int column)
{
    const struct statement *statement = statement_of(row);

    return PQgetvalue(statement->result, statement->at, column);
}

/* ---- the schema ------------------------------------------------------ */

/* On an empty schema too, for which a reader has no right to make the table. */
static int get_version(struct clew__db *db, int64_t *ret_version)
{
    int64_t there;
    int r = clew__db_number(
        db, 0, &there, "SELECT count(*) FROM pg_class WHERE oid = to_regclass('schema_version')",
        "");

    *ret_version = 0;
    if (r < 0 || there == 0)
        return r;
    return clew__db_number(db, 0, ret_version, "SELECT max(version) FROM schema_version", "");
}

static int set_version(struct clew__db *db, int64_t version)
{
    int r = clew__postgres_run(
        postgres_of(db), "CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL)",
        NULL);

    return r == 0
               ? clew__db_run(db, "INSERT INTO schema_version (version) VALUES (?1)", "i", version)
               : r;
}

/* What SQLite has: the numbers of a list. And a replica hears of deliveries that
 * another one, or a command, queues. */
static const char additions[] =
    "create or replace function json_each(list text)"
    " returns table (key bigint, value bigint) language sql immutable as $body$"
    " select n - 1, v::bigint from"
    " jsonb_array_elements_text(list::jsonb) with ordinality as e (v, n) $body$;"
    "create or replace function tell_replicas() returns trigger language plpgsql as $body$"
    " begin perform pg_notify('alertbridge', ''); return null; end $body$;"
    "create or replace trigger deliveries_queued after insert on deliveries"
    " for each statement execute function tell_replicas();"
    "create or replace trigger deliveries_queued_again after update of state on deliveries"
    " for each row when (old.state <> 'queued' and new.state = 'queued')"
    " execute function tell_replicas()";

static int finish(struct clew__db *db)
{
    return clew__postgres_run(postgres_of(db), additions, NULL);
}

const struct clew__db_ops clew__db_postgres = {
    .shared = true,
    .check = clew__postgres_conninfo_check,
    .open = open_own,
    .open_beside = open_beside,
    .open_session = open_session,
    .wait = wait_in_session,
    .close = close_connection,
    .exec = exec,
    .begin = begin,
    .commit = commit,
    .rollback = roll_back,
    .in_transaction = in_transaction,
    .changed = changed,
    .prepare = prepare,
    .bind = bind,
    .step = step,
    .reset = reset,
    .finalize = finalize,
    .is_null = is_null,
    .number = number,
    .text = text,
    .get_version = get_version,
    .set_version = set_version,
    .finish = finish,
};
