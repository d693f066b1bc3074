/* SPDX-License-Identifier: Apache-2.0 */
#include "rendering.h"

#include <common/instant.h>

#include <json.h>

#include <stdlib.h>
#include <string.h>

#define HEAD                                                                                    \
    "storage: x\nroute: {receiver: a}\n"                                                        \
    "links: [{text: Logs, url: 'https://logs.example/?q={{ .Labels.instance | urlquery }}'}]\n" \
    "receivers:\n  - name: a\n    slack_configs:\n      - api_url: "                            \
    "'https://hooks.example/SECRET'\n"

static json_t *attachment(json_t *message)
{
    json_t *attachments = json_object_get(message, "attachments");

    assert_int_equal(json_array_size(attachments), 1);
    return json_array_get(attachments, 0);
}

static const char *text_of(json_t *message, const char *key)
{
    return json_string_value(json_object_get(attachment(message), key));
}

static const char *field(json_t *message, const char *title)
{
    size_t i;
    json_t *one;

    json_array_foreach(json_object_get(attachment(message), "fields"), i, one)
    {
        if (strcmp(json_string_value(json_object_get(one, "title")), title) == 0)
            return json_string_value(json_object_get(one, "value"));
    }
    return "";
}

static void test_slack_one_alert(void **state)
{
    json_t *message, *actions;

    (void)state;
    json_object_set_new(made.page.common_annotations, "summary", json_string("one is down"));
    message = page_render(config, &made.page);
    assert_null(json_object_get(message, "channel"));
    assert_string_equal(text_of(message, "color"), "danger");
    assert_string_equal(text_of(message, "title"), "[FIRING:1] Down");
    assert_string_equal(text_of(message, "fallback"), "[FIRING:1] Down");
    assert_string_equal(text_of(message, "text"), "one is down");
    assert_string_equal(text_of(message, "title_link"), "https://runbooks.example/Down");
    assert_string_equal(field(message, "Severity"), "critical");
    actions = json_object_get(attachment(message), "actions");
    assert_int_equal(json_array_size(actions), 4);
    assert_string_equal(json_string_value(json_object_get(json_array_get(actions, 1), "url")),
                        "https://logs.example/?q=one");
    json_decref(message);
}

static void test_slack_group_names_what_changed(void **state)
{
    json_t *message;

    (void)state;
    made.page.nalerts = 3;
    made.alerts[2].firing = false;
    made.page.nfired = 2;
    made.page.nresolved = 1;
    made.page.nfiring = 7;
    made.page.ntruncated = 3;
    message = page_render(config, &made.page);
    assert_string_equal(text_of(message, "title"), "[FIRING:7] Down");
    assert_string_equal(text_of(message, "text"),
                        "*Firing (2)*\n\xE2\x80\xA2 one is down\n\xE2\x80\xA2 two is down\n"
                        "*Resolved (1)*\n\xE2\x80\xA2 two is down\n"
                        "_Alertmanager left out 3 more alerts_");
    assert_string_equal(field(message, "Firing now"), "7");
    assert_string_equal(field(message, "Resolved"), "1");
    json_decref(message);
}

static void test_slack_colours(void **state)
{
    static const struct {
        const char *severity;
        unsigned nfiring;
        const char *colour;
    } cases[] = {{"critical", 1, "danger"}, {"warning", 1, "warning"}, {"info", 1, "#439FE0"},
                 {"none", 1, "#439FE0"},    {"weird", 1, "danger"},    {"critical", 0, "good"}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        json_t *message;

        json_object_set_new(made.alerts[0].labels, "severity", json_string(cases[i].severity));
        made.page.nfiring = cases[i].nfiring;
        message = page_render(config, &made.page);
        assert_string_equal(text_of(message, "color"), cases[i].colour);
        json_decref(message);
    }
}

static void test_slack_escapes_what_comes_from_outside(void **state)
{
    static const char hostile[] = "<!channel> & <https://evil.example|click>";
    json_t *message;
    char *all;

    (void)state;
    rendering_use(HEAD "        title: '<!here> {{ .CommonLabels.x }}'\n"
                       "        text: '{{ .CommonAnnotations.summary }}'\n");
    json_object_set_new(made.page.common_labels, "x", json_string(hostile));
    json_object_set_new(made.page.common_annotations, "summary", json_string(hostile));
    json_object_set_new(made.alerts[0].annotations, "summary", json_string(hostile));
    json_object_set_new(made.alerts[0].annotations, "runbook_url",
                        json_string("https://evil.example/<!channel>"));
    json_object_set_new(made.alerts[0].labels, "severity", json_string(hostile));
    json_object_set_new(made.page.group_labels, "alertname", json_string(hostile));
    made.page.nresolved = 1; /* the lists too */
    message = page_render(config, &made.page);
    assert_string_equal(text_of(message, "title"),
                        "<!here> &lt;!channel&gt; &amp; &lt;https://evil.example|click&gt;");
    all = json_dumps(message, JSON_COMPACT);
    assert_null(strstr(all, "<!channel>"));
    assert_null(strstr(all, "<https"));
    assert_null(strstr(all, "SECRET"));
    free(all);
    json_decref(message);
}

static size_t runes(const char *text)
{
    size_t n = 0;

    for (; *text; text++)
        n += ((unsigned char)*text & 0xC0) != 0x80;
    return n;
}

static void test_slack_limits(void **state)
{
    struct clew__buf big;
    char *text;
    size_t len;
    json_t *message, *action;

    (void)state;
    clew__buf_init(&big, 1u << 20);
    for (unsigned i = 0; i < 20000; i++)
        clew__buf_adds(&big, i % 2 ? "\xF0\x9F\x94\xA5" : "<");
    text = clew__buf_take(&big, &len);
    json_object_set_new(made.page.common_annotations, "summary", json_string(text));
    json_object_set_new(made.page.common_annotations, "description", json_string(text));
    json_object_set_new(made.page.group_labels, "alertname", json_string(text));
    json_object_set_new(made.alerts[0].annotations, "summary", json_string(text));
    json_object_set_new(made.alerts[0].labels, "severity", json_string(text));
    made.page.nfired = 12345;
    message = page_render(config, &made.page);
    assert_in_range(runes(text_of(message, "title")), 996, 1000);
    assert_true(runes(text_of(message, "text")) <= 3000);
    assert_in_range(runes(field(message, "Severity")), 496, 500);
    assert_non_null(strstr(text_of(message, "text"), "and 12344 more"));
    /* every entity is whole */
    for (const char *p = text_of(message, "text"); (p = strchr(p, '&')) != NULL; p++)
        assert_memory_equal(p, "&lt;", 4);
    action = json_array_get(json_object_get(attachment(message), "actions"), 0);
    assert_non_null(action);
    free(text);
    json_decref(message);
}

static void test_slack_channel(void **state)
{
    json_t *message;

    (void)state;
    rendering_use(HEAD "        channel: '#alerts'\n");
    message = page_render(config, &made.page);
    assert_string_equal(json_string_value(json_object_get(message, "channel")), "#alerts");
    json_decref(message);
}

static void test_slack_verdicts(void **state)
{
    static const struct {
        unsigned status;
        const char *body, *retry_after;
        enum clew__verdict_kind kind;
        const char *reason;
        double wait;
    } cases[] = {
        {200, "ok", "", CLEW__DONE, "http_200", -1},
        {200, "{\"ok\":true}", "", CLEW__DONE, "http_200", -1},
        {200, "{\"ok\":false,\"error\":\"x\"}", "", CLEW__PERMANENT, "not_ok", -1},
        {0, "", "", CLEW__RETRY, "timeout", -1},
        {301, "", "", CLEW__PERMANENT, "http_301", -1},
        {302, "", "", CLEW__PERMANENT, "http_302", -1},
        {400, "invalid_payload", "", CLEW__PERMANENT, "invalid_payload", -1},
        {400, "no_text", "", CLEW__PERMANENT, "no_text", -1},
        {400, "<something else>", "", CLEW__PERMANENT, "http_400", -1},
        {403, "action_prohibited", "", CLEW__PERMANENT, "action_prohibited", -1},
        {403, "invalid_token", "", CLEW__PERMANENT, "invalid_token", -1},
        {404, "channel_not_found", "", CLEW__PERMANENT, "channel_not_found", -1},
        {404, "no_service", "", CLEW__PERMANENT, "no_service", -1},
        {408, "", "", CLEW__RETRY, "http_408", -1},
        {410, "channel_is_archived", "", CLEW__PERMANENT, "channel_is_archived", -1},
        {413, "", "", CLEW__PERMANENT, "http_413", -1},
        {429, "", "7", CLEW__RETRY, "http_429", 7},
        {429, "{\"retry_after\":3,\"ok\":false,\"error\":\"rate_limited\"}", "", CLEW__RETRY,
         "http_429", 3},
        {429, "{\"retry_after\":3}", "9", CLEW__RETRY, "http_429", 9},
        {429, "rate limited", "soon", CLEW__RETRY, "http_429", -1},
        {429, "{\"retry_after\":-3}", "-1", CLEW__RETRY, "http_429", -1},
        {429, "", "Fri, 20 Nov 2026 21:00:17 GMT", CLEW__RETRY, "http_429", 60},
        {429, "", "Fri, 20 Nov 2020 21:00:17 GMT", CLEW__RETRY, "http_429", 0},
        {429, "", "99999999999999999999", CLEW__RETRY, "http_429", 1e9},
        {500, "rollup_error", "", CLEW__RETRY, "http_500", -1},
        {503, "", "2", CLEW__RETRY, "http_503", 2},
        {599, "", "", CLEW__RETRY, "http_599", -1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct clew__answer answer = {.status = cases[i].status,
                                            .problem = "timeout",
                                            .retry_after = cases[i].retry_after,
                                            .body = cases[i].body,
                                            .now = 1795208357 * CLEW__SECOND_NS};
        struct clew__verdict verdict = clew__slack.verdict(&answer);

        if (verdict.kind != cases[i].kind || strcmp(verdict.reason, cases[i].reason) != 0 ||
            verdict.wait_seconds != cases[i].wait)
            fail_msg("case %zu: %d %s %f", i, verdict.kind, verdict.reason, verdict.wait_seconds);
    }
}

/* Every status there is has one verdict, for both kinds. */
static void test_verdict_of_every_status(void **state)
{
    (void)state;
    for (unsigned status = 100; status < 600; status++) {
        const struct clew__answer answer = {
            .status = status, .problem = "", .retry_after = "", .body = ""};
        enum clew__verdict_kind wanted =
            status >= 200 && status < 300                                      ? CLEW__DONE
            : status >= 500 || status == 408 || status == 425 || status == 429 ? CLEW__RETRY
                                                                               : CLEW__PERMANENT;

        assert_int_equal(clew__slack.verdict(&answer).kind, wanted);
        assert_int_equal(clew__pagerduty.verdict(&answer).kind, wanted);
    }
}

int main(void)
{
#define TEST(function)                                                                      \
    cmocka_unit_test_prestate_setup_teardown(function, rendering_setup, rendering_teardown, \
                                             (void *)(HEAD))
    const struct CMUnitTest tests[] = {
        TEST(test_slack_one_alert),
        TEST(test_slack_group_names_what_changed),
        TEST(test_slack_colours),
        TEST(test_slack_escapes_what_comes_from_outside),
        TEST(test_slack_limits),
        TEST(test_slack_channel),
        cmocka_unit_test(test_slack_verdicts),
        cmocka_unit_test(test_verdict_of_every_status),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
