/* SPDX-License-Identifier: Apache-2.0
 * slack_configs, and Slack's incoming webhooks: one message per change of a group (with
 * a token it is the bot's, ../slack/bot.c). An attachment,
 * because only that has a colour bar. A webhook's answer has no message id, so
 * nothing can be updated later, and a repeat after a lost answer is seen twice.
 *
 * Everything from outside is escaped (& < >), so that a label can neither ping a
 * channel nor forge a link; lengths are counted in characters. The webhook's URL
 * is the secret. No state; MT-Safe. */
#include "slack.h"

#include <slack/answer.h>

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
#define BUTTONS_MAX 5u /* Slack shows five */
#define LISTED_MAX 10u /* alerts named in the text */
#define BODY_MAX (256u << 10)

#define API_URL "https://slack.com/api"

static const char *const keys[] = {"api_url",        "api_url_file",  "bot_token",
                                   "bot_token_file", "channel",       "title",
                                   "text",           "send_resolved", NULL};

void clew__slack_release(void *options)
{
    struct clew__slack *slack = options;

    if (!slack)
        return;
    free(slack->channel);
    free(slack->token);
    (void)clew__template_free(slack->title);
    (void)clew__template_free(slack->text);
    free(slack);
}

/* A bot needs its channel by id: a name is no address for updates, and may change. */
static int check_bot(struct clew__integration *self, struct clew__yaml_node node)
{
    const struct clew__slack *slack = self->options;
    struct clew__yaml_node channel = clew__yaml_get(node, "channel");
    size_t len = strlen(self->url);

    if (len == 0) {
        free(self->url);
        self->url = strdup(API_URL);
        if (!self->url)
            return clew_set_error(-ENOMEM, "out of memory");
    } else if (self->url[len - 1] == '/') {
        self->url[len - 1] = '\0';
    }
    for (const unsigned char *c = (const unsigned char *)slack->token; *c; c++)
        if (*c <= ' ' || *c >= 0x7F)
            return clew__yaml_error(node, "bot_token has a space or a control character");
    if (*slack->token &&
        (!*slack->channel || !strchr("CGD", *slack->channel) || !clew__slack_is_id(slack->channel)))
        return clew__yaml_error(channel.node ? channel : node,
                                "a bot needs the channel's id (C0123456789: in Slack, at the end "
                                "of the channel's details), not its name");
    self->ops = &clew__slack_bot;
    if (!clew__yaml_get(node, "send_resolved").node)
        self->send_resolved = clew__slack_bot.send_resolved;
    return 0;
}

static int configure(struct clew__integration *self, struct clew__yaml_node node)
{
    struct clew__slack *slack = calloc(1, sizeof(*slack));
    bool bot =
        clew__yaml_get(node, "bot_token").node || clew__yaml_get(node, "bot_token_file").node;
    int r;

    self->options = slack;
    if (!slack)
        return clew_set_error(-ENOMEM, "out of memory");
    r = clew__config_secret(node, "api_url", "api_url_file", &self->url);
    if (r == 0)
        r = clew__config_secret(node, "bot_token", "bot_token_file", &slack->token);
    if (r == 0)
        r = clew__yaml_text(clew__yaml_get(node, "channel"), 256, "", &slack->channel);
    if (r == 0)
        r = clew__config_template(node, "title", NULL, &slack->title);
    if (r == 0)
        r = clew__config_template(node, "text", NULL, &slack->text);
    if (r == 0 && bot)
        r = check_bot(self, node);
    if (r < 0)
        return r;
    self->off = bot ? !*slack->token : !*self->url;
    if (!self->off && !clew__is_url(self->url))
        return clew__yaml_error(node, "api_url is no http or https URL");
    clew__integration_name_target(self, slack->channel);
    return 0;
}

/* What is said about the page; then what changed. */
static void body_text(struct clew__buf *text, const struct clew__slack *slack,
                      const struct clew__page *page)
{
    /* Half of the room, so that what changed is always seen. */
    clew__slack_said(text, slack, page, TEXT_MAX / 2);
    /* One alert that fired is told by the text; what ended is always named. */
    if (page->nfired != 1 || page->nresolved || !text->len) {
        clew__slack_list(text, page, true, page->nfired, LISTED_MAX);
        clew__slack_list(text, page, false, page->nresolved, LISTED_MAX);
    }
    clew__slack_left_out(text, page);
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
    clew__text_value(&text, value, clew__slack_escape);
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

static int render(const struct clew__integration *self, const struct clew__config *config,
                  const struct clew__page *page, struct clew__buf *body)
{
    const struct clew__slack *slack = self->options;
    struct clew__buf text;

    clew__buf_addc(body, '{');
    if (*slack->channel)
        clew__text_member(body, "channel", slack->channel, 256);
    clew__buf_addf(body, "%s\"attachments\":[{\"color\":\"%s\",\"mrkdwn_in\":[\"text\"]",
                   *slack->channel ? "," : "", clew__slack_colour(page));
    clew__buf_init(&text, CLEW__TEMPLATE_RESULT_MAX);
    clew__slack_title(&text, slack, page);
    clew__text_cut(&text, TITLE_MAX);
    add_buffer(body, "title", &text);
    clew__slack_title(&text, slack, page);
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
    .release = clew__slack_release,
    .render = render,
    .verdict = verdict,
};
