/* SPDX-License-Identifier: Apache-2.0
 *
 *   POST /orders            gateway_service  ████████████████  12.3 ms
 *   └ POST                  gateway_service   ██████████████   11.9 ms
 *
 * Spans are drawn as a tree, children in order of their start. A span whose
 * parent is not there is drawn as a root and marked; a loop of parents is cut.
 */
#include "waterfall.h"

#include <otlp_read.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_COLUMN 38
#define SERVICE_COLUMN 16
#define DEPTH_MAX 100

struct node {
    struct clew__otlp_span span;
    int parent; /* index; -1 none */
    bool orphan, done;
};

struct trace {
    struct node *nodes;
    size_t n, room;
    uint64_t start, end;
    size_t errors;
};

struct drawing {
    struct clew__buf *out;
    const struct trace *trace;
    int bar;
    bool colour, ascii;
};

static bool take(void *arg, const struct clew__otlp_span *span)
{
    struct trace *trace = arg;

    if (trace->n == trace->room) {
        size_t room = trace->room ? 2 * trace->room : 64;
        struct node *nodes = realloc(trace->nodes, room * sizeof(*nodes));

        if (!nodes)
            return false;
        trace->nodes = nodes;
        trace->room = room;
    }
    if (trace->n == 0 || span->start_ns < trace->start)
        trace->start = span->start_ns;
    if (span->end_ns > trace->end)
        trace->end = span->end_ns;
    trace->errors += span->status == 2;
    trace->nodes[trace->n++] = (struct node){.span = *span, .parent = -1};
    return true;
}

static int by_start(const void *a, const void *b)
{
    const struct node *x = a, *y = b;

    if (x->span.start_ns != y->span.start_ns)
        return x->span.start_ns < y->span.start_ns ? -1 : 1;
    return memcmp(x->span.span_id, y->span.span_id, 8);
}

static void find_parents(struct trace *trace)
{
    for (size_t i = 0; i < trace->n; i++) {
        struct node *node = &trace->nodes[i];

        for (size_t j = 0; node->span.parent_id && j < trace->n; j++)
            if (j != i && memcmp(trace->nodes[j].span.span_id, node->span.parent_id, 8) == 0)
                node->parent = (int)j;
        node->orphan = node->span.parent_id && node->parent < 0;
    }
}

/* Text cut or padded to columns, counting characters. */
static void add_column(struct clew__buf *out, const char *text, size_t len, int columns, bool ascii)
{
    struct clew__buf safe;
    int used = 0;
    size_t i = 0;

    clew__buf_init(&safe, 65536);
    cli_add_safe(&safe, text, len);
    while (i < safe.len && used < columns) {
        size_t n = 1;

        while (i + n < safe.len && ((unsigned char)safe.data[i + n] & 0xC0) == 0x80)
            n++;
        if (used == columns - 1 && i + n < safe.len) {
            clew__buf_adds(out, ascii ? "~" : "…");
            used++;
            break;
        }
        clew__buf_add(out, safe.data + i, n);
        i += n;
        used++;
    }
    for (; used < columns; used++)
        clew__buf_addc(out, ' ');
    clew__buf_done(&safe);
}

static void add_duration(struct clew__buf *out, uint64_t ns)
{
    if (ns >= 1000000000)
        clew__buf_addf(out, "%9.3f s ", (double)ns / 1e9);
    else if (ns >= 1000000)
        clew__buf_addf(out, "%9.3f ms", (double)ns / 1e6);
    else
        clew__buf_addf(out, "%9.3f us", (double)ns / 1e3);
}

static void add_bar(const struct drawing *d, const struct clew__otlp_span *span)
{
    double total = d->trace->end > d->trace->start ? (double)(d->trace->end - d->trace->start) : 1;
    int from = (int)((double)(span->start_ns - d->trace->start) / total * d->bar);
    uint64_t end = span->end_ns < span->start_ns ? span->start_ns : span->end_ns;
    int to = (int)((double)(end - d->trace->start) / total * d->bar + 0.5);

    if (from > d->bar - 1)
        from = d->bar - 1;
    if (to <= from)
        to = from + 1;
    if (d->colour)
        clew__buf_adds(d->out, span->status == 2 ? CLI_RED
                                                 : cli_colour_of(span->service, span->service_len));
    for (int i = 0; i < d->bar; i++)
        clew__buf_adds(d->out,
                       i < from || i >= to ? (d->ascii ? "." : "·") : (d->ascii ? "#" : "█"));
    if (d->colour)
        clew__buf_adds(d->out, CLI_RESET);
}

static void draw_span(const struct drawing *d, const struct node *node, const char *prefix,
                      size_t prefix_columns)
{
    static const char *const kinds[] = {"", "", "server", "client", "producer", "consumer"};
    const struct clew__otlp_span *s = &node->span;
    int columns = NAME_COLUMN - (int)prefix_columns;

    if (d->colour)
        clew__buf_adds(d->out, CLI_DIM);
    clew__buf_adds(d->out, prefix);
    if (d->colour)
        clew__buf_adds(d->out, s->status == 2 ? CLI_RESET CLI_RED : CLI_RESET);
    add_column(d->out, s->name, s->name_len, columns > 8 ? columns : 8, d->ascii);
    if (d->colour)
        clew__buf_adds(d->out, CLI_RESET);
    clew__buf_addc(d->out, ' ');
    add_column(d->out, s->service, s->service_len, SERVICE_COLUMN, d->ascii);
    clew__buf_addf(d->out, " %-8s ", kinds[s->kind]);
    add_bar(d, s);
    clew__buf_addc(d->out, ' ');
    add_duration(d->out, s->end_ns > s->start_ns ? s->end_ns - s->start_ns : 0);
    if (s->status == 2) {
        clew__buf_adds(d->out, d->colour ? " " CLI_RED "error" : " error");
        if (s->status_message_len) {
            clew__buf_adds(d->out, ": ");
            cli_add_safe(d->out, s->status_message, s->status_message_len);
        }
        if (d->colour)
            clew__buf_adds(d->out, CLI_RESET);
    }
    if (node->orphan)
        clew__buf_adds(d->out, " (its parent span is not here)");
    clew__buf_addc(d->out, '\n');
}

static bool has_more(const struct trace *trace, size_t from, int parent)
{
    for (size_t i = from; i < trace->n; i++)
        if (trace->nodes[i].parent == parent && !trace->nodes[i].done)
            return true;
    return false;
}

/* prefix: what stands before a child of this parent. */
static void draw_children(const struct drawing *d, int parent, const char *prefix, int depth)
{
    for (size_t i = 0; i < d->trace->n && depth < DEPTH_MAX; i++) {
        struct node *node = &d->trace->nodes[i];
        char mine[4 * DEPTH_MAX + 8], below[4 * DEPTH_MAX + 8];
        bool last;

        if (node->parent != parent || node->done)
            continue;
        node->done = true;
        last = !has_more(d->trace, i + 1, parent);
        if (parent < 0) {
            mine[0] = below[0] = '\0';
        } else {
            (void)snprintf(mine, sizeof(mine), "%s%s", prefix,
                           d->ascii ? (last ? "`-" : "|-") : (last ? "└ " : "├ "));
            (void)snprintf(below, sizeof(below), "%s%s", prefix,
                           last ? "  " : (d->ascii ? "| " : "│ "));
        }
        draw_span(d, node, mine, 2 * (size_t)depth);
        draw_children(d, (int)i, below, depth + 1);
    }
}

static size_t count_services(const struct trace *trace)
{
    size_t services = 0;

    for (size_t i = 0; i < trace->n; i++) {
        const struct clew__otlp_span *a = &trace->nodes[i].span;
        size_t j;

        for (j = 0; j < i; j++)
            if (a->service_len == trace->nodes[j].span.service_len &&
                memcmp(a->service, trace->nodes[j].span.service, a->service_len) == 0)
                break;
        services += j == i;
    }
    return services;
}

int cli_waterfall(struct clew__buf *out, const void *bytes, size_t len, int width, bool colour,
                  bool ascii)
{
    struct trace trace = {NULL, 0, 0, 0, 0, 0};
    struct drawing d = {out, &trace, width - NAME_COLUMN - SERVICE_COLUMN - 31, colour, ascii};
    int err = clew__otlp_read(bytes, len, take, &trace);

    if (err == 0 && trace.n) {
        if (d.bar < 10)
            d.bar = 10;
        if (d.bar > 80)
            d.bar = 80;
        qsort(trace.nodes, trace.n, sizeof(*trace.nodes), by_start);
        find_parents(&trace);
        clew__buf_addf(out, "%zu spans of %zu services, %zu with errors, ", trace.n,
                       count_services(&trace), trace.errors);
        add_duration(out, trace.end - trace.start);
        clew__buf_addc(out, '\n');
        draw_children(&d, -1, "", 0);
        for (size_t i = 0; i < trace.n; i++) /* parents in a loop: from where it is met */
            if (!trace.nodes[i].done) {
                trace.nodes[i].parent = -1;
                draw_children(&d, -1, "", 0);
            }
    }
    free(trace.nodes);
    return err < 0 ? err : (int)trace.n;
}
