/* SPDX-License-Identifier: Apache-2.0
 * Alerts that Alertmanager no longer has, without having said so: whose end fell into
 * a silence, or whose resolved webhook was never sent. */
#ifndef CLEW_ALERTBRIDGE_VANISH_H
#define CLEW_ALERTBRIDGE_VANISH_H

#include "store.h"

#define CLEW__FIRING_BATCH 1000u
#define CLEW__VANISHED_MAX 1000u

/* The next alerts that fire, by their ids. */
struct clew__firing_alerts {
    int64_t after; /* the last id before them; 0 at first */
    struct clew__firing_alert {
        int64_t id, starts_at, last_seen;
        char fingerprint[CLEW__FINGERPRINT_MAX + 1];
    } items[CLEW__FIRING_BATCH]; /* results */
    size_t n;
};
clew__store_work clew__store_firing_alerts;

/* Whether a later occurrence of an alert fires: then this one is over. */
struct clew__superseded {
    const struct clew__firing_alert *alert;
    bool is; /* result */
};
clew__store_work clew__store_superseded;

/* Ends alerts as if it had been said; those that do not fire any more are left. */
struct clew__vanished {
    const struct clew__config *config;
    int64_t now;
    int64_t ids[CLEW__VANISHED_MAX];
    size_t n;
    uint64_t nended, ndeliveries; /* results */
};
clew__store_work clew__store_vanished;

#endif
