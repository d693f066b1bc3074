/* SPDX-License-Identifier: Apache-2.0
 * `clew metrics lint`: what is wrong with a page of metrics. */
#include "cli.h"
#include "lint.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

#define PAGE_MAX ((size_t)256 << 20)

static const char usage[] =
    "usage: clew metrics lint [options] [URL|FILE|-]\n"
    "\n"
    "Reads a page of metrics (Prometheus text or OpenMetrics; http://…, a file, stdin)\n"
    "and prints what is wrong with it: lines that cannot be read, names that are not in\n"
    "a base unit and what they should be, counters without _total, missing HELP or TYPE,\n"
    "reserved labels, ids and raw paths as labels, too many series. A name that cannot\n"
    "be changed is in order when its twin in the base unit is there; then it is a note.\n"
    "\n"
    "  -s, --series N  a metric may have this many series (1000)\n"
    "  -v, --values N  a label may have this many values (200)\n"
    "  -q, --quiet     no notes\n"
    "  -h, --help\n"
    "\n"
    "Exit status: 0 nothing, or notes; 1 warnings or errors; 2 the page could not be\n"
    "read; 64 for wrong usage.\n";

static bool read_all(int fd, struct clew__buf *page)
{
    for (;;) {
        char *room = clew__buf_room(page, 65536);
        ssize_t n = room ? read(fd, room, 65536) : -1;

        if (n > 0)
            page->len += (size_t)n;
        else if (n == 0)
            return true;
        else if (!room || errno != EINTR)
            return false;
    }
}

static bool read_file(const char *path, char **ret_page, size_t *ret_len)
{
    bool is_stdin = strcmp(path, "-") == 0, good;
    struct clew__buf page;
    int fd;

    clew__buf_init(&page, PAGE_MAX);
    errno = 0;
    fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    good = fd >= 0 && read_all(fd, &page);
    if (!good)
        fprintf(stderr, "clew: %.200s: %s\n", path, errno ? strerror(errno) : "too long");
    if (fd >= 0 && !is_stdin)
        close(fd);
    if (good)
        *ret_page = clew__buf_take(&page, ret_len);
    else
        clew__buf_done(&page);
    return good && *ret_page;
}

static bool read_page(const char *from, char **ret_page, size_t *ret_len)
{
    static const char *const accept[] = {"Accept: text/plain;version=0.0.4", NULL};
    long status;

    if (strncasecmp(from, "http://", 7) != 0 && strncasecmp(from, "https://", 8) != 0)
        return read_file(from, ret_page, ret_len);
    *ret_page = NULL;
    status = cli_get(from, accept, ret_page, ret_len);
    if (status && status != 200)
        fprintf(stderr, "clew: %.200s: status %ld\n", from, status);
    return status == 200;
}

static bool read_number(const char *text, size_t *ret)
{
    char *end;

    errno = 0;
    *ret = strtoul(text, &end, 10);
    return *text >= '0' && *text <= '9' && *end == '\0' && errno == 0;
}

/* Notes go nowhere with --quiet. */
static int check(const char *from, struct cli_lint *lint, bool quiet)
{
    size_t len = 0, bad;
    char *page = NULL;
    bool good;

    if (!read_page(from, &page, &len)) {
        free(page);
        return EXIT_UNREACHABLE;
    }
    lint->source = strcmp(from, "-") == 0 ? "stdin" : from;
    lint->quiet = quiet;
    good = cli_lint_page(lint, page, len);
    bad = lint->count[CLI_LINT_WARNING] + lint->count[CLI_LINT_ERROR];
    if (!good)
        fprintf(stderr, "clew: no memory\n");
    else if (lint->nfamilies == 0)
        fprintf(stderr, "clew: %.200s: no metrics\n", from);
    else
        printf("%zu metrics: %zu errors, %zu warnings, %zu notes\n", lint->nfamilies,
               lint->count[CLI_LINT_ERROR], lint->count[CLI_LINT_WARNING],
               lint->count[CLI_LINT_NOTE]);
    if (good && lint->nfamilies == 0 && bad == 0)
        good = false;
    cli_lint_done(lint);
    free(page);
    return !good ? EXIT_TROUBLE : bad ? EXIT_NOTHING : 0;
}

int cli_metrics(int argc, char **argv)
{
    static const struct option options[] = {{"series", required_argument, NULL, 's'},
                                            {"values", required_argument, NULL, 'v'},
                                            {"quiet", no_argument, NULL, 'q'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    struct cli_lint lint = {.out = stdout, .series_max = 1000, .values_max = 200};
    bool quiet = false, good = true;
    int c;

    while ((c = getopt_long(argc, argv, "s:v:qh", options, NULL)) != -1) {
        if (c == 'h') {
            fputs(usage, stdout);
            return 0;
        }
        quiet = quiet || c == 'q';
        if (c == 's')
            good = good && read_number(optarg, &lint.series_max);
        else if (c == 'v')
            good = good && read_number(optarg, &lint.values_max);
        else
            good = good && c == 'q';
    }
    if (!good || argc - optind < 1 || argc - optind > 2 || strcmp(argv[optind], "lint") != 0) {
        fputs(usage, stderr);
        return EXIT_WRONG_USAGE;
    }
    return check(argc - optind == 2 ? argv[optind + 1] : "-", &lint, quiet);
}
