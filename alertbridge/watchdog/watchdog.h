/* SPDX-License-Identifier: Apache-2.0
 * A dead man's switch: an alert that always fires (Prometheus' Watchdog) is expected
 * again and again; when it has not come for a time, or is said to have ended, whatever
 * watches has stopped watching, and a receiver is told, until it comes again. */
#ifndef CLEW_ALERTBRIDGE_WATCHDOG_H
#define CLEW_ALERTBRIDGE_WATCHDOG_H

#include <store/store.h>
#include <timers/timer.h>

#define CLEW__WATCHDOG_KIND "watchdog"

/* An alert of a notification: if it is one that is expected, the time begins anew. Part
 * of the transaction that applies the notification. *deliveries grows by what it queues. */
int clew__watchdog_see(struct clew__db *db, const struct clew__config *config,
                       const struct clew__alert *alert, int64_t now, uint64_t *deliveries);

/* Sets the timers of those that have none. At a start, one whose time ran out while
 * nobody could hear it gets its whole time once more, once. */
struct clew__watchdog_begin {
    const struct clew__config *config;
    int64_t now;
    bool start; /* of the process; false: another configuration */
};
clew__store_work clew__watchdog_begin;

extern const struct clew__timer_ops clew__watchdog_timer;

#endif
