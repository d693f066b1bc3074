/* SPDX-License-Identifier: Apache-2.0
 * One thread takes what is due, oldest first. The removal of a timer and all that
 * its handler does are one transaction, which only happens if the row is still as
 * it was read: so a kill neither loses nor repeats a timer, and of several
 * processes on one store one fires it.
 *
 * It looks at the store twice a second, so a timer that was set meanwhile, here or
 * by another process, needs nobody to tell of it; for one that it knows it wakes
 * up in time. At each look it compares the wall clock with one that nobody sets:
 * when they part, all spans of time that run are moved along, and so are the
 * deliveries that wait; what waits for a time of the clock is not. */
#include "thread.h"

#include <common/instant.h>
#include <common/metrics.h>
#include <store/lease.h>

#include <clew/log.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LOOK_NS (CLEW__SECOND_NS / 2)
#define JUMP_NS (2 * CLEW__SECOND_NS)   /* less is the clock being slewed */
#define ASK_NS (3 * CLEW__SECOND_NS)    /* so long before a timer, Alertmanager is asked */
#define WAIT_NS (CLEW__SECOND_NS / 2)   /* and so long after it, its answer is waited for */
#define START_NS (5 * CLEW__SECOND_NS)  /* the same for what was due before the start */
#define AGAIN_NS (30 * CLEW__SECOND_NS) /* after a handler that failed */

struct clew__timers {
    struct clew__store *store;
    struct clew__watch *watch;
    int64_t started_at;
    struct clew__lease *lease;
    const struct clew__timer_ops *const *kinds;
    pthread_t thread;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t changed;
    bool stop;
    /* Held while a timer fires, so that neither goes away under it. */
    pthread_mutex_t use;
    struct clew__config *config;
    struct clew__senders *senders;
    bool alone; /* no other process works with the store */
    /* The thread's own. */
    int64_t offset; /* wall clock less the steady one */
    int64_t newest; /* the highest timer's id at the last look */
};

/* ---- work on the store --------------------------------------------------- */

struct look {
    struct clew__timer timer; /* results: the first one; id 0: none */
    int64_t newest;
};

static int look(struct clew__db *db, void *arg)
{
    struct look *look = arg;
    struct clew__timer *timer = &look->timer;
    struct clew__row *row = clew__db_prepare(db,
                                             "SELECT id, kind, key, due_at, arg FROM timers"
                                             " ORDER BY due_at, id LIMIT 1",
                                             "");
    int r = row ? clew__db_step(db, row) : -EIO;

    timer->id = 0;
    if (r < 0)
        return r;
    if (r == 1) {
        timer->id = clew__db_int(row, 0);
        (void)snprintf(timer->kind, sizeof(timer->kind), "%s", clew__db_text(row, 1));
        (void)snprintf(timer->key, sizeof(timer->key), "%s", clew__db_text(row, 2));
        timer->due_at = clew__db_int(row, 3);
        (void)snprintf(timer->arg, sizeof(timer->arg), "%s", clew__db_text(row, 4));
        clew__db_reset(row);
    }
    return clew__db_number(db, 0, &look->newest, "SELECT max(id) FROM timers", "");
}

struct fire {
    struct clew__firing firing;
    const struct clew__timer_ops *ops; /* NULL: of another version of this program */
    bool fired;                        /* result; false: it has changed since, or is gone */
};

static int fire(struct clew__db *db, void *arg)
{
    struct fire *fire = arg;
    const struct clew__timer *timer = fire->firing.timer;
    int r;

    if (!fire->ops)
        return clew_set_error(-ENOSYS, "no timer of this kind is known");
    r = clew__db_run(db, "DELETE FROM timers WHERE id = ?1 AND due_at = ?2 AND arg = ?3", "iis",
                     timer->id, timer->due_at, timer->arg);
    fire->firing.ndeliveries = 0;
    fire->fired = r == 0 && clew__db_changed(db) > 0;
    return fire->fired ? fire->ops->fire(db, &fire->firing) : r;
}

static int put_off(struct clew__db *db, void *arg)
{
    const struct clew__firing *firing = arg;

    return clew__db_run(db, "UPDATE timers SET due_at = ?3 WHERE id = ?1 AND due_at = ?2", "iii",
                        firing->timer->id, firing->timer->due_at, firing->now + AGAIN_NS);
}

struct jump {
    int64_t by, newest;
};

/* A timer that was set since the last look may be of either clock: it is left. */
static int follow_jump(struct clew__db *db, void *arg)
{
    const struct jump *jump = arg;
    int r =
        clew__db_run(db, "UPDATE timers SET due_at = due_at + ?1 WHERE elapsing = 1 AND id <= ?2",
                     "ii", jump->by, jump->newest);

    return r == 0 ? clew__db_run(db,
                                 "UPDATE deliveries SET next_attempt_at = next_attempt_at + ?1"
                                 " WHERE state = 'queued'",
                                 "i", jump->by)
                  : r;
}

/* ---- the thread ----------------------------------------------------------- */

static const struct clew__timer_ops *find_kind(const struct clew__timers *timers, const char *kind)
{
    for (size_t i = 0; timers->kinds[i]; i++)
        if (strcmp(timers->kinds[i]->kind, kind) == 0)
            return timers->kinds[i];
    return NULL;
}

/* Asks in time, so that the answer is there when the timer is due: a far side that is
 * slow or gone makes no page late. */
static void ask_ahead(struct clew__timers *timers, const struct clew__timer *timer, int64_t now)
{
    const struct clew__timer_ops *ops = find_kind(timers, timer->kind);

    if (ops && ops->confirms && timer->due_at - now <= ASK_NS)
        clew__watch_ask(timers->watch, timer->due_at - CLEW__WATCH_FRESH_NS);
}

static void await_answer(struct clew__timers *timers, const struct clew__timer *timer)
{
    int64_t until = timer->due_at + WAIT_NS, start = timers->started_at + START_NS;

    clew__watch_wait(timers->watch, timer->due_at - CLEW__WATCH_FRESH_NS,
                     until > start ? until : start);
}

static void fire_timer(struct clew__timers *timers, const struct clew__timer *timer)
{
    struct fire work = {.firing = {.timer = timer, .watch = timers->watch},
                        .ops = find_kind(timers, timer->kind)};
    int64_t now;
    int r;

    if (work.ops && work.ops->confirms)
        await_answer(timers, timer);
    work.firing.now = now = clew__instant_now();

    (void)pthread_mutex_lock(&timers->use);
    work.firing.config = timers->config;
    r = clew__store_write(timers->store, fire, &work);
    if (r >= 0 && work.firing.ndeliveries && timers->senders)
        clew__senders_wake(timers->senders);
    (void)pthread_mutex_unlock(&timers->use);
    if (r >= 0) {
        if (work.fired)
            clew__metrics_timer(timer->kind, (double)(now - timer->due_at) / 1e9);
        return;
    }
    clew_error("a timer cannot do its work now", clew_kv("kind", timer->kind),
               clew_kv("key", timer->key), clew_kv("error", clew_last_error()));
    /* The others go on; without the store they all wait. */
    (void)clew__store_write(timers->store, put_off, &work.firing);
}

/* 0; -errno: the spans of time could not be moved, nothing may fire. */
static int watch_clock(struct clew__timers *timers)
{
    int64_t offset = clew__instant_now() - clew__instant_steady();
    struct jump jump = {offset - timers->offset, timers->newest};
    int r;

    if (clew__lease_epoch(timers->lease) == 0)
        jump.by = 0; /* whoever fires them looks after them */
    if (jump.by < JUMP_NS && jump.by > -JUMP_NS) {
        timers->offset = offset;
        return 0;
    }
    /* What replicas share is measured with all their clocks; the others are right. */
    r = timers->alone ? clew__store_write(timers->store, follow_jump, &jump) : 0;
    if (r < 0)
        return r;
    clew_warn("the clock was set", clew_kv("seconds", (double)jump.by / 1e9),
              clew_kv("spans_moved_along", timers->alone));
    timers->offset = offset;
    return 0;
}

/* Fires what is due; returns for how long there is nothing to do. */
static int64_t work_off(struct clew__timers *timers)
{
    struct look work;
    int64_t now;

    if (watch_clock(timers) < 0 || clew__store_read(timers->store, look, &work) < 0) {
        clew_error("the store cannot be used", clew_kv("error", clew_last_error()));
        return LOOK_NS;
    }
    timers->newest = work.newest;
    if (clew__lease_epoch(timers->lease) == 0)
        return LOOK_NS;
    now = clew__instant_now();
    if (work.timer.id)
        ask_ahead(timers, &work.timer, now);
    if (work.timer.id == 0 || work.timer.due_at - now > LOOK_NS)
        return LOOK_NS;
    if (work.timer.due_at > now)
        return work.timer.due_at - now;
    fire_timer(timers, &work.timer);
    return 0;
}

static void *run(void *arg)
{
    struct clew__timers *timers = arg;
    struct timespec time;
    bool stop = false;

    while (!stop) {
        int64_t wait = work_off(timers), until;

        (void)clock_gettime(CLOCK_MONOTONIC, &time);
        until = time.tv_sec * CLEW__SECOND_NS + time.tv_nsec + wait;
        time = (struct timespec){until / CLEW__SECOND_NS, until % CLEW__SECOND_NS};
        (void)pthread_mutex_lock(&timers->lock);
        while (!timers->stop && wait)
            if (pthread_cond_timedwait(&timers->changed, &timers->lock, &time))
                break;
        stop = timers->stop;
        (void)pthread_mutex_unlock(&timers->lock);
    }
    return NULL;
}

static struct clew__timers *free_timers(struct clew__timers *timers)
{
    (void)clew__lease_drop(timers->lease);
    (void)clew__config_free(timers->config);
    (void)pthread_mutex_destroy(&timers->use);
    (void)pthread_cond_destroy(&timers->changed);
    (void)pthread_mutex_destroy(&timers->lock);
    free(timers);
    return NULL;
}

int clew__timers_start(struct clew__config *config, struct clew__store *store,
                       struct clew__senders *senders, struct clew__watch *watch,
                       const struct clew__timer_ops *const *kinds, struct clew__timers **ret_timers)
{
    struct clew__timers *timers = calloc(1, sizeof(*timers));
    pthread_condattr_t monotonic;
    int r;

    if (!timers)
        return clew_set_error(-ENOMEM, "out of memory");
    timers->config = clew__config_ref(config);
    timers->store = store;
    timers->alone = !clew__db_is_shared(config->storage);
    timers->senders = senders;
    timers->watch = watch;
    timers->started_at = clew__instant_now();
    timers->kinds = kinds;
    timers->offset = clew__instant_now() - clew__instant_steady();
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&timers->changed, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    (void)pthread_mutex_init(&timers->lock, NULL);
    (void)pthread_mutex_init(&timers->use, NULL);
    timers->lease = clew__lease_want(store, "timers");
    r = timers->lease ? pthread_create(&timers->thread, NULL, run, timers) : ENOMEM;
    if (r) {
        (void)free_timers(timers);
        return clew_set_error(-r, "cannot start a thread: %s", strerror(r));
    }
    *ret_timers = timers;
    return 0;
}

void clew__timers_use(struct clew__timers *timers, struct clew__config *config,
                      struct clew__senders *senders)
{
    struct clew__config *old;

    (void)pthread_mutex_lock(&timers->use);
    old = timers->config;
    timers->config = clew__config_ref(config);
    timers->senders = senders;
    (void)pthread_mutex_unlock(&timers->use);
    (void)clew__config_free(old);
}

struct clew__timers *clew__timers_stop(struct clew__timers *timers)
{
    if (!timers)
        return NULL;
    (void)pthread_mutex_lock(&timers->lock);
    timers->stop = true;
    (void)pthread_cond_signal(&timers->changed);
    (void)pthread_mutex_unlock(&timers->lock);
    (void)pthread_join(timers->thread, NULL);
    return free_timers(timers);
}
