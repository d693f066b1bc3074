/* SPDX-License-Identifier: Apache-2.0
 *
 * Delivery: one thread, curl's multi interface, any number of destinations.
 * A destination has one request in flight at a time, oldest batch first, so
 * its order holds and a retry repeats as little as possible.
 */
#ifndef CLEW_DELIVERY_H
#define CLEW_DELIVERY_H

#include "batcher.h"

enum clew__verdict {
    CLEW__DONE,      /* taken, but for `rejected` records of the batch */
    CLEW__RETRY,     /* later again */
    CLEW__RETRY_FEW, /* later again, but it may never heal: a few times only */
    CLEW__PERMANENT  /* refused for good */
};

struct clew__answer {
    unsigned status; /* 0: none came */
    const char *body;
    size_t len;
    size_t records;   /* of the batch */
    size_t rejected;  /* out: with DONE */
    char reason[200]; /* out: the far side's words, for the log */
};

struct clew__destination {
    const char *name; /* metric label; static */
    struct clew__batcher *batcher;
    const char *url;
    const char *headers;     /* "Name: value\n…"; Content-Type among them */
    const char *certificate; /* CA file, "" for the system's */
    long timeout_ms;
    /* Makes the body of a batch; false when that failed (the batch is lost). */
    bool (*encode)(const struct clew__batch *batch, struct clew__buf *ret_body);
    enum clew__verdict (*judge)(struct clew__answer *answer);
};

/* Adds a destination; it and all it points to stay valid until
 * clew__delivery_stop(). Before clew__delivery_start(). 0 or -errno */
int clew__delivery_add(const struct clew__destination *destination);
int clew__delivery_start(void);
/* Something was sealed: look. Never blocks long. */
void clew__delivery_wake(void);
/* The batch_end of a sink whose self is its destination: the thread may be
 * asleep without a time to wake up at. */
void clew__delivery_batch_end(void *destination);
/* Sends everything that is queued now; 0, -ETIMEDOUT. */
int clew__delivery_flush(uint64_t deadline_ns);
/* The same, then ends the thread, at most a second after the deadline; what
 * could not be sent is counted. */
void clew__delivery_stop(uint64_t deadline_ns);

#endif
