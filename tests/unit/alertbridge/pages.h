/* SPDX-License-Identifier: Apache-2.0
 * Pages made by hand, for the tests of what receivers write. */
#ifndef CLEW_TEST_PAGES_H
#define CLEW_TEST_PAGES_H

#include "bridge.h"

struct made_page {
    struct clew__page page;
    struct clew__page_alert alerts[3];
};
/* n firing alerts of the group "Down"; page_done() releases it. */
void page_init(struct made_page *made, size_t n);
void page_done(struct made_page *made);
/* The first receiver's first integration renders it; has to succeed. */
json_t *page_render(const struct clew__config *config, const struct clew__page *page);
/* The same as text; free() it. */
char *page_text(const struct clew__config *config, const struct clew__page *page, size_t *ret_len);
/* n times `of`; free() it. */
char *big_text(size_t n, const char *of);

#endif
