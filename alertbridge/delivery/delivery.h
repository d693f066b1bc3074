/* SPDX-License-Identifier: Apache-2.0
 * Sends what the store has queued: one thread per target, so that a far side
 * that hangs delays nobody but itself. */
#ifndef CLEW_ALERTBRIDGE_DELIVERY_H
#define CLEW_ALERTBRIDGE_DELIVERY_H

#include <store/store.h>

struct clew__senders;

/* Starts a thread for each target of the configuration; what is queued goes out.
 * owner    clew__senders_stop()
 * returns  0, -errno */
int clew__senders_start(const struct clew__config *config, struct clew__store *store,
                        struct clew__senders **ret_senders);
/* Something new is queued. MT-Safe, never blocks for long. */
void clew__senders_wake(struct clew__senders *senders);
/* Whether every sender has looked at its queue within the last so many ns. MT-Safe. */
bool clew__senders_alive(struct clew__senders *senders, int64_t within_ns);
/* Takes nothing new, lets requests in flight end until deadline (ns, wall clock),
 * cuts the others; what is not done stays queued. Accepts NULL, returns NULL. */
struct clew__senders *clew__senders_stop(struct clew__senders *senders, int64_t deadline);

#endif
