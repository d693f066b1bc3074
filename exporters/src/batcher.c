/* SPDX-License-Identifier: Apache-2.0
 * See batcher.h. */
#include "batcher.h"

#include <stdlib.h>
#include <time.h>

#define LOOK_AGAIN_NS UINT64_C(10000000) /* when the collector has the batch just now */

uint64_t clew__now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- batches ------------------------------------------------------------------------- */

struct clew__batch *clew__batch_new(size_t max_bytes)
{
    struct clew__batch *batch = calloc(1, sizeof(*batch));

    if (batch)
        clew__buf_init(&batch->records, max_bytes);
    return batch;
}

void clew__batch_free(struct clew__batch *batch)
{
    if (!batch)
        return;
    clew__buf_done(&batch->records);
    free(batch->items);
    free(batch);
}

static void free_all(struct clew__batch *batch)
{
    while (batch) {
        struct clew__batch *next = batch->next;

        clew__batch_free(batch);
        batch = next;
    }
}

static bool grow_items(struct clew__batch *batch)
{
    size_t room = batch->room ? 2 * batch->room : 64;
    struct clew__item *items = realloc(batch->items, room * sizeof(*items));

    if (!items)
        return false;
    batch->items = items;
    batch->room = room;
    return true;
}

/* The record that was appended last becomes an item, or what there is of it is
 * taken away again. */
static bool add_item(struct clew__batch *batch, uint32_t group)
{
    if (batch->records.failed || (batch->n == batch->room && !grow_items(batch))) {
        batch->records.failed = false;
        batch->records.len = batch->n ? batch->items[batch->n - 1].end : 0;
        return false;
    }
    batch->items[batch->n++] = (struct clew__item){(uint32_t)batch->records.len, group};
    return true;
}

bool clew__batch_split(struct clew__batch *batch)
{
    size_t keep = batch->n / 2, at = keep ? batch->items[keep - 1].end : 0;
    struct clew__batch *second = keep ? clew__batch_new(batch->records.max) : NULL;

    for (size_t i = keep; second && i < batch->n; i++) {
        clew__buf_add(&second->records, batch->records.data + at, batch->items[i].end - at);
        if (!add_item(second, batch->items[i].group)) {
            clew__batch_free(second);
            return false;
        }
        at = batch->items[i].end;
    }
    if (!second)
        return false;
    batch->n = keep;
    batch->records.len = batch->items[keep - 1].end;
    second->next = batch->next;
    batch->next = second;
    return true;
}

/* ---- the queue ----------------------------------------------------------------------- */

void clew__batcher_init(struct clew__batcher *b, const struct clew__limits *limits)
{
    *b = (struct clew__batcher){.limits = *limits, .no_batch = {.failed = true}};
    pthread_mutex_init(&b->lock, NULL);
    b->newest = &b->oldest;
}

void clew__batcher_done(struct clew__batcher *b)
{
    free_all(b->oldest);
    clew__batch_free(b->held);
    clew__batch_free(b->open);
    clew__batch_free(b->spare);
    pthread_mutex_destroy(&b->lock);
    clew__batcher_init(b, &b->limits);
}

void clew__batcher_forget(struct clew__batcher *b)
{
    /* Batches may be half linked and half filled: left to leak, once. */
    clew__batcher_init(b, &b->limits);
}

static void recycle(struct clew__batcher *b, struct clew__batch *batch)
{
    if (b->spare) {
        clew__batch_free(batch);
        return;
    }
    batch->n = 0;
    batch->next = NULL;
    clew__buf_reset(&batch->records);
    b->spare = batch;
}

void clew__batcher_recycle(struct clew__batcher *b, struct clew__batch *batch)
{
    atomic_fetch_sub(&b->taken, batch->n);
    pthread_mutex_lock(&b->lock);
    recycle(b, batch);
    pthread_mutex_unlock(&b->lock);
}

static struct clew__batch *pop(struct clew__batcher *b)
{
    struct clew__batch *batch = b->oldest;

    b->oldest = batch->next;
    if (!b->oldest)
        b->newest = &b->oldest;
    b->sealed_bytes -= batch->records.len;
    b->sealed_records -= batch->n;
    atomic_fetch_sub(&b->queued, batch->n);
    batch->next = NULL;
    return batch;
}

static bool is_full(const struct clew__batcher *b)
{
    return b->sealed_bytes > b->limits.queue_bytes ||
           (b->limits.queue_records && b->sealed_records > b->limits.queue_records);
}

/* Puts a batch behind the sealed ones; the lock is held. */
static void seal(struct clew__batcher *b, struct clew__batch *batch)
{
    *b->newest = batch;
    b->newest = &batch->next;
    b->sealed_bytes += batch->records.len;
    b->sealed_records += batch->n;
    while (is_full(b) && b->oldest != batch) {
        struct clew__batch *lost = pop(b);

        atomic_fetch_add(&b->dropped, lost->n);
        recycle(b, lost);
    }
}

/* ---- the collector's side ---------------------------------------------------------------- */

struct clew__buf *clew__batcher_begin(struct clew__batcher *b)
{
    if (b->held)
        return &b->held->records;
    pthread_mutex_lock(&b->lock);
    b->held = b->open;
    b->open = NULL;
    if (!b->held) {
        b->held = b->spare;
        b->spare = NULL;
    }
    b->is_held = true;
    pthread_mutex_unlock(&b->lock);
    if (!b->held)
        b->held = clew__batch_new(2 * b->limits.batch_bytes);
    if (!b->held)
        return &b->no_batch;
    b->held_before = b->held->n;
    return &b->held->records;
}

static bool is_due(const struct clew__batcher *b, size_t n)
{
    return b->limits.due_records && n >= b->limits.due_records;
}

/* Gives the held batch away. */
static void give(struct clew__batcher *b, bool sealed)
{
    struct clew__batch *batch = b->held;

    b->held = NULL;
    b->has_news = b->has_news || sealed || b->held_before == 0 ||
                  (is_due(b, batch->n) && !is_due(b, b->held_before));
    atomic_fetch_add(&b->queued, batch->n - b->held_before);
    pthread_mutex_lock(&b->lock);
    b->is_held = false;
    if (b->held_before == 0)
        b->open_since_ns = clew__now_ns();
    if (sealed)
        seal(b, batch);
    else
        b->open = batch;
    pthread_mutex_unlock(&b->lock);
}

void clew__batcher_commit(struct clew__batcher *b, uint32_t group)
{
    struct clew__batch *batch = b->held;

    if (!batch || !add_item(batch, group))
        atomic_fetch_add(&b->dropped, 1);
    else if (batch->records.len >= b->limits.batch_bytes ||
             (b->limits.batch_records && batch->n >= b->limits.batch_records))
        give(b, true);
}

bool clew__batcher_give(struct clew__batcher *b)
{
    bool news;

    if (b->held)
        give(b, false);
    news = b->has_news;
    b->has_news = false;
    return news;
}

/* ---- the delivery thread's side ------------------------------------------------------------ */

struct clew__batch *clew__batcher_take(struct clew__batcher *b, bool force, uint64_t *ret_wait_ns)
{
    struct clew__batch *batch = NULL;

    *ret_wait_ns = UINT64_MAX;
    pthread_mutex_lock(&b->lock);
    if (b->oldest) {
        batch = pop(b);
    } else if (b->open && b->open->n) {
        uint64_t age = clew__now_ns() - b->open_since_ns;

        if (force || is_due(b, b->open->n) || age >= b->limits.linger_ns) {
            batch = b->open;
            b->open = NULL;
            atomic_fetch_sub(&b->queued, batch->n);
        } else {
            *ret_wait_ns = b->limits.linger_ns - age;
        }
    } else if (b->is_held) {
        *ret_wait_ns = LOOK_AGAIN_NS;
    }
    pthread_mutex_unlock(&b->lock);
    if (batch) {
        atomic_fetch_add(&b->taken, batch->n);
        atomic_fetch_add(&b->handed, batch->n);
    }
    return batch;
}
