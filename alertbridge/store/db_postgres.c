/* SPDX-License-Identifier: Apache-2.0
 * PostgreSQL, for replicas that share a store. Writing transactions take an advisory
 * lock at their beginning, so they run one after the other as SQLite's do, and no
 * work has to think of another's. A process that stops in the middle of one is
 * thrown out by the server (idle_in_transaction_session_timeout), which undoes it
 * and frees the lock.
 *
 * A connection that is lost is opened again at its next use, but never within a
 * transaction: what is left of that fails. Every wait for the server has an end; a
 * server that does not answer until then is given up like one that went away. */
#include "db_priv.h"
#include "postgres_conninfo.h"
#include "postgres_session.h"
#include "postgres_sql.h"
#include "postgres_statement.h"

#include <clew/log.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

/* The number is "CLEW"; the second one keeps schemas apart. */
#define BEGIN                             \
    "BEGIN; SELECT pg_advisory_xact_lock" \
    "(1129071959, current_schema()::regnamespace::oid::int)"

static struct clew__postgres *postgres_of(const struct clew__db *db)
{
    return db->connection;
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
    int r = text ? clew__postgres_ready(postgres) : clew_set_error(-ENOMEM, "out of memory");

    if (r == 0)
        r = clew__postgres_run(postgres, text, NULL);
    free(text);
    return r;
}

/* ---- transactions ---------------------------------------------------- */

static int begin(struct clew__db *db)
{
    struct clew__postgres *postgres = postgres_of(db);
    int r = clew__postgres_ready(postgres);

    if (r < 0)
        return r;
    r = clew__postgres_run(postgres, BEGIN, NULL);
    /* The connection was lost before anything happened. */
    if (r < 0 && !postgres->handle && clew__postgres_ready(postgres) == 0)
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
    int r = clew__postgres_ready(postgres);

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
    .prepare = clew__postgres_prepare,
    .bind = clew__postgres_bind,
    .step = clew__postgres_step,
    .reset = clew__postgres_reset,
    .finalize = clew__postgres_finalize,
    .is_null = clew__postgres_is_null,
    .number = clew__postgres_number,
    .text = clew__postgres_text,
    .get_version = get_version,
    .set_version = set_version,
    .finish = finish,
};
