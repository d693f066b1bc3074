/* SPDX-License-Identifier: Apache-2.0
 * Dead letters, queued again. The order of an incident's pages is what must not
 * break: a trigger that comes after the resolve that was delivered in its place
 * would open an incident that nobody closes. So a dead letter stays dead when a
 * later page of its incident was sent or waits, and when it says that something
 * fires which is over, unless the dead letter that ends it is queued again too.
 *
 * Runs on any connection that may write: the running bridge sees the change by
 * clew__store_changed_by_others(). */
#include "store.h"

#include <clew/log.h>

#include <errno.h>

/* Of deliveries d; ?1: the one that is asked for, 0 for all. */
#define CHOSEN "d.state = 'dead' AND (?1 = 0 OR d.id = ?1)"
#define STILL_SO                                                                 \
    "NOT EXISTS (SELECT 1 FROM deliveries e WHERE e.incident_id = d.incident_id" \
    " AND e.id > d.id AND (e.state <> 'dead' OR ?1 <> 0))"                       \
    " AND (d.action = 'resolve' OR EXISTS (SELECT 1 FROM incidents i"            \
    "  WHERE i.id = d.incident_id AND i.open = 1)"                               \
    " OR EXISTS (SELECT 1 FROM deliveries e WHERE e.incident_id = d.incident_id" \
    "  AND e.id > d.id AND e.action = 'resolve'))"

static int count_chosen(struct clew__db *db, int64_t id, int64_t *ret_n)
{
    return clew__db_number(db, 0, ret_n, "SELECT count(*) FROM deliveries d WHERE " CHOSEN, "i",
                           id);
}

int clew__store_replay(struct clew__db *db, void *arg)
{
    struct clew__replay *replay = arg;
    int64_t chosen, left;
    int r = count_chosen(db, replay->id, &chosen);

    if (r == 0)
        r = clew__db_run(db,
                         "INSERT INTO audit (at, webhook_id, fingerprint, starts_at, target,"
                         " decision, reason) SELECT ?2, d.webhook_id, coalesce(a.fingerprint, ''),"
                         " coalesce(a.starts_at, 0), d.target, 'replayed', ?3 FROM deliveries d"
                         " LEFT JOIN json_each(d.alert_ids) j ON 1 = 1"
                         " LEFT JOIN alerts a ON a.id = j.value"
                         " WHERE " CHOSEN " AND " STILL_SO,
                         "iis", replay->id, replay->now, replay->who);
    /* created_at too: it counts as new, or its age would end it at once. */
    if (r == 0)
        r = clew__db_run(db,
                         "UPDATE deliveries SET state = 'queued', attempts = 0, created_at = ?2,"
                         " next_attempt_at = ?2, finished_at = 0, reason = 'replayed'"
                         " WHERE id IN (SELECT d.id FROM deliveries d WHERE " CHOSEN
                         " AND " STILL_SO ")",
                         "ii", replay->id, replay->now);
    if (r == 0)
        r = count_chosen(db, replay->id, &left);
    if (r < 0)
        return r;
    replay->nreplayed = (uint64_t)(chosen - left);
    replay->nleft = (uint64_t)left;
    return 0;
}

int clew__store_changed_by_others(struct clew__db *db, void *arg)
{
    int64_t *known = arg, version;
    int r = clew__db_version_of_data(db, &version);
    bool changed = r == 0 && *known != 0 && version != *known;

    if (r < 0)
        return r;
    *known = version;
    return changed;
}
