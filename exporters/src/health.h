/* SPDX-License-Identifier: Apache-2.0
 * The state of health, for pages and metrics. */
#ifndef CLEW_HEALTH_PRIV_H
#define CLEW_HEALTH_PRIV_H

#include <clew/health.h>

#define CLEW__HEALTH_TEXT_MAX (CLEW_HEALTH_REASON_MAX + 64u)

struct clew__health {
    bool healthy; /* all checks pass */
    bool ready;   /* the same, and the service is not about to end */
    bool live;    /* all liveness checks pass */
    size_t n;
    struct clew__health_result {
        char name[CLEW_HEALTH_NAME_MAX + 1];
        bool healthy;
        char reason[CLEW__HEALTH_TEXT_MAX]; /* "" when healthy */
    } checks[CLEW_HEALTH_CHECKS_MAX];
};

/* As of now, from the last results. Never waits for a check. MT-Safe */
void clew__health_read(struct clew__health *ret);

/* health_run.c. The checks run from here … 0 or -errno */
int clew__health_start(void);
/* … to here. Waits for those that are under way, but for none longer than its
 * timeout or the deadline. May be called again, to wait longer. */
void clew__health_stop(uint64_t deadline_ns);

/* health_metrics.c: service_health_status and that of each check. 0 or -errno */
int clew__health_metrics_start(void);
/* The gauge of a new check; name: borrowed for ever. */
void clew__health_metrics_add(const char *name);

#endif
