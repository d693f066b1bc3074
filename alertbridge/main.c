/* SPDX-License-Identifier: Apache-2.0
 * The command and the life of the daemon. Order of the start: configuration,
 * telemetry, store, senders, intake; a webhook is taken only when everything
 * behind it runs. The end is the other way round: no new webhook, those in hand
 * are finished, requests in flight end within a deadline, what is not sent stays
 * in the store for the next start. Signals are taken by the main thread alone. */
#include "route_test.h"

#include <common/instant.h>
#include <common/metrics.h>
#include <delivery/delivery.h>
#include <intake/intake.h>
#include <store/store.h>

#include <clew/export.h>

#include <curl/curl.h>
#include <getopt.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#ifndef CLEW_VERSION
#error "CLEW_VERSION comes from the build"
#endif

#define STOP_NS (10 * CLEW__SECOND_NS)
#define PRUNE_EVERY_S 3600

static const char usage[] =
    "usage: alertbridge --config FILE\n"
    "       alertbridge check FILE\n"
    "       alertbridge route-test FILE BODY.json\n"
    "\n"
    "Takes Alertmanager's webhooks and delivers them to PagerDuty, Slack, Teams,\n"
    "mailboxes and other webhooks.\n"
    "\n"
    "  --config FILE   run with this configuration\n"
    "  check           read a configuration and say what is wrong with it\n"
    "  route-test      print who would be told about the alerts of a body\n"
    "  --help          print this\n"
    "  --version       print the version\n"
    "\n"
    "Logs, traces and /metrics are set by CLEW_ and OTEL_ variables.\n";

static void warn_on_stderr(const char *text)
{
    (void)fprintf(stderr, "%s\n", text);
}

static void warn_in_log(const char *text)
{
    clew_warn("configuration", clew_kv("warning", text));
}

static int fail(void)
{
    (void)fprintf(stderr, "alertbridge: %s\n", clew_last_error());
    return EXIT_FAILURE;
}

static int check(const char *file)
{
    struct clew__config *config;

    if (clew__config_load(file, warn_on_stderr, &config) < 0) {
        (void)fprintf(stderr, "%s\n", clew_last_error());
        return EXIT_FAILURE;
    }
    (void)printf("%s: ok (%zu receivers)\n", file, config->nreceivers);
    (void)clew__config_free(config);
    return EXIT_SUCCESS;
}

static int route_test(const char *file, const char *body)
{
    struct clew__config *config;
    int r = clew__config_load(file, NULL, &config);

    if (r < 0)
        return fail();
    r = clew__route_test(config, body, stdout);
    (void)clew__config_free(config);
    return r < 0 ? fail() : EXIT_SUCCESS;
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

/* Until a signal asks for the end; meanwhile the store is kept small. */
static void wait_for_end(const sigset_t *signals, struct clew__store *store)
{
    const struct timespec interval = {.tv_sec = PRUNE_EVERY_S};
    int signal;

    do {
        prune(store);
        signal = sigtimedwait(signals, NULL, &interval);
        if (signal == SIGHUP)
            clew_warn("the configuration is read at the start only; SIGHUP is passed over");
    } while (signal != SIGTERM && signal != SIGINT);
    clew_info("alertbridge stops", clew_kv("signal", signal == SIGTERM ? "SIGTERM" : "SIGINT"));
}

/* From the store to the last request. Everything is put away in any case. */
static int serve(const struct clew__config *config, const sigset_t *signals)
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
                  clew_kv("version", CLEW_VERSION));
        wait_for_end(signals, store);
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

static int run(const char *file)
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
    if (clew_start("alertbridge", CLEW_VERSION) < 0)
        return fail();
    /* Again, now that there is a log for its warnings. */
    if (clew__config_load(file, warn_in_log, &config) < 0)
        return fail();
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
    status = serve(config, &signals);
    (void)clew__config_free(config);
    curl_global_cleanup();
    return status;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"help", no_argument, NULL, 'h'},
                                            {"version", no_argument, NULL, 'v'},
                                            {0}};
    const char *config = NULL;
    int option;

    /* So that "." in a matcher is a character, not a byte; nothing else changes. */
    (void)setlocale(LC_CTYPE, "C.UTF-8");
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'c':
            config = optarg;
            break;
        case 'h':
            (void)fputs(usage, stdout);
            return EXIT_SUCCESS;
        case 'v':
            (void)puts("alertbridge " CLEW_VERSION);
            return EXIT_SUCCESS;
        default:
            (void)fputs(usage, stderr);
            return 64; /* EX_USAGE */
        }
    }
    if (config && optind == argc)
        return run(config);
    if (!config && argc - optind == 2 && strcmp(argv[optind], "check") == 0)
        return check(argv[optind + 1]);
    if (!config && argc - optind == 3 && strcmp(argv[optind], "route-test") == 0)
        return route_test(argv[optind + 1], argv[optind + 2]);
    (void)fputs(usage, stderr);
    return 64;
}
