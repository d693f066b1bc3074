/* SPDX-License-Identifier: Apache-2.0
 * Rows as JSON, for the views (view.c) and the explanation of an alert
 * (explain.c). */
#ifndef CLEW_ALERTBRIDGE_VIEW_PRIV_H
#define CLEW_ALERTBRIDGE_VIEW_PRIV_H

#include "store.h"

#include <buf.h>

/* The columns that clew__view_alert() takes, of alerts a. */
#define CLEW__VIEW_ALERT                                                                     \
    "a.fingerprint, a.status, a.starts_at, a.ends_at, a.first_seen, a.last_seen, a.repeats," \
    " a.generator_url, a.labels, a.annotations,"                                             \
    " (SELECT k.at FROM acks k WHERE k.alert_id = a.id),"                                    \
    " (SELECT k.actor FROM acks k WHERE k.alert_id = a.id)"
/* And clew__view_delivery(), of deliveries d and its incidents i. */
#define CLEW__VIEW_DELIVERY                                                                    \
    "d.id, d.state, d.action, d.receiver, d.kind, i.dedup_key, d.fired, d.resolved, d.firing," \
    " d.attempts, d.created_at, d.next_attempt_at, d.finished_at, d.reason"

/* Members of an object that was opened; a time of 0 is left out, and a number is
 * never the first. */
void clew__view_text(struct clew__buf *json, const char *key, const char *text);
void clew__view_time(struct clew__buf *json, const char *key, int64_t instant);
void clew__view_number(struct clew__buf *json, const char *key, int64_t number);

void clew__view_alert(struct clew__buf *json, struct clew__row *row);
void clew__view_delivery(struct clew__buf *json, struct clew__row *row);

/* "name":[…] with an object for each row of a statement (NULL: -EIO).
 * returns the number of rows, -errno */
int clew__view_rows(struct clew__db *db, struct clew__buf *json, const char *name,
                    struct clew__row *row,
                    void (*add_row)(struct clew__buf *json, struct clew__row *row));

#endif
