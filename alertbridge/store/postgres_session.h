/* SPDX-License-Identifier: Apache-2.0
 * A connection to PostgreSQL: opened when it is needed, given up when it fails or
 * when an answer does not come within its time. One thread uses it at a time.
 * Errors: -errno, clew_last_error() says which; a connection that was lost has no
 * handle any more. */
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

int clew__postgres_fail(int code, const char *text); /* returns code */
/* After a call to libpq that failed: the connection is given up. */
int clew__postgres_lost(struct clew__postgres *postgres);

int clew__postgres_connect(struct clew__postgres *postgres);
/* Before everything that may begin something: connects again if it has to and may. */
int clew__postgres_ready(struct clew__postgres *postgres);

/* Statements without parameters. ret_result: NULL, or the last one's result, the
 * caller's. */
int clew__postgres_run(struct clew__postgres *postgres, const char *sql, PGresult **ret_result);
/* Waits for the answer to what was sent; *ret_result is the caller's. */
int clew__postgres_answer(struct clew__postgres *postgres, PGresult **ret_result);

#endif
