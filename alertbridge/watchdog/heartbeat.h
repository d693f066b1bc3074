/* SPDX-License-Identifier: Apache-2.0
 * Tells somebody outside, again and again, that the bridge works; they raise the alarm
 * when it stops (healthchecks.io, Dead Man's Snitch, another bridge). */
#ifndef CLEW_ALERTBRIDGE_HEARTBEAT_H
#define CLEW_ALERTBRIDGE_HEARTBEAT_H

#include <delivery/delivery.h>

struct clew__heart;

/* Starts the thread. args: config: one more reference is taken
 * owner    clew__heart_stop()
 * returns  0, -errno */
int clew__heart_start(struct clew__config *config, struct clew__store *store,
                      struct clew__senders *senders, struct clew__heart **ret_heart);
/* From now on with this configuration and these senders; senders NULL: there are none at
 * the moment, and it does not beat. On return the former are not used any more. */
void clew__heart_use(struct clew__heart *heart, struct clew__config *config,
                     struct clew__senders *senders);
/* Accepts NULL, returns NULL. */
struct clew__heart *clew__heart_stop(struct clew__heart *heart);

#endif
