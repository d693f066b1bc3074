/* SPDX-License-Identifier: Apache-2.0
 *
 * In place of Slack: incoming webhooks, and of its Web API what a bot needs that
 * keeps its messages up to date. What Slack would refuse is refused with its
 * words, the rest is kept to be looked at. Limits as documented by Slack. */
#include "server.h"
#include "standins.h"
#include "store.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TEXT_MAX 40000
#define ATTACHMENTS_MAX 100
#define BLOCKS_MAX 50
#define MESSAGES_MAX 200

/* What Slack says of a message that it does not take; NULL: it takes it. */
static const char *objection(const json_t *message)
{
    const json_t *text = json_object_get(message, "text");
    const json_t *attachments = json_object_get(message, "attachments");
    const json_t *blocks = json_object_get(message, "blocks");

    if (json_string_length(text) == 0 && json_array_size(attachments) == 0 &&
        json_array_size(blocks) == 0)
        return "no_text";
    if (json_array_size(attachments) > ATTACHMENTS_MAX)
        return "too_many_attachments";
    if (json_array_size(blocks) > BLOCKS_MAX)
        return "invalid_blocks";
    return standin_runes(json_string_value(text)) > TEXT_MAX ? "msg_too_long" : NULL;
}

void handle_slack_post(struct request *request)
{
    json_t *payload = json_loadb(request->body, request->body_len, 0, NULL);
    const char *wrong = json_is_object(payload) ? objection(payload) : "invalid_payload";

    if (wrong)
        answer_text(request, 400, "%s", wrong);
    else if (store_add_slack(request->path, payload) < 0)
        answer_text(request, 500, "rollup_error");
    else
        answer_text(request, 200, "ok");
    json_decref(payload);
}

int64_t standin_since(const struct request *request)
{
    const char *text = request_argument(request, "since_id");

    return text ? strtoll(text, NULL, 10) : 0;
}

void handle_slack_list(struct request *request)
{
    answer_json(request, 200, store_slack(standin_since(request)));
}

/* ---- the Web API --------------------------------------------------------------- */

static json_t *refusal(const char *error)
{
    return json_pack("{s:b, s:s}", "ok", 0, "error", error);
}

static json_t *acceptance(const json_t *message)
{
    return json_pack("{s:b, s:O, s:O}", "ok", 1, "channel", json_object_get(message, "channel"),
                     "ts", json_object_get(message, "ts"));
}

/* The name of a message in its channel: a time that no other one has. */
static void give_ts(json_t *message)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static int64_t last;
    struct timespec now;
    int64_t us;
    char ts[32];

    (void)clock_gettime(CLOCK_REALTIME, &now);
    us = (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
    pthread_mutex_lock(&lock);
    last = us = us > last ? us : last + 1;
    pthread_mutex_unlock(&lock);
    (void)snprintf(ts, sizeof(ts), "%lld.%06lld", (long long)(us / 1000000),
                   (long long)(us % 1000000));
    json_object_set_new(message, "ts", json_string(ts));
}

static json_t *post_message(const struct request *request, json_t *message)
{
    give_ts(message);
    return store_add_slack(request->path, message) < 0 ? refusal("internal_error")
                                                       : acceptance(message);
}

static json_t *update_message(const struct request *request, json_t *message)
{
    int err = -ENOENT;

    (void)request;
    if (json_string_length(json_object_get(message, "ts"))) {
        json_object_set_new(message, "edited", json_object());
        err = store_update_slack(message);
    }
    return err == -ENOENT ? refusal("message_not_found")
           : err < 0      ? refusal("internal_error")
                          : acceptance(message);
}

static json_t *write_message(const struct request *request,
                             json_t *(*write)(const struct request *request, json_t *message))
{
    json_t *message = json_loadb(request->body, request->body_len, 0, NULL), *answer;
    const char *wrong = json_is_object(message) ? objection(message) : "invalid_json";

    if (!wrong && json_string_length(json_object_get(message, "channel")) == 0)
        wrong = "channel_not_found";
    answer = wrong ? refusal(wrong) : write(request, message);
    json_decref(message);
    return answer;
}

/* The newest messages of a channel, or of a thread of it. */
static json_t *read_messages(const struct request *request, bool thread)
{
    char *channel = request_field(request, "channel"), *ts = request_field(request, "ts");
    json_t *rows = store_slack(0), *found = json_array();

    for (size_t i = json_array_size(rows); i-- > 0 && json_array_size(found) < MESSAGES_MAX;) {
        json_t *message = json_object_get(json_array_get(rows, i), "payload");
        const char *in = json_string_value(json_object_get(message, "channel"));
        const char *parent = json_string_value(json_object_get(message, "thread_ts"));

        if (!channel || !in || strcmp(in, channel) != 0 || !json_object_get(message, "ts"))
            continue;
        if (thread ? parent && ts && strcmp(parent, ts) == 0 : !parent)
            json_array_append(found, message);
    }
    json_decref(rows);
    free(channel);
    free(ts);
    return json_pack("{s:b, s:o, s:b}", "ok", 1, "messages", found, "has_more", 0);
}

void handle_slack_api(struct request *request)
{
    const char *token = request_header(request, "Authorization");
    const char *method = request->rest;
    json_t *answer;

    if (!token || strncmp(token, "Bearer ", 7) != 0)
        answer = refusal("not_authed");
    else if (strcmp(method, "chat.postMessage") == 0)
        answer = write_message(request, post_message);
    else if (strcmp(method, "chat.update") == 0)
        answer = write_message(request, update_message);
    else if (strcmp(method, "conversations.history") == 0)
        answer = read_messages(request, false);
    else if (strcmp(method, "conversations.replies") == 0)
        answer = read_messages(request, true);
    else
        answer = refusal("unknown_method");
    answer_json(request, 200, answer);
}
