/* SPDX-License-Identifier: Apache-2.0 */
#include "rendering.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD                                                                                    \
    "storage: x\nroute: {receiver: a}\n"                                                        \
    "links: [{text: Logs, url: 'https://logs.example/?q={{ .Labels.instance | urlquery }}'}]\n" \
    "receivers:\n  - name: a\n    msteamsv2_configs:\n      - webhook_url: "                    \
    "'https://flow.example/SECRET'\n"

static json_t *card_of(json_t *message)
{
    json_t *attachment = json_array_get(json_object_get(message, "attachments"), 0);

    assert_string_equal(json_text(message, "type"), "message");
    assert_string_equal(json_text(attachment, "contentType"),
                        "application/vnd.microsoft.card.adaptive");
    return json_object_get(attachment, "content");
}

static json_t *block(json_t *message, size_t i)
{
    return json_array_get(json_object_get(card_of(message), "body"), i);
}

static const char *fact(json_t *message, const char *title)
{
    json_t *body = json_object_get(card_of(message), "body"), *one;
    json_t *set = json_array_get(body, json_array_size(body) - 1);
    size_t i;

    assert_string_equal(json_text(set, "type"), "FactSet");
    json_array_foreach(json_object_get(set, "facts"), i, one)
    {
        if (strcmp(json_text(one, "title"), title) == 0)
            return json_text(one, "value");
    }
    return "";
}

static void test_teams_one_alert(void **state)
{
    json_t *message, *actions;

    (void)state;
    json_object_set_new(made.page.common_annotations, "summary", json_string("one is down"));
    message = page_render(config, &made.page);
    assert_string_equal(json_text(card_of(message), "type"), "AdaptiveCard");
    assert_string_equal(json_text(card_of(message), "version"), "1.4");
    assert_string_equal(json_text(block(message, 0), "text"), "[FIRING:1] Down");
    assert_string_equal(json_text(block(message, 0), "color"), "Attention");
    assert_string_equal(json_text(block(message, 1), "text"), "one is down");
    assert_string_equal(fact(message, "Severity"), "critical");
    assert_string_equal(fact(message, "Firing now"), "1");
    actions = json_object_get(card_of(message), "actions");
    assert_int_equal(json_array_size(actions), 4);
    assert_string_equal(json_text(json_array_get(actions, 0), "type"), "Action.OpenUrl");
    assert_string_equal(json_text(json_array_get(actions, 0), "url"),
                        "https://runbooks.example/Down");
    assert_string_equal(json_text(json_array_get(actions, 1), "url"),
                        "https://logs.example/?q=one");
    json_decref(message);
}

static void test_teams_group_names_what_changed(void **state)
{
    static const char *const wanted[] = {
        "[FIRING:7] Down",          "Firing (2)",    "\xE2\x80\xA2 one is down",
        "\xE2\x80\xA2 two is down", "Resolved (12)", "\xE2\x80\xA2 two is down",
        "\xE2\x80\xA2 and 11 more"};
    json_t *message;

    (void)state;
    made.page.nalerts = 3;
    made.alerts[2].firing = false;
    made.page.nfired = 2;
    made.page.nresolved = 12;
    made.page.nfiring = 7;
    message = page_render(config, &made.page);
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
        assert_string_equal(json_text(block(message, i), "text"), wanted[i]);
    assert_string_equal(fact(message, "Resolved"), "12");
    json_decref(message);
}

static void test_teams_escapes_what_comes_from_outside(void **state)
{
    static const char hostile[] = "[click](https://evil.example) **x** `y` <at>all</at>\n# z";
    json_t *message;
    char *all;

    (void)state;
    rendering_use(HEAD "        title: '**{{ .CommonLabels.x }}**'\n"
                       "        text: '{{ .CommonAnnotations.summary }}'\n");
    json_object_set_new(made.page.common_labels, "x", json_string("a*b"));
    json_object_set_new(made.page.common_annotations, "summary", json_string(hostile));
    json_object_set_new(made.alerts[0].annotations, "summary", json_string(hostile));
    json_object_set_new(made.alerts[0].labels, "severity", json_string(hostile));
    made.page.nresolved = 1; /* the lists too */
    message = page_render(config, &made.page);
    assert_string_equal(json_text(block(message, 0), "text"), "**a\\*b**");
    assert_string_equal(json_text(block(message, 1), "text"),
                        "\\[click\\](https://evil.example) \\*\\*x\\*\\* \\`y\\` "
                        "\\<at>all\\</at> # z");
    all = json_dumps(message, JSON_COMPACT);
    assert_null(strstr(all, "**x"));
    assert_null(strstr(all, "SECRET"));
    for (const char *p = all; (p = strstr(p, "](")) != NULL; p++)
        assert_int_equal(p[-1], '\\');
    free(all);
    json_decref(message);
}

/* The worst that a text can become in JSON, everywhere at once. */
static void test_teams_fits_into_28_kb(void **state)
{
    static const char *const of[] = {"\xF0\x9F\x94\xA5", "\"", "\\", "[", "x"};
    struct clew__buf url;

    (void)state;
    clew__buf_init(&url, 4096);
    clew__buf_adds(&url, "https://runbooks.example/");
    while (url.len < 2040)
        clew__buf_addc(&url, 'u');
    clew__buf_addc(&url, '\0');
    made.page.nalerts = 3;
    made.page.nfired = 12345;
    for (size_t i = 0; i < sizeof(of) / sizeof(of[0]); i++) {
        char *big = big_text(50000, of[i]);
        json_t *message;
        char *text;
        size_t len;

        json_object_set_new(made.page.common_annotations, "summary", json_string(big));
        json_object_set_new(made.page.common_annotations, "description", json_string(big));
        json_object_set_new(made.page.group_labels, "alertname", json_string(big));
        for (size_t j = 0; j < 3; j++) {
            json_object_set_new(made.alerts[j].annotations, "summary", json_string(big));
            json_object_set_new(made.alerts[j].annotations, "runbook_url", json_string(url.data));
            json_object_set_new(made.alerts[j].labels, "severity", json_string(big));
            json_object_set_new(made.alerts[j].labels, "service", json_string(big));
            json_object_set_new(made.alerts[j].labels, "cluster", json_string(big));
            json_object_set_new(made.alerts[j].labels, "namespace", json_string(big));
        }
        text = page_text(config, &made.page, &len);
        assert_in_range(len, 8000, 28000);
        message = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
        assert_non_null(message);
        assert_true(strlen(json_text(block(message, 0), "text")) > 60);
        assert_true(*fact(message, "Severity"));
        json_decref(message);
        free(text);
        free(big);
    }
    clew__buf_done(&url);
}

static void test_teams_verdicts(void **state)
{
    struct clew__answer answer = {.status = 202, .problem = "", .retry_after = "", .body = ""};
    struct clew__verdict verdict = clew__teams.verdict(&answer);

    (void)state;
    assert_int_equal(verdict.kind, CLEW__DONE);
    answer.status = 429;
    answer.retry_after = "17";
    verdict = clew__teams.verdict(&answer);
    assert_int_equal(verdict.kind, CLEW__RETRY);
    assert_true(verdict.wait_seconds == 17 && verdict.wait_all);
    answer.status = 400;
    assert_int_equal(clew__teams.verdict(&answer).kind, CLEW__PERMANENT);
    answer.status = 502;
    assert_int_equal(clew__teams.verdict(&answer).kind, CLEW__RETRY);
}

static void test_teams_defaults(void **state)
{
    const struct clew__integration *self = &config->receivers[0].integrations[0];

    (void)state;
    assert_true(self->send_resolved);
    assert_null(strstr(self->target, "SECRET"));
}

int main(void)
{
#define TEST(function)                                                                      \
    cmocka_unit_test_prestate_setup_teardown(function, rendering_setup, rendering_teardown, \
                                             (void *)(HEAD))
    const struct CMUnitTest tests[] = {
        TEST(test_teams_one_alert),
        TEST(test_teams_group_names_what_changed),
        TEST(test_teams_escapes_what_comes_from_outside),
        TEST(test_teams_fits_into_28_kb),
        TEST(test_teams_defaults),
        cmocka_unit_test(test_teams_verdicts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
