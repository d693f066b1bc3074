/* SPDX-License-Identifier: Apache-2.0
 * Lines of logs are the least trusted text there is: anybody who can make a service
 * log something writes them. So each is cut, has no control characters and no
 * backquotes (which would end the block that it is shown in), and is escaped. No
 * state; MT-Safe. */
#include "lines.h"

#include <common/instant.h>
#include <receivers/slack.h>

#include <json.h>

#include <ctype.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define LINE_CHARS 260u /* of one line: ten of them fit into a text */
#define REQUEST_ID_CHARS 64u

struct line {
    int64_t at;
    const char *text;     /* borrowed from the answer */
    const json_t *stream; /* labels and structured metadata */
};

void clew__loki_escape(struct clew__buf *buf, const char *value, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)value[i];

        if (c == '"' || c == '\\')
            clew__buf_addf(buf, "\\%c", c);
        else if (c < ' ' || c == 0x7F)
            clew__buf_addf(buf, "\\x%02x", c);
        else
            clew__buf_addc(buf, (char)c);
    }
}

bool clew__loki_asks_for_nothing(const char *query)
{
    const char *open = strchr(query, '{'), *at = open ? strstr(open, "=\"\"") : NULL;
    const char *close = open ? strchr(open, '}') : NULL;

    return !open || !close || (at && at < close);
}

static void add_quoted(struct clew__buf *url, const char *text)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;

        if (isalnum(c) || strchr("-_.~", c))
            clew__buf_addc(url, (char)c);
        else
            clew__buf_addf(url, "%%%02X", c);
    }
}

void clew__loki_url(struct clew__buf *url, const char *base, const char *query, unsigned lines,
                    int64_t from, int64_t until)
{
    size_t len = strlen(base);

    while (len && base[len - 1] == '/')
        len--;
    clew__buf_add(url, base, len);
    clew__buf_addf(
        url,
        "/loki/api/v1/query_range?direction=backward&limit=%u&start=%lld&end=%lld&query=", lines,
        (long long)from, (long long)until);
    add_quoted(url, query);
}

static int newest_first(const void *a, const void *b)
{
    const struct line *one = a, *two = b;

    return one->at < two->at ? 1 : one->at > two->at ? -1 : 0;
}

/* The newest of a few: `lines` has room for one more than max. */
static unsigned keep(struct line *lines, unsigned n, unsigned max, struct line line)
{
    lines[n++] = line;
    qsort(lines, n, sizeof(*lines), newest_first);
    return n > max ? max : n;
}

static unsigned collect(const json_t *root, struct line *lines, unsigned max)
{
    const json_t *result = json_object_get(json_object_get(root, "data"), "result");
    const json_t *stream, *value;
    unsigned n = 0;
    size_t i, j;

    json_array_foreach(result, i, stream)
    {
        json_array_foreach(json_object_get(stream, "values"), j, value)
        {
            const char *at = json_string_value(json_array_get(value, 0));
            const char *text = json_string_value(json_array_get(value, 1));

            if (at && text)
                n = keep(
                    lines, n, max,
                    (struct line){strtoll(at, NULL, 10), text, json_object_get(stream, "stream")});
        }
    }
    return n;
}

static const char *first_of(const json_t *one, const json_t *two, const char *const *names)
{
    for (; *names; names++) {
        const char *text = json_string_value(json_object_get(one, *names));

        if (!text)
            text = json_string_value(json_object_get(two, *names));
        if (text && *text)
            return text;
    }
    return "";
}

/* Cut, on one line, and unable to end the block. */
static void add_clean(struct clew__buf *text, const char *value, size_t chars)
{
    struct clew__buf clean;

    clew__buf_init(&clean, 64u << 10);
    clew__utf8_clean(&clean, value, clew__utf8_cut(value, strlen(value), 4 * chars + 4));
    for (size_t i = 0; i < clean.len; i++) {
        unsigned char c = (unsigned char)clean.data[i];

        if (c < ' ' || c == 0x7F)
            clean.data[i] = ' ';
        else if (c == '`')
            clean.data[i] = '\'';
    }
    clew__text_cut(&clean, chars);
    clew__slack_escape(text, clean.data ? clean.data : "", clean.len);
    clew__buf_done(&clean);
}

static void add_line(struct clew__buf *text, const struct line *line)
{
    static const char *const levels[] = {"level", "severity", "detected_level", NULL};
    static const char *const messages[] = {"message", "msg", NULL};
    static const char *const ids[] = {"request_id", "requestId", "trace_id", NULL};
    json_t *fields = json_loads(line->text, 0, NULL);
    const char *message = first_of(fields, NULL, messages);
    const char *id = first_of(fields, line->stream, ids);
    char time[CLEW__INSTANT_TEXT];

    clew__buf_addf(text, "%.12s ", clew__instant_format(line->at, time) + 11);
    if (*message) {
        add_clean(text, first_of(fields, line->stream, levels), 10);
        clew__buf_addc(text, ' ');
    }
    add_clean(text, *message ? message : line->text, LINE_CHARS - 60);
    if (*id) {
        clew__buf_adds(text, "  ");
        add_clean(text, id, REQUEST_ID_CHARS);
    }
    json_decref(fields);
}

unsigned clew__loki_text(struct clew__buf *text, const char *answer, unsigned max)
{
    struct line lines[CLEW__LOKI_LINES_MAX + 1];
    json_t *root = json_loads(answer, 0, NULL);
    unsigned n = collect(root, lines, max < CLEW__LOKI_LINES_MAX ? max : CLEW__LOKI_LINES_MAX);

    if (n)
        clew__buf_adds(text, "```");
    for (unsigned i = n; i-- > 0;) {
        add_line(text, &lines[i]);
        clew__buf_adds(text, i ? "\n" : "```");
    }
    json_decref(root);
    return n;
}
