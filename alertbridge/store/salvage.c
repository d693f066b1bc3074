/* SPDX-License-Identifier: Apache-2.0
 * A store that does not open would page nobody, and an empty one would forget whom it
 * has told, so neither is an answer to a bad sector. Each table is read from its start
 * to the first page that makes no sense, and then from its end; that gets everything
 * but what is on that page. What refers to a row that is lost goes with it.
 *
 * The new file is made beside the damaged one and takes its place when it is complete:
 * while there is a file at the store's path, that one counts, and when there is none,
 * the new one is complete. A kill at any moment loses nothing more.
 *
 * SQLite has no checksums of its pages: a flipped bit within a text is not seen. */
#include "salvage.h"

#include "db.h"

#include <common/metrics.h>

#include <clew/log.h>

#include <errno.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PATH_ROOM 4352u

struct salvage {
    sqlite3 *from, *to;
    uint64_t nrows, nincomplete; /* rows saved; tables that are not complete */
};

static bool exists(const char *path, const char *end)
{
    char name[PATH_ROOM + 64];
    struct stat status;

    (void)snprintf(name, sizeof(name), "%s%s", path, end);
    return stat(name, &status) == 0 && status.st_size > 0;
}

static void move(const char *from, const char *to, const char *end)
{
    char old[PATH_ROOM + 64], new[PATH_ROOM + 64];

    (void)snprintf(old, sizeof(old), "%s%s", from, end);
    (void)snprintf(new, sizeof(new), "%s%s", to, end);
    (void)rename(old, new);
}

static void delete_all(const char *path)
{
    static const char *const ends[] = {"", "-wal", "-shm"};
    char name[PATH_ROOM + 64];

    for (unsigned i = 0; i < 3; i++) {
        (void)snprintf(name, sizeof(name), "%s%s", path, ends[i]);
        (void)unlink(name);
    }
}

static bool is_damage(int code)
{
    return (code & 0xFF) == SQLITE_CORRUPT || (code & 0xFF) == SQLITE_NOTADB;
}

/* returns 0 whole, 1 damaged, -errno */
static int look_over(sqlite3 *db, const char *path)
{
    sqlite3_stmt *check = NULL;
    int code = sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &check, NULL), r;

    if (code == SQLITE_OK)
        code = sqlite3_step(check);
    if (code == SQLITE_ROW)
        r = strcmp((const char *)sqlite3_column_text(check, 0), "ok") != 0;
    else if (is_damage(code))
        r = 1;
    else
        r = clew_set_error(-EIO, "the store %s: %s", path, sqlite3_errmsg(db));
    (void)sqlite3_finalize(check);
    return r;
}

/* ---- copying ------------------------------------------------------------------------ */

static sqlite3_stmt *prepare(sqlite3 *db, const char *format, const char *a, const char *b)
{
    char *sql = sqlite3_mprintf(format, a, b);
    sqlite3_stmt *statement = NULL;

    if (sql && sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK)
        statement = NULL;
    sqlite3_free(sql);
    return statement;
}

/* "a, b, c" and "?, ?, ?" for the columns that both have; "" for none. */
static void columns_of(const struct salvage *salvage, const char *table, char *names, char *marks,
                       size_t room)
{
    sqlite3_stmt *new = prepare(salvage->to, "SELECT name FROM pragma_table_info(%Q)", table, "");

    names[0] = marks[0] = '\0';
    while (new &&sqlite3_step(new) == SQLITE_ROW) {
        const char *name = (const char *)sqlite3_column_text(new, 0);
        sqlite3_stmt *old = prepare(salvage->from, "SELECT \"%w\" FROM \"%w\"", name, table);
        size_t len = strlen(names);

        /* An unknown name in double quotes would be a text to SQLite. */
        if (old && sqlite3_column_table_name(old, 0)) {
            (void)snprintf(names + len, room - len, "%s\"%s\"", len ? ", " : "", name);
            len = strlen(marks);
            (void)snprintf(marks + len, room - len, "%s?", len ? ", " : "");
        }
        (void)sqlite3_finalize(old);
    }
    (void)sqlite3_finalize(new);
}

/* Copies rows until the end, or one that can't be read: false. */
static bool copy_rows(struct salvage *salvage, sqlite3_stmt *from, sqlite3_stmt *to)
{
    int code;

    while ((code = sqlite3_step(from)) == SQLITE_ROW) {
        for (int i = 0; i < sqlite3_column_count(from); i++)
            (void)sqlite3_bind_value(to, i + 1, sqlite3_column_value(from, i));
        if (sqlite3_step(to) == SQLITE_DONE)
            salvage->nrows += (uint64_t)sqlite3_changes64(salvage->to);
        (void)sqlite3_reset(to);
    }
    return code == SQLITE_DONE;
}

static void copy_table(struct salvage *salvage, const char *table)
{
    static const char *const backwards[] = {"SELECT %s FROM \"%w\" ORDER BY rowid DESC",
                                            "SELECT %s FROM \"%w\" ORDER BY 1 DESC, 2 DESC"};
    char names[2048], marks[512], insert[3072];
    sqlite3_stmt *from, *to;
    bool complete;

    columns_of(salvage, table, names, marks, sizeof(marks));
    (void)snprintf(insert, sizeof(insert), "INSERT OR IGNORE INTO \"%s\" (%s) VALUES (%s)", table,
                   names, marks);
    from =
        *names ? prepare(salvage->from, "SELECT %s FROM \"%w\" NOT INDEXED", names, table) : NULL;
    to = from ? prepare(salvage->to, "%s", insert, "") : NULL;
    complete = to && copy_rows(salvage, from, to);
    (void)sqlite3_finalize(from);
    for (unsigned i = 0; i < 2 && to && !complete; i++) {
        from = prepare(salvage->from, backwards[i], names, table);
        if (from) {
            (void)copy_rows(salvage, from, to);
            (void)sqlite3_finalize(from);
            break;
        }
    }
    (void)sqlite3_finalize(to);
    salvage->nincomplete += !complete;
}

/* Rows that refer to what is lost. */
static void delete_orphans(struct salvage *salvage)
{
    sqlite3_stmt *check;
    bool again;

    /* It has no rowid, which the check would tell. */
    (void)sqlite3_exec(salvage->to,
                       "DELETE FROM incident_alerts WHERE incident_id NOT IN"
                       " (SELECT id FROM incidents) OR alert_id NOT IN (SELECT id FROM alerts)",
                       NULL, NULL, NULL);
    do {
        again = false;
        check = prepare(salvage->to, "PRAGMA foreign_key_check", "", "");
        while (check && sqlite3_step(check) == SQLITE_ROW) {
            char *sql =
                sqlite3_mprintf("DELETE FROM \"%w\" WHERE rowid = %lld",
                                sqlite3_column_text(check, 0), sqlite3_column_int64(check, 1));

            if (sql && sqlite3_exec(salvage->to, sql, NULL, NULL, NULL) == SQLITE_OK &&
                sqlite3_changes(salvage->to) > 0)
                again = true;
            sqlite3_free(sql);
        }
        (void)sqlite3_finalize(check);
    } while (again);
}

static int copy_all(struct salvage *salvage)
{
    sqlite3_stmt *tables;

    if (sqlite3_exec(salvage->to, "PRAGMA foreign_keys=OFF; BEGIN", NULL, NULL, NULL) != SQLITE_OK)
        return clew_set_error(-EIO, "the new store: %s", sqlite3_errmsg(salvage->to));
    tables = prepare(salvage->to,
                     "SELECT name FROM sqlite_master WHERE type = 'table'"
                     " AND name NOT LIKE 'sqlite%%'",
                     "", "");
    while (tables && sqlite3_step(tables) == SQLITE_ROW)
        copy_table(salvage, (const char *)sqlite3_column_text(tables, 0));
    (void)sqlite3_finalize(tables);
    delete_orphans(salvage);
    if (sqlite3_exec(salvage->to, "COMMIT", NULL, NULL, NULL) != SQLITE_OK)
        return clew_set_error(-EIO, "the new store: %s", sqlite3_errmsg(salvage->to));
    return 0;
}

/* ---- the files ------------------------------------------------------------------------- */

/* The new store takes the place of the damaged one. */
static int put_in_place(const char *path, const char *new)
{
    char damaged[PATH_ROOM], stamp[32];
    time_t now = time(NULL);
    struct tm utc;

    (void)strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", gmtime_r(&now, &utc));
    (void)snprintf(damaged, sizeof(damaged), "%s.damaged-%s", path, stamp);
    move(path, damaged, "");
    move(path, damaged, "-wal");
    move(path, damaged, "-shm");
    if (rename(new, path) != 0)
        return clew_set_error(-errno, "the store %s: %s", path, strerror(errno));
    clew_error("the store was damaged; what could be read of it is in a new one",
               clew_kv("damaged", damaged));
    return 0;
}

static int make_new(sqlite3 *from, const char *new, struct salvage *salvage)
{
    struct clew__db db = {0};
    int r;

    delete_all(new);
    r = clew__db_open(&db, new);
    if (r == 0)
        r = clew__db_migrate(&db);
    if (r == 0) {
        salvage->from = from;
        salvage->to = db.connection;
        r = copy_all(salvage);
    }
    /* Closing puts everything from the log into the file, synced. */
    clew__db_close(&db);
    return r;
}

static int replace(sqlite3 *from, const char *path, const char *new)
{
    struct salvage salvage = {.nrows = 0};
    int r = make_new(from, new, &salvage);

    if (r == 0 && exists(new, "-wal"))
        r = clew_set_error(-EIO, "the new store %s is not complete", new);
    if (r == 0)
        r = put_in_place(path, new);
    if (r < 0)
        return r;
    clew_error("rows of the damaged store that were saved", clew_kv("rows", salvage.nrows),
               clew_kv("incomplete_tables", salvage.nincomplete));
    clew__metrics_salvaged();
    return 1;
}

int clew__salvage(const char *path, bool ours)
{
    sqlite3 *from = NULL;
    char new[PATH_ROOM];
    int r;

    (void)snprintf(new, sizeof(new), "%s.salvaged", path);
    if (!exists(path, ""))
        return exists(new, "") ? put_in_place(path, new) : 0;
    if (sqlite3_open_v2(path, &from, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) !=
        SQLITE_OK) {
        r = clew_set_error(-EIO, "the store %s: %s", path,
                           from ? sqlite3_errmsg(from) : "out of memory");
    } else {
        (void)sqlite3_db_config(from, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        r = look_over(from, path);
    }
    if (r == 1 && !ours && sqlite3_errcode(from) == SQLITE_NOTADB)
        r = clew_set_error(-EPROTO, "the store %s is no database", path);
    if (r == 1)
        r = replace(from, path, new);
    (void)sqlite3_close(from);
    return r;
}
