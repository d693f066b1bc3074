/* SPDX-License-Identifier: Apache-2.0
 * Between the server's threads and the store: every webhook that was acknowledged is
 * on the disk, and gets into the store in the order in which it came. */
#ifndef CLEW_ALERTBRIDGE_INBOX_H
#define CLEW_ALERTBRIDGE_INBOX_H

#include <delivery/delivery.h>
#include <store/store.h>

struct clew__inbox;

/* A webhook in the caller's storage, which stays until `done`. */
struct clew__inbox_entry {
    const char *body; /* that clew__notification_parse() takes */
    size_t len;
    const char *labels; /* to put on its alerts, JSON; "" for none */
    struct clew__thread_of thread;
    int64_t received_at;
    /* Called once, in another thread or before clew__inbox_put() returns. */
    void (*done)(struct clew__inbox_entry *entry);
    /* Results: */
    int result; /* 0: durable; -errno: not taken */
    char error[256];
    struct clew__inbox_entry *next;
};

/* args     file: of the journal; NULL: without one every webhook waits for the store
 *          senders: may be NULL
 * owner    clew__inbox_close()
 * returns  0, -errno */
int clew__inbox_open(const char *file, struct clew__store *store, struct clew__config *config,
                     struct clew__senders *senders, struct clew__inbox **ret_inbox);
/* MT-Safe; never blocks for long. */
void clew__inbox_put(struct clew__inbox *inbox, struct clew__inbox_entry *entry);
/* As clew__intake_use(). */
void clew__inbox_use(struct clew__inbox *inbox, struct clew__config *config,
                     struct clew__senders *senders);
/* Something is queued for the senders. MT-Safe. */
void clew__inbox_wake(struct clew__inbox *inbox);
/* Waits until all that was acknowledged by now is in the store, for some seconds at
 * most. */
void clew__inbox_settle(struct clew__inbox *inbox);
/* Ends all entries and the threads; what comes after is refused. What the store does
 * not have yet waits in the journal. Accepts NULL. */
void clew__inbox_stop(struct clew__inbox *inbox);
/* After clew__inbox_stop(), when nobody puts anything any more. Accepts NULL, returns
 * NULL. */
struct clew__inbox *clew__inbox_close(struct clew__inbox *inbox);

#endif
