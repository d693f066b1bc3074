/* SPDX-License-Identifier: Apache-2.0
 * Silences. The Alertmanagers of a cluster tell each other, so the first that answers
 * is enough. A silence that could not be made before its end is given up; what came
 * of it is said where it was asked for. No state; MT-Safe. */
#include "alertmanager.h"

#include <common/instant.h>
#include <delivery/sending.h>
#include <receivers/text.h>
#include <store/click.h>

#include <clew/log.h>

#include <errno.h>
#include <json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MS 10000L

/* Whether a source put this label on. */
static bool is_pinned(const struct clew__config *config, const char *name, const json_t *value)
{
    for (size_t i = 0; i < config->webhook.nsources; i++)
        if (json_equal(json_object_get(config->webhook.sources[i].labels, name), value))
            return true;
    return false;
}

int clew__silence_matchers(const struct clew__config *config, const json_t *labels,
                           struct clew__buf *json)
{
    const char *name;
    json_t *value;
    int n = 0;

    clew__buf_addc(json, '[');
    json_object_foreach((json_t *)(uintptr_t)labels, name, value)
    {
        const char *text = json_string_value(value);

        if (!text || !*text || is_pinned(config, name, value))
            continue;
        clew__buf_adds(json, n++ ? ",{\"name\":" : "{\"name\":");
        clew__json_string(json, name, strlen(name));
        clew__buf_adds(json, ",\"value\":");
        clew__json_string(json, text, strlen(text));
        clew__buf_adds(json, ",\"isRegex\":false,\"isEqual\":true}");
    }
    clew__buf_addc(json, ']');
    return json->failed ? clew_set_error(-ENOMEM, "out of memory") : n;
}

void clew__silence_body(struct clew__buf *json, const char *matchers, int64_t starts_at,
                        int64_t ends_at, const char *created_by, const char *comment)
{
    char time[CLEW__INSTANT_TEXT];

    clew__buf_addf(json, "{\"matchers\":%s", matchers);
    clew__text_member(json, "startsAt", clew__instant_format(starts_at, time), sizeof(time));
    clew__text_member(json, "endsAt", clew__instant_format(ends_at, time), sizeof(time));
    clew__text_member(json, "createdBy", created_by, 256);
    clew__text_member(json, "comment", comment, 1024);
    clew__buf_addc(json, '}');
}

/* What people get to know. */
static void leave(struct clew__sending *sending, const struct clew__silence *silence,
                  const struct clew__verdict *verdict, const char *answer)
{
    struct clew__silence_result *result = calloc(1, sizeof(*result));
    json_t *body = json_loads(answer, JSON_DECODE_ANY, NULL);
    const char *id = json_string_value(json_object_get(body, "silenceID"));
    const char *why = json_string_value(body); /* Alertmanager's errors are a text */
    char time[CLEW__INSTANT_TEXT];

    if (result) {
        result->delivery_id = sending->delivery->id;
        result->now = clew__instant_now();
        if (verdict->kind == CLEW__DONE) {
            (void)snprintf(result->silence_id, sizeof(result->silence_id), "%.*s", 63,
                           id ? id : "unknown");
            (void)snprintf(result->note, sizeof(result->note), "silenced until %s by %s",
                           clew__instant_format(silence->ends_at, time), silence->created_by);
        } else {
            (void)snprintf(result->note, sizeof(result->note),
                           "not silenced, as %s asked: %s%s%.*s", silence->created_by,
                           verdict->reason, why ? ": " : "",
                           why ? (int)clew__utf8_cut(why, strlen(why), 200) : 0, why ? why : "");
        }
        sending->record = clew__silence_record;
        sending->left = result;
    }
    json_decref(body);
}

/* The first Alertmanager that answers; one that refuses has answered. */
static struct clew__verdict ask(struct clew__sending *sending, const struct clew__buf *body,
                                struct clew__answer *answer)
{
    const struct clew__config *config = sending->config;
    struct clew__verdict verdict = {CLEW__RETRY, "nobody", -1, false};

    for (size_t i = 0; i < config->nalertmanagers && verdict.kind == CLEW__RETRY; i++) {
        char url[1200];

        (void)snprintf(url, sizeof(url), "%s/api/v2/silences", config->alertmanagers[i].url);
        clew__http_send(sending->connection, &config->alertmanagers[i],
                        &(struct clew__http_request){
                            .url = url, .body = body, .timeout_ms = TIMEOUT_MS, .once = true},
                        answer);
        sending->status = answer->status;
        verdict = clew__verdict_of_status(answer);
    }
    return verdict;
}

static struct clew__verdict attempt_silence(struct clew__sending *sending)
{
    struct clew__verdict verdict = {CLEW__RETRY, "store", -1, false};
    struct clew__answer answer = {.body = ""};
    struct clew__silence silence = {.delivery_id = sending->delivery->id};
    int64_t now = clew__instant_now();
    struct clew__buf body;
    char comment[600];

    clew__buf_init(&body, 1u << 20);
    if (clew__store_read(sending->store, clew__silence_load, &silence) < 0) {
        clew__silence_done(&silence);
        return verdict;
    }
    if (silence.ends_at <= now) {
        verdict = (struct clew__verdict){CLEW__PERMANENT, "too_late", -1, false};
    } else {
        (void)snprintf(comment, sizeof(comment), "%.200s: by a button in Slack",
                       clew__page_name(sending->page));
        clew__silence_body(&body, silence.matchers, now, silence.ends_at, silence.created_by,
                           comment);
        verdict = ask(sending, &body, &answer);
    }
    if (verdict.kind != CLEW__RETRY)
        leave(sending, &silence, &verdict, answer.body);
    clew__buf_done(&body);
    clew__silence_done(&silence);
    return verdict;
}

static void release(void *options)
{
    (void)options;
}

const struct clew__receiver_ops clew__silencer = {
    .kind = "silencer",
    .release = release,
    .send = attempt_silence,
};
