/* SPDX-License-Identifier: Apache-2.0
 *
 * One destination as the delivery thread drives it: idle, a request in flight,
 * or waiting to try the same body again. All of it belongs to the delivery
 * thread but for `lost`, which anybody may read.
 */
#ifndef CLEW_DELIVERY_LINE_H
#define CLEW_DELIVERY_LINE_H

#include "delivery.h"
#include "delivery_curl.h"
#include "exchange.h"
#include "h2c.h"

#include <clew/metrics.h>

#define CLEW__DESTINATIONS_MAX 4

struct clew__line {
    const struct clew__destination *to;
    struct clew__h2c *h2c;   /* what carries its requests, */
    struct clew__curl curl;  /* or else this */
    struct clew__exchange x; /* its body is of the batch; len 0: not made yet */
    bool in_flight;
    struct clew__batch *batch; /* being sent; what was split off it behind it */
    unsigned attempts;
    unsigned doubtful; /* of these, answered RETRY_FEW */
    unsigned splits;
    uint64_t first_try_ns;
    uint64_t sent_at_ns;
    uint64_t retry_at_ns;
    uint64_t asked_ns; /* no retry before it: the far side asked for that */
    uint64_t told_at_ns;
    uint64_t told_dropped, told_dropped_at_ns;
    _Atomic uint64_t lost;
    struct clew_series *accepted, *rejected, *failed, *retries;
};

/* A line to that destination; 0 or -ENOMEM. */
int clew__line_open(struct clew__line *line, const struct clew__destination *to);
/* In the child of a fork: again, with nothing of the parent's. */
bool clew__line_reopen(struct clew__line *line);
void clew__line_close(struct clew__line *line);

/* Takes the next batch, if one is due, and sends it. *ret_wait_ns: until one
 * may be due. */
void clew__line_send_next(struct clew__line *line, CURLM *multi, bool force, uint64_t *ret_wait_ns);
/* Sends the body again. */
void clew__line_send(struct clew__line *line, CURLM *multi);
/* The request ended; the exchange has the answer. */
void clew__line_finish(struct clew__line *line);
/* Tells of records that found the queue full, once in a while. */
void clew__line_tell_dropped(struct clew__line *line);
/* At the end: gives up what it has, which counts as dropped. */
void clew__line_drop(struct clew__line *line, CURLM *multi);

#endif
