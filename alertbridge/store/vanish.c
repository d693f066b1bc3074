/* SPDX-License-Identifier: Apache-2.0
 * See vanish.h. The end is noted as Alertmanager's own ("alertmanager" in
 * resolved_by): should it list the alert again, a firing counts at once. */
#include "vanish.h"

#include "apply_priv.h"

#include <clew/log.h>

#include <errno.h>
#include <stdio.h>

int clew__store_firing_alerts(struct clew__db *db, void *arg)
{
    struct clew__firing_alerts *alerts = arg;
    struct clew__row *row =
        clew__db_prepare(db,
                         "SELECT id, starts_at, last_seen, fingerprint FROM alerts"
                         " INDEXED BY alerts_firing WHERE id > ?1 AND status = 'firing'"
                         /* a watchdog's alert is the bridge's own (watchdog/) */
                         " AND NOT EXISTS (SELECT 1 FROM webhooks w WHERE w.id = alerts.webhook_id"
                         "  AND substr(w.group_key, 1, 9) = 'watchdog/')"
                         " ORDER BY id LIMIT ?2",
                         "ii", alerts->after, (int64_t)CLEW__FIRING_BATCH);
    int r = row ? 1 : -EIO;

    alerts->n = 0;
    while (alerts->n < CLEW__FIRING_BATCH && r == 1 && (r = clew__db_step(db, row)) == 1) {
        struct clew__firing_alert *alert = &alerts->items[alerts->n++];

        alert->id = alerts->after = clew__db_int(row, 0);
        alert->starts_at = clew__db_int(row, 1);
        alert->last_seen = clew__db_int(row, 2);
        (void)snprintf(alert->fingerprint, sizeof(alert->fingerprint), "%s", clew__db_text(row, 3));
    }
    clew__db_reset(row);
    return r < 0 ? r : 0;
}

int clew__store_superseded(struct clew__db *db, void *arg)
{
    struct clew__superseded *superseded = arg;
    int64_t n = 0;
    int r = clew__db_number(db, 0, &n,
                            "SELECT count(*) FROM alerts WHERE fingerprint = ?1 AND starts_at > ?2"
                            " AND status = 'firing'",
                            "si", superseded->alert->fingerprint, superseded->alert->starts_at);

    superseded->is = n > 0;
    return r;
}

static int end(struct clew__db *db, struct clew__applying *applying, int64_t id, uint64_t *nended)
{
    struct clew__alert alert = {.firing = false};
    char fingerprint[CLEW__FINGERPRINT_MAX + 1];
    struct clew__row *row = clew__db_prepare(
        db,
        "UPDATE alerts SET status = 'resolved', ends_at = ?2, last_seen = ?2, resolved_seen = ?2,"
        " resolved_by = 'alertmanager' WHERE id = ?1 AND status = 'firing'"
        " RETURNING fingerprint, starts_at, webhook_id",
        "ii", id, applying->now);
    int r = row ? clew__db_step(db, row) : -EIO;

    if (r <= 0)
        return r;
    (void)snprintf(fingerprint, sizeof(fingerprint), "%s", clew__db_text(row, 0));
    alert.fingerprint = fingerprint;
    alert.starts_at = clew__db_int(row, 1);
    applying->webhook_id = clew__db_int(row, 2);
    clew__db_reset(row);
    ++*nended;
    r = clew__audit(db, applying, &alert, "", "resolved",
                    "Alertmanager has it no longer: it ended while it was silenced, or nobody was "
                    "told of its end");
    applying->webhook_id = 0; /* each incident's page is about its own alerts */
    return r == 0 ? clew__incidents_leave(db, applying, &alert, id) : r;
}

int clew__store_vanished(struct clew__db *db, void *arg)
{
    struct clew__vanished *vanished = arg;
    struct clew__applying applying = {
        .config = vanished->config, .now = vanished->now, .group = ""};
    int r = 0;

    vanished->nended = 0;
    for (size_t i = 0; i < vanished->n && r == 0; i++)
        r = end(db, &applying, vanished->ids[i], &vanished->nended);
    if (r == 0)
        r = clew__incidents_queue(db, &applying);
    vanished->ndeliveries = applying.ndeliveries;
    clew__applying_done(&applying);
    return r;
}
