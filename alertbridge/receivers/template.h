/* SPDX-License-Identifier: Apache-2.0
 * Templates: literal text with {{ .Field }} and {{ .Field | function }} in it, and
 * {{ if .Field }} … {{ else }} … {{ end }} around parts of it.
 *
 * Fields: .Status (firing or resolved), .Receiver, .ExternalURL, .Note (why the page
 * comes, if not for a change of its alerts), .Firing (how many), .GroupLabels.x,
 * .CommonLabels.x, .CommonAnnotations.x, and .Labels.x and .Annotations.x, which
 * are those of the page's alert; in a page about several alerts they are there
 * when all share the value. Times: .StartsAt, of the first alert, and .EndsAt, of the
 * last, or now while any fires; RFC 3339 unless `unix` or `unixMs` makes seconds or
 * milliseconds of it, before that moved by `add "-10m"`. Functions: urlquery,
 * toUpper, toLower, default "text" (for an empty value). Conditions: a value that is
 * not empty, `not` one, and `eq` or `ne` with a value and a "text".
 *
 * There are no loops, so a template always ends and its size is known. Missing
 * values are empty. */
#ifndef CLEW_ALERTBRIDGE_TEMPLATE_H
#define CLEW_ALERTBRIDGE_TEMPLATE_H

#include "page.h"

#include <buf.h>

struct clew__template; /* immutable: MT-Safe */

/* owner    clew__template_free()
 * returns  0; -EINVAL with the reason in clew_last_error(); -ENOMEM */
int clew__template_parse(const char *text, struct clew__template **ret_template);
/* Accepts NULL, returns NULL. */
struct clew__template *clew__template_free(struct clew__template *template);

/* How a value that comes from outside is written into the result; the literal
 * parts are the configuration's own words and stay as they are. */
typedef void clew__escape(struct clew__buf *buf, const char *value, size_t len);

#define CLEW__TEMPLATE_RESULT_MAX (2u << 20) /* bytes that any result fits into */

/* Appends the result. escape may be NULL: values go in as they are. */
void clew__template_render(const struct clew__template *template, const struct clew__page *page,
                           clew__escape *escape, struct clew__buf *buf);
/* Whether no value that the result has is empty. */
bool clew__template_complete(const struct clew__template *template, const struct clew__page *page);

#endif
