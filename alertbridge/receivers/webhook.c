/* SPDX-License-Identifier: Apache-2.0
 * A webhook of anybody's: JSON over HTTP, a message per change of a group. Without
 * a payload of its own it has the shape of Alertmanager's version 4, so that what
 * reads Alertmanager's reads this; "alerts" are those that changed.
 *
 * A payload is a YAML tree whose texts are templates. It is turned into pieces of
 * JSON once; what a template renders only ever becomes the inside of a string, so
 * no label can change the shape; what is too long is cut, never refused. A signature covers the
 * time too, so that a body that was overheard cannot be sent again later. The URL, the login and
 * the signing key are secrets. No state; MT-Safe. */
#include "text.h"

#include <common/digest.h>
#include <common/instant.h>
#include <config/authorization.h>

#include <clew/log.h>

#include <json.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VALUE_CHARS 4096u
#define MAP_BYTES (32u << 10)
#define PAYLOAD_DEPTH 8u
#define PAYLOAD_PIECES 256u
#define PAYLOAD_BYTES (64u << 10)
#define TEXT_CHARS 10000u     /* of one rendered text */
#define LONG_BYTES (1u << 20) /* of a body: from here on texts are short, lists empty */
#define SHORT_TEXT_CHARS 100u

/* JSON to be written: literal, then the template's text in quotes, or the alerts. */
struct piece {
    char *literal;
    struct clew__template *template;
    bool alerts;
};

struct webhook {
    char *authorization; /* the header's value, NULL for none */
    char *secret, *header, *timestamp_header;
    struct piece *pieces; /* the payload; none: the default */
    size_t npieces;
};

static const char *const keys[] = {"url",     "url_file",      "http_config", "hmac_config",
                                   "payload", "send_resolved", NULL};

static void release(void *options)
{
    struct webhook *webhook = options;

    if (!webhook)
        return;
    for (size_t i = 0; i < webhook->npieces; i++) {
        free(webhook->pieces[i].literal);
        (void)clew__template_free(webhook->pieces[i].template);
    }
    free(webhook->pieces);
    free(webhook->authorization);
    free(webhook->secret);
    free(webhook->header);
    free(webhook->timestamp_header);
    free(webhook);
}

/* ---- login and signature --------------------------------------------- */

static int read_http(struct webhook *webhook, struct clew__yaml_node node)
{
    static const char *const http_keys[] = {"basic_auth", "authorization", NULL};
    int r = node.node ? clew__yaml_keys(node, http_keys) : 0;

    return r == 0 && node.node ? clew__config_authorization(node, &webhook->authorization) : r;
}

static int read_header_name(struct clew__yaml_node mapping, const char *key, const char *fallback,
                            char **ret_name)
{
    struct clew__yaml_node node = clew__yaml_get(mapping, key);
    int r = clew__yaml_text(node, 64, fallback, ret_name);

    if (r == 0 && (!**ret_name || strspn(*ret_name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                                    "abcdefghijklmnopqrstuvwxyz0123456789-_") !=
                                      strlen(*ret_name)))
        r = clew__yaml_error(node, "a header's name has letters, digits, - and _");
    return r;
}

static int read_hmac(struct webhook *webhook, struct clew__yaml_node node)
{
    static const char *const hmac_keys[] = {"secret", "secret_file", "header", "timestamp_header",
                                            NULL};
    int r;

    if (!node.node)
        return 0;
    r = clew__yaml_keys(node, hmac_keys);
    if (r == 0)
        r = clew__config_secret(node, "secret", "secret_file", &webhook->secret);
    if (r == 0 && !*webhook->secret)
        r = clew__yaml_error(node, "the signing secret is empty");
    if (r == 0)
        r = read_header_name(node, "header", "X-Grafana-Alerting-Signature", &webhook->header);
    if (r == 0)
        r = read_header_name(node, "timestamp_header", "X-Grafana-Alerting-Timestamp",
                             &webhook->timestamp_header);
    return r;
}

static void headers(const struct clew__integration *self, const struct clew__buf *body, int64_t now,
                    clew__add_header *add, void *arg)
{
    const struct webhook *webhook = self->options;
    char time[24], signature[CLEW__DIGEST_TEXT];

    if (webhook->authorization)
        add(arg, "Authorization", webhook->authorization);
    if (!webhook->secret)
        return;
    (void)snprintf(time, sizeof(time), "%lld", (long long)(now / CLEW__SECOND_NS));
    clew__sign(webhook->secret, time, body->data, body->len, signature);
    add(arg, webhook->timestamp_header, time);
    add(arg, webhook->header, signature);
}

/* ---- the payload of the configuration --------------------------------- */

struct compiler {
    struct webhook *webhook;
    struct clew__buf literal; /* not yet in a piece */
};

static struct piece *add_piece(struct compiler *compiler)
{
    struct webhook *webhook = compiler->webhook;
    struct piece *pieces = realloc(webhook->pieces, (webhook->npieces + 1) * sizeof(*pieces));
    size_t len;

    if (!pieces)
        return NULL;
    webhook->pieces = pieces;
    pieces[webhook->npieces] = (struct piece){.literal = clew__buf_take(&compiler->literal, &len)};
    return pieces[webhook->npieces].literal ? &pieces[webhook->npieces++] : NULL;
}

/* A number, true, false or null as YAML writes it without quotes. */
static bool add_plain(struct clew__buf *json, struct clew__yaml_node node, const char *text)
{
    json_t *value = clew__yaml_is_plain(node) ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;
    bool plain = json_is_number(value) || json_is_boolean(value) || json_is_null(value);

    if (clew__yaml_is_plain(node) && (!*text || strcmp(text, "~") == 0)) {
        plain = true;
        text = "null";
    }
    if (plain)
        clew__buf_adds(json, text);
    json_decref(value);
    return plain;
}

static int compile_text(struct compiler *compiler, struct clew__yaml_node node)
{
    struct clew__template *template = NULL;
    struct piece *piece;
    char *text = NULL, reason[256];
    int r = clew__yaml_text(node, CLEW__YAML_TEXT_MAX, NULL, &text);
    bool alerts = r == 0 && strcmp(text, "{{ .Alerts }}") == 0;

    if (r == 0 && !alerts && !add_plain(&compiler->literal, node, text)) {
        r = clew__template_parse(text, &template);
        if (r == -EINVAL) {
            (void)snprintf(reason, sizeof(reason), "%s", clew_last_error());
            r = clew__yaml_error(node, "payload: %s", reason);
        }
    }
    free(text);
    if (r < 0 || (!alerts && !template))
        return r;
    piece = compiler->webhook->npieces < PAYLOAD_PIECES ? add_piece(compiler) : NULL;
    if (!piece) {
        (void)clew__template_free(template);
        return clew__yaml_error(node, "payload: more than %u texts", PAYLOAD_PIECES);
    }
    piece->template = template;
    piece->alerts = alerts;
    return 0;
}

static int compile(struct compiler *compiler, struct clew__yaml_node node, unsigned depth)
{
    struct clew__buf *json = &compiler->literal;
    bool list = node.node->type == YAML_SEQUENCE_NODE;
    int n, r = 0;

    if (node.node->type == YAML_SCALAR_NODE)
        return compile_text(compiler, node);
    n = list ? clew__yaml_count(node, PAYLOAD_PIECES) : clew__yaml_pairs(node, PAYLOAD_PIECES);
    if (n < 0)
        return n;
    if (depth == PAYLOAD_DEPTH || json->failed)
        return clew__yaml_error(node, "payload: nested deeper than %u, or too long", PAYLOAD_DEPTH);
    clew__buf_addc(json, list ? '[' : '{');
    for (int i = 0; i < n && r == 0; i++) {
        struct clew__yaml_node value;

        clew__buf_adds(json, i ? "," : "");
        if (list) {
            value = clew__yaml_entry(node, i);
        } else {
            const char *name = clew__yaml_word(clew__yaml_pair(node, i, &value));

            clew__json_string(json, name, strlen(name));
            clew__buf_addc(json, ':');
        }
        if (value.node)
            r = compile(compiler, value, depth + 1);
        else
            clew__buf_adds(json, "null");
    }
    clew__buf_addc(json, list ? ']' : '}');
    return r;
}

static int read_payload(struct webhook *webhook, struct clew__yaml_node node)
{
    struct compiler compiler = {.webhook = webhook};
    int r;

    if (!node.node)
        return 0;
    if (node.node->type == YAML_SCALAR_NODE)
        return clew__yaml_error(node, "payload: expected a mapping or a list");
    clew__buf_init(&compiler.literal, PAYLOAD_BYTES);
    r = compile(&compiler, node, 0);
    if (r == 0 && (compiler.literal.failed || !add_piece(&compiler)))
        r = clew__yaml_error(node, "payload: longer than %u bytes", PAYLOAD_BYTES);
    clew__buf_done(&compiler.literal);
    return r;
}

static int configure(struct clew__integration *self, struct clew__yaml_node node)
{
    struct webhook *webhook = calloc(1, sizeof(*webhook));
    int r;

    self->options = webhook;
    if (!webhook)
        return clew_set_error(-ENOMEM, "out of memory");
    r = clew__config_secret(node, "url", "url_file", &self->url);
    if (r == 0)
        r = read_http(webhook, clew__yaml_get(node, "http_config"));
    if (r == 0)
        r = read_hmac(webhook, clew__yaml_get(node, "hmac_config"));
    if (r == 0)
        r = read_payload(webhook, clew__yaml_get(node, "payload"));
    if (r < 0)
        return r;
    self->off = !*self->url;
    if (!self->off && !clew__is_url(self->url))
        return clew__yaml_error(node, "url is no http or https URL");
    clew__integration_name_target(self, "");
    return 0;
}

/* ---- what is sent ----------------------------------------------------- */

static void add_map(struct clew__buf *json, const char *key, json_t *map)
{
    clew__text_map(json, key, map, VALUE_CHARS, MAP_BYTES);
}

static void add_alerts(struct clew__buf *json, const struct clew__page *page, size_t n)
{
    char time[CLEW__INSTANT_TEXT];

    clew__buf_addc(json, '[');
    for (size_t i = 0; i < n; i++) {
        const struct clew__page_alert *alert = &page->alerts[i];
        bool over = !alert->firing && alert->ends_at;

        clew__buf_adds(json, i ? ",{" : "{");
        clew__text_member(json, "status", alert->firing ? "firing" : "resolved", 16);
        add_map(json, "labels", alert->labels);
        add_map(json, "annotations", alert->annotations);
        clew__text_member(json, "startsAt", clew__instant_format(alert->starts_at, time), 64);
        clew__text_member(
            json, "endsAt",
            over ? clew__instant_format(alert->ends_at, time) : "0001-01-01T00:00:00Z", 64);
        clew__text_member(json, "generatorURL", alert->generator_url, CLEW__LINK_URL_MAX);
        clew__text_member(json, "fingerprint", alert->fingerprint, 64);
        clew__buf_addc(json, '}');
    }
    clew__buf_addc(json, ']');
}

/* Of a list that was cut nobody knows whether it is over: then it is firing. */
static void add_default(struct clew__buf *json, const struct clew__page *page)
{
    bool over = page->nfiring == 0 && page->ntruncated == 0;

    clew__buf_addc(json, '{');
    clew__text_member(json, "receiver", page->receiver, 256);
    clew__text_member(json, "status", over ? "resolved" : "firing", 16);
    clew__buf_adds(json, ",\"alerts\":");
    add_alerts(json, page, page->nalerts);
    add_map(json, "groupLabels", page->group_labels);
    add_map(json, "commonLabels", page->common_labels);
    add_map(json, "commonAnnotations", page->common_annotations);
    clew__text_member(json, "externalURL", page->external_url, CLEW__LINK_URL_MAX);
    clew__text_member(json, "version", "4", 4);
    clew__text_member(json, "groupKey", page->group_key, 1024);
    clew__buf_addf(
        json, ",\"truncatedAlerts\":%llu}",
        (unsigned long long)(page->ntruncated + page->nfired + page->nresolved - page->nalerts));
}

static void add_text(struct clew__buf *json, const struct clew__template *template,
                     const struct clew__page *page, size_t max)
{
    struct clew__buf text;

    clew__buf_init(&text, CLEW__TEMPLATE_RESULT_MAX);
    clew__template_render(template, page, NULL, &text);
    clew__text_cut(&text, max);
    clew__json_string(json, text.data ? text.data : "", text.len);
    if (text.failed)
        json->failed = true;
    clew__buf_done(&text);
}

static int render(const struct clew__integration *self, const struct clew__config *config,
                  const struct clew__page *page, struct clew__buf *body)
{
    const struct webhook *webhook = self->options;

    (void)config;
    if (webhook->npieces == 0)
        add_default(body, page);
    for (size_t i = 0; i < webhook->npieces; i++) {
        bool is_long = body->len > LONG_BYTES;

        clew__buf_adds(body, webhook->pieces[i].literal);
        if (webhook->pieces[i].alerts)
            add_alerts(body, page, is_long ? 0 : page->nalerts);
        else if (webhook->pieces[i].template)
            add_text(body, webhook->pieces[i].template, page,
                     is_long ? SHORT_TEXT_CHARS : TEXT_CHARS);
    }
    return body->failed ? clew_set_error(-ENOMEM, "out of memory") : 0;
}

const struct clew__receiver_ops clew__webhook = {
    .kind = "webhook",
    .incidents = false,
    .send_resolved = true,
    .keys = keys,
    .configure = configure,
    .release = release,
    .render = render,
    .headers = headers,
    .verdict = clew__verdict_of_status,
};
