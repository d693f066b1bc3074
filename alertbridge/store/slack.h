/* SPDX-License-Identifier: Apache-2.0
 * What the store remembers for the bot in Slack: which message an incident has,
 * which posts were begun, and until when Slack wants to be left alone. */
#ifndef CLEW_ALERTBRIDGE_STORE_SLACK_H
#define CLEW_ALERTBRIDGE_STORE_SLACK_H

#include "store.h"

/* A method of the Web API is limited by channel, so by target. */
enum clew__slack_method {
    CLEW__SLACK_POST,
    CLEW__SLACK_UPDATE,
    CLEW__SLACK_HISTORY,
    CLEW__SLACK_REPLIES,
    CLEW__SLACK_METHODS,
};
/* "chat.postMessage" and so on. */
const char *clew__slack_method_text(enum clew__slack_method method);

/* Everything that decides about an attempt. */
struct clew__slack_memory {
    const struct clew__delivery *delivery;
    const char *target;
    int64_t now;
    /* results */
    int64_t begun_at;          /* a post of this delivery was begun and has no result; 0: none */
    char channel[32], ts[32];  /* the incident's message, or, of a note, that of its thread */
    bool any;                  /* it has, or had, a message */
    bool current;              /* that message is of the present occurrence, which is not over */
    bool broadcast;            /* of a note */
    int64_t severity, nfiring; /* the worst that the message has told */
    int64_t until[CLEW__SLACK_METHODS];
};
clew__store_work clew__slack_recall; /* 0, -errno */

/* The incident of a delivery as it is now. */
struct clew__slack_now {
    const struct clew__delivery *delivery;
    int64_t now;
    /* results */
    int64_t incident_id, nfiring, nacknowledged, severity;
    char dedup_key[256];
    bool paged; /* one of its alerts is open in PagerDuty */
    struct clew__page_alert alerts[CLEW__PAGE_ALERTS_MAX];
    size_t nalerts;
    char *owned[2 * CLEW__PAGE_ALERTS_MAX];
    struct clew__buf actors; /* who acknowledged, a name a line */
    int64_t silenced_until;  /* 0: by nobody */
    char silenced_by[256];
};
clew__store_work clew__slack_look; /* 0, -errno */
void clew__slack_now_done(struct clew__slack_now *now);

/* 0 unknown, 1 info, 2 warning, 3 critical and whatever else there is. */
int64_t clew__severity_rank(const char *severity);

/* A post begins: from here on it may be there. */
struct clew__slack_begin {
    int64_t delivery_id, now;
};
clew__store_work clew__slack_begin;

/* What an attempt leaves behind; part of the transaction that records it. */
struct clew__slack_result {
    int64_t delivery_id, now;
    const char *target;
    enum clew__slack_method method;
    int64_t limited_until; /* 0: no limit was told */
    bool settled;          /* whether it was posted is certain */
    bool posted;           /* the incident's message is channel and ts now */
    bool lost;             /* the message cannot be updated any more */
    bool updated;          /* the message was; what changed is said in its thread */
    bool broadcast;        /* and in the channel */
    char note[2048];       /* why, in Slack's markup; "": what changed is listed */
    bool over;             /* the message is final */
    char channel[32], ts[32];
    int64_t severity, nfiring;
    const struct clew__integration *ask; /* asked for the service's lines now; NULL: nobody */
};
clew__store_work clew__slack_record;

/* Queues text for the thread of the message that a delivery's incident has; without
 * a message nothing. */
struct clew__slack_say {
    int64_t delivery_id; /* whatever its target is; its trace goes on */
    int64_t now;
    const char *text; /* in Slack's markup */
};
clew__store_work clew__slack_say;

#endif
