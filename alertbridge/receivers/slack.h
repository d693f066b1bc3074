/* SPDX-License-Identifier: Apache-2.0
 * What Slack's two ways in have in common: the incoming webhook (slack.c) and the
 * bot (../slack/). Pure functions; MT-Safe. */
#ifndef CLEW_ALERTBRIDGE_SLACK_H
#define CLEW_ALERTBRIDGE_SLACK_H

#include "text.h"

/* The options of an entry of slack_configs. */
struct clew__slack {
    char *channel; /* "": the webhook's own; of a bot: the channel's id */
    char *token;   /* of a bot, "": an incoming webhook */
    struct clew__template *title, *text;
};

void clew__slack_release(void *options);

/* Writes & < > as entities, so that a label can neither ping a channel nor forge a link. */
clew__escape clew__slack_escape;

/* "[FIRING:2] InstanceDown" unless the configuration says otherwise. */
void clew__slack_title(struct clew__buf *text, const struct clew__slack *slack,
                       const struct clew__page *page);
/* The configured text, or summary and description; cut at max characters. */
void clew__slack_said(struct clew__buf *text, const struct clew__slack *slack,
                      const struct clew__page *page, size_t max);
/* "*Firing (2)*" or "*Resolved (2)*" and a line for each of the first `lines` such
 * alerts of the page, on a line of its own; nothing when total is 0. */
void clew__slack_list(struct clew__buf *text, const struct clew__page *page, bool firing,
                      uint64_t total, unsigned lines);
/* How many alerts Alertmanager did not send, if any. */
void clew__slack_left_out(struct clew__buf *text, const struct clew__page *page);
/* A colour that Slack knows. */
const char *clew__slack_colour(const struct clew__page *page);

#endif
