/* SPDX-License-Identifier: Apache-2.0
 * SQLite, the default: one file, one process. */
#include "db_priv.h"

#include <clew/log.h>

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct statement {
    struct clew__row row;
    sqlite3_stmt *handle;
};

static sqlite3_stmt *handle_of(struct clew__row *row)
{
    return ((struct statement *)row)->handle;
}

static int fail(struct clew__db *db)
{
    int code = sqlite3_errcode(db->connection) & 0xFF;
    int error = code == SQLITE_FULL       ? ENOSPC
                : code == SQLITE_NOMEM    ? ENOMEM
                : code == SQLITE_READONLY ? EROFS
                : code == SQLITE_BUSY     ? EBUSY
                                          : EIO;

    return clew_set_error(-error, "the store: %s", sqlite3_errmsg(db->connection));
}

static void close_handle(struct clew__db *db)
{
    (void)sqlite3_close(db->connection);
    db->connection = NULL;
}

static int run_all(struct clew__db *db, const char *sql)
{
    return sqlite3_exec(db->connection, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : fail(db);
}

static int open_handle(struct clew__db *db, const char *path, int flags, const char *settings)
{
    sqlite3 *handle = NULL;
    int code = sqlite3_open_v2(path, &handle, flags | SQLITE_OPEN_NOMUTEX, NULL), r;

    if (!handle)
        return clew_set_error(-ENOMEM, "out of memory");
    db->connection = handle;
    (void)sqlite3_busy_timeout(handle, 5000);
    r = code == SQLITE_OK ? run_all(db, settings) : fail(db);
    if (r < 0)
        close_handle(db);
    return r;
}

static int check(const char *where)
{
    (void)where;
    return 0;
}

static int open_own(struct clew__db *db, const char *path)
{
    /* SQLite would create it for everybody to read. */
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0)
        return clew_set_error(-errno, "the store %s: %s", path, strerror(errno));
    (void)close(fd);
    return open_handle(db, path, SQLITE_OPEN_READWRITE,
                       "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; "
                       "PRAGMA foreign_keys=ON; PRAGMA cache_size=-8192; "
                       "PRAGMA journal_size_limit=67108864;");
}

static int open_beside(struct clew__db *db, const char *path, bool write)
{
    if (access(path, write ? R_OK | W_OK : R_OK) != 0)
        return clew_set_error(-errno, "the store %s: %s", path, strerror(errno));
    return open_handle(db, path, write ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY,
                       write ? "PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;" : "");
}

static bool in_transaction(const struct clew__db *db)
{
    return !sqlite3_get_autocommit(db->connection);
}

static int begin(struct clew__db *db)
{
    return clew__db_run(db, "BEGIN IMMEDIATE", "");
}

static int commit(struct clew__db *db)
{
    /* A full disk may have ended the transaction already. */
    if (!in_transaction(db))
        return clew_set_error(-EIO, "the store: the transaction was given up");
    return clew__db_run(db, "COMMIT", "");
}

static void roll_back(struct clew__db *db)
{
    if (in_transaction(db))
        (void)clew__db_run(db, "ROLLBACK", "");
}

static int64_t changed(const struct clew__db *db)
{
    return sqlite3_changes64(db->connection);
}

static struct clew__row *prepare(struct clew__db *db, const char *sql)
{
    struct statement *statement = calloc(1, sizeof(*statement));

    if (!statement) {
        (void)clew_set_error(-ENOMEM, "out of memory");
        return NULL;
    }
    statement->row.ops = db->ops;
    if (sqlite3_prepare_v3(db->connection, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement->handle,
                           NULL) == SQLITE_OK)
        return &statement->row;
    (void)fail(db);
    free(statement);
    return NULL;
}

static int bind(struct clew__db *db, struct clew__row *row, const struct clew__db_value *values,
                size_t n)
{
    int code = SQLITE_OK;

    for (size_t i = 0; i < n && code == SQLITE_OK; i++)
        code = values[i].is_text
                   ? sqlite3_bind_text(handle_of(row), (int)i + 1, values[i].as.text, -1,
                                       SQLITE_STATIC)
                   : sqlite3_bind_int64(handle_of(row), (int)i + 1, values[i].as.number);
    return code == SQLITE_OK ? 0 : fail(db);
}

static int step(struct clew__db *db, struct clew__row *row)
{
    int code = sqlite3_step(handle_of(row));

    return code == SQLITE_ROW ? 1 : code == SQLITE_DONE ? 0 : fail(db);
}

static void reset(struct clew__row *row)
{
    (void)sqlite3_reset(handle_of(row));
}

static void finalize(struct clew__row *row)
{
    (void)sqlite3_finalize(handle_of(row));
    free(row);
}

static bool is_null(struct clew__row *row, int column)
{
    return sqlite3_column_type(handle_of(row), column) == SQLITE_NULL;
}

static int64_t number(struct clew__row *row, int column)
{
    return sqlite3_column_int64(handle_of(row), column);
}

static const char *text(struct clew__row *row, int column)
{
    const char *value = (const char *)sqlite3_column_text(handle_of(row), column);

    return value ? value : "";
}

static int get_version(struct clew__db *db, int64_t *ret_version)
{
    return clew__db_number(db, 0, ret_version, "PRAGMA user_version", "");
}

static int set_version(struct clew__db *db, int64_t version)
{
    char sql[48];

    (void)snprintf(sql, sizeof(sql), "PRAGMA user_version = %d", (int)version);
    return run_all(db, sql);
}

static void rest(struct clew__db *db)
{
    (void)sqlite3_db_release_memory(db->connection);
}

const struct clew__db_ops clew__db_sqlite = {
    .shared = false,
    .check = check,
    .open = open_own,
    .open_beside = open_beside,
    .close = close_handle,
    .exec = run_all,
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
    .rest = rest,
};

int clew__db_open_memory(struct clew__db *db)
{
    *db = (struct clew__db){.ops = &clew__db_sqlite};
    return open_handle(db, ":memory:", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
                       "PRAGMA foreign_keys=ON");
}
