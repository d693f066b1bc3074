/* SPDX-License-Identifier: Apache-2.0
 * "Why was I (not) paged?", from the store alone. A decision about an incident, not
 * about one alert (held open, end not sent), belongs to the alert if it was made
 * in the same webhook about a target that was told of the alert. A delivery belongs
 * to it if it names the alert, or, for what is beyond the names that a delivery
 * keeps, if the same webhook changed the alert. Read-only; any connection. */
#include "view_priv.h"

#include <escalation/plan.h>

#include <clew/log.h>

#include <errno.h>
#include <string.h>

#define ROWS "1000"
/* The fingerprint, or that with the digits of its source's labels behind it. */
#define ABOUT(column) column " >= ?1 AND " column " < ?1 || 'g'"

static void add_decision(struct clew__buf *json, struct clew__row *row)
{
    clew__view_time(json, "at", clew__db_int(row, 0));
    clew__view_text(json, "decision", clew__db_text(row, 1));
    clew__view_text(json, "reason", clew__db_text(row, 2));
    clew__view_text(json, "target", clew__db_text(row, 3));
    clew__view_text(json, "requestId", clew__db_text(row, 4));
    clew__view_text(json, "sender", clew__db_text(row, 5));
}

static struct clew__row *decisions(struct clew__db *db, const char *fingerprint)
{
    return clew__db_prepare(
        db,
        "SELECT u.at, u.decision, u.reason, u.target, w.request_id, w.external_url FROM audit u"
        " LEFT JOIN webhooks w ON w.id = u.webhook_id WHERE u.id IN"
        " (SELECT id FROM audit WHERE " ABOUT(
            "fingerprint") " UNION"
                           "  SELECT v.id FROM audit v WHERE v.fingerprint = '' AND v.decision IN"
                           "  ('held open', 'not sent') AND v.webhook_id IN"
                           "  (SELECT webhook_id FROM audit WHERE " ABOUT(
                               "fingerprint") ") AND v.target IN"
                                              "  (SELECT target FROM audit WHERE " ABOUT(
                                                  "fingerprint") "))"
                                                                 " ORDER BY u.id LIMIT " ROWS,
        "s", fingerprint);
}

static struct clew__row *deliveries(struct clew__db *db, const char *fingerprint)
{
    return clew__db_prepare(
        db,
        "SELECT DISTINCT " CLEW__VIEW_DELIVERY " FROM alerts a"
        " JOIN incident_alerts m ON m.alert_id = a.id"
        " JOIN incidents i ON i.id = m.incident_id"
        " JOIN deliveries d ON d.incident_id = i.id WHERE " ABOUT(
            "a.fingerprint") " AND"
                             " (d.webhook_id IN (SELECT webhook_id FROM audit WHERE " ABOUT(
                                 "fingerprint") ")"
                                                "  OR EXISTS (SELECT 1 FROM json_each(d.alert_ids) "
                                                "j WHERE j.value = a.id))"
                                                " ORDER BY d.id LIMIT " ROWS,
        "s", fingerprint);
}

/* What is still to come; a place is written by escalation/plan.c, the receiver behind
 * it. */
static void add_waiting(struct clew__buf *json, struct clew__row *row)
{
    const char *arg = clew__db_text(row, 1);
    struct clew__place place = {0};
    size_t words = 0;

    (void)clew__place_parse(arg, &place);
    for (; words < 3 && *arg; words++)
        arg += strcspn(arg, " ") + (arg[strcspn(arg, " ")] != '\0');
    clew__view_time(json, "at", clew__db_int(row, 0));
    clew__view_text(json, "receiver", arg);
    clew__view_number(json, "step", place.step);
    clew__view_number(json, "repeat", place.round);
    clew__buf_addf(json, ",\"digest\":%s", place.held ? "true" : "false");
}

static struct clew__row *waiting(struct clew__db *db, const char *fingerprint)
{
    return clew__db_prepare(
        db,
        "SELECT t.due_at, t.arg FROM alerts a JOIN timers t"
        " ON t.kind = 'escalation' AND t.key LIKE '%/' || a.webhook_id"
        " WHERE " ABOUT("a.fingerprint") " AND a.status = 'firing' AND NOT EXISTS"
                                         " (SELECT 1 FROM acks k WHERE k.alert_id = a.id)"
                                         " ORDER BY t.due_at, t.id LIMIT " ROWS,
        "s", fingerprint);
}

int clew__store_explain(struct clew__db *db, void *arg)
{
    struct clew__explain *explain = arg;
    struct clew__buf *json = explain->json;
    int known, r;

    clew__buf_addc(json, '{');
    clew__view_text(json, "fingerprint", explain->fingerprint);
    clew__buf_addc(json, ',');
    known = r = clew__view_rows(db, json, "alerts",
                                clew__db_prepare(db,
                                                 "SELECT " CLEW__VIEW_ALERT
                                                 " FROM alerts a WHERE fingerprint = ?1"
                                                 " ORDER BY starts_at LIMIT " ROWS,
                                                 "s", explain->fingerprint),
                                clew__view_alert);
    clew__buf_addc(json, ',');
    if (r >= 0)
        r = clew__view_rows(db, json, "decisions", decisions(db, explain->fingerprint),
                            add_decision);
    /* The audit is kept for longer than the alert. */
    explain->known = known + r > 0;
    clew__buf_addc(json, ',');
    if (r >= 0)
        r = clew__view_rows(db, json, "deliveries", deliveries(db, explain->fingerprint),
                            clew__view_delivery);
    clew__buf_addc(json, ',');
    if (r >= 0)
        r = clew__view_rows(db, json, "waiting", waiting(db, explain->fingerprint), add_waiting);
    clew__buf_adds(json, "}\n");
    return r < 0 ? r : 0;
}
