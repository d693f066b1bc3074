/* SPDX-License-Identifier: Apache-2.0
 * The bot in Slack: the kind that an entry of slack_configs with a token is. */
#ifndef CLEW_ALERTBRIDGE_SLACK_BOT_H
#define CLEW_ALERTBRIDGE_SLACK_BOT_H

#include "answer.h"

#include <delivery/sending.h>
#include <store/slack.h>

/* Asks a method of the Web API: arguments are JSON, or a form for those that only
 * read. Slack's words become a verdict. */
void clew__slack_call(struct clew__sending *sending, enum clew__slack_method method,
                      const struct clew__buf *arguments, struct clew__slack_answer *ret);

/* Looks for a post of this delivery that was begun and has no result, by the key in
 * its metadata.
 * returns  1 found: ret_ts; 0 not there; -1: it cannot be seen, *ret_answer says why */
int clew__slack_lookup(struct clew__sending *sending, const struct clew__slack_memory *memory,
                       const char *delivery, char ret_ts[32],
                       struct clew__slack_answer *ret_answer);

#endif
