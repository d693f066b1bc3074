/* SPDX-License-Identifier: Apache-2.0
 * While it is held an alert stays a member of its incidents, whatever its status; a
 * new occurrence takes the place of the one before there, with its acknowledgement
 * and its escalation. So the far side sees one incident that stays open, and nothing
 * has to be made good when the calm comes: the last occurrence just leaves. All of it
 * is rows of the transactions that change the alert. In the writer's thread. */
#include "flap.h"

#include <common/duration.h>
#include <common/instant.h>

#include <clew/log.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct flap {
    bool known;
    int64_t alert_id, fires, since, last_at;
};

static int load(struct clew__db *db, const char *fingerprint, struct flap *flap)
{
    struct clew__row *row = clew__db_prepare(db,
                                             "SELECT alert_id, fires, since, last_at FROM flaps"
                                             " WHERE fingerprint = ?1",
                                             "s", fingerprint);
    int r = row ? clew__db_step(db, row) : -EIO;

    *flap = (struct flap){.known = r == 1};
    if (r <= 0)
        return r;
    flap->alert_id = clew__db_int(row, 0);
    flap->fires = clew__db_int(row, 1);
    flap->since = clew__db_int(row, 2);
    flap->last_at = clew__db_int(row, 3);
    clew__db_reset(row);
    return 0;
}

static int forget(struct clew__db *db, const char *fingerprint)
{
    return clew__db_run(db, "DELETE FROM flaps WHERE fingerprint = ?1", "s", fingerprint);
}

/* How often it fired within the window, this time included. */
static int count(struct clew__db *db, const struct clew__applying *applying,
                 const char *fingerprint, int64_t *ret_n)
{
    int r = clew__db_run(db, "DELETE FROM flap_fires WHERE fingerprint = ?1 AND at <= ?2", "si",
                         fingerprint, applying->now - applying->config->flapping.window_ns);

    if (r == 0)
        r = clew__db_run(db, "INSERT INTO flap_fires (fingerprint, at) VALUES (?1, ?2)", "si",
                         fingerprint, applying->now);
    return r == 0 ? clew__db_number(db, 0, ret_n,
                                    "SELECT count(*) FROM flap_fires WHERE fingerprint = ?1", "s",
                                    fingerprint)
                  : r;
}

/* Puts an occurrence in the place of the one before; *ret_taken: it had one. */
static int take_place(struct clew__db *db, int64_t before, int64_t alert_id, bool *ret_taken)
{
    int64_t n = 0;
    int r;

    if (before == alert_id) { /* it fires again since the same moment */
        r = clew__db_number(db, 0, &n,
                            "SELECT count(*) FROM incident_alerts WHERE alert_id = ?1 AND open = 1",
                            "i", alert_id);
        *ret_taken = n > 0;
        return r;
    }
    r = clew__db_run(db,
                     "UPDATE incident_alerts SET alert_id = ?2 WHERE alert_id = ?1 AND open = 1",
                     "ii", before, alert_id);
    *ret_taken = r == 0 && clew__db_changed(db) > 0;
    if (r == 0)
        r = clew__db_run(db, "UPDATE acks SET alert_id = ?2 WHERE alert_id = ?1", "ii", before,
                         alert_id);
    return r == 0 ? clew__db_run(db,
                                 "UPDATE alerts SET webhook_id ="
                                 " (SELECT b.webhook_id FROM alerts b WHERE b.id = ?1)"
                                 " WHERE id = ?2",
                                 "ii", before, alert_id)
                  : r;
}

static int hold_fired(struct clew__db *db, struct clew__applying *applying,
                      const struct clew__alert *alert, int64_t alert_id, const struct flap *flap,
                      enum clew__flap *ret_flap)
{
    bool taken = false;
    int r = take_place(db, flap->alert_id, alert_id, &taken);

    if (r == 0)
        r = clew__timer_cancel(db, CLEW__FLAP_KIND, alert->fingerprint);
    if (r == 0)
        r = clew__db_run(db,
                         "UPDATE flaps SET alert_id = ?2, fires = fires + 1, last_at = ?3"
                         " WHERE fingerprint = ?1",
                         "sii", alert->fingerprint, alert_id, applying->now);
    if (r < 0 || !taken)
        return r; /* nobody knows of it any more: it is told */
    *ret_flap = CLEW__FLAP_HELD;
    return clew__audit(db, applying, alert, "", "held", "it comes and goes, and is known to fire");
}

int clew__flap_fired(struct clew__db *db, struct clew__applying *applying,
                     const struct clew__alert *alert, int64_t alert_id, enum clew__flap *ret_flap)
{
    struct flap flap;
    int64_t n = 0;
    int r;

    *ret_flap = CLEW__FLAP_NO;
    if (applying->config->flapping.fires == 0)
        return 0;
    r = load(db, alert->fingerprint, &flap);
    if (r == 0 && flap.known)
        return hold_fired(db, applying, alert, alert_id, &flap, ret_flap);
    if (r == 0)
        r = count(db, applying, alert->fingerprint, &n);
    if (r < 0 || n < applying->config->flapping.fires)
        return r;
    *ret_flap = CLEW__FLAP_BEGINS;
    return clew__db_run(db,
                        "INSERT INTO flaps (fingerprint, alert_id, fires, since, last_at)"
                        " VALUES (?1, ?2, ?3, ?4, ?4)",
                        "siii", alert->fingerprint, alert_id, n, applying->now);
}

int clew__flap_resolved(struct clew__db *db, struct clew__applying *applying,
                        const struct clew__alert *alert, int64_t alert_id,
                        enum clew__flap *ret_flap)
{
    const int64_t calm = applying->config->flapping.calm_ns;
    char text[CLEW__DURATION_TEXT], reason[128];
    struct flap flap;
    int r;

    *ret_flap = CLEW__FLAP_NO;
    if (applying->config->flapping.fires == 0)
        return 0;
    r = load(db, alert->fingerprint, &flap);
    if (r < 0 || !flap.known || flap.alert_id != alert_id)
        return r;
    if (applying->now - flap.last_at >= calm)
        return forget(db, alert->fingerprint); /* it has been calm while it fired */
    *ret_flap = CLEW__FLAP_HELD;
    (void)snprintf(reason, sizeof(reason), "it comes and goes; its end is told after %s of calm",
                   clew__duration_format(calm, text));
    r = clew__audit(db, applying, alert, "", "held", reason);
    return r == 0
               ? clew__timer_after(db, CLEW__FLAP_KIND, alert->fingerprint, applying->now, calm, "")
               : r;
}

const char *clew__flap_note(const struct clew__config *config, char *text, size_t size)
{
    char window[CLEW__DURATION_TEXT], calm[CLEW__DURATION_TEXT];

    (void)snprintf(text, size,
                   "it comes and goes: %u times in %s; nothing more is told until it has been calm"
                   " for %s",
                   config->flapping.fires,
                   clew__duration_format(config->flapping.window_ns, window),
                   clew__duration_format(config->flapping.calm_ns, calm));
    return text;
}

/* ---- the calm ---------------------------------------------------------------- */

struct held {
    int64_t starts_at, webhook_id;
    bool firing;
    char group[CLEW__DIGEST_TEXT];
};

static int load_held(struct clew__db *db, int64_t alert_id, struct held *held)
{
    struct clew__row *row =
        clew__db_prepare(db,
                         "SELECT a.starts_at, a.webhook_id, a.status, w.group_digest FROM alerts a"
                         " JOIN webhooks w ON w.id = a.webhook_id WHERE a.id = ?1",
                         "i", alert_id);
    int r = row ? clew__db_step(db, row) : -EIO;

    if (r <= 0)
        return r < 0 ? r : -ENOENT;
    held->starts_at = clew__db_int(row, 0);
    held->webhook_id = clew__db_int(row, 1);
    held->firing = strcmp(clew__db_text(row, 2), "firing") == 0;
    (void)snprintf(held->group, sizeof(held->group), "%s", clew__db_text(row, 3));
    clew__db_reset(row);
    return 0;
}

static int leave(struct clew__db *db, struct clew__firing *firing, const struct flap *flap,
                 const struct held *held)
{
    struct clew__alert alert = {.fingerprint = firing->timer->key, .starts_at = held->starts_at};
    char since[CLEW__INSTANT_TEXT], note[128];
    struct clew__applying applying = {.config = firing->config,
                                      .group = held->group,
                                      .now = firing->now,
                                      .webhook_id = held->webhook_id,
                                      .note = note};
    int r;

    (void)snprintf(note, sizeof(note), "calm at last: it had fired %lld times since %s",
                   (long long)flap->fires, clew__instant_format(flap->since, since));
    r = clew__audit(db, &applying, &alert, "", "calm", note);
    if (r == 0)
        r = clew__incidents_leave(db, &applying, &alert, flap->alert_id);
    if (r == 0)
        r = clew__incidents_queue(db, &applying);
    firing->ndeliveries = applying.ndeliveries;
    clew__applying_done(&applying);
    return r;
}

static int fire(struct clew__db *db, struct clew__firing *firing)
{
    struct held held = {0};
    struct flap flap;
    int r = load(db, firing->timer->key, &flap);

    if (r < 0 || !flap.known)
        return r;
    r = load_held(db, flap.alert_id, &held);
    if (r == 0 && held.firing)
        return 0;
    if (r == 0)
        r = leave(db, firing, &flap, &held);
    return r == 0 || r == -ENOENT ? forget(db, firing->timer->key) : r;
}

const struct clew__timer_ops clew__flap_timer = {.kind = CLEW__FLAP_KIND, .fire = fire};
