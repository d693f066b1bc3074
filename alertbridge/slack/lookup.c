/* SPDX-License-Identifier: Apache-2.0
 * Requests to the Web API, and the search for a message that may be there. The
 * search reads the channel, or the thread, from shortly before the post was begun,
 * page by page; a channel in which so much was said meanwhile that the message is
 * not within the pages is treated as one that cannot be asked. */
#include "bot.h"

#include <common/instant.h>
#include <receivers/slack.h>

#include <clew/log.h>

#include <stdio.h>

#define PAGES_MAX 20u
#define PAGE_MESSAGES 200
#define PAGE_BYTES (16u << 20)
#define SKEW_S 600 /* Slack's clock and ours */

void clew__slack_call(struct clew__sending *sending, enum clew__slack_method method,
                      const struct clew__buf *arguments, struct clew__slack_answer *ret)
{
    bool form = method == CLEW__SLACK_HISTORY || method == CLEW__SLACK_REPLIES;
    struct clew__http_request request = {.content_type =
                                             form ? "application/x-www-form-urlencoded" : NULL,
                                         .answer_max = form ? PAGE_BYTES : 0,
                                         .body = arguments,
                                         .once = method == CLEW__SLACK_POST};
    struct clew__answer answer;
    char url[2200];

    (void)snprintf(url, sizeof(url), "%s/%s", sending->integration->url,
                   clew__slack_method_text(method));
    request.url = url;
    clew__http_send(sending->connection, sending->integration, &request, &answer);
    sending->status = answer.status;
    clew__slack_read_answer(&answer, sending->delivery->attempts, ret);
}

static void add_arguments(struct clew__buf *form, const struct clew__slack_memory *memory,
                          const char *channel, bool thread, const char *cursor)
{
    char *quoted = curl_easy_escape(NULL, cursor, 0);

    clew__buf_addf(form, "channel=%s&oldest=%lld&inclusive=true&include_all_metadata=true&limit=%d",
                   channel, (long long)(memory->begun_at / CLEW__SECOND_NS - SKEW_S),
                   PAGE_MESSAGES);
    if (thread)
        clew__buf_addf(form, "&ts=%s", memory->ts);
    if (*cursor)
        clew__buf_addf(form, "&cursor=%s", quoted ? quoted : "");
    curl_free(quoted);
}

int clew__slack_lookup(struct clew__sending *sending, const struct clew__slack_memory *memory,
                       const char *delivery, char ret_ts[32], struct clew__slack_answer *ret_answer)
{
    const struct clew__slack *slack = sending->integration->options;
    bool thread = sending->delivery->action == CLEW__ACTION_NOTE;
    char cursor[CLEW__SLACK_CURSOR_MAX] = "";

    ret_ts[0] = '\0';
    for (unsigned page = 0; page < PAGES_MAX; page++) {
        struct clew__buf form;

        clew__buf_init(&form, 4096);
        add_arguments(&form, memory, slack->channel, thread, cursor);
        clew__slack_call(sending, thread ? CLEW__SLACK_REPLIES : CLEW__SLACK_HISTORY, &form,
                         ret_answer);
        clew__buf_done(&form);
        if (ret_answer->verdict.kind != CLEW__DONE)
            return -1;
        clew__slack_find(sending->connection->body.data, delivery, ret_ts, cursor);
        if (*ret_ts || !*cursor)
            return *ret_ts ? 1 : 0;
    }
    ret_answer->verdict = (struct clew__verdict){CLEW__PERMANENT, "too_many_messages", -1, false};
    return -1;
}
