/* SPDX-License-Identifier: Apache-2.0
 * The overview, a trace's waterfall, and what PagerDuty would show. */
#include "html.h"
#include "page_logs.h"
#include "page_slack.h"
#include "store.h"

#include <json.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

static void add_cell(struct clew__buf *out, const char *attributes, const char *text)
{
    clew__buf_addf(out, "<td %s>", attributes);
    html_string(out, text);
}

/* ---- trace -------------------------------------------------------------------- */

#define SPANS_MAX 2000

struct node {
    struct clew__otlp_span span;
    int parent; /* index, -1: root */
    int depth;
    bool done;
};

struct trace {
    size_t n;
    uint64_t start, end;
    struct node nodes[SPANS_MAX];
};

static bool take_span(void *arg, const struct clew__otlp_span *span)
{
    struct trace *trace = arg;

    if (trace->n == SPANS_MAX)
        return false;
    if (trace->n == 0 || span->start_ns < trace->start)
        trace->start = span->start_ns;
    if (span->end_ns > trace->end)
        trace->end = span->end_ns;
    trace->nodes[trace->n++] = (struct node){.span = *span, .parent = -1};
    return true;
}

static void find_parents(struct trace *trace)
{
    for (size_t i = 0; i < trace->n; i++)
        for (size_t j = 0; trace->nodes[i].span.parent_id && j < trace->n; j++)
            if (j != i &&
                memcmp(trace->nodes[j].span.span_id, trace->nodes[i].span.parent_id, 8) == 0)
                trace->nodes[i].parent = (int)j;
}

static void add_span(struct clew__buf *out, const struct trace *trace, const struct node *node)
{
    const struct clew__otlp_span *s = &node->span;
    double total = trace->end > trace->start ? (double)(trace->end - trace->start) : 1;

    clew__buf_addf(out, "<tr><td style='padding-left:%dem'>", 1 + 2 * node->depth);
    html_text(out, s->name, s->name_len);
    clew__buf_adds(out, " <span class=dim>");
    html_text(out, s->service, s->service_len);
    clew__buf_adds(out, "</span>");
    if (s->status == 2) {
        clew__buf_adds(out, " <span class=ERROR>error ");
        html_text(out, s->status_message, s->status_message_len);
        clew__buf_adds(out, "</span>");
    }
    clew__buf_addf(
        out,
        "<td class=num>%.3f ms<td><div class='bar%s'><i style='left:%.2f%%;width:%.2f%%'>"
        "</i></div>",
        (double)(s->end_ns - s->start_ns) / 1e6, s->status == 2 ? " bad" : "",
        (double)(s->start_ns - trace->start) / total * 100,
        (double)(s->end_ns - s->start_ns) / total * 100);
}

/* Spans come ordered by start, so children follow in order too. A loop of
 * parents ends because each span is drawn once. */
static void add_children(struct clew__buf *out, struct trace *trace, int parent, int depth)
{
    for (size_t i = 0; i < trace->n && depth < 64; i++) {
        struct node *node = &trace->nodes[i];

        if (node->parent != parent || node->done)
            continue;
        node->done = true;
        node->depth = depth;
        add_span(out, trace, node);
        add_children(out, trace, (int)i, depth + 1);
    }
}

void handle_page_trace(struct request *request)
{
    struct trace *trace = calloc(1, sizeof(*trace));
    uint8_t trace_id[16];
    struct clew__buf out;
    char *bytes = NULL;
    size_t len;

    html_begin(&out, "Trace");
    if (!trace || strlen(request->rest) != 32 || clew__unhex(trace_id, request->rest, 16) < 0 ||
        store_trace(trace_id, &bytes, &len) < 0) {
        clew__buf_adds(&out, "<p class=empty>No such trace.</p>");
        html_finish(&out, request, 404);
        free(trace);
        return;
    }
    (void)clew__otlp_read(bytes, len, take_span, trace);
    find_parents(trace);
    clew__buf_addf(&out, "<h2>Trace <code>%s</code> · %zu spans · %.3f ms</h2>", request->rest,
                   trace->n, (double)(trace->end - trace->start) / 1e6);
    clew__buf_adds(&out, "<table><tr><th>span<th class=num>duration<th style='width:45%'>");
    add_children(&out, trace, -1, 0);
    clew__buf_adds(&out, "</table><h2>Lines of this trace</h2>");
    page_lines(&out, &(struct page_lines){.trace_id = request->rest, .limit = 500});
    html_finish(&out, request, 200);
    free(bytes);
    free(trace);
}

/* ---- PagerDuty -------------------------------------------------------- */

static void add_incidents(struct clew__buf *out)
{
    json_t *incidents = store_incidents();
    size_t n = json_array_size(incidents);

    if (n == 0)
        clew__buf_adds(out, "<p class=empty>No incidents.</p>");
    else
        clew__buf_adds(out, "<table><tr><th>status<th>severity<th>summary<th>source<th>opened"
                            "<th>changed");
    for (size_t i = n; i-- > 0;) {
        const json_t *incident = json_array_get(incidents, i);
        char attribute[64];

        (void)snprintf(attribute, sizeof(attribute), "class='%.40s'", text_of(incident, "status"));
        clew__buf_adds(out, "<tr>");
        add_cell(out, attribute, text_of(incident, "status"));
        add_cell(out, "", text_of(incident, "severity"));
        add_cell(out, "", text_of(incident, "summary"));
        add_cell(out, "", text_of(incident, "source"));
        add_cell(out, "class=dim", text_of(incident, "opened"));
        add_cell(out, "class=dim", text_of(incident, "changed"));
    }
    if (n)
        clew__buf_adds(out, "</table>");
    json_decref(incidents);
}

void handle_page_pagerduty(struct request *request)
{
    json_t *events = store_pagerduty_events(0);
    struct clew__buf out;

    html_begin(&out, "PagerDuty");
    clew__buf_adds(&out, "<h2>Incidents</h2>");
    add_incidents(&out);
    clew__buf_adds(&out, "<h2>Events, newest first</h2><table><tr><th>time<th>effect<th>action"
                         "<th>summary");
    for (size_t i = json_array_size(events), shown = 0; i-- > 0 && shown < 200; shown++) {
        const json_t *event = json_array_get(events, i);
        const json_t *body = json_object_get(event, "event");

        clew__buf_adds(&out, "<tr>");
        add_cell(&out, "class=dim", text_of(event, "time"));
        add_cell(&out, "", text_of(event, "effect"));
        add_cell(&out, "", text_of(body, "event_action"));
        add_cell(&out, "", text_of(json_object_get(body, "payload"), "summary"));
    }
    clew__buf_adds(&out, "</table>");
    html_finish(&out, request, 200);
    json_decref(events);
}

/* ---- overview --------------------------------------------------------------------- */

static void add_services(struct clew__buf *out)
{
    json_t *services = store_label_values("service_name"), *service;
    size_t i;

    clew__buf_adds(out, "<h2>Services</h2><p>");
    json_array_foreach(services, i, service)
    {
        clew__buf_adds(out, i ? " · <a href='/logs?service=" : "<a href='/logs?service=");
        html_query(out, json_string_value(service));
        clew__buf_adds(out, "'>");
        html_string(out, json_string_value(service));
        clew__buf_adds(out, "</a>");
    }
    if (json_array_size(services) == 0)
        clew__buf_adds(out, "<span class=dim>Nothing has pushed lines yet.</span>");
    clew__buf_adds(out, "</p>");
    json_decref(services);
}

static void add_traces(struct clew__buf *out)
{
    json_t *traces = store_recent_traces(15), *trace;
    size_t i;

    clew__buf_adds(out, "<h2>Recent traces</h2><table><tr><th>trace<th>root<th>service"
                        "<th class=num>spans<th class=num>duration<th>");
    json_array_foreach(traces, i, trace)
    {
        clew__buf_addf(out, "<tr><td class=mono><a href='/trace/%s'>%s</a>",
                       text_of(trace, "traceID"), text_of(trace, "traceID"));
        add_cell(out, "", text_of(trace, "rootTraceName"));
        add_cell(out, "", text_of(trace, "rootServiceName"));
        clew__buf_addf(out, "<td class=num>%lld<td class=num>%lld ms<td class=ERROR>%s",
                       (long long)json_integer_value(json_object_get(trace, "spans")),
                       (long long)json_integer_value(json_object_get(trace, "durationMs")),
                       json_integer_value(json_object_get(trace, "errors")) ? "error" : "");
    }
    clew__buf_adds(out, "</table>");
    json_decref(traces);
}

void handle_page_overview(struct request *request)
{
    struct clew__buf out;

    html_begin(&out, "Overview");
    add_services(&out);
    clew__buf_adds(&out, "<h2>PagerDuty incidents</h2>");
    add_incidents(&out);
    clew__buf_adds(&out, "<h2>Last Slack messages</h2>");
    page_slack_messages(&out, 2);
    add_traces(&out);
    clew__buf_adds(&out, "<h2>Newest errors</h2>");
    page_lines(&out, &(struct page_lines){.level = "error", .limit = 15});
    html_finish(&out, request, 200);
}
