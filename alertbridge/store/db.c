/* SPDX-License-Identifier: Apache-2.0
 * The thin layer over SQLite: statements are prepared once and found by the
 * address of their text, so that the SQL stands where it is used. SQLite's codes
 * become -errno here and nowhere else. MT-Unsafe per connection. */
#include "db.h"

#include <clew/log.h>

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static sqlite3_stmt *statement_of(struct clew__row *row)
{
    return (sqlite3_stmt *)row;
}

static int fail(struct clew__db *db)
{
    int code = sqlite3_errcode(db->handle) & 0xFF;
    int error = code == SQLITE_FULL       ? ENOSPC
                : code == SQLITE_NOMEM    ? ENOMEM
                : code == SQLITE_READONLY ? EROFS
                : code == SQLITE_BUSY     ? EBUSY
                                          : EIO;

    return clew_set_error(-error, "the store: %s", sqlite3_errmsg(db->handle));
}

static int open_handle(struct clew__db *db, const char *path, int flags)
{
    int r;

    *db = (struct clew__db){0};
    if (sqlite3_open_v2(path, &db->handle, flags | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK) {
        r = db->handle ? fail(db) : clew_set_error(-ENOMEM, "out of memory");
        clew__db_close(db);
        return r;
    }
    (void)sqlite3_busy_timeout(db->handle, 5000);
    return 0;
}

int clew__db_open_beside(struct clew__db *db, const char *path, bool write)
{
    int r;

    if (access(path, write ? R_OK | W_OK : R_OK) != 0)
        return clew_set_error(-errno, "the store %s: %s", path, strerror(errno));
    r = open_handle(db, path, write ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY);
    if (r < 0)
        return r;
    r = clew__db_check_schema(db);
    if (r == 0 && write)
        r = clew__db_exec(db, "PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;");
    if (r < 0)
        clew__db_close(db);
    return r;
}

int clew__db_open(struct clew__db *db, const char *path)
{
    /* SQLite would create it for everybody to read. */
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int r;

    if (fd < 0)
        return clew_set_error(-errno, "the store %s: %s", path, strerror(errno));
    (void)close(fd);
    r = open_handle(db, path, SQLITE_OPEN_READWRITE);
    if (r < 0)
        return r;
    r = clew__db_exec(db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; "
                          "PRAGMA foreign_keys=ON; PRAGMA cache_size=-8192; "
                          "PRAGMA journal_size_limit=67108864;");
    if (r < 0)
        clew__db_close(db);
    return r;
}

void clew__db_close(struct clew__db *db)
{
    for (unsigned i = 0; i < db->nstatements; i++)
        (void)sqlite3_finalize(db->statements[i].statement);
    (void)sqlite3_close(db->handle);
    *db = (struct clew__db){0};
}

int clew__db_exec(struct clew__db *db, const char *sql)
{
    return sqlite3_exec(db->handle, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : fail(db);
}

static sqlite3_stmt *find(struct clew__db *db, const char *sql)
{
    sqlite3_stmt *statement;

    for (unsigned i = 0; i < db->nstatements; i++)
        if (db->statements[i].sql == sql)
            return db->statements[i].statement;
    if (db->nstatements == CLEW__DB_STATEMENTS_MAX) {
        (void)clew_set_error(-ENOSPC, "too many prepared statements");
        return NULL;
    }
    if (sqlite3_prepare_v3(db->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL) !=
        SQLITE_OK) {
        (void)fail(db);
        return NULL;
    }
    db->statements[db->nstatements].sql = sql;
    db->statements[db->nstatements++].statement = statement;
    return statement;
}

static sqlite3_stmt *prepare(struct clew__db *db, const char *sql, const char *types, va_list args)
{
    sqlite3_stmt *statement = find(db, sql);
    int code = SQLITE_OK;

    for (int i = 1; statement && *types && code == SQLITE_OK; i++, types++) {
        if (*types == 'i')
            code = sqlite3_bind_int64(statement, i, va_arg(args, int64_t));
        else
            code = sqlite3_bind_text(statement, i, va_arg(args, const char *), -1, SQLITE_STATIC);
    }
    if (code == SQLITE_OK)
        return statement;
    (void)fail(db);
    return NULL;
}

struct clew__row *clew__db_prepare(struct clew__db *db, const char *sql, const char *types, ...)
{
    sqlite3_stmt *statement;
    va_list args;

    va_start(args, types);
    statement = prepare(db, sql, types, args);
    va_end(args);
    return (struct clew__row *)statement;
}

int clew__db_step(struct clew__db *db, struct clew__row *row)
{
    sqlite3_stmt *statement = statement_of(row);
    int code = sqlite3_step(statement), r;

    if (code == SQLITE_ROW)
        return 1;
    r = code == SQLITE_DONE ? 0 : fail(db);
    (void)sqlite3_reset(statement);
    return r;
}

void clew__db_reset(struct clew__row *row)
{
    if (row)
        (void)sqlite3_reset(statement_of(row));
}

int clew__db_run(struct clew__db *db, const char *sql, const char *types, ...)
{
    sqlite3_stmt *statement;
    va_list args;
    int r;

    va_start(args, types);
    statement = prepare(db, sql, types, args);
    va_end(args);
    if (!statement)
        return -EIO;
    r = clew__db_step(db, (struct clew__row *)statement);
    (void)sqlite3_reset(statement);
    return r < 0 ? r : 0;
}

int clew__db_number(struct clew__db *db, int64_t fallback, int64_t *ret_number, const char *sql,
                    const char *types, ...)
{
    sqlite3_stmt *statement;
    va_list args;
    int r;

    va_start(args, types);
    statement = prepare(db, sql, types, args);
    va_end(args);
    if (!statement)
        return -EIO;
    r = clew__db_step(db, (struct clew__row *)statement);
    if (r < 0)
        return r;
    *ret_number = r && sqlite3_column_type(statement, 0) != SQLITE_NULL
                      ? sqlite3_column_int64(statement, 0)
                      : fallback;
    (void)sqlite3_reset(statement);
    return 0;
}

int64_t clew__db_changed(const struct clew__db *db)
{
    return sqlite3_changes64(db->handle);
}

bool clew__db_in_transaction(const struct clew__db *db)
{
    return !sqlite3_get_autocommit(db->handle);
}

int64_t clew__db_int(struct clew__row *row, int column)
{
    return sqlite3_column_int64(statement_of(row), column);
}

const char *clew__db_text(struct clew__row *row, int column)
{
    const char *text = (const char *)sqlite3_column_text(statement_of(row), column);

    return text ? text : "";
}
