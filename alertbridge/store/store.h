/* SPDX-License-Identifier: Apache-2.0
 * The store: everything the bridge knows, in one SQLite file or, shared by replicas
 * (lease.h), in PostgreSQL. One thread writes, and commits for all who wait at that moment
 * together; a caller of clew__store_write() knows on return that its change is on the disk. */
#ifndef CLEW_ALERTBRIDGE_STORE_H
#define CLEW_ALERTBRIDGE_STORE_H

#include "db.h"

#include <clew/context.h>

#include <config/config.h>
#include <intake/notification.h>

struct clew__store;

/* Opens the database, or creates a file and takes it for this process alone; brings
 * the schema up to date and starts the writer.
 * args     where: a file's path, or how PostgreSQL is reached (where.h)
 * owner    clew__store_close()
 * returns  0; -EBUSY when another process has it; -errno */
int clew__store_open(const char *where, struct clew__store **ret_store);
/* Nobody waits in it any more. Accepts NULL, returns NULL. */
struct clew__store *clew__store_close(struct clew__store *store);

/* The file of the journal that belongs to the store (intake/journal.h); NULL: replicas
 * share the store, which has none. */
const char *clew__store_journal(const struct clew__store *store);

/* A piece of work on the database. Failing, it is undone, it alone. It may run more than
 * once, each time on what was before; the last run's results count. The text of
 * clew_set_error() reaches the caller. */
typedef int clew__store_work(struct clew__db *db, void *arg);

/* Runs work in the writer's transaction and waits until it is durable.
 * threads  MT-Safe       blocks for some milliseconds, the disk's
 * returns  what work returned; -errno when the commit failed: nothing is stored */
int clew__store_write(struct clew__store *store, clew__store_work *work, void *arg);
/* Runs work that only reads, in this thread, on what is committed. MT-Safe. */
int clew__store_read(struct clew__store *store, clew__store_work *work, void *arg);
/* Gives memory back that only makes it faster. */
void clew__store_rest(struct clew__store *store);

/* ---- work ------------------------------------------------------------ */

/* Where a trace goes on later, in another thread or another process. */
struct clew__thread_of {
    char request_id[CLEW_ID_MAX + 1];
    char correlation_id[CLEW_ID_MAX + 1];
    char traceparent[64];
};

/* Applies a notification: state, incidents, deliveries, audit. */
struct clew__apply {
    const struct clew__config *config;
    struct clew__notification *notification; /* its alerts get change and npages */
    const struct clew__thread_of *thread;
    int64_t now;
    const struct clew__receiver *receiver; /* who is told, NULL: the routes say so */
    uint64_t ndeliveries;                  /* result */
};
clew__store_work clew__store_apply;

/* The sequence up to which the store has the journal. arg: int64_t *, result */
clew__store_work clew__store_position;
/* Within other work. */
int clew__store_set_position(struct clew__db *db, int64_t sequence);

/* A delivery as the worker needs it. */
struct clew__delivery {
    int64_t id, created_at, next_attempt_at;
    unsigned attempts;
    enum clew__action action;
    unsigned rank;
    char receiver[257];
    char order_key[256];
};

/* What goes first of all that is due; ends are whatever wakes nobody. */
enum { CLEW__RANK_CRITICAL, CLEW__RANK_NEWS, CLEW__RANK_END, CLEW__RANKS };

/* The next delivery to a target, due or not: of all that are first of their
 * order key, the first of those due by rank and time, else the one whose time comes
 * first. */
struct clew__next {
    const char *target;
    int64_t now;
    struct clew__delivery delivery; /* result */
};
clew__store_work clew__store_next; /* 1 found, 0 none */

/* The page of a delivery. */
struct clew__load {
    int64_t delivery_id;
    struct clew__page page; /* result; borrows from what follows */
    struct clew__thread_of thread;
    int64_t received_at;
    bool ended; /* the incident's end waits behind it */
    struct clew__page_alert alerts[CLEW__PAGE_ALERTS_MAX];
    char dedup_key[256], receiver[257];
    char *external_url, *group_key, *note;
    char *owned[2 * CLEW__PAGE_ALERTS_MAX];
};
clew__store_work clew__store_load; /* 0; fill delivery_id, the rest zero */
void clew__load_done(struct clew__load *load);

/* What came of an attempt. */
struct clew__attempt {
    int64_t delivery_id, now;
    int64_t epoch; /* of the target's lease at the attempt; 0: there are no leases */
    enum clew__verdict_kind kind;
    int64_t next_attempt_at; /* for CLEW__RETRY and CLEW__LATER */
    bool target_is_back;     /* for CLEW__DONE: what waits for the target is due now */
    const char *reason;
    clew__store_work *also; /* what else it leaves behind; NULL: nothing */
    void *also_arg;
};
clew__store_work clew__store_attempt;

/* Deletes what nobody will ask for any more: finished deliveries, resolved
 * alerts and audit lines, some thousands a call. arg: int64_t *now.
 * returns 1 when there may be more, 0, -errno */
clew__store_work clew__store_prune;

struct clew__queue {
    int64_t queued;    /* results */
    int64_t oldest_at; /* 0: none */
    int64_t dead;
    int64_t timers;
};
clew__store_work clew__store_queue;

/* How many deliveries wait for a target that the configuration does not have. */
struct clew__orphans {
    const struct clew__config *config;
    uint64_t n; /* result */
};
clew__store_work clew__store_orphans;

/* JSON for people: {"alerts":[…]} and {"deliveries":[…]}, at most 1,000. */
struct clew__view {
    struct clew__buf *json; /* result, appended */
    const char *state;      /* of the deliveries; NULL: any */
};
clew__store_work clew__store_view_alerts;
clew__store_work clew__store_view_deliveries;

/* Everything about one alert: {"fingerprint", "alerts":[…] its occurrences,
 * "decisions":[…] from the audit trail, "deliveries":[…], "waiting":[…] who is to be
 * told yet}, oldest first. */
struct clew__explain {
    const char *fingerprint;
    struct clew__buf *json; /* result, appended */
    bool known;             /* result */
};
clew__store_work clew__store_explain;

/* Queues dead letters again, as new ones, unless what they say is no longer so: a
 * later page of the incident went out, or the alert is over. */
struct clew__replay {
    int64_t id; /* 0: all dead letters */
    int64_t now;
    const char *who;    /* for the audit */
    uint64_t nreplayed; /* results */
    uint64_t nleft;     /* dead letters of this choice that stay dead */
};
clew__store_work clew__store_replay;

/* What a person did about the firing alerts of one incident, or with a fingerprint.
 * The alerts keep their status: only Alertmanager says that one has ended. */
struct clew__by_hand {
    int64_t incident_id;               /* an incident, or */
    const char *kind, *dedup_key;      /* the open ones with this key at this kind, or */
    const char *fingerprint;           /* this alert; as for clew__store_explain */
    const char *actor;                 /* "alice (U123)" */
    const char *via;                   /* "slack", "pagerduty", "command" */
    const struct clew__config *config; /* of clew__store_release alone */
    int64_t now;
    uint64_t nalerts; /* results: alerts that nobody had in hand before */
    uint64_t ndeliveries;
};
/* Their escalation ends, and every other far side that knows of them is told: an
 * incident whose alerts are all in hand gets an acknowledgement, a message an
 * update, if they can. Never what it came from, except for an update.
 * returns 0; -ENOENT: nothing of this kind fires */
clew__store_work clew__store_acknowledge;
/* The same for who says that it is over: other incidents are resolved. An incident
 * that is closed by this opens again if one of its alerts fires anew. */
clew__store_work clew__store_resolve_by_hand;
/* Nobody has them in hand any more: messages about them are shown anew, and their
 * escalation goes on. */
clew__store_work clew__store_release;

/* Whether another process has changed the store's file since the last call with this
 * *arg (int64_t, 0 at first); replicas are told otherwise. returns 1 yes, 0 no, -errno */
clew__store_work clew__store_changed_by_others;

#endif
