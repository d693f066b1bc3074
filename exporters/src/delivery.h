/* SPDX-License-Identifier: Apache-2.0
 *
 * Delivery: one thread, one poll (curl's), any number of destinations.
 * A destination has one request in flight at a time, oldest batch first, so
 * its order holds and a retry repeats as little as possible.
 *
 * The child of a fork gets a thread and connections of its own with the first
 * record it exports; what was queued at the fork is its parent's.
 */
#ifndef CLEW_DELIVERY_H
#define CLEW_DELIVERY_H

#include "batcher.h"
#include "body.h"

#define CLEW__USER_AGENT "OTel-OTLP-Exporter-C/" CLEW_VERSION " clewline/" CLEW_VERSION

enum clew__verdict {
    CLEW__DONE,      /* taken, but for `rejected` records of the batch */
    CLEW__RETRY,     /* later again */
    CLEW__RETRY_FEW, /* later again, but it may never heal: a few times only */
    CLEW__SPLIT,     /* refused as a whole: in halves some of it may pass */
    CLEW__PERMANENT  /* refused for good */
};

struct clew__answer {
    unsigned status;     /* 0: none came */
    const char *headers; /* lines as they came, trailers too: "name: value\r\n" */
    size_t headers_len;
    const char *body;
    size_t len;
    size_t records;          /* of the batch */
    uint64_t duration_ns;    /* of the request */
    uint64_t retry_after_ns; /* in and out: what the far side asks for */
    size_t rejected;         /* out: with DONE */
    int code;                /* out: the protocol's own status, -1 for none */
    char reason[200];        /* out: the far side's words, for the log */
};

struct clew__destination {
    const char *name; /* metric label; static */
    struct clew__batcher *batcher;
    const char *url;
    const char *headers;                         /* "Name: value\n…"; Content-Type among them */
    const char *certificate;                     /* CA file, "" for the system's */
    const char *client_certificate, *client_key; /* PEM files, "" for none */
    bool http2;                                  /* without TLS: with prior knowledge, h2c.h */
    long timeout_ms;                             /* of one request */
    uint64_t give_up_ns;                         /* of one batch, all its requests; 0: never */
    /* Makes the body of a batch, which it may borrow from; false when that
     * failed (the batch is lost). */
    bool (*encode)(const struct clew__batch *batch, struct clew__body *ret_body);
    enum clew__verdict (*judge)(struct clew__answer *answer);
    /* Told of each request that ended; RETRY and SPLIT: its records are not done
     * with. May be NULL. Delivery thread. */
    void (*observe)(const struct clew__answer *answer, enum clew__verdict verdict);
};

/* Adds a destination; it and all it points to stay valid until
 * clew__delivery_stop(). Before clew__delivery_start(). 0 or -errno */
int clew__delivery_add(const struct clew__destination *destination);
int clew__delivery_start(void);
/* The batch_end of a sink whose self is its destination: gives the batch to
 * the delivery thread and wakes it when it has something to do. Never blocks
 * long. Collector thread. */
void clew__delivery_batch_end(void *destination);
/* Sends everything that is queued now; 0, -ETIMEDOUT. */
int clew__delivery_flush(uint64_t deadline_ns);
/* The same, then ends the thread by the deadline; what could not be sent is
 * counted. 0, -ETIMEDOUT */
int clew__delivery_stop(uint64_t deadline_ns);
/* Records that were refused, dropped or given up so far. */
uint64_t clew__delivery_lost(void);

#endif
