/* SPDX-License-Identifier: Apache-2.0
 * Timers: everything that waits for a time is a row of the store, so neither a
 * restart nor a crash loses or repeats it. A kind of timer is one struct
 * clew__timer_ops and a line in timers/kinds.c. */
#ifndef CLEW_ALERTBRIDGE_TIMER_H
#define CLEW_ALERTBRIDGE_TIMER_H

#include <store/store.h>

#define CLEW__TIMER_ARG_MAX 1024u

struct clew__timer {
    int64_t id, due_at;
    char kind[32];
    char key[256];                     /* one timer of a kind has it */
    char arg[CLEW__TIMER_ARG_MAX + 1]; /* the kind's own */
};

/* ---- inside any work on the store -------------------------------------- */

/* Ends a span of time: after_ns from now, also when the clock is set meanwhile. One
 * that waits with this kind and key is replaced. returns 0, -EINVAL (arg or key too
 * long), -errno */
int clew__timer_after(struct clew__db *db, const char *kind, const char *key, int64_t now,
                      int64_t after_ns, const char *arg);
/* At a time of the clock: when it is set, the timer stays with what it shows. */
int clew__timer_at(struct clew__db *db, const char *kind, const char *key, int64_t due_at,
                   const char *arg);
/* There need not be one. */
int clew__timer_cancel(struct clew__db *db, const char *kind, const char *key);

/* ---- kinds --------------------------------------------------------------- */

struct clew__watch;

/* A timer whose time has come. */
struct clew__firing {
    const struct clew__config *config;
    struct clew__watch *watch; /* who knows what Alertmanager says; NULL: nobody */
    const struct clew__timer *timer;
    int64_t now;
    uint64_t ndeliveries; /* result: what it queued, so that the senders look */
};

struct clew__timer_ops {
    const char *kind;
    /* Its handler looks at what Alertmanager says: that is asked shortly before, and
     * waited for, but not for long. */
    bool confirms;
    /* In the store's writer, in the transaction that has removed the timer; may set it
     * again. No network: it holds everybody up. Failing, it is undone with the removal
     * and tried again later. returns 0, -errno */
    int (*fire)(struct clew__db *db, struct clew__firing *firing);
};

/* All kinds, NULL-terminated. */
extern const struct clew__timer_ops *const clew__timer_kinds[];

#endif
