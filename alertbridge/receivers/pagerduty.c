/* SPDX-License-Identifier: Apache-2.0
 * PagerDuty's Events API v2: an incident by its dedup key: trigger, acknowledge, resolve.
 * The event is complete and within PagerDuty's limits whatever the labels hold:
 * a field that is too long is cut, a severity that PagerDuty does not know is
 * mapped, and details that do not fit are left out; no page is lost over its
 * form. The routing key is the secret. No state; MT-Safe. */
#include "pagerduty_parts.h"
#include "text.h"

#include <common/instant.h>

#include <clew/log.h>

#include <json.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_URL "https://events.pagerduty.com/v2/enqueue"
#define SOURCE_MAX 255
#define SEVERITIES_MAX 64

struct pagerduty {
    char *routing_key;
    struct clew__template *severity, *description;
    struct severity {
        char *word;
        const char *severity; /* one of PagerDuty's */
    } * severities;           /* the configuration's, before the table below */
    size_t nseverities;
};

static const char *const keys[] = {
    "routing_key", "routing_key_file", "service_key",       "service_key_file",
    "url",         "severity",         "description",       "send_resolved",
    "dedup",       "severities",       "events_per_minute", "skip_ended",
    NULL};

static void release(void *options)
{
    struct pagerduty *pagerduty = options;

    if (!pagerduty)
        return;
    free(pagerduty->routing_key);
    (void)clew__template_free(pagerduty->severity);
    (void)clew__template_free(pagerduty->description);
    for (size_t i = 0; i < pagerduty->nseverities; i++)
        free(pagerduty->severities[i].word);
    free(pagerduty->severities);
    free(pagerduty);
}

/* dedup: {labels: [service, cluster]} */
static int read_dedup_labels(struct clew__integration *self, struct clew__yaml_node node)
{
    static const char *const mapping[] = {"labels", NULL};
    struct clew__yaml_node list = clew__yaml_get(node, "labels");
    int r = clew__yaml_keys(node, mapping), n = clew__yaml_count(list, CLEW__DEDUP_LABELS_MAX);

    if (r < 0 || n < 0)
        return -EINVAL;
    if (n == 0)
        return clew__yaml_error(node, "dedup needs labels, a list of names");
    self->dedup_labels = calloc((size_t)n + 1, sizeof(*self->dedup_labels));
    if (!self->dedup_labels)
        return clew_set_error(-ENOMEM, "out of memory");
    for (int i = 0; i < n && r == 0; i++) {
        struct clew__yaml_node name = clew__yaml_entry(list, i);

        r = clew__yaml_text(name, 256, NULL, &self->dedup_labels[i]);
        if (r == 0 && !clew__is_label(self->dedup_labels[i]))
            r = clew__yaml_error(name, "not the name of a label");
    }
    return r;
}

static int read_dedup(struct clew__integration *self, struct clew__yaml_node node)
{
    struct clew__yaml_node dedup = clew__yaml_get(node, "dedup");
    char *word = NULL;
    int r;

    if (clew__yaml_is_mapping(dedup))
        return read_dedup_labels(self, dedup);
    r = clew__yaml_text(dedup, 64, "alert", &word);
    if (r < 0)
        return r;
    self->per_alert = strcmp(word, "alert") == 0;
    if (!self->per_alert && strcmp(word, "group") != 0)
        r = clew__yaml_error(dedup, "dedup is alert, group or {labels: […]}");
    free(word);
    return r;
}

static int read_severities(struct pagerduty *pagerduty, struct clew__yaml_node node)
{
    static const char *const known[] = {"critical", "error", "warning", "info"};
    int n = clew__yaml_pairs(node, SEVERITIES_MAX), r = 0;

    if (n <= 0)
        return n;
    pagerduty->severities = calloc((size_t)n, sizeof(*pagerduty->severities));
    if (!pagerduty->severities)
        return clew_set_error(-ENOMEM, "out of memory");
    for (int i = 0; i < n && r == 0; i++) {
        struct severity *severity = &pagerduty->severities[pagerduty->nseverities];
        struct clew__yaml_node value, key = clew__yaml_pair(node, i, &value);
        char *text = NULL;

        severity->word = strdup(clew__yaml_word(key));
        if (!severity->word)
            return clew_set_error(-ENOMEM, "out of memory");
        pagerduty->nseverities++;
        r = clew__yaml_text(value, 64, "", &text);
        for (size_t j = 0; r == 0 && j < sizeof(known) / sizeof(known[0]); j++)
            if (strcmp(text, known[j]) == 0)
                severity->severity = known[j];
        if (r == 0 && !severity->severity)
            r = clew__yaml_error(key, "PagerDuty knows critical, error, warning and info");
        free(text);
    }
    return r;
}

static int configure(struct clew__integration *self, struct clew__yaml_node node)
{
    struct pagerduty *pagerduty = calloc(1, sizeof(*pagerduty));
    int r;

    self->options = pagerduty;
    if (!pagerduty)
        return clew_set_error(-ENOMEM, "out of memory");
    r = clew__pagerduty_key(node, &pagerduty->routing_key);
    if (r == 0)
        r = clew__yaml_text(clew__yaml_get(node, "url"), 2048, DEFAULT_URL, &self->url);
    if (r == 0)
        r = clew__config_template(node, "severity", "{{ .Labels.severity }}", &pagerduty->severity);
    if (r == 0)
        r = clew__config_template(node, "description", NULL, &pagerduty->description);
    if (r == 0)
        r = clew__yaml_bool(clew__yaml_get(node, "skip_ended"), &self->skip_ended);
    if (r == 0)
        r = read_dedup(self, node);
    if (r == 0)
        r = clew__pagerduty_pace(node, &self->per_minute);
    if (r == 0)
        r = read_severities(pagerduty, clew__yaml_get(node, "severities"));
    if (r < 0)
        return r;
    if (!clew__is_url(self->url))
        return clew__yaml_error(node, "url is no http or https URL");
    self->off = !*pagerduty->routing_key;
    clew__integration_name_target(self, pagerduty->routing_key);
    return 0;
}

/* Unknown and missing ones are "error": rather too loud than lost. */
static const char *known_severity(const struct pagerduty *pagerduty, const char *word)
{
    static const char *const table[][2] = {
        {"critical", "critical"}, {"error", "error"},     {"high", "error"},
        {"major", "error"},       {"warning", "warning"}, {"medium", "warning"},
        {"info", "info"},         {"low", "info"},        {"none", "info"}};

    for (size_t i = 0; i < pagerduty->nseverities; i++)
        if (strcasecmp(word, pagerduty->severities[i].word) == 0)
            return pagerduty->severities[i].severity;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (strcasecmp(word, table[i][0]) == 0)
            return table[i][1];
    return "error";
}

static void add_severity(struct clew__buf *json, const struct pagerduty *pagerduty,
                         const struct clew__page *page)
{
    struct clew__buf text;
    char *word;
    size_t len;

    clew__buf_init(&text, CLEW__TEMPLATE_RESULT_MAX);
    clew__template_render(pagerduty->severity, page, NULL, &text);
    word = clew__buf_take(&text, &len);
    clew__text_member(json, "severity", known_severity(pagerduty, word ? word : ""), 16);
    free(word);
}

static const char *first_of(const struct clew__page *page, const char *const *names)
{
    for (; *names; names++) {
        const char *value = clew__page_shared(page, false, *names);

        if (*value)
            return value;
    }
    return "";
}

static void add_optional(struct clew__buf *json, const char *key, const char *text)
{
    if (*text)
        clew__text_member(json, key, text, SOURCE_MAX);
}

static void add_payload(struct clew__buf *json, const struct pagerduty *pagerduty,
                        const struct clew__page *page)
{
    static const char *const source[] = {"instance", "host", "pod", "service", "job", NULL};
    static const char *const component[] = {"service", "job", NULL};
    static const char *const group[] = {"namespace", "cluster", "team", NULL};
    char time[CLEW__INSTANT_TEXT];
    const char *from = first_of(page, source);

    clew__buf_adds(json, ",\"payload\":{");
    clew__pagerduty_summary(json, pagerduty->description, page);
    clew__text_member(json, "source", *from ? from : clew__page_name(page), SOURCE_MAX);
    add_severity(json, pagerduty, page);
    if (page->nalerts && page->alerts[0].starts_at > 0)
        clew__text_member(json, "timestamp", clew__instant_format(page->alerts[0].starts_at, time),
                          CLEW__INSTANT_TEXT);
    add_optional(json, "component", first_of(page, component));
    add_optional(json, "group", first_of(page, group));
    add_optional(json, "class", clew__page_name(page));
    clew__pagerduty_details(json, page);
    clew__buf_addc(json, '}');
}

static int render(const struct clew__integration *self, const struct clew__config *config,
                  const struct clew__page *page, struct clew__buf *body)
{
    const struct pagerduty *pagerduty = self->options;
    const char *url = *config->external_url ? config->external_url : page->external_url;

    clew__buf_addc(body, '{');
    clew__text_member(body, "routing_key", pagerduty->routing_key, 4096);
    clew__text_member(body, "event_action", clew__action_text(page->action), 16);
    clew__text_member(body, "dedup_key", page->dedup_key, SOURCE_MAX);
    if (page->action == CLEW__ACTION_TRIGGER) {
        clew__text_member(body, "client", "Clewline alertbridge", 64);
        if (clew__is_url(url))
            clew__text_member(body, "client_url", url, CLEW__LINK_URL_MAX);
        add_payload(body, pagerduty, page);
        clew__pagerduty_links(body, config, page);
    }
    return clew__pagerduty_end(body);
}

const struct clew__receiver_ops clew__pagerduty = {
    .kind = "pagerduty",
    .incidents = true,
    .send_resolved = true,
    .actions = 1u << CLEW__ACTION_ACKNOWLEDGE,
    .keys = keys,
    .configure = configure,
    .release = release,
    .render = render,
    .verdict = clew__pagerduty_verdict,
};
