/* SPDX-License-Identifier: Apache-2.0
 * Between the parts of a change: the alerts (apply.c), the incidents that they
 * belong to (incidents.c), the deliveries that those need (enqueue.c), and people
 * (hand.c). */
#ifndef CLEW_ALERTBRIDGE_APPLY_PRIV_H
#define CLEW_ALERTBRIDGE_APPLY_PRIV_H

#include "store.h"

#include <common/instant.h>

/* An incident that changes in this transaction. */
struct clew__touched {
    int64_t incident_id;
    int64_t newest; /* the last one that was added to those that fired */
    uint64_t nfired, nresolved;
    bool flapping; /* one of the fired is told for the last time */
    bool critical; /* one of the fired is */
    int64_t fired[CLEW__PAGE_ALERTS_MAX], resolved[CLEW__PAGE_ALERTS_MAX]; /* the first ids */
};

struct clew__touched_list {
    struct clew__touched *items;
    size_t n, room;
};

/* A route that alerts of this change have taken (escalation/). */
struct clew__begun {
    const struct clew__route *route;
    bool now;
    char why[1024];
};

/* What is going on, and in whose name. Incidents of groups are few and are looked up again and
 * again; those of one alert may be thousands, and are never looked up. */
struct clew__applying {
    const struct clew__config *config;
    const struct clew__receiver *receiver; /* who is told; NULL: the routes say so */
    const char *group;                     /* its digest */
    bool cut;                              /* the list that all this follows from left alerts out */
    int64_t now;
    int64_t webhook_id; /* 0: no row yet, or each delivery has that of its alerts */
    uint64_t ndeliveries;
    const char *note;          /* why this is told now, when no webhook says it; else NULL */
    bool digest;               /* what ended meanwhile is told too, as part of this */
    bool flapping;             /* the alert that joins now is told for the last time */
    bool together;             /* an incident is the group, whatever the target's own way */
    struct clew__begun *begun; /* what was decided about each route */
    size_t nbegun;
    struct clew__touched_list groups, singles;
};

/* Frees the lists. */
void clew__applying_done(struct clew__applying *applying);
/* The entry of an incident, made when it is new; NULL: out of memory. */
struct clew__touched *clew__touch(struct clew__applying *applying, int64_t incident_id,
                                  bool per_alert);

/* The routes' targets get the alert as a member of their incidents. */
int clew__incidents_join(struct clew__db *db, struct clew__applying *applying,
                         struct clew__alert *alert, int64_t alert_id);
/* A receiver's targets are told about an alert that fires, also if they know it. */
int clew__incidents_tell(struct clew__db *db, struct clew__applying *applying,
                         const struct clew__receiver *receiver, const char *why,
                         struct clew__alert *alert, int64_t alert_id);
/* A target is told about an alert as one of many, in one incident for them all. */
int clew__incidents_together(struct clew__db *db, struct clew__applying *applying,
                             const struct clew__integration *integration, const char *why,
                             struct clew__alert *alert, int64_t alert_id);
/* A receiver's messages of this change mention an alert that ended before anybody was
 * told; what it would have been an incident of its own for does not hear of it. */
int clew__incidents_mention(struct clew__db *db, struct clew__applying *applying,
                            const struct clew__receiver *receiver, struct clew__alert *alert,
                            int64_t alert_id);
/* All incidents that have the alert lose it. */
int clew__incidents_leave(struct clew__db *db, struct clew__applying *applying,
                          struct clew__alert *alert, int64_t alert_id);
/* Touches the open incidents of this group that have no firing alert left. */
int clew__incidents_held(struct clew__db *db, struct clew__applying *applying);
/* Queues what the touched incidents need. */
int clew__incidents_queue(struct clew__db *db, struct clew__applying *applying);

/* An incident with what decides about its deliveries. */
struct clew__incident {
    int64_t id;
    char target[96], dedup_key[CLEW__DIGEST_TEXT], receiver[257], kind[32];
    const struct clew__receiver_ops *ops; /* NULL: a kind that this program does not have */
    bool incidents, per_alert, open;
    int64_t nopen; /* alerts that fire */
};
int clew__incident_load(struct clew__db *db, int64_t id, struct clew__incident *ret_incident);
int clew__incident_close(struct clew__db *db, const struct clew__applying *applying, int64_t id);
/* Queues a delivery about what was touched. */
int clew__incident_enqueue(struct clew__db *db, struct clew__applying *applying,
                           const struct clew__incident *incident,
                           const struct clew__touched *touched, enum clew__action action,
                           const char *note);

/* alert may be NULL: about an incident. */
int clew__audit(struct clew__db *db, const struct clew__applying *applying,
                const struct clew__alert *alert, const char *target, const char *decision,
                const char *reason);

#endif
