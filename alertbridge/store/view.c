/* SPDX-License-Identifier: Apache-2.0
 * What people and tests may see of the store, as JSON. Targets are digests, so
 * no secret is in it. Read-only; any connection. */
#include "store.h"

#include <common/instant.h>

#include <buf.h>
#include <clew/log.h>
#include <json.h>

#include <errno.h>
#include <string.h>

#define VIEW_ROWS "1000"

static void add_text(struct clew__buf *json, const char *key, const char *text)
{
    if (json->len && json->data[json->len - 1] != '{')
        clew__buf_addc(json, ',');
    clew__buf_addf(json, "\"%s\":", key);
    clew__json_string(json, text, strlen(text));
}

static void add_time(struct clew__buf *json, const char *key, int64_t instant)
{
    char text[CLEW__INSTANT_TEXT];

    if (instant)
        add_text(json, key, clew__instant_format(instant, text));
}

static void add_number(struct clew__buf *json, const char *key, int64_t number)
{
    clew__buf_addf(json, ",\"%s\":", key);
    clew__json_int(json, number);
}

static int view(struct clew__db *db, struct clew__buf *json, const char *name, const char *sql,
                void (*add_row)(struct clew__buf *json, sqlite3_stmt *row))
{
    sqlite3_stmt *row = clew__db_prepare(db, sql, "");
    bool first = true;
    int r = row ? 1 : -EIO;

    clew__buf_addf(json, "{\"%s\":[", name);
    while (r == 1 && (r = clew__db_step(db, row)) == 1) {
        clew__buf_adds(json, first ? "{" : ",{");
        add_row(json, row);
        clew__buf_addc(json, '}');
        first = false;
    }
    clew__db_reset(row);
    clew__buf_adds(json, "]}\n");
    return r < 0 ? r : json->failed ? clew_set_error(-ENOMEM, "the answer is too large") : 0;
}

static void add_alert(struct clew__buf *json, sqlite3_stmt *row)
{
    add_text(json, "fingerprint", clew__db_text(row, 0));
    add_text(json, "status", clew__db_text(row, 1));
    add_time(json, "startsAt", sqlite3_column_int64(row, 2));
    add_time(json, "endsAt", sqlite3_column_int64(row, 3));
    add_time(json, "firstSeen", sqlite3_column_int64(row, 4));
    add_time(json, "lastSeen", sqlite3_column_int64(row, 5));
    add_number(json, "repeats", sqlite3_column_int64(row, 6));
    add_text(json, "generatorURL", clew__db_text(row, 7));
    clew__buf_addf(json, ",\"labels\":%s", clew__db_text(row, 8));
    clew__buf_addf(json, ",\"annotations\":%s", clew__db_text(row, 9));
}

int clew__store_view_alerts(struct clew__db *db, void *arg)
{
    return view(db, arg, "alerts",
                "SELECT fingerprint, status, starts_at, ends_at, first_seen, last_seen, repeats,"
                " generator_url, labels, annotations FROM alerts"
                " ORDER BY status, last_seen DESC, id LIMIT " VIEW_ROWS,
                add_alert);
}

static void add_delivery(struct clew__buf *json, sqlite3_stmt *row)
{
    add_text(json, "state", clew__db_text(row, 1));
    add_number(json, "id", sqlite3_column_int64(row, 0));
    add_text(json, "action", clew__db_text(row, 2));
    add_text(json, "receiver", clew__db_text(row, 3));
    add_text(json, "integration", clew__db_text(row, 4));
    add_text(json, "dedupKey", clew__db_text(row, 5));
    add_number(json, "fired", sqlite3_column_int64(row, 6));
    add_number(json, "resolved", sqlite3_column_int64(row, 7));
    add_number(json, "firing", sqlite3_column_int64(row, 8));
    add_number(json, "attempts", sqlite3_column_int64(row, 9));
    add_time(json, "createdAt", sqlite3_column_int64(row, 10));
    if (strcmp(clew__db_text(row, 1), "queued") == 0)
        add_time(json, "nextAttemptAt", sqlite3_column_int64(row, 11));
    add_time(json, "finishedAt", sqlite3_column_int64(row, 12));
    add_text(json, "reason", clew__db_text(row, 13));
}

int clew__store_view_deliveries(struct clew__db *db, void *arg)
{
    return view(db, arg, "deliveries",
                "SELECT d.id, d.state, d.action, d.receiver, d.kind, i.dedup_key, d.fired,"
                " d.resolved, d.firing, d.attempts, d.created_at, d.next_attempt_at,"
                " d.finished_at, d.reason FROM deliveries d JOIN incidents i"
                " ON i.id = d.incident_id ORDER BY d.id DESC LIMIT " VIEW_ROWS,
                add_delivery);
}
