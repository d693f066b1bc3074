/* SPDX-License-Identifier: Apache-2.0
 * The body of a mail about a page, as text or as HTML. */
#ifndef CLEW_ALERTBRIDGE_EMAIL_BODY_H
#define CLEW_ALERTBRIDGE_EMAIL_BODY_H

#include <config/config.h>

/* Appends it: lines end in a newline, values are cut, in HTML they are escaped. */
void clew__email_body(struct clew__buf *out, bool html, const struct clew__config *config,
                      const struct clew__page *page);

/* For text and attributes of HTML. */
clew__escape clew__escape_html;

#endif
