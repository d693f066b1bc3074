/* SPDX-License-Identifier: Apache-2.0
 *
 * clew trace: the waterfall of one trace, from Tempo (Tempo HTTP API, "Query";
 * asked for as protobuf, which is OTLP's own encoding).
 */
#include "cli.h"
#include "waterfall.h"

#include <json.h>

#include <getopt.h>
#include <jansson.h>
#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char usage[] =
    "usage: clew trace [options] TRACE_ID\n"
    "       clew trace [options] --request-id ID\n"
    "\n"
    "Prints the waterfall of one trace with durations and errors, from Tempo.\n"
    "\n"
    "  --request-id ID   the trace of this request, looked up in its log lines\n"
    "  --json            Tempo's answer as JSON\n"
    "  --ascii           no box drawing (the default where the locale is not UTF-8)\n"
    "  --color WHEN      auto, always, never\n"
    "  --tempo URL       default: CLEW_TEMPO_URL, else http://127.0.0.1:3100\n"
    "  --loki URL        for --request-id; default: CLEW_LOKI_URL, else\n"
    "                    http://127.0.0.1:3100\n"
    "\n"
    "Exit status: 0 printed, 1 no such trace, 2 Tempo or Loki could not be asked,\n"
    "64 wrong usage.\n";

struct options {
    const char *trace_id, *request_id, *tempo, *loki;
    bool json, ascii;
    enum cli_colour colour;
};

/* The trace_id in the newest line of the request; false after saying why. */
static int find_trace(const struct options *o, char ret_trace_id[33])
{
    char query[512], *escaped, *url, *body = NULL;
    const char *id = NULL;
    json_t *page;
    size_t len;
    long status;

    if (strlen(o->request_id) > 128) {
        fprintf(stderr, "clew trace: --request-id: that is no request id\n");
        return EXIT_WRONG_USAGE;
    }
    len = (size_t)snprintf(query, sizeof(query), "{service_name=~\".+\"} | request_id=\"");
    for (const char *p = o->request_id; *p; p++) {
        if (*p == '"' || *p == '\\')
            query[len++] = '\\';
        query[len++] = *p;
    }
    memcpy(query + len, "\"", 2);
    escaped = cli_escape(query);
    url = cli_url(o->loki, "/loki/api/v1/query_range?query=%s&start=%lld&limit=1", escaped,
                  ((long long)time(NULL) - 7 * 86400 + 60) * 1000000000);
    status = cli_get(url, cli_headers("application/json"), &body, &len);
    page = status == 200 ? json_loadb(body, len, 0, NULL) : NULL;
    id = json_string_value(json_object_get(
        json_object_get(json_array_get(json_object_get(json_object_get(page, "data"), "result"), 0),
                        "stream"),
        "trace_id"));
    if (id && strlen(id) == 32)
        memcpy(ret_trace_id, id, 33);
    else if (status == 200)
        fprintf(stderr, "clew: no line of request %s names a trace at %s\n", o->request_id,
                o->loki);
    else
        fprintf(stderr, "clew: %s could not be asked (status %ld)\n", o->loki, status);
    status = status == 200 ? (id ? 0 : EXIT_NOTHING) : EXIT_UNREACHABLE;
    json_decref(page);
    free(body);
    free(url);
    free(escaped);
    return (int)status;
}

static int print_trace(const struct options *o, const char *body, size_t len)
{
    struct clew__buf out;
    int spans;

    if (o->json) {
        (void)fwrite(body, 1, len, stdout);
        puts("");
        return 0;
    }
    clew__buf_init(&out, 64u << 20);
    spans = cli_waterfall(&out, body, len, cli_width(), cli_wants_colour(o->colour), o->ascii);
    if (spans > 0)
        (void)fwrite(out.data, 1, out.len, stdout);
    else
        fprintf(stderr, "clew: %s\n",
                spans == 0 ? "the trace has no spans" : "the answer is no OTLP trace");
    clew__buf_done(&out);
    return spans > 0 ? 0 : EXIT_UNREACHABLE;
}

static int run(struct options *o)
{
    char found[33], *url, *body = NULL;
    uint8_t bytes[16];
    size_t len;
    long status;
    int err;

    if (o->request_id) {
        err = find_trace(o, found);
        if (err)
            return err;
        o->trace_id = found;
    }
    if (strlen(o->trace_id) != 32 || clew__unhex(bytes, o->trace_id, 16) < 0) {
        fprintf(stderr, "clew trace: \"%.64s\" is no trace id: 32 hex digits\n", o->trace_id);
        return EXIT_WRONG_USAGE;
    }
    url = cli_url(o->tempo, "/api/traces/%s", o->trace_id);
    status = cli_get(url, cli_headers(o->json ? "application/json" : "application/protobuf"), &body,
                     &len);
    free(url);
    if (status == 200)
        err = print_trace(o, body, len);
    else if (status == 404)
        fprintf(stderr,
                "clew: trace %s is not at %s.\nWas it sampled, and do the services have "
                "OTEL_EXPORTER_OTLP_ENDPOINT set? Spans arrive a few seconds late.\n",
                o->trace_id, o->tempo);
    else if (status == 0)
        fprintf(stderr, "clew: is Tempo there? Give its address with --tempo or CLEW_TEMPO_URL.\n");
    else
        fprintf(stderr, "clew: %s answered %ld\n", o->tempo, status);
    free(body);
    return status == 200 ? err : status == 404 ? EXIT_NOTHING : EXIT_UNREACHABLE;
}

static const char *setting(const char *name)
{
    const char *value = getenv(name);

    return value && *value ? value : "http://127.0.0.1:3100";
}

int cli_trace(int argc, char **argv)
{
    static const struct option long_options[] = {
        {"request-id", required_argument, NULL, 'r'},
        {"json", no_argument, NULL, 'j'},
        {"ascii", no_argument, NULL, 'a'},
        {"color", required_argument, NULL, 'C'},
        {"tempo", required_argument, NULL, 'T'},
        {"loki", required_argument, NULL, 'L'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    struct options o = {.tempo = setting("CLEW_TEMPO_URL"), .loki = setting("CLEW_LOKI_URL")};
    int option;

    (void)setlocale(LC_CTYPE, "");
    o.ascii = strcmp(nl_langinfo(CODESET), "UTF-8") != 0;
    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        switch (option) {
        case 'r':
            o.request_id = optarg;
            break;
        case 'j':
            o.json = true;
            break;
        case 'a':
            o.ascii = true;
            break;
        case 'T':
            o.tempo = optarg;
            break;
        case 'L':
            o.loki = optarg;
            break;
        case 'C':
            if (!cli_parse_colour(optarg, &o.colour)) {
                fprintf(stderr, "clew trace: --color: use auto, always or never\n");
                return EXIT_WRONG_USAGE;
            }
            break;
        case 'h':
            fputs(usage, stdout);
            return 0;
        default:
            return EXIT_WRONG_USAGE;
        }
    }
    if (optind + (o.request_id == NULL) != argc) {
        fputs(usage, stderr);
        return EXIT_WRONG_USAGE;
    }
    if (!o.request_id)
        o.trace_id = argv[optind];
    return run(&o);
}
