/* SPDX-License-Identifier: Apache-2.0
 * Questions to Loki and what people get to see of its answers. Pure functions. */
#ifndef CLEW_ALERTBRIDGE_LOKI_LINES_H
#define CLEW_ALERTBRIDGE_LOKI_LINES_H

#include <buf.h>

#include <stdbool.h>
#include <stdint.h>

#define CLEW__LOKI_LINES_MAX 20u

/* The text of a label's value inside the quotes of a LogQL string (a template's escape). */
void clew__loki_escape(struct clew__buf *buf, const char *value, size_t len);
/* Whether a rendered query asks for a label with an empty value: it was made of a
 * label that the alert does not have, and would find lines of anybody. */
bool clew__loki_asks_for_nothing(const char *query);

/* "<base>/loki/api/v1/query_range?…" for the newest `lines` of from..until (ns). */
void clew__loki_url(struct clew__buf *url, const char *base, const char *query, unsigned lines,
                    int64_t from, int64_t until);

/* Appends the newest lines of an answer, oldest first, as a block of Slack's markup:
 * time, level, message and request id of a JSON line, else the line. Escaped and cut;
 * nothing when there are no lines, or the answer is none.
 * returns  how many */
unsigned clew__loki_text(struct clew__buf *text, const char *answer, unsigned lines);

#endif
