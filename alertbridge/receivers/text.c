/* SPDX-License-Identifier: Apache-2.0
 * Cutting by characters, what is said about a page, and its links. All labels and annotations are
 * untrusted: a link's URL that is none is left out. No state; MT-Safe. */
#include "text.h"

#include <json.h>

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static const char ellipsis[] = "\xE2\x80\xA6";

void clew__text_cut(struct clew__buf *buf, size_t max)
{
    size_t at = 0, runes = 0, keep = 0;

    while (at < buf->len) {
        size_t n = clew__utf8_sequence(buf->data + at, buf->len - at);

        if (runes + 1 == max)
            keep = at; /* room for the ellipsis after this */
        if (runes == max)
            break;
        at += n ? n : 1;
        runes++;
    }
    if (at >= buf->len)
        return;
    /* The longest entity is "&quot;"; an '&' without ';' so close is one cut in two. */
    for (size_t back = 1; back <= 6 && back <= keep; back++) {
        if (buf->data[keep - back] == ';')
            break;
        if (buf->data[keep - back] == '&') {
            keep -= back;
            break;
        }
    }
    buf->len = keep;
    clew__buf_adds(buf, ellipsis);
}

#define NAME_MAX_BYTES 255u
#define VALUE_MAX 12000u /* bytes of a label's or annotation's text that are looked at */

void clew__text_value(struct clew__buf *buf, const char *text, clew__escape *escape)
{
    size_t len = clew__utf8_cut(text, strlen(text), VALUE_MAX);

    if (escape)
        escape(buf, text, len);
    else
        clew__buf_add(buf, text, len);
}

void clew__text_title(struct clew__buf *buf, const struct clew__page *page, clew__escape *escape)
{
    if (page->nfiring)
        clew__buf_addf(buf, "[FIRING:%llu] ", (unsigned long long)page->nfiring);
    else
        clew__buf_adds(buf, "[RESOLVED] ");
    clew__text_value(buf, clew__page_name(page), escape);
}

void clew__text_said(struct clew__buf *buf, const struct clew__page *page, clew__escape *escape)
{
    const char *summary = clew__page_value(page->common_annotations, "summary");
    const char *description = clew__page_value(page->common_annotations, "description");

    clew__text_value(buf, summary, escape);
    clew__buf_adds(buf, *summary && *description ? "\n" : "");
    clew__text_value(buf, description, escape);
}

/* The labels that it has for itself. */
static void add_difference(struct clew__buf *buf, const struct clew__page *page,
                           const struct clew__page_alert *alert, clew__escape *escape)
{
    const char *name;
    json_t *value;
    bool first = true;

    json_object_foreach(alert->labels, name, value)
    {
        if (json_object_get(page->common_labels, name))
            continue;
        clew__buf_adds(buf, first ? "" : ", ");
        clew__text_value(buf, name, escape);
        clew__buf_adds(buf, "=");
        clew__text_value(buf, json_string_value(value), escape);
        first = false;
    }
    if (first)
        clew__text_value(buf, clew__page_value(alert->labels, "alertname"), escape);
}

void clew__text_alert(struct clew__buf *buf, const struct clew__page *page,
                      const struct clew__page_alert *alert, clew__escape *escape)
{
    const char *summary = clew__page_value(alert->annotations, "summary");

    if (!*summary)
        summary = clew__page_value(alert->annotations, "message");
    if (*summary)
        clew__text_value(buf, summary, escape);
    else
        add_difference(buf, page, alert, escape);
}

void clew__text_buffer(struct clew__buf *json, const char *key, const struct clew__buf *text)
{
    if (text->failed)
        json->failed = true;
    if (json->len && json->data[json->len - 1] != '{')
        clew__buf_addc(json, ',');
    clew__json_string(json, key, strlen(key));
    clew__buf_addc(json, ':');
    clew__json_string(json, text->data ? text->data : "", text->len);
}

void clew__text_member(struct clew__buf *json, const char *key, const char *text, size_t max)
{
    struct clew__buf cut;

    clew__buf_init(&cut, CLEW__TEMPLATE_RESULT_MAX);
    /* At most 4 bytes a character: no need to copy what goes anyway. */
    clew__utf8_clean(&cut, text, clew__utf8_cut(text, strlen(text), max * 4 + 4));
    clew__text_cut(&cut, max);
    clew__text_buffer(json, key, &cut);
    clew__buf_done(&cut);
}

void clew__text_urlquery(struct clew__buf *buf, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];

        if (isalnum(c) || c == '-' || c == '_' || c == '.' || c == '~')
            clew__buf_addc(buf, (char)c);
        else if (c == ' ')
            clew__buf_addc(buf, '+');
        else
            clew__buf_addf(buf, "%%%02X", c);
    }
}

void clew__text_map(struct clew__buf *json, const char *key, json_t *map, size_t max_chars,
                    size_t max_bytes)
{
    size_t limit = json->len + max_bytes;
    const char *name;
    json_t *value;

    clew__buf_addf(json, ",\"%s\":{", key);
    json_object_foreach(map, name, value) if (json->len < limit && strlen(name) <= NAME_MAX_BYTES)
        clew__text_member(json, name, json_string_value(value), max_chars);
    clew__buf_addc(json, '}');
}

void clew__text_template(struct clew__buf *json, const char *key,
                         const struct clew__template *template, const struct clew__page *page,
                         clew__escape *escape, size_t max)
{
    struct clew__buf text;

    clew__buf_init(&text, CLEW__TEMPLATE_RESULT_MAX);
    clew__template_render(template, page, escape, &text);
    clew__text_cut(&text, max);
    if (text.len || text.failed)
        clew__text_buffer(json, key, &text);
    clew__buf_done(&text);
}

static size_t add_link(struct clew__page_link *links, size_t n, const char *text, const char *url)
{
    if (n == CLEW__LINKS_MAX || strlen(url) > CLEW__LINK_URL_MAX || !clew__is_url(url))
        return n;
    for (size_t i = 0; i < n; i++)
        if (strcmp(links[i].url, url) == 0)
            return n;
    links[n] = (struct clew__page_link){strdup(text), strdup(url)};
    if (links[n].text && links[n].url)
        return n + 1;
    free(links[n].text);
    free(links[n].url);
    return n;
}

static const char *annotation(const struct clew__page *page, const char *name)
{
    const char *value = clew__page_value(page->common_annotations, name);

    if (*value)
        return value;
    return page->nalerts ? clew__page_value(page->alerts[0].annotations, name) : "";
}

size_t clew__links_collect(const struct clew__config *config, const struct clew__page *page,
                           struct clew__page_link ret_links[CLEW__LINKS_MAX])
{
    size_t n = 0;

    n = add_link(ret_links, n, "Runbook", annotation(page, "runbook_url"));
    n = add_link(ret_links, n, "Dashboard", annotation(page, "dashboard_url"));
    for (size_t i = 0; i < config->nlinks; i++) {
        struct clew__buf url;
        size_t len;
        char *text;

        clew__buf_init(&url, CLEW__TEMPLATE_RESULT_MAX);
        if (config->links[i].explore)
            clew__explore_url(config->links[i].explore, page, &url);
        else
            clew__template_render(config->links[i].url, page, NULL, &url);
        text = clew__buf_take(&url, &len);
        if (text)
            n = add_link(ret_links, n, config->links[i].text, text);
        free(text);
    }
    if (page->nalerts)
        n = add_link(ret_links, n, "Expression", page->alerts[0].generator_url);
    return add_link(ret_links, n, "Alertmanager", page->external_url);
}

void clew__links_done(struct clew__page_link *links, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(links[i].text);
        free(links[i].url);
    }
}
