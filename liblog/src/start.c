/* SPDX-License-Identifier: Apache-2.0
 *
 * Beginning, end and fork. The core starts once; the child of a fork starts it
 * again for itself with its first record: own file, own rings, own collector,
 * the same outputs.
 */
#include "empty_priv.h"
#include "target_priv.h"

#include <clew/capture.h>
#include <clew/crash.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define STOP_TIMEOUT_MS 5000u

static pthread_mutex_t lifecycle_lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic enum { NEVER, RUNNING, STOPPED, FORKED } state;

static void lock(void)
{
    clew__self.locks++;
    pthread_mutex_lock(&lifecycle_lock);
}

static void unlock(void)
{
    pthread_mutex_unlock(&lifecycle_lock);
    clew__self.locks--;
}

static void before_fork(void)
{
    lock();
    clew__registry_lock();
}

static void in_parent(void)
{
    clew__registry_unlock();
    unlock();
}

static void in_child(void)
{
    if (state == RUNNING) {
        state = FORKED;
        clew__rings_forget();
        clew__file_forget();
        clew__batches_after_fork();
        clew__targets_after_fork();
        clew__collector_after_fork();
    }
    atomic_fetch_add(&clew__epoch, 1);
    if (clew__span_hooks)
        clew__span_hooks->after_fork();
    clew__registry_unlock();
    unlock();
}

/* Opens the file and starts the thread; lifecycle_lock held. */
static int run(void)
{
    int fallback, err;

    clew__ticks_begin();
    fallback =
        clew__file_open(clew__config.ring_directory, clew__config.service, clew__config.version);
    if (fallback < 0)
        return fallback;
    clew__sites_save();
    clew__targets_describe();
    err = clew__collector_start();
    if (err < 0) {
        clew__file_close(true);
        return err;
    }
    state = RUNNING;
    return fallback;
}

static int set_levels(void)
{
    char why[512];

    if (clew_log_set_levels(clew__config.levels) == 0)
        return 0;
    (void)snprintf(why, sizeof(why), "%s", clew_last_error());
    return clew_set_error(-EINVAL, "CLEW_LOG_LEVEL=%.100s: %s", clew__config.levels, why);
}

static int first_start(const char *service, const char *version)
{
    static bool registered;
    int err = clew__config_read(service, version);

    if (err == 0)
        err = set_levels();
    if (err == 0)
        err = clew__targets_open();
    if (err < 0)
        return err;
    err = run();
    if (err < 0) {
        clew__targets_close();
        return err;
    }
    if (!registered) {
        registered = true;
        (void)pthread_atfork(before_fork, in_parent, in_child);
        (void)atexit(clew_log_stop);
    }
    return err;
}

/* What the environment asks for on top. */
static void add_extras(void)
{
    if (clew__config.crash && clew_crash_install() < 0)
        clew_warn("crashes will not be reported", clew_kv("reason", clew_last_error()));
    if (clew__config.capture_stderr != CLEW_LEVEL_OFF &&
        clew_capture_stderr(clew__config.capture_stderr) < 0)
        clew_warn("stderr is not captured", clew_kv("reason", clew_last_error()));
}

static int start(const char *service, const char *version)
{
    bool fresh = false;
    int err = 0;

    lock();
    switch (atomic_load(&state)) {
    case RUNNING:
        err = 1;
        break;
    case NEVER:
        err = first_start(service, version);
        fresh = err >= 0;
        break;
    case FORKED:
        err = run();
        break;
    case STOPPED:
        err = clew_set_error(-ESHUTDOWN, "logging was stopped and cannot start again");
        break;
    }
    unlock();
    if (fresh)
        add_extras();
    return err;
}

int clew_log_start(const char *service, const char *version)
{
    bool first = state != RUNNING;
    int err = start(service, version);

    if (err < 0 || !first)
        return err;
    if (err > 0) /* fell back: reason in clew_last_error() */
        clew_warn("rings have no file, a crash would lose what is not written yet",
                  clew_kv("reason", clew_last_error()));
    return 0;
}

bool clew__ensure_started(void)
{
    if (state == RUNNING)
        return true;
    return state != STOPPED && start(NULL, NULL) >= 0;
}

int clew_log_flush(unsigned timeout_ms)
{
    return clew__collector_flush(clew__monotonic_ns() + timeout_ms * UINT64_C(1000000));
}

int clew_log_shutdown(unsigned timeout_ms)
{
    int err = 0;

    lock();
    if (state == RUNNING) {
        err = clew__collector_stop(clew__monotonic_ns() + timeout_ms * UINT64_C(1000000));
        (void)clew_log_set_level(CLEW_LEVEL_OFF);
        state = STOPPED;
    }
    unlock();
    return err;
}

void clew_log_stop(void)
{
    (void)clew_log_shutdown(STOP_TIMEOUT_MS);
}
