/* SPDX-License-Identifier: Apache-2.0
 * The thread that fires timers. */
#ifndef CLEW_ALERTBRIDGE_TIMERS_H
#define CLEW_ALERTBRIDGE_TIMERS_H

#include "timer.h"

#include <delivery/delivery.h>

#include <alertmanager/watch.h>

struct clew__timers;

/* Starts the thread; what became due while nothing ran fires at once.
 * args     config: one more reference is taken; senders: woken when a timer queues
 *          something, may be NULL; watch: asked by timers that confirm, may be NULL;
 *          kinds: NULL-terminated, kept
 * owner    clew__timers_stop()
 * returns  0, -errno */
int clew__timers_start(struct clew__config *config, struct clew__store *store,
                       struct clew__senders *senders, struct clew__watch *watch,
                       const struct clew__timer_ops *const *kinds,
                       struct clew__timers **ret_timers);
/* From now on with this configuration and these senders. Returns when no timer fires
 * with the old ones. */
void clew__timers_use(struct clew__timers *timers, struct clew__config *config,
                      struct clew__senders *senders);
/* Lets a timer that fires end. Accepts NULL, returns NULL. */
struct clew__timers *clew__timers_stop(struct clew__timers *timers);

#endif
