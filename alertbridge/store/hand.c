/* SPDX-License-Identifier: Apache-2.0
 * What people do about alerts: take one in hand, or say that it is over. Both stop
 * its escalation, and whoever else was told is told. An acknowledgement is of
 * alerts, not of an incident: one that joins later has nobody yet, so a far side is
 * only told "acknowledged" when all that fires there is in hand.
 *
 * Works on any connection that may write: the command does it beside the bridge. */
#include "apply_priv.h"

#include <escalation/escalation.h>

#include <clew/log.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum act { ACKNOWLEDGE, RESOLVE, RELEASE };

struct hand {
    struct clew__by_hand *work;
    struct clew__applying applying;
    int64_t origin; /* the incident where the person was; 0: none, or not known which */
    enum act act;
    char who[320];
};

struct chosen {
    int64_t id, starts_at, webhook_id;
    char fingerprint[CLEW__FINGERPRINT_MAX + 1];
};

#define CHOSEN "SELECT a.id, a.starts_at, coalesce(a.webhook_id, 0), a.fingerprint FROM alerts a "
#define FIRING " AND a.status = 'firing' ORDER BY a.id"

static struct clew__row *choose(struct clew__db *db, const struct clew__by_hand *work)
{
    if (work->incident_id)
        return clew__db_prepare(db,
                                CHOSEN "JOIN incident_alerts m ON m.alert_id = a.id"
                                       " WHERE m.incident_id = ?1 AND m.open = 1" FIRING,
                                "i", work->incident_id);
    if (work->dedup_key)
        return clew__db_prepare(db,
                                CHOSEN
                                "WHERE a.id IN (SELECT m.alert_id FROM incident_alerts m"
                                " JOIN incidents i ON i.id = m.incident_id WHERE i.kind = ?1"
                                " AND i.dedup_key = ?2 AND i.open = 1 AND m.open = 1)" FIRING,
                                "ss", work->kind, work->dedup_key);
    return clew__db_prepare(db,
                            CHOSEN "WHERE a.fingerprint >= ?1 AND a.fingerprint < ?1 || 'g'" FIRING,
                            "s", work->fingerprint);
}

/* All of them: what follows changes the rows that they are read from. */
static int load_chosen(struct clew__db *db, const struct clew__by_hand *work,
                       struct chosen **ret_chosen, size_t *ret_n)
{
    struct clew__row *row = choose(db, work);
    struct chosen *list = NULL, *longer;
    size_t n = 0, room = 0;
    int r = row ? 1 : -EIO;

    while (r == 1 && (r = clew__db_step(db, row)) == 1) {
        if (n == room) {
            room = room ? room * 2 : 16;
            longer = realloc(list, room * sizeof(*list));
            if (!longer) {
                r = clew_set_error(-ENOMEM, "out of memory");
                break;
            }
            list = longer;
        }
        list[n].id = clew__db_int(row, 0);
        list[n].starts_at = clew__db_int(row, 1);
        list[n].webhook_id = clew__db_int(row, 2);
        (void)snprintf(list[n].fingerprint, sizeof(list[n].fingerprint), "%s",
                       clew__db_text(row, 3));
        n++;
    }
    clew__db_reset(row);
    if (r < 0) {
        free(list);
        return r;
    }
    *ret_chosen = list;
    *ret_n = n;
    return 0;
}

/* Touches every open incident of the alert. */
static int touch_incidents(struct clew__db *db, struct hand *hand, int64_t alert_id)
{
    struct clew__row *row = clew__db_prepare(db,
                                             "SELECT i.id, i.per_alert FROM incident_alerts m"
                                             " JOIN incidents i ON i.id = m.incident_id"
                                             " WHERE m.alert_id = ?1 AND m.open = 1 AND i.open = 1",
                                             "i", alert_id);
    int r = row ? 1 : -EIO;

    while (r == 1 && (r = clew__db_step(db, row)) == 1) {
        struct clew__touched *touched =
            clew__touch(&hand->applying, clew__db_int(row, 0), clew__db_int(row, 1) != 0);
        uint64_t n;

        if (!touched) {
            r = -ENOMEM;
            break;
        }
        n = hand->act == RESOLVE ? touched->nresolved++ : touched->nfired++;
        if (n < CLEW__PAGE_ALERTS_MAX)
            (hand->act == RESOLVE ? touched->resolved : touched->fired)[n] = alert_id;
    }
    clew__db_reset(row);
    return r;
}

/* Whether that changes anything: in hand, or not any more. */
static int mark(struct clew__db *db, const struct hand *hand, int64_t alert_id, bool *ret_changed)
{
    const struct clew__by_hand *work = hand->work;
    int r = hand->act == RELEASE
                ? clew__db_run(db, "DELETE FROM acks WHERE alert_id = ?1", "i", alert_id)
                : clew__db_run(db,
                               "INSERT INTO acks (alert_id, at, actor, via)"
                               " VALUES (?1, ?2, ?3, ?4) ON CONFLICT (alert_id) DO NOTHING",
                               "iiss", alert_id, work->now, work->actor, work->via);

    *ret_changed = r == 0 && clew__db_changed(db) > 0;
    return r;
}

static int escalate_again(struct clew__db *db, const struct hand *hand, int64_t alert_id)
{
    struct clew__row *row =
        clew__db_prepare(db, "SELECT labels FROM alerts WHERE id = ?1", "i", alert_id);
    int r = row ? clew__db_step(db, row) : -EIO;
    json_t *labels = r == 1 ? json_loads(clew__db_text(row, 0), 0, NULL) : NULL;

    clew__db_reset(row);
    if (r == 1)
        r = labels ? clew__escalation_again(db, &hand->applying, labels)
                   : clew_set_error(-ENOMEM, "out of memory");
    json_decref(labels);
    return r;
}

static int take_in_hand(struct clew__db *db, struct hand *hand, const struct chosen *chosen)
{
    static const char *const decisions[] = {"acknowledged", "resolved by hand",
                                            "not in hand any more"};
    struct clew__by_hand *work = hand->work;
    const struct clew__alert alert = {.fingerprint = chosen->fingerprint,
                                      .starts_at = chosen->starts_at};
    bool changed;
    int r = mark(db, hand, chosen->id, &changed);

    if (r < 0 || (!changed && hand->act != RESOLVE))
        return r;
    work->nalerts += changed;
    hand->applying.webhook_id = chosen->webhook_id;
    r = clew__audit(db, &hand->applying, &alert, "", decisions[hand->act], hand->who);
    if (r == 0 && hand->act == RELEASE)
        r = escalate_again(db, hand, chosen->id);
    return r == 0 ? touch_incidents(db, hand, chosen->id) : r;
}

/* Whether everything that fires there is in hand. */
static int all_in_hand(struct clew__db *db, int64_t incident_id, bool *ret_all)
{
    int64_t n = 0;
    int r = clew__db_number(db, 0, &n,
                            "SELECT count(*) FROM incident_alerts m WHERE m.incident_id = ?1"
                            " AND m.open = 1 AND NOT EXISTS"
                            " (SELECT 1 FROM acks k WHERE k.alert_id = m.alert_id)",
                            "i", incident_id);

    *ret_all = n == 0;
    return r;
}

/* The end of a far side's incident; its members are told nothing more about it. */
static int end_there(struct clew__db *db, struct hand *hand, const struct clew__incident *incident,
                     const struct clew__touched *touched)
{
    int r = 0;

    if (incident->id != hand->origin)
        r = clew__incident_enqueue(db, &hand->applying, incident, touched, CLEW__ACTION_RESOLVE,
                                   hand->who);
    if (r == 0)
        r = clew__db_run(db, "UPDATE incident_alerts SET open = 0 WHERE incident_id = ?1", "i",
                         incident->id);
    return r == 0 ? clew__incident_close(db, &hand->applying, incident->id) : r;
}

static int tell(struct clew__db *db, struct hand *hand, const struct clew__touched *touched)
{
    struct clew__incident incident;
    bool all = false;
    int r = clew__incident_load(db, touched->incident_id, &incident);

    if (r == 0)
        r = all_in_hand(db, incident.id, &all);
    hand->applying.webhook_id = 0; /* that of its alerts */
    if (r < 0 || !incident.ops)
        return r;
    if (hand->act == RESOLVE && incident.incidents && all)
        return end_there(db, hand, &incident, touched);
    if (hand->act == ACKNOWLEDGE && all && incident.id != hand->origin &&
        clew__receiver_takes(incident.ops, CLEW__ACTION_ACKNOWLEDGE))
        return clew__incident_enqueue(db, &hand->applying, &incident, touched,
                                      CLEW__ACTION_ACKNOWLEDGE, hand->who);
    if (clew__receiver_takes(incident.ops, CLEW__ACTION_UPDATE))
        return clew__incident_enqueue(db, &hand->applying, &incident, touched, CLEW__ACTION_UPDATE,
                                      hand->who);
    return 0;
}

static int tell_all(struct clew__db *db, struct hand *hand)
{
    int r = 0;

    for (size_t i = 0; i < hand->applying.groups.n && r == 0; i++)
        r = tell(db, hand, &hand->applying.groups.items[i]);
    for (size_t i = 0; i < hand->applying.singles.n && r == 0; i++)
        r = tell(db, hand, &hand->applying.singles.items[i]);
    return r;
}

/* Where the person was, if that is certain: the same key may be open at two services
 * of one kind, and then telling both is harmless, telling none is not. */
static int find_origin(struct clew__db *db, struct hand *hand)
{
    const struct clew__by_hand *work = hand->work;
    int64_t n;
    int r;

    hand->origin = work->incident_id;
    if (work->incident_id || !work->dedup_key)
        return 0;
    r = clew__db_number(db, 0, &n,
                        "SELECT count(*) FROM incidents"
                        " WHERE kind = ?1 AND dedup_key = ?2 AND open = 1",
                        "ss", work->kind, work->dedup_key);
    return r == 0 && n == 1 ? clew__db_number(db, 0, &hand->origin,
                                              "SELECT id FROM incidents"
                                              " WHERE kind = ?1 AND dedup_key = ?2 AND open = 1",
                                              "ss", work->kind, work->dedup_key)
                            : r;
}

static int by_hand(struct clew__db *db, struct clew__by_hand *work, enum act act)
{
    static const char *const words[] = {"acknowledged", "resolved", "given back"};
    struct hand hand = {
        .work = work, .applying = {.config = work->config, .now = work->now}, .act = act};
    struct chosen *chosen = NULL;
    size_t n = 0;
    int r;

    work->nalerts = work->ndeliveries = 0;
    (void)snprintf(hand.who, sizeof(hand.who), "%s by %.200s", words[act], work->actor);
    r = find_origin(db, &hand);
    if (r == 0)
        r = load_chosen(db, work, &chosen, &n);
    if (r == 0 && n == 0)
        r = clew_set_error(-ENOENT, "no such alert fires");
    for (size_t i = 0; i < n && r == 0; i++)
        r = take_in_hand(db, &hand, &chosen[i]);
    if (r == 0)
        r = tell_all(db, &hand);
    work->ndeliveries = hand.applying.ndeliveries;
    clew__applying_done(&hand.applying);
    free(chosen);
    return r;
}

int clew__store_acknowledge(struct clew__db *db, void *arg)
{
    return by_hand(db, arg, ACKNOWLEDGE);
}

int clew__store_resolve_by_hand(struct clew__db *db, void *arg)
{
    return by_hand(db, arg, RESOLVE);
}

int clew__store_release(struct clew__db *db, void *arg)
{
    return by_hand(db, arg, RELEASE);
}
