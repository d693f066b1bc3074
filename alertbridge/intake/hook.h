/* SPDX-License-Identifier: Apache-2.0
 * What others than Alertmanager post: small bodies with a signature. They are read as
 * webhooks are (bounded, guarded, refused when there are too many), and answered
 * when what they say is durable. */
#ifndef CLEW_ALERTBRIDGE_HOOK_H
#define CLEW_ALERTBRIDGE_HOOK_H

#include <store/store.h>

#include <microhttpd.h>

/* A whole request. */
struct clew__hook_call {
    const struct clew__config *config;
    struct clew__store *store;
    struct MHD_Connection *connection; /* for its headers */
    const char *body;
    size_t len;
    int64_t now;
    uint64_t ndeliveries; /* result: queued */
    const char *reason;   /* result, unless the status is 200 */
};

struct clew__hook {
    const char *path;
    size_t max_body_bytes;
    bool (*is_on)(const struct clew__config *config);
    unsigned (*take)(struct clew__hook_call *call); /* the status of the answer */
};

/* The hook at this path, if the configuration has it; NULL: none. */
const struct clew__hook *clew__hook_at(const struct clew__config *config, const char *path);

#define CLEW__SLACK_HOOK_PATH "/slack/interactions"
extern const struct clew__hook clew__slack_hook;
#define CLEW__PAGERDUTY_HOOK_PATH "/pagerduty/webhook"
extern const struct clew__hook clew__pagerduty_hook;

#endif
