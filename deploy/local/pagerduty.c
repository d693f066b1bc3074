/* SPDX-License-Identifier: Apache-2.0
 *
 * In place of PagerDuty's Events API v2: what it would refuse is refused with its
 * words, the rest is kept to be looked at. Limits as documented by PagerDuty. */
#include "server.h"
#include "standins.h"
#include "store.h"

#include <stdio.h>
#include <string.h>

#define EVENT_BYTES_MAX (512u * 1024)

static bool is_one_of(const char *text, const char *const *list)
{
    for (; text && *list; list++)
        if (strcmp(text, *list) == 0)
            return true;
    return false;
}

/* What is wrong with the event, as an array of texts. */
static json_t *event_errors(const json_t *event)
{
    static const char *const actions[] = {"trigger", "acknowledge", "resolve", NULL};
    static const char *const severities[] = {"critical", "error", "warning", "info", NULL};
    const json_t *payload = json_object_get(event, "payload");
    const char *action = json_string_value(json_object_get(event, "event_action"));
    const char *summary = json_string_value(json_object_get(payload, "summary"));
    const json_t *key = json_object_get(event, "dedup_key");
    json_t *errors = json_array();

#define WRONG(text) json_array_append_new(errors, json_string(text))
    if (json_string_length(json_object_get(event, "routing_key")) != 32)
        WRONG("'routing_key' is missing or not 32 characters");
    if (!is_one_of(action, actions))
        WRONG("'event_action' is missing or invalid");
    if (json_string_length(key) > 255)
        WRONG("'dedup_key' is longer than 255 characters");
    if (action && strcmp(action, "trigger") == 0) {
        if (!summary || !*summary || standin_runes(summary) > 1024)
            WRONG("'payload.summary' is missing, blank or longer than 1024 characters");
        if (json_string_length(json_object_get(payload, "source")) == 0)
            WRONG("'payload.source' is missing or blank");
        if (!is_one_of(json_string_value(json_object_get(payload, "severity")), severities))
            WRONG("'payload.severity' is invalid (must be one of: 'critical', 'warning', 'error' "
                  "or 'info')");
    } else if (json_string_length(key) == 0) {
        WRONG("'dedup_key' is missing or blank");
    }
#undef WRONG
    return errors;
}

static void give_dedup_key(json_t *event)
{
    static unsigned counter;
    char key[48];

    if (json_string_length(json_object_get(event, "dedup_key")))
        return;
    (void)snprintf(key, sizeof(key), "generated-%u",
                   __atomic_add_fetch(&counter, 1, __ATOMIC_RELAXED));
    json_object_set_new(event, "dedup_key", json_string(key));
}

void handle_pagerduty_post(struct request *request)
{
    json_t *event = json_loadb(request->body, request->body_len, 0, NULL);
    json_t *errors = json_is_object(event) ? event_errors(event) : NULL;

    if (request->body_len > EVENT_BYTES_MAX) {
        answer_json(request, 413, json_pack("{s:s}", "message", "the event is over 512 KB"));
    } else if (!errors || json_array_size(errors)) {
        answer_json(
            request, 400,
            json_pack("{s:s, s:s, s:o}", "status", "invalid event", "message",
                      "Event object is invalid", "errors",
                      errors ? json_incref(errors) : json_pack("[s]", "not a JSON object")));
    } else {
        give_dedup_key(event);
        if (store_add_pagerduty(event) < 0)
            answer_json(request, 500, json_pack("{s:s}", "message", "store failed"));
        else
            answer_json(request, 202,
                        json_pack("{s:s, s:s, s:O}", "status", "success", "message",
                                  "Event processed", "dedup_key",
                                  json_object_get(event, "dedup_key")));
    }
    json_decref(errors);
    json_decref(event);
}

void handle_pagerduty_events(struct request *request)
{
    answer_json(request, 200, store_pagerduty_events(standin_since(request)));
}

void handle_pagerduty_incidents(struct request *request)
{
    answer_json(request, 200, store_incidents());
}
