/* SPDX-License-Identifier: Apache-2.0
 * One condition on a label, in Alertmanager's words: name="x", name!="x",
 * name=~"regex", name!~"regex". A label that is not there is the empty text; a
 * regex has to match the whole value. */
#ifndef CLEW_ALERTBRIDGE_MATCHER_H
#define CLEW_ALERTBRIDGE_MATCHER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct clew__matcher; /* immutable: MT-Safe */

/* owner    clew__matcher_free()
 * returns  0; -EINVAL with the reason in clew_last_error(); -ENOMEM */
int clew__matcher_parse(const char *text, struct clew__matcher **ret_matcher);
/* Accepts NULL, returns NULL. */
struct clew__matcher *clew__matcher_free(struct clew__matcher *matcher);

/* A list of them. */
void clew__matchers_free(struct clew__matcher **matchers, size_t n);
/* Whether all of them match; none: true. */
bool clew__matchers_match(struct clew__matcher *const *matchers, size_t n, const json_t *labels);

/* labels: an object of strings. */
bool clew__matcher_matches(const struct clew__matcher *matcher, const json_t *labels);
/* As it was written. Borrowed. */
const char *clew__matcher_text(const struct clew__matcher *matcher);

#endif
