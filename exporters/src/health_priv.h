/* SPDX-License-Identifier: Apache-2.0
 * The checks, as the table and its workers share them. */
#ifndef CLEW_HEALTH_TABLE_PRIV_H
#define CLEW_HEALTH_TABLE_PRIV_H

#include "health.h"

#include <pthread.h>

struct clew__check {
    char name[CLEW_HEALTH_NAME_MAX + 1];
    clew_health_function *run; /* NULL: a state that is set */
    void *arg;
    uint64_t interval_ns, timeout_ns;
    bool liveness;
    /* the last result */
    bool known, healthy;
    char reason[CLEW_HEALTH_REASON_MAX];
    /* the present or next run */
    bool running;
    uint64_t started_ns, due_ns;
    bool said; /* what the log says of it: healthy */
};

/* All below, and every check, is under this lock, which is never held while a
 * check runs. Checks are only ever added. */
extern pthread_mutex_t clew__health_lock;
extern struct clew__check clew__checks[CLEW_HEALTH_CHECKS_MAX];
extern size_t clew__nchecks;

/* Whether it passes now; else why not in ret_reason. */
bool clew__check_passes(const struct clew__check *check, uint64_t now,
                        char ret_reason[CLEW__HEALTH_TEXT_MAX]);
/* Something is due: a check was added. */
void clew__health_wake(void);

#endif
