/* SPDX-License-Identifier: Apache-2.0
 * A receiver's limit: so many pages within a window of time. What is beyond is held,
 * and told at the window's end as one page, "42 more in checkout". What is critical
 * passes, and does not count. */
#ifndef CLEW_ALERTBRIDGE_STORMS_LIMIT_H
#define CLEW_ALERTBRIDGE_STORMS_LIMIT_H

#include <store/apply_priv.h>
#include <timers/timer.h>

#define CLEW__STORM_KIND "storm"

/* Takes a page of the limit; *ret_held: there is none left, and the alert is kept for
 * the end of the window. Part of the transaction that would tell the alert. */
int clew__limit_take(struct clew__db *db, struct clew__applying *applying,
                     const struct clew__receiver *receiver,
                     const struct clew__integration *integration, const struct clew__alert *alert,
                     int64_t alert_id, bool *ret_held);

extern const struct clew__timer_ops clew__storm_timer;

#endif
