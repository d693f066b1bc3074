/* SPDX-License-Identifier: Apache-2.0
 * One attempt at a delivery, for the kinds that need more than one request, or the
 * store, to make it. It runs in the thread of the delivery's target. */
#ifndef CLEW_ALERTBRIDGE_SENDING_H
#define CLEW_ALERTBRIDGE_SENDING_H

#include "connection.h"

#include <store/store.h>

/* So many requests a second, and a few more at once. Zero is a full one. */
struct clew__pace {
    double spent; /* of the burst, at that time */
    int64_t at;   /* of the monotonic clock */
};

/* Takes one request of `burst`, of which one a second grows back.
 * returns  0; else ns until there is one, and nothing is taken. MT-Unsafe */
int64_t clew__pace_take(struct clew__pace *pace, double burst, int64_t monotonic_now);

struct clew__sending {
    const struct clew__config *config;
    const struct clew__integration *integration;
    const struct clew__delivery *delivery;
    const struct clew__page *page;
    struct clew__store *store;
    struct clew__connection *connection;
    struct clew__pace *pace; /* of the target */
    /* results */
    unsigned status;          /* of the answer that decided */
    clew__store_work *record; /* part of the transaction that records the attempt; NULL: none */
    void *left;               /* its argument, freed when it is recorded */
};

#endif
