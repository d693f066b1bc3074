/* SPDX-License-Identifier: Apache-2.0
 * An incident is what a far side knows under one dedup key: one alert, one
 * group, or what shares some labels. Its members are the alerts that it was told about, so an end
 * goes where the beginning went, even if the routes or the routing key have changed since. The row
 * remembers the target (a digest of URL and key), never the key.
 *
 * Incident receivers (PagerDuty): a trigger when members join, one resolve when
 * the last has left. An incident of a group is not resolved by a list that
 * Alertmanager cut: what was cut off may still fire. Message receivers (Slack):
 * one message per change. Runs in the writer's thread only. */
#include "apply_priv.h"

#include <escalation/escalation.h>
#include <storms/flap.h>
#include <storms/limit.h>

#include <clew/log.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct clew__touched *clew__touch(struct clew__applying *applying, int64_t incident_id,
                                  bool per_alert)
{
    struct clew__touched_list *list = per_alert ? &applying->singles : &applying->groups;
    struct clew__touched *items;

    for (size_t i = 0; i < list->n && !per_alert; i++)
        if (list->items[i].incident_id == incident_id)
            return &list->items[i];
    if (list->n == list->room) {
        size_t room = list->room ? list->room * 2 : 16;

        items = realloc(list->items, room * sizeof(*items));
        if (!items) {
            (void)clew_set_error(-ENOMEM, "out of memory");
            return NULL;
        }
        list->items = items;
        list->room = room;
    }
    list->items[list->n] = (struct clew__touched){.incident_id = incident_id};
    return &list->items[list->n++];
}

void clew__applying_done(struct clew__applying *applying)
{
    free(applying->groups.items);
    free(applying->singles.items);
    free(applying->begun);
}

/* The digest of names and values; a label that is missing is an empty one. */
static void labels_key(char *const *names, const struct clew__alert *alert,
                       char ret_key[CLEW__DIGEST_TEXT])
{
    const char *parts[1 + 2 * CLEW__DEDUP_LABELS_MAX] = {"labels"};
    size_t n = 1;

    for (; *names; names++) {
        parts[n++] = *names;
        parts[n++] = clew__page_value(alert->labels, *names);
    }
    clew__digest(parts, n, ret_key);
}

static void dedup_key(const struct clew__integration *integration,
                      const struct clew__applying *applying, const struct clew__alert *alert,
                      char ret_key[CLEW__DIGEST_TEXT])
{
    char starts_at[24];

    (void)snprintf(starts_at, sizeof(starts_at), "%lld", (long long)alert->starts_at);
    if (applying->together)
        clew__digest((const char *const[]){"group", applying->group}, 2, ret_key);
    else if (integration->dedup_labels)
        labels_key(integration->dedup_labels, alert, ret_key);
    else if (integration->per_alert)
        clew__digest((const char *const[]){"alert", alert->fingerprint, starts_at}, 3, ret_key);
    else
        clew__digest((const char *const[]){"group", applying->group}, 2, ret_key);
}

/* Whether an incident of this change is about this alert alone. */
static bool is_single(const struct clew__applying *applying,
                      const struct clew__integration *integration)
{
    return integration->per_alert && !applying->together;
}

/* Whether the page that the alert belongs to goes out anyway. */
static int has_page(struct clew__db *db, const struct clew__applying *applying,
                    const struct clew__integration *integration, const struct clew__alert *alert,
                    bool *ret_has)
{
    char key[CLEW__DIGEST_TEXT];
    int64_t id = 0;
    int r;

    *ret_has = false;
    if (integration->per_alert)
        return 0;
    dedup_key(integration, applying, alert, key);
    r = clew__db_number(db, 0, &id, "SELECT id FROM incidents WHERE target = ?1 AND dedup_key = ?2",
                        "ss", integration->target, key);
    for (size_t i = 0; i < applying->groups.n && r == 0; i++)
        *ret_has = *ret_has || (applying->groups.items[i].incident_id == id &&
                                applying->groups.items[i].nfired > 0);
    return r;
}

/* Whether the receiver's limit keeps the alert for a digest. */
static int is_held(struct clew__db *db, struct clew__applying *applying,
                   const struct clew__receiver *receiver,
                   const struct clew__integration *integration, const struct clew__alert *alert,
                   int64_t alert_id, bool *ret_held)
{
    bool has = false;
    int r;

    *ret_held = false;
    if (receiver->limit_pages == 0 || integration->off)
        return 0;
    r = has_page(db, applying, integration, alert, &has);
    return r < 0 || has
               ? r
               : clew__limit_take(db, applying, receiver, integration, alert, alert_id, ret_held);
}

/* Finds or makes the incident and opens it. */
static int open_incident(struct clew__db *db, const struct clew__applying *applying,
                         const struct clew__integration *integration,
                         const struct clew__alert *alert, int64_t *ret_id)
{
    char key[CLEW__DIGEST_TEXT];
    struct clew__row *row;
    int r;

    dedup_key(integration, applying, alert, key);
    row = clew__db_prepare(
        db,
        "INSERT INTO incidents (target, dedup_key, kind, receiver, per_alert, group_digest, open,"
        " opened_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1, ?7)"
        " ON CONFLICT (target, dedup_key) DO UPDATE SET"
        " opened_at = CASE incidents.open WHEN 1 THEN incidents.opened_at"
        " ELSE excluded.opened_at END,"
        " receiver = excluded.receiver, open = 1 RETURNING id",
        "ssssisi", integration->target, key, integration->ops->kind, integration->receiver,
        (int64_t)is_single(applying, integration), applying->group, applying->now);
    r = row ? clew__db_step(db, row) : -EIO;
    if (r == 1) {
        *ret_id = clew__db_int(row, 0);
        r = clew__db_step(db, row);
    }
    return r;
}

/* Makes the alert an open member; *ret_joined false when it was one already, as
 * through another receiver with the same target. */
static int add_member(struct clew__db *db, int64_t incident_id, int64_t alert_id, bool *ret_joined)
{
    int r = clew__db_run(db,
                         "INSERT INTO incident_alerts (incident_id, alert_id, open)"
                         " VALUES (?1, ?2, 1) ON CONFLICT (incident_id, alert_id)"
                         " DO UPDATE SET open = 1 WHERE incident_alerts.open = 0",
                         "ii", incident_id, alert_id);

    *ret_joined = r == 0 && clew__db_changed(db) > 0;
    return r;
}

/* Notes that an incident's next page is about this alert too, once. */
static bool add_fired(struct clew__touched *touched, int64_t alert_id)
{
    uint64_t last =
        touched->nfired < CLEW__PAGE_ALERTS_MAX ? touched->nfired : CLEW__PAGE_ALERTS_MAX;

    if (touched->newest == alert_id)
        return false;
    touched->newest = alert_id;
    if (last < CLEW__PAGE_ALERTS_MAX)
        touched->fired[last] = alert_id;
    touched->nfired++;
    return true;
}

static int join_one(struct clew__db *db, struct clew__applying *applying,
                    const struct clew__integration *integration, const char *why,
                    struct clew__alert *alert, int64_t alert_id, bool again)
{
    struct clew__touched *touched;
    int64_t incident_id = 0;
    bool joined = false;
    int r;

    if (integration->off)
        return clew__audit(db, applying, alert, "", "not sent", "the integration has no secret");
    r = open_incident(db, applying, integration, alert, &incident_id);
    if (r == 0)
        r = add_member(db, incident_id, alert_id, &joined);
    if (r < 0 || (!joined && !again))
        return r;
    touched = clew__touch(applying, incident_id, is_single(applying, integration));
    if (!touched)
        return -ENOMEM;
    if (!add_fired(touched, alert_id))
        return 0;
    touched->flapping = touched->flapping || applying->flapping;
    touched->critical = touched->critical || clew__config_critical(applying->config, alert->labels);
    alert->npages++;
    return clew__audit(db, applying, alert, integration->target, "page", why);
}

static int join_all(struct clew__db *db, struct clew__applying *applying,
                    const struct clew__receiver *receiver, const char *why,
                    struct clew__alert *alert, int64_t alert_id, bool again)
{
    int r = 0;

    for (size_t i = 0; i < receiver->n && r == 0; i++) {
        const struct clew__integration *integration = &receiver->integrations[i];
        bool held = false;

        r = is_held(db, applying, receiver, integration, alert, alert_id, &held);
        if (r == 0 && !held)
            r = join_one(db, applying, integration, why, alert, alert_id, again);
    }
    if (r == 0 && receiver->n == 0)
        r = clew__audit(db, applying, alert, "", "not sent",
                        "the route's receiver has no integration");
    return r;
}

int clew__incidents_together(struct clew__db *db, struct clew__applying *applying,
                             const struct clew__integration *integration, const char *why,
                             struct clew__alert *alert, int64_t alert_id)
{
    applying->together = true;
    return join_one(db, applying, integration, why, alert, alert_id, true);
}

int clew__incidents_tell(struct clew__db *db, struct clew__applying *applying,
                         const struct clew__receiver *receiver, const char *why,
                         struct clew__alert *alert, int64_t alert_id)
{
    return join_all(db, applying, receiver, why, alert, alert_id, true);
}

int clew__incidents_mention(struct clew__db *db, struct clew__applying *applying,
                            const struct clew__receiver *receiver, struct clew__alert *alert,
                            int64_t alert_id)
{
    int r = 0;

    for (size_t i = 0; i < receiver->n && r == 0; i++) {
        const struct clew__integration *integration = &receiver->integrations[i];
        struct clew__touched *touched;
        int64_t incident_id = 0;

        if (integration->off || integration->per_alert || integration->ops->incidents)
            continue;
        r = open_incident(db, applying, integration, alert, &incident_id);
        touched = r == 0 ? clew__touch(applying, incident_id, false) : NULL;
        if (!touched)
            return r < 0 ? r : -ENOMEM;
        if (touched->nresolved < CLEW__PAGE_ALERTS_MAX)
            touched->resolved[touched->nresolved] = alert_id;
        touched->nresolved++;
        r = clew__audit(db, applying, alert, integration->target, "mentioned",
                        "it ended before the digest, which mentions it");
    }
    return r;
}

int clew__incidents_join(struct clew__db *db, struct clew__applying *applying,
                         struct clew__alert *alert, int64_t alert_id)
{
    const struct clew__config *config = applying->config;
    const struct clew__route *hits[CLEW__ROUTE_HITS_MAX];
    size_t n = applying->receiver ? 0 : clew__route_match(config->route, alert->labels, hits);
    int r = 0;

    if (applying->receiver)
        return join_all(db, applying, applying->receiver, "a watchdog's receiver", alert, alert_id,
                        false);
    for (size_t i = 0; i < n && r == 0; i++) {
        bool now = false;

        r = clew__escalation_begin(db, applying, hits[i], alert, &now);
        if (r == 0 && now)
            r = join_all(db, applying, clew__config_receiver(config, hits[i]->receiver),
                         hits[i]->why, alert, alert_id, false);
    }
    return r;
}

int clew__incidents_leave(struct clew__db *db, struct clew__applying *applying,
                          struct clew__alert *alert, int64_t alert_id)
{
    struct clew__row *row = clew__db_prepare(db,
                                             "SELECT i.id, i.per_alert FROM incident_alerts m"
                                             " JOIN incidents i ON i.id = m.incident_id"
                                             " WHERE m.alert_id = ?1 AND m.open = 1",
                                             "i", alert_id);
    int r = row ? 1 : -EIO;

    while (r == 1 && (r = clew__db_step(db, row)) == 1) {
        struct clew__touched *touched =
            clew__touch(applying, clew__db_int(row, 0), clew__db_int(row, 1) != 0);

        if (!touched) {
            r = -ENOMEM;
            break;
        }
        if (touched->nresolved < CLEW__PAGE_ALERTS_MAX)
            touched->resolved[touched->nresolved] = alert_id;
        touched->nresolved++;
        alert->npages++;
    }
    clew__db_reset(row);
    return r < 0 ? r
                 : clew__db_run(db,
                                "UPDATE incident_alerts SET open = 0"
                                " WHERE alert_id = ?1 AND open = 1",
                                "i", alert_id);
}

int clew__incidents_held(struct clew__db *db, struct clew__applying *applying)
{
    struct clew__row *row = clew__db_prepare(
        db,
        "SELECT id FROM incidents WHERE group_digest = ?1 AND open = 1 AND per_alert = 0"
        " AND NOT EXISTS (SELECT 1 FROM incident_alerts m WHERE m.incident_id = incidents.id AND "
        "m.open = 1)",
        "s", applying->group);
    int r = row ? 1 : -EIO;

    while (r == 1 && (r = clew__db_step(db, row)) == 1)
        if (!clew__touch(applying, clew__db_int(row, 0), false))
            r = -ENOMEM;
    clew__db_reset(row);
    return r;
}

/* Until the next whole list of this group: alerts of several may be in one incident. */
static int hold_open(struct clew__db *db, const struct clew__applying *applying,
                     const struct clew__incident *state)
{
    int r = clew__db_run(db, "UPDATE incidents SET group_digest = ?2 WHERE id = ?1", "is",
                         state->id, applying->group);

    return r == 0 ? clew__audit(db, applying, NULL, state->target, "held open",
                                "the list was cut: what is missing may still fire")
                  : r;
}

/* Whether an incident with no firing alert left is over. */
static bool is_over(const struct clew__applying *applying, const struct clew__incident *state)
{
    return !state->incidents || state->per_alert || !applying->cut;
}

static int end_incident(struct clew__db *db, struct clew__applying *applying,
                        const struct clew__touched *touched, const struct clew__incident *state,
                        bool send_resolved)
{
    int r = 0;

    if (!is_over(applying, state))
        return hold_open(db, applying, state);
    if (!send_resolved)
        r = clew__audit(db, applying, NULL, state->target, "not sent", "send_resolved is off");
    else if (state->incidents)
        r = clew__incident_enqueue(db, applying, state, touched, CLEW__ACTION_RESOLVE,
                                   applying->note ? applying->note : "");
    return r == 0 ? clew__incident_close(db, applying, touched->incident_id) : r;
}

static int queue_for(struct clew__db *db, struct clew__applying *applying,
                     struct clew__touched *touched)
{
    const char *note = applying->note ? applying->note : "";
    char flapping[256];
    const struct clew__integration *integration;
    struct clew__incident state;
    bool send_resolved;
    int r = clew__incident_load(db, touched->incident_id, &state);

    /* Closed already: it fired and ended in one body, and was dealt with. */
    if (r < 0 || !state.open)
        return r;
    integration = clew__config_integration(applying->config, state.target, state.receiver);
    /* Without its configuration an incident's end waits for that to come back. */
    send_resolved = integration ? integration->send_resolved : state.incidents;
    if (!send_resolved && !applying->digest)
        touched->nresolved = 0;
    if (touched->flapping)
        note = clew__flap_note(applying->config, flapping, sizeof(flapping));
    if (touched->nfired)
        r = clew__incident_enqueue(db, applying, &state, touched, CLEW__ACTION_TRIGGER, note);
    else if (!state.incidents && touched->nresolved)
        r = clew__incident_enqueue(db, applying, &state, touched, CLEW__ACTION_RESOLVE, note);
    if (r < 0 || state.nopen > 0)
        return r;
    return applying->digest ? clew__incident_close(db, applying, state.id)
                            : end_incident(db, applying, touched, &state, send_resolved);
}

int clew__incidents_queue(struct clew__db *db, struct clew__applying *applying)
{
    int r = 0;

    for (size_t i = 0; i < applying->groups.n && r == 0; i++)
        r = queue_for(db, applying, &applying->groups.items[i]);
    for (size_t i = 0; i < applying->singles.n && r == 0; i++)
        r = queue_for(db, applying, &applying->singles.items[i]);
    return r;
}
