/* SPDX-License-Identifier: Apache-2.0
 * What Slack's Web API says. Its errors come with status 200: "ok":false and a word. */
#ifndef CLEW_ALERTBRIDGE_SLACK_ANSWER_H
#define CLEW_ALERTBRIDGE_SLACK_ANSWER_H

#include <receivers/receiver.h>

/* A word that we do not know may be a passing one: so many attempts (about a quarter
 * of an hour) until it counts as final. */
#define CLEW__SLACK_UNKNOWN_ATTEMPTS 10u

struct clew__slack_answer {
    struct clew__verdict verdict;
    bool gone;                /* the message cannot be updated any more: post a new one */
    bool unsure;              /* it may have been done in spite of the failure */
    bool limited;             /* verdict.wait_seconds holds for the method in this channel */
    char channel[32], ts[32]; /* of the message, "" when the answer has none */
};

/* attempts: how often it was tried before. */
void clew__slack_read_answer(const struct clew__answer *answer, unsigned attempts,
                             struct clew__slack_answer *ret);

/* Whether text is a channel's id, a message's ts, a user's id: they go into requests
 * and texts as they are. */
bool clew__slack_is_id(const char *text);
bool clew__slack_is_ts(const char *text);

/* Looks in an answer of conversations.history or conversations.replies for a message
 * whose metadata has this delivery key.
 * ret_ts       its ts, "" when it is not there
 * ret_cursor   where the next page begins, "" when there is none */
#define CLEW__SLACK_CURSOR_MAX 256u
void clew__slack_find(const char *body, const char *delivery, char ret_ts[32],
                      char ret_cursor[CLEW__SLACK_CURSOR_MAX]);

#endif
