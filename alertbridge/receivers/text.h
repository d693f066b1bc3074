/* SPDX-License-Identifier: Apache-2.0
 * Text that fits: far sides count characters, so does this. Pure functions. */
#ifndef CLEW_ALERTBRIDGE_TEXT_H
#define CLEW_ALERTBRIDGE_TEXT_H

#include "page.h"
#include "template.h"

#include <config/config.h>

/* Cuts buf, which is UTF-8, to at most max characters; what was cut ends in "…",
 * and no "&amp;" is cut in two. */
void clew__text_cut(struct clew__buf *buf, size_t max);

/* What is said about a page wherever people read it. escape as with templates,
 * for all that comes from outside; NULL: as it is. */
void clew__text_value(struct clew__buf *buf, const char *text, clew__escape *escape);
/* "[FIRING:2] InstanceDown" */
void clew__text_title(struct clew__buf *buf, const struct clew__page *page, clew__escape *escape);
/* The common summary and description, a line each; nothing when there is none. */
void clew__text_said(struct clew__buf *buf, const struct clew__page *page, clew__escape *escape);
/* One alert of several: its summary, or what tells it from the others. */
void clew__text_alert(struct clew__buf *buf, const struct clew__page *page,
                      const struct clew__page_alert *alert, clew__escape *escape);

/* "key":"text" into a JSON object that is being written, with a comma in front;
 * text cut at max characters (max > 0). */
void clew__text_member(struct clew__buf *json, const char *key, const char *text, size_t max);

/* The same from a buffer, uncut; its failure becomes that of json. */
void clew__text_buffer(struct clew__buf *json, const char *key, const struct clew__buf *text);

/* As Go's url.QueryEscape writes it: a space becomes '+'. */
void clew__text_urlquery(struct clew__buf *buf, const char *text, size_t len);

/* An object of strings as such a member: each value cut at max_chars; those that
 * no longer begin within max_bytes, or have a name of over 255 bytes, are left out. */
void clew__text_map(struct clew__buf *json, const char *key, json_t *map, size_t max_chars,
                    size_t max_bytes);

/* The rendered template as such a member; left out when it is empty. */
void clew__text_template(struct clew__buf *json, const char *key,
                         const struct clew__template *template, const struct clew__page *page,
                         clew__escape *escape, size_t max);

#define CLEW__LINKS_MAX 16u
#define CLEW__LINK_URL_MAX 2048u

/* The links of a page: runbook_url and dashboard_url, those of the configuration,
 * the expression (generatorURL), and Alertmanager. Only http and
 * https URLs of at most CLEW__LINK_URL_MAX bytes; each URL once.
 * owner    clew__links_done()
 * returns  how many */
struct clew__page_link {
    char *text;
    char *url;
};
size_t clew__links_collect(const struct clew__config *config, const struct clew__page *page,
                           struct clew__page_link ret_links[CLEW__LINKS_MAX]);
void clew__links_done(struct clew__page_link *links, size_t n);

#endif
