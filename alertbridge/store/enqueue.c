/* SPDX-License-Identifier: Apache-2.0
 * From a change of an incident to a row in the queue. A delivery names the alerts
 * that it tells about, the first 20 of them; the rest it counts. */
#include "apply_priv.h"

#include <clew/log.h>

#include <buf.h>
#include <json.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

int clew__incident_load(struct clew__db *db, int64_t id, struct clew__incident *ret_incident)
{
    struct clew__row *row = clew__db_prepare(
        db,
        "SELECT target, dedup_key, receiver, kind, per_alert, open, (SELECT count(*) FROM"
        " incident_alerts m WHERE m.incident_id = incidents.id AND m.open = 1)"
        " FROM incidents WHERE id = ?1",
        "i", id);
    struct clew__incident *i = ret_incident;
    int r = row ? clew__db_step(db, row) : -EIO;

    if (r <= 0)
        return r < 0 ? r : clew_set_error(-EIO, "the store: an incident is missing");
    i->id = id;
    (void)snprintf(i->target, sizeof(i->target), "%s", clew__db_text(row, 0));
    (void)snprintf(i->dedup_key, sizeof(i->dedup_key), "%s", clew__db_text(row, 1));
    (void)snprintf(i->receiver, sizeof(i->receiver), "%s", clew__db_text(row, 2));
    (void)snprintf(i->kind, sizeof(i->kind), "%s", clew__db_text(row, 3));
    i->per_alert = clew__db_int(row, 4) != 0;
    i->open = clew__db_int(row, 5) != 0;
    i->nopen = clew__db_int(row, 6);
    clew__db_reset(row);
    i->ops = clew__receiver_kind(i->kind);
    i->incidents = i->ops && i->ops->incidents;
    return 0;
}

int clew__incident_close(struct clew__db *db, const struct clew__applying *applying, int64_t id)
{
    return clew__db_run(db, "UPDATE incidents SET open = 0, closed_at = ?2 WHERE id = ?1", "ii", id,
                        applying->now);
}

static void add_ids(struct clew__buf *json, const int64_t *ids, uint64_t n)
{
    for (uint64_t i = 0; i < n && i < CLEW__PAGE_ALERTS_MAX; i++) {
        if (json->len > 1)
            clew__buf_addc(json, ',');
        clew__json_int(json, ids[i]);
    }
}

/* Of incidents what is critical goes first; messages keep the order of their channel. */
static int64_t rank_of(const struct clew__incident *incident, const struct clew__touched *touched,
                       enum clew__action action)
{
    if (!incident->incidents)
        return CLEW__RANK_NEWS;
    if (action != CLEW__ACTION_TRIGGER)
        return CLEW__RANK_END;
    return touched->critical ? CLEW__RANK_CRITICAL : CLEW__RANK_NEWS;
}

/* What stands before a critical page of the same incident is as urgent as that. */
static int hurry(struct clew__db *db, const char *order_key)
{
    return clew__db_run(db,
                        "UPDATE deliveries SET rank = 0 WHERE order_key = ?1 AND rank <> 0"
                        " AND state = 'queued'",
                        "s", order_key);
}

/* The change's, or that of the alerts. */
static int find_webhook(struct clew__db *db, const struct clew__applying *applying,
                        const struct clew__touched *touched, int64_t *ret_id)
{
    *ret_id = applying->webhook_id;
    return *ret_id
               ? 0
               : clew__db_number(db, 0, ret_id, "SELECT webhook_id FROM alerts WHERE id = ?1", "i",
                                 touched->nfired ? touched->fired[0] : touched->resolved[0]);
}

int clew__incident_enqueue(struct clew__db *db, struct clew__applying *applying,
                           const struct clew__incident *incident,
                           const struct clew__touched *touched, enum clew__action action,
                           const char *note)
{
    uint64_t nfired = action == CLEW__ACTION_RESOLVE ? 0 : touched->nfired;
    int64_t webhook_id;
    const int64_t rank = rank_of(incident, touched, action);
    struct clew__buf ids;
    char order_key[192], *text;
    bool apart;
    size_t len;
    int r;

    clew__buf_init(&ids, 4096);
    clew__buf_addc(&ids, '[');
    add_ids(&ids, touched->fired, nfired);
    add_ids(&ids, touched->resolved, touched->nresolved);
    clew__buf_addc(&ids, ']');
    text = clew__buf_take(&ids, &len);
    if (!text)
        return clew_set_error(-ENOMEM, "out of memory");
    apart = incident->incidents || (incident->ops && incident->ops->apart);
    (void)snprintf(order_key, sizeof(order_key), "%s%s%s", incident->target, apart ? "/" : "",
                   apart ? incident->dedup_key : "");
    r = find_webhook(db, applying, touched, &webhook_id);
    if (r < 0) {
        free(text);
        return r;
    }
    r = clew__db_run(db,
                     "INSERT INTO deliveries (webhook_id, incident_id, target, order_key, receiver,"
                     " kind, action, alert_ids, fired, resolved, firing, created_at,"
                     " next_attempt_at, note, rank)"
                     " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?12, ?13, ?14)",
                     "iissssssiiiisi", webhook_id, incident->id, incident->target, order_key,
                     incident->receiver, incident->kind, clew__action_text(action), text,
                     (int64_t)nfired, (int64_t)touched->nresolved, incident->nopen, applying->now,
                     note, rank);
    free(text);
    if (r == 0 && rank == CLEW__RANK_CRITICAL)
        r = hurry(db, order_key);
    applying->ndeliveries++;
    return r;
}
