/* SPDX-License-Identifier: Apache-2.0
 * A workspace of Slack on the far side: it keeps messages as Slack does, and can be
 * told to fail. Its answers are those of the Web API. */
#ifndef CLEW_TEST_WORKSPACE_H
#define CLEW_TEST_WORKSPACE_H

#include "bridge.h"

#define BOT_TOKEN "xoxb-SECRET-token"
#define MESSAGES_MAX 512

struct workspace_message {
    char channel[32], ts[32], thread[32]; /* thread "": a message of the channel itself */
    char delivery[64];
    bool broadcast;
    unsigned updates;
    json_t *body; /* the newest */
};

struct workspace {
    struct workspace_message messages[MESSAGES_MAX];
    size_t n;
    unsigned calls[4]; /* chat.postMessage, chat.update, history, replies */
    /* Before (done: after) a call is carried out; a text is the answer instead. May set
     * *status (200; 0: no answer) and *retry_after. Runs with far's lock held. */
    const char *(*stumble)(struct workspace *workspace, const char *method, const json_t *body,
                           bool done, unsigned *status, const char **retry_after);
    void *arg;
    char answer[1u << 16];
};

/* far answers as this workspace from now on. */
void workspace_init(struct workspace *workspace, struct far *far);
/* The answer to one request; what is not Slack's gets the usual one. */
unsigned workspace_decide(struct far *far, const struct far_request *request, const char **text,
                          const char **retry_after);
void workspace_done(struct workspace *workspace);

/* Of the channel itself, or of a thread; with far's lock or when nothing is sent. */
size_t workspace_count(const struct workspace *workspace, const char *channel, bool threads);
/* The i-th of those. */
const struct workspace_message *workspace_get(const struct workspace *workspace,
                                              const char *channel, bool threads, size_t i);
const char *workspace_text(const struct workspace_message *message);
/* The whole of it as text; free() it. */
char *workspace_dump(const struct workspace_message *message);

#endif
