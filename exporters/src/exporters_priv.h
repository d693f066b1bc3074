/* SPDX-License-Identifier: Apache-2.0
 * The exporters as start.c puts them together. */
#ifndef CLEW_EXPORTERS_PRIV_H
#define CLEW_EXPORTERS_PRIV_H

#include "delivery.h"
#include "settings.h"

#include <clew/sink.h>

/* Each adds its destination and its sink; the settings stay valid for ever.
 * 0 or -errno with clew_last_error(). */
int clew__loki_add(const struct clew__settings *settings);
int clew__otlp_add(const struct clew__settings *settings);

/* For the tests: what the sinks append and the batches become. */
void clew__loki_append(struct clew__buf *out, const struct clew_line *line);
bool clew__loki_encode(const struct clew__batch *batch, struct clew__body *ret_body);
enum clew__verdict clew__loki_judge(struct clew__answer *answer);

/* The answer's text without controls, into its reason. */
void clew__answer_reason(struct clew__answer *answer, const char *text, size_t len);

#endif
