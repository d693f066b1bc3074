/* SPDX-License-Identifier: Apache-2.0
 * An event is remembered by its id for three days, longer than PagerDuty tries, in the
 * transaction that carries it out: delivered again it changes nothing.
 *
 * What the bridge itself sends comes back as an event. An acknowledgement or an end
 * by an integration is such an echo, or the doing of a rule, and no person's: it is
 * left alone. So is an end from before the incident was opened last: it was of the
 * time before, and came late. In the writer's thread. */
#include "act.h"

#include <common/instant.h>

#include <errno.h>

#define KEPT_NS (3 * 86400 * CLEW__SECOND_NS)
#define OURS "kind = 'pagerduty' AND dedup_key = ?1"

static int take_once(struct clew__db *db, const struct clew__pagerduty_act *act, bool *ret_first)
{
    int r = clew__db_run(db, "DELETE FROM pagerduty_events WHERE at < ?1", "i", act->now - KEPT_NS);

    if (r == 0)
        r = clew__db_run(db,
                         "INSERT INTO pagerduty_events (id, at) VALUES (?1, ?2)"
                         " ON CONFLICT (id) DO NOTHING",
                         "si", act->event->id, act->now);
    *ret_first = r == 0 && clew__db_changed(db) > 0;
    return r;
}

/* Whether the incident that is open now was opened after the event. */
static int is_late(struct clew__db *db, const struct clew__pagerduty_event *event, bool *ret_late)
{
    int64_t opened_at = 0;
    int r = clew__db_number(db, 0, &opened_at,
                            "SELECT max(opened_at) FROM incidents WHERE " OURS " AND open = 1", "s",
                            event->dedup_key);

    *ret_late = opened_at > event->occurred_at;
    return r;
}

/* An incident that a person opens again: what still fires belongs to it again, so that
 * its end will be told. */
static int open_again(struct clew__db *db, const struct clew__pagerduty_event *event)
{
    int r = clew__db_run(db,
                         "UPDATE incident_alerts SET open = 1 WHERE incident_id IN"
                         " (SELECT id FROM incidents WHERE " OURS " AND open = 0)"
                         " AND alert_id IN (SELECT id FROM alerts WHERE status = 'firing')",
                         "s", event->dedup_key);

    return r == 0 ? clew__db_run(db,
                                 "UPDATE incidents SET open = 1 WHERE " OURS " AND open = 0"
                                 " AND EXISTS (SELECT 1 FROM incident_alerts m"
                                 "  WHERE m.incident_id = incidents.id AND m.open = 1)",
                                 "s", event->dedup_key)
                  : r;
}

static int carry_out(struct clew__db *db, struct clew__pagerduty_act *act)
{
    const struct clew__pagerduty_event *event = act->event;
    struct clew__by_hand work = {.kind = "pagerduty",
                                 .dedup_key = event->dedup_key,
                                 .actor = event->person,
                                 .via = "pagerduty",
                                 .config = act->config,
                                 .now = act->now};
    clew__store_work *what = event->kind == CLEW__PAGERDUTY_ACKNOWLEDGED ? clew__store_acknowledge
                             : event->kind == CLEW__PAGERDUTY_RESOLVED ? clew__store_resolve_by_hand
                                                                       : clew__store_release;
    int r = event->kind == CLEW__PAGERDUTY_REOPENED ? open_again(db, event) : 0;

    if (r == 0)
        r = what(db, &work);
    act->outcome = r == -ENOENT ? "nothing of it fires" : "done";
    act->ndeliveries = work.ndeliveries;
    return r == -ENOENT ? 0 : r;
}

int clew__pagerduty_act(struct clew__db *db, void *arg)
{
    struct clew__pagerduty_act *act = arg;
    enum clew__pagerduty_event_kind kind = act->event->kind;
    bool first = false, late = false;
    int r;

    act->ndeliveries = 0;
    act->outcome = "nothing to do";
    if (kind == CLEW__PAGERDUTY_OTHER)
        return 0;
    r = take_once(db, act, &first);
    if (r == 0 && kind == CLEW__PAGERDUTY_RESOLVED)
        r = is_late(db, act->event, &late);
    if (r < 0)
        return r;
    if (!first || late) {
        act->outcome = first ? "late" : "known already";
        return 0;
    }
    if (act->event->echo &&
        (kind == CLEW__PAGERDUTY_ACKNOWLEDGED || kind == CLEW__PAGERDUTY_RESOLVED)) {
        act->outcome = "by an integration";
        return 0;
    }
    return carry_out(db, act);
}
