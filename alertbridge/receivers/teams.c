/* SPDX-License-Identifier: Apache-2.0
 * Microsoft Teams by the webhook of a workflow ("post to a channel when a webhook
 * request is received"): an Adaptive Card of version 1.4 per change of a group.
 * A workflow answers 202 and gives no id, so nothing can be updated later.
 *
 * A card's texts are Markdown: everything from outside is escaped, so that a label
 * cannot forge a link. Teams takes 28 KB, counted over the whole message, so the
 * card is written again with shorter texts until it fits. The URL is the secret.
 * No state; MT-Safe. */
#include "text.h"

#include <clew/log.h>

#include <json.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CARD_MAX 28000u /* bytes, of 28 KB */
#define TITLE_MAX 300u  /* characters; the others are halved until all fits */
#define TEXT_MAX 4000u
#define ALERT_TEXT_MAX 500u
#define FACT_MAX 500u
#define SHORTEST 64u   /* so often */
#define LISTED_MAX 10u /* alerts named */
#define BUTTONS_MAX 5u
#define BUTTON_URL_MAX 1024u

struct teams {
    struct clew__template *title, *text;
};

/* A card that is being written. */
struct card {
    struct clew__buf *json;
    const struct clew__page *page;
    size_t shorter; /* texts are divided by this */
};

static const char *const keys[] = {"webhook_url", "webhook_url_file", "title",
                                   "text",        "send_resolved",    NULL};

static void release(void *options)
{
    struct teams *teams = options;

    if (!teams)
        return;
    (void)clew__template_free(teams->title);
    (void)clew__template_free(teams->text);
    free(teams);
}

static int configure(struct clew__integration *self, struct clew__yaml_node node)
{
    struct teams *teams = calloc(1, sizeof(*teams));
    int r;

    self->options = teams;
    if (!teams)
        return clew_set_error(-ENOMEM, "out of memory");
    r = clew__config_secret(node, "webhook_url", "webhook_url_file", &self->url);
    if (r == 0)
        r = clew__config_template(node, "title", NULL, &teams->title);
    if (r == 0)
        r = clew__config_template(node, "text", NULL, &teams->text);
    if (r < 0)
        return r;
    self->off = !*self->url;
    if (!self->off && !clew__is_url(self->url))
        return clew__yaml_error(node, "webhook_url is no http or https URL");
    clew__integration_name_target(self, "");
    return 0;
}

/* What makes links, emphasis and code. A line break would begin a paragraph. */
static void escape(struct clew__buf *buf, const char *value, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (strchr("\\[]*`<", value[i]) && value[i])
            clew__buf_addc(buf, '\\');
        clew__buf_addc(buf, (unsigned char)value[i] < ' ' ? ' ' : value[i]);
    }
}

/* A text block: extra are members that are the same for all. Empty: nothing. */
static void add_block(struct card *card, struct clew__buf *text, size_t max, const char *extra)
{
    clew__text_cut(text, max);
    if (text->len) {
        clew__buf_addf(card->json, "%s{\"type\":\"TextBlock\",\"wrap\":true%s",
                       card->json->data[card->json->len - 1] == '[' ? "" : ",", extra);
        clew__text_buffer(card->json, "text", text);
        clew__buf_addc(card->json, '}');
    }
    clew__buf_reset(text);
}

static void add_title(struct card *card, const struct teams *teams, struct clew__buf *text)
{
    static const char *const colours[] = {[CLEW__TONE_GOOD] = "Good",
                                          [CLEW__TONE_INFO] = "Accent",
                                          [CLEW__TONE_WARNING] = "Warning",
                                          [CLEW__TONE_DANGER] = "Attention"};
    char extra[96];

    if (teams->title)
        clew__template_render(teams->title, card->page, escape, text);
    if (!text->len)
        clew__text_title(text, card->page, escape);
    (void)snprintf(extra, sizeof(extra),
                   ",\"size\":\"Large\",\"weight\":\"Bolder\",\"color\":\"%s\"",
                   colours[clew__page_tone(card->page)]);
    add_block(card, text, TITLE_MAX / (card->shorter > 4 ? 4 : card->shorter), extra);
}

static void add_list(struct card *card, struct clew__buf *text, bool firing, uint64_t total)
{
    static const char close[] = ",\"spacing\":\"None\"";
    uint64_t listed = 0;

    if (total == 0)
        return;
    clew__buf_addf(text, "%s (%llu)", firing ? "Firing" : "Resolved", (unsigned long long)total);
    add_block(card, text, 64, ",\"weight\":\"Bolder\"");
    for (size_t i = 0; i < card->page->nalerts && listed < LISTED_MAX; i++) {
        if (card->page->alerts[i].firing != firing)
            continue;
        clew__buf_adds(text, "\xE2\x80\xA2 ");
        clew__text_alert(text, card->page, &card->page->alerts[i], escape);
        add_block(card, text, ALERT_TEXT_MAX / card->shorter, close);
        listed++;
    }
    if (listed < total) {
        clew__buf_addf(text, "\xE2\x80\xA2 and %llu more", (unsigned long long)(total - listed));
        add_block(card, text, 64, close);
    }
}

static void add_texts(struct card *card, const struct teams *teams, struct clew__buf *text)
{
    const struct clew__page *page = card->page;
    bool said;

    if (teams->text) {
        clew__template_render(teams->text, page, escape, text);
    } else {
        clew__text_value(text, clew__page_value(page->common_annotations, "summary"), escape);
        add_block(card, text, TEXT_MAX / card->shorter, "");
        clew__text_value(text, clew__page_value(page->common_annotations, "description"), escape);
    }
    said = text->len || *clew__page_value(page->common_annotations, "summary");
    add_block(card, text, TEXT_MAX / card->shorter, "");
    /* One alert that fired is told by the text; what ended is always named. */
    if (page->nfired == 1 && !page->nresolved && said)
        return;
    add_list(card, text, true, page->nfired);
    add_list(card, text, false, page->nresolved);
}

static void add_fact(struct card *card, const char *name, const char *value)
{
    struct clew__buf text;

    if (!*value)
        return;
    clew__buf_init(&text, 1u << 20);
    clew__text_value(&text, value, escape);
    clew__text_cut(&text, FACT_MAX / card->shorter);
    clew__buf_addf(card->json, "%s{\"title\":\"%s\"",
                   card->json->data[card->json->len - 1] == '[' ? "" : ",", name);
    clew__text_buffer(card->json, "value", &text);
    clew__buf_addc(card->json, '}');
    clew__buf_done(&text);
}

static void add_count(struct card *card, const char *name, uint64_t n)
{
    char text[24];

    (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)n);
    add_fact(card, name, n ? text : "");
}

static void add_facts(struct card *card)
{
    static const char *const labels[][2] = {{"severity", "Severity"},
                                            {"service", "Service"},
                                            {"cluster", "Cluster"},
                                            {"namespace", "Namespace"},
                                            {"instance", "Instance"}};

    clew__buf_adds(card->json, ",{\"type\":\"FactSet\",\"facts\":[");
    for (size_t i = 0; i < sizeof(labels) / sizeof(labels[0]); i++)
        add_fact(card, labels[i][1], clew__page_shared(card->page, false, labels[i][0]));
    add_count(card, "Firing now", card->page->nfiring);
    add_count(card, "Resolved", card->page->nresolved);
    add_count(card, "Left out by Alertmanager", card->page->ntruncated);
    add_fact(card, "Why now", card->page->note);
    clew__buf_adds(card->json, "]}");
}

static void add_buttons(struct card *card, const struct clew__config *config)
{
    struct clew__page_link links[CLEW__LINKS_MAX];
    size_t n = clew__links_collect(config, card->page, links), shown = 0;

    clew__buf_adds(card->json, ",\"actions\":[");
    for (size_t i = 0; i < n && shown < BUTTONS_MAX; i++) {
        if (strlen(links[i].url) > BUTTON_URL_MAX * 2 / (card->shorter > 2 ? 2 : card->shorter))
            continue; /* a link that is cut leads nowhere */
        clew__buf_adds(card->json, shown++ ? ",{" : "{");
        clew__text_member(card->json, "type", "Action.OpenUrl", 32);
        clew__text_member(card->json, "title", links[i].text, 30);
        clew__text_member(card->json, "url", links[i].url, CLEW__LINK_URL_MAX);
        clew__buf_addc(card->json, '}');
    }
    clew__buf_addc(card->json, ']');
    clew__links_done(links, n);
}

static void add_card(struct card *card, const struct teams *teams,
                     const struct clew__config *config)
{
    struct clew__buf text;

    clew__buf_init(&text, CLEW__TEMPLATE_RESULT_MAX);
    clew__buf_adds(card->json,
                   "{\"type\":\"message\",\"attachments\":[{\"contentType\":"
                   "\"application/vnd.microsoft.card.adaptive\",\"contentUrl\":null,\"content\":{"
                   "\"$schema\":\"http://adaptivecards.io/schemas/adaptive-card.json\","
                   "\"type\":\"AdaptiveCard\",\"version\":\"1.4\",\"msteams\":{\"width\":\"Full\"},"
                   "\"body\":[");
    if (card->json->failed) /* from here on the last character is looked at */
        return;
    add_title(card, teams, &text);
    add_texts(card, teams, &text);
    add_facts(card);
    clew__buf_addc(card->json, ']');
    add_buttons(card, config);
    clew__buf_adds(card->json, "}}]}");
    clew__buf_done(&text);
}

static int render(const struct clew__integration *self, const struct clew__config *config,
                  const struct clew__page *page, struct clew__buf *body)
{
    struct card card = {.json = body, .page = page};

    for (card.shorter = 1; card.shorter <= SHORTEST; card.shorter *= 2) {
        clew__buf_reset(body);
        add_card(&card, self->options, config);
        if (body->failed)
            return clew_set_error(-ENOMEM, "out of memory");
        if (body->len <= CARD_MAX)
            return 0;
    }
    return clew_set_error(-E2BIG, "the card is too long");
}

const struct clew__receiver_ops clew__teams = {
    .kind = "msteamsv2", /* as Alertmanager calls it */
    .incidents = false,
    .send_resolved = true,
    .keys = keys,
    .configure = configure,
    .release = release,
    .render = render,
    .verdict = clew__verdict_of_status,
};
