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

/* "key":"text" into a JSON object that is being written, with a comma in front;
 * text cut at max characters (max > 0). */
void clew__text_member(struct clew__buf *json, const char *key, const char *text, size_t max);

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
