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
    "</style></head><body><h1>alertbridge</h1>\n";

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

static void add_cell(struct clew__buf *html, json_t *row, const char *key)
{
    json_t *value = json_object_get(row, key);

    clew__buf_adds(html, "<td>");
    if (json_is_integer(value))
        clew__buf_addf(html, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (json_is_string(value))
        add_escaped(html, json_string_value(value));
    clew__buf_adds(html, "</td>");
}

static void add_labels(struct clew__buf *html, json_t *labels)
{
    const char *name;
    json_t *value;

    clew__buf_adds(html, "<td>");
    json_object_foreach(labels, name, value)
    {
        const char *text = json_string_value(value);

        add_escaped(html, name);
        clew__buf_addc(html, '=');
        add_escaped(html, text ? text : "");
        clew__buf_adds(html, "<br>");
    }
    clew__buf_adds(html, "</td>");
}

/* A table of the rows whose member has this value, or, with other, another one. */
static void add_table(struct clew__buf *html, json_t *rows, const char *key, const char *value,
                      bool other, const char *const *columns)
{
    json_t *row;
    size_t i, n = 0;

    clew__buf_adds(html, "<table><tr>");
    for (const char *const *column = columns; *column; column++)
        clew__buf_addf(html, "<th>%s</th>", *column);
    clew__buf_adds(html, "</tr>\n");
    json_array_foreach(rows, i, row)
    {
        const char *text = json_string_value(json_object_get(row, key));

        if (!text || (strcmp(text, value) == 0) == other || ++n > ROWS)
            continue;
        clew__buf_adds(html, "<tr>");
        for (const char *const *column = columns; *column; column++) {
            if (strcmp(*column, "labels") == 0)
                add_labels(html, json_object_get(row, *column));
            else
                add_cell(html, row, *column);
        }
        clew__buf_adds(html, "</tr>\n");
    }
    clew__buf_adds(html, "</table>\n");
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
    static const char *const alert_columns[] = {"fingerprint", "labels",   "startsAt",
                                                "firstSeen",   "lastSeen", NULL};
    static const char *const queue_columns[] = {"id",       "receiver",  "integration",
                                                "action",   "createdAt", "nextAttemptAt",
                                                "attempts", "reason",    NULL};
    static const char *const done_columns[] = {"id",     "receiver",  "integration", "action",
                                               "state",  "createdAt", "finishedAt",  "attempts",
                                               "reason", NULL};
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
