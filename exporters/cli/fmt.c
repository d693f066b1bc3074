/* SPDX-License-Identifier: Apache-2.0
 * clew fmt: JSON log lines from files, readable and filtered. The options. */
#include "fmt.h"
#include "cli.h"
#include "when.h"

#include <getopt.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TAIL_LINES_MAX 1000000

static const char usage[] =
    "usage: clew fmt [options] [FILE...]\n"
    "\n"
    "Prints JSON log lines from files, or from stdin, readable and filtered. Other\n"
    "loggers' lines (time, msg, lvl, numeric levels) are understood; what is no JSON\n"
    "is passed through. A FILE that ends in .gz is unpacked; - is stdin.\n"
    "\n"
    "  -l, --level LEVEL        this level and above: trace, debug, info, warn,\n"
    "                           error, fatal\n"
    "  -k, --key K=V            field K is V; numbers by value. Also K!=V (is not V, or\n"
    "                           is not there), K~REGEX (POSIX extended) and K (is\n"
    "                           there). K is looked for at the top and in the context,\n"
    "                           and may be a path: a.b.c. Repeated: all must hold\n"
    "  -r, --request-id ID      lines of this request\n"
    "  -c, --correlation-id ID  lines of this correlation id\n"
    "  -t, --trace-id ID        lines of this trace\n"
    "  -s, --service NAME       of this service only\n"
    "  -g, --grep TEXT          the line, as it stands in the file, contains TEXT\n"
    "      --since TIME         from then on: 30m, 2h, 7d (ago), 2025-08-20,\n"
    "                           2025-08-20T10:00:00Z\n"
    "      --until TIME         before then\n"
    "      --head N             the first N lines of those\n"
    "      --tail N             the last N lines of those\n"
    "      --count              only how many there are\n"
    "      --fields A,B         only these fields\n"
    "      --json               the lines as they are\n"
    "      --utc                times in UTC, not in local time\n"
    "      --strict             a line that is no JSON object ends it with status 2\n"
    "  -f, --follow             go on with new lines of the one FILE until interrupted,\n"
    "                           also when it is rotated or cut\n"
    "      --color WHEN         auto, always, never\n"
    "\n"
    "Exit status: 0 lines were selected, 1 none, 2 a file could not be read or the\n"
    "output not be written, 64 wrong usage.\n";

enum { HEAD = 256, TAIL, COUNT, FIELDS, JSON, UTC, STRICT, COLOUR, SINCE, UNTIL };

static const struct option long_options[] = {
    {"level", required_argument, NULL, 'l'},
    {"key", required_argument, NULL, 'k'},
    {"request-id", required_argument, NULL, 'r'},
    {"correlation-id", required_argument, NULL, 'c'},
    {"trace-id", required_argument, NULL, 't'},
    {"service", required_argument, NULL, 's'},
    {"grep", required_argument, NULL, 'g'},
    {"since", required_argument, NULL, SINCE},
    {"until", required_argument, NULL, UNTIL},
    {"head", required_argument, NULL, HEAD},
    {"tail", required_argument, NULL, TAIL},
    {"count", no_argument, NULL, COUNT},
    {"fields", required_argument, NULL, FIELDS},
    {"json", no_argument, NULL, JSON},
    {"utc", no_argument, NULL, UTC},
    {"strict", no_argument, NULL, STRICT},
    {"follow", no_argument, NULL, 'f'},
    {"color", required_argument, NULL, COLOUR},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

/* What was given and can only be read when all options are known. */
struct given {
    const char *since, *until;
    enum cli_colour colour;
    bool help;
};

/* "a,b", which is cut up in place. */
static const char *take_fields(struct cli_fmt *f, char *list)
{
    for (char *name; (name = strsep(&list, ",")) != NULL;) {
        if (*name == '\0')
            return "--fields: a name is missing";
        if (f->n_fields == CLI_FIELDS_MAX)
            return "--fields: more than 64 names";
        f->fields[f->n_fields++] = name;
    }
    return NULL;
}

static long number(const char *text, long max)
{
    char *end;
    long n = strtol(text, &end, 10);

    return *end == '\0' && n >= 1 && n <= max ? n : 0;
}

/* One option that picks lines; NULL, or what is wrong with it. */
static const char *take_filter(struct cli_fmt *f, struct given *given, int option, char *value)
{
    switch (option) {
    case 'l':
        f->filter.rank = cli_level_rank(value);
        return f->filter.rank < 0 ? "--level: use trace, debug, info, warn, error or fatal" : NULL;
    case 'k':
        return cli_filter_add(&f->filter, value);
    case 'r':
        return cli_filter_add_equal(&f->filter, "request_id", value);
    case 'c':
        return cli_filter_add_equal(&f->filter, "correlation_id", value);
    case 't':
        return cli_filter_add_equal(&f->filter, "trace_id", value);
    case 's':
        return cli_filter_add_equal(&f->filter, "service", value);
    case 'g':
        f->filter.grep = value;
        return NULL;
    case SINCE:
        given->since = value;
        return NULL;
    default:
        given->until = value;
        return NULL;
    }
}

static const char *take(struct cli_fmt *f, struct given *given, int option, char *value)
{
    switch (option) {
    case HEAD:
        f->head = number(value, 1L << 40);
        return f->head ? NULL : "--head: use a number from 1 on";
    case TAIL:
        f->tail = number(value, TAIL_LINES_MAX);
        return f->tail ? NULL : "--tail: use a number from 1 to 1000000";
    case COUNT:
        f->count = true;
        return NULL;
    case FIELDS:
        return take_fields(f, value);
    case JSON:
        f->json = true;
        return NULL;
    case UTC:
        f->style.utc = true;
        return NULL;
    case STRICT:
        f->strict = true;
        return NULL;
    case 'f':
        f->follow = true;
        return NULL;
    case COLOUR:
        return cli_parse_colour(value, &given->colour) ? NULL
                                                       : "--color: use auto, always or never";
    case 'h':
        given->help = true;
        return NULL;
    default:
        return take_filter(f, given, option, value);
    }
}

/* What depends on several options; NULL, or what is wrong. */
static const char *settle(struct cli_fmt *f, const struct given *given, int files)
{
    struct cli_filter *filter = &f->filter;
    struct timespec now;
    int64_t now_ns;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    now_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    filter->has_since = given->since != NULL;
    filter->has_until = given->until != NULL;
    if (given->since && !cli_when_option(given->since, now_ns, f->style.utc, &filter->since_ns))
        return "--since: use 30m, 2h, 7d, 2025-08-20 or 2025-08-20T10:00:00Z";
    if (given->until && !cli_when_option(given->until, now_ns, f->style.utc, &filter->until_ns))
        return "--until: use 30m, 2h, 7d, 2025-08-20 or 2025-08-20T10:00:00Z";
    if ((f->head > 0) + (f->tail > 0) + f->count > 1)
        return "only one of --head, --tail and --count";
    if (f->follow && (files != 1 || f->count))
        return "--follow: needs one FILE and is not for --count";
    f->style.colour = cli_wants_colour(given->colour) && !f->json;
    f->terminal = isatty(STDOUT_FILENO);
    return NULL;
}

static int wrong(const char *what)
{
    if (*what)
        fprintf(stderr, "clew fmt: %s\n", what);
    fputs("clew fmt --help says more.\n", stderr);
    return EXIT_WRONG_USAGE;
}

static int run(struct cli_fmt *f, char **files)
{
    static char stdin_name[] = "-";
    char *standard[] = {stdin_name, NULL};
    int search = cli_filter_prepare(&f->filter);

    if (f->tail > 0)
        f->kept = calloc((size_t)f->tail, sizeof(*f->kept));
    if (search < 0 || (f->tail > 0 && !f->kept)) {
        fputs("clew fmt: no memory\n", stderr);
        return EXIT_TROUBLE;
    }
    /* A strict reading looks at every line. */
    f->searching = search > 0 && !f->strict;
    for (files = *files ? files : standard; *files && !f->stop; files++)
        cli_fmt_file(f, *files);
    cli_fmt_print_kept(f);
    if (f->count)
        clew__buf_addf(&f->out, "%llu\n", f->selected);
    cli_fmt_flush(f);
    return f->trouble ? EXIT_TROUBLE : f->selected > 0 ? 0 : EXIT_NOTHING;
}

int cli_fmt(int argc, char **argv)
{
    static struct cli_fmt f = {.filter = {.rank = -1}, .style = {.dated = true}};
    struct given given = {.colour = COLOUR_AUTO};
    const char *error = NULL;
    int option, status;

    (void)setlocale(LC_CTYPE, ""); /* for regular expressions */
    f.out_fd = STDOUT_FILENO;
    clew__buf_init(&f.out, 256u << 20);
    while (!error && !given.help &&
           (option = getopt_long(argc, argv, "l:k:r:c:t:s:g:fh", long_options, NULL)) != -1) {
        error = option == '?' ? "" : take(&f, &given, option, optarg); /* getopt has said why */
    }
    if (given.help) {
        fputs(usage, stdout);
        return 0;
    }
    if (!error)
        error = settle(&f, &given, argc - optind);
    status = error ? wrong(error) : run(&f, argv + optind);
    cli_filter_done(&f.filter);
    clew__buf_done(&f.out);
    return status;
}
