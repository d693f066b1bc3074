/* SPDX-License-Identifier: Apache-2.0
 *
 * Encoded records on their way to one destination: appended by the collector,
 * taken in batches by the delivery thread. Bounded; when it is full the oldest
 * batch goes and its records are counted as dropped. This is where a spool on
 * disk belongs, between sealed and taken.
 *
 * The collector takes hold of the open batch with its first record, fills it
 * without a lock and gives it back at the end of its own batch; only then can
 * it be taken. Threads: append in one thread, take in another.
 */
#ifndef CLEW_BATCHER_H
#define CLEW_BATCHER_H

#include <buf.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

/* Where a record ends, and which of the encoder's groups it belongs to. */
struct clew__item {
    uint32_t end;
    uint32_t group;
};

struct clew__batch {
    struct clew__batch *next;
    struct clew__buf records;
    struct clew__item *items;
    size_t n, room;
};

/* 0: no such limit. */
struct clew__limits {
    size_t batch_bytes;   /* a batch is sealed at this size … */
    size_t batch_records; /* … or at this many records, */
    size_t due_records;   /* an open one may go at this many … */
    uint64_t linger_ns;   /* … or at this age */
    size_t queue_bytes;   /* of sealed batches */
    size_t queue_records;
};

struct clew__batcher {
    struct clew__limits limits;
    struct clew__batch *held;  /* by the collector */
    size_t held_before;        /* records in it when it was taken hold of */
    bool has_news;             /* for the delivery thread, since it was woken last */
    struct clew__buf no_batch; /* failed: there is no memory for one */
    pthread_mutex_t lock;
    bool is_held; /* as the delivery thread sees it */
    struct clew__batch *open;
    uint64_t open_since_ns; /* CLOCK_MONOTONIC */
    struct clew__batch *oldest, **newest;
    struct clew__batch *spare; /* used before: its memory is there already */
    size_t sealed_bytes, sealed_records;
    _Atomic uint64_t dropped;
    _Atomic uint64_t queued; /* records not taken yet */
    _Atomic uint64_t taken;  /* records that are with the delivery thread */
    _Atomic uint64_t handed; /* records that ever were */
};

void clew__batcher_init(struct clew__batcher *b, const struct clew__limits *limits);
void clew__batcher_done(struct clew__batcher *b);
/* In the child of a fork: what is in it is the parent's. */
void clew__batcher_forget(struct clew__batcher *b);

/* Returns the buffer to append one record to; commit says it is whole. What
 * could not be appended whole is dropped and counted. */
struct clew__buf *clew__batcher_begin(struct clew__batcher *b);
void clew__batcher_commit(struct clew__batcher *b, uint32_t group);
/* The collector's batch ends. True when the delivery thread has something to
 * do, be it only to look at the clock. */
bool clew__batcher_give(struct clew__batcher *b);

/* The oldest batch that is due, or with force any; NULL when there is none.
 * *ret_wait_ns: until the open batch is due, UINT64_MAX when it is empty. */
struct clew__batch *clew__batcher_take(struct clew__batcher *b, bool force, uint64_t *ret_wait_ns);
/* Takes back a batch that was taken and is done with, for its memory. */
void clew__batcher_recycle(struct clew__batcher *b, struct clew__batch *batch);

struct clew__batch *clew__batch_new(size_t max_bytes);
void clew__batch_free(struct clew__batch *batch);
/* Moves the second half of its records into a new batch behind it; false when
 * it has less than two or there is no memory. */
bool clew__batch_split(struct clew__batch *batch);

uint64_t clew__now_ns(void); /* CLOCK_MONOTONIC */

#endif
