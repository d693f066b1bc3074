/* SPDX-License-Identifier: Apache-2.0
 * The bot against a workspace that keeps messages: one message an incident, changes
 * in its thread, nothing twice, no request earlier than told. */
#include "workspace.h"

#include <common/instant.h>
#include <delivery/delivery.h>
#include <delivery/sending.h>
#include <slack/answer.h>

#include <clew/log.h>

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct bench bench;
static struct far far;
static struct workspace workspace;
static struct clew__config *config;
static struct clew__store *store;
static struct clew__senders *senders;

/* Channel C1 has everything; C2 only what team b has. */
static const char *bot_config(const char *extra)
{
    static char text[4096];

    (void)snprintf(
        text, sizeof(text),
        "listen: 127.0.0.1:0\n"
        "storage: unused\n"
        "%s"
        "route:\n"
        "  receiver: a\n"
        "  routes:\n"
        "    - {receiver: b, matchers: ['alertname=\"B\"'], continue: true}\n"
        "    - {receiver: a}\n"
        "receivers:\n"
        "  - name: a\n"
        "    slack_configs:\n"
        "      - {api_url: 'http://127.0.0.1:%u/api', bot_token: '" BOT_TOKEN "', channel: C1}\n"
        "  - name: b\n"
        "    slack_configs:\n"
        "      - {api_url: 'http://127.0.0.1:%u/api/', bot_token: '" BOT_TOKEN "', channel: C2}\n",
        extra, far.port, far.port);
    return text;
}

static int setup(void **state)
{
    (void)state;
    bench_init(&bench);
    far_start(&far);
    workspace_init(&workspace, &far);
    config = load_config(&bench, bot_config(""));
    store = open_store(&bench);
    assert_int_equal(clew__senders_start(config, store, &senders), 0);
    return 0;
}

static void stop_senders(void)
{
    senders = clew__senders_stop(senders, clew__instant_now() + 5 * CLEW__SECOND_NS);
}

static int teardown(void **state)
{
    (void)state;
    stop_senders();
    store = clew__store_close(store);
    config = clew__config_free(config);
    far_stop(&far);
    workspace_done(&workspace);
    bench_done(&bench);
    return 0;
}

static void use(const char *text)
{
    stop_senders();
    config = clew__config_free(config);
    config = load_config(&bench, text);
    assert_int_equal(clew__senders_start(config, store, &senders), 0);
}

static void apply(const char *group, const struct made_alert *alerts, size_t n)
{
    char *body = make_body(group, "http://am.example", 0, alerts, n);

    apply_body(store, config, body, clew__instant_now());
    if (senders)
        clew__senders_wake(senders);
}

#define ALERT(name, severity, status, i)                  \
    {                                                     \
        name, severity, status, "2026-01-01T00:00:00Z", i \
    }
#define FIRING(i) ALERT("A", "warning", "firing", i)
#define CRITICAL(i) ALERT("A", "critical", "firing", i)
#define RESOLVED(i) ALERT("A", "warning", "resolved", i)

static const struct workspace_message *root(size_t i)
{
    const struct workspace_message *message = workspace_get(&workspace, "C1", false, i);

    assert_non_null(message);
    return message;
}

static const struct workspace_message *note(size_t i)
{
    const struct workspace_message *message = workspace_get(&workspace, "C1", true, i);

    assert_non_null(message);
    return message;
}

static const char *colour(const struct workspace_message *message)
{
    return json_string_value(
        json_object_get(json_array_get(json_object_get(message->body, "attachments"), 0), "color"));
}

static void test_bot_one_message_an_incident(void **state)
{
    const struct made_alert one[] = {FIRING(1)}, two[] = {FIRING(1), CRITICAL(2)},
                            less[] = {RESOLVED(1), CRITICAL(2)},
                            over[] = {ALERT("A", "critical", "resolved", 2)};
    char *text;

    (void)state;
    apply("g", one, 1);
    wait_for_queue(store, 0);
    assert_int_equal(workspace_count(&workspace, "C1", false), 1);
    assert_string_equal(workspace_text(root(0)), "[FIRING:1] A");
    assert_string_equal(colour(root(0)), "warning");
    assert_int_equal(workspace_count(&workspace, "C1", true), 0);

    apply("g", two, 2); /* more, and worse */
    wait_for_queue(store, 0);
    assert_int_equal(workspace_count(&workspace, "C1", false), 1);
    assert_int_equal(root(0)->updates, 1);
    assert_string_equal(workspace_text(root(0)), "[FIRING:2] A");
    assert_string_equal(colour(root(0)), "danger");
    assert_string_equal(note(0)->thread, root(0)->ts);
    assert_true(note(0)->broadcast);
    assert_non_null(strstr(workspace_text(note(0)), "*Firing (1)*"));

    apply("g", less, 2);
    wait_for_queue(store, 0);
    assert_string_equal(workspace_text(root(0)), "[FIRING:1] A");
    assert_false(note(1)->broadcast);
    assert_non_null(strstr(workspace_text(note(1)), "*Resolved (1)*"));
    assert_non_null(strstr(workspace_text(note(1)), "1 still firing"));

    apply("g", over, 1);
    wait_for_queue(store, 0);
    assert_int_equal(workspace_count(&workspace, "C1", false), 1);
    assert_string_equal(workspace_text(root(0)), "[RESOLVED] A");
    assert_string_equal(colour(root(0)), "good");
    assert_non_null(strstr(workspace_text(note(2)), "All resolved."));
    text = workspace_dump(root(0));
    assert_null(strstr(text, "clew_acknowledge"));
    free(text);
}

static void test_bot_new_message_for_a_new_occurrence(void **state)
{
    const struct made_alert one[] = {FIRING(1)}, over[] = {RESOLVED(1)},
                            again[] = {{"A", "warning", "firing", "2026-01-02T00:00:00Z", 1}};

    (void)state;
    stop_senders(); /* all of it waits when the bot comes */
    apply("g", one, 1);
    apply("g", over, 1);
    apply("g", again, 1);
    assert_int_equal(clew__senders_start(config, store, &senders), 0);
    wait_for_queue(store, 0);
    assert_int_equal(workspace_count(&workspace, "C1", false), 2);
    assert_string_equal(workspace_text(root(0)), "[RESOLVED] A");
    assert_string_equal(workspace_text(root(1)), "[FIRING:1] A");
    assert_int_equal(workspace_count(&workspace, "C1", true), 1);
    assert_string_equal(note(0)->thread, root(0)->ts);
}

static void test_bot_fewer_is_not_worse(void **state)
{
    const struct made_alert two[] = {CRITICAL(1), CRITICAL(2)},
                            less[] = {ALERT("A", "critical", "resolved", 1), CRITICAL(2)},
                            more[] = {CRITICAL(2), FIRING(3)},
                            most[] = {CRITICAL(2), FIRING(3), FIRING(4)};

    (void)state;
    apply("g", two, 2);
    apply("g", less, 2);
    apply("g", more, 2); /* two again */
    wait_for_queue(store, 0);
    assert_int_equal(workspace_count(&workspace, "C1", true), 2);
    assert_false(note(0)->broadcast);
    assert_false(note(1)->broadcast);
    apply("g", most, 3);
    wait_for_queue(store, 0);
    assert_true(note(2)->broadcast);
}

/* ---- failures ---------------------------------------------------------- */

static const char *refuse_updates(struct workspace *self, const char *method, const json_t *body,
                                  bool done, unsigned *status, const char **retry_after)
{
    static char text[128];
    const char *word = self->arg;

    (void)body, (void)status, (void)retry_after;
    if (done || strcmp(method, "chat.update") != 0)
        return NULL;
    (void)snprintf(text, sizeof(text), "{\"ok\":false,\"error\":\"%s\"}", word);
    return text;
}

static void test_bot_posts_anew_when_it_cannot_update(void **state)
{
    static const char *const words[] = {"message_not_found", "cant_update_message",
                                        "edit_window_closed"};
    const struct made_alert two[] = {FIRING(1), FIRING(2)};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        char group[8];

        (void)snprintf(group, sizeof(group), "g%zu", i);
        workspace.stumble = NULL;
        {
            const struct made_alert one[] = {
                {"A", "warning", "firing", "2026-01-01T00:00:00Z", (unsigned)(10 * i)}};
            const struct made_alert more[] = {
                {"A", "warning", "firing", "2026-01-01T00:00:00Z", (unsigned)(10 * i + 1)}};

            apply(group, one, 1);
            wait_for_queue(store, 0);
            workspace.stumble = refuse_updates;
            workspace.arg = (void *)(uintptr_t)words[i];
            apply(group, more, 1);
        }
        wait_for_queue(store, 0);
        assert_int_equal(workspace_count(&workspace, "C1", false), 2 * (i + 1));
        assert_string_equal(workspace_text(root(2 * i + 1)), "[FIRING:2] A");
    }
    (void)two;
    assert_int_equal(queue_of(store).dead, 0);
}

/* The first post arrives, but its answer does not. */
static const char *lose_answers(struct workspace *self, const char *method, const json_t *body,
                                bool done, unsigned *status, const char **retry_after)
{
    unsigned *left = self->arg;

    (void)body, (void)retry_after;
    if (!done || strcmp(method, "chat.postMessage") != 0 || *left == 0)
        return NULL;
    (*left)--;
    *status = 0;
    return "";
}

static void test_bot_lost_answer_makes_no_double(void **state)
{
    const struct made_alert one[] = {FIRING(1)}, two[] = {FIRING(2)}, other[] = {FIRING(3)},
                            another[] = {FIRING(4)};
    unsigned left = 0;

    (void)state;
    workspace.arg = &left;
    workspace.stumble = lose_answers;
    apply("other", other, 1); /* so that there are pages to look through */
    apply("another", another, 1);
    wait_for_queue(store, 0);
    left = 1;
    apply("g", one, 1);
    wait_for_queue(store, 0);
    assert_int_equal(left, 0);
    assert_int_equal(workspace_count(&workspace, "C1", false), 3);
    assert_true(workspace.calls[2] >= 1);
    left = 1; /* the note */
    apply("g", two, 1);
    wait_for_queue(store, 0);
    assert_int_equal(left, 0);
    assert_int_equal(workspace_count(&workspace, "C1", false), 3);
    assert_int_equal(workspace_count(&workspace, "C1", true), 1);
    assert_true(workspace.calls[3] >= 1);
    assert_int_equal(root(2)->updates, 1);
}

/* Nobody may read the channel: rather twice than never. */
static const char *forbid_history(struct workspace *self, const char *method, const json_t *body,
                                  bool done, unsigned *status, const char **retry_after)
{
    if (strcmp(method, "conversations.history") == 0)
        return "{\"ok\":false,\"error\":\"missing_scope\"}";
    return lose_answers(self, method, body, done, status, retry_after);
}

static void test_bot_without_history_posts_again(void **state)
{
    const struct made_alert one[] = {FIRING(1)};
    unsigned left = 1;

    (void)state;
    workspace.arg = &left;
    workspace.stumble = forbid_history;
    apply("g", one, 1);
    wait_for_queue(store, 0);
    assert_int_equal(workspace_count(&workspace, "C1", false), 2);
    assert_int_equal(queue_of(store).dead, 0);
}

static const char *refuse(struct workspace *self, const char *method, const json_t *body, bool done,
                          unsigned *status, const char **retry_after)
{
    (void)self, (void)method, (void)body, (void)done, (void)status, (void)retry_after;
    return "{\"ok\":false,\"error\":\"not_in_channel\"}";
}

static void test_bot_dead_letter(void **state)
{
    const struct made_alert one[] = {FIRING(1)}, over[] = {RESOLVED(1)};

    (void)state;
    workspace.stumble = refuse;
    apply("g", one, 1);
    apply("g", over, 1); /* nobody was told that it fires */
    wait_for_queue(store, 0);
    assert_int_equal(queue_of(store).dead, 1);
    assert_int_equal(far_count(&far), 1);
}

/* ---- limits ------------------------------------------------------------- */

/* Nine of ten calls to C1 are too many; one of ten is taken. */
struct storm {
    unsigned calls, early;
    int64_t until[4]; /* by method */
};

static const char *storm(struct workspace *self, const char *method, const json_t *body, bool done,
                         unsigned *status, const char **retry_after)
{
    static const char *const waits[] = {"1", NULL, "soon", "-5", "2", "1e3", "", "1", NULL};
    const char *channel = json_string_value(json_object_get(body, "channel"));
    unsigned which = strcmp(method, "chat.update") == 0;
    struct storm *it = self->arg;
    int64_t now = clew__instant_now();

    if (done || !channel || strcmp(channel, "C1") != 0)
        return NULL;
    it->early += now < it->until[which];
    if (it->calls++ % 10 == 4)
        return NULL;
    *status = 429;
    *retry_after = waits[it->calls % 9];
    if (*retry_after && strspn(*retry_after, "12") == 1 && strlen(*retry_after) == 1)
        it->until[which] = now + (int64_t)(**retry_after - '0') * CLEW__SECOND_NS;
    return "{\"ok\":false,\"error\":\"ratelimited\"}";
}

static void test_bot_storm_of_429(void **state)
{
    struct storm it = {0};
    int64_t start = clew__instant_now();

    (void)state;
    workspace.arg = &it;
    workspace.stumble = storm;
    for (unsigned i = 0; i < 3; i++) {
        const struct made_alert both[] = {{"B", "warning", "firing", "2026-01-01T00:00:00Z", i}};
        char group[8];

        (void)snprintf(group, sizeof(group), "g%u", i);
        apply(group, both, 1);
    }
    /* The other channel is through at once, whatever C1 has to wait for. */
    while (workspace_count(&workspace, "C2", false) < 3 &&
           clew__instant_now() - start < 10 * CLEW__SECOND_NS)
        (void)usleep(2000);
    assert_int_equal(workspace_count(&workspace, "C2", false), 3);
    assert_true(clew__instant_now() - start < 2 * CLEW__SECOND_NS);
    while (it.calls < 8 && clew__instant_now() - start < 60 * CLEW__SECOND_NS)
        (void)usleep(10000);
    assert_true(it.calls >= 8);
    assert_int_equal(it.early, 0);
    assert_true(workspace_count(&workspace, "C1", false) >= 1);
    assert_int_equal(queue_of(store).dead, 0);
}

/* A limit outlives the senders. */
static const char *wait_three_seconds(struct workspace *self, const char *method,
                                      const json_t *body, bool done, unsigned *status,
                                      const char **retry_after)
{
    int64_t *until = self->arg;

    (void)method, (void)body;
    if (done)
        return NULL;
    if (*until) {
        assert_true(clew__instant_now() >= *until);
        return NULL;
    }
    *until = clew__instant_now() + 3 * CLEW__SECOND_NS;
    *status = 429;
    *retry_after = "3";
    return "{\"ok\":false,\"error\":\"ratelimited\"}";
}

static void test_bot_limit_outlives_a_restart(void **state)
{
    const struct made_alert one[] = {FIRING(1)}, two[] = {FIRING(2)};
    int64_t until = 0;

    (void)state;
    workspace.arg = &until;
    workspace.stumble = wait_three_seconds;
    apply("g", one, 1);
    assert_true(far_wait(&far, 1, 10));
    stop_senders();
    apply("h", two, 1);
    assert_int_equal(clew__senders_start(config, store, &senders), 0);
    wait_for_queue(store, 0);
    assert_int_equal(workspace_count(&workspace, "C1", false), 2);
}

static void test_bot_pace(void **state)
{
    struct clew__pace pace = {0};
    int64_t now = 1000 * CLEW__SECOND_NS;

    (void)state;
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(clew__pace_take(&pace, 3, now), 0);
    assert_in_range(clew__pace_take(&pace, 3, now), CLEW__SECOND_NS, CLEW__SECOND_NS + 2);
    assert_true(clew__pace_take(&pace, 3, now + CLEW__SECOND_NS / 2) > 0);
    assert_int_equal(clew__pace_take(&pace, 3, now + CLEW__SECOND_NS + 1), 0);
    assert_true(clew__pace_take(&pace, 3, now + CLEW__SECOND_NS + 1) > 0);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(clew__pace_take(&pace, 3, now + 100 * CLEW__SECOND_NS), 0);
}

/* ---- words -------------------------------------------------------------- */

static void test_bot_verdicts(void **state)
{
    static const struct {
        unsigned status;
        const char *body, *retry_after;
        unsigned attempts;
        enum clew__verdict_kind kind;
        const char *reason;
        double wait;
        bool gone, unsure;
    } cases[] = {
        {200, "{\"ok\":true,\"channel\":\"C1\",\"ts\":\"1.2\"}", "", 0, CLEW__DONE, "http_200", -1,
         false, false},
        {200, "{\"ok\":false,\"error\":\"channel_not_found\"}", "", 0, CLEW__PERMANENT,
         "channel_not_found", -1, false, false},
        {200, "{\"ok\":false,\"error\":\"not_in_channel\"}", "", 0, CLEW__PERMANENT,
         "not_in_channel", -1, false, false},
        {200, "{\"ok\":false,\"error\":\"is_archived\"}", "", 0, CLEW__PERMANENT, "is_archived", -1,
         false, false},
        {200, "{\"ok\":false,\"error\":\"invalid_auth\"}", "", 0, CLEW__PERMANENT, "invalid_auth",
         -1, false, false},
        {200, "{\"ok\":false,\"error\":\"account_inactive\"}", "", 0, CLEW__PERMANENT,
         "account_inactive", -1, false, false},
        {200, "{\"ok\":false,\"error\":\"token_revoked\"}", "", 0, CLEW__PERMANENT, "token_revoked",
         -1, false, false},
        {200, "{\"ok\":false,\"error\":\"missing_scope\"}", "", 0, CLEW__PERMANENT, "missing_scope",
         -1, false, false},
        {200, "{\"ok\":false,\"error\":\"restricted_action\"}", "", 0, CLEW__PERMANENT,
         "restricted_action", -1, false, false},
        {200, "{\"ok\":false,\"error\":\"invalid_blocks\"}", "", 0, CLEW__PERMANENT,
         "invalid_blocks", -1, false, false},
        {200, "{\"ok\":false,\"error\":\"msg_too_long\"}", "", 0, CLEW__PERMANENT, "msg_too_long",
         -1, false, false},
        {200, "{\"ok\":false,\"error\":\"msg_blocks_too_long\"}", "", 0, CLEW__PERMANENT,
         "msg_blocks_too_long", -1, false, false},
        {200, "{\"ok\":false,\"error\":\"no_text\"}", "", 0, CLEW__PERMANENT, "no_text", -1, false,
         false},
        {200, "{\"ok\":false,\"error\":\"message_not_found\"}", "", 0, CLEW__RETRY,
         "message_not_found", -1, true, false},
        {200, "{\"ok\":false,\"error\":\"cant_update_message\"}", "", 0, CLEW__RETRY,
         "cant_update_message", -1, true, false},
        {200, "{\"ok\":false,\"error\":\"edit_window_closed\"}", "", 0, CLEW__RETRY,
         "edit_window_closed", -1, true, false},
        {200, "{\"ok\":false,\"error\":\"ratelimited\"}", "7", 0, CLEW__RETRY, "ratelimited", 7,
         false, false},
        {200, "{\"ok\":false,\"error\":\"rate_limited\",\"retry_after\":4}", "", 0, CLEW__RETRY,
         "rate_limited", 4, false, false},
        {200, "{\"ok\":false,\"error\":\"message_limit_exceeded\"}", "", 0, CLEW__RETRY,
         "message_limit_exceeded", -1, false, false},
        {200, "{\"ok\":false,\"error\":\"internal_error\"}", "", 0, CLEW__RETRY, "internal_error",
         -1, false, true},
        {200, "{\"ok\":false,\"error\":\"fatal_error\"}", "", 0, CLEW__RETRY, "fatal_error", -1,
         false, true},
        {200, "{\"ok\":false,\"error\":\"service_unavailable\"}", "", 0, CLEW__RETRY,
         "service_unavailable", -1, false, true},
        {200, "{\"ok\":false,\"error\":\"request_timeout\"}", "", 0, CLEW__RETRY, "request_timeout",
         -1, false, true},
        {200, "{\"ok\":false,\"error\":\"never_heard_of\"}", "", 9, CLEW__RETRY, "never_heard_of",
         -1, false, true},
        {200, "{\"ok\":false,\"error\":\"never_heard_of\"}", "", 10, CLEW__PERMANENT,
         "never_heard_of", -1, false, true},
        {200, "{\"ok\":false,\"error\":\"<!channel> \\n\"}", "", 0, CLEW__RETRY, "not_ok", -1,
         false, true},
        {200, "{\"ok\":false}", "", 0, CLEW__RETRY, "not_ok", -1, false, true},
        {200, "<html>a proxy</html>", "", 0, CLEW__RETRY, "not_slack", -1, false, true},
        {200, "ok", "", 0, CLEW__RETRY, "not_slack", -1, false, true},
        {0, "", "", 0, CLEW__RETRY, "timeout", -1, false, true},
        {429, "", "30", 0, CLEW__RETRY, "http_429", 30, false, false},
        {429, "{\"retry_after\":3}", "soon", 0, CLEW__RETRY, "http_429", 3, false, false},
        {404, "", "", 0, CLEW__PERMANENT, "http_404", -1, false, false},
        {500, "", "", 0, CLEW__RETRY, "http_500", -1, false, true},
        {503, "", "9", 0, CLEW__RETRY, "http_503", 9, false, true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct clew__answer answer = {.status = cases[i].status,
                                            .problem = "timeout",
                                            .retry_after = cases[i].retry_after,
                                            .body = cases[i].body};
        struct clew__slack_answer read;

        clew__slack_read_answer(&answer, cases[i].attempts, &read);
        if (read.verdict.kind != cases[i].kind ||
            strcmp(read.verdict.reason, cases[i].reason) != 0 ||
            read.verdict.wait_seconds != cases[i].wait || read.gone != cases[i].gone ||
            read.unsure != cases[i].unsure)
            fail_msg("case %zu: %d %s %f %d %d", i, read.verdict.kind, read.verdict.reason,
                     read.verdict.wait_seconds, read.gone, read.unsure);
    }
}

static void test_bot_configuration(void **state)
{
    (void)state;
    use(bot_config("slack: {signing_secret: s}\n"));
    assert_string_equal(config->slack_signing_secret, "s");
    assert_true(config->receivers[0].integrations[0].send_resolved);
    assert_true(config->receivers[0].integrations[0].ops == &clew__slack_bot);
    assert_string_not_equal(config->receivers[0].integrations[0].target,
                            config->receivers[1].integrations[0].target);
}

static void test_bot_channel_has_to_be_an_id(void **state)
{
    struct clew__config *wrong = NULL;

    (void)state;
    (void)bench_write(&bench, "wrong.yml",
                      "storage: x\nroute: {receiver: a}\nreceivers:\n  - name: a\n"
                      "    slack_configs: [{bot_token: t, channel: '#alerts'}]\n");
    assert_int_equal(clew__config_load(bench_path(&bench, "wrong.yml"), NULL, &wrong), -EINVAL);
    assert_non_null(strstr(clew_last_error(), "wrong.yml:5:"));
    assert_non_null(strstr(clew_last_error(), "channel's id"));
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_bot_one_message_an_incident),
        TEST(test_bot_new_message_for_a_new_occurrence),
        TEST(test_bot_fewer_is_not_worse),
        TEST(test_bot_posts_anew_when_it_cannot_update),
        TEST(test_bot_lost_answer_makes_no_double),
        TEST(test_bot_without_history_posts_again),
        TEST(test_bot_dead_letter),
        TEST(test_bot_storm_of_429),
        TEST(test_bot_limit_outlives_a_restart),
        TEST(test_bot_configuration),
        TEST(test_bot_channel_has_to_be_an_id),
        cmocka_unit_test(test_bot_pace),
        cmocka_unit_test(test_bot_verdicts),
    };

    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
