/* SPDX-License-Identifier: Apache-2.0
 * What somebody did in PagerDuty, carried out. */
#ifndef CLEW_ALERTBRIDGE_PAGERDUTY_ACT_H
#define CLEW_ALERTBRIDGE_PAGERDUTY_ACT_H

#include "event.h"

#include <store/store.h>

struct clew__pagerduty_act {
    const struct clew__pagerduty_event *event;
    const struct clew__config *config;
    int64_t now;
    uint64_t ndeliveries; /* results */
    const char *outcome;  /* a word for the log */
};
/* Acknowledges, resolves, gives back or opens again what the event's incident is about,
 * with an audit line for each alert. The same event a second time changes nothing. */
clew__store_work clew__pagerduty_act; /* 0, -errno */

#endif
