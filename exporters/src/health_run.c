/* SPDX-License-Identifier: Apache-2.0
 *
 * The threads that run health checks. All are alike: each waits for the next
 * check that is due, and runs it. Before one goes into a check it makes sure
 * that another one waits, so a check that hangs costs its own thread and nothing
 * else; and since a check runs once at a time, there are never more threads than
 * checks, and one. As a rule there are two. What waits more than that goes home.
 *
 * Threads: all state is under clew__health_lock. A check runs without it.
 */
#include "health_priv.h"

#include "batcher.h"

#include <buf.h>
#include <json.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define SPARE 2u

static pthread_cond_t changed; /* of a monotonic clock */
static bool started, stopping;
static unsigned workers, busy;

static uint64_t min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Until then, or a change. The lock is held. */
static void wait_until(uint64_t ns)
{
    const struct timespec at = {.tv_sec = (time_t)(ns / 1000000000u),
                                .tv_nsec = (long)(ns % 1000000000u)};

    if (ns == UINT64_MAX)
        pthread_cond_wait(&changed, &clew__health_lock);
    else
        (void)pthread_cond_timedwait(&changed, &clew__health_lock, &at);
}

void clew__health_wake(void)
{
    if (started)
        pthread_cond_broadcast(&changed);
}

/* ---- what there is to do --------------------------------------------------------- */

/* A check that is due; NULL and the next instant at which something may be. */
static struct clew__check *next_due(uint64_t now, uint64_t *ret_next)
{
    *ret_next = UINT64_MAX;
    for (size_t i = 0; i < clew__nchecks; i++) {
        struct clew__check *check = &clew__checks[i];

        if (!check->run)
            continue;
        if (!check->running && check->due_ns <= now)
            return check;
        if (!check->running)
            *ret_next = min(*ret_next, check->due_ns);
        else if (check->said && check->started_ns + check->timeout_ns >= now)
            *ret_next = min(*ret_next, check->started_ns + check->timeout_ns + 1);
    }
    return NULL;
}

/* Logs one change, without the lock; false when there is none. */
static bool say_change(uint64_t now)
{
    for (size_t i = 0; i < clew__nchecks; i++) {
        struct clew__check *check = &clew__checks[i];
        struct clew__health_result result;

        if (!check->run || (!check->known && !check->running))
            continue;
        result.healthy = clew__check_passes(check, now, result.reason);
        if (result.healthy == check->said ||
            (!check->known && !result.healthy && now - check->started_ns <= check->timeout_ns))
            continue;
        check->said = result.healthy;
        memcpy(result.name, check->name, sizeof(result.name));
        pthread_mutex_unlock(&clew__health_lock);
        if (result.healthy)
            clew_info("health check passes again", clew_kv("check", (const char *)result.name));
        else
            clew_warn("health check failed", clew_kv("check", (const char *)result.name),
                      clew_kv("reason", (const char *)result.reason));
        pthread_mutex_lock(&clew__health_lock);
        return true;
    }
    return false;
}

/* ---- the workers ------------------------------------------------------------------ */

static void *work(void *unused);

/* The lock is held. */
static int add_worker(void)
{
    pthread_attr_t attr;
    sigset_t all, old;
    pthread_t thread;
    int err;

    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    err = pthread_create(&thread, &attr, work, NULL);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
    workers += err == 0;
    return err;
}

/* Any bytes a check may have written, as text. */
static void keep_reason(struct clew__check *check, const char *reason)
{
    struct clew__buf clean;
    size_t len;

    check->reason[0] = '\0';
    clew__buf_init(&clean, 4 * CLEW_HEALTH_REASON_MAX);
    clew__utf8_clean(&clean, reason, strlen(reason));
    if (!clean.failed && clean.len) {
        len = clew__utf8_cut(clean.data, clean.len, CLEW_HEALTH_REASON_MAX - 1);
        memcpy(check->reason, clean.data, len);
        check->reason[len] = '\0';
    }
    clew__buf_done(&clean);
}

static void keep_result(struct clew__check *check, bool healthy, const char *reason)
{
    uint64_t now = clew__now_ns(), took = now - check->started_ns;

    check->running = false;
    check->known = true;
    check->due_ns = now + check->interval_ns;
    check->healthy = healthy && took <= check->timeout_ns;
    keep_reason(check, healthy ? "" : reason);
    if (healthy && !check->healthy)
        (void)snprintf(check->reason, sizeof(check->reason), "took %llu ms, allowed are %llu",
                       (unsigned long long)(took / 1000000u),
                       (unsigned long long)(check->timeout_ns / 1000000u));
}

/* The lock is held, but not while the check runs. */
static void run(struct clew__check *check, uint64_t now)
{
    char reason[CLEW_HEALTH_REASON_MAX] = "";
    bool healthy;

    check->running = true;
    check->started_ns = now;
    busy++;
    if (busy == workers)
        (void)add_worker(); /* without one the others wait for this check */
    else
        pthread_cond_signal(&changed); /* somebody minds its timeout */
    pthread_mutex_unlock(&clew__health_lock);
    healthy = check->run(check->arg, reason, sizeof(reason));
    reason[sizeof(reason) - 1] = '\0';
    pthread_mutex_lock(&clew__health_lock);
    busy--;
    keep_result(check, healthy, reason);
}

static void *work(void *unused)
{
    (void)unused;
    (void)pthread_setname_np(pthread_self(), "clew-health");
    pthread_mutex_lock(&clew__health_lock);
    while (!stopping && workers - busy <= SPARE) {
        uint64_t now = clew__now_ns(), next;
        struct clew__check *check;

        if (say_change(now))
            continue;
        check = next_due(now, &next);
        if (check)
            run(check, now);
        else
            wait_until(next);
    }
    workers--;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&clew__health_lock);
    return NULL;
}

/* ---- start and end ------------------------------------------------------------------ */

/* The workers are the parent's, and so are the checks. */
static void in_child(void)
{
    pthread_mutex_init(&clew__health_lock, NULL);
    started = false;
    workers = busy = 0;
}

int clew__health_start(void)
{
    pthread_condattr_t attr;
    int err;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&changed, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_lock(&clew__health_lock);
    err = add_worker();
    started = err == 0;
    pthread_mutex_unlock(&clew__health_lock);
    if (err)
        return clew_set_error(-err, "health checks: thread: %s", strerror(err));
    (void)pthread_atfork(NULL, NULL, in_child);
    return 0;
}

/* How many runs are within their time, and when the first of them is over. */
static unsigned count_answering(uint64_t now, uint64_t *ret_next)
{
    unsigned n = 0;

    *ret_next = UINT64_MAX;
    for (size_t i = 0; i < clew__nchecks; i++)
        if (clew__checks[i].running &&
            now - clew__checks[i].started_ns <= clew__checks[i].timeout_ns) {
            n++;
            *ret_next = min(*ret_next, clew__checks[i].started_ns + clew__checks[i].timeout_ns + 1);
        }
    return n;
}

void clew__health_stop(uint64_t deadline_ns)
{
    uint64_t now, next;

    pthread_mutex_lock(&clew__health_lock);
    if (started) {
        stopping = true;
        pthread_cond_broadcast(&changed);
        while ((now = clew__now_ns()) < deadline_ns &&
               (count_answering(now, &next) > 0 || workers > busy))
            wait_until(min(next, deadline_ns));
    }
    pthread_mutex_unlock(&clew__health_lock);
}
