/* SPDX-License-Identifier: Apache-2.0
 * A connection to the database with its prepared statements: SQLite's or, for
 * several replicas, PostgreSQL's. Statements are written so that both understand
 * them; what differs is behind db_priv.h. One thread at a time. */
#ifndef CLEW_ALERTBRIDGE_DB_H
#define CLEW_ALERTBRIDGE_DB_H

#include <stdbool.h>
#include <stdint.h>

#define CLEW__DB_STATEMENTS_MAX 192u /* of one connection */
#define CLEW__DB_SLOTS 256u

/* A prepared statement and the row that it stands on. */
struct clew__row;

struct clew__db {
    const struct clew__db_ops *ops;
    void *connection; /* the backend's */
    struct {
        const char *sql;
        struct clew__row *statement;
    } slots[CLEW__DB_SLOTS]; /* by the address of sql */
    unsigned nstatements;
};

/* Whether replicas may share what is there (where.h). */
bool clew__db_is_shared(const char *where);
/* Whether where can be used; nothing is opened. The text of the error tells no
 * password. returns 0, -EINVAL, -ENOTSUP: built without PostgreSQL */
int clew__db_check(const char *where);

/* Opens, or creates with mode 0600. returns 0, -errno */
int clew__db_open(struct clew__db *db, const char *where);
/* Opens an empty one in memory, which its close ends. returns 0, -errno */
int clew__db_open_memory(struct clew__db *db);
/* Opens a database of the present schema beside the processes that work with it, to
 * read, or to write too. returns 0, -errno; -EPROTO: another version's */
int clew__db_open_beside(struct clew__db *db, const char *where, bool write);
/* For what lasts as long as a session: a connection that is lost stays lost. Of shared
 * databases only. returns 0, -errno */
int clew__db_open_session(struct clew__db *db, const char *where);
/* Sleeps until the session is notified, fd can be read, or the time is over.
 * returns 1 notified, 0, -errno: the connection is lost */
int clew__db_wait(struct clew__db *db, int fd, int timeout_ms);
/* Accepts one that was not opened (all zero). */
void clew__db_close(struct clew__db *db);

/* Runs statements without parameters and results. returns 0, -errno */
int clew__db_exec(struct clew__db *db, const char *sql);

/* A transaction that writes; no other one does until its end. After a failure
 * within it only clew__db_rollback() is left, or that to a savepoint.
 * returns 0, -errno; -EAGAIN: worth another try */
int clew__db_begin(struct clew__db *db);
/* returns 0: it is on the disk; -errno: nothing is stored, clew__db_rollback() is due */
int clew__db_commit(struct clew__db *db);
/* Does nothing outside a transaction. */
void clew__db_rollback(struct clew__db *db);
/* Whether a transaction is open; a failure may have ended it. */
bool clew__db_in_transaction(const struct clew__db *db);

/* The prepared statement of sql, which has to be a literal: it is kept under its
 * address. Parameters are bound by types: 'i' int64_t, 's' const char * (NULL:
 * null; kept by the caller until the statement is done). NULL on failure. */
struct clew__row *clew__db_prepare(struct clew__db *db, const char *sql, const char *types, ...);

/* One step. returns 1 a row, 0 no more (the statement is reset), -errno (reset) */
int clew__db_step(struct clew__db *db, struct clew__row *row);
/* For who does not read on to the last row. Accepts NULL. */
void clew__db_reset(struct clew__row *row);

/* clew__db_prepare() and a step that gives no row. returns 0, -errno */
int clew__db_run(struct clew__db *db, const char *sql, const char *types, ...);
/* The first column of the first row, fallback when there is none. */
int clew__db_number(struct clew__db *db, int64_t fallback, int64_t *ret_number, const char *sql,
                    const char *types, ...);

/* Gives back memory that only makes it faster. No statement is in use. */
void clew__db_rest(struct clew__db *db);

/* How many rows the last statement that changes any has changed. */
int64_t clew__db_changed(const struct clew__db *db);

/* A number that changes when another process changes a database that is not shared. */
int clew__db_version_of_data(struct clew__db *db, int64_t *ret_version);

/* The number in a column, 0 for null; 1 and 0 for true and false. */
int64_t clew__db_int(struct clew__row *row, int column);
/* The text of a column, "" for null. Valid until the next step. */
const char *clew__db_text(struct clew__row *row, int column);

/* Brings an empty or older database to the present schema; refuses a newer one. */
int clew__db_migrate(struct clew__db *db);
/* Whether it has the present schema. returns 0, -EPROTO, -errno */
int clew__db_check_schema(struct clew__db *db);

#endif
