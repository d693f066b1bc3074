/* SPDX-License-Identifier: Apache-2.0
 * A click is remembered by its key for a day, in the transaction that carries it out.
 * What it asks of others (a silence of Alertmanager) becomes a delivery in that same
 * transaction, so that it is tried again until it is answered. */
#include "click.h"

#include <alertmanager/alertmanager.h>
#include <common/instant.h>

#include <clew/log.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DAY_NS (86400 * CLEW__SECOND_NS)

static int take_once(struct clew__db *db, const struct clew__slack_act *act, bool *ret_first)
{
    int r = clew__db_run(db, "DELETE FROM slack_clicks WHERE at < ?1", "i", act->now - DAY_NS);

    if (r == 0)
        r = clew__db_run(db,
                         "INSERT INTO slack_clicks (key, at) VALUES (?1, ?2)"
                         " ON CONFLICT (key) DO NOTHING",
                         "si", act->click->key, act->now);
    *ret_first = r == 0 && clew__db_changed(db) > 0;
    return r;
}

/* Whether the button is of an incident that this store knows. */
static int check_incident(struct clew__db *db, const struct clew__slack_act *act, bool *ret_known)
{
    int64_t known = 0;
    int r =
        clew__db_number(db, 0, &known, "SELECT 1 FROM incidents WHERE id = ?1 AND dedup_key = ?2",
                        "is", act->click->incident_id, act->click->dedup_key);

    *ret_known = known != 0;
    return r;
}

static int audit_members(struct clew__db *db, int64_t incident_id, int64_t now,
                         const char *decision, const char *reason)
{
    return clew__db_run(db,
                        "INSERT INTO audit (at, webhook_id, fingerprint, starts_at, target,"
                        " decision, reason) SELECT ?2, a.webhook_id, a.fingerprint, a.starts_at,"
                        " i.target, ?3, ?4 FROM incidents i"
                        " JOIN incident_alerts m ON m.incident_id = i.id AND m.open = 1"
                        " JOIN alerts a ON a.id = m.alert_id WHERE i.id = ?1",
                        "iiss", incident_id, now, decision, reason);
}

/* ---- silences --------------------------------------------------------- */

/* Leaves of common what other has too. */
static void intersect(json_t *common, const json_t *other)
{
    const char *name;
    json_t *value;
    void *next;

    json_object_foreach_safe(common, next, name, value)
    {
        if (!json_equal(value, json_object_get(other, name)))
            (void)json_object_del(common, name);
    }
}

/* One alert: its own labels. Several: those of the group, or, when it is grouped by
 * none, what all that fire have in common. Never nothing, which would silence
 * everything. */
static int silenced_labels(struct clew__db *db, int64_t incident_id, int64_t *ret_webhook,
                           json_t **ret_labels)
{
    struct clew__row *row = clew__db_prepare(
        db,
        "SELECT a.labels, w.group_labels, w.id FROM incident_alerts m"
        " JOIN alerts a ON a.id = m.alert_id JOIN webhooks w ON w.id = a.webhook_id"
        " WHERE m.incident_id = ?1 AND m.open = 1 ORDER BY a.id",
        "i", incident_id);
    json_t *common = NULL, *group = NULL, *labels;
    size_t n = 0;
    int r = row ? 1 : -EIO;

    while (r == 1 && (r = clew__db_step(db, row)) == 1) {
        labels = json_loads(clew__db_text(row, 0), 0, NULL);
        if (n++ == 0) {
            group = json_loads(clew__db_text(row, 1), 0, NULL);
            *ret_webhook = clew__db_int(row, 2);
            common = labels;
        } else {
            intersect(common, labels);
            json_decref(labels);
        }
    }
    clew__db_reset(row);
    if (n > 1 && json_object_size(group))
        *ret_labels = json_incref(group);
    else
        *ret_labels = json_incref(common);
    json_decref(common);
    json_decref(group);
    return r;
}

static int queue_silence(struct clew__db *db, const struct clew__slack_act *act, int64_t webhook_id,
                         const char *matchers)
{
    const struct clew__integration *silencer = clew__config_silencer(act->config);
    const struct clew__slack_click *click = act->click;
    char reason[256];
    int64_t id = 0;
    int r = clew__db_number(
        db, 0, &id,
        "INSERT INTO deliveries (webhook_id, incident_id, target, order_key, receiver, kind,"
        " action, alert_ids, fired, resolved, firing, created_at, next_attempt_at, note)"
        " SELECT ?2, id, ?3, ?3 || '/' || dedup_key, receiver, ?4, 'silence', '[]', 0, 0, 0, ?5,"
        " ?5, '' FROM incidents WHERE id = ?1 RETURNING id",
        "iissi", click->incident_id, webhook_id, silencer->target, silencer->ops->kind, act->now);

    if (r == 0)
        r = clew__db_run(db,
                         "INSERT INTO silences (delivery_id, incident_id, matchers, created_by,"
                         " ends_at) VALUES (?1, ?2, ?3, ?4, ?5)",
                         "iissi", id, click->incident_id, matchers, click->person,
                         act->now + (int64_t)click->hours * 3600 * CLEW__SECOND_NS);
    (void)snprintf(reason, sizeof(reason), "for %u h by %s", click->hours, click->person);
    return r == 0 ? audit_members(db, click->incident_id, act->now, "silence asked for", reason)
                  : r;
}

static int silence(struct clew__db *db, struct clew__slack_act *act)
{
    struct clew__buf matchers;
    json_t *labels = NULL;
    int64_t webhook_id = 0;
    int r = silenced_labels(db, act->click->incident_id, &webhook_id, &labels), n = 0;

    clew__buf_init(&matchers, 1u << 20);
    if (r == 0)
        r = n = clew__silence_matchers(act->config, labels, &matchers);
    clew__buf_addc(&matchers, '\0');
    json_decref(labels);
    if (r >= 0 && (n == 0 || !clew__config_silencer(act->config))) {
        act->outcome = "nothing to silence";
        r = audit_members(db, act->click->incident_id, act->now, "not silenced",
                          "no Alertmanager is configured, or the alerts share no label");
    } else if (r >= 0) {
        act->ndeliveries = 1;
        r = queue_silence(db, act, webhook_id, matchers.data);
    }
    clew__buf_done(&matchers);
    return r;
}

int clew__silence_load(struct clew__db *db, void *arg)
{
    struct clew__silence *silence = arg;
    struct clew__row *row = clew__db_prepare(db,
                                             "SELECT matchers, created_by, ends_at FROM silences"
                                             " WHERE delivery_id = ?1",
                                             "i", silence->delivery_id);
    int r = row ? clew__db_step(db, row) : -EIO;

    if (r <= 0)
        return r < 0 ? r : clew_set_error(-ENOENT, "the store: a silence is missing");
    silence->matchers = strdup(clew__db_text(row, 0));
    (void)snprintf(silence->created_by, sizeof(silence->created_by), "%s", clew__db_text(row, 1));
    silence->ends_at = clew__db_int(row, 2);
    clew__db_reset(row);
    return silence->matchers ? 0 : clew_set_error(-ENOMEM, "out of memory");
}

void clew__silence_done(struct clew__silence *silence)
{
    free(silence->matchers);
}

int clew__silence_record(struct clew__db *db, void *arg)
{
    const struct clew__silence_result *result = arg;
    int64_t incident_id = 0;
    int r = clew__db_number(db, 0, &incident_id, "SELECT incident_id FROM deliveries WHERE id = ?1",
                            "i", result->delivery_id);

    if (r == 0)
        r = clew__db_run(db, "UPDATE silences SET silence_id = ?2 WHERE delivery_id = ?1", "is",
                         result->delivery_id, result->silence_id);
    if (r == 0)
        r = audit_members(db, incident_id, result->now,
                          *result->silence_id ? "silenced" : "not silenced", result->note);
    return r == 0 ? clew__db_run(
                        db,
                        "INSERT INTO deliveries (webhook_id, incident_id, target, order_key,"
                        " receiver, kind, action, alert_ids, fired, resolved, firing, created_at,"
                        " next_attempt_at, note) SELECT d.webhook_id, i.id, i.target,"
                        " i.target || '/' || i.dedup_key, i.receiver, i.kind, 'update', '[]', 0, 0,"
                        " (SELECT count(*) FROM incident_alerts m WHERE m.incident_id = i.id"
                        "  AND m.open = 1), ?2, ?2, ?3 FROM deliveries d"
                        " JOIN incidents i ON i.id = d.incident_id WHERE d.id = ?1",
                        "iis", result->delivery_id, result->now, result->note)
                  : r;
}

/* ---- clicks ----------------------------------------------------------- */

static int by_hand(struct clew__db *db, struct clew__slack_act *act, clew__store_work *work)
{
    struct clew__by_hand hand = {.incident_id = act->click->incident_id,
                                 .actor = act->click->person,
                                 .via = "slack",
                                 .now = act->now};
    int r = work(db, &hand);

    act->ndeliveries = hand.ndeliveries;
    if (r != -ENOENT)
        return r;
    act->outcome = "nothing fires any more";
    return 0;
}

int clew__slack_act(struct clew__db *db, void *arg)
{
    struct clew__slack_act *act = arg;
    bool first = false, known = false;
    int r = take_once(db, act, &first);

    act->ndeliveries = 0;
    act->outcome = "done";
    if (r == 0)
        r = check_incident(db, act, &known);
    if (r < 0)
        return r;
    if (!first || !known) {
        act->outcome = first ? "no such incident" : "known already";
        return 0;
    }
    switch (act->click->kind) {
    case CLEW__SLACK_CLICK_ACKNOWLEDGE:
        return by_hand(db, act, clew__store_acknowledge);
    case CLEW__SLACK_CLICK_RESOLVE:
        return by_hand(db, act, clew__store_resolve_by_hand);
    case CLEW__SLACK_CLICK_SILENCE:
        return silence(db, act);
    default:
        return 0;
    }
}
