/* SPDX-License-Identifier: Apache-2.0
 * Statements are prepared once in a session, and their results read whole, so they
 * may be used while others stand on a row. */
#include "postgres_statement.h"

#include "postgres_session.h"
#include "postgres_sql.h"

#include <clew/log.h>

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Types of parameters and results, as in the server's pg_type. */
#define TYPE_BOOL 16
#define TYPE_INT8 20
#define TYPE_TEXT 25

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

static struct statement *statement_of(struct clew__row *row)
{
    return (struct statement *)row;
}

struct clew__row *clew__postgres_prepare(struct clew__db *db, const char *sql)
{
    struct clew__postgres *postgres = db->connection;
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

int clew__postgres_bind(struct clew__db *db, struct clew__row *row,
                        const struct clew__db_value *values, size_t n)
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
    int r = clew__postgres_ready(postgres);
    const char *rows;

    if (r == 0)
        r = execute_once(statement);
    /* Outside a transaction there is only reading: it may be done again. */
    if (r < 0 && !postgres->handle && !postgres->transaction && clew__postgres_ready(postgres) == 0)
        r = execute_once(statement);
    if (r < 0)
        return r;
    rows = PQcmdTuples(statement->result);
    if (strncmp(PQcmdStatus(statement->result), "SELECT", 6) != 0 && *rows)
        postgres->changed = strtoll(rows, NULL, 10);
    statement->at = -1;
    return 0;
}

int clew__postgres_step(struct clew__db *db, struct clew__row *row)
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

void clew__postgres_reset(struct clew__row *row)
{
    struct statement *statement = statement_of(row);

    PQclear(statement->result);
    statement->result = NULL;
}

void clew__postgres_finalize(struct clew__row *row)
{
    clew__postgres_reset(row);
    free(statement_of(row)->sql);
    free(row);
}

bool clew__postgres_is_null(struct clew__row *row, int column)
{
    const struct statement *statement = statement_of(row);

    return column >= PQnfields(statement->result) ||
           PQgetisnull(statement->result, statement->at, column);
}

int64_t clew__postgres_number(struct clew__row *row, int column)
{
    const struct statement *statement = statement_of(row);
    const char *value = PQgetvalue(statement->result, statement->at, column);

    return PQftype(statement->result, column) == TYPE_BOOL ? *value == 't'
                                                           : strtoll(value, NULL, 10);
}

const char *clew__postgres_text(struct clew__row *row, int column)
{
    const struct statement *statement = statement_of(row);

    return PQgetvalue(statement->result, statement->at, column);
}
