/* SPDX-License-Identifier: Apache-2.0
 * The queue of deliveries. Order: of all deliveries with one order key only the
 * oldest may be sent; it stays there until it is done or dead. So a resolve never
 * overtakes its trigger, and a trigger that is tried again late never follows its
 * resolve. Everything that decides about the next attempt is in the row, so it
 * holds after a crash. Reading works on any connection, changing on the writer's. */
#include "store.h"

#include <common/instant.h>

#include <clew/log.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The first of a rank by time. */
static int next_of_rank(struct clew__db *db, const char *target, unsigned rank,
                        struct clew__delivery *d)
{
    struct clew__row *row = clew__db_prepare(
        db,
        "SELECT id, created_at, next_attempt_at, attempts, action, receiver, order_key"
        " FROM deliveries INDEXED BY deliveries_due WHERE target = ?1 AND rank = ?2"
        " AND state = 'queued'"
        " AND NOT EXISTS (SELECT 1 FROM deliveries e INDEXED BY deliveries_order"
        "  WHERE e.order_key = deliveries.order_key AND e.state = 'queued'"
        "  AND e.id < deliveries.id)"
        " ORDER BY next_attempt_at, id LIMIT 1",
        "si", target, (int64_t)rank);
    int r = row ? clew__db_step(db, row) : -EIO;

    if (r <= 0)
        return r;
    d->id = clew__db_int(row, 0);
    d->created_at = clew__db_int(row, 1);
    d->next_attempt_at = clew__db_int(row, 2);
    d->attempts = (unsigned)clew__db_int(row, 3);
    d->action = clew__action_of(clew__db_text(row, 4));
    (void)snprintf(d->receiver, sizeof(d->receiver), "%s", clew__db_text(row, 5));
    (void)snprintf(d->order_key, sizeof(d->order_key), "%s", clew__db_text(row, 6));
    d->rank = rank;
    clew__db_reset(row);
    return 1;
}

int clew__store_next(struct clew__db *db, void *arg)
{
    struct clew__next *next = arg;
    struct clew__delivery of_rank;
    int found = 0, r = 0;

    for (unsigned rank = 0; rank < CLEW__RANKS && r >= 0; rank++) {
        r = next_of_rank(db, next->target, rank, &of_rank);
        if (r != 1 || (found && of_rank.next_attempt_at >= next->delivery.next_attempt_at))
            continue;
        next->delivery = of_rank;
        found = 1;
        if (of_rank.next_attempt_at <= next->now)
            break;
    }
    return r < 0 ? r : found;
}

static json_t *load_map(struct clew__row *row, int column)
{
    json_t *map = json_loads(clew__db_text(row, column), 0, NULL);

    return map ? map : json_object();
}

static int load_delivery(struct clew__db *db, struct clew__load *load)
{
    struct clew__row *row = clew__db_prepare(
        db,
        "SELECT d.action, i.dedup_key, d.receiver, w.external_url, w.group_labels,"
        " w.common_labels, w.common_annotations, d.fired, d.resolved, d.firing, w.truncated,"
        " w.received_at, w.request_id, w.correlation_id, w.traceparent, i.opened_at, w.group_key,"
        " d.note,"
        " EXISTS (SELECT 1 FROM deliveries e WHERE e.incident_id = d.incident_id AND e.id > d.id"
        "  AND e.action = 'resolve' AND e.state = 'queued')"
        " FROM deliveries d JOIN webhooks w ON w.id = d.webhook_id"
        " JOIN incidents i ON i.id = d.incident_id WHERE d.id = ?1",
        "i", load->delivery_id);
    struct clew__page *page = &load->page;
    int r = row ? clew__db_step(db, row) : -EIO;

    if (r <= 0)
        return r < 0 ? r : clew_set_error(-ENOENT, "the store: a delivery is missing");
    page->action = clew__action_of(clew__db_text(row, 0));
    (void)snprintf(load->dedup_key, sizeof(load->dedup_key), "%s", clew__db_text(row, 1));
    (void)snprintf(load->receiver, sizeof(load->receiver), "%s", clew__db_text(row, 2));
    load->external_url = strdup(clew__db_text(row, 3));
    page->group_labels = load_map(row, 4);
    page->common_labels = load_map(row, 5);
    page->common_annotations = load_map(row, 6);
    page->nfired = (uint64_t)clew__db_int(row, 7);
    page->nresolved = (uint64_t)clew__db_int(row, 8);
    page->nfiring = (uint64_t)clew__db_int(row, 9);
    page->ntruncated = (uint64_t)clew__db_int(row, 10);
    load->received_at = clew__db_int(row, 11);
    (void)snprintf(load->thread.request_id, sizeof(load->thread.request_id), "%s",
                   clew__db_text(row, 12));
    (void)snprintf(load->thread.correlation_id, sizeof(load->thread.correlation_id), "%s",
                   clew__db_text(row, 13));
    (void)snprintf(load->thread.traceparent, sizeof(load->thread.traceparent), "%s",
                   clew__db_text(row, 14));
    page->opened_at = clew__db_int(row, 15);
    load->group_key = strdup(clew__db_text(row, 16));
    load->note = strdup(clew__db_text(row, 17));
    load->ended = clew__db_int(row, 18) != 0;
    clew__db_reset(row);
    page->id = load->delivery_id;
    page->dedup_key = load->dedup_key;
    page->group_key = load->group_key;
    page->receiver = load->receiver;
    page->external_url = load->external_url;
    page->note = load->note;
    return page->external_url && page->group_key && page->note
               ? 0
               : clew_set_error(-ENOMEM, "out of memory");
}

/* The alerts, the fired ones first. An alert is shown as it was at the time of
 * the change: the first `fired` of the list fire. */
static int load_alerts(struct clew__db *db, struct clew__load *load)
{
    struct clew__row *row = clew__db_prepare(
        db,
        "SELECT a.fingerprint, a.starts_at, a.ends_at, a.generator_url, a.labels, a.annotations"
        " FROM deliveries d, json_each(d.alert_ids) j JOIN alerts a ON a.id = j.value"
        " WHERE d.id = ?1 ORDER BY j.key LIMIT ?2",
        "ii", load->delivery_id, (int64_t)CLEW__PAGE_ALERTS_MAX);
    size_t n = 0;
    int r = row ? 1 : -EIO;

    while (r == 1 && n < CLEW__PAGE_ALERTS_MAX && (r = clew__db_step(db, row)) == 1) {
        struct clew__page_alert *alert = &load->alerts[n];
        char *fingerprint = strdup(clew__db_text(row, 0)), *url = strdup(clew__db_text(row, 3));

        load->owned[2 * n] = fingerprint;
        load->owned[2 * n + 1] = url;
        alert->firing = n < load->page.nfired;
        alert->fingerprint = fingerprint;
        alert->starts_at = clew__db_int(row, 1);
        alert->ends_at = clew__db_int(row, 2);
        alert->generator_url = url;
        alert->labels = load_map(row, 4);
        alert->annotations = load_map(row, 5);
        n++;
        if (!fingerprint || !url)
            r = clew_set_error(-ENOMEM, "out of memory");
    }
    clew__db_reset(row);
    load->page.alerts = load->alerts;
    load->page.nalerts = n;
    return r < 0 ? r : 0;
}

int clew__store_load(struct clew__db *db, void *arg)
{
    struct clew__load *load = arg;
    int r = load_delivery(db, load);

    return r < 0 ? r : load_alerts(db, load);
}

void clew__load_done(struct clew__load *load)
{
    for (size_t i = 0; i < CLEW__PAGE_ALERTS_MAX; i++) {
        free(load->owned[2 * i]);
        free(load->owned[2 * i + 1]);
        json_decref(load->alerts[i].labels);
        json_decref(load->alerts[i].annotations);
    }
    free(load->external_url);
    free(load->group_key);
    free(load->note);
    json_decref(load->page.group_labels);
    json_decref(load->page.common_labels);
    json_decref(load->page.common_annotations);
}

/* What was put off by failures that were the target's, not its own. */
static int make_due(struct clew__db *db, int64_t delivery_id, int64_t now)
{
    return clew__db_run(db,
                        "UPDATE deliveries SET next_attempt_at = ?2 WHERE state = 'queued'"
                        " AND next_attempt_at > ?2 AND target ="
                        " (SELECT target FROM deliveries WHERE id = ?1)",
                        "ii", delivery_id, now);
}

static int audit_death(struct clew__db *db, const struct clew__attempt *attempt)
{
    return clew__db_run(db,
                        "INSERT INTO audit (at, webhook_id, fingerprint, starts_at, target,"
                        " decision, reason) SELECT ?2, d.webhook_id, coalesce(a.fingerprint, ''),"
                        " coalesce(a.starts_at, 0), d.target, 'given up', ?3 FROM deliveries d"
                        " LEFT JOIN json_each(d.alert_ids) j ON 1 = 1"
                        " LEFT JOIN alerts a ON a.id = j.value"
                        " WHERE d.id = ?1",
                        "iis", attempt->delivery_id, attempt->now, attempt->reason);
}

/* What a replica says late, after another one has taken its work over, counts only if
 * it is that the page was delivered: a fact. */
#define STILL_QUEUED " WHERE id = ?1 AND state = 'queued'"
#define STILL_MINE(epoch)                                                                \
    STILL_QUEUED " AND (" epoch " <= 0 OR EXISTS (SELECT 1 FROM leases l WHERE l.name =" \
                 " deliveries.target AND l.epoch = " epoch "))"

static int record_attempt(struct clew__db *db, const struct clew__attempt *attempt)
{
    switch (attempt->kind) {
    case CLEW__LATER:
        return clew__db_run(db, "UPDATE deliveries SET next_attempt_at = ?2" STILL_MINE("?3"),
                            "iii", attempt->delivery_id, attempt->next_attempt_at, attempt->epoch);
    case CLEW__RETRY:
        return clew__db_run(db,
                            "UPDATE deliveries SET attempts = attempts + 1, next_attempt_at = ?2,"
                            " reason = ?3" STILL_MINE("?4"),
                            "iisi", attempt->delivery_id, attempt->next_attempt_at, attempt->reason,
                            attempt->epoch);
    case CLEW__DONE:
        return clew__db_run(db,
                            "UPDATE deliveries SET attempts = attempts + 1, state = 'done',"
                            " finished_at = ?2, reason = ?3" STILL_QUEUED,
                            "iis", attempt->delivery_id, attempt->now, attempt->reason);
    default:
        return clew__db_run(db,
                            "UPDATE deliveries SET attempts = attempts + 1, state = 'dead',"
                            " finished_at = ?2, reason = ?3" STILL_MINE("?4"),
                            "iisi", attempt->delivery_id, attempt->now, attempt->reason,
                            attempt->epoch);
    }
}

int clew__store_attempt(struct clew__db *db, void *arg)
{
    const struct clew__attempt *attempt = arg;
    int r = record_attempt(db, attempt);

    if (r < 0 || clew__db_changed(db) == 0)
        return r;
    if (attempt->kind == CLEW__DONE && attempt->target_is_back)
        r = make_due(db, attempt->delivery_id, attempt->now);
    else if (attempt->kind == CLEW__PERMANENT)
        r = audit_death(db, attempt);
    return r == 0 && attempt->also ? attempt->also(db, attempt->also_arg) : r;
}

int clew__store_queue(struct clew__db *db, void *arg)
{
    struct clew__queue *queue = arg;
    int r = clew__db_number(db, 0, &queue->queued,
                            "SELECT count(*) FROM deliveries WHERE state = 'queued'", "");

    if (r == 0)
        r = clew__db_number(db, 0, &queue->oldest_at,
                            "SELECT min(created_at) FROM deliveries WHERE state = 'queued'", "");
    if (r == 0)
        r = clew__db_number(db, 0, &queue->dead,
                            "SELECT count(*) FROM deliveries WHERE state = 'dead'", "");
    return r == 0 ? clew__db_number(db, 0, &queue->timers, "SELECT count(*) FROM timers", "") : r;
}

int clew__store_orphans(struct clew__db *db, void *arg)
{
    struct clew__orphans *orphans = arg;
    struct clew__row *row = clew__db_prepare(db,
                                             "SELECT target, receiver, count(*) FROM deliveries"
                                             " WHERE state = 'queued' GROUP BY target, receiver",
                                             "");
    int r = row ? 1 : -EIO;

    orphans->n = 0;
    while (r == 1 && (r = clew__db_step(db, row)) == 1)
        if (!clew__config_integration(orphans->config, clew__db_text(row, 0),
                                      clew__db_text(row, 1)))
            orphans->n += (uint64_t)clew__db_int(row, 2);
    clew__db_reset(row);
    return r;
}

#define DAY_NS (86400 * CLEW__SECOND_NS)
#define PRUNE_BATCH 2000

static int delete_some(struct clew__db *db, int64_t *pruned, const char *sql, int64_t before,
                       int64_t batch)
{
    int r = clew__db_run(db, sql, "ii", before, batch);

    if (r == 0)
        *pruned += clew__db_changed(db);
    return r;
}

/* Alertmanager repeats itself for hours, a person asks for days. Order matters:
 * what refers to a row goes before it. */
int clew__store_prune(struct clew__db *db, void *arg)
{
    int64_t now = *(int64_t *)arg, week = now - 7 * DAY_NS, month = now - 30 * DAY_NS;
    int64_t batch = PRUNE_BATCH, pruned = 0;
    /* Those whose target left the configuration; a sender expires its own. */
    int r = clew__db_run(db,
                         "UPDATE deliveries SET state = 'dead', finished_at = ?1,"
                         " reason = 'no_such_target' WHERE state = 'queued' AND created_at < ?2",
                         "ii", now, now - 4 * DAY_NS);

    if (r == 0)
        r = delete_some(db, &pruned,
                        "DELETE FROM deliveries WHERE id IN (SELECT id FROM deliveries"
                        " WHERE state <> 'queued' AND finished_at < ?1 LIMIT ?2)",
                        week, batch);
    if (r == 0)
        r = delete_some(db, &pruned,
                        "DELETE FROM incidents WHERE id IN (SELECT id FROM incidents i"
                        " WHERE open = 0 AND closed_at < ?1 AND NOT EXISTS"
                        " (SELECT 1 FROM deliveries d WHERE d.incident_id = i.id) LIMIT ?2)",
                        week, batch);
    if (r == 0)
        r = delete_some(db, &pruned,
                        "DELETE FROM alerts WHERE id IN (SELECT id FROM alerts a"
                        " WHERE status = 'resolved' AND last_seen < ?1 AND NOT EXISTS"
                        " (SELECT 1 FROM incident_alerts m JOIN incidents i"
                        "  ON i.id = m.incident_id WHERE m.alert_id = a.id"
                        "  AND (i.open = 1 OR EXISTS (SELECT 1 FROM deliveries d"
                        "   WHERE d.incident_id = i.id))) LIMIT ?2)",
                        week, batch);
    if (r == 0)
        r = delete_some(db, &pruned,
                        "DELETE FROM webhooks WHERE id IN (SELECT id FROM webhooks w"
                        " WHERE received_at < ?1 AND NOT EXISTS"
                        " (SELECT 1 FROM deliveries d WHERE d.webhook_id = w.id) AND NOT EXISTS"
                        " (SELECT 1 FROM alerts a WHERE a.webhook_id = w.id) LIMIT ?2)",
                        month, batch);
    if (r == 0)
        r = delete_some(db, &pruned,
                        "DELETE FROM flap_fires WHERE at IN (SELECT at FROM flap_fires"
                        " WHERE at < ?1 LIMIT ?2)",
                        week, batch);
    if (r == 0)
        r = delete_some(db, &pruned,
                        "DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE at < ?1"
                        " LIMIT ?2)",
                        month, batch);
    return r < 0 ? r : pruned >= PRUNE_BATCH;
}
