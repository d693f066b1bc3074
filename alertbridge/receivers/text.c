/* SPDX-License-Identifier: Apache-2.0
 * Cutting by characters, and the links of a page. All labels and annotations are
 * untrusted: a link's URL that is none is left out. No state; MT-Safe. */
#include "text.h"

#include <json.h>

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

static void add_member(struct clew__buf *json, const char *key, const struct clew__buf *text)
{
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
    if (cut.failed)
        json->failed = true;
    else
        add_member(json, key, &cut);
    clew__buf_done(&cut);
}

void clew__text_template(struct clew__buf *json, const char *key,
                         const struct clew__template *template, const struct clew__page *page,
                         clew__escape *escape, size_t max)
{
    struct clew__buf text;

    clew__buf_init(&text, CLEW__TEMPLATE_RESULT_MAX);
    clew__template_render(template, page, escape, &text);
    clew__text_cut(&text, max);
    if (text.failed)
        json->failed = true;
    else if (text.len)
        add_member(json, key, &text);
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
