/* SPDX-License-Identifier: Apache-2.0
 * Slack's incoming webhooks: one message per change of a group. An attachment,
 * because only that has a colour bar. A webhook's answer has no message id, so
 * nothing can be updated later, and a repeat after a lost answer is seen twice.
 *
 * Everything from outside is escaped (& < >), so that a label can neither ping a
 * channel nor forge a link; lengths are counted in characters. The webhook's URL
 * is the secret. No state; MT-Safe. */
#include "text.h"

#include <clew/log.h>

#include <json.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FALLBACK_MAX 1000
#define TITLE_MAX 1000
#define TEXT_MAX 3000
#define FIELD_MAX 500
#define BUTTON_TEXT_MAX 30
#define BUTTONS_MAX 5u     /* Slack shows five */
#define LISTED_MAX 10u     /* alerts named in the text */
#define ALERT_TEXT_MAX 300 /* characters of one such line */
#define BODY_MAX (256u << 10)

struct slack {
    char *channel; /* "" for the webhook's own */
    struct clew__template *title, *text;
};

static const char *const keys[] = {"api_url", "api_url_file",  "channel", "title",
                                   "text",    "send_resolved", NULL};

static void release(void *options)
{
    struct slack *slack = options;

    if (!slack)
        return;
    free(slack->channel);
    (void)clew__template_free(slack->title);
    (void)clew__template_free(slack->text);
    free(slack);
}

static int configure(struct clew__integration *self, struct clew__yaml_node node)
{
    struct slack *slack = calloc(1, sizeof(*slack));
    int r;

    self->options = slack;
    if (!slack)
        return clew_set_error(-ENOMEM, "out of memory");
    r = clew__config_secret(node, "api_url", "api_url_file", &self->url);
    if (r == 0)
        r = clew__yaml_text(clew__yaml_get(node, "channel"), 256, "", &slack->channel);
    if (r == 0)
        r = clew__config_template(node, "title", NULL, &slack->title);
    if (r == 0)
        r = clew__config_template(node, "text", NULL, &slack->text);
    if (r < 0)
        return r;
    self->off = !*self->url;
    if (!self->off && !clew__is_url(self->url))
        return clew__yaml_error(node, "api_url is no http or https URL");
    clew__integration_name_target(self, slack->channel);
    return 0;
}

static void escape(struct clew__buf *buf, const char *value, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (value[i] == '&')
            clew__buf_adds(buf, "&amp;");
        else if (value[i] == '<')
            clew__buf_adds(buf, "&lt;");
        else if (value[i] == '>')
            clew__buf_adds(buf, "&gt;");
        else
            clew__buf_addc(buf, value[i]);
    }
}

/* "[FIRING:2] InstanceDown" unless the configuration says otherwise. */
static void title(struct clew__buf *text, const struct slack *slack, const struct clew__page *page)
{
    if (slack->title)
        clew__template_render(slack->title, page, escape, text);
    if (text->len)
        return;
    clew__text_title(text, page, escape);
}

static void add_alert(struct clew__buf *text, const struct clew__page *page,
                      const struct clew__page_alert *alert)
{
    struct clew__buf line;

    clew__buf_init(&line, 1u << 20);
    clew__text_alert(&line, page, alert, escape);
    clew__text_cut(&line, ALERT_TEXT_MAX);
    clew__buf_adds(text, "\n\xE2\x80\xA2 ");
    clew__buf_add(text, line.data ? line.data : "", line.len);
    clew__buf_done(&line);
}

static void add_list(struct clew__buf *text, const struct clew__page *page, bool firing,
                     uint64_t total)
{
    uint64_t listed = 0;

    if (total == 0)
        return;
    clew__buf_addf(text, "%s*%s (%llu)*", text->len ? "\n" : "", firing ? "Firing" : "Resolved",
                   (unsigned long long)total);
    for (size_t i = 0; i < page->nalerts && listed < LISTED_MAX; i++) {
        if (page->alerts[i].firing != firing)
            continue;
        add_alert(text, page, &page->alerts[i]);
        listed++;
    }
    if (listed < total)
        clew__buf_addf(text, "\n\xE2\x80\xA2 and %llu more", (unsigned long long)(total - listed));
}

/* The configured text, or summary and description; then what changed. */
static void body_text(struct clew__buf *text, const struct slack *slack,
                      const struct clew__page *page)
{
    struct clew__buf said;

    clew__buf_init(&said, CLEW__TEMPLATE_RESULT_MAX);
    if (slack->text)
        clew__template_render(slack->text, page, escape, &said);
    else
        clew__text_said(&said, page, escape);
    /* Half of the room, so that what changed is always seen. */
    clew__text_cut(&said, TEXT_MAX / 2);
    clew__buf_add(text, said.data ? said.data : "", said.len);
    if (said.failed)
        text->failed = true;
    clew__buf_done(&said);
    /* One alert that fired is told by the text; what ended is always named. */
    if (page->nfired != 1 || page->nresolved || !text->len) {
        add_list(text, page, true, page->nfired);
        add_list(text, page, false, page->nresolved);
    }
    if (page->ntruncated)
        clew__buf_addf(text, "\n_Alertmanager left out %llu more alerts_",
                       (unsigned long long)page->ntruncated);
    clew__text_cut(text, TEXT_MAX);
}

static void add_buffer(struct clew__buf *json, const char *key, struct clew__buf *text)
{
    clew__text_buffer(json, key, text);
    clew__buf_done(text);
}

static void add_field(struct clew__buf *json, const char *name, const char *value)
{
    struct clew__buf text;

    if (!*value)
        return;
    clew__buf_init(&text, 1u << 20);
    clew__text_value(&text, value, escape);
    clew__text_cut(&text, FIELD_MAX);
    if (json->data[json->len - 1] == '}')
        clew__buf_addc(json, ',');
    clew__buf_addf(json, "{\"title\":\"%s\",\"short\":true", name);
    add_buffer(json, "value", &text);
    clew__buf_addc(json, '}');
}

static void add_count(struct clew__buf *json, const char *name, uint64_t n)
{
    char text[24];

    (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)n);
    add_field(json, name, n ? text : "");
}

static void add_fields(struct clew__buf *json, const struct clew__page *page)
{
    static const char *const labels[][2] = {{"severity", "Severity"},
                                            {"service", "Service"},
                                            {"cluster", "Cluster"},
                                            {"namespace", "Namespace"}};

    clew__buf_adds(json, ",\"fields\":[");
    for (size_t i = 0; i < sizeof(labels) / sizeof(labels[0]); i++)
        add_field(json, labels[i][1], clew__page_shared(page, false, labels[i][0]));
    add_count(json, "Firing now", page->nfiring);
    add_count(json, "Resolved", page->nresolved);
    add_count(json, "Left out by Alertmanager", page->ntruncated);
    add_field(json, "Why now", page->note);
    clew__buf_addc(json, ']');
}

static void add_links(struct clew__buf *json, const struct clew__config *config,
                      const struct clew__page *page)
{
    struct clew__page_link links[CLEW__LINKS_MAX];
    size_t n = clew__links_collect(config, page, links);

    if (n)
        clew__text_member(json, "title_link", links[0].url, CLEW__LINK_URL_MAX);
    clew__buf_adds(json, ",\"actions\":[");
    for (size_t i = 0; i < n && i < BUTTONS_MAX; i++) {
        clew__buf_adds(json, i ? ",{\"type\":\"button\"" : "{\"type\":\"button\"");
        clew__text_member(json, "text", links[i].text, BUTTON_TEXT_MAX);
        clew__text_member(json, "url", links[i].url, CLEW__LINK_URL_MAX);
        clew__buf_addc(json, '}');
    }
    clew__buf_addc(json, ']');
    clew__links_done(links, n);
}

static const char *colour(const struct clew__page *page)
{
    static const char *const colours[] = {[CLEW__TONE_GOOD] = "good",
                                          [CLEW__TONE_INFO] = "#439FE0",
                                          [CLEW__TONE_WARNING] = "warning",
                                          [CLEW__TONE_DANGER] = "danger"};

    return colours[clew__page_tone(page)];
}

static int render(const struct clew__integration *self, const struct clew__config *config,
                  const struct clew__page *page, struct clew__buf *body)
{
    const struct slack *slack = self->options;
    struct clew__buf text;

    clew__buf_addc(body, '{');
    if (*slack->channel)
        clew__text_member(body, "channel", slack->channel, 256);
    clew__buf_addf(body, "%s\"attachments\":[{\"color\":\"%s\",\"mrkdwn_in\":[\"text\"]",
                   *slack->channel ? "," : "", colour(page));
    clew__buf_init(&text, CLEW__TEMPLATE_RESULT_MAX);
    title(&text, slack, page);
    clew__text_cut(&text, TITLE_MAX);
    add_buffer(body, "title", &text);
    title(&text, slack, page);
    clew__text_cut(&text, FALLBACK_MAX);
    add_buffer(body, "fallback", &text);
    body_text(&text, slack, page);
    add_buffer(body, "text", &text);
    add_fields(body, page);
    add_links(body, config, page);
    clew__buf_adds(body, "}]}");
    if (body->failed)
        return clew_set_error(-ENOMEM, "out of memory");
    return body->len > BODY_MAX ? clew_set_error(-E2BIG, "the message is too long") : 0;
}

/* Slack's words for what will not get better by trying again. Their list is in
 * its documentation of incoming webhooks; any other 4xx is as final. */
static struct clew__verdict verdict(const struct clew__answer *answer)
{
    static const char *const words[] = {"invalid_payload",   "user_not_found",
                                        "no_text",           "too_many_attachments",
                                        "invalid_blocks",    "action_prohibited",
                                        "no_service",        "posting_to_general_channel_denied",
                                        "channel_not_found", "no_service_id",
                                        "no_team",           "no_active_hooks",
                                        "invalid_token",     "channel_is_archived",
                                        "team_disabled"};
    struct clew__verdict verdict = clew__verdict_of_status(answer);
    json_t *body = answer->status ? json_loads(answer->body, 0, NULL) : NULL;
    json_t *wait = json_object_get(body, "retry_after");

    if (verdict.kind == CLEW__DONE && json_is_false(json_object_get(body, "ok"))) {
        verdict.kind = CLEW__PERMANENT;
        (void)snprintf(verdict.reason, sizeof(verdict.reason), "not_ok");
    }
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (verdict.kind == CLEW__PERMANENT && strcmp(answer->body, words[i]) == 0)
            (void)snprintf(verdict.reason, sizeof(verdict.reason), "%s", words[i]);
    if (verdict.kind == CLEW__RETRY && verdict.wait_seconds < 0 && json_is_number(wait) &&
        json_number_value(wait) >= 0)
        verdict.wait_seconds = json_number_value(wait);
    json_decref(body);
    return verdict;
}

const struct clew__receiver_ops clew__slack = {
    .kind = "slack",
    .incidents = false,
    .send_resolved = false, /* as in Alertmanager */
    .keys = keys,
    .configure = configure,
    .release = release,
    .render = render,
    .verdict = verdict,
};
