/* SPDX-License-Identifier: Apache-2.0
 * See batcher.h. */
#include "batcher.h"

#include <stdlib.h>
#include <time.h>

uint64_t clew__now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void clew__batcher_init(struct clew__batcher *b, size_t batch_bytes, size_t batch_max,
                        uint64_t linger_ns, size_t queue_bytes)
{
    *b = (struct clew__batcher){.batch_bytes = batch_bytes,
                                .batch_max = batch_max,
                                .linger_ns = linger_ns,
                                .queue_bytes = queue_bytes};
    pthread_mutex_init(&b->lock, NULL);
    clew__buf_init(&b->open, 2 * batch_bytes);
    b->newest = &b->oldest;
}

void clew__batch_free(struct clew__batch *batch)
{
    if (!batch)
        return;
    clew__buf_done(&batch->records);
    free(batch);
}

void clew__batcher_done(struct clew__batcher *b)
{
    while (b->oldest) {
        struct clew__batch *next = b->oldest->next;

        clew__batch_free(b->oldest);
        b->oldest = next;
    }
    b->newest = &b->oldest;
    b->sealed_bytes = 0;
    clew__buf_done(&b->open);
    pthread_mutex_destroy(&b->lock);
}

void clew__batcher_forget(struct clew__batcher *b)
{
    pthread_mutex_init(&b->lock, NULL);
    clew__buf_reset(&b->open);
    b->open_n = 0;
    b->oldest = NULL; /* may be half linked: left to leak, once */
    b->newest = &b->oldest;
    b->sealed_bytes = 0;
    atomic_store(&b->queued, 0);
}

static void drop_oldest(struct clew__batcher *b)
{
    struct clew__batch *batch = b->oldest;

    b->oldest = batch->next;
    if (!b->oldest)
        b->newest = &b->oldest;
    b->sealed_bytes -= batch->records.len;
    atomic_fetch_add(&b->dropped, batch->n);
    atomic_fetch_sub(&b->queued, batch->n);
    clew__batch_free(batch);
}

/* Moves the open records to the end of the sealed ones. */
static void seal(struct clew__batcher *b)
{
    struct clew__batch *batch = b->open_n ? malloc(sizeof(*batch)) : NULL;

    if (!batch) {
        atomic_fetch_add(&b->dropped, b->open_n);
        atomic_fetch_sub(&b->queued, b->open_n);
        clew__buf_reset(&b->open);
        b->open_n = 0;
        return;
    }
    *batch = (struct clew__batch){.records = b->open, .n = b->open_n};
    clew__buf_init(&b->open, b->open.max);
    b->open_n = 0;
    *b->newest = batch;
    b->newest = &batch->next;
    b->sealed_bytes += batch->records.len;
    while (b->sealed_bytes > b->queue_bytes && b->oldest != batch)
        drop_oldest(b);
}

struct clew__buf *clew__batcher_begin(struct clew__batcher *b)
{
    pthread_mutex_lock(&b->lock);
    return &b->open;
}

bool clew__batcher_commit(struct clew__batcher *b)
{
    bool sealed = false;

    if (b->open.failed) { /* no memory: what is in it may be cut */
        atomic_fetch_add(&b->dropped, b->open_n + 1);
        atomic_fetch_sub(&b->queued, b->open_n);
        clew__buf_reset(&b->open);
        b->open_n = 0;
    } else {
        if (b->open_n++ == 0)
            b->open_since_ns = clew__now_ns();
        atomic_fetch_add(&b->queued, 1);
        if (b->open.len >= b->batch_bytes || (b->batch_max && b->open_n >= b->batch_max)) {
            seal(b);
            sealed = true;
        }
    }
    pthread_mutex_unlock(&b->lock);
    return sealed;
}

struct clew__batch *clew__batcher_take(struct clew__batcher *b, bool force, uint64_t *ret_wait_ns)
{
    struct clew__batch *batch;
    uint64_t age;

    *ret_wait_ns = UINT64_MAX;
    pthread_mutex_lock(&b->lock);
    if (!b->oldest && b->open_n) {
        age = clew__now_ns() - b->open_since_ns;
        if (force || age >= b->linger_ns)
            seal(b);
        else
            *ret_wait_ns = b->linger_ns - age;
    }
    batch = b->oldest;
    if (batch) {
        b->oldest = batch->next;
        if (!b->oldest)
            b->newest = &b->oldest;
        b->sealed_bytes -= batch->records.len;
        atomic_fetch_sub(&b->queued, batch->n);
        batch->next = NULL;
    }
    pthread_mutex_unlock(&b->lock);
    return batch;
}
