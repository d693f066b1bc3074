/* SPDX-License-Identifier: Apache-2.0
 * The life of the daemon. Order of the start: configuration, telemetry, store,
 * senders, intake; a webhook is taken only when everything behind it runs. The end
 * is the other way round: no new webhook, those in hand are finished, requests in
 * flight end within a deadline, what is not sent stays in the store for the next
 * start. Signals are taken by this, the main thread alone. */
#include "daemon.h"

#include <common/instant.h>
#include <common/metrics.h>
#include <delivery/delivery.h>
#include <intake/intake.h>
#include <store/store.h>

#include <clew/export.h>

#include <curl/curl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define STOP_NS (10 * CLEW__SECOND_NS)
#define PRUNE_EVERY_NS (3600 * CLEW__SECOND_NS)

static void warn_in_log(const char *text)
{
    clew_warn("configuration", clew_kv("warning", text));
}

static int fail(void)
{
    (void)fprintf(stderr, "alertbridge: %s\n", clew_last_error());
    return EXIT_FAILURE;
}

static void prune(struct clew__store *store)
{
    int64_t now = clew__instant_now();
    int r;

    do {
        r = clew__store_write(store, clew__store_prune, &now);
    } while (r > 0);
    if (r < 0)
        clew_error("old entries cannot be deleted", clew_kv("error", clew_last_error()));
}

/* A replay is another process: what it queued has to be seen. */
static void look_for_replays(struct clew__store *store, struct clew__senders *senders,
                             int64_t *version)
{
    int r = clew__store_write(store, clew__store_changed_by_others, version);

    if (r > 0) {
        clew_info("the store was changed by another process");
        clew__senders_wake(senders);
    }
}

/* Until a signal asks for the end; meanwhile the store is kept small and watched. */
static void wait_for_end(const sigset_t *signals, struct clew__store *store,
                         struct clew__senders *senders)
{
    const struct timespec interval = {.tv_sec = 1};
    int64_t version = 0, pruned_at = 0;
    int signal;

    do {
        int64_t now = clew__instant_now();

        if (now - pruned_at >= PRUNE_EVERY_NS || now < pruned_at) {
            prune(store);
            pruned_at = now;
        }
        look_for_replays(store, senders, &version);
        signal = sigtimedwait(signals, NULL, &interval);
        if (signal == SIGHUP)
            clew_warn("the configuration is read at the start only; SIGHUP is passed over");
    } while (signal != SIGTERM && signal != SIGINT);
    clew_info("alertbridge stops", clew_kv("signal", signal == SIGTERM ? "SIGTERM" : "SIGINT"));
}

/* From the store to the last request. Everything is put away in any case. */
static int serve(const struct clew__config *config, const char *version, const sigset_t *signals)
{
    struct clew__store *store = NULL;
    struct clew__senders *senders = NULL;
    struct clew__intake *intake = NULL;
    struct clew__orphans orphans = {.config = config};
    int64_t deadline = 0;
    int r;

    (void)clew_health_set("intake", false);
    r = clew__store_open(config->storage, &store);
    if (r == 0)
        r = clew__metrics_init(store);
    if (r == 0)
        r = clew__store_read(store, clew__store_orphans, &orphans);
    if (r == 0 && orphans.n)
        clew_warn("deliveries wait for a target that is not configured", clew_kv("n", orphans.n));
    if (r == 0)
        r = clew__senders_start(config, store, &senders);
    if (r == 0)
        r = clew__intake_start(config, store, senders, &intake);
    if (r == 0) {
        (void)clew_health_set("intake", true);
        clew_info("alertbridge listens", clew_kv("port", clew__intake_port(intake)),
                  clew_kv("version", version));
        wait_for_end(signals, store, senders);
        (void)clew_health_set("intake", false);
        deadline = clew__instant_now() + STOP_NS;
    } else {
        clew_fatal("alertbridge cannot start", clew_kv("error", clew_last_error()));
        (void)fail();
    }
    (void)clew__intake_stop(intake, deadline);
    (void)clew__senders_stop(senders, deadline);
    if (r == 0)
        clew_info("alertbridge stopped");
    clew_stop(); /* nobody scrapes the store any more */
    (void)clew__store_close(store);
    return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* 4,000 connections are more than the usual soft limit of 1,024 files. */
static void raise_file_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max < 65536 ? limit.rlim_max : 65536;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

int clew__daemon_run(const char *file, const char *version)
{
    struct clew__config *config;
    sigset_t signals;
    int status;

    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    (void)sigaddset(&signals, SIGHUP);
    (void)pthread_sigmask(SIG_BLOCK, &signals, NULL); /* before any thread starts */
    (void)signal(SIGPIPE, SIG_IGN);
    raise_file_limit();
    if (clew__config_load(file, NULL, &config) < 0)
        return fail();
    (void)clew__config_free(config);
    if (clew_start("alertbridge", version) < 0)
        return fail();
    /* Again, now that there is a log for its warnings. */
    if (clew__config_load(file, warn_in_log, &config) < 0)
        return fail();
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
    status = serve(config, version, &signals);
    (void)clew__config_free(config);
    curl_global_cleanup();
    return status;
}
