/* SPDX-License-Identifier: Apache-2.0
 * The command line. */
#include "commands.h"
#include "daemon.h"
#include "route_test.h"

#include <common/instant.h>

#include <clew/log.h>

#include <getopt.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef CLEW_VERSION
#error "CLEW_VERSION comes from the build"
#endif

#define CONFIG_DEFAULT "/etc/alertbridge/alertbridge.yml"
#define USAGE 64 /* EX_USAGE */

static const char usage[] =
    "usage: alertbridge --config FILE\n"
    "       alertbridge check FILE\n"
    "       alertbridge route-test FILE BODY.json\n"
    "       alertbridge explain [--config FILE] [--json] FINGERPRINT\n"
    "       alertbridge ack [--config FILE] [--json] FINGERPRINT\n"
    "       alertbridge deliveries [--config FILE] [--json] [--dead | --queued]\n"
    "       alertbridge replay [--config FILE] [--json] ID | --dead\n"
    "\n"
    "Takes Alertmanager's webhooks and delivers them to PagerDuty, Slack, Teams,\n"
    "mailboxes and other webhooks.\n"
    "\n"
    "  --config FILE   run with this configuration; for the commands it says where the\n"
    "                  store is (default " CONFIG_DEFAULT ")\n"
    "  check           read a configuration and say what is wrong with it\n"
    "  route-test      print who would be told about the alerts of a body\n"
    "  explain         print every decision and delivery for one alert\n"
    "  ack             take an alert that fires in hand: its escalation ends\n"
    "  deliveries      print the newest deliveries\n"
    "  replay          queue a dead letter, or all of them, again\n"
    "  --json          print JSON\n"
    "  --help          print this\n"
    "  --version       print the version\n"
    "\n"
    "Exit status: 0 done; 1 failed, or there was nothing to do; 64 wrong usage.\n"
    "Logs, traces and /metrics are set by CLEW_ and OTEL_ variables.\n";

struct arguments {
    const char *config; /* NULL: not given */
    bool json, dead, queued;
    char **words; /* what are no options */
    int nwords;
};

static void warn_on_stderr(const char *text)
{
    (void)fprintf(stderr, "%s\n", text);
}

static int fail(void)
{
    (void)fprintf(stderr, "alertbridge: %s\n", clew_last_error());
    return EXIT_FAILURE;
}

/* unknown: a command that there is not; NULL: another mistake. */
static int misused(const char *unknown)
{
    if (unknown)
        (void)fprintf(stderr, "alertbridge: there is no command \"%s\"\n", unknown);
    (void)fputs(usage, stderr);
    return USAGE;
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
    r = clew__route_test(config, body, clew__instant_now(), stdout);
    (void)clew__config_free(config);
    return r < 0 ? fail() : EXIT_SUCCESS;
}

/* The commands about the store. */
static int about_store(const struct arguments *arguments)
{
    const char *command = arguments->words[0];
    const char *word = arguments->nwords == 2 ? arguments->words[1] : NULL;
    bool explain = strcmp(command, "explain") == 0, ack = strcmp(command, "ack") == 0;
    bool replay = strcmp(command, "replay") == 0;
    const char *state = arguments->dead ? "dead" : arguments->queued ? "queued" : NULL;
    struct clew__config *config;
    int r;

    if (arguments->nwords > 2 || (arguments->dead && arguments->queued) ||
        ((explain || ack) && (!word || state)) || (!explain && !ack && !replay && word) ||
        (replay && (arguments->queued || !word != arguments->dead)))
        return misused(NULL);
    r = clew__config_load(arguments->config ? arguments->config : CONFIG_DEFAULT, NULL, &config);
    if (r < 0)
        return fail();
    if (explain)
        r = clew__command_explain(config->storage, word, arguments->json, stdout);
    else if (ack)
        r = clew__command_ack(config->storage, word, arguments->json, stdout);
    else if (replay)
        r = clew__command_replay(config->storage, word, arguments->json, stdout);
    else
        r = clew__command_deliveries(config->storage, state, arguments->json, stdout);
    (void)clew__config_free(config);
    return r < 0 ? fail() : r;
}

static int run_command(const struct arguments *arguments)
{
    const char *command = arguments->words[0];
    bool plain = !arguments->json && !arguments->dead && !arguments->queued;

    if (strcmp(command, "explain") == 0 || strcmp(command, "deliveries") == 0 ||
        strcmp(command, "replay") == 0 || strcmp(command, "ack") == 0)
        return about_store(arguments);
    if (!arguments->config && plain && arguments->nwords == 2 && strcmp(command, "check") == 0)
        return check(arguments->words[1]);
    if (!arguments->config && plain && arguments->nwords == 3 && strcmp(command, "route-test") == 0)
        return route_test(arguments->words[1], arguments->words[2]);
    return misused(strcmp(command, "check") == 0 || strcmp(command, "route-test") == 0 ? NULL
                                                                                       : command);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"dead", no_argument, NULL, 'd'},
                                            {"queued", no_argument, NULL, 'q'},
                                            {"help", no_argument, NULL, 'h'},
                                            {"version", no_argument, NULL, 'v'},
                                            {0}};
    struct arguments arguments = {0};
    int option;

    /* So that "." in a matcher is a character, not a byte; nothing else changes. */
    (void)setlocale(LC_CTYPE, "C.UTF-8");
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'c':
            arguments.config = optarg;
            break;
        case 'j':
            arguments.json = true;
            break;
        case 'd':
            arguments.dead = true;
            break;
        case 'q':
            arguments.queued = true;
            break;
        case 'h':
            (void)fputs(usage, stdout);
            return EXIT_SUCCESS;
        case 'v':
            (void)puts("alertbridge " CLEW_VERSION);
            return EXIT_SUCCESS;
        default:
            return misused(NULL);
        }
    }
    arguments.words = argv + optind;
    arguments.nwords = argc - optind;
    if (arguments.nwords)
        return run_command(&arguments);
    if (!arguments.config || arguments.json || arguments.dead || arguments.queued)
        return misused(NULL);
    return clew__daemon_run(arguments.config, CLEW_VERSION);
}
