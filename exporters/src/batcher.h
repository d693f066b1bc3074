/* SPDX-License-Identifier: Apache-2.0
 *
 * Encoded records on their way to one destination: appended by the collector,
 * sealed into batches, taken by the delivery thread. Bounded; when it is full
 * the oldest sealed batch goes and its records are counted as dropped. This is
 * where a spool on disk belongs, between sealed and taken.
 *
 * Threads: append in one thread, take in another, under a lock of its own.
 */
#ifndef CLEW_BATCHER_H
#define CLEW_BATCHER_H

#include <buf.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

struct clew__batch {
    struct clew__batch *next;
    struct clew__buf records;
    size_t n;
};

struct clew__batcher {
    size_t batch_bytes; /* a batch is sealed at this size … */
    size_t batch_max;   /* … or at this many records (0: any) … */
    uint64_t linger_ns; /* … or, when asked, at this age */
    size_t queue_bytes;
    pthread_mutex_t lock;
    struct clew__buf open;
    size_t open_n;
    uint64_t open_since_ns; /* CLOCK_MONOTONIC */
    struct clew__batch *oldest, **newest;
    size_t sealed_bytes;
    _Atomic uint64_t dropped;
    _Atomic uint64_t queued; /* records not taken yet */
};

void clew__batcher_init(struct clew__batcher *b, size_t batch_bytes, size_t batch_max,
                        uint64_t linger_ns, size_t queue_bytes);
void clew__batcher_done(struct clew__batcher *b);
/* In the child of a fork: what is in it is the parent's. */
void clew__batcher_forget(struct clew__batcher *b);

/* Returns the buffer to append one record to, locked; commit says it is whole.
 * True when a batch was sealed: the delivery thread has something to do. */
struct clew__buf *clew__batcher_begin(struct clew__batcher *b);
bool clew__batcher_commit(struct clew__batcher *b);

/* The oldest batch that is due, or with force any; NULL when there is none.
 * *ret_wait_ns: until the open batch is due, UINT64_MAX when it is empty. */
struct clew__batch *clew__batcher_take(struct clew__batcher *b, bool force, uint64_t *ret_wait_ns);
void clew__batch_free(struct clew__batch *batch);

uint64_t clew__now_ns(void); /* CLOCK_MONOTONIC */

#endif
