/* SPDX-License-Identifier: Apache-2.0
 * PagerDuty's webhooks (v3). It waits for 5 seconds, drops what is answered with a 4xx,
 * tries others again, and gives up for a day after three that it dropped: so only what
 * is not PagerDuty's at all is refused for good. */
#include "hook.h"

#include <pagerduty/act.h>

#include <clew/log.h>

#include <errno.h>

static bool is_on(const struct clew__config *config)
{
    return *config->pagerduty_secrets != NULL;
}

static unsigned take_event(struct clew__hook_call *call)
{
    const char *signature =
        MHD_lookup_connection_value(call->connection, MHD_HEADER_KIND, "X-PagerDuty-Signature");
    struct clew__pagerduty_event event;
    struct clew__pagerduty_act act = {.event = &event, .config = call->config, .now = call->now};
    int r;

    if (!clew__pagerduty_verify(call->config->pagerduty_secrets, signature, call->body,
                                call->len)) {
        call->reason = "the signature is missing or wrong";
        return MHD_HTTP_UNAUTHORIZED;
    }
    r = clew__pagerduty_read_event(call->body, call->len, &event);
    if (r == 0 && event.kind != CLEW__PAGERDUTY_OTHER)
        r = clew__store_write(call->store, clew__pagerduty_act, &act);
    if (r < 0) {
        call->reason = clew_last_error();
        return r == -EINVAL ? MHD_HTTP_BAD_REQUEST : MHD_HTTP_SERVICE_UNAVAILABLE;
    }
    if (event.kind != CLEW__PAGERDUTY_OTHER)
        clew_info("an event in PagerDuty", clew_kv("event", event.type),
                  clew_kv("person", event.person), clew_kv("outcome", act.outcome),
                  clew_kv("deliveries", act.ndeliveries));
    call->ndeliveries = act.ndeliveries;
    return MHD_HTTP_OK;
}

const struct clew__hook clew__pagerduty_hook = {
    .path = CLEW__PAGERDUTY_HOOK_PATH,
    .max_body_bytes = CLEW__PAGERDUTY_EVENT_MAX,
    .is_on = is_on,
    .take = take_event,
};
