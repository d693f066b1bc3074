/* SPDX-License-Identifier: Apache-2.0
 * Clicks in Slack, and the list of hooks. The answer comes when the click is on the
 * disk, which is milliseconds; Slack waits for 3 seconds. A body that is not proven
 * to be Slack's is not looked into. */
#include "hook.h"

#include <slack/interaction.h>
#include <store/click.h>

#include <clew/log.h>

#include <errno.h>
#include <string.h>

static const struct clew__hook *const hooks[] = {&clew__slack_hook, &clew__pagerduty_hook, NULL};

const struct clew__hook *clew__hook_at(const struct clew__config *config, const char *path)
{
    for (unsigned i = 0; hooks[i]; i++)
        if (strcmp(hooks[i]->path, path) == 0 && hooks[i]->is_on(config))
            return hooks[i];
    return NULL;
}

static const char *header(const struct clew__hook_call *call, const char *name)
{
    return MHD_lookup_connection_value(call->connection, MHD_HEADER_KIND, name);
}

static bool is_on(const struct clew__config *config)
{
    return *config->slack_signing_secret;
}

static unsigned take_click(struct clew__hook_call *call)
{
    struct clew__slack_click click;
    struct clew__slack_act act = {.config = call->config, .click = &click, .now = call->now};
    int r;

    if (!clew__slack_verify(call->config->slack_signing_secret,
                            header(call, "X-Slack-Request-Timestamp"),
                            header(call, "X-Slack-Signature"), call->body, call->len, call->now)) {
        call->reason = "the signature is missing, wrong or too old";
        return MHD_HTTP_UNAUTHORIZED;
    }
    r = clew__slack_read_click(call->body, call->len, &click);
    if (r == 0 && click.kind != CLEW__SLACK_CLICK_NONE)
        r = clew__store_write(call->store, clew__slack_act, &act);
    if (r < 0) {
        call->reason = clew_last_error();
        return r == -EINVAL ? MHD_HTTP_BAD_REQUEST : MHD_HTTP_SERVICE_UNAVAILABLE;
    }
    if (click.kind != CLEW__SLACK_CLICK_NONE)
        clew_info("a button in Slack", clew_kv("person", click.person),
                  clew_kv("incident", click.incident_id), clew_kv("outcome", act.outcome),
                  clew_kv("deliveries", act.ndeliveries));
    call->ndeliveries = act.ndeliveries;
    return MHD_HTTP_OK;
}

const struct clew__hook clew__slack_hook = {
    .path = CLEW__SLACK_HOOK_PATH,
    .max_body_bytes = CLEW__SLACK_INTERACTION_MAX,
    .is_on = is_on,
    .take = take_click,
};
