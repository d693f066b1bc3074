/* SPDX-License-Identifier: Apache-2.0
 * clew-local: in place of Loki, Tempo, Slack and PagerDuty on one machine. */
#include "server.h"
#include "slack_click.h"
#include "store.h"

#include <clew/log.h>

#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char usage[] =
    "usage: clew-local --data DIRECTORY [--listen ADDRESS:PORT] [--retention TIME]\n"
    "                  [--slack-interactions URL]\n"
    "\n"
    "Takes Loki pushes and OTLP/HTTP traces, answers the queries of `clew tail` and\n"
    "`clew trace`, stands in for Slack and PagerDuty, and shows it all as pages.\n"
    "For one machine: it has no authentication, keep it on loopback.\n"
    "\n"
    "  --data DIRECTORY       where its SQLite file is (made when missing)\n"
    "  --listen ADDRESS:PORT  default 127.0.0.1:3100; port 0: any free one\n"
    "  --retention TIME       how long lines and spans are kept: 90m, 168h, 7d;\n"
    "                         default 168h\n"
    "  --slack-interactions URL\n"
    "                         what is told when a button of a Slack message is\n"
    "                         clicked, signed with the environment's\n"
    "                         SLACK_SIGNING_SECRET\n"
    "  --help, --version\n"
    "\n"
    "Exit status: 0 ended by SIGTERM or SIGINT, 1 could not start, 64 wrong usage.\n";

static long parse_duration(const char *text)
{
    char *end;
    long n = strtol(text, &end, 10);
    long unit = strcmp(end, "m") == 0   ? 60
                : strcmp(end, "h") == 0 ? 3600
                : strcmp(end, "d") == 0 ? 86400
                                        : 0;

    return n > 0 && n < 100000 ? n * unit : 0;
}

/* Until a signal comes; forgets what is too old now and then. */
static void serve(const sigset_t *signals, long retention_s)
{
    static const struct timespec minute = {60, 0};

    while (sigtimedwait(signals, NULL, &minute) < 0)
        store_forget_older(((int64_t)time(NULL) - retention_s) * 1000000000);
}

static int run(const char *data, const char *listen_at, long retention_s)
{
    sigset_t signals;
    uint16_t port;

    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    if (clew_log_start("clew-local", CLEW_VERSION) < 0 || store_open(data) < 0 ||
        server_start(listen_at, &port) < 0) {
        fprintf(stderr, "clew-local: %s\n", clew_last_error());
        return 1;
    }
    clew_info("listening", clew_kv("port", port), clew_kv("data", data));
    printf("clew-local: listening on http://%.*s:%u\n", (int)(strrchr(listen_at, ':') - listen_at),
           listen_at, port);
    (void)fflush(stdout);
    serve(&signals, retention_s);
    server_stop();
    store_close();
    clew_info("stopped");
    return 0;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"data", required_argument, NULL, 'd'},
        {"listen", required_argument, NULL, 'l'},
        {"retention", required_argument, NULL, 'r'},
        {"slack-interactions", required_argument, NULL, 's'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'v'},
        {NULL, 0, NULL, 0},
    };
    const char *data = NULL, *listen_at = "127.0.0.1:3100", *clicks = NULL;
    const char *secret = getenv("SLACK_SIGNING_SECRET");
    long retention_s = 168 * 3600;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'd':
            data = optarg;
            break;
        case 'l':
            listen_at = optarg;
            break;
        case 'r':
            retention_s = parse_duration(optarg);
            break;
        case 's':
            clicks = optarg;
            break;
        case 'h':
            fputs(usage, stdout);
            return 0;
        case 'v':
            puts("clew-local " CLEW_VERSION);
            return 0;
        default:
            return 64;
        }
    }
    if (!data || optind != argc || retention_s <= 0) {
        fputs(usage, stderr);
        return 64;
    }
    if (clicks && (!secret || !*secret)) {
        fputs("clew-local: --slack-interactions needs SLACK_SIGNING_SECRET in the environment\n",
              stderr);
        return 64;
    }
    slack_clicks_go_to(clicks, secret);
    return run(data, listen_at, retention_s);
}
