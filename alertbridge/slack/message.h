/* SPDX-License-Identifier: Apache-2.0
 * The bodies that the bot posts: an incident's message and what is said in its
 * thread. Slack refuses a message over one field that is too long or empty, so
 * whatever the labels hold, these are within its limits. Pure functions. */
#ifndef CLEW_ALERTBRIDGE_SLACK_MESSAGE_H
#define CLEW_ALERTBRIDGE_SLACK_MESSAGE_H

#include <receivers/slack.h>

/* Slack documents limits per field; what refuses a whole message (msg_blocks_too_long)
 * is about 13,200 characters for all blocks together. Ours are JSON's characters,
 * which are never fewer than Slack's. */
#define CLEW__SLACK_BLOCKS_MAX 13000u
#define CLEW__SLACK_NOTE_MAX 3000u /* characters of a text in the thread */

/* What buttons are called in what comes back (interaction.h). */
#define CLEW__SLACK_ACKNOWLEDGE "clew_acknowledge"
#define CLEW__SLACK_SILENCE_1H "clew_silence_1h"
#define CLEW__SLACK_SILENCE_4H "clew_silence_4h"
#define CLEW__SLACK_RESOLVE "clew_resolve"

/* An incident as it is now. */
struct clew__slack_view {
    const struct clew__page *page; /* its alerts: those that fire, else those that ended */
    const char *acknowledged;      /* a line in Slack's markup each, "" for none */
    const char *silenced;
    const char *button; /* what a button gives back; "": no buttons but links */
    bool can_acknowledge, can_silence, can_resolve;
};

/* Where a message goes, and what it is found by later. */
struct clew__slack_address {
    const char *channel;  /* its id */
    const char *update;   /* the message's ts, "": a new one */
    const char *thread;   /* the ts of the message whose thread it is said in, or "" */
    bool broadcast;       /* of a thread: shown in the channel too */
    const char *delivery; /* a key in the message's metadata */
};

/* Appends the message, or the note (text in Slack's markup), as JSON. A failure is
 * in body->failed. */
void clew__slack_message(struct clew__buf *body, const struct clew__slack *slack,
                         const struct clew__config *config, const struct clew__slack_view *view,
                         const struct clew__slack_address *address);
void clew__slack_note(struct clew__buf *body, const char *text,
                      const struct clew__slack_address *address);

/* What changed, for the thread. */
void clew__slack_change(struct clew__buf *text, const struct clew__page *page);

#endif
