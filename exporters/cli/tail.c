/* SPDX-License-Identifier: Apache-2.0
 *
 * clew tail: the lines of one request, from all services, in time order. Asks
 * Loki's query_range (Loki HTTP API, "Query logs within a range of time") and
 * merges the streams of the answer; pages on from the last line seen.
 */
#include "cli.h"
#include "line.h"

#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PAGE_LINES 1000
#define BOUNDARY_MAX 4096

static const char usage[] =
    "usage: clew tail [options]\n"
    "\n"
    "Prints the correlated log lines of all services in time order, from Loki.\n"
    "\n"
    "  --request-id ID        lines of this request\n"
    "  --correlation-id ID    lines of this correlation id\n"
    "  --trace-id ID          lines of this trace\n"
    "  --service NAME         of this service only\n"
    "  --level LEVEL          this level and above: trace, debug, info, warn, error, fatal\n"
    "  --query LOGQL          a query of your own instead of the options above\n"
    "  --since TIME           how far back: 30m, 2h, 7d; default 1h\n"
    "  --limit N              at most N lines; default 5000\n"
    "  -f, --follow           go on with new lines until interrupted\n"
    "  --json                 the lines as they are\n"
    "  --color WHEN           auto, always, never\n"
    "  --loki URL             default: CLEW_LOKI_URL, else http://127.0.0.1:3100\n"
    "\n"
    "CLEW_LOKI_TENANT and CLEW_LOKI_BEARER_TOKEN(_FILE) are sent when set.\n"
    "Exit status: 0 lines were printed, 1 none found, 2 Loki could not be asked,\n"
    "64 wrong usage.\n";

struct options {
    const char *request_id, *correlation_id, *trace_id, *service, *query, *loki;
    int rank;
    long since_s, limit;
    bool follow, json;
    enum cli_colour colour;
};

struct entry {
    long long time_ns;
    json_t *line; /* borrowed from the page */
    size_t order; /* as it came, to keep equal times in place */
};

/* What was printed with the newest time, so that the next page, which begins
 * there, does not print it again. */
struct boundary {
    long long time_ns;
    size_t n;
    unsigned long long hashes[BOUNDARY_MAX];
};

static long parse_duration(const char *text)
{
    char *end;
    long n = strtol(text, &end, 10);
    long unit = !strcmp(end, "s")   ? 1
                : !strcmp(end, "m") ? 60
                : !strcmp(end, "h") ? 3600
                : !strcmp(end, "d") ? 86400
                                    : 0;

    return n > 0 && n < 1000000 ? n * unit : 0;
}

/* "text" for LogQL, in quotes. */
static void add_quoted(struct clew__buf *out, const char *text)
{
    clew__buf_addc(out, '"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            clew__buf_addc(out, '\\');
        clew__buf_addc(out, *text);
    }
    clew__buf_addc(out, '"');
}

static void add_filter(struct clew__buf *out, const char *key, const char *value)
{
    if (!value)
        return;
    clew__buf_addf(out, " | %s=", key);
    add_quoted(out, value);
}

static char *make_query(const struct options *o)
{
    struct clew__buf out;
    size_t len;

    if (o->query)
        return strdup(o->query);
    clew__buf_init(&out, 16384);
    clew__buf_adds(&out, "{service_name");
    clew__buf_adds(&out, o->service ? "=" : "=~");
    add_quoted(&out, o->service ? o->service : ".+");
    clew__buf_addc(&out, '}');
    add_filter(&out, "request_id", o->request_id);
    add_filter(&out, "correlation_id", o->correlation_id);
    add_filter(&out, "trace_id", o->trace_id);
    return clew__buf_take(&out, &len);
}

static int by_time(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;

    if (x->time_ns != y->time_ns)
        return x->time_ns < y->time_ns ? -1 : 1;
    return (x->order > y->order) - (x->order < y->order);
}

/* The lines of an answer in time order; *ret is free()d. */
static size_t collect(json_t *page, struct entry **ret)
{
    json_t *streams = json_object_get(json_object_get(page, "data"), "result"), *stream, *value;
    size_t n = 0, i, j;

    json_array_foreach(streams, i, stream) n += json_array_size(json_object_get(stream, "values"));
    *ret = calloc(n ? n : 1, sizeof(**ret));
    n = 0;
    json_array_foreach(streams, i, stream)
    {
        json_array_foreach(json_object_get(stream, "values"), j, value)
        {
            const char *time = json_string_value(json_array_get(value, 0));

            if (*ret && time && json_is_string(json_array_get(value, 1)))
                (*ret)[n] = (struct entry){strtoll(time, NULL, 10), json_array_get(value, 1), n},
                n++;
        }
    }
    if (*ret)
        qsort(*ret, n, sizeof(**ret), by_time);
    return n;
}

static unsigned long long hash(const char *text, size_t len)
{
    unsigned long long h = 0xcbf29ce484222325u;

    for (size_t i = 0; i < len; i++)
        h = (h ^ (unsigned char)text[i]) * 0x100000001b3u;
    return h;
}

/* Whether it was printed already; else notes it. */
static bool seen(struct boundary *b, const struct entry *entry)
{
    unsigned long long h = hash(json_string_value(entry->line), json_string_length(entry->line));

    if (entry->time_ns != b->time_ns) {
        b->time_ns = entry->time_ns;
        b->n = 0;
    }
    for (size_t i = 0; i < b->n; i++)
        if (b->hashes[i] == h)
            return true;
    if (b->n < BOUNDARY_MAX)
        b->hashes[b->n++] = h;
    return false;
}

static bool print_entry(const struct options *o, const struct entry *entry, bool colour)
{
    const char *text = json_string_value(entry->line);
    size_t len = json_string_length(entry->line);
    struct clew__buf out;

    if (o->rank >= 0 && cli_line_rank(text, len) < o->rank)
        return false;
    if (o->json) {
        printf("%s\n", text);
        return true;
    }
    clew__buf_init(&out, 4u << 20);
    cli_format_line(&out, text, len, entry->time_ns, colour);
    clew__buf_addc(&out, '\n');
    if (!out.failed)
        (void)fwrite(out.data, 1, out.len, stdout);
    clew__buf_done(&out);
    return true;
}

/* One page from `from` on; NULL after saying why not. */
static json_t *ask(const struct options *o, const char *query, long long from_ns)
{
    struct timespec now;
    char *url, *body = NULL;
    size_t len;
    long status;
    json_t *page = NULL;

    clock_gettime(CLOCK_REALTIME, &now);
    url = cli_url(o->loki,
                  "/loki/api/v1/query_range?query=%s&start=%lld&end=%lld&limit=%d"
                  "&direction=forward",
                  query, from_ns, ((long long)now.tv_sec + 600) * 1000000000, PAGE_LINES);
    status = url ? cli_get(url, cli_headers("application/json"), &body, &len) : 0;
    if (status == 200)
        page = json_loadb(body, len, 0, NULL);
    if (status == 0)
        fprintf(stderr, "clew: is Loki there? Give its address with --loki or CLEW_LOKI_URL.\n");
    else if (!page) {
        struct clew__buf reason;

        clew__buf_init(&reason, 65536);
        cli_add_safe(&reason, body, len < 500 ? len : 500);
        clew__buf_addc(&reason, '\0');
        fprintf(stderr, "clew: %s answered %ld: %s\n", o->loki, status, reason.data);
        clew__buf_done(&reason);
    }
    free(body);
    free(url);
    return page;
}

static void say_none(const struct options *o)
{
    fprintf(stderr,
            "clew: no lines found at %s in the time asked for.\n"
            "Check the id, look further back with --since 24h, and see that the services\n"
            "have CLEW_LOKI_URL set to this Loki.\n",
            o->loki);
}

static int run(const struct options *o)
{
    static struct boundary boundary;
    char *query = make_query(o), *escaped = query ? cli_escape(query) : NULL;
    bool colour = cli_wants_colour(o->colour);
    long long from_ns = ((long long)time(NULL) - o->since_s) * 1000000000;
    long printed = 0;
    size_t n = PAGE_LINES;

    while (escaped && printed < o->limit && (n >= PAGE_LINES || o->follow)) {
        struct timespec second = {1, 0};
        struct entry *entries;
        json_t *page = ask(o, escaped, from_ns);
        size_t fresh = 0;

        if (!page && !o->follow) {
            free(query);
            free(escaped);
            return EXIT_UNREACHABLE;
        }
        n = page ? collect(page, &entries) : 0;
        for (size_t i = 0; i < n && printed < o->limit; i++) {
            if (seen(&boundary, &entries[i]))
                continue;
            fresh++;
            printed += print_entry(o, &entries[i], colour);
            from_ns = entries[i].time_ns;
        }
        if (page)
            free(entries);
        json_decref(page);
        (void)fflush(stdout);
        if (n >= PAGE_LINES && fresh == 0)
            from_ns++; /* a page full of one instant: go past it */
        if (n < PAGE_LINES && o->follow)
            (void)nanosleep(&second, NULL);
    }
    free(query);
    free(escaped);
    if (printed == 0)
        say_none(o);
    return printed ? 0 : EXIT_NOTHING;
}

static int wrong(const char *what)
{
    fprintf(stderr, "clew tail: %s\n\n%s", what, usage);
    return EXIT_WRONG_USAGE;
}

int cli_tail(int argc, char **argv)
{
    static const struct option long_options[] = {
        {"request-id", required_argument, NULL, 'r'},
        {"correlation-id", required_argument, NULL, 'c'},
        {"trace-id", required_argument, NULL, 't'},
        {"service", required_argument, NULL, 's'},
        {"level", required_argument, NULL, 'l'},
        {"query", required_argument, NULL, 'q'},
        {"since", required_argument, NULL, 'S'},
        {"limit", required_argument, NULL, 'n'},
        {"follow", no_argument, NULL, 'f'},
        {"json", no_argument, NULL, 'j'},
        {"color", required_argument, NULL, 'C'},
        {"loki", required_argument, NULL, 'L'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    const char *loki = getenv("CLEW_LOKI_URL");
    struct options o = {.rank = -1,
                        .since_s = 3600,
                        .limit = 5000,
                        .loki = loki && *loki ? loki : "http://127.0.0.1:3100"};
    int option;

    while ((option = getopt_long(argc, argv, "f", long_options, NULL)) != -1) {
        switch (option) {
        case 'r':
            o.request_id = optarg;
            break;
        case 'c':
            o.correlation_id = optarg;
            break;
        case 't':
            o.trace_id = optarg;
            break;
        case 's':
            o.service = optarg;
            break;
        case 'q':
            o.query = optarg;
            break;
        case 'L':
            o.loki = optarg;
            break;
        case 'f':
            o.follow = true;
            break;
        case 'j':
            o.json = true;
            break;
        case 'l':
            if ((o.rank = cli_level_rank(optarg)) < 0)
                return wrong("--level: use trace, debug, info, warn, error or fatal");
            break;
        case 'S':
            if ((o.since_s = parse_duration(optarg)) == 0)
                return wrong("--since: use a number and s, m, h or d");
            break;
        case 'n':
            if ((o.limit = strtol(optarg, NULL, 10)) < 1)
                return wrong("--limit: use a number from 1 on");
            break;
        case 'C':
            if (!cli_parse_colour(optarg, &o.colour))
                return wrong("--color: use auto, always or never");
            break;
        case 'h':
            fputs(usage, stdout);
            return 0;
        default:
            return EXIT_WRONG_USAGE;
        }
    }
    if (optind != argc)
        return wrong("arguments without an option's name");
    return run(&o);
}
