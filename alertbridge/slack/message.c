/* SPDX-License-Identifier: Apache-2.0
 * A message: its text is the title, which is also what a phone shows; below it an
 * attachment, because only that has a colour bar, with blocks in it. The blocks
 * are written with less and less text until they fit as a whole; links come last and
 * only as far as there is room. */
#include "message.h"

#include <config/config.h>

#include <json.h>

#include <stdio.h>
#include <string.h>

#define TITLE_MAX 300u
#define SECTION_MAX 3000u
#define FIELD_MAX 200u
#define CONTEXT_MAX 600u
#define BUTTON_TEXT_MAX 75u
#define EVENT "clewline_alert"

/* How much is said: the whole, less, and what fits in any case, even if each
 * character is written as six. */
static const struct amount {
    unsigned said, lines, field, context;
} amounts[] = {{1500, 10, FIELD_MAX, CONTEXT_MAX}, {700, 4, FIELD_MAX, 300}, {300, 0, 60, 150}};
#define AMOUNTS (sizeof(amounts) / sizeof(amounts[0]))

static size_t runes(const char *text, size_t len)
{
    size_t n = 0;

    for (size_t i = 0; i < len; i++)
        n += ((unsigned char)text[i] & 0xC0) != 0x80;
    return n;
}

static void next(struct clew__buf *json)
{
    if (json->len && json->data[json->len - 1] == '}')
        clew__buf_addc(json, ',');
}

/* {"type":"mrkdwn","text":…}; text is emptied. */
static void add_text(struct clew__buf *json, struct clew__buf *text, size_t max)
{
    next(json);
    clew__text_cut(text, max);
    clew__buf_adds(json, "{\"type\":\"mrkdwn\"");
    clew__text_buffer(json, "text", text);
    clew__buf_addc(json, '}');
    clew__buf_reset(text);
}

static void add_section(struct clew__buf *json, struct clew__buf *text)
{
    if (text->len == 0)
        return; /* Slack refuses an empty one */
    next(json);
    clew__buf_adds(json, "{\"type\":\"section\",\"text\":");
    add_text(json, text, SECTION_MAX);
    clew__buf_addc(json, '}');
}

static void add_fields(struct clew__buf *json, const struct clew__page *page,
                       struct clew__buf *text, unsigned max)
{
    static const char *const labels[][2] = {{"severity", "Severity"},
                                            {"service", "Service"},
                                            {"cluster", "Cluster"},
                                            {"namespace", "Namespace"}};
    unsigned n = 0;

    for (size_t i = 0; i < sizeof(labels) / sizeof(labels[0]); i++) {
        const char *value = clew__page_shared(page, false, labels[i][0]);

        if (!*value)
            continue;
        next(json);
        if (n++ == 0)
            clew__buf_adds(json, "{\"type\":\"section\",\"fields\":[");
        clew__buf_addf(text, "*%s*\n", labels[i][1]);
        clew__text_value(text, value, clew__slack_escape);
        add_text(json, text, max);
    }
    if (n)
        clew__buf_adds(json, "]}");
}

static void add_context(struct clew__buf *json, const struct clew__slack_view *view,
                        struct clew__buf *text, unsigned max)
{
    const char *const lines[] = {view->acknowledged, view->silenced};
    unsigned n = 0;

    clew__slack_left_out(text, view->page);
    for (size_t i = 0; i <= sizeof(lines) / sizeof(lines[0]); i++) {
        if (i > 0)
            clew__buf_adds(text, lines[i - 1]);
        if (text->len == 0)
            continue;
        next(json);
        if (n++ == 0)
            clew__buf_adds(json, "{\"type\":\"context\",\"elements\":[");
        add_text(json, text, max);
    }
    if (n)
        clew__buf_adds(json, "]}");
}

static void begin_button(struct clew__buf *json, const char *action, const char *text,
                         const char *style)
{
    next(json);
    clew__buf_adds(json, "{\"type\":\"button\"");
    clew__text_member(json, "action_id", action, 255);
    if (*style)
        clew__text_member(json, "style", style, 16);
    clew__buf_adds(json, ",\"text\":{\"type\":\"plain_text\"");
    clew__text_member(json, "text", text, BUTTON_TEXT_MAX);
    clew__buf_addc(json, '}');
}

static void add_button(struct clew__buf *json, const struct clew__slack_view *view, bool shown,
                       const char *action, const char *text, const char *style)
{
    if (!shown || !*view->button)
        return;
    begin_button(json, action, text, style);
    clew__text_member(json, "value", view->button, 2000);
    clew__buf_addc(json, '}');
}

/* As many links as there is room for; begin: where the blocks begin. */
static void add_links(struct clew__buf *json, const struct clew__config *config,
                      const struct clew__page *page, size_t begin)
{
    struct clew__page_link links[CLEW__LINKS_MAX];
    size_t n = clew__links_collect(config, page, links);

    for (size_t i = 0; i < n; i++) {
        size_t before = json->len;
        char action[24];

        (void)snprintf(action, sizeof(action), "clew_link_%zu", i);
        begin_button(json, action, links[i].text, "");
        clew__text_member(json, "url", links[i].url, CLEW__LINK_URL_MAX);
        clew__buf_addc(json, '}');
        if (!json->failed &&
            runes(json->data + begin, json->len - begin) + 8 > CLEW__SLACK_BLOCKS_MAX)
            json->len = before;
    }
    clew__links_done(links, n);
}

static void add_actions(struct clew__buf *json, const struct clew__config *config,
                        const struct clew__slack_view *view, size_t begin)
{
    static const char opening[] = "{\"type\":\"actions\",\"elements\":[";
    size_t before = json->len;

    next(json);
    clew__buf_adds(json, opening);
    add_button(json, view, view->can_acknowledge, CLEW__SLACK_ACKNOWLEDGE, "Acknowledge",
               "primary");
    add_button(json, view, view->can_silence, CLEW__SLACK_SILENCE_1H, "Silence 1 h", "");
    add_button(json, view, view->can_silence, CLEW__SLACK_SILENCE_4H, "Silence 4 h", "");
    add_button(json, view, view->can_resolve, CLEW__SLACK_RESOLVE, "Resolve in PagerDuty",
               "danger");
    add_links(json, config, view->page, begin);
    if (json->failed)
        return;
    if (json->data[json->len - 1] == '[')
        json->len = before; /* Slack refuses an empty one */
    else
        clew__buf_adds(json, "]}");
}

static void add_said(struct clew__buf *json, const struct clew__slack *slack,
                     const struct clew__slack_view *view, struct clew__buf *text,
                     const struct amount *amount)
{
    const struct clew__page *page = view->page;

    clew__slack_said(text, slack, page, amount->said);
    add_section(json, text);
    /* One alert that fires is told by the title and the text. */
    if (page->nfiring > 1)
        clew__slack_list(text, page, true, page->nfiring, amount->lines);
    else if (page->nfiring == 0)
        clew__slack_list(text, page, false, page->nresolved, amount->lines);
    add_section(json, text);
}

/* The list of blocks; at least one. */
static void add_blocks(struct clew__buf *json, const struct clew__slack *slack,
                       const struct clew__config *config, const struct clew__slack_view *view,
                       struct clew__buf *text, const struct amount *amount)
{
    size_t begin = json->len;

    clew__buf_addc(json, '[');
    add_said(json, slack, view, text, amount);
    add_fields(json, view->page, text, amount->field);
    add_context(json, view, text, amount->context);
    add_actions(json, config, view, begin);
    if (!json->failed && json->data[json->len - 1] == '[') {
        clew__text_value(text, clew__page_name(view->page), clew__slack_escape);
        add_section(json, text);
    }
    clew__buf_addc(json, ']');
}

static void add_address(struct clew__buf *body, const struct clew__slack_address *address)
{
    clew__buf_addc(body, '{');
    clew__text_member(body, "channel", address->channel, 64);
    if (*address->update)
        clew__text_member(body, "ts", address->update, 64);
    if (*address->thread) {
        clew__text_member(body, "thread_ts", address->thread, 64);
        clew__buf_addf(body, ",\"reply_broadcast\":%s", address->broadcast ? "true" : "false");
    }
    clew__buf_adds(body, ",\"metadata\":{\"event_type\":\"" EVENT "\",\"event_payload\":{");
    clew__text_member(body, "delivery", address->delivery, 128);
    clew__buf_adds(body, "}}");
    /* Nothing that an alert names is fetched and shown. */
    if (!*address->update)
        clew__buf_adds(body, ",\"unfurl_links\":false,\"unfurl_media\":false");
}

void clew__slack_message(struct clew__buf *body, const struct clew__slack *slack,
                         const struct clew__config *config, const struct clew__slack_view *view,
                         const struct clew__slack_address *address)
{
    struct clew__buf text, blocks;

    clew__buf_init(&text, CLEW__TEMPLATE_RESULT_MAX);
    clew__buf_init(&blocks, 1u << 20);
    for (size_t i = 0; i < AMOUNTS; i++) {
        clew__buf_reset(&blocks);
        add_blocks(&blocks, slack, config, view, &text, &amounts[i]);
        if (blocks.failed || runes(blocks.data, blocks.len) <= CLEW__SLACK_BLOCKS_MAX)
            break;
    }
    add_address(body, address);
    clew__slack_title(&text, slack, view->page);
    clew__text_cut(&text, TITLE_MAX);
    clew__text_buffer(body, "text", &text);
    clew__buf_addf(body, ",\"attachments\":[{\"color\":\"%s\"", clew__slack_colour(view->page));
    clew__text_buffer(body, "fallback", &text);
    clew__buf_adds(body, ",\"blocks\":");
    clew__buf_add(body, blocks.data ? blocks.data : "", blocks.len);
    clew__buf_adds(body, "}]}");
    if (blocks.failed)
        body->failed = true;
    clew__buf_done(&blocks);
    clew__buf_done(&text);
}

void clew__slack_note(struct clew__buf *body, const char *text,
                      const struct clew__slack_address *address)
{
    struct clew__buf cut;

    clew__buf_init(&cut, CLEW__TEMPLATE_RESULT_MAX);
    clew__text_value(&cut, text, NULL);
    clew__text_cut(&cut, CLEW__SLACK_NOTE_MAX);
    add_address(body, address);
    clew__text_buffer(body, "text", &cut);
    clew__buf_addc(body, '}');
    clew__buf_done(&cut);
}

void clew__slack_change(struct clew__buf *text, const struct clew__page *page)
{
    clew__slack_list(text, page, true, page->nfired, amounts[0].lines);
    clew__slack_list(text, page, false, page->nresolved, amounts[0].lines);
    if (page->nfiring == 0)
        clew__buf_addf(text, "%sAll resolved.", text->len ? "\n" : "");
    else if (page->nresolved)
        clew__buf_addf(text, "\n%llu still firing.", (unsigned long long)page->nfiring);
    clew__slack_left_out(text, page);
    clew__text_cut(text, CLEW__SLACK_NOTE_MAX);
}
