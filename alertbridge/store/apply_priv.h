/* SPDX-License-Identifier: Apache-2.0
 * Between the two halves of applying a notification: the alerts (apply.c) and the
 * incidents that they belong to (incidents.c). */
#ifndef CLEW_ALERTBRIDGE_APPLY_PRIV_H
#define CLEW_ALERTBRIDGE_APPLY_PRIV_H

#include "store.h"

#include <common/instant.h>

/* An incident that changes in this transaction. */
struct clew__touched {
    int64_t incident_id;
    uint64_t nfired, nresolved;
    bool critical;                                                         /* one of the fired is */
    int64_t fired[CLEW__PAGE_ALERTS_MAX], resolved[CLEW__PAGE_ALERTS_MAX]; /* the first ids */
};

struct clew__touched_list {
    struct clew__touched *items;
    size_t n, room;
};

/* Incidents of groups are few and are looked up again and again; those of one
 * alert may be thousands, and are never looked up. */
struct clew__applying {
    struct clew__apply *apply;
    int64_t webhook_id; /* 0: no row yet */
    struct clew__touched_list groups, singles;
};

/* The routes' targets get the alert as a member of their incidents. */
int clew__incidents_join(struct clew__db *db, struct clew__applying *applying,
                         struct clew__alert *alert, int64_t alert_id);
/* All incidents that have the alert lose it. */
int clew__incidents_leave(struct clew__db *db, struct clew__applying *applying,
                          struct clew__alert *alert, int64_t alert_id);
/* Touches the open incidents of this group that have no firing alert left. */
int clew__incidents_held(struct clew__db *db, struct clew__applying *applying);
/* Queues what the touched incidents need. */
int clew__incidents_queue(struct clew__db *db, struct clew__applying *applying);

/* alert may be NULL: about an incident. */
int clew__audit(struct clew__db *db, const struct clew__applying *applying,
                const struct clew__alert *alert, const char *target, const char *decision,
                const char *reason);

#endif
