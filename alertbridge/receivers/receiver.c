/* SPDX-License-Identifier: Apache-2.0
 * What all kinds of receivers share: their list, the name of a target, and the
 * meaning of HTTP itself. No state. */
#include "receiver.h"

#include <common/digest.h>
#include <common/instant.h>

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct clew__receiver_ops *const clew__receiver_kinds[] = {&clew__slack,
                                                                 &clew__pagerduty,
                                                                 &clew__pagerduty_change,
                                                                 &clew__webhook,
                                                                 &clew__teams,
                                                                 &clew__email,
                                                                 NULL};

const struct clew__receiver_ops *clew__receiver_kind(const char *kind)
{
    if (strcmp(clew__slack_bot.kind, kind) == 0)
        return &clew__slack_bot;
    for (unsigned i = 0; clew__receiver_kinds[i]; i++)
        if (strcmp(clew__receiver_kinds[i]->kind, kind) == 0)
            return clew__receiver_kinds[i];
    return NULL;
}

void clew__integration_name_target(struct clew__integration *self, const char *second)
{
    char hex[CLEW__DIGEST_TEXT];

    clew__digest((const char *const[]){self->ops->kind, self->url, second}, 3, hex);
    (void)snprintf(self->target, sizeof(self->target), "%s:%.32s", self->ops->kind, hex);
}

double clew__retry_after_seconds(const char *text, int64_t now)
{
    size_t digits = strspn(text, "0123456789");
    time_t date;

    if (!*text)
        return -1;
    if (text[digits] == '\0')
        return digits <= 9 ? (double)strtoul(text, NULL, 10) : 1e9;
    date = curl_getdate(text, NULL);
    if (date < 0)
        return -1;
    return date > now / CLEW__SECOND_NS ? (double)(date - now / CLEW__SECOND_NS) : 0;
}

struct clew__verdict clew__verdict_of_status(const struct clew__answer *answer)
{
    struct clew__verdict verdict = {.kind = CLEW__PERMANENT, .wait_seconds = -1};
    unsigned status = answer->status;

    if (status == 0) {
        verdict.kind = CLEW__RETRY;
        (void)snprintf(verdict.reason, sizeof(verdict.reason), "%s", answer->problem);
        return verdict;
    }
    (void)snprintf(verdict.reason, sizeof(verdict.reason), "http_%u", status);
    if (status >= 200 && status < 300)
        verdict.kind = CLEW__DONE;
    else if (status == 408 || status == 425 || status == 429 || status >= 500)
        verdict.kind = CLEW__RETRY;
    if (verdict.kind == CLEW__RETRY) {
        verdict.wait_seconds = clew__retry_after_seconds(answer->retry_after, answer->now);
        verdict.wait_all = status == 429 || status == 503;
    }
    return verdict;
}
