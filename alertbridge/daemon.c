/* SPDX-License-Identifier: Apache-2.0
 * The life of the daemon. Order of the start: configuration, telemetry, store,
 * senders, timers, intake; a webhook is taken only when everything behind it runs. The end
 * is the other way round: no new webhook, those in hand are finished, requests in
 * flight end within a deadline, what is not sent stays in the store for the next
 * start. Signals are taken by this, the main thread alone; SIGHUP exchanges the
 * configuration while the intake goes on. */
#include "daemon.h"

#include <common/instant.h>
#include <common/metrics.h>
#include <common/notify.h>
#include <common/trim.h>
#include <delivery/delivery.h>
#include <intake/intake.h>
#include <store/store.h>
#include <timers/thread.h>
#include <watchdog/heartbeat.h>
#include <watchdog/watchdog.h>

#include <clew/export.h>

#include <curl/curl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define STOP_NS (10 * CLEW__SECOND_NS)
#define DRAIN_NS (20 * CLEW__SECOND_NS) /* longer than a request by HTTP may take */
#define PRUNE_EVERY_NS (3600 * CLEW__SECOND_NS)

struct clew__daemon {
    const char *file;
    struct clew__config *config;
    struct clew__store *store;
    struct clew__senders *senders;
    struct clew__watch *watch;
    struct clew__timers *timers;
    struct clew__heart *heart;
    struct clew__intake *intake;
    sigset_t signals;
};

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
static void look_for_replays(struct clew__daemon *daemon, int64_t *version)
{
    int r = clew__store_write(daemon->store, clew__store_changed_by_others, version);

    if (r > 0) {
        clew_info("the store was changed by another process");
        clew__senders_wake(daemon->senders);
    }
}

static void warn_of_orphans(const struct clew__daemon *daemon)
{
    struct clew__orphans orphans = {.config = daemon->config};

    if (clew__store_read(daemon->store, clew__store_orphans, &orphans) < 0)
        clew_error("the store cannot be read", clew_kv("error", clew_last_error()));
    else if (orphans.n)
        clew_warn("deliveries wait for a target that is not configured", clew_kv("n", orphans.n));
}

/* returns 0, -errno: they are not expected */
static int expect_watchdogs(const struct clew__daemon *daemon, const struct clew__config *config,
                            bool start)
{
    struct clew__watchdog_begin begin = {config, clew__instant_now(), start};
    int r = clew__store_write(daemon->store, clew__watchdog_begin, &begin);

    if (r < 0)
        clew_error("the watchdogs' timers cannot be set", clew_kv("error", clew_last_error()));
    return r;
}

/* The senders change while the intake goes on; what it queues meanwhile waits in the
 * store. Their requests in flight end by themselves: a request that is cut may have
 * arrived, and would be sent again. returns 0, -errno: there are no senders */
static int exchange(struct clew__daemon *daemon, struct clew__config *config)
{
    int r;

    clew__intake_use(daemon->intake, config, NULL);
    clew__timers_use(daemon->timers, config, NULL);
    clew__heart_use(daemon->heart, config, NULL);
    clew__watch_use(daemon->watch, config, NULL);
    (void)clew__senders_stop(daemon->senders, clew__instant_now() + DRAIN_NS);
    daemon->senders = NULL;
    r = clew__senders_start(config, daemon->store, &daemon->senders);
    if (r < 0)
        return r;
    clew__timers_use(daemon->timers, config, daemon->senders);
    clew__heart_use(daemon->heart, config, daemon->senders);
    (void)expect_watchdogs(daemon, config, false);
    clew__watch_use(daemon->watch, config, daemon->senders);
    clew__intake_use(daemon->intake, config, daemon->senders);
    return 0;
}

static bool same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

/* Takes the file's configuration, or keeps the present one if anything is wrong with
 * it. returns 0, -errno: the bridge cannot go on */
static int reload(struct clew__daemon *daemon)
{
    struct clew__config *config;
    int r;

    clew__notify_reloading();
    if (clew__config_load(daemon->file, warn_in_log, &config) < 0) {
        clew_error("the configuration is wrong, the present one stays",
                   clew_kv("error", clew_last_error()));
        clew__metrics_reload(false);
        clew__notify("READY=1\nSTATUS=the newest configuration is wrong, an older one is in use");
        return 0;
    }
    if (strcmp(config->listen, daemon->config->listen) != 0 ||
        strcmp(config->storage, daemon->config->storage) != 0)
        clew_warn("listen and storage change with the next start only");
    if (!same(config->webhook.certificate, daemon->config->webhook.certificate) ||
        !same(config->webhook.key, daemon->config->webhook.key) ||
        !same(config->webhook.client_ca, daemon->config->webhook.client_ca))
        clew_warn("webhook.tls changes with the next start only");
    r = exchange(daemon, config);
    if (r < 0)
        clew_fatal("the senders cannot start", clew_kv("error", clew_last_error()));
    (void)clew__config_free(daemon->config);
    daemon->config = config;
    if (r < 0)
        return r;
    warn_of_orphans(daemon);
    clew_info("the configuration was read again", clew_kv("file", daemon->file));
    clew__metrics_reload(true);
    clew__notify("READY=1\nSTATUS=");
    return 0;
}

/* Until a signal asks for the end; meanwhile the store is kept small and watched. */
static int wait_for_end(struct clew__daemon *daemon)
{
    const struct timespec interval = {.tv_sec = 1};
    struct clew__calm calm = {0};
    int64_t version = 0, pruned_at = 0;
    int signal, r = 0;

    clew__trim_memory(); /* of what the start alone needed */
    do {
        int64_t now = clew__instant_now();

        if (now - pruned_at >= PRUNE_EVERY_NS || now < pruned_at) {
            prune(daemon->store);
            pruned_at = now;
        }
        if (clew__calm(&calm)) {
            clew__store_rest(daemon->store);
            clew__trim_memory();
        }
        look_for_replays(daemon, &version);
        clew__notify("WATCHDOG=1"); /* the store's writer answered */
        signal = sigtimedwait(&daemon->signals, NULL, &interval);
        if (signal == SIGHUP)
            r = reload(daemon);
    } while (r == 0 && signal != SIGTERM && signal != SIGINT);
    if (r == 0)
        clew_info("alertbridge stops", clew_kv("signal", signal == SIGTERM ? "SIGTERM" : "SIGINT"));
    return r;
}

static int start(struct clew__daemon *daemon)
{
    int r = clew__store_open(daemon->config->storage, &daemon->store);

    if (r == 0)
        r = clew__metrics_init(daemon->store);
    if (r == 0) {
        warn_of_orphans(daemon);
        r = clew__senders_start(daemon->config, daemon->store, &daemon->senders);
    }
    if (r == 0)
        r = clew__watch_start(daemon->config, daemon->store, daemon->senders, &daemon->watch);
    if (r == 0)
        r = expect_watchdogs(daemon, daemon->config, true);
    if (r == 0)
        r = clew__timers_start(daemon->config, daemon->store, daemon->senders, daemon->watch,
                               clew__timer_kinds, &daemon->timers);
    if (r == 0)
        r = clew__heart_start(daemon->config, daemon->store, daemon->senders, &daemon->heart);
    return r == 0
               ? clew__intake_start(daemon->config, daemon->store, daemon->senders, &daemon->intake)
               : r;
}

/* From the store to the last request. Everything is put away in any case. */
static int serve(struct clew__daemon *daemon, const char *version)
{
    int64_t deadline = 0;
    int r;

    (void)clew_health_set("intake", false);
    if (geteuid() == 0)
        clew_warn("alertbridge runs as root, which it never needs: give it a user of its own");
    r = start(daemon);
    if (r == 0) {
        (void)clew_health_set("intake", true);
        clew_info("alertbridge listens", clew_kv("port", clew__intake_port(daemon->intake)),
                  clew_kv("version", version));
        clew__metrics_reload(true);
        clew__notify("READY=1");
        r = wait_for_end(daemon);
        clew__notify("STOPPING=1");
        (void)clew_health_set("intake", false);
        deadline = clew__instant_now() + STOP_NS;
    } else {
        clew_fatal("alertbridge cannot start", clew_kv("error", clew_last_error()));
        (void)fail();
    }
    (void)clew__intake_stop(daemon->intake, deadline);
    (void)clew__heart_stop(daemon->heart);
    (void)clew__timers_stop(daemon->timers);
    (void)clew__watch_stop(daemon->watch);
    (void)clew__senders_stop(daemon->senders, deadline);
    if (r == 0)
        clew_info("alertbridge stopped");
    clew_stop(); /* nobody scrapes the store any more */
    (void)clew__store_close(daemon->store);
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

/* glibc would have an arena for each thread, and raise the thresholds by what is freed: up
 * to 64 MiB would stay in each. */
static void keep_heap_small(void)
{
    (void)mallopt(M_ARENA_MAX, 2);
    (void)mallopt(M_MMAP_THRESHOLD, 1 << 20);
    (void)mallopt(M_TRIM_THRESHOLD, 256 << 10);
}

int clew__daemon_run(const char *file, const char *version)
{
    struct clew__daemon daemon = {.file = file};
    int status;

    (void)sigemptyset(&daemon.signals);
    (void)sigaddset(&daemon.signals, SIGTERM);
    (void)sigaddset(&daemon.signals, SIGINT);
    (void)sigaddset(&daemon.signals, SIGHUP);
    (void)pthread_sigmask(SIG_BLOCK, &daemon.signals, NULL); /* before any thread starts */
    (void)signal(SIGPIPE, SIG_IGN);
    keep_heap_small();
    raise_file_limit();
    if (clew__config_load(file, NULL, &daemon.config) < 0)
        return fail();
    (void)clew__config_free(daemon.config);
    if (clew_start("alertbridge", version) < 0)
        return fail();
    /* Again, now that there is a log for its warnings. */
    if (clew__config_load(file, warn_in_log, &daemon.config) < 0)
        return fail();
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
    status = serve(&daemon, version);
    (void)clew__config_free(daemon.config);
    curl_global_cleanup();
    return status;
}
