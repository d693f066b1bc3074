/* SPDX-License-Identifier: Apache-2.0
 * HTML put together in a buffer; everything that comes from data is escaped. */
#ifndef CLEW_LOCAL_HTML_H
#define CLEW_LOCAL_HTML_H

#include "server.h"

#include <buf.h>

/* Begins a page with its head and navigation. */
void html_begin(struct clew__buf *out, const char *title);
/* Ends the page and makes it the answer. */
void html_finish(struct clew__buf *out, struct request *request, unsigned status);

/* Text, escaped for element content and quoted attributes; controls shown as
 * U+FFFD, invalid UTF-8 too. */
void html_text(struct clew__buf *out, const char *text, size_t len);
void html_string(struct clew__buf *out, const char *text); /* NULL: nothing */
/* Percent-encoded for a query parameter. */
void html_query(struct clew__buf *out, const char *text);

#endif
