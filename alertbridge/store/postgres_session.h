/* SPDX-License-Identifier: Apache-2.0
 * A connection to PostgreSQL. One that is lost is opened again at its next use, but never
 * within a transaction: what is left of that fails. Every wait for the server has an end; a
 * server that does not answer until then is given up like one that went away.
 * MT-Unsafe. */
#ifndef CLEW_ALERTBRIDGE_POSTGRES_SESSION_H
#define CLEW_ALERTBRIDGE_POSTGRES_SESSION_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

struct clew__postgres {
    char *conninfo;
    PGconn *handle; /* NULL: not connected */
    bool read_only, transaction;
    bool session_only; /* never connected again */
    uint64_t session;  /* counts connections */
    unsigned nnames;
    int64_t changed;
    int64_t not_before; /* by the steady clock: the next attempt to connect */
};

/* Sets an error of the store; libpq's texts end with a line's end and may have several.
 * returns code */
int clew__postgres_fail(int code, const char *text);
/* After a call to libpq that failed: there is no connection any more. returns -EIO */
int clew__postgres_lost(struct clew__postgres *postgres);

/* The first time. returns 0, -errno */
int clew__postgres_connect(struct clew__postgres *postgres);
/* Before everything that may begin something: connects where that is allowed.
 * returns 0, -errno */
int clew__postgres_connected(struct clew__postgres *postgres);

/* Runs statements without parameters. *ret_result, which may be NULL, is that of the last
 * one, for PQclear(). returns 0, -errno */
int clew__postgres_run(struct clew__postgres *postgres, const char *sql, PGresult **ret_result);
/* The result of what was sent, for PQclear(). returns 0, -errno */
int clew__postgres_answer(struct clew__postgres *postgres, PGresult **ret_result);

#endif
