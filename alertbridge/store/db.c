/* SPDX-License-Identifier: Apache-2.0
 * The thin layer over the databases: statements are prepared once and found by the
 * address of their text, so that the SQL stands where it is used. A database's
 * codes become -errno in its backend and nowhere else. MT-Unsafe per connection. */
#include "db_priv.h"
#include "where.h"

#include <clew/log.h>

#include <errno.h>
#include <stdarg.h>
#include <string.h>

static const struct clew__db_ops *backend(const char *where)
{
    return clew__where_is_postgres(where) ? &clew__db_postgres : &clew__db_sqlite;
}

bool clew__db_is_shared(const char *where)
{
    return backend(where)->shared;
}

int clew__db_check(const char *where)
{
    return backend(where)->check(where);
}

int clew__db_open(struct clew__db *db, const char *where)
{
    *db = (struct clew__db){.ops = backend(where)};
    return db->ops->open(db, where);
}

int clew__db_open_beside(struct clew__db *db, const char *where, bool write)
{
    int r;

    *db = (struct clew__db){.ops = backend(where)};
    r = db->ops->open_beside(db, where, write);
    if (r == 0)
        r = clew__db_check_schema(db);
    if (r < 0)
        clew__db_close(db);
    return r;
}

int clew__db_open_session(struct clew__db *db, const char *where)
{
    *db = (struct clew__db){.ops = backend(where)};
    return db->ops->open_session(db, where);
}

int clew__db_wait(struct clew__db *db, int fd, int timeout_ms)
{
    return db->ops->wait(db, fd, timeout_ms);
}

static void finalize_all(struct clew__db *db)
{
    for (unsigned i = 0; i < CLEW__DB_SLOTS; i++)
        if (db->slots[i].statement)
            db->ops->finalize(db->slots[i].statement);
    memset(db->slots, 0, sizeof(db->slots));
    db->nstatements = 0;
}

void clew__db_close(struct clew__db *db)
{
    finalize_all(db);
    if (db->connection)
        db->ops->close(db);
    *db = (struct clew__db){0};
}

int clew__db_exec(struct clew__db *db, const char *sql)
{
    return db->ops->exec(db, sql);
}

int clew__db_begin(struct clew__db *db)
{
    return db->ops->begin(db);
}

int clew__db_commit(struct clew__db *db)
{
    return db->ops->commit(db);
}

void clew__db_rollback(struct clew__db *db)
{
    db->ops->rollback(db);
}

bool clew__db_in_transaction(const struct clew__db *db)
{
    return db->ops->in_transaction(db);
}

static struct clew__row *find(struct clew__db *db, const char *sql)
{
    unsigned i = (unsigned)(((uintptr_t)sql * 0x9E3779B97F4A7C15u) >> 32) % CLEW__DB_SLOTS;
    struct clew__row *statement;

    while (db->slots[i].statement) {
        if (db->slots[i].sql == sql)
            return db->slots[i].statement;
        i = (i + 1) % CLEW__DB_SLOTS;
    }
    if (db->nstatements == CLEW__DB_STATEMENTS_MAX) {
        (void)clew_set_error(-ENOSPC, "too many prepared statements");
        return NULL;
    }
    statement = db->ops->prepare(db, sql);
    if (!statement)
        return NULL;
    db->slots[i].sql = sql;
    db->slots[i].statement = statement;
    db->nstatements++;
    return statement;
}

static struct clew__row *prepare(struct clew__db *db, const char *sql, const char *types,
                                 va_list args)
{
    struct clew__db_value values[CLEW__DB_VALUES_MAX];
    struct clew__row *row = find(db, sql);
    size_t n = 0;

    for (; row && *types && n < CLEW__DB_VALUES_MAX; types++, n++) {
        values[n].is_text = *types == 's';
        if (values[n].is_text)
            values[n].as.text = va_arg(args, const char *);
        else
            values[n].as.number = va_arg(args, int64_t);
    }
    return row && db->ops->bind(db, row, values, n) == 0 ? row : NULL;
}

struct clew__row *clew__db_prepare(struct clew__db *db, const char *sql, const char *types, ...)
{
    struct clew__row *row;
    va_list args;

    va_start(args, types);
    row = prepare(db, sql, types, args);
    va_end(args);
    return row;
}

int clew__db_step(struct clew__db *db, struct clew__row *row)
{
    int r = db->ops->step(db, row);

    if (r <= 0)
        db->ops->reset(row);
    return r;
}

void clew__db_reset(struct clew__row *row)
{
    if (row)
        row->ops->reset(row);
}

int clew__db_run(struct clew__db *db, const char *sql, const char *types, ...)
{
    struct clew__row *row;
    va_list args;
    int r;

    va_start(args, types);
    row = prepare(db, sql, types, args);
    va_end(args);
    if (!row)
        return -EIO;
    r = clew__db_step(db, row);
    clew__db_reset(row);
    return r < 0 ? r : 0;
}

int clew__db_number(struct clew__db *db, int64_t fallback, int64_t *ret_number, const char *sql,
                    const char *types, ...)
{
    struct clew__row *row;
    va_list args;
    int r;

    va_start(args, types);
    row = prepare(db, sql, types, args);
    va_end(args);
    if (!row)
        return -EIO;
    r = clew__db_step(db, row);
    if (r < 0)
        return r;
    *ret_number = r && !db->ops->is_null(row, 0) ? db->ops->number(row, 0) : fallback;
    clew__db_reset(row);
    return 0;
}

void clew__db_rest(struct clew__db *db)
{
    if (!db->ops->rest)
        return;
    finalize_all(db);
    db->ops->rest(db);
}

int64_t clew__db_changed(const struct clew__db *db)
{
    return db->ops->changed(db);
}

int clew__db_version_of_data(struct clew__db *db, int64_t *ret_version)
{
    *ret_version = 0;
    return db->ops->shared ? 0 : clew__db_number(db, 0, ret_version, "PRAGMA data_version", "");
}

int64_t clew__db_int(struct clew__row *row, int column)
{
    return row->ops->number(row, column);
}

const char *clew__db_text(struct clew__row *row, int column)
{
    return row->ops->text(row, column);
}
