/* SPDX-License-Identifier: Apache-2.0
 * The bot's messages stay within Slack's limits whatever the labels hold, and nothing
 * from outside is markup. */
#include "rendering.h"

#include <loki/lines.h>
#include <slack/interaction.h>
#include <slack/message.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD                                                                                    \
    "storage: x\nroute: {receiver: a}\n"                                                        \
    "links: [{text: Logs, url: 'https://logs.example/?q={{ .Labels.instance | urlquery }}'}]\n" \
    "receivers:\n  - name: a\n    slack_configs:\n      - {bot_token: t, channel: C1}\n"

static struct clew__slack_view view;

static int setup(void **state)
{
    int r = rendering_setup(state);

    view = (struct clew__slack_view){.page = &made.page,
                                     .acknowledged = "",
                                     .silenced = "",
                                     .button = "1/x",
                                     .can_acknowledge = true,
                                     .can_silence = true,
                                     .can_resolve = true};
    return r;
}

static size_t runes(const char *text)
{
    size_t n = 0;

    for (; *text; text++)
        n += ((unsigned char)*text & 0xC0) != 0x80;
    return n;
}

/* Not empty, not too long, no entity cut in two. */
static void check_text(const json_t *text, size_t max)
{
    const char *value = json_text(text, "text");

    assert_in_range(runes(value), 1, max);
    if (strcmp(json_text(text, "type"), "mrkdwn") != 0)
        return;
    for (const char *p = value; (p = strchr(p, '&')) != NULL; p++)
        assert_true(strncmp(p, "&amp;", 5) == 0 || strncmp(p, "&lt;", 4) == 0 ||
                    strncmp(p, "&gt;", 4) == 0);
}

static void check_element(const json_t *element)
{
    if (strcmp(json_text(element, "type"), "button") != 0) {
        check_text(element, 2000);
        return;
    }
    check_text(json_object_get(element, "text"), 75);
    assert_in_range(strlen(json_text(element, "action_id")), 1, 255);
    assert_true(runes(json_text(element, "url")) <= 3000);
    assert_true(runes(json_text(element, "value")) <= 2000);
    assert_true(*json_text(element, "url") || *json_text(element, "value"));
}

static void check_list(const json_t *list, size_t max)
{
    const json_t *element;
    size_t i;

    if (!list)
        return;
    assert_in_range(json_array_size(list), 1, max);
    json_array_foreach(list, i, element)
    {
        check_element(element);
    }
}

static json_t *render(void)
{
    const struct clew__slack_address address = {
        .channel = "C1", .update = "", .thread = "", .delivery = "k"};
    struct clew__buf body;
    json_t *message, *block;
    const json_t *blocks;
    char *text;
    size_t i;

    clew__buf_init(&body, 4u << 20);
    clew__slack_message(&body, config->receivers[0].integrations[0].options, config, &view,
                        &address);
    assert_false(body.failed);
    message = json_loadb(body.data, body.len, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(message);
    clew__buf_done(&body);
    assert_in_range(runes(json_text(message, "text")), 1, 4000);
    blocks = json_object_get(json_array_get(json_object_get(message, "attachments"), 0), "blocks");
    assert_in_range(json_array_size(blocks), 1, 50);
    text = json_dumps(blocks, JSON_COMPACT);
    assert_true(runes(text) <= 13200);
    free(text);
    json_array_foreach(blocks, i, block)
    {
        if (json_object_get(block, "text"))
            check_text(json_object_get(block, "text"), 3000);
        check_list(json_object_get(block, "fields"), 10);
        check_list(json_object_get(block, "elements"),
                   strcmp(json_text(block, "type"), "context") == 0 ? 10 : 25);
    }
    return message;
}

static bool says(const json_t *message, const char *what)
{
    char *text = json_dumps(message, JSON_COMPACT);
    bool found = strstr(text, what) != NULL;

    free(text);
    return found;
}

static void test_message_plain(void **state)
{
    json_t *message;

    (void)state;
    json_object_set_new(made.page.common_annotations, "summary", json_string("one is down"));
    view.acknowledged = "*Acknowledged* by alice";
    message = render();
    assert_string_equal(json_text(message, "text"), "[FIRING:1] Down");
    assert_string_equal(json_text(message, "channel"), "C1");
    assert_true(says(message, "one is down"));
    assert_true(says(message, "*Severity*\\ncritical"));
    assert_true(says(message, "*Acknowledged* by alice"));
    assert_true(says(message, "Silence 4 h"));
    assert_true(says(message, "https://runbooks.example/Down"));
    assert_true(says(message, "https://logs.example/?q=one"));
    assert_true(says(message, "\"event_payload\":{\"delivery\":\"k\"}"));
    assert_true(says(message, "\"unfurl_links\":false"));
    json_decref(message);
}

static void test_message_hostile(void **state)
{
    static const char hostile[] = "<!channel> & <https://evil.example|click>";
    json_t *message;

    (void)state;
    json_object_set_new(made.page.common_annotations, "summary", json_string(hostile));
    json_object_set_new(made.page.common_annotations, "description", json_string(hostile));
    json_object_set_new(made.page.group_labels, "alertname", json_string(hostile));
    json_object_set_new(made.alerts[0].labels, "severity", json_string(hostile));
    json_object_set_new(made.alerts[0].annotations, "summary", json_string(hostile));
    made.page.nfiring = 3;
    message = render();
    assert_false(says(message, "<!channel>"));
    assert_false(says(message, "<https"));
    json_decref(message);
}

/* Everything as long as it gets, of characters that take one to six in JSON. */
static void test_message_limits(void **state)
{
    static const char *const fillers[] = {"a", "<", "&", "\x01", "\"", "\xF0\x9F\x94\xA5", "\\"};
    char *url;

    (void)state;
    {
        char *path = big_text(1980, "u");

        url = malloc(2048);
        (void)snprintf(url, 2048, "https://runbooks.example/%s", path);
        free(path);
    }
    for (size_t i = 0; i < sizeof(fillers) / sizeof(fillers[0]); i++) {
        char *text = big_text(20000, fillers[i]);
        json_t *message;

        for (size_t k = 0; k < 3; k++) {
            static const char *const names[] = {"severity", "service", "cluster", "namespace"};

            for (size_t n = 0; n < 4; n++)
                json_object_set_new(made.alerts[k].labels, names[n], json_string(text));
            json_object_set_new(made.alerts[k].annotations, "summary", json_string(text));
            json_object_set_new(made.alerts[k].annotations, "runbook_url", json_string(url));
        }
        json_object_set_new(made.page.common_annotations, "summary", json_string(text));
        json_object_set_new(made.page.common_annotations, "description", json_string(text));
        json_object_set_new(made.page.group_labels, "alertname", json_string(text));
        made.page.nalerts = 3;
        made.page.nfiring = 10000;
        made.page.ntruncated = 77;
        view.acknowledged = view.silenced = "somebody";
        message = render();
        assert_true(says(message, "clew_acknowledge")); /* buttons are there in any case */
        assert_true(says(message, "more"));
        json_decref(message);
        free(text);
    }
    free(url);
}

static void test_message_of_nothing(void **state)
{
    json_t *message;

    (void)state;
    json_object_clear(made.page.common_labels);
    json_object_clear(made.page.group_labels);
    made.page.nalerts = 0;
    made.page.nfiring = 0;
    made.page.external_url = "";
    view.button = "";
    message = render(); /* a block is there */
    assert_string_equal(json_text(message, "text"), "[RESOLVED] alert");
    json_decref(message);
}

static void test_message_note(void **state)
{
    const struct clew__slack_address address = {
        .channel = "C1", .update = "", .thread = "1.2", .broadcast = true, .delivery = "k"};
    char *long_text = big_text(5000, "\xC3\xA4");
    struct clew__buf body;
    json_t *note;

    (void)state;
    clew__buf_init(&body, 4u << 20);
    clew__slack_note(&body, long_text, &address);
    note = json_loadb(body.data, body.len, 0, NULL);
    assert_non_null(note);
    assert_int_equal(runes(json_text(note, "text")), CLEW__SLACK_NOTE_MAX);
    assert_string_equal(json_text(note, "thread_ts"), "1.2");
    assert_true(json_is_true(json_object_get(note, "reply_broadcast")));
    json_decref(note);
    clew__buf_done(&body);
    free(long_text);
}

/* ---- Loki's lines -------------------------------------------------------- */

static void test_message_loki_lines(void **state)
{
    static const char answer[] =
        "{\"status\":\"success\",\"data\":{\"resultType\":\"streams\",\"result\":["
        "{\"stream\":{\"service_name\":\"shop\",\"request_id\":\"r-2\"},\"values\":["
        "[\"1795208358000000000\",\"plain `text` <!channel>\\nsecond\"],"
        "[\"1795208350000000000\",\"too old\"]]},"
        "{\"stream\":{},\"values\":[[\"1795208357123000000\","
        "\"{\\\"level\\\":\\\"ERROR\\\",\\\"message\\\":\\\"no money\\\","
        "\\\"request_id\\\":\\\"r-1\\\"}\"]]}]}}";
    struct clew__buf text;

    (void)state;
    clew__buf_init(&text, 1u << 20);
    assert_int_equal(clew__loki_text(&text, answer, 2), 2);
    clew__buf_addc(&text, '\0');
    assert_string_equal(text.data, "```20:59:17.123 ERROR no money  r-1\n"
                                   "20:59:18Z plain 'text' &lt;!channel&gt; second  r-2```");
    clew__buf_reset(&text);
    assert_int_equal(clew__loki_text(&text, "", 5), 0);
    assert_int_equal(clew__loki_text(&text, "{\"data\":{\"result\":[{\"values\":[1,[2]]}]}}", 5),
                     0);
    assert_int_equal(text.len, 0);
    clew__buf_done(&text);
}

static void test_message_loki_question(void **state)
{
    struct clew__buf url;

    (void)state;
    assert_true(clew__loki_asks_for_nothing("{service=\"\"} |= \"x\""));
    assert_true(clew__loki_asks_for_nothing("no selector"));
    assert_false(clew__loki_asks_for_nothing("{service=\"a\"} | x=\"\""));
    clew__buf_init(&url, 4096);
    clew__loki_url(&url, "http://loki:3100/", "{a=\"b\"}", 5, 1, 2);
    clew__buf_addc(&url, '\0');
    assert_string_equal(url.data, "http://loki:3100/loki/api/v1/query_range?direction=backward"
                                  "&limit=5&start=1&end=2&query=%7Ba%3D%22b%22%7D");
    clew__buf_reset(&url);
    clew__loki_escape(&url, "a\"} or \\\n", 9);
    clew__buf_addc(&url, '\0');
    assert_string_equal(url.data, "a\\\"} or \\\\\\x0a");
    clew__buf_done(&url);
}

int main(void)
{
#define TEST(function) \
    cmocka_unit_test_prestate_setup_teardown(function, setup, rendering_teardown, (void *)(HEAD))
    const struct CMUnitTest tests[] = {
        TEST(test_message_plain),
        TEST(test_message_hostile),
        TEST(test_message_limits),
        TEST(test_message_of_nothing),
        TEST(test_message_note),
        cmocka_unit_test(test_message_loki_lines),
        cmocka_unit_test(test_message_loki_question),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
