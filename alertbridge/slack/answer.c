/* SPDX-License-Identifier: Apache-2.0
 * Verdicts by word. Some words of a 200 say that something may have been done all
 * the same ("fatal_error"), as a lost answer does: then the message is looked for
 * before it is posted again. Answers are as untrusted as anything else: ids are
 * checked before they are kept. No state; MT-Safe. */
#include "answer.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

static const struct word {
    const char *word;
    enum clew__verdict_kind kind;
    bool gone, unsure;
} words[] = {
    /* will not get better */
    {"channel_not_found", CLEW__PERMANENT, false, false},
    {"not_in_channel", CLEW__PERMANENT, false, false},
    {"is_archived", CLEW__PERMANENT, false, false},
    {"not_authed", CLEW__PERMANENT, false, false},
    {"invalid_auth", CLEW__PERMANENT, false, false},
    {"account_inactive", CLEW__PERMANENT, false, false},
    {"token_revoked", CLEW__PERMANENT, false, false},
    {"token_expired", CLEW__PERMANENT, false, false},
    {"no_permission", CLEW__PERMANENT, false, false},
    {"missing_scope", CLEW__PERMANENT, false, false},
    {"not_allowed_token_type", CLEW__PERMANENT, false, false},
    {"restricted_action", CLEW__PERMANENT, false, false},
    {"ekm_access_denied", CLEW__PERMANENT, false, false},
    {"invalid_arguments", CLEW__PERMANENT, false, false},
    {"invalid_blocks", CLEW__PERMANENT, false, false},
    {"invalid_blocks_format", CLEW__PERMANENT, false, false},
    {"invalid_attachments", CLEW__PERMANENT, false, false},
    {"invalid_metadata_format", CLEW__PERMANENT, false, false},
    {"metadata_too_large", CLEW__PERMANENT, false, false},
    {"msg_too_long", CLEW__PERMANENT, false, false},
    {"msg_blocks_too_long", CLEW__PERMANENT, false, false},
    {"too_many_attachments", CLEW__PERMANENT, false, false},
    {"no_text", CLEW__PERMANENT, false, false},
    {"cannot_reply_to_message", CLEW__PERMANENT, false, false},
    {"thread_not_found", CLEW__PERMANENT, false, false},
    /* only the update is impossible; the caller posts anew at once */
    {"message_not_found", CLEW__RETRY, true, false},
    {"cant_update_message", CLEW__RETRY, true, false},
    {"edit_window_closed", CLEW__RETRY, true, false},
    /* later */
    {"ratelimited", CLEW__RETRY, false, false},
    {"rate_limited", CLEW__RETRY, false, false},
    {"message_limit_exceeded", CLEW__RETRY, false, false},
    {"accesslimited", CLEW__RETRY, false, false},
    {"team_added_to_org", CLEW__RETRY, false, false},
    {"service_unavailable", CLEW__RETRY, false, true},
    {"internal_error", CLEW__RETRY, false, true},
    {"fatal_error", CLEW__RETRY, false, true},
    {"request_timeout", CLEW__RETRY, false, true},
};

static bool all_of(const char *text, const char *set, size_t max)
{
    size_t len = strlen(text);

    return len > 0 && len < max && strspn(text, set) == len;
}

bool clew__slack_is_id(const char *text)
{
    return all_of(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", 32);
}

bool clew__slack_is_ts(const char *text)
{
    return all_of(text, "0123456789.", 32);
}

static void take_word(const char *word, unsigned attempts, struct clew__slack_answer *ret)
{
    struct clew__verdict *verdict = &ret->verdict;

    ret->limited = strcmp(word, "ratelimited") == 0 || strcmp(word, "rate_limited") == 0;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcmp(word, words[i].word) == 0) {
            verdict->kind = words[i].kind;
            ret->gone = words[i].gone;
            ret->unsure = words[i].unsure;
            (void)snprintf(verdict->reason, sizeof(verdict->reason), "%s", word);
            return;
        }
    /* The word itself may hold anything. */
    verdict->kind = attempts < CLEW__SLACK_UNKNOWN_ATTEMPTS ? CLEW__RETRY : CLEW__PERMANENT;
    ret->unsure = true;
    (void)snprintf(verdict->reason, sizeof(verdict->reason), "%s",
                   all_of(word, "abcdefghijklmnopqrstuvwxyz_0123456789", sizeof(verdict->reason))
                       ? word
                       : "not_ok");
}

static void take_message(const json_t *body, struct clew__slack_answer *ret)
{
    const char *channel = json_string_value(json_object_get(body, "channel"));
    const char *ts = json_string_value(json_object_get(body, "ts"));

    if (channel && clew__slack_is_id(channel))
        (void)snprintf(ret->channel, sizeof(ret->channel), "%s", channel);
    if (ts && clew__slack_is_ts(ts))
        (void)snprintf(ret->ts, sizeof(ret->ts), "%s", ts);
}

/* It certainly did not arrive when no connection came about. */
static bool never_left(const char *problem)
{
    return strcmp(problem, "connection_refused") == 0 ||
           strcmp(problem, "name_not_resolved") == 0 || strcmp(problem, "tls") == 0;
}

void clew__slack_read_answer(const struct clew__answer *answer, unsigned attempts,
                             struct clew__slack_answer *ret)
{
    const char *word;
    json_t *body, *wait;

    *ret = (struct clew__slack_answer){.verdict = clew__verdict_of_status(answer)};
    if (answer->status == 0) {
        ret->unsure = !never_left(answer->problem);
        return;
    }
    body = json_loads(answer->body, 0, NULL);
    word = json_string_value(json_object_get(body, "error"));
    if (ret->verdict.kind != CLEW__DONE) {
        ret->limited = answer->status == 429;
        ret->unsure = answer->status >= 500;
    } else if (json_is_true(json_object_get(body, "ok"))) {
        take_message(body, ret);
    } else if (json_is_false(json_object_get(body, "ok"))) {
        take_word(word ? word : "", attempts, ret);
    } else {
        /* Whoever said this was not Slack: a proxy's page. */
        ret->verdict.kind = CLEW__RETRY;
        ret->unsure = true;
        (void)snprintf(ret->verdict.reason, sizeof(ret->verdict.reason), "not_slack");
    }
    if (ret->verdict.kind == CLEW__RETRY && ret->verdict.wait_seconds < 0)
        ret->verdict.wait_seconds = clew__retry_after_seconds(answer->retry_after, answer->now);
    wait = json_object_get(body, "retry_after");
    if (ret->limited && ret->verdict.wait_seconds < 0 && json_is_number(wait) &&
        json_number_value(wait) >= 0)
        ret->verdict.wait_seconds = json_number_value(wait);
    ret->verdict.wait_all = false; /* the method's wait is kept by who asks */
    json_decref(body);
}

void clew__slack_find(const char *body, const char *delivery, char ret_ts[32],
                      char ret_cursor[CLEW__SLACK_CURSOR_MAX])
{
    json_t *root = json_loads(body, 0, NULL), *message;
    const char *cursor = json_string_value(
        json_object_get(json_object_get(root, "response_metadata"), "next_cursor"));
    size_t i;

    ret_ts[0] = ret_cursor[0] = '\0';
    json_array_foreach(json_object_get(root, "messages"), i, message)
    {
        const json_t *payload =
            json_object_get(json_object_get(message, "metadata"), "event_payload");
        const char *key = json_string_value(json_object_get(payload, "delivery"));
        const char *ts = json_string_value(json_object_get(message, "ts"));

        if (key && ts && strcmp(key, delivery) == 0 && clew__slack_is_ts(ts))
            (void)snprintf(ret_ts, 32, "%s", ts);
    }
    if (!*ret_ts && cursor && strlen(cursor) < CLEW__SLACK_CURSOR_MAX)
        (void)snprintf(ret_cursor, CLEW__SLACK_CURSOR_MAX, "%s", cursor);
    json_decref(root);
}
