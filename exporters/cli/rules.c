/* SPDX-License-Identifier: Apache-2.0
 *
 * `clew rules`: files of metric rules are checked, and applied to logs.
 */
#include "cli.h"
#include "input.h"

#include <clew/rules.h>

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCK_BYTES (256u << 10)
#define LINE_MAX_BYTES (16u << 20)

static const char usage[] =
    "usage: clew rules check [options] FILE...\n"
    "       clew rules run [options] [LOG...]\n"
    "\n"
    "check reads files of metric rules, as CLEW_METRICS_RULES names them, and says what\n"
    "is wrong and where. run applies rules to JSON log lines, from files (.gz too) or\n"
    "stdin (-), and prints the metrics.\n"
    "\n"
    "  check\n"
    "    -s, --strict         what is allowed but probably not meant is wrong, too\n"
    "  run\n"
    "    -r, --rules FILE     these besides the built-in ones\n"
    "    -o, --openmetrics    print OpenMetrics, not Prometheus' text format\n"
    "\n"
    "Exit status: 0; 1 a file of rules is wrong, or some lines were no JSON; 2 something\n"
    "could not be read or written; 64 wrong usage.\n";

static int wrong_usage(void)
{
    fputs(usage, stderr);
    return EXIT_WRONG_USAGE;
}

/* ---- check ------------------------------------------------------------------------- */

static void warn(void *arg, const char *text)
{
    ++*(unsigned *)arg;
    fprintf(stderr, "%s (warning)\n", text);
}

static int check_file(const char *file, bool strict)
{
    unsigned warnings = 0;
    int n = clew_rules_check(file, warn, &warnings);

    if (n < 0) {
        fprintf(stderr, "%s\n", clew_last_error());
        return n == -EINVAL || n == -EEXIST || n == -E2BIG || n == -EFBIG ? EXIT_NOTHING
                                                                          : EXIT_TROUBLE;
    }
    printf("%s: %d rule%s%s\n", file, n, n == 1 ? "" : "s", warnings ? "" : ", good");
    return strict && warnings ? EXIT_NOTHING : 0;
}

static int check(int argc, char **argv)
{
    static const struct option options[] = {
        {"strict", no_argument, NULL, 's'}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
    bool strict = false;
    int status = 0, c;

    while ((c = getopt_long(argc, argv, "sh", options, NULL)) != -1) {
        if (c == 's') {
            strict = true;
        } else if (c == 'h') {
            fputs(usage, stdout);
            return 0;
        } else {
            return wrong_usage();
        }
    }
    if (optind == argc)
        return wrong_usage();
    for (; optind < argc; optind++) {
        int one = check_file(argv[optind], strict);

        status = one > status ? one : status;
    }
    return status;
}

/* ---- run --------------------------------------------------------------------------- */

struct block {
    char *data;
    size_t len, cap;
};

/* Room behind the bytes; false when a line is too long, or without memory. */
static bool make_room(struct block *b)
{
    size_t cap = b->cap ? 2 * b->cap : BLOCK_BYTES;
    char *data;

    if (b->len < b->cap)
        return true;
    data = b->cap < LINE_MAX_BYTES ? realloc(b->data, cap) : NULL;
    if (!data)
        return false;
    b->data = data;
    b->cap = cap;
    return true;
}

static int derive_file(struct clew_deriver *deriver, const char *name)
{
    struct block b = {NULL, 0, 0};
    struct cli_input in;
    int status = 0;
    ssize_t n = 1;

    if (cli_input_open(&in, name, false) < 0)
        return EXIT_TROUBLE;
    while (n > 0) {
        size_t taken;

        if (!make_room(&b)) {
            cli_complain(name, "a line is longer than 16 MiB, or there is no memory for it");
            status = EXIT_TROUBLE;
            break;
        }
        n = cli_input_read(&in, b.data + b.len, b.cap - b.len);
        if (n < 0)
            status = EXIT_TROUBLE;
        b.len += n > 0 ? (size_t)n : 0;
        taken = clew_derive(deriver, b.data, b.len, n <= 0);
        b.len -= taken;
        memmove(b.data, b.data + taken, b.len);
    }
    cli_input_close(&in);
    free(b.data);
    return status;
}

static int print_page(bool openmetrics)
{
    char *page;
    size_t len;
    int err = clew_metrics_render(openmetrics, &page, &len);

    if (err < 0) {
        fprintf(stderr, "clew rules: no memory for the metrics\n");
        return EXIT_TROUBLE;
    }
    err = fwrite(page, 1, len, stdout) != len || fflush(stdout) != 0;
    if (err)
        fprintf(stderr, "clew rules: stdout: %s\n", strerror(errno));
    free(page);
    return err ? EXIT_TROUBLE : 0;
}

static int run_files(struct clew_deriver *deriver, int argc, char **argv, bool openmetrics)
{
    struct clew_deriver_stats stats;
    int status = argc == 0 ? derive_file(deriver, "-") : 0, printed;

    for (int i = 0; i < argc; i++) {
        int one = derive_file(deriver, argv[i]);

        status = one > status ? one : status;
    }
    clew_deriver_stats(deriver, &stats);
    printed = print_page(openmetrics);
    if (stats.not_json > 0) {
        fprintf(stderr, "clew rules: %llu of %llu lines are no JSON objects\n",
                (unsigned long long)stats.not_json, (unsigned long long)stats.lines);
        status = status ? status : EXIT_NOTHING;
    }
    return printed > status ? printed : status;
}

static int run(int argc, char **argv)
{
    static const struct option options[] = {{"rules", required_argument, NULL, 'r'},
                                            {"openmetrics", no_argument, NULL, 'o'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    const char *rules = NULL;
    struct clew_deriver *deriver;
    bool openmetrics = false;
    int c, status;

    while ((c = getopt_long(argc, argv, "r:oh", options, NULL)) != -1) {
        switch (c) {
        case 'r':
            rules = optarg;
            break;
        case 'o':
            openmetrics = true;
            break;
        case 'h':
            fputs(usage, stdout);
            return 0;
        default:
            return wrong_usage();
        }
    }
    deriver = clew_deriver_new(rules);
    if (!deriver) {
        fprintf(stderr, "%s\n", clew_last_error());
        return EXIT_NOTHING;
    }
    status = run_files(deriver, argc - optind, argv + optind, openmetrics);
    clew_deriver_free(deriver);
    return status;
}

int cli_rules(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";

    if (strcmp(what, "check") == 0)
        return check(argc - 1, argv + 1);
    if (strcmp(what, "run") == 0)
        return run(argc - 1, argv + 1);
    if (strcmp(what, "--help") == 0 || strcmp(what, "-h") == 0) {
        fputs(usage, stdout);
        return 0;
    }
    return wrong_usage();
}
