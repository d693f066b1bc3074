/* SPDX-License-Identifier: Apache-2.0
 * See workspace.h. */
#include "workspace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const methods[] = {"chat.postMessage", "chat.update", "conversations.history",
                                      "conversations.replies"};

static void copy(char *out, size_t size, const char *text)
{
    (void)snprintf(out, size, "%s", text);
}

static const char *post_message(struct workspace *workspace, json_t *body)
{
    struct workspace_message *message = &workspace->messages[workspace->n];

    assert_true(workspace->n < MESSAGES_MAX);
    *message = (struct workspace_message){0};
    copy(message->channel, sizeof(message->channel), json_text(body, "channel"));
    (void)snprintf(message->ts, sizeof(message->ts), "1795208357.%06zu", ++workspace->n);
    copy(message->thread, sizeof(message->thread), json_text(body, "thread_ts"));
    copy(
        message->delivery, sizeof(message->delivery),
        json_text(json_object_get(json_object_get(body, "metadata"), "event_payload"), "delivery"));
    message->broadcast = json_is_true(json_object_get(body, "reply_broadcast"));
    message->body = json_incref(body);
    (void)snprintf(workspace->answer, sizeof(workspace->answer),
                   "{\"ok\":true,\"channel\":\"%s\",\"ts\":\"%s\",\"message\":{}}",
                   message->channel, message->ts);
    return workspace->answer;
}

static const char *update(struct workspace *workspace, json_t *body)
{
    for (size_t i = 0; i < workspace->n; i++) {
        struct workspace_message *message = &workspace->messages[i];

        if (strcmp(message->ts, json_text(body, "ts")) != 0 ||
            strcmp(message->channel, json_text(body, "channel")) != 0)
            continue;
        json_decref(message->body);
        message->body = json_incref(body);
        message->updates++;
        (void)snprintf(workspace->answer, sizeof(workspace->answer),
                       "{\"ok\":true,\"channel\":\"%s\",\"ts\":\"%s\"}", message->channel,
                       message->ts);
        return workspace->answer;
    }
    return "{\"ok\":false,\"error\":\"message_not_found\"}";
}

static void field(const char *form, const char *name, char *out, size_t size)
{
    const char *at = strstr(form, name);

    copy(out, size, at ? at + strlen(name) : "");
    out[strcspn(out, "&")] = '\0';
}

/* Two messages a page, so that there are pages. */
static const char *history(struct workspace *workspace, const char *form, bool replies)
{
    char channel[32], thread[32], cursor[32];
    size_t begin, n = 0, i;
    json_t *list = json_array(), *answer;
    char *text;

    field(form, "channel=", channel, sizeof(channel));
    field(form, "&ts=", thread, sizeof(thread));
    field(form, "&cursor=", cursor, sizeof(cursor));
    assert_non_null(strstr(form, "include_all_metadata=true"));
    begin = strtoul(cursor, NULL, 10);
    for (i = begin; i < workspace->n && n < 2; i++) {
        const struct workspace_message *message = &workspace->messages[i];

        if (strcmp(message->channel, channel) != 0 ||
            (replies ? strcmp(message->thread, thread) != 0 : *message->thread != '\0'))
            continue;
        json_array_append_new(list, json_pack("{s:s, s:{s:s, s:{s:s}}}", "ts", message->ts,
                                              "metadata", "event_type", "clewline_alert",
                                              "event_payload", "delivery", message->delivery));
        n++;
    }
    (void)snprintf(cursor, sizeof(cursor), "%zu", i);
    answer = json_pack("{s:b, s:o, s:{s:s}}", "ok", 1, "messages", list, "response_metadata",
                       "next_cursor", i < workspace->n ? cursor : "");
    text = json_dumps(answer, JSON_COMPACT);
    copy(workspace->answer, sizeof(workspace->answer), text);
    free(text);
    json_decref(answer);
    return workspace->answer;
}

static const char *carry_out(struct workspace *workspace, unsigned method,
                             const struct far_request *request)
{
    switch (method) {
    case 0:
        return post_message(workspace, request->body);
    case 1:
        return update(workspace, request->body);
    default:
        return history(workspace, request->text, method == 3);
    }
}

unsigned workspace_decide(struct far *far, const struct far_request *request, const char **text,
                          const char **retry_after)
{
    struct workspace *workspace = far->arg;
    const char *name = strrchr(request->path, '/') + 1, *instead = NULL;
    unsigned status = 200, method = 0;

    while (method < 4 && strcmp(methods[method], name) != 0)
        method++;
    if (method == 4)
        return strncmp(request->path, "/v2/", 4) == 0 ? 202 : 200;
    if (strcmp(json_text(request->headers, "Authorization"), "Bearer " BOT_TOKEN) != 0) {
        *text = "{\"ok\":false,\"error\":\"invalid_auth\"}";
        return 200;
    }
    workspace->calls[method]++;
    if (workspace->stumble)
        instead = workspace->stumble(workspace, name, request->body, false, &status, retry_after);
    if (!instead) {
        *text = carry_out(workspace, method, request);
        if (workspace->stumble)
            instead =
                workspace->stumble(workspace, name, request->body, true, &status, retry_after);
    }
    if (instead)
        *text = instead;
    return status;
}

void workspace_init(struct workspace *workspace, struct far *far)
{
    *workspace = (struct workspace){.n = 0};
    (void)pthread_mutex_lock(&far->lock);
    far->arg = workspace;
    far->decide = workspace_decide;
    (void)pthread_mutex_unlock(&far->lock);
}

void workspace_done(struct workspace *workspace)
{
    for (size_t i = 0; i < workspace->n; i++)
        json_decref(workspace->messages[i].body);
    *workspace = (struct workspace){.n = 0};
}

const struct workspace_message *workspace_get(const struct workspace *workspace,
                                              const char *channel, bool threads, size_t i)
{
    for (size_t k = 0; k < workspace->n; k++) {
        const struct workspace_message *message = &workspace->messages[k];

        if (strcmp(message->channel, channel) == 0 && (*message->thread != '\0') == threads &&
            i-- == 0)
            return message;
    }
    return NULL;
}

size_t workspace_count(const struct workspace *workspace, const char *channel, bool threads)
{
    size_t n = 0;

    while (workspace_get(workspace, channel, threads, n))
        n++;
    return n;
}

const char *workspace_text(const struct workspace_message *message)
{
    return json_text(message->body, "text");
}

char *workspace_dump(const struct workspace_message *message)
{
    char *text = json_dumps(message->body, JSON_COMPACT);

    assert_non_null(text);
    return text;
}
