/* SPDX-License-Identifier: Apache-2.0
 * The `clew` command: picks the subcommand. */
#include "cli.h"
#include "input.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

static const char usage[] =
    "usage: clew COMMAND [options]\n"
    "\n"
    "  fmt     print JSON log lines from files or stdin readable, filtered\n"
    "  metrics check a page of metrics for names, labels and form\n"
    "  ports   plan the ports of services, and find those that collide\n"
    "  recover print what services that died had not written yet\n"
    "  rules   check metric rules, and apply them to JSON log lines\n"
    "  run     run a command as a span, and log what it prints\n"
    "  tail    print the correlated log lines of a request, from Loki\n"
    "  trace   print the waterfall of a trace, from Tempo\n"
    "\n"
    "clew COMMAND --help says more. tail and trace work the same against clew-local.\n";

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    bool asks; /* a server */
} commands[] = {{"fmt", cli_fmt, false},     {"metrics", cli_metrics, true},
                {"ports", cli_ports, false}, {"recover", cli_recover, false},
                {"rules", cli_rules, false}, {"run", cli_run, false},
                {"tail", cli_tail, true},    {"trace", cli_trace, true}};

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";

    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        fputs(usage, stdout);
        return 0;
    }
    if (strcmp(name, "--version") == 0) {
        puts("clew " CLEW_VERSION);
        return 0;
    }
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        if (strcmp(name, commands[i].name) == 0) {
            if (commands[i].asks && curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
                return EXIT_UNREACHABLE;
            cli_command = name;
            return commands[i].run(argc - 1, argv + 1);
        }
    if (*name)
        fprintf(stderr, "clew: unknown command \"%.64s\"\n\n", name);
    fputs(usage, stderr);
    return EXIT_WRONG_USAGE;
}
