/* SPDX-License-Identifier: Apache-2.0
 * What a notification changes. The subject is the occurrence of an alert,
 * (fingerprint, startsAt): groups, their keys and the top-level status come and
 * go, are cut, and arrive twice from two Alertmanagers. Rules:
 *
 *   unknown  + firing    it fires: the routes decide who is told
 *   unknown  + resolved  noted; nobody was told that it fired, nobody is told now
 *   firing   + firing    a repeat: nothing
 *   firing   + resolved  everybody who was told that it fires is told
 *   resolved + resolved  a repeat: nothing
 *   resolved + firing    fires again, if the sender that reported the end says so,
 *                        or the end is long ago; else a message that was overtaken
 *
 * An alert that a body does not name has no new state. Everything here, the
 * deliveries that follow included, is one transaction (the caller's): repeating
 * it changes nothing. Runs in the writer's thread only. */
#include "apply_priv.h"

#include <storms/flap.h>
#include <watchdog/watchdog.h>

#include <clew/log.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A body is retried for at most Alertmanager's group_interval (5 min by default):
 * after that a firing of another sender is news, not late. */
#define LATE_NS (300 * CLEW__SECOND_NS)

/* The stored state of an occurrence; id 0: unknown. */
struct known {
    int64_t id, resolved_seen;
    bool firing, same_sender;
};

static int find(struct clew__db *db, const struct clew__apply *apply,
                const struct clew__alert *alert, struct known *ret_known)
{
    struct clew__row *row =
        clew__db_prepare(db,
                         "SELECT id, status = 'firing', resolved_seen,"
                         " resolved_by IN (?3, 'alertmanager') FROM alerts"
                         " WHERE fingerprint = ?1 AND starts_at = ?2",
                         "sis", alert->fingerprint, alert->starts_at, apply->notification->source);
    int r = row ? clew__db_step(db, row) : -EIO;

    *ret_known = (struct known){0};
    if (r <= 0)
        return r;
    ret_known->id = clew__db_int(row, 0);
    ret_known->firing = clew__db_int(row, 1) != 0;
    ret_known->resolved_seen = clew__db_int(row, 2);
    ret_known->same_sender = clew__db_int(row, 3) != 0;
    clew__db_reset(row);
    return 0;
}

static enum clew__change classify(const struct clew__apply *apply, const struct clew__alert *alert,
                                  const struct known *known)
{
    if (known->id == 0)
        return alert->firing ? CLEW__CHANGE_FIRED : CLEW__CHANGE_STRAY;
    if (known->firing == alert->firing)
        return CLEW__CHANGE_NONE;
    if (!alert->firing)
        return CLEW__CHANGE_RESOLVED;
    if (known->same_sender || apply->now - known->resolved_seen > LATE_NS)
        return CLEW__CHANGE_REFIRED;
    return CLEW__CHANGE_LATE;
}

/* What apply.c itself needs beside. */
struct change {
    struct clew__apply *apply;
    struct clew__applying applying;
};

static int insert_alert(struct clew__db *db, const struct change *change,
                        const struct clew__alert *alert, int64_t *ret_id)
{
    const struct clew__apply *apply = change->apply;
    char *labels = json_dumps(alert->labels, JSON_COMPACT | JSON_SORT_KEYS);
    char *annotations = json_dumps(alert->annotations, JSON_COMPACT | JSON_SORT_KEYS);
    int r = -ENOMEM;

    if (labels && annotations)
        r = clew__db_number(
            db, 0, ret_id,
            "INSERT INTO alerts (fingerprint, starts_at, status, labels, annotations,"
            " generator_url, group_digest, ends_at, first_seen, last_seen,"
            " resolved_seen, resolved_by, webhook_id)"
            " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9, ?10, ?11, ?12) RETURNING id",
            "sisssssiiisi", alert->fingerprint, alert->starts_at,
            alert->firing ? "firing" : "resolved", labels, annotations, alert->generator_url,
            apply->notification->group, alert->firing ? (int64_t)0 : alert->ends_at, apply->now,
            alert->firing ? (int64_t)0 : apply->now,
            alert->firing ? "" : apply->notification->source, change->applying.webhook_id);
    free(labels);
    free(annotations);
    return r;
}

/* It fires again: whoever had it in hand has to be asked anew. */
static int refire_alert(struct clew__db *db, const struct change *change,
                        const struct clew__alert *alert, int64_t id)
{
    char *annotations = json_dumps(alert->annotations, JSON_COMPACT | JSON_SORT_KEYS);
    int r;

    if (!annotations)
        return clew_set_error(-ENOMEM, "out of memory");
    r = clew__db_run(db,
                     "UPDATE alerts SET status = 'firing', ends_at = 0, last_seen = ?2,"
                     " resolved_seen = 0, resolved_by = '', annotations = ?3, webhook_id = ?4"
                     " WHERE id = ?1",
                     "iisi", id, change->apply->now, annotations, change->applying.webhook_id);
    free(annotations);
    return r == 0 ? clew__db_run(db, "DELETE FROM acks WHERE alert_id = ?1", "i", id) : r;
}

static int update_alert(struct clew__db *db, const struct change *change,
                        const struct clew__alert *alert, int64_t id)
{
    const struct clew__apply *apply = change->apply;

    switch (alert->change) {
    case CLEW__CHANGE_RESOLVED:
        return clew__db_run(db,
                            "UPDATE alerts SET status = 'resolved', ends_at = ?2, last_seen = ?3,"
                            " resolved_seen = ?3, resolved_by = ?4 WHERE id = ?1",
                            "iiis", id, alert->ends_at, apply->now, apply->notification->source);
    case CLEW__CHANGE_REFIRED:
        return refire_alert(db, change, alert, id);
    default:
        return clew__db_run(db,
                            "UPDATE alerts SET last_seen = ?2, repeats = repeats + 1"
                            " WHERE id = ?1",
                            "ii", id, apply->now);
    }
}

/* The row that deliveries and audit lines refer to; made when it is needed. */
static int insert_webhook(struct clew__db *db, struct change *change)
{
    const struct clew__apply *apply = change->apply;
    const struct clew__notification *n = apply->notification;
    char *group_labels = json_dumps(n->group_labels, JSON_COMPACT | JSON_SORT_KEYS);
    char *labels = json_dumps(n->common_labels, JSON_COMPACT | JSON_SORT_KEYS);
    char *annotations = json_dumps(n->common_annotations, JSON_COMPACT | JSON_SORT_KEYS);
    int r = -ENOMEM;

    if (group_labels && labels && annotations)
        r = clew__db_number(
            db, 0, &change->applying.webhook_id,
            "INSERT INTO webhooks (received_at, group_digest, group_key,"
            " sender_receiver, external_url, group_labels, common_labels,"
            " common_annotations, truncated, request_id, correlation_id, traceparent)"
            " VALUES (?1, ?2, substr(?3, 1, 1024), substr(?4, 1, 256),"
            " substr(?5, 1, 2048), ?6, ?7, ?8, ?9, ?10, ?11, ?12) RETURNING id",
            "isssssssisss", apply->now, n->group, n->group_key, n->receiver, n->external_url,
            group_labels, labels, annotations,
            n->ntruncated > INT64_MAX ? INT64_MAX : (int64_t)n->ntruncated,
            apply->thread->request_id, apply->thread->correlation_id, apply->thread->traceparent);
    free(group_labels);
    free(labels);
    free(annotations);
    return r;
}

int clew__audit(struct clew__db *db, const struct clew__applying *applying,
                const struct clew__alert *alert, const char *target, const char *decision,
                const char *reason)
{
    return clew__db_run(db,
                        "INSERT INTO audit (at, webhook_id, fingerprint, starts_at, target,"
                        " decision, reason) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                        "iisisss", applying->now, applying->webhook_id,
                        alert ? alert->fingerprint : "", alert ? alert->starts_at : (int64_t)0,
                        target, decision, reason);
}

static int fired(struct clew__db *db, struct clew__applying *applying, struct clew__alert *alert,
                 int64_t id)
{
    enum clew__flap flap;
    int r = clew__flap_fired(db, applying, alert, id, &flap);

    if (r < 0 || flap == CLEW__FLAP_HELD)
        return r;
    applying->flapping = flap == CLEW__FLAP_BEGINS;
    r = clew__incidents_join(db, applying, alert, id);
    applying->flapping = false;
    return r;
}

static int resolved(struct clew__db *db, struct clew__applying *applying, struct clew__alert *alert,
                    int64_t id)
{
    enum clew__flap flap;
    int r = clew__flap_resolved(db, applying, alert, id, &flap);

    return r < 0 || flap == CLEW__FLAP_HELD ? r : clew__incidents_leave(db, applying, alert, id);
}

static int change_alert(struct clew__db *db, struct change *change, struct clew__alert *alert)
{
    struct clew__applying *applying = &change->applying;
    struct known known;
    int r = find(db, change->apply, alert, &known);

    if (r < 0)
        return r;
    alert->change = classify(change->apply, alert, &known);
    if (alert->change != CLEW__CHANGE_NONE && applying->webhook_id == 0)
        r = insert_webhook(db, change);
    if (r == 0)
        r = known.id == 0 ? insert_alert(db, change, alert, &known.id)
                          : update_alert(db, change, alert, known.id);
    if (r < 0 || alert->change == CLEW__CHANGE_NONE)
        return r;
    r = clew__audit(db, applying, alert, "", alert->firing ? "firing" : "resolved",
                    clew__change_text(alert->change));
    if (r < 0)
        return r;
    if (alert->change == CLEW__CHANGE_FIRED || alert->change == CLEW__CHANGE_REFIRED)
        return fired(db, applying, alert, known.id);
    if (alert->change == CLEW__CHANGE_RESOLVED)
        return resolved(db, applying, alert, known.id);
    return 0;
}

int clew__store_apply(struct clew__db *db, void *arg)
{
    struct clew__apply *apply = arg;
    struct clew__notification *notification = apply->notification;
    struct change change = {.apply = apply,
                            .applying = {.config = apply->config,
                                         .receiver = apply->receiver,
                                         .group = notification->group,
                                         .cut = notification->ntruncated > 0,
                                         .now = apply->now}};
    struct clew__applying *applying = &change.applying;
    int r = 0;

    for (size_t i = 0; i < notification->nalerts && r == 0; i++) {
        notification->alerts[i].npages = 0;
        r = clew__notification_open(notification, i);
        if (r < 0)
            break;
        r = change_alert(db, &change, &notification->alerts[i]);
        if (r == 0 && !apply->receiver)
            r = clew__watchdog_see(db, apply->config, &notification->alerts[i], apply->now,
                                   &applying->ndeliveries);
        clew__notification_close(notification, i);
    }
    /* A whole list lets incidents end that were held open by a cut one. */
    if (r == 0 && !applying->cut)
        r = clew__incidents_held(db, applying);
    if (r == 0 && applying->webhook_id == 0 && applying->groups.n)
        r = insert_webhook(db, &change);
    if (r == 0)
        r = clew__incidents_queue(db, applying);
    apply->ndeliveries = applying->ndeliveries;
    clew__applying_done(applying);
    return r;
}
