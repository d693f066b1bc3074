/* SPDX-License-Identifier: Apache-2.0
 * /logs: lines by id, service, level or text, newest last; the ids are links. */
#include "html.h"
#include "page_logs.h"
#include "store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define DAY_NS (INT64_C(86400) * 1000000000)

struct list {
    const struct page_lines *want;
    struct clew__buf rows[500]; /* newest first */
    size_t n;
};

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

static int rank(const char *level)
{
    static const char *const order[] = {"trace", "debug", "info", "warn", "error", "fatal"};

    for (int i = 0; i < 6; i++)
        if (strcasecmp(level, order[i]) == 0)
            return i;
    return -1;
}

static bool wanted(const struct page_lines *want, const struct store_line *line,
                   const json_t *parsed)
{
    if (want->service && strcmp(text_of(line->labels, "service_name"), want->service) != 0)
        return false;
    if (want->level && rank(text_of(parsed, "level")) < rank(want->level))
        return false;
    return !want->text || memmem(line->text, line->len, want->text, strlen(want->text)) != NULL;
}

static void add_link(struct clew__buf *out, const char *href, const char *id)
{
    if (!*id)
        return;
    clew__buf_addf(out, " <a href='%s", href);
    html_query(out, id);
    clew__buf_adds(out, "'>");
    html_text(out, id, strlen(id) > 36 ? 36 : strlen(id));
    clew__buf_adds(out, "</a>");
}

static void add_fields(struct clew__buf *out, const json_t *context)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)context, key, value)
    {
        char *text =
            json_is_string(value)
                ? strdup(json_string_value(value))
                : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(12));

        clew__buf_adds(out, " <span class=dim>");
        html_string(out, key);
        clew__buf_adds(out, "=</span>");
        html_string(out, text);
        free(text);
    }
}

static void add_row(struct clew__buf *out, const struct store_line *line, const json_t *parsed)
{
    time_t t = (time_t)(line->time_ns / 1000000000);
    struct tm tm;
    char clock[16];

    (void)localtime_r(&t, &tm);
    (void)strftime(clock, sizeof(clock), "%H:%M:%S", &tm);
    clew__buf_addf(out, "<tr><td class='mono nw dim'>%s.%03d<td class='mono nw ", clock,
                   (int)(line->time_ns / 1000000 % 1000));
    html_string(out, text_of(parsed, "level"));
    clew__buf_adds(out, "'>");
    html_string(out, text_of(parsed, "level"));
    clew__buf_adds(out, "<td class='mono nw'>");
    html_string(out, text_of(line->labels, "service_name"));
    clew__buf_adds(out, "<td class=mono>");
    if (parsed) {
        html_string(out, text_of(parsed, "message"));
        add_fields(out, json_object_get(parsed, "context"));
    } else {
        html_text(out, line->text, line->len);
    }
    clew__buf_adds(out, "<td class=mono>");
    add_link(out, "/logs?request_id=", text_of(line->metadata, "request_id"));
    clew__buf_adds(out, "<td class=mono>");
    add_link(out, "/trace/", text_of(line->metadata, "trace_id"));
}

static bool take(void *arg, const struct store_line *line)
{
    struct list *list = arg;
    json_t *parsed = json_loadb(line->text, line->len, 0, NULL);

    if (wanted(list->want, line, parsed)) {
        clew__buf_init(&list->rows[list->n], 1 << 20);
        add_row(&list->rows[list->n++], line, parsed);
    }
    json_decref(parsed);
    return list->n < list->want->limit && list->n < 500;
}

void page_lines(struct clew__buf *out, const struct page_lines *want)
{
    struct timespec now;
    struct store_range range = {.backward = true,
                                .exact_request_id = want->request_id,
                                .exact_correlation_id = want->correlation_id,
                                .exact_trace_id = want->trace_id};
    struct list *list = calloc(1, sizeof(*list));

    clock_gettime(CLOCK_REALTIME, &now);
    range.until_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec + 600000000000;
    range.from_ns = range.until_ns - 8 * DAY_NS;
    if (!list)
        return;
    list->want = want;
    (void)store_each_line(&range, take, list);
    if (list->n == 0)
        clew__buf_adds(out, "<p class=empty>No lines.</p>");
    else
        clew__buf_adds(out, "<table><tr><th>time<th>level<th>service<th>message<th>request"
                            "<th>trace");
    for (size_t i = list->n; i-- > 0;) {
        clew__buf_add(out, list->rows[i].data, list->rows[i].len);
        clew__buf_done(&list->rows[i]);
    }
    if (list->n)
        clew__buf_adds(out, "</table>");
    free(list);
}

/* An empty parameter, or field of the form, says nothing. */
static const char *argument(const struct request *request, const char *name)
{
    const char *value = request_argument(request, name);

    return value && *value ? value : NULL;
}

void handle_page_logs(struct request *request)
{
    struct page_lines want = {
        .request_id = argument(request, "request_id"),
        .correlation_id = argument(request, "correlation_id"),
        .trace_id = argument(request, "trace_id"),
        .service = argument(request, "service"),
        .level = argument(request, "level"),
        .text = argument(request, "q"),
        .limit = 500,
    };
    struct clew__buf out;

    html_begin(&out, "Logs");
    clew__buf_adds(&out, "<form>Text <input name=q value='");
    html_string(&out, want.text);
    clew__buf_adds(&out, "'> Request <input name=request_id value='");
    html_string(&out, want.request_id);
    clew__buf_adds(&out, "'> <input type=submit value=Find style='width:auto'>");
    if (want.service) {
        clew__buf_adds(&out, "<input type=hidden name=service value='");
        html_string(&out, want.service);
        clew__buf_adds(&out, "'> service ");
        html_string(&out, want.service);
    }
    if (want.level) {
        clew__buf_adds(&out, "<input type=hidden name=level value='");
        html_string(&out, want.level);
        clew__buf_adds(&out, "'> level ");
        html_string(&out, want.level);
        clew__buf_adds(&out, " and above");
    }
    clew__buf_adds(&out, "</form>");
    page_lines(&out, &want);
    html_finish(&out, request, 200);
}
