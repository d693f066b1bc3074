/* SPDX-License-Identifier: Apache-2.0
 * Telling people later. What waits is one timer for a route and the webhook that
 * the alerts fired with. */
#ifndef CLEW_ALERTBRIDGE_ESCALATION_H
#define CLEW_ALERTBRIDGE_ESCALATION_H

#include <store/apply_priv.h>
#include <timers/timer.h>

#define CLEW__ESCALATION_KIND "escalation"

/* An alert that fires takes a route: sets the timer of what comes later, and says so
 * in the audit trail. *ret_now: the route's receiver is to be told at once. */
int clew__escalation_begin(struct clew__db *db, struct clew__applying *applying,
                           const struct clew__route *route, const struct clew__alert *alert,
                           bool *ret_now);

/* Somebody had the alert in hand and has no more: what would follow for those who were told
 * at its beginning follows from now on, where nothing is to come yet. labels: of the alert. */
int clew__escalation_again(struct clew__db *db, const struct clew__applying *applying,
                           json_t *labels);

extern const struct clew__timer_ops clew__escalation_timer;

#endif
