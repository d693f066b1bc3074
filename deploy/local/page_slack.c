/* SPDX-License-Identifier: Apache-2.0
 * What Slack would show: messages newest first, each with its thread below it, and
 * buttons that say to the app that they were clicked (slack_click.c). */
#include "html.h"
#include "page_slack.h"
#include "store.h"

#include <string.h>

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

/* The length of *bold* with its asterisks; 0: there is none. */
static size_t bold(const char *text)
{
    size_t n = *text == '*' && text[1] != ' ' ? strcspn(text + 1, "*\n<&") : 0;

    return n > 0 && text[n + 1] == '*' ? n + 2 : 0;
}

/* <url|text> or <url>; its length, 0: it is none. */
static size_t add_link(struct clew__buf *out, const char *text)
{
    const char *close = strncmp(text, "<http", 5) == 0 ? strchr(text, '>') : NULL;
    const char *bar = close ? memchr(text, '|', (size_t)(close - text)) : NULL;

    if (!close)
        return 0;
    clew__buf_adds(out, "<a href='");
    html_text(out, text + 1, (size_t)((bar ? bar : close) - text - 1));
    clew__buf_adds(out, "'>");
    html_text(out, bar ? bar + 1 : text + 1, (size_t)(close - (bar ? bar : text) - 1));
    clew__buf_adds(out, "</a>");
    return (size_t)(close - text) + 1;
}

/* *bold*; its length, 0: it is none. */
static size_t add_bold(struct clew__buf *out, const char *text)
{
    size_t n = bold(text);

    if (n == 0)
        return 0;
    clew__buf_adds(out, "<b>");
    html_text(out, text + 1, n - 2);
    clew__buf_adds(out, "</b>");
    return n;
}

/* Slack escapes only <, > and &. */
static size_t add_escaped(struct clew__buf *out, const char *text)
{
    static const char *const entities[] = {"&lt;", "&gt;", "&amp;"};
    size_t n = strcspn(text + 1, "<&*`") + 1;

    for (size_t i = 0; i < sizeof(entities) / sizeof(entities[0]); i++)
        if (strncmp(text, entities[i], strlen(entities[i])) == 0) {
            clew__buf_adds(out, entities[i]);
            return strlen(entities[i]);
        }
    html_text(out, text, n);
    return n;
}

/* Of Slack's marks: links, ```code```, and *bold* where a word begins. */
static void add_mrkdwn(struct clew__buf *out, const char *text)
{
    bool code = false;
    char before = '\n';

    while (*text) {
        size_t n = 0;

        if (strncmp(text, "```", 3) == 0) {
            clew__buf_adds(out, code ? "</code>" : "<code>");
            code = !code;
            n = 3;
        }
        if (n == 0 && !code)
            n = add_link(out, text);
        if (n == 0 && !code && strchr("\n (", before))
            n = add_bold(out, text);
        if (n == 0)
            n = add_escaped(out, text);
        text += n;
        before = text[-1];
    }
    clew__buf_adds(out, code ? "</code>" : "");
}

static bool is_colour(const char *text)
{
    return text[0] == '#' && strlen(text) <= 7 &&
           strspn(text + 1, "0123456789abcdefABCDEF") == strlen(text) - 1;
}

static bool is_link(const char *url)
{
    return strncmp(url, "http", 4) == 0;
}

static void add_anchor(struct clew__buf *out, const char *url, const char *text)
{
    clew__buf_adds(out, "<a href='");
    html_string(out, is_link(url) ? url : "#");
    clew__buf_adds(out, "'>");
    html_string(out, text);
    clew__buf_adds(out, "</a>");
}

/* ---- blocks ------------------------------------------------------------------------ */

static void add_hidden(struct clew__buf *out, const char *name, const char *value)
{
    clew__buf_addf(out, "<input type=hidden name=%s value='", name);
    html_string(out, value);
    clew__buf_adds(out, "'>");
}

static void add_button(struct clew__buf *out, const json_t *message, const json_t *button)
{
    const char *text = text_of(json_object_get(button, "text"), "text");

    if (is_link(text_of(button, "url"))) {
        add_anchor(out, text_of(button, "url"), text);
        return;
    }
    clew__buf_adds(out, "<form class=inline method=post action=/slack/click>");
    add_hidden(out, "channel", text_of(message, "channel"));
    add_hidden(out, "ts", text_of(message, "ts"));
    add_hidden(out, "action_id", text_of(button, "action_id"));
    add_hidden(out, "value", text_of(button, "value"));
    clew__buf_adds(out, "<button>");
    html_string(out, text);
    clew__buf_adds(out, "</button></form>");
}

static void add_texts(struct clew__buf *out, const json_t *texts, const char *between)
{
    const json_t *text;
    size_t i;

    json_array_foreach(texts, i, text)
    {
        clew__buf_adds(out, i ? between : "");
        add_mrkdwn(out, text_of(text, "text"));
    }
}

static void add_block(struct clew__buf *out, const json_t *message, const json_t *block)
{
    const char *type = text_of(block, "type");
    const json_t *elements = json_object_get(block, "elements"), *element;
    size_t i;

    if (strcmp(type, "actions") == 0) {
        clew__buf_adds(out, "<div class=buttons>");
        json_array_foreach(elements, i, element) add_button(out, message, element);
    } else if (strcmp(type, "context") == 0) {
        clew__buf_adds(out, "<div class=dim>");
        add_texts(out, elements, " ");
    } else {
        clew__buf_adds(out, "<div>");
        add_mrkdwn(out, text_of(json_object_get(block, "text"), "text"));
        add_texts(out, json_object_get(block, "fields"), "\n");
    }
    clew__buf_adds(out, "</div>");
}

/* ---- attachments ------------------------------------------------------------------- */

static void add_old_style(struct clew__buf *out, const json_t *attachment)
{
    const char *link = text_of(attachment, "title_link");
    const json_t *fields = json_object_get(attachment, "fields"), *field;
    const json_t *actions = json_object_get(attachment, "actions"), *action;
    size_t i;

    clew__buf_adds(out, "<b>");
    if (is_link(link))
        add_anchor(out, link, text_of(attachment, "title"));
    else
        add_mrkdwn(out, text_of(attachment, "title"));
    clew__buf_adds(out, "</b>\n");
    add_mrkdwn(out, text_of(attachment, "text"));
    json_array_foreach(fields, i, field)
    {
        clew__buf_adds(out, "\n<span class=dim>");
        add_mrkdwn(out, text_of(field, "title"));
        clew__buf_adds(out, ":</span> ");
        add_mrkdwn(out, text_of(field, "value"));
    }
    json_array_foreach(actions, i, action)
    {
        clew__buf_adds(out, i ? " · " : "\n");
        add_anchor(out, text_of(action, "url"), text_of(action, "text"));
    }
}

static void add_attachment(struct clew__buf *out, const json_t *message, const json_t *attachment)
{
    const char *colour = text_of(attachment, "color");
    const json_t *blocks = json_object_get(attachment, "blocks"), *block;
    size_t i;

    if (strcmp(colour, "danger") == 0)
        colour = "#c62828";
    else if (strcmp(colour, "good") == 0)
        colour = "#1b7f4d";
    else if (strcmp(colour, "warning") == 0)
        colour = "#d99000";
    clew__buf_addf(out, "<div class=msg style='border-left-color:%s'>",
                   is_colour(colour) ? colour : "#888");
    json_array_foreach(blocks, i, block) add_block(out, message, block);
    if (json_array_size(blocks) == 0)
        add_old_style(out, attachment);
    clew__buf_adds(out, "</div>");
}

/* ---- messages ------------------------------------------------------------------------ */

static void add_message(struct clew__buf *out, const json_t *row)
{
    const json_t *message = json_object_get(row, "payload"), *attachment;
    const json_t *blocks = json_object_get(message, "blocks"), *block;
    size_t i;

    clew__buf_adds(out, "<p><b>");
    html_string(out, text_of(message, "channel"));
    clew__buf_adds(out, "</b> <span class=dim>");
    html_string(out, text_of(row, "time"));
    clew__buf_adds(out, json_object_get(message, "edited") ? " (edited)</span>" : "</span>");
    clew__buf_adds(out, "<br><span class=said>");
    add_mrkdwn(out, text_of(message, "text"));
    clew__buf_adds(out, "</span></p>");
    json_array_foreach(blocks, i, block) add_block(out, message, block);
    json_array_foreach(json_object_get(message, "attachments"), i, attachment)
        add_attachment(out, message, attachment);
}

static void add_thread(struct clew__buf *out, const json_t *rows, const json_t *parent)
{
    const char *ts = text_of(parent, "ts"), *channel = text_of(parent, "channel");
    const json_t *row;
    size_t i;

    if (!*ts)
        return;
    clew__buf_adds(out, "<div class=thread>");
    json_array_foreach(rows, i, row)
    {
        const json_t *message = json_object_get(row, "payload");

        if (strcmp(text_of(message, "thread_ts"), ts) == 0 &&
            strcmp(text_of(message, "channel"), channel) == 0)
            add_message(out, row);
    }
    clew__buf_adds(out, "</div>");
}

void page_slack_messages(struct clew__buf *out, size_t limit)
{
    json_t *rows = store_slack(0);
    size_t shown = 0;

    for (size_t i = json_array_size(rows); i-- > 0 && shown < limit;) {
        const json_t *row = json_array_get(rows, i), *message = json_object_get(row, "payload");

        if (*text_of(message, "thread_ts"))
            continue;
        add_message(out, row);
        add_thread(out, rows, message);
        shown++;
    }
    if (shown == 0)
        clew__buf_adds(out, "<p class=empty>No messages.</p>");
    json_decref(rows);
}

void handle_page_slack(struct request *request)
{
    struct clew__buf out;

    html_begin(&out, "Slack");
    clew__buf_adds(&out, "<h2>Slack messages, newest first</h2>");
    page_slack_messages(&out, 100);
    html_finish(&out, request, 200);
}
