/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of health checks, and what it says at any moment. A verdict is made
 * from the last result and the clock: a run that takes longer than it may fails
 * its check while it still hangs, with nobody watching it.
 */
#include "health_priv.h"

#include "batcher.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define MS UINT64_C(1000000)
#define INTERVAL_MS 5000u
#define TIMEOUT_MS 2000u
#define DAY_MS 86400000u
#define HOUR_MS 3600000u

pthread_mutex_t clew__health_lock = PTHREAD_MUTEX_INITIALIZER;
struct clew__check clew__checks[CLEW_HEALTH_CHECKS_MAX];
size_t clew__nchecks;

static _Atomic bool draining;

void clew_drain(void)
{
    atomic_store(&draining, true);
}

/* ---- adding ---------------------------------------------------------------------- */

static int check_name(const char *name)
{
    size_t n = name ? strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                   "0123456789_.-")
                    : 0;

    if (n < 1 || n > CLEW_HEALTH_NAME_MAX || name[n])
        return clew_set_error(-EINVAL, "health check: a name is 1 to %u of [a-zA-Z0-9_.-]",
                              CLEW_HEALTH_NAME_MAX);
    return 0;
}

/* The check of that name, made if it is new; NULL when there is no room. The
 * lock is held. */
static struct clew__check *find_or_make(const char *name, bool *ret_made)
{
    struct clew__check *check = clew__checks, *end = clew__checks + clew__nchecks;

    while (check < end && strcmp(check->name, name) != 0)
        check++;
    *ret_made = check == end;
    if (check < end)
        return check;
    if (clew__nchecks == CLEW_HEALTH_CHECKS_MAX) {
        (void)clew_set_error(-ENOSPC, "health check %s: there are %u already", name,
                             CLEW_HEALTH_CHECKS_MAX);
        return NULL;
    }
    *check = (struct clew__check){.said = true};
    memcpy(check->name, name, strlen(name) + 1);
    clew__nchecks++;
    return check;
}

int clew_health_add(const struct clew_health_check *wanted)
{
    unsigned interval_ms, timeout_ms;
    struct clew__check *check;
    bool made;

    if (!wanted || !wanted->check)
        return clew_set_error(-EINVAL, "health check: there is no function");
    if (check_name(wanted->name) < 0)
        return -EINVAL;
    interval_ms = wanted->interval_ms ? wanted->interval_ms : INTERVAL_MS;
    timeout_ms = wanted->timeout_ms ? wanted->timeout_ms : TIMEOUT_MS;
    if (interval_ms < 10 || interval_ms > DAY_MS || timeout_ms > HOUR_MS)
        return clew_set_error(-EINVAL,
                              "health check %s: the interval is 10 to %u ms, the timeout 1 to %u",
                              wanted->name, DAY_MS, HOUR_MS);
    pthread_mutex_lock(&clew__health_lock);
    check = find_or_make(wanted->name, &made);
    if (made && check) {
        check->arg = wanted->arg;
        check->interval_ns = interval_ms * MS;
        check->timeout_ns = timeout_ms * MS;
        check->liveness = wanted->liveness;
        check->due_ns = clew__now_ns();
        check->run = wanted->check;
        clew__health_wake();
    }
    pthread_mutex_unlock(&clew__health_lock);
    if (!check)
        return -ENOSPC;
    if (!made)
        return clew_set_error(-EEXIST, "health check %s: the name is taken", wanted->name);
    clew__health_metrics_add(check->name);
    return 0;
}

int clew_health_set(const char *name, bool healthy)
{
    struct clew__check *check;
    bool made, is_function;

    if (check_name(name) < 0)
        return -EINVAL;
    pthread_mutex_lock(&clew__health_lock);
    check = find_or_make(name, &made);
    is_function = check && check->run;
    if (check && !is_function) {
        check->known = true;
        check->healthy = healthy;
    }
    pthread_mutex_unlock(&clew__health_lock);
    if (!check)
        return -ENOSPC;
    if (is_function)
        return clew_set_error(-EEXIST, "health check %s: has a function", name);
    if (made)
        clew__health_metrics_add(check->name);
    return 0;
}

/* ---- reading --------------------------------------------------------------------- */

bool clew__check_passes(const struct clew__check *check, uint64_t now,
                        char ret_reason[CLEW__HEALTH_TEXT_MAX])
{
    uint64_t allowed = check->timeout_ns;

    ret_reason[0] = '\0';
    if (check->running && now - check->started_ns > allowed) {
        (void)snprintf(ret_reason, CLEW__HEALTH_TEXT_MAX, "no answer within %llu ms",
                       (unsigned long long)(allowed / MS));
        return false;
    }
    if (!check->known) {
        if (!check->liveness)
            (void)snprintf(ret_reason, CLEW__HEALTH_TEXT_MAX, "not checked yet");
        return check->liveness;
    }
    /* Nobody came to run it: there is no memory for a thread, say. */
    if (check->run && !check->running && now > check->due_ns &&
        now - check->due_ns > check->interval_ns + allowed) {
        (void)snprintf(
            ret_reason, CLEW__HEALTH_TEXT_MAX, "not checked for %llu s",
            (unsigned long long)((now - check->due_ns + check->interval_ns) / MS / 1000));
        return false;
    }
    if (!check->healthy)
        (void)snprintf(ret_reason, CLEW__HEALTH_TEXT_MAX, "%s",
                       check->reason[0] ? check->reason : "check failed");
    return check->healthy;
}

void clew__health_read(struct clew__health *ret)
{
    uint64_t now;

    ret->healthy = ret->live = true;
    pthread_mutex_lock(&clew__health_lock);
    now = clew__now_ns();
    ret->n = clew__nchecks;
    for (size_t i = 0; i < ret->n; i++) {
        const struct clew__check *check = &clew__checks[i];
        struct clew__health_result *result = &ret->checks[i];

        memcpy(result->name, check->name, sizeof(result->name));
        result->healthy = clew__check_passes(check, now, result->reason);
        ret->healthy &= result->healthy;
        ret->live &= result->healthy || !check->liveness;
    }
    pthread_mutex_unlock(&clew__health_lock);
    ret->ready = ret->healthy && !atomic_load(&draining);
}
