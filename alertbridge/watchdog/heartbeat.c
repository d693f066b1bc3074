/* SPDX-License-Identifier: Apache-2.0
 * It beats only if the store has just taken a change and every sender has looked at its
 * queue lately, so it stands still when the disk is full, the database away or a
 * thread stuck; not when a far side is down, which is no fault of the bridge and has
 * metrics. A thread of its own: one that hangs delays no timer. */
#include "heartbeat.h"

#include <common/instant.h>
#include <delivery/connection.h>

#include <clew/log.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MS 10000L
#define SILENT_NS (300 * CLEW__SECOND_NS) /* a sender may take so long for one delivery */

struct clew__heart {
    struct clew__store *store;
    atomic_bool abort;
    pthread_t thread;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t changed;
    bool stop;
    struct clew__config *config;
    struct clew__senders *senders;
};

static const struct clew__receiver_ops kind = {.kind = "heartbeat"};

static int touch(struct clew__db *db, void *arg)
{
    return clew__db_run(db,
                        "INSERT INTO heartbeats (id, at) VALUES (1, ?1)"
                        " ON CONFLICT (id) DO UPDATE SET at = excluded.at",
                        "i", *(int64_t *)arg);
}

/* With the lock held: the senders stay. */
static bool works(struct clew__heart *heart)
{
    int64_t now = clew__instant_now();

    if (!heart->senders || !clew__senders_alive(heart->senders, SILENT_NS)) {
        clew_error("no heartbeat: a sender is stuck, or there are none");
        return false;
    }
    if (clew__store_write(heart->store, touch, &now) < 0) {
        clew_error("no heartbeat: the store takes nothing", clew_kv("error", clew_last_error()));
        return false;
    }
    return true;
}

/* By a connection of its own: one that is kept would cost memory all the time. */
static void beat(struct clew__heart *heart, const struct clew__config *config)
{
    const struct clew__integration whom = {.ops = &kind, .url = config->heartbeat.url};
    struct clew__connection *connection = clew__connection_new(&heart->abort);
    struct clew__buf body;
    struct clew__answer answer;

    if (!connection)
        return;
    clew__buf_init(&body, 64);
    clew__buf_adds(&body, "{}\n");
    clew__http_send(connection, &whom,
                    &(struct clew__http_request){.body = config->heartbeat.post ? &body : NULL,
                                                 .timeout_ms = TIMEOUT_MS},
                    &answer);
    clew__buf_done(&body);
    if (answer.status < 200 || answer.status > 299)
        clew_warn("the heartbeat was not heard", clew_kv("status", answer.status),
                  clew_kv("reason", answer.problem));
    (void)clew__connection_free(connection);
}

static bool is_on(const struct clew__config *config)
{
    return config->heartbeat.url && *config->heartbeat.url;
}

static void *run(void *arg)
{
    struct clew__heart *heart = arg;
    struct timespec until;

    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    (void)pthread_mutex_lock(&heart->lock);
    while (!heart->stop) {
        struct clew__config *config = clew__config_ref(heart->config);
        int64_t every = is_on(config) ? config->heartbeat.every_ns : 60 * CLEW__SECOND_NS;
        bool due = is_on(config) && works(heart);
        int r = 0;

        (void)pthread_mutex_unlock(&heart->lock);
        if (due)
            beat(heart, config);
        (void)pthread_mutex_lock(&heart->lock);
        until.tv_sec += every / CLEW__SECOND_NS;
        while (!heart->stop && heart->config == config && r == 0)
            r = pthread_cond_timedwait(&heart->changed, &heart->lock, &until);
        if (r == 0) /* not in time: count anew */
            (void)clock_gettime(CLOCK_MONOTONIC, &until);
        (void)clew__config_free(config);
    }
    (void)pthread_mutex_unlock(&heart->lock);
    return NULL;
}

static struct clew__heart *free_heart(struct clew__heart *heart)
{
    (void)clew__config_free(heart->config);
    (void)pthread_cond_destroy(&heart->changed);
    (void)pthread_mutex_destroy(&heart->lock);
    free(heart);
    return NULL;
}

int clew__heart_start(struct clew__config *config, struct clew__store *store,
                      struct clew__senders *senders, struct clew__heart **ret_heart)
{
    struct clew__heart *heart = calloc(1, sizeof(*heart));
    pthread_condattr_t monotonic;
    int r;

    if (!heart)
        return clew_set_error(-ENOMEM, "out of memory");
    heart->store = store;
    heart->config = clew__config_ref(config);
    heart->senders = senders;
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&heart->changed, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    (void)pthread_mutex_init(&heart->lock, NULL);
    r = pthread_create(&heart->thread, NULL, run, heart);
    if (r) {
        (void)free_heart(heart);
        return clew_set_error(-r, "cannot start a thread: %s", strerror(r));
    }
    *ret_heart = heart;
    return 0;
}

void clew__heart_use(struct clew__heart *heart, struct clew__config *config,
                     struct clew__senders *senders)
{
    struct clew__config *former;

    (void)pthread_mutex_lock(&heart->lock);
    former = heart->config;
    heart->config = clew__config_ref(config);
    heart->senders = senders;
    (void)pthread_cond_signal(&heart->changed);
    (void)pthread_mutex_unlock(&heart->lock);
    (void)clew__config_free(former);
}

struct clew__heart *clew__heart_stop(struct clew__heart *heart)
{
    if (!heart)
        return NULL;
    atomic_store(&heart->abort, true);
    (void)pthread_mutex_lock(&heart->lock);
    heart->stop = true;
    (void)pthread_cond_signal(&heart->changed);
    (void)pthread_mutex_unlock(&heart->lock);
    (void)pthread_join(heart->thread, NULL);
    return free_heart(heart);
}
