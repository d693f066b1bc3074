/* SPDX-License-Identifier: Apache-2.0
 * What a person did in Slack, and the silences that come of it. */
#ifndef CLEW_ALERTBRIDGE_STORE_CLICK_H
#define CLEW_ALERTBRIDGE_STORE_CLICK_H

#include "store.h"

#include <slack/interaction.h>

/* Carries out a click: acknowledges, resolves, or queues a silence; with an audit line
 * for each alert. The same click a second time changes nothing. */
struct clew__slack_act {
    const struct clew__config *config;
    const struct clew__slack_click *click;
    int64_t now;
    uint64_t ndeliveries; /* results */
    const char *outcome;  /* a word for the log */
};
clew__store_work clew__slack_act; /* 0, -errno */

/* The silence that a delivery asks for. */
struct clew__silence {
    int64_t delivery_id;
    char *matchers; /* results; JSON of API v2 */
    char created_by[256];
    int64_t ends_at;
};
clew__store_work clew__silence_load; /* 0, -errno */
void clew__silence_done(struct clew__silence *silence);

/* What came of it; part of the transaction that records the attempt. The incident's
 * message is shown anew, with the note in its thread. */
struct clew__silence_result {
    int64_t delivery_id, now;
    char silence_id[64]; /* "": there is none */
    char note[600];      /* for people */
};
clew__store_work clew__silence_record;

#endif
