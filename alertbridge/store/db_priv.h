/* SPDX-License-Identifier: Apache-2.0
 * What a database has to do for db.c. */
#ifndef CLEW_ALERTBRIDGE_DB_PRIV_H
#define CLEW_ALERTBRIDGE_DB_PRIV_H

#include "db.h"

#include <stddef.h>

#define CLEW__DB_VALUES_MAX 32u /* parameters of a statement */

/* The head of a backend's statement. */
struct clew__row {
    const struct clew__db_ops *ops;
};

/* A parameter; of a text, NULL is null. */
struct clew__db_value {
    bool is_text;
    union {
        int64_t number;
        const char *text;
    } as;
};

/* As the functions of db.h; open_session and wait are those of shared databases. A statement
 * belongs to its connection; bind follows prepare or reset. */
struct clew__db_ops {
    bool shared; /* by replicas */
    int (*check)(const char *where);
    int (*open)(struct clew__db *db, const char *where);
    int (*open_beside)(struct clew__db *db, const char *where, bool write);
    int (*open_session)(struct clew__db *db, const char *where);
    int (*wait)(struct clew__db *db, int fd, int timeout_ms);
    void (*close)(struct clew__db *db); /* after all its statements */
    int (*exec)(struct clew__db *db, const char *sql);
    int (*begin)(struct clew__db *db);
    int (*commit)(struct clew__db *db);
    void (*rollback)(struct clew__db *db);
    bool (*in_transaction)(const struct clew__db *db);
    int64_t (*changed)(const struct clew__db *db);

    struct clew__row *(*prepare)(struct clew__db *db, const char *sql);
    int (*bind)(struct clew__db *db, struct clew__row *row, const struct clew__db_value *values,
                size_t n);
    int (*step)(struct clew__db *db, struct clew__row *row);
    void (*reset)(struct clew__row *row);
    void (*finalize)(struct clew__row *row);
    bool (*is_null)(struct clew__row *row, int column); /* or there is no such column */
    int64_t (*number)(struct clew__row *row, int column);
    const char *(*text)(struct clew__row *row, int column);

    /* How many steps of the schema it has had. Within a transaction. */
    int (*get_version)(struct clew__db *db, int64_t *ret_version);
    int (*set_version)(struct clew__db *db, int64_t version);
    /* Makes what the steps do not, once all were taken; NULL: nothing. */
    int (*finish)(struct clew__db *db);
    void (*rest)(struct clew__db *db); /* NULL: it keeps nothing */
};

extern const struct clew__db_ops clew__db_sqlite;
extern const struct clew__db_ops clew__db_postgres;

#endif
