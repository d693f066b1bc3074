/* SPDX-License-Identifier: Apache-2.0
 * What people and tests may see of the store, as JSON. Targets are digests, so
 * no secret is in it. Read-only; any connection. */
#include "view_priv.h"

#include <common/instant.h>

#include <buf.h>
#include <clew/log.h>
#include <json.h>

#include <errno.h>
#include <string.h>

#define VIEW_ROWS "1000"

void clew__view_text(struct clew__buf *json, const char *key, const char *text)
{
    if (json->len && json->data[json->len - 1] != '{')
        clew__buf_addc(json, ',');
    clew__buf_addf(json, "\"%s\":", key);
    clew__json_string(json, text, strlen(text));
}

void clew__view_time(struct clew__buf *json, const char *key, int64_t instant)
{
    char text[CLEW__INSTANT_TEXT];

    if (instant)
        clew__view_text(json, key, clew__instant_format(instant, text));
}

void clew__view_number(struct clew__buf *json, const char *key, int64_t number)
{
    clew__buf_addf(json, ",\"%s\":", key);
    clew__json_int(json, number);
}

int clew__view_rows(struct clew__db *db, struct clew__buf *json, const char *name,
                    struct clew__row *row,
                    void (*add_row)(struct clew__buf *json, struct clew__row *row))
{
    int n = 0, r = row ? 1 : -EIO;

    clew__buf_addf(json, "\"%s\":[", name);
    while (r == 1 && (r = clew__db_step(db, row)) == 1) {
        clew__buf_adds(json, n++ ? ",{" : "{");
        add_row(json, row);
        clew__buf_addc(json, '}');
    }
    clew__db_reset(row);
    clew__buf_addc(json, ']');
    if (r < 0)
        return r;
    return json->failed ? clew_set_error(-ENOMEM, "the answer is too large") : n;
}

void clew__view_alert(struct clew__buf *json, struct clew__row *row)
{
    clew__view_text(json, "fingerprint", clew__db_text(row, 0));
    clew__view_text(json, "status", clew__db_text(row, 1));
    clew__view_time(json, "startsAt", clew__db_int(row, 2));
    clew__view_time(json, "endsAt", clew__db_int(row, 3));
    clew__view_time(json, "firstSeen", clew__db_int(row, 4));
    clew__view_time(json, "lastSeen", clew__db_int(row, 5));
    clew__view_number(json, "repeats", clew__db_int(row, 6));
    clew__view_text(json, "generatorURL", clew__db_text(row, 7));
    clew__view_time(json, "acknowledgedAt", clew__db_int(row, 10));
    if (*clew__db_text(row, 11))
        clew__view_text(json, "acknowledgedBy", clew__db_text(row, 11));
    clew__buf_addf(json, ",\"labels\":%s", clew__db_text(row, 8));
    clew__buf_addf(json, ",\"annotations\":%s", clew__db_text(row, 9));
}

int clew__store_view_alerts(struct clew__db *db, void *arg)
{
    struct clew__view *view = arg;
    int r;

    clew__buf_addc(view->json, '{');
    r = clew__view_rows(db, view->json, "alerts",
                        clew__db_prepare(db,
                                         "SELECT " CLEW__VIEW_ALERT " FROM alerts a"
                                         " ORDER BY status, last_seen DESC, id LIMIT " VIEW_ROWS,
                                         ""),
                        clew__view_alert);
    clew__buf_adds(view->json, "}\n");
    return r < 0 ? r : 0;
}

void clew__view_delivery(struct clew__buf *json, struct clew__row *row)
{
    clew__view_text(json, "state", clew__db_text(row, 1));
    clew__view_number(json, "id", clew__db_int(row, 0));
    clew__view_text(json, "action", clew__db_text(row, 2));
    clew__view_text(json, "receiver", clew__db_text(row, 3));
    clew__view_text(json, "integration", clew__db_text(row, 4));
    clew__view_text(json, "dedupKey", clew__db_text(row, 5));
    clew__view_number(json, "fired", clew__db_int(row, 6));
    clew__view_number(json, "resolved", clew__db_int(row, 7));
    clew__view_number(json, "firing", clew__db_int(row, 8));
    clew__view_number(json, "attempts", clew__db_int(row, 9));
    clew__view_time(json, "createdAt", clew__db_int(row, 10));
    if (strcmp(clew__db_text(row, 1), "queued") == 0)
        clew__view_time(json, "nextAttemptAt", clew__db_int(row, 11));
    clew__view_time(json, "finishedAt", clew__db_int(row, 12));
    clew__view_text(json, "reason", clew__db_text(row, 13));
}

int clew__store_view_deliveries(struct clew__db *db, void *arg)
{
    struct clew__view *view = arg;
    int r;

    clew__buf_addc(view->json, '{');
    r = clew__view_rows(db, view->json, "deliveries",
                        clew__db_prepare(db,
                                         "SELECT " CLEW__VIEW_DELIVERY
                                         " FROM deliveries d JOIN incidents i"
                                         " ON i.id = d.incident_id WHERE ?1 IS NULL OR d.state = ?1"
                                         " ORDER BY d.id DESC LIMIT " VIEW_ROWS,
                                         "s", view->state),
                        clew__view_delivery);
    clew__buf_adds(view->json, "}\n");
    return r < 0 ? r : 0;
}
