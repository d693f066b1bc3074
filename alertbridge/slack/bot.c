/* SPDX-License-Identifier: Apache-2.0
 * The bot: an incident is one message, updated in place, and what changes is said in
 * its thread, and in the channel too when it gets worse. A delivery is one request:
 *
 *   no message yet      chat.postMessage; the answer's channel and ts are kept
 *   a message           chat.update, and a note is queued for the thread
 *   an update refused   for good: the message is given up, and the same delivery
 *                       posts a new one
 *   a note              chat.postMessage into the thread
 *
 * Posting twice would be seen, and Slack has nothing to tell a repeat by. So a post
 * is written down before it is made; if it has no result (a crash, a lost answer),
 * it is looked for by the key in its metadata before it is made again (lookup.c).
 *
 * A target is a channel: Slack limits posts by channel and method, so one channel
 * that has to wait delays no other. An id of a channel belongs to one workspace, so
 * the target does not depend on the token, which may be exchanged. */
#include "bot.h"

#include "interaction.h"
#include "message.h"

#include <common/instant.h>
#include <config/config.h>
#include <delivery/backoff.h>

#include <clew/log.h>

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#define BURST 3.0 /* requests to a channel at once; then one a second */
#define KEY_TEXT 33

struct attempt {
    struct clew__sending *sending;
    const struct clew__slack *slack;
    struct clew__slack_memory memory;
    enum clew__slack_method method;
    struct clew__slack_answer answer;
    bool asked;         /* answer is what Slack said */
    char key[KEY_TEXT]; /* of the delivery, for its message's metadata */
};

static int64_t monotonic_now(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * CLEW__SECOND_NS + now.tv_nsec;
}

static void fail(struct attempt *attempt, const char *reason)
{
    attempt->answer.verdict = (struct clew__verdict){.kind = CLEW__RETRY, .wait_seconds = -1};
    (void)snprintf(attempt->answer.verdict.reason, sizeof(attempt->answer.verdict.reason), "%s",
                   reason);
}

/* Whether the method may be asked now; else the verdict says when. */
static bool may_ask(struct attempt *attempt, enum clew__slack_method method)
{
    struct clew__verdict *verdict = &attempt->answer.verdict;
    int64_t now = clew__instant_now(), wait = attempt->memory.until[method] - now;

    attempt->method = method;
    *verdict = (struct clew__verdict){.kind = CLEW__LATER, .reason = "limited"};
    if (wait > 0) {
        verdict->wait_seconds = (double)wait / (double)CLEW__SECOND_NS;
        return false;
    }
    wait = clew__pace_take(attempt->sending->pace, BURST, monotonic_now());
    verdict->wait_seconds = (double)wait / (double)CLEW__SECOND_NS;
    verdict->wait_all = true;
    return wait == 0;
}

/* True: the answer is there, the post was found. False: it is not there, or nobody
 * can tell; or, *ret_later, it cannot be asked now. */
static bool found_again(struct attempt *attempt, bool *ret_later)
{
    const struct clew__delivery *delivery = attempt->sending->delivery;
    char ts[32];
    int r;

    *ret_later = false;
    if (!attempt->memory.begun_at)
        return false;
    attempt->method =
        delivery->action == CLEW__ACTION_NOTE ? CLEW__SLACK_REPLIES : CLEW__SLACK_HISTORY;
    *ret_later = !may_ask(attempt, attempt->method);
    if (*ret_later)
        return false;
    attempt->asked = true;
    r = clew__slack_lookup(attempt->sending, &attempt->memory, attempt->key, ts, &attempt->answer);
    if (r > 0) {
        clew_info("a message was found again", clew_kv("delivery", delivery->id));
        attempt->answer = (struct clew__slack_answer){
            .verdict = {.kind = CLEW__DONE, .reason = "found_again", .wait_seconds = -1}};
        (void)snprintf(attempt->answer.channel, sizeof(attempt->answer.channel), "%s",
                       attempt->slack->channel);
        (void)snprintf(attempt->answer.ts, sizeof(attempt->answer.ts), "%s", ts);
        return true;
    }
    if (r == 0)
        return false;
    *ret_later = attempt->answer.verdict.kind == CLEW__RETRY;
    if (!*ret_later) /* rather twice than never */
        clew_warn("it cannot be seen whether a message is there: it is posted again",
                  clew_kv("delivery", delivery->id),
                  clew_kv("reason", attempt->answer.verdict.reason));
    return false;
}

/* Posts what was not posted before. */
static void post_once(struct attempt *attempt, const struct clew__buf *body)
{
    struct clew__sending *sending = attempt->sending;
    struct clew__slack_begin begin = {sending->delivery->id, clew__instant_now()};
    bool later;

    if (found_again(attempt, &later) || later)
        return;
    attempt->asked = false;
    if (!may_ask(attempt, CLEW__SLACK_POST))
        return;
    if (clew__store_write(sending->store, clew__slack_begin, &begin) < 0) {
        fail(attempt, "store");
        return;
    }
    attempt->asked = true;
    clew__slack_call(sending, CLEW__SLACK_POST, body, &attempt->answer);
    /* Without its ts a message could never be updated: it is looked for. */
    if (attempt->answer.verdict.kind == CLEW__DONE && !*attempt->answer.ts) {
        fail(attempt, "no_ts");
        attempt->answer.unsure = true;
    }
}

/* What every attempt leaves behind. */
static struct clew__slack_result *leave(struct attempt *attempt)
{
    struct clew__slack_result *result = calloc(1, sizeof(*result));
    const struct clew__slack_answer *answer = &attempt->answer;

    if (!result) {
        fail(attempt, "out_of_memory");
        return NULL;
    }
    result->delivery_id = attempt->sending->delivery->id;
    result->now = clew__instant_now();
    result->target = attempt->sending->integration->target;
    result->method = attempt->method;
    if (answer->limited && answer->verdict.wait_seconds > 0)
        result->limited_until = result->now + clew__backoff_ns(0, answer->verdict.wait_seconds, 0);
    result->settled = attempt->method == CLEW__SLACK_POST && !answer->unsure;
    if (answer->verdict.kind == CLEW__DONE)
        result->settled = true;
    attempt->sending->record = clew__slack_record;
    attempt->sending->left = result;
    return result;
}

/* ---- the thread ------------------------------------------------------- */

static void send_note(struct attempt *attempt)
{
    const struct clew__page *page = attempt->sending->page;
    const struct clew__slack_memory *memory = &attempt->memory;
    const struct clew__slack_address address = {.channel = memory->channel,
                                                .update = "",
                                                .thread = memory->ts,
                                                .broadcast = memory->broadcast,
                                                .delivery = attempt->key};
    struct clew__buf body, text;

    if (!*memory->ts) {
        attempt->answer.verdict = (struct clew__verdict){CLEW__DONE, "no_message", -1, false};
        return;
    }
    clew__buf_init(&text, CLEW__TEMPLATE_RESULT_MAX);
    clew__buf_init(&body, CLEW__TEMPLATE_RESULT_MAX);
    clew__buf_adds(&text, page->note);
    if (text.len == 0)
        clew__slack_change(&text, page);
    clew__buf_addc(&text, '\0');
    clew__slack_note(&body, text.data ? text.data : "", &address);
    if (text.failed || body.failed)
        fail(attempt, "out_of_memory");
    else
        post_once(attempt, &body);
    if (attempt->asked)
        (void)leave(attempt);
    clew__buf_done(&text);
    clew__buf_done(&body);
}

/* ---- the message ------------------------------------------------------ */

static void say_acknowledged(struct clew__buf *text, const struct clew__slack_now *now)
{
    if (!now->nacknowledged)
        return;
    clew__buf_adds(text, "*Acknowledged* by ");
    clew__slack_escape(text, now->actors.data ? now->actors.data : "", now->actors.len);
    if (now->nacknowledged < now->nfiring)
        clew__buf_addf(text, " (%lld of %lld alerts)", (long long)now->nacknowledged,
                       (long long)now->nfiring);
}

/* In the reader's own time zone. */
static void say_silenced(struct clew__buf *text, const struct clew__slack_now *now)
{
    char time[CLEW__INSTANT_TEXT];

    if (!now->silenced_until)
        return;
    clew__buf_addf(text, "*Silenced* until <!date^%lld^{date_short_pretty} {time}|%s> by ",
                   (long long)(now->silenced_until / CLEW__SECOND_NS),
                   clew__instant_format(now->silenced_until, time));
    clew__slack_escape(text, now->silenced_by, strlen(now->silenced_by));
}

static void render(struct attempt *attempt, const struct clew__slack_now *now, bool update,
                   struct clew__buf *body)
{
    const struct clew__config *config = attempt->sending->config;
    struct clew__page page = *attempt->sending->page;
    struct clew__slack_view view = {.page = &page, .button = ""};
    const struct clew__slack_address address = {.channel = update ? attempt->memory.channel
                                                                  : attempt->slack->channel,
                                                .update = update ? attempt->memory.ts : "",
                                                .thread = "",
                                                .delivery = attempt->key};
    struct clew__buf acknowledged, silenced;
    char button[CLEW__SLACK_BUTTON_MAX];

    clew__buf_init(&acknowledged, 64u << 10);
    clew__buf_init(&silenced, 64u << 10);
    if (page.nfiring && now->nfiring) {
        /* As it is by now; what comes after this delivery finds nothing new then. */
        page.alerts = now->alerts;
        page.nalerts = now->nalerts;
        page.nfiring = (uint64_t)now->nfiring;
        say_acknowledged(&acknowledged, now);
        say_silenced(&silenced, now);
        clew__slack_button(now->incident_id, now->dedup_key, button);
        view.button = *config->slack_signing_secret ? button : "";
        view.can_acknowledge = now->nacknowledged < now->nfiring;
        view.can_silence = clew__config_silencer(config) != NULL;
        view.can_resolve = now->paged;
    }
    clew__buf_addc(&acknowledged, '\0');
    clew__buf_addc(&silenced, '\0');
    view.acknowledged = acknowledged.data ? acknowledged.data : "";
    view.silenced = silenced.data ? silenced.data : "";
    clew__slack_message(body, attempt->slack, config, &view, &address);
    clew__buf_done(&acknowledged);
    clew__buf_done(&silenced);
}

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Worse than anything that the message has told; or a reminder, which says why. */
static bool is_worse(const struct attempt *attempt, const struct clew__slack_now *now)
{
    return attempt->sending->delivery->action == CLEW__ACTION_TRIGGER &&
           (now->severity > attempt->memory.severity || now->nfiring > attempt->memory.nfiring ||
            *attempt->sending->page->note);
}

/* The delivery's note is anybody's words; a thread gets markup. */
static void take_note(const struct clew__page *page, char *note, size_t size)
{
    struct clew__buf text;

    clew__buf_init(&text, CLEW__TEMPLATE_RESULT_MAX);
    clew__text_value(&text, page->note, clew__slack_escape);
    clew__text_cut(&text, size / 4 - 1);
    (void)snprintf(note, size, "%.*s", (int)text.len, text.data ? text.data : "");
    clew__buf_done(&text);
}

static void leave_message(struct attempt *attempt, const struct clew__slack_now *now, bool update)
{
    const struct clew__slack_memory *memory = &attempt->memory;
    struct clew__slack_result *result = leave(attempt);
    bool done = attempt->answer.verdict.kind == CLEW__DONE;

    if (!result)
        return;
    result->posted = done && !update;
    result->updated = done && update;
    result->lost = update && attempt->answer.gone;
    result->broadcast = is_worse(attempt, now);
    take_note(attempt->sending->page, result->note, sizeof(result->note));
    result->over = attempt->sending->page->nfiring == 0;
    result->severity = update ? most(memory->severity, now->severity) : now->severity;
    result->nfiring = update ? most(memory->nfiring, now->nfiring) : now->nfiring;
    memcpy(result->channel, attempt->answer.channel, sizeof(result->channel));
    memcpy(result->ts, attempt->answer.ts, sizeof(result->ts));
    if (!*result->channel)
        (void)snprintf(result->channel, sizeof(result->channel), "%.31s", attempt->slack->channel);
    if (result->posted && !memory->any &&
        attempt->sending->delivery->action == CLEW__ACTION_TRIGGER)
        result->ask = clew__config_loki(attempt->sending->config);
}

/* A message that is final stays as it is; what a person did is said in its thread. */
static bool tells_nothing_new(const struct clew__sending *sending)
{
    enum clew__action action = sending->delivery->action;

    return sending->page->nfiring == 0 &&
           (action == CLEW__ACTION_UPDATE || action == CLEW__ACTION_ACKNOWLEDGE);
}

static void send_message(struct attempt *attempt)
{
    struct clew__sending *sending = attempt->sending;
    struct clew__slack_now now = {.delivery = sending->delivery, .now = clew__instant_now()};
    bool fresh = sending->delivery->action == CLEW__ACTION_TRIGGER && !attempt->memory.current;
    bool update = !fresh && *attempt->memory.ts;
    struct clew__buf body;

    if (sending->delivery->action != CLEW__ACTION_TRIGGER && !attempt->memory.any) {
        attempt->answer.verdict = (struct clew__verdict){CLEW__DONE, "no_message", -1, false};
        return;
    }
    clew__buf_init(&now.actors, 8192);
    clew__buf_init(&body, 4u << 20);
    if (clew__store_read(sending->store, clew__slack_look, &now) < 0) {
        fail(attempt, "store");
    } else {
        render(attempt, &now, update, &body);
        if (body.failed) {
            fail(attempt, "out_of_memory");
        } else if (!update) {
            post_once(attempt, &body);
        } else if (tells_nothing_new(sending)) {
            attempt->asked = true;
            attempt->answer.verdict = (struct clew__verdict){CLEW__DONE, "over", -1, false};
        } else if (may_ask(attempt, CLEW__SLACK_UPDATE)) {
            attempt->asked = true;
            clew__slack_call(sending, CLEW__SLACK_UPDATE, &body, &attempt->answer);
        }
        if (attempt->asked)
            leave_message(attempt, &now, update);
    }
    clew__buf_done(&body);
    clew__slack_now_done(&now);
}

static struct clew__verdict attempt_delivery(struct clew__sending *sending)
{
    const struct clew__delivery *delivery = sending->delivery;
    struct attempt attempt = {
        .sending = sending,
        .slack = sending->integration->options,
        .memory = {.delivery = delivery,
                   .target = sending->integration->target,
                   .now = clew__instant_now()},
    };
    char id[48], digest[CLEW__DIGEST_TEXT];

    (void)snprintf(id, sizeof(id), "%lld/%lld", (long long)delivery->id,
                   (long long)delivery->created_at);
    clew__digest((const char *const[]){"slack", sending->page->dedup_key, id}, 3, digest);
    (void)snprintf(attempt.key, sizeof(attempt.key), "%.32s", digest);
    if (clew__store_read(sending->store, clew__slack_recall, &attempt.memory) < 0)
        fail(&attempt, "store");
    else if (delivery->action == CLEW__ACTION_NOTE)
        send_note(&attempt);
    else
        send_message(&attempt);
    return attempt.answer.verdict;
}

/* What a first message about the page would be. */
static int preview(const struct clew__integration *self, const struct clew__config *config,
                   const struct clew__page *page, struct clew__buf *body)
{
    const struct clew__slack *slack = self->options;
    const struct clew__slack_view view = {
        .page = page, .acknowledged = "", .silenced = "", .button = ""};
    const struct clew__slack_address address = {
        .channel = slack->channel, .update = "", .thread = "", .delivery = ""};

    clew__slack_message(body, slack, config, &view, &address);
    return body->failed ? clew_set_error(-ENOMEM, "out of memory") : 0;
}

static void headers(const struct clew__integration *self, const struct clew__buf *body, int64_t now,
                    clew__add_header *add, void *arg)
{
    const struct clew__slack *slack = self->options;
    char value[5000];

    (void)body, (void)now;
    (void)snprintf(value, sizeof(value), "Bearer %s", slack->token);
    add(arg, "Authorization", value);
}

const struct clew__receiver_ops clew__slack_bot = {
    .kind = "slack_bot",
    .send_resolved = true, /* a message that stays red would lie */
    .apart = true,
    .actions = 1u << CLEW__ACTION_ACKNOWLEDGE | 1u << CLEW__ACTION_UPDATE,
    .release = clew__slack_release,
    .render = preview,
    .headers = headers,
    .send = attempt_delivery,
};
