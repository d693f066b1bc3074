/* SPDX-License-Identifier: Apache-2.0
 * One thread keeps one session with the database, in which each lease is an advisory
 * lock. So the database ends a lease when its holder's connection goes, at once after
 * a kill -9; and a holder that is stopped, or cut off, is thrown out after IDLE_S
 * without a word. The holder itself does not trust its leases for longer than
 * TRUST_NS after its last word, and that began before the server's time did: there is
 * no moment at which two think that they hold one, whatever their clocks show. The
 * row of a lease counts who has held it: what a former holder records late is known
 * by its epoch.
 *
 * When the database comes back after all were cut off, who held a lease before goes
 * first (GRACE_NS): it may have a request in flight and knows what became of it.
 *
 * The same session hears of what others queue (LISTEN), and of the database's health.
 *
 * Threads: `lock` guards the list's head and the watchers; entries are added by
 * anybody and removed by the thread alone; epochs are atomic. */
#include "lease.h"

#include "store.h"

#include <common/instant.h>

#include <clew/export.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#define ROUND_NS CLEW__SECOND_NS
#define TRUST_NS (3 * CLEW__SECOND_NS)
#define IDLE_S "4"
#define GRACE_NS (3 * CLEW__SECOND_NS)
#define WATCHERS_MAX 8u

/* Unlike a number of our own, the table's keeps schemas apart. */
#define KEY "'leases'::regclass::oid::int, ?1::int"

struct clew__lease {
    struct clew__leases *all;
    char name[256];
    int64_t id; /* of its row, 0: not known */
    _Atomic int64_t epoch;
    atomic_bool dropped;
    struct clew__lease *next;
};

struct watcher {
    void (*wake)(void *arg);
    void *arg;
};

struct clew__leases {
    char *where; /* NULL: no replicas, every lease is held */
    char holder[40];
    pthread_t thread;
    pthread_mutex_t lock;
    struct clew__lease *first;
    struct watcher watchers[WATCHERS_MAX];
    unsigned nwatchers;
    int event; /* wakes the thread */
    atomic_bool stop;
    _Atomic int64_t trusted_until;
    /* The thread's own. */
    struct clew__db db;
    bool connected;
    int64_t connected_at;
};

/* Frees it; the next one. */
static struct clew__lease *remove_lease(struct clew__leases *all, struct clew__lease *lease)
{
    struct clew__lease **at = &all->first, *next;

    (void)pthread_mutex_lock(&all->lock);
    while (*at != lease)
        at = &(*at)->next;
    *at = next = lease->next;
    (void)pthread_mutex_unlock(&all->lock);
    free(lease);
    return next;
}

/* ---- for everybody --------------------------------------------------- */

static void stir(struct clew__leases *all)
{
    const uint64_t one = 1;

    if (all->where && write(all->event, &one, sizeof(one)) < 0)
        return; /* it is full: the thread is stirred already */
}

struct clew__lease *clew__lease_want(struct clew__store *store, const char *name)
{
    struct clew__leases *all = clew__store_leases(store);
    struct clew__lease *lease = calloc(1, sizeof(*lease));

    if (!lease)
        return NULL;
    lease->all = all;
    (void)snprintf(lease->name, sizeof(lease->name), "%s", name);
    (void)pthread_mutex_lock(&all->lock);
    lease->next = all->first;
    all->first = lease;
    (void)pthread_mutex_unlock(&all->lock);
    stir(all);
    return lease;
}

struct clew__lease *clew__lease_drop(struct clew__lease *lease)
{
    struct clew__leases *all = lease ? lease->all : NULL;

    if (!lease)
        return NULL;
    if (!all->where) {
        (void)remove_lease(all, lease);
        return NULL;
    }
    atomic_store(&lease->dropped, true); /* the thread frees it */
    stir(all);
    return NULL;
}

int64_t clew__lease_epoch(const struct clew__lease *lease)
{
    int64_t epoch = atomic_load(&lease->epoch);

    if (!lease->all->where)
        return CLEW__LEASE_ALONE;
    return epoch && clew__instant_steady() < atomic_load(&lease->all->trusted_until) ? epoch : 0;
}

int clew__store_watch(struct clew__store *store, void (*wake)(void *arg), void *arg)
{
    struct clew__leases *all = clew__store_leases(store);
    int r = 0;

    (void)pthread_mutex_lock(&all->lock);
    if (all->nwatchers < WATCHERS_MAX)
        all->watchers[all->nwatchers++] = (struct watcher){wake, arg};
    else
        r = clew_set_error(-ENOMEM, "too many watchers of the store");
    (void)pthread_mutex_unlock(&all->lock);
    return r;
}

void clew__store_unwatch(struct clew__store *store, void *arg)
{
    struct clew__leases *all = clew__store_leases(store);

    (void)pthread_mutex_lock(&all->lock);
    for (unsigned i = 0; i < all->nwatchers; i++)
        if (all->watchers[i].arg == arg)
            all->watchers[i--] = all->watchers[--all->nwatchers];
    (void)pthread_mutex_unlock(&all->lock);
}

/* ---- the thread ------------------------------------------------------ */

static void wake_watchers(struct clew__leases *all)
{
    (void)pthread_mutex_lock(&all->lock);
    for (unsigned i = 0; i < all->nwatchers; i++)
        all->watchers[i].wake(all->watchers[i].arg);
    (void)pthread_mutex_unlock(&all->lock);
}

static struct clew__lease *first_of(struct clew__leases *all)
{
    struct clew__lease *first;

    (void)pthread_mutex_lock(&all->lock);
    first = all->first;
    (void)pthread_mutex_unlock(&all->lock);
    return first;
}

static void disconnect(struct clew__leases *all, const char *why)
{
    if (all->connected)
        clew_warn("the store cannot be reached, nothing is sent", clew_kv("error", why));
    (void)clew_health_set("store", false);
    atomic_store(&all->trusted_until, 0);
    for (struct clew__lease *lease = first_of(all); lease; lease = lease->next)
        atomic_store(&lease->epoch, 0);
    clew__db_close(&all->db);
    all->connected = false;
}

static int connect_session(struct clew__leases *all)
{
    int r = clew__db_open_session(&all->db, all->where);

    if (r == 0)
        r = clew__db_exec(&all->db, "SET idle_session_timeout = '" IDLE_S "s'; LISTEN alertbridge");
    if (r < 0)
        return r;
    all->connected = true;
    all->connected_at = clew__instant_steady();
    (void)clew_health_set("store", true);
    return 0;
}

/* The session's word that it lives. returns 1: leases are trusted again, 0, -errno */
static int renew(struct clew__leases *all)
{
    int64_t now = clew__instant_steady(), one;
    int r = clew__db_number(&all->db, 0, &one, "SELECT 1", "");

    if (r < 0)
        return r;
    return atomic_exchange(&all->trusted_until, now + TRUST_NS) <= clew__instant_steady();
}

/* returns 1 got, 0 another one has it, -errno */
static int take(struct clew__leases *all, struct clew__lease *lease)
{
    int64_t now = clew__instant_steady(), got = 0, epoch = 0;
    int r = 0;

    if (lease->id == 0)
        r = clew__db_number(&all->db, 0, &lease->id,
                            "INSERT INTO leases (name) VALUES (?1) ON CONFLICT (name)"
                            " DO UPDATE SET name = excluded.name RETURNING id",
                            "s", lease->name);
    if (r == 0)
        r = clew__db_number(&all->db, 0, &got,
                            "SELECT CASE WHEN holder IN ('', ?2) OR ?3 > 0"
                            " THEN pg_try_advisory_lock(" KEY ") ELSE false END"
                            " FROM leases WHERE id = ?1",
                            "isi", lease->id, all->holder,
                            now - all->connected_at - (int64_t)GRACE_NS);
    if (r < 0 || !got)
        return r;
    r = clew__db_number(&all->db, 0, &epoch,
                        "UPDATE leases SET epoch = epoch + 1, holder = ?2 WHERE id = ?1"
                        " RETURNING epoch",
                        "is", lease->id, all->holder);
    if (r < 0)
        return r;
    atomic_store(&lease->epoch, epoch);
    clew_info("lease taken", clew_kv("name", lease->name), clew_kv("epoch", epoch));
    return 1;
}

static int give_up(struct clew__leases *all, struct clew__lease *lease)
{
    int64_t done;
    int r;

    if (!all->connected || atomic_exchange(&lease->epoch, 0) == 0)
        return 0;
    r = clew__db_run(&all->db, "UPDATE leases SET holder = '' WHERE id = ?1 AND holder = ?2", "is",
                     lease->id, all->holder);
    return r == 0 ? clew__db_number(&all->db, 0, &done, "SELECT pg_advisory_unlock(" KEY ")", "i",
                                    lease->id)
                  : r;
}

/* returns 1: watchers have to look, 0, -errno: the session is of no use */
static int look_after_leases(struct clew__leases *all)
{
    int r = renew(all), news = r;

    for (struct clew__lease *lease = first_of(all); lease && r >= 0;) {
        if (atomic_load(&lease->dropped)) {
            r = give_up(all, lease);
            lease = remove_lease(all, lease);
            continue;
        }
        if (atomic_load(&lease->epoch) == 0) {
            r = take(all, lease);
            news |= r > 0;
        }
        lease = lease->next;
    }
    return r < 0 ? r : news;
}

static void do_round(struct clew__leases *all)
{
    int r = all->connected ? 0 : connect_session(all);

    if (r == 0)
        r = look_after_leases(all);
    if (r < 0)
        disconnect(all, clew_last_error());
    else if (r > 0)
        wake_watchers(all);
}

/* Sleeps until there is something to do, but no longer than `until`. */
static void rest(struct clew__leases *all, int64_t until)
{
    int64_t left = (until - clew__instant_steady()) / 1000000;
    int r = 0;

    if (left > 0 && all->connected)
        r = clew__db_wait(&all->db, all->event, (int)left);
    else if (left > 0)
        (void)poll(&(struct pollfd){all->event, POLLIN, 0}, 1, (int)left);
    if (r < 0)
        disconnect(all, clew_last_error());
    else if (r > 0)
        wake_watchers(all);
}

static void *keep(void *arg)
{
    struct clew__leases *all = arg;
    uint64_t times;

    while (!atomic_load(&all->stop)) {
        int64_t until = clew__instant_steady() + ROUND_NS;

        do_round(all);
        do {
            rest(all, until);
        } while (read(all->event, &times, sizeof(times)) < 0 && clew__instant_steady() < until);
    }
    for (struct clew__lease *lease = first_of(all); lease; lease = remove_lease(all, lease))
        (void)give_up(all, lease);
    clew__db_close(&all->db);
    return NULL;
}

/* ---- for store.c ------------------------------------------------------ */

static struct clew__leases *free_leases(struct clew__leases *all)
{
    if (all->event >= 0)
        (void)close(all->event);
    while (all->first)
        (void)remove_lease(all, all->first);
    (void)pthread_mutex_destroy(&all->lock);
    free(all->where);
    free(all);
    return NULL;
}

/* Another process, another holder. */
static void name_holder(struct clew__leases *all)
{
    uint64_t random = 0;

    (void)getrandom(&random, sizeof(random), GRND_NONBLOCK);
    (void)snprintf(all->holder, sizeof(all->holder), "%016llx-%d", (unsigned long long)random,
                   (int)getpid());
}

static int start_thread(struct clew__leases *all, const char *where)
{
    int r;

    all->where = strdup(where);
    if (!all->where)
        return clew_set_error(-ENOMEM, "out of memory");
    all->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (all->event < 0)
        return clew_set_error(-errno, "eventfd: %s", strerror(errno));
    name_holder(all);
    r = pthread_create(&all->thread, NULL, keep, all);
    return r ? clew_set_error(-r, "cannot start a thread: %s", strerror(r)) : 0;
}

int clew__leases_start(const char *where, struct clew__leases **ret_leases)
{
    struct clew__leases *all = calloc(1, sizeof(*all));
    int r;

    if (!all)
        return clew_set_error(-ENOMEM, "out of memory");
    all->event = -1;
    (void)pthread_mutex_init(&all->lock, NULL);
    r = where ? start_thread(all, where) : 0;
    if (r < 0)
        (void)free_leases(all);
    else
        *ret_leases = all;
    return r;
}

struct clew__leases *clew__leases_stop(struct clew__leases *all)
{
    if (!all)
        return NULL;
    if (all->where) {
        atomic_store(&all->stop, true);
        stir(all);
        (void)pthread_join(all->thread, NULL);
    }
    return free_leases(all);
}
