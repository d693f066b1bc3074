/* SPDX-License-Identifier: Apache-2.0
 * Clicks in Slack: who may say so, what is read of them, and what comes of it, with a
 * workspace, a PagerDuty and an Alertmanager on the far side. */
#include "pages.h"
#include "workspace.h"

#include <common/digest.h>
#include <common/instant.h>
#include <delivery/delivery.h>
#include <intake/intake.h>
#include <slack/interaction.h>

#include <clew/log.h>

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECRET "the-signing-SECRET"

static struct bench bench;
static struct far far;
static struct workspace workspace;
static struct clew__config *config;
static struct clew__store *store;
static struct clew__senders *senders;
static struct clew__intake *intake;

static const char *click_config(const char *extra)
{
    static char text[4096];

    (void)snprintf(
        text, sizeof(text),
        "listen: 127.0.0.1:0\n"
        "storage: unused\n"
        "slack: {signing_secret: " SECRET "}\n"
        "alertmanagers:\n"
        "  - {url: 'http://127.0.0.1:1'}\n" /* nobody there: the next one is asked */
        "  - {url: 'http://127.0.0.1:%u/am/', authorization: {credentials: amtoken}}\n"
        "%s"
        "route: {receiver: a}\n"
        "receivers:\n"
        "  - name: a\n"
        "    slack_configs:\n"
        "      - {api_url: 'http://127.0.0.1:%u/api', bot_token: '" BOT_TOKEN "', channel: C1}\n"
        "    pagerduty_configs:\n"
        "      - {routing_key: '" ROUTING_KEY "', url: 'http://127.0.0.1:%u/v2/enqueue'}\n",
        far.port, extra, far.port, far.port);
    return text;
}

static void start(const char *extra)
{
    config = load_config(&bench, click_config(extra));
    store = open_store(&bench);
    assert_int_equal(clew__senders_start(config, store, &senders), 0);
    assert_int_equal(clew__intake_start(config, store, senders, &intake), 0);
}

static int setup(void **state)
{
    (void)state;
    bench_init(&bench);
    far_start(&far);
    workspace_init(&workspace, &far);
    start("");
    return 0;
}

static void stop(void)
{
    int64_t deadline = clew__instant_now() + 5 * CLEW__SECOND_NS;

    intake = clew__intake_stop(intake, deadline);
    senders = clew__senders_stop(senders, deadline);
    store = clew__store_close(store);
    config = clew__config_free(config);
}

static int teardown(void **state)
{
    (void)state;
    stop();
    far_stop(&far);
    workspace_done(&workspace);
    bench_done(&bench);
    return 0;
}

static void fire(const struct made_alert *alerts, size_t n)
{
    char *body = make_body("g", "http://am.example", 0, alerts, n);

    assert_int_equal(
        post(clew__intake_port(intake), "/api/v1/alertmanager", body, strlen(body), NULL), 200);
    assert_int_equal(get(clew__intake_port(intake), "/api/v1/alerts", NULL),
                     200); /* it is in the store */
    free(body);
}

#define FIRING(i)                                            \
    {                                                        \
        "A", "critical", "firing", "2026-01-01T00:00:00Z", i \
    }

/* ---- the form ---------------------------------------------------------- */

static void add_percent(struct clew__buf *form, const char *text)
{
    for (; *text; text++)
        clew__buf_addf(form, "%%%02x", (unsigned char)*text);
}

/* payload=…, with the value of a button. */
static char *make_form(const char *action, const char *value, const char *ts)
{
    json_t *payload = json_pack("{s:s, s:{s:s, s:s}, s:{s:s}, s:[{s:s, s:s, s:s, s:s}], s:s}",
                                "type", "block_actions", "user", "id", "U123", "username", "alice",
                                "channel", "id", "C1", "actions", "type", "button", "action_id",
                                action, "value", value, "action_ts", ts, "trigger_id", "1.2.3");
    char *json = json_dumps(payload, JSON_COMPACT), *form;
    struct clew__buf text;
    size_t len;

    clew__buf_init(&text, 1u << 20);
    clew__buf_adds(&text, "payload=");
    add_percent(&text, json);
    form = clew__buf_take(&text, &len);
    free(json);
    json_decref(payload);
    return form;
}

struct header_list {
    char timestamp[64], signature[128];
};

static void sign(const char *secret, int64_t seconds, const char *body, struct header_list *out)
{
    char prefix[32], hex[CLEW__DIGEST_TEXT];

    (void)snprintf(prefix, sizeof(prefix), "v0:%lld", (long long)seconds);
    clew__sign(secret, prefix, body, strlen(body), hex);
    (void)snprintf(out->timestamp, sizeof(out->timestamp), "X-Slack-Request-Timestamp: %lld",
                   (long long)seconds);
    (void)snprintf(out->signature, sizeof(out->signature), "X-Slack-Signature: v0=%s", hex);
}

static size_t drop(char *data, size_t size, size_t n, void *arg)
{
    (void)data, (void)arg;
    return size * n;
}

static unsigned send_form(const char *form, const struct header_list *signed_by)
{
    struct curl_slist *headers =
        curl_slist_append(NULL, "Content-Type: application/x-www-form-urlencoded");
    CURL *easy = curl_easy_init();
    char url[128];
    long status = 0;

    if (signed_by) {
        headers = curl_slist_append(headers, signed_by->timestamp);
        headers = curl_slist_append(headers, signed_by->signature);
    }
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/slack/interactions",
                   clew__intake_port(intake));
    (void)curl_easy_setopt(easy, CURLOPT_URL, url);
    (void)curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    (void)curl_easy_setopt(easy, CURLOPT_POSTFIELDS, form);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, drop);
    assert_int_equal(curl_easy_perform(easy), CURLE_OK);
    (void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(easy);
    curl_slist_free_all(headers);
    return (unsigned)status;
}

static unsigned click(const char *action, const char *value, const char *ts)
{
    struct header_list signed_by;
    char *form = make_form(action, value, ts);
    unsigned status;

    sign(SECRET, clew__instant_now() / CLEW__SECOND_NS, form, &signed_by);
    status = send_form(form, &signed_by);
    free(form);
    return status;
}

static const struct workspace_message *root(void)
{
    const struct workspace_message *message = workspace_get(&workspace, "C1", false, 0);

    assert_non_null(message);
    return message;
}

/* The button's value; "" when the message does not have it. */
static const char *button(const char *action)
{
    const json_t *attachments = json_object_get(root()->body, "attachments");
    const json_t *blocks = json_object_get(json_array_get(attachments, 0), "blocks");
    const json_t *block, *element;
    size_t i, j;

    json_array_foreach(blocks, i, block)
    {
        if (strcmp(json_string_value(json_object_get(block, "type")), "actions") != 0)
            continue;
        json_array_foreach(json_object_get(block, "elements"), j, element)
        {
            if (strcmp(json_string_value(json_object_get(element, "action_id")), action) == 0)
                return json_string_value(json_object_get(element, "value"));
        }
    }
    return "";
}

static bool root_says(const char *what)
{
    char *text = workspace_dump(root());
    bool says = strstr(text, what) != NULL;

    free(text);
    return says;
}

static bool thread_says(const char *what)
{
    const struct workspace_message *message;

    for (size_t i = 0; (message = workspace_get(&workspace, "C1", true, i)) != NULL; i++)
        if (strstr(workspace_text(message), what))
            return true;
    return false;
}

static char *explain(unsigned number)
{
    char fingerprint[17], *text;
    struct clew__buf json;
    struct clew__explain work = {.fingerprint = fingerprint, .json = &json};
    size_t len;

    (void)snprintf(fingerprint, sizeof(fingerprint), "%016x", number);
    clew__buf_init(&json, 1u << 20);
    assert_int_equal(clew__store_read(store, clew__store_explain, &work), 0);
    text = clew__buf_take(&json, &len);
    assert_non_null(text);
    return text;
}

static unsigned count_events(const char *action)
{
    unsigned n = 0;

    (void)pthread_mutex_lock(&far.lock);
    for (size_t i = 0; i < far.n; i++) {
        const char *event =
            json_string_value(json_object_get(far.requests[i].body, "event_action"));

        n += event && strcmp(event, action) == 0;
    }
    (void)pthread_mutex_unlock(&far.lock);
    return n;
}

static const struct far_request *silence_request(size_t which)
{
    for (size_t i = 0; i < far.n; i++)
        if (strcmp(far.requests[i].path, "/am/api/v2/silences") == 0 && which-- == 0)
            return &far.requests[i];
    return NULL;
}

/* ---- acknowledge and resolve ------------------------------------------- */

static void test_click_acknowledges(void **state)
{
    const struct made_alert one[] = {FIRING(1)};
    char value[128], *text;

    (void)state;
    fire(one, 1);
    wait_for_queue(store, 0);
    (void)snprintf(value, sizeof(value), "%s", button("clew_acknowledge"));
    assert_string_not_equal(value, "");
    assert_string_not_equal(button("clew_resolve"), "");
    assert_int_equal(click("clew_acknowledge", value, "1.1"), 200);
    wait_for_queue(store, 0);
    assert_int_equal(click("clew_acknowledge", value, "1.1"), 200); /* Slack says it again */
    wait_for_queue(store, 0);
    assert_int_equal(count_events("acknowledge"), 1);
    assert_true(root_says("*Acknowledged* by alice (Slack U123)"));
    assert_string_equal(button("clew_acknowledge"), "");
    assert_true(thread_says("alice (Slack U123)"));
    assert_int_equal(workspace_count(&workspace, "C1", true), 1);
    text = explain(1);
    assert_non_null(strstr(text, "acknowledged by alice (Slack U123)"));
    free(text);
}

static void test_click_resolves_in_pagerduty(void **state)
{
    const struct made_alert one[] = {FIRING(1)};
    char value[128], *text;

    (void)state;
    fire(one, 1);
    wait_for_queue(store, 0);
    (void)snprintf(value, sizeof(value), "%s", button("clew_resolve"));
    assert_int_equal(click("clew_resolve", value, "1.1"), 200);
    wait_for_queue(store, 0);
    assert_int_equal(count_events("resolve"), 1);
    assert_int_equal(far_pager(&far).open, 0);
    assert_string_equal(button("clew_resolve"), ""); /* it is not open there any more */
    assert_true(thread_says("resolved by alice (Slack U123)"));
    text = explain(1);
    assert_non_null(strstr(text, "resolved by hand"));
    free(text);
}

/* Somebody acknowledged at PagerDuty. */
static void test_click_of_others_shows(void **state)
{
    const struct made_alert two[] = {FIRING(1), FIRING(2)};
    struct clew__by_hand hand = {.fingerprint = "0000000000000001",
                                 .actor = "PagerDuty: Bob <!channel>",
                                 .via = "pagerduty"};

    (void)state;
    fire(two, 2);
    wait_for_queue(store, 0);
    hand.now = clew__instant_now();
    assert_int_equal(clew__store_write(store, clew__store_acknowledge, &hand), 0);
    clew__senders_wake(senders);
    wait_for_queue(store, 0);
    assert_true(root_says("*Acknowledged* by PagerDuty: Bob &lt;!channel&gt; (1 of 2 alerts)"));
    assert_false(root_says("<!channel>"));
    assert_true(thread_says("&lt;!channel&gt;"));
    assert_false(thread_says("<!channel>"));
}

/* ---- silences ---------------------------------------------------------- */

static const char *silence_answer = "{\"silenceID\":\"8c6b4d0f\"}";
static unsigned silence_failures;

static unsigned decide_all(struct far *self, const struct far_request *request, const char **text,
                           const char **retry_after)
{
    if (strcmp(request->path, "/am/api/v2/silences") != 0)
        return workspace_decide(self, request, text, retry_after);
    if (silence_failures) {
        silence_failures--;
        return 503;
    }
    *text = silence_answer;
    return *silence_answer == '{' ? 200 : 400;
}

static void with_alertmanager(const char *answer, unsigned failures)
{
    (void)pthread_mutex_lock(&far.lock);
    silence_answer = answer;
    silence_failures = failures;
    far.decide = decide_all;
    (void)pthread_mutex_unlock(&far.lock);
}

static const char *matcher(const json_t *silence, const char *name)
{
    const json_t *one;
    size_t i;

    json_array_foreach(json_object_get(silence, "matchers"), i, one)
    {
        assert_true(json_is_true(json_object_get(one, "isEqual")));
        assert_true(json_is_false(json_object_get(one, "isRegex")));
        if (strcmp(json_string_value(json_object_get(one, "name")), name) == 0)
            return json_string_value(json_object_get(one, "value"));
    }
    return "";
}

static void test_click_silences_one_alert(void **state)
{
    const struct made_alert one[] = {FIRING(1)};
    const struct far_request *request;
    int64_t from = 0, until = 0;
    char value[128], *text;

    (void)state;
    with_alertmanager("{\"silenceID\":\"8c6b4d0f\"}", 1); /* after one 503 */
    fire(one, 1);
    wait_for_queue(store, 0);
    (void)snprintf(value, sizeof(value), "%s", button("clew_silence_1h"));
    assert_int_equal(click("clew_silence_1h", value, "1.1"), 200);
    assert_int_equal(click("clew_silence_1h", value, "1.1"), 200);
    wait_for_queue(store, 0);
    assert_null(silence_request(2)); /* the 503 and the yes */
    request = silence_request(1);
    assert_non_null(request);
    assert_string_equal(matcher(request->body, "alertname"), "A");
    assert_string_equal(matcher(request->body, "instance"), "host-1");
    assert_string_equal(json_string_value(json_object_get(request->body, "createdBy")),
                        "alice (Slack U123)");
    assert_string_equal(json_string_value(json_object_get(request->headers, "Authorization")),
                        "Bearer amtoken");
    assert_true(
        clew__instant_parse(json_string_value(json_object_get(request->body, "startsAt")), &from));
    assert_true(
        clew__instant_parse(json_string_value(json_object_get(request->body, "endsAt")), &until));
    assert_in_range((until - from) / CLEW__SECOND_NS, 3590, 3600);
    assert_true(root_says("*Silenced* until <!date^"));
    assert_true(thread_says("by alice (Slack U123)"));
    text = explain(1);
    assert_non_null(strstr(text, "silence asked for"));
    assert_non_null(strstr(text, "\"silenced\""));
    free(text);
}

static void test_click_silences_a_group(void **state)
{
    const struct made_alert two[] = {FIRING(1), FIRING(2)};
    char value[128];

    (void)state;
    with_alertmanager("{\"silenceID\":\"8c6b4d0f\"}", 0);
    fire(two, 2);
    wait_for_queue(store, 0);
    (void)snprintf(value, sizeof(value), "%s", button("clew_silence_4h"));
    assert_int_equal(click("clew_silence_4h", value, "1.1"), 200);
    wait_for_queue(store, 0);
    assert_non_null(silence_request(0));
    assert_string_equal(matcher(silence_request(0)->body, "alertname"), "A");
    assert_string_equal(matcher(silence_request(0)->body, "instance"), "");
}

static void test_click_silence_refused(void **state)
{
    const struct made_alert one[] = {FIRING(1)};
    char value[128];

    (void)state;
    with_alertmanager("\"bad matcher <!here>\"", 0);
    fire(one, 1);
    wait_for_queue(store, 0);
    (void)snprintf(value, sizeof(value), "%s", button("clew_silence_1h"));
    assert_int_equal(click("clew_silence_1h", value, "1.1"), 200);
    wait_for_queue(store, 0);
    assert_true(thread_says("not silenced, as alice (Slack U123) asked"));
    assert_true(thread_says("bad matcher &lt;!here&gt;"));
    assert_false(root_says("*Silenced*"));
}

/* ---- proof -------------------------------------------------------------- */

static void test_click_needs_its_signature(void **state)
{
    int64_t now = clew__instant_now() / CLEW__SECOND_NS;
    char *form = make_form("clew_acknowledge", "1/x", "1.1");
    struct header_list by;
    char *large = big_text(CLEW__SLACK_INTERACTION_MAX + 1, "a");

    (void)state;
    assert_int_equal(send_form(form, NULL), 401);
    sign("another secret", now, form, &by);
    assert_int_equal(send_form(form, &by), 401);
    sign(SECRET, now - 301, form, &by);
    assert_int_equal(send_form(form, &by), 401);
    sign(SECRET, now + 310, form, &by);
    assert_int_equal(send_form(form, &by), 401);
    sign(SECRET, now, "payload={}", &by);
    assert_int_equal(send_form(form, &by), 401);
    sign(SECRET, now, form, &by);
    assert_int_equal(send_form(form, &by), 400); /* it is Slack's, but no button of ours */
    sign(SECRET, now, large, &by);
    assert_int_equal(send_form(large, &by), 413);
    free(large);
    free(form);
}

static void test_click_of_a_link_or_a_stranger(void **state)
{
    char unknown[128];

    (void)state;
    (void)snprintf(unknown, sizeof(unknown), "77/%064d", 0);
    assert_int_equal(click("clew_link_0", "", "1.1"), 200);
    assert_int_equal(click("somebody_else", "x", "1.1"), 200);
    assert_int_equal(click("clew_acknowledge", unknown, "1.1"), 200);
    assert_int_equal(click("clew_acknowledge", "77/abc", "1.1"), 400);
    assert_int_equal(click("clew_acknowledge", unknown, "now"), 400);
}

static void test_click_without_secret_there_is_no_such_path(void **state)
{
    char *form = make_form("clew_acknowledge", "1/x", "1.1");

    (void)state;
    (void)clew__config_free(config);
    {
        static char text[4096];
        char *secret;

        (void)snprintf(text, sizeof(text), "%s", click_config(""));
        secret = strstr(text, SECRET);
        memset(secret, ' ', strlen(SECRET));
        memcpy(secret, "\'\'", 2);
        config = load_config(&bench, text);
    }
    clew__intake_use(intake, config, senders);
    assert_int_equal(send_form(form, NULL), 404);
    free(form);
}

static void test_click_forms(void **state)
{
    static const struct {
        const char *form;
        int result;
    } cases[] = {
        {"", -EINVAL},
        {"payload", -EINVAL},
        {"payload=", -EINVAL},
        {"payload=%7", -EINVAL},
        {"payload=%zz", -EINVAL},
        {"payload=%00", -EINVAL},
        {"payload=%7B%7D&payload=%7B%7D", -EINVAL},
        {"payload=[]", -EINVAL},
        {"payload=%7b%22a%22:1,%22a%22:2%7d", -EINVAL},
        {"payload=%7B%7D", 0},
        {"a=1&payload=%7B%7d&b", 0},
        {"payload={\"type\":\"block_actions\",\"actions\":[]}", 0},
        {"payload={\"type\":\"block_actions\",\"actions\":[{\"action_id\":\"x\"}]}", 0},
        {"payload={\"type\":\"view_submission\"}", 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct clew__slack_click read;
        int r = clew__slack_read_click(cases[i].form, strlen(cases[i].form), &read);

        if (r != cases[i].result || read.kind != CLEW__SLACK_CLICK_NONE)
            fail_msg("case %zu: %d", i, r);
    }
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_click_acknowledges),
        TEST(test_click_resolves_in_pagerduty),
        TEST(test_click_of_others_shows),
        TEST(test_click_silences_one_alert),
        TEST(test_click_silences_a_group),
        TEST(test_click_silence_refused),
        TEST(test_click_needs_its_signature),
        TEST(test_click_of_a_link_or_a_stranger),
        TEST(test_click_without_secret_there_is_no_such_path),
        cmocka_unit_test(test_click_forms),
    };

    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
