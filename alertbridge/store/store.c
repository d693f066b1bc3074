/* SPDX-License-Identifier: Apache-2.0
 * The writer. Callers queue their work and wait; the writer takes all that wait,
 * runs each within a savepoint of one transaction, commits with a sync, and only
 * then lets them go: many webhooks at once cost one sync. When the commit fails,
 * all of them failed. Reading uses a connection of its own, behind a mutex, and
 * sees what is committed.
 *
 * Threads: the writer owns `writer`; `lock` guards the queue; `read_lock` guards
 * `reader`. A work item lives on its caller's stack. */
#include "lease.h"
#include "store.h"

#include "salvage.h"

#include <clew/log.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define BATCH_MAX 64u /* works in one transaction */
#define AGAIN_MAX 2   /* more attempts at one */

struct item {
    clew__store_work *work;
    void *arg;
    int result;
    bool done;
    char error[256];
    struct item *next;
};

struct clew__store {
    struct clew__db writer, reader;
    struct clew__leases *leases;
    int lock_fd;
    char *journal;
    pthread_t thread;
    pthread_mutex_t lock, read_lock;
    pthread_cond_t work, finished;
    struct item *first, **last;
    bool stop;
};

static void note_error(struct item *item, int result)
{
    item->result = result;
    if (result < 0)
        (void)snprintf(item->error, sizeof(item->error), "%s", clew_last_error());
}

static void run_item(struct clew__db *db, struct item *item)
{
    int r = clew__db_run(db, "SAVEPOINT item", "");

    if (r < 0) {
        note_error(item, r);
        return;
    }
    r = item->work(db, item->arg);
    note_error(item, r);
    if (r < 0 && clew__db_in_transaction(db))
        (void)clew__db_run(db, "ROLLBACK TO item", "");
    if (clew__db_in_transaction(db))
        (void)clew__db_run(db, "RELEASE item", "");
}

/* returns 0; -EAGAIN: another process was in the way of an item or of all */
static int try_batch(struct clew__db *db, struct item *items)
{
    int r = clew__db_begin(db);

    for (struct item *item = items; item && r == 0; item = item->next) {
        run_item(db, item);
        if (item->result == -EAGAIN)
            r = -EAGAIN;
    }
    return r == 0 ? clew__db_commit(db) : r;
}

/* Runs a list of items in one transaction. */
static void run_batch(struct clew__db *db, struct item *items)
{
    int r = try_batch(db, items);

    for (int again = 0; r == -EAGAIN && again < AGAIN_MAX; again++) {
        clew__db_rollback(db);
        r = try_batch(db, items);
    }
    if (r == 0)
        return;
    for (struct item *item = items; item; item = item->next)
        if (item->result >= 0)
            note_error(item, r);
    clew__db_rollback(db);
}

/* Up to BATCH_MAX items off the queue; the lock is held. */
static struct item *locked_take(struct clew__store *store)
{
    struct item *items = store->first, **end = &items;

    for (unsigned n = 0; n < BATCH_MAX && *end; n++)
        end = &(*end)->next;
    store->first = *end;
    if (!store->first)
        store->last = &store->first;
    *end = NULL;
    return items;
}

static void *write_loop(void *arg)
{
    struct clew__store *store = arg;

    (void)pthread_mutex_lock(&store->lock);
    for (;;) {
        struct item *items;

        while (!store->first && !store->stop)
            (void)pthread_cond_wait(&store->work, &store->lock);
        if (!store->first)
            break;
        items = locked_take(store);
        (void)pthread_mutex_unlock(&store->lock);
        run_batch(&store->writer, items);
        (void)pthread_mutex_lock(&store->lock);
        for (struct item *item = items, *next; item; item = next) {
            next = item->next;
            item->done = true; /* its owner may return from here on */
        }
        (void)pthread_cond_broadcast(&store->finished);
    }
    (void)pthread_mutex_unlock(&store->lock);
    return NULL;
}

int clew__store_write(struct clew__store *store, clew__store_work *work, void *arg)
{
    struct item item = {.work = work, .arg = arg};

    (void)pthread_mutex_lock(&store->lock);
    *store->last = &item;
    store->last = &item.next;
    (void)pthread_cond_signal(&store->work);
    while (!item.done)
        (void)pthread_cond_wait(&store->finished, &store->lock);
    (void)pthread_mutex_unlock(&store->lock);
    return item.result < 0 ? clew_set_error(item.result, "%s", item.error) : item.result;
}

int clew__store_read(struct clew__store *store, clew__store_work *work, void *arg)
{
    int r;

    (void)pthread_mutex_lock(&store->read_lock);
    r = work(&store->reader, arg);
    (void)pthread_mutex_unlock(&store->read_lock);
    return r;
}

static int rest(struct clew__db *db, void *arg)
{
    (void)arg;
    clew__db_rest(db);
    return 0;
}

void clew__store_rest(struct clew__store *store)
{
    (void)clew__store_write(store, rest, NULL);
    (void)clew__store_read(store, rest, NULL);
}

/* Two processes on one store would send everything twice. */
static int take_lock(struct clew__store *store, const char *path, bool *ret_ours)
{
    char name[4200];

    (void)snprintf(name, sizeof(name), "%s.lock", path);
    *ret_ours = access(name, F_OK) == 0;
    store->lock_fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (store->lock_fd < 0)
        return clew_set_error(-errno, "the store %s: %s", name, strerror(errno));
    if (flock(store->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return 0;
    (void)close(store->lock_fd);
    store->lock_fd = -1;
    return clew_set_error(-EBUSY, "the store %s: another process uses it", path);
}

static int open_all(struct clew__store *store, const char *path)
{
    bool ours = false, shared = clew__db_is_shared(path);
    int r = shared ? 0 : take_lock(store, path, &ours);

    if (r == 0 && !shared)
        r = clew__salvage(path, ours);
    if (r >= 0)
        r = clew__db_open(&store->writer, path);
    if (r == 0)
        r = clew__db_migrate(&store->writer);
    if (r == 0)
        r = clew__db_open(&store->reader, path);
    if (r == 0)
        r = clew__leases_start(clew__db_is_shared(path) ? path : NULL, &store->leases);
    if (r < 0)
        return r;
    r = pthread_create(&store->thread, NULL, write_loop, store);
    return r ? clew_set_error(-r, "cannot start a thread: %s", strerror(r)) : 0;
}

static struct clew__store *free_store(struct clew__store *store)
{
    (void)clew__leases_stop(store->leases);
    clew__db_close(&store->reader);
    clew__db_close(&store->writer);
    free(store->journal);
    if (store->lock_fd >= 0)
        (void)close(store->lock_fd);
    (void)pthread_cond_destroy(&store->finished);
    (void)pthread_cond_destroy(&store->work);
    (void)pthread_mutex_destroy(&store->read_lock);
    (void)pthread_mutex_destroy(&store->lock);
    free(store);
    return NULL;
}

struct clew__leases *clew__store_leases(struct clew__store *store)
{
    return store->leases;
}

int clew__store_open(const char *where, struct clew__store **ret_store)
{
    struct clew__store *store = calloc(1, sizeof(*store));
    int r = 0;

    if (!store)
        return clew_set_error(-ENOMEM, "out of memory");
    store->lock_fd = -1;
    store->last = &store->first;
    (void)pthread_mutex_init(&store->lock, NULL);
    (void)pthread_mutex_init(&store->read_lock, NULL);
    (void)pthread_cond_init(&store->work, NULL);
    (void)pthread_cond_init(&store->finished, NULL);
    if (!clew__db_is_shared(where) && asprintf(&store->journal, "%s.inbox", where) < 0)
        store->journal = NULL, r = clew_set_error(-ENOMEM, "out of memory");
    if (r == 0)
        r = open_all(store, where);
    if (r < 0)
        (void)free_store(store);
    else
        *ret_store = store;
    return r;
}

const char *clew__store_journal(const struct clew__store *store)
{
    return store->journal;
}

struct clew__store *clew__store_close(struct clew__store *store)
{
    if (!store)
        return NULL;
    (void)pthread_mutex_lock(&store->lock);
    store->stop = true;
    (void)pthread_cond_signal(&store->work);
    (void)pthread_mutex_unlock(&store->lock);
    (void)pthread_join(store->thread, NULL);
    return free_store(store);
}
