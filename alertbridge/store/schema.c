/* SPDX-License-Identifier: Apache-2.0
 * The tables, as a list of steps; a database knows how many of them it has had
 * (SQLite: PRAGMA user_version). A step never changes once it was released; a
 * change of the schema is a further step. Times are nanoseconds since 1970. */
#include "db_priv.h"

#include <clew/log.h>

#include <errno.h>

static const char *const steps[] = {
    /* A webhook that changed something, and the trace that it belongs to. */
    "CREATE TABLE webhooks ("
    " id INTEGER PRIMARY KEY,"
    " received_at INTEGER NOT NULL,"
    " group_digest TEXT NOT NULL,"
    " group_key TEXT NOT NULL," /* cut; the digest is what counts */
    " sender_receiver TEXT NOT NULL,"
    " external_url TEXT NOT NULL,"
    " group_labels TEXT NOT NULL,"
    " common_labels TEXT NOT NULL,"
    " common_annotations TEXT NOT NULL,"
    " truncated INTEGER NOT NULL,"
    " request_id TEXT NOT NULL,"
    " correlation_id TEXT NOT NULL,"
    " traceparent TEXT NOT NULL);"
    /* One occurrence of an alert: its labels (fingerprint) since a moment. */
    "CREATE TABLE alerts ("
    " id INTEGER PRIMARY KEY,"
    " fingerprint TEXT NOT NULL,"
    " starts_at INTEGER NOT NULL,"
    " status TEXT NOT NULL CHECK (status IN ('firing', 'resolved')),"
    " labels TEXT NOT NULL,"
    " annotations TEXT NOT NULL,"
    " generator_url TEXT NOT NULL,"
    " group_digest TEXT NOT NULL,"
    " ends_at INTEGER NOT NULL,"
    " first_seen INTEGER NOT NULL,"
    " last_seen INTEGER NOT NULL,"
    " resolved_seen INTEGER NOT NULL DEFAULT 0,"
    " resolved_by TEXT NOT NULL DEFAULT '',"
    " repeats INTEGER NOT NULL DEFAULT 0,"
    " UNIQUE (fingerprint, starts_at));"
    "CREATE INDEX alerts_status ON alerts (status, last_seen);"
    /* What a far side knows under one key: a PagerDuty incident, a Slack group. */
    "CREATE TABLE incidents ("
    " id INTEGER PRIMARY KEY,"
    " target TEXT NOT NULL,"
    " dedup_key TEXT NOT NULL,"
    " kind TEXT NOT NULL,"
    " receiver TEXT NOT NULL,"
    " per_alert INTEGER NOT NULL,"
    " group_digest TEXT NOT NULL,"
    " open INTEGER NOT NULL,"
    " opened_at INTEGER NOT NULL,"
    " closed_at INTEGER NOT NULL DEFAULT 0,"
    " UNIQUE (target, dedup_key));"
    "CREATE INDEX incidents_group ON incidents (group_digest) WHERE open = 1;"
    "CREATE TABLE incident_alerts ("
    " incident_id INTEGER NOT NULL REFERENCES incidents ON DELETE CASCADE,"
    " alert_id INTEGER NOT NULL REFERENCES alerts ON DELETE CASCADE,"
    " open INTEGER NOT NULL,"
    " PRIMARY KEY (incident_id, alert_id)) WITHOUT ROWID;"
    "CREATE INDEX incident_alerts_alert ON incident_alerts (alert_id);"
    "CREATE INDEX incident_alerts_open ON incident_alerts (incident_id) WHERE open = 1;"
    /* What has to be sent, was sent, or never will be. */
    "CREATE TABLE deliveries ("
    " id INTEGER PRIMARY KEY,"
    " webhook_id INTEGER NOT NULL REFERENCES webhooks,"
    " incident_id INTEGER NOT NULL REFERENCES incidents,"
    " target TEXT NOT NULL,"
    " order_key TEXT NOT NULL,"
    " receiver TEXT NOT NULL,"
    " kind TEXT NOT NULL,"
    " action TEXT NOT NULL CHECK (action IN ('trigger', 'resolve')),"
    " alert_ids TEXT NOT NULL," /* a JSON array, the changed ones, the first 20 */
    " fired INTEGER NOT NULL,"
    " resolved INTEGER NOT NULL,"
    " firing INTEGER NOT NULL,"
    " state TEXT NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'done', 'dead')),"
    " attempts INTEGER NOT NULL DEFAULT 0,"
    " created_at INTEGER NOT NULL,"
    " next_attempt_at INTEGER NOT NULL,"
    " finished_at INTEGER NOT NULL DEFAULT 0,"
    " reason TEXT NOT NULL DEFAULT '');"
    "CREATE INDEX deliveries_due ON deliveries (target, next_attempt_at, id)"
    " WHERE state = 'queued';"
    "CREATE INDEX deliveries_order ON deliveries (order_key, id) WHERE state = 'queued';"
    "CREATE INDEX deliveries_incident ON deliveries (incident_id);"
    "CREATE INDEX deliveries_webhook ON deliveries (webhook_id);"
    "CREATE INDEX deliveries_finished ON deliveries (finished_at) WHERE state <> 'queued';"
    /* What was decided and why. */
    "CREATE TABLE audit ("
    " id INTEGER PRIMARY KEY,"
    " at INTEGER NOT NULL,"
    " webhook_id INTEGER,"
    " fingerprint TEXT NOT NULL,"
    " starts_at INTEGER NOT NULL,"
    " target TEXT NOT NULL,"
    " decision TEXT NOT NULL,"
    " reason TEXT NOT NULL);"
    "CREATE INDEX audit_at ON audit (at);"
    "CREATE INDEX audit_alert ON audit (fingerprint, starts_at);",
    /* What is told later, or because of a person: the webhook that an alert fired
     * with gives it its group and its trace. */
    "ALTER TABLE alerts ADD COLUMN webhook_id INTEGER;"
    "CREATE INDEX alerts_webhook ON alerts (webhook_id);"
    /* A person has an occurrence in hand. */
    "CREATE TABLE acks ("
    " alert_id INTEGER PRIMARY KEY REFERENCES alerts ON DELETE CASCADE,"
    " at INTEGER NOT NULL,"
    " actor TEXT NOT NULL,"
    " via TEXT NOT NULL);"
    /* What happens at a time. elapsing 1: a span of time ends, whatever the clock is
     * set to meanwhile; 0: the clock shows a time. */
    "CREATE TABLE timers ("
    " id INTEGER PRIMARY KEY,"
    " kind TEXT NOT NULL,"
    " key TEXT NOT NULL,"
    " due_at INTEGER NOT NULL,"
    " elapsing INTEGER NOT NULL,"
    " arg TEXT NOT NULL,"
    " UNIQUE (kind, key));"
    "CREATE INDEX timers_due ON timers (due_at, id);"
    /* Deliveries may do more than trigger and resolve, and say why they go out. */
    "CREATE TABLE deliveries_new ("
    " id INTEGER PRIMARY KEY,"
    " webhook_id INTEGER NOT NULL REFERENCES webhooks,"
    " incident_id INTEGER NOT NULL REFERENCES incidents,"
    " target TEXT NOT NULL,"
    " order_key TEXT NOT NULL,"
    " receiver TEXT NOT NULL,"
    " kind TEXT NOT NULL,"
    " action TEXT NOT NULL,"
    " alert_ids TEXT NOT NULL,"
    " fired INTEGER NOT NULL,"
    " resolved INTEGER NOT NULL,"
    " firing INTEGER NOT NULL,"
    " state TEXT NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'done', 'dead')),"
    " attempts INTEGER NOT NULL DEFAULT 0,"
    " created_at INTEGER NOT NULL,"
    " next_attempt_at INTEGER NOT NULL,"
    " finished_at INTEGER NOT NULL DEFAULT 0,"
    " reason TEXT NOT NULL DEFAULT '',"
    " note TEXT NOT NULL DEFAULT '');" /* for people */
    "INSERT INTO deliveries_new SELECT id, webhook_id, incident_id, target, order_key, receiver,"
    " kind, action, alert_ids, fired, resolved, firing, state, attempts, created_at,"
    " next_attempt_at, finished_at, reason, '' FROM deliveries;"
    "DROP TABLE deliveries;"
    "ALTER TABLE deliveries_new RENAME TO deliveries;"
    "CREATE INDEX deliveries_due ON deliveries (target, next_attempt_at, id)"
    " WHERE state = 'queued';"
    "CREATE INDEX deliveries_order ON deliveries (order_key, id) WHERE state = 'queued';"
    "CREATE INDEX deliveries_incident ON deliveries (incident_id);"
    "CREATE INDEX deliveries_webhook ON deliveries (webhook_id);"
    "CREATE INDEX deliveries_finished ON deliveries (finished_at) WHERE state <> 'queued';",

    /* Who works on what; see lease.c. An epoch is one time of holding it. */
    "CREATE TABLE leases ("
    " id INTEGER PRIMARY KEY,"
    " name TEXT NOT NULL UNIQUE,"
    " holder TEXT NOT NULL DEFAULT '',"
    " epoch INTEGER NOT NULL DEFAULT 0);",
    /* The message that an incident has in Slack; ts '': it had one that is gone. What it
     * has told at worst, and whether it is final. */
    "CREATE TABLE slack_messages ("
    " incident_id INTEGER PRIMARY KEY REFERENCES incidents ON DELETE CASCADE,"
    " opened_at INTEGER NOT NULL,"
    " channel TEXT NOT NULL,"
    " ts TEXT NOT NULL,"
    " severity INTEGER NOT NULL,"
    " firing INTEGER NOT NULL,"
    " ended INTEGER NOT NULL);"
    /* The thread that a note is for. */
    "CREATE TABLE slack_notes ("
    " delivery_id INTEGER PRIMARY KEY REFERENCES deliveries ON DELETE CASCADE,"
    " channel TEXT NOT NULL,"
    " ts TEXT NOT NULL,"
    " broadcast INTEGER NOT NULL);"
    /* A post that was begun and has no result yet. */
    "CREATE TABLE slack_begun ("
    " delivery_id INTEGER PRIMARY KEY REFERENCES deliveries ON DELETE CASCADE,"
    " at INTEGER NOT NULL);"
    /* Not before this time, says Slack. */
    "CREATE TABLE slack_limits ("
    " target TEXT NOT NULL,"
    " method TEXT NOT NULL,"
    " until INTEGER NOT NULL,"
    " PRIMARY KEY (target, method));"
    /* A click that was dealt with. */
    "CREATE TABLE slack_clicks ("
    " key TEXT PRIMARY KEY,"
    " at INTEGER NOT NULL);"
    "CREATE INDEX slack_clicks_at ON slack_clicks (at);"
    /* What Alertmanager is asked for by a delivery; silence_id '': not yet. */
    "CREATE TABLE silences ("
    " delivery_id INTEGER PRIMARY KEY REFERENCES deliveries ON DELETE CASCADE,"
    " incident_id INTEGER NOT NULL REFERENCES incidents ON DELETE CASCADE,"
    " matchers TEXT NOT NULL," /* JSON, as Alertmanager's API has it */
    " created_by TEXT NOT NULL,"
    " ends_at INTEGER NOT NULL,"
    " silence_id TEXT NOT NULL DEFAULT '');"
    "CREATE INDEX silences_incident ON silences (incident_id);",
    /* What goes first of all that is due: 0 critical, 1 other news, 2 ends. */
    "ALTER TABLE deliveries ADD COLUMN rank INTEGER NOT NULL DEFAULT 1;"
    "DROP INDEX deliveries_due;"
    "CREATE INDEX deliveries_due ON deliveries (target, rank, next_attempt_at, id)"
    " WHERE state = 'queued';",

    /* How far the store has taken the journal; one row. */
    "CREATE TABLE journal (id INTEGER PRIMARY KEY, sequence INTEGER NOT NULL);",
    /* An event of PagerDuty's that was carried out. */
    "CREATE TABLE pagerduty_events ("
    " id TEXT PRIMARY KEY,"
    " at INTEGER NOT NULL);"
    "CREATE INDEX pagerduty_events_at ON pagerduty_events (at);",
    /* Alertmanager is asked about all that fires, some at a time. */
    "CREATE INDEX alerts_firing ON alerts (id) WHERE status = 'firing';",
    /* The window of a limit, and what it holds. */
    "CREATE TABLE storms ("
    " target TEXT PRIMARY KEY,"
    " receiver TEXT NOT NULL,"
    " began_at INTEGER NOT NULL,"
    " pages INTEGER NOT NULL);"
    "CREATE TABLE storm_alerts ("
    " target TEXT NOT NULL,"
    " alert_id INTEGER NOT NULL REFERENCES alerts ON DELETE CASCADE,"
    " PRIMARY KEY (target, alert_id));"
    /* That the store takes something, for the heartbeat; one row. */
    "CREATE TABLE heartbeats (id INTEGER PRIMARY KEY, at INTEGER NOT NULL);"
    /* When alerts fired, and those that come and go. */
    "CREATE TABLE flap_fires ("
    " fingerprint TEXT NOT NULL,"
    " at INTEGER NOT NULL);"
    "CREATE INDEX flap_fires_of ON flap_fires (fingerprint, at);"
    "CREATE INDEX flap_fires_at ON flap_fires (at);"
    "CREATE TABLE flaps ("
    " fingerprint TEXT PRIMARY KEY,"
    " alert_id INTEGER NOT NULL,"
    " fires INTEGER NOT NULL,"
    " since INTEGER NOT NULL,"
    " last_at INTEGER NOT NULL);",
};

int clew__db_check_schema(struct clew__db *db)
{
    int64_t version;
    int r = db->ops->get_version(db, &version);

    if (r == 0 && version != sizeof(steps) / sizeof(steps[0]))
        r = clew_set_error(-EPROTO, "the store: written by another version of this program");
    return r;
}

/* The next step, if there is one. */
static int take_step(struct clew__db *db)
{
    const int64_t newest = sizeof(steps) / sizeof(steps[0]);
    int64_t version;
    int r = db->ops->get_version(db, &version);

    if (r == 0 && version > newest)
        return clew_set_error(-EPROTO, "the store: written by a newer version of this program");
    if (r < 0 || version == newest)
        return r;
    r = clew__db_exec(db, steps[version]);
    return r == 0 ? db->ops->set_version(db, version + 1) : r;
}

int clew__db_migrate(struct clew__db *db)
{
    const int64_t newest = sizeof(steps) / sizeof(steps[0]);
    int64_t version = 0;
    int r;

    do {
        r = clew__db_begin(db);
        if (r == 0)
            r = take_step(db);
        if (r == 0)
            r = db->ops->get_version(db, &version);
        if (r == 0 && version == newest && db->ops->finish)
            r = db->ops->finish(db);
        if (r == 0)
            r = clew__db_commit(db);
        if (r < 0)
            clew__db_rollback(db);
    } while (r == 0 && version < newest);
    return r;
}
