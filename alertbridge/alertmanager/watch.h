/* SPDX-License-Identifier: Apache-2.0
 * What the Alertmanagers say themselves, asked again and again: which alerts they
 * have, and which are suppressed. What they no longer have is ended in the store;
 * pages that come later than their alert are confirmed first. */
#ifndef CLEW_ALERTBRIDGE_WATCH_H
#define CLEW_ALERTBRIDGE_WATCH_H

#include <delivery/delivery.h>

#include <stdbool.h>

/* So old an answer may be for a page that is confirmed by it. */
#define CLEW__WATCH_FRESH_NS 10000000000LL

struct clew__watch;

/* Starts the thread, which asks at once and then every reconcile_interval; without
 * alertmanagers in the configuration it sleeps.
 * args     config: one more reference is taken; senders: woken, may be NULL
 * owner    clew__watch_stop()
 * returns  0, -errno */
int clew__watch_start(struct clew__config *config, struct clew__store *store,
                      struct clew__senders *senders, struct clew__watch **ret_watch);
/* From now on with these. What was heard so far is forgotten. */
void clew__watch_use(struct clew__watch *watch, struct clew__config *config,
                     struct clew__senders *senders);
/* Cuts a request in flight. Accepts NULL, returns NULL. */
struct clew__watch *clew__watch_stop(struct clew__watch *watch);

/* Asks now unless that has been done since `since`. MT-Safe, never blocks for long.
 * watch may be NULL here and below: nobody is asked. */
void clew__watch_ask(struct clew__watch *watch, int64_t since);
/* Waits for the answers to a question asked since `since`, at most until `until`. */
void clew__watch_wait(struct clew__watch *watch, int64_t since, int64_t until);

enum clew__seen {
    CLEW__SEEN_UNKNOWN,    /* not asked since then, or not all have answered */
    CLEW__SEEN_ACTIVE,     /* it fires */
    CLEW__SEEN_SUPPRESSED, /* it fires, but is silenced or inhibited */
    CLEW__SEEN_GONE,       /* nobody has it, and all of them would */
};
/* What is known of an alert of the store. MT-Safe, never blocks for long. */
enum clew__seen clew__watch_state(struct clew__watch *watch, int64_t since, int64_t alert_id,
                                  const char *fingerprint);

#endif
