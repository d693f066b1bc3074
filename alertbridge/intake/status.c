/* SPDX-License-Identifier: Apache-2.0
 * Made of the same views as the JSON paths, so it shows nothing that they do not.
 * Labels, names and reasons come from outside: they are written by add_escaped()
 * alone. No state; MT-Safe. */
#include "status.h"

#include <jansson.h>

#include <clew/log.h>

#include <errno.h>
#include <string.h>

#define ROWS 100 /* of each table; the JSON paths have more */
#define VIEW_MAX (16u << 20)

static const char head[] =
    "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
    "<title>alertbridge</title><meta http-equiv=\"refresh\" content=\"30\"><style>"
    "body{font:14px sans-serif;margin:1em}table{border-collapse:collapse}"
    "td,th{border:1px solid #ccc;padding:2px 6px;text-align:left;vertical-align:top}"
    ".critical{border-left:6px solid #c00}.warning{border-left:6px solid #e90}"
    "</style></head><body><h1>alertbridge</h1>\n";

/* How a column shows its member of a row. */
struct column {
    const char *title;
    void (*add)(struct clew__buf *html, json_t *row, const char *key);
    const char *key;
};

static void add_escaped(struct clew__buf *html, const char *text)
{
    for (; *text; text++) {
        switch (*text) {
        case '<':
            clew__buf_adds(html, "&lt;");
            break;
        case '>':
            clew__buf_adds(html, "&gt;");
            break;
        case '&':
            clew__buf_adds(html, "&amp;");
            break;
        case '"':
            clew__buf_adds(html, "&quot;");
            break;
        case '\'':
            clew__buf_adds(html, "&#39;");
            break;
        default:
            clew__buf_addc(html, *text);
        }
    }
}

static const char *text_of(json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

static void add_value(struct clew__buf *html, json_t *row, const char *key)
{
    json_t *value = json_object_get(row, key);

    clew__buf_adds(html, "<td>");
    if (json_is_integer(value))
        clew__buf_addf(html, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else
        add_escaped(html, text_of(row, key));
    clew__buf_adds(html, "</td>");
}

/* "2026-11-21 22:10:24", of RFC 3339 in UTC. */
static void add_time(struct clew__buf *html, json_t *row, const char *key)
{
    const char *text = text_of(row, key);

    clew__buf_adds(html, "<td>");
    for (size_t i = 0; i < 19 && text[i]; i++)
        clew__buf_addc(html, text[i] == 'T' ? ' ' : text[i]);
    clew__buf_adds(html, "</td>");
}

/* What it is, how bad, and what it says. */
static void add_alert(struct clew__buf *html, json_t *row, const char *key)
{
    json_t *labels = json_object_get(row, key);
    json_t *annotations = json_object_get(row, "annotations");
    const char *severity = text_of(labels, "severity"), *said = text_of(annotations, "summary");
    const char *class = strcmp(severity, "critical") == 0  ? "critical"
                        : strcmp(severity, "warning") == 0 ? "warning"
                                                           : "";

    clew__buf_addf(html, "<td class=\"%s\"><b>", class);
    add_escaped(html, text_of(labels, "alertname"));
    clew__buf_adds(html, "</b> ");
    add_escaped(html, severity);
    clew__buf_adds(html, "<br>");
    add_escaped(html, *said ? said : text_of(annotations, "description"));
    clew__buf_adds(html, "</td>");
}

/* Those that add_alert() has not. */
static void add_labels(struct clew__buf *html, json_t *row, const char *key)
{
    const char *name;
    json_t *value;

    clew__buf_adds(html, "<td>");
    json_object_foreach(json_object_get(row, key), name, value)
    {
        const char *text = json_string_value(value);

        if (strcmp(name, "alertname") == 0 || strcmp(name, "severity") == 0)
            continue;
        add_escaped(html, name);
        clew__buf_addc(html, '=');
        add_escaped(html, text ? text : "");
        clew__buf_adds(html, "<br>");
    }
    clew__buf_adds(html, "</td>");
}

static void add_row(struct clew__buf *html, json_t *row, const struct column *columns)
{
    clew__buf_adds(html, "<tr>");
    for (const struct column *column = columns; column->title; column++)
        column->add(html, row, column->key);
    clew__buf_adds(html, "</tr>\n");
}

/* A table of the rows whose member has this value, or, with other, another one. */
static void add_table(struct clew__buf *html, json_t *rows, const char *key, const char *value,
                      bool other, const struct column *columns)
{
    json_t *row;
    size_t i, n = 0;

    json_array_foreach(rows, i, row)
    {
        if ((strcmp(text_of(row, key), value) == 0) == other || ++n > ROWS)
            continue;
        if (n == 1) {
            clew__buf_adds(html, "<table><tr>");
            for (const struct column *column = columns; column->title; column++)
                clew__buf_addf(html, "<th>%s</th>", column->title);
            clew__buf_adds(html, "</tr>\n");
        }
        add_row(html, row, columns);
    }
    clew__buf_adds(html, n ? "</table>\n" : "<p>none</p>\n");
    if (n > ROWS)
        clew__buf_addf(html, "<p>and %zu more</p>\n", n - ROWS);
}

/* The list of a view. NULL: clew_last_error(). */
static json_t *read_view(struct clew__store *store, clew__store_work *work, const char *state)
{
    struct clew__buf json;
    struct clew__view view = {.json = &json, .state = state};
    json_t *root = NULL;

    clew__buf_init(&json, VIEW_MAX);
    if (clew__store_read(store, work, &view) == 0) {
        root = json_loadb(json.data, json.len, 0, NULL);
        if (!root)
            (void)clew_set_error(-ENOMEM, "out of memory");
    }
    clew__buf_done(&json);
    return root;
}

int clew__status_page(struct clew__store *store, struct clew__buf *html)
{
    static const struct column alert_columns[] = {{"alert", add_alert, "labels"},
                                                  {"labels", add_labels, "labels"},
                                                  {"since (UTC)", add_time, "startsAt"},
                                                  {"last heard of", add_time, "lastSeen"},
                                                  {"in hand", add_value, "acknowledgedBy"},
                                                  {"fingerprint", add_value, "fingerprint"},
                                                  {NULL, NULL, NULL}};
    static const struct column queue_columns[] = {{"id", add_value, "id"},
                                                  {"receiver", add_value, "receiver"},
                                                  {"integration", add_value, "integration"},
                                                  {"action", add_value, "action"},
                                                  {"queued (UTC)", add_time, "createdAt"},
                                                  {"next attempt", add_time, "nextAttemptAt"},
                                                  {"attempts", add_value, "attempts"},
                                                  {"last result", add_value, "reason"},
                                                  {NULL, NULL, NULL}};
    static const struct column done_columns[] = {{"id", add_value, "id"},
                                                 {"receiver", add_value, "receiver"},
                                                 {"integration", add_value, "integration"},
                                                 {"action", add_value, "action"},
                                                 {"state", add_value, "state"},
                                                 {"queued (UTC)", add_time, "createdAt"},
                                                 {"ended", add_time, "finishedAt"},
                                                 {"attempts", add_value, "attempts"},
                                                 {"result", add_value, "reason"},
                                                 {NULL, NULL, NULL}};
    json_t *alerts = read_view(store, clew__store_view_alerts, NULL);
    json_t *queued = alerts ? read_view(store, clew__store_view_deliveries, "queued") : NULL;
    json_t *all = queued ? read_view(store, clew__store_view_deliveries, NULL) : NULL;

    if (all) {
        clew__buf_adds(html, head);
        clew__buf_adds(html, "<h2>Open alerts</h2>\n");
        add_table(html, json_object_get(alerts, "alerts"), "status", "firing", false,
                  alert_columns);
        clew__buf_adds(html, "<h2>Queue</h2>\n");
        add_table(html, json_object_get(queued, "deliveries"), "state", "queued", false,
                  queue_columns);
        clew__buf_adds(html, "<h2>Recent deliveries</h2>\n");
        add_table(html, json_object_get(all, "deliveries"), "state", "queued", true, done_columns);
        clew__buf_adds(html, "</body></html>\n");
    }
    json_decref(alerts);
    json_decref(queued);
    json_decref(all);
    if (!all)
        return -EIO;
    return html->failed ? clew_set_error(-ENOMEM, "the page is too large") : 0;
}
