/* SPDX-License-Identifier: Apache-2.0
 *
 * The process' rules: the built-in ones and those of the file that
 * CLEW_METRICS_RULES names. A thread looks every two seconds whether that file is
 * another one than before: by its name, so that editors and mounted
 * configuration, which put a new file in its place, are noticed too. A file that
 * is wrong is told once, and the rules stay.
 */
#include "rules_priv.h"

#include "settings_priv.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define LOOK_EVERY_S 2

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of all that follows */
static char *file;                                       /* NULL: none is named */
static struct stat seen;
static pthread_t watcher;
static bool watching, stopping;
static pthread_cond_t wake;

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* All zero when it is not there. */
static struct stat look(void)
{
    struct stat now;

    if (!file || stat(file, &now) < 0)
        memset(&now, 0, sizeof(now));
    return now;
}

/* lock is held. */
static int use_file(void)
{
    struct clew__rules *set;
    int err;

    seen = look(); /* before it is read: what changes from now on is another */
    err = clew__rules_load(file, &set);
    return err < 0 ? err : clew__rules_observe(set);
}

int clew_rules_reload(void)
{
    struct stat now;
    int err = 1;

    pthread_mutex_lock(&lock);
    now = look();
    if (file && !is_same(&now, &seen))
        err = use_file();
    pthread_mutex_unlock(&lock);
    return err;
}

static void reload_if_changed(void)
{
    int err;

    pthread_mutex_unlock(&lock);
    err = clew_rules_reload();
    if (err < 0)
        clew_error("metric rules are wrong; those before stay",
                   clew_kv("error", clew_last_error()));
    else if (err == 0)
        clew_info("metric rules reloaded");
    pthread_mutex_lock(&lock);
}

static void *watch(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&lock);
    while (!stopping) {
        struct timespec until;

        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += LOOK_EVERY_S;
        if (pthread_cond_timedwait(&wake, &lock, &until) == ETIMEDOUT && !stopping)
            reload_if_changed();
    }
    pthread_mutex_unlock(&lock);
    return NULL;
}

static int start_watching(void)
{
    pthread_condattr_t monotonic;
    int err;

    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&wake, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    err = pthread_create(&watcher, NULL, watch, NULL);
    watching = err == 0;
    return err ? clew_set_error(-err, "no thread to watch %s", file) : 0;
}

/* Whoever held it is not here, nor is the thread. */
static void in_child(void)
{
    pthread_mutex_init(&lock, NULL);
    watching = false;
}

int clew__rules_start(void)
{
    const char *name = clew__settings_get("CLEW_METRICS_RULES");
    int err;

    pthread_mutex_lock(&lock);
    if (name && !file)
        file = strdup(name);
    err = name && !file ? clew_set_error(-ENOMEM, "out of memory") : use_file();
    if (err == 0 && file)
        err = start_watching();
    if (err == 0)
        (void)pthread_atfork(NULL, NULL, in_child);
    pthread_mutex_unlock(&lock);
    return err;
}

void clew__rules_stop(void)
{
    bool join;

    pthread_mutex_lock(&lock);
    join = watching;
    watching = false;
    stopping = true;
    if (join)
        (void)pthread_cond_signal(&wake);
    pthread_mutex_unlock(&lock);
    if (join)
        (void)pthread_join(watcher, NULL);
}

int clew_rules_check(const char *name, void (*warn)(void *arg, const char *text), void *arg)
{
    struct clew__rules *set;
    int err;

    if (!name)
        return clew_set_error(-EINVAL, "no file of rules");
    err = clew__rules_load(name, &set);
    if (err < 0)
        return err;
    err = 0;
    for (size_t i = 0; i < set->nrules; i++)
        err += set->rules[i].place.line != 0;
    clew__rules_lint(set, name, warn, arg);
    clew__rules_free(set);
    return err;
}
