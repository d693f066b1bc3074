/* SPDX-License-Identifier: Apache-2.0 */
#include "rendering.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD                                                                   \
    "storage: x\nexternal_url: https://bridge.example\nroute: {receiver: a}\n" \
    "receivers:\n  - name: a\n    pagerduty_configs:\n      - routing_key: '" ROUTING_KEY "'\n"

static void test_pagerduty_trigger(void **state)
{
    json_t *event, *payload, *details, *links;

    (void)state;
    event = page_render(config, &made.page);
    assert_string_equal(json_text(event, "routing_key"), ROUTING_KEY);
    assert_string_equal(json_text(event, "event_action"), "trigger");
    assert_string_equal(json_text(event, "dedup_key"), "d1");
    assert_string_equal(json_text(event, "client_url"), "https://bridge.example");
    assert_true(*json_text(event, "client"));
    payload = json_object_get(event, "payload");
    assert_string_equal(json_text(payload, "summary"), "one is down");
    assert_string_equal(json_text(payload, "source"), "one");
    assert_string_equal(json_text(payload, "severity"), "critical");
    assert_string_equal(json_text(payload, "timestamp"), "2026-11-20T20:59:17.632Z");
    assert_string_equal(json_text(payload, "class"), "Down");
    details = json_object_get(payload, "custom_details");
    assert_string_equal(json_text(json_object_get(details, "labels"), "instance"), "one");
    assert_int_equal(json_integer_value(json_object_get(details, "firing")), 1);
    links = json_object_get(event, "links");
    assert_int_equal(json_array_size(links), 3);
    assert_string_equal(json_text(json_array_get(links, 0), "href"),
                        "https://runbooks.example/Down");
    json_decref(event);
}

static void test_pagerduty_resolve(void **state)
{
    json_t *event;

    (void)state;
    made.page.action = CLEW__ACTION_RESOLVE;
    event = page_render(config, &made.page);
    assert_string_equal(json_text(event, "event_action"), "resolve");
    assert_string_equal(json_text(event, "dedup_key"), "d1");
    assert_string_equal(json_text(event, "routing_key"), ROUTING_KEY);
    assert_null(json_object_get(event, "payload"));
    json_decref(event);
}

static void test_pagerduty_acknowledge(void **state)
{
    json_t *event;

    (void)state;
    made.page.action = CLEW__ACTION_ACKNOWLEDGE;
    event = page_render(config, &made.page);
    assert_string_equal(json_text(event, "event_action"), "acknowledge");
    assert_string_equal(json_text(event, "dedup_key"), "d1");
    assert_null(json_object_get(event, "payload"));
    json_decref(event);
}

static void test_pagerduty_severity_table(void **state)
{
    static const char *const cases[][2] = {
        {"critical", "critical"}, {"CRITICAL", "critical"}, {"error", "error"},
        {"high", "error"},        {"major", "error"},       {"warning", "warning"},
        {"medium", "warning"},    {"info", "info"},         {"low", "info"},
        {"none", "info"},         {"page", "error"},        {"", "error"}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        json_t *event;

        json_object_set_new(made.alerts[0].labels, "severity", json_string(cases[i][0]));
        event = page_render(config, &made.page);
        assert_string_equal(json_text(json_object_get(event, "payload"), "severity"), cases[i][1]);
        json_decref(event);
    }
}

static void test_pagerduty_configured_severities(void **state)
{
    static const char *const cases[][2] = {{"p1", "critical"},
                                           {"P1", "critical"},
                                           {"warning", "info"},
                                           {"info", "info"},
                                           {"p9", "error"}};

    (void)state;
    rendering_use(HEAD "        severities: {p1: critical, warning: info}\n");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        json_t *event;

        json_object_set_new(made.alerts[0].labels, "severity", json_string(cases[i][0]));
        event = page_render(config, &made.page);
        assert_string_equal(json_text(json_object_get(event, "payload"), "severity"), cases[i][1]);
        json_decref(event);
    }
}

static void test_pagerduty_configured_texts(void **state)
{
    json_t *event;

    (void)state;
    rendering_use(HEAD "        severity: '{{ .CommonLabels.priority }}'\n"
                       "        description: '{{ .Labels.instance }} <down>'\n");
    json_object_set_new(made.page.common_labels, "priority", json_string("low"));
    event = page_render(config, &made.page);
    assert_string_equal(json_text(json_object_get(event, "payload"), "severity"), "info");
    assert_string_equal(json_text(json_object_get(event, "payload"), "summary"), "one <down>");
    json_decref(event);
}

/* A deployment, say: it wakes nobody and needs no end. */
static void test_pagerduty_change(void **state)
{
    json_t *event, *payload;

    (void)state;
    rendering_use("storage: x\nroute: {receiver: a}\nreceivers:\n  - name: a\n"
                  "    pagerduty_change_configs: [{routing_key: '" ROUTING_KEY "'}]\n");
    assert_false(config->receivers[0].integrations[0].send_resolved);
    assert_string_equal(config->receivers[0].integrations[0].url,
                        "https://events.pagerduty.com/v2/change/enqueue");
    event = page_render(config, &made.page);
    payload = json_object_get(event, "payload");
    assert_string_equal(json_text(event, "routing_key"), ROUTING_KEY);
    assert_null(json_object_get(event, "event_action"));
    assert_null(json_object_get(event, "dedup_key"));
    assert_string_equal(json_text(payload, "summary"), "one is down");
    assert_string_equal(json_text(payload, "source"), "Down");
    assert_string_equal(json_text(payload, "timestamp"), "2026-11-20T20:59:17.632Z");
    assert_non_null(json_object_get(payload, "custom_details"));
    assert_int_equal(json_array_size(json_object_get(event, "links")), 3);
    json_decref(event);
}

/* Whatever an alert holds, the event is one that PagerDuty takes. */
static void test_pagerduty_limits(void **state)
{
    char *big = malloc(200001), name[16];
    json_t *event, *payload;
    char *text;

    (void)state;
    for (size_t i = 0; i < 200000; i++)
        big[i] = "\xC3\xBC"[i % 2];
    big[200000] = '\0';
    json_object_set_new(made.alerts[0].annotations, "summary", json_string(big));
    json_object_set_new(made.alerts[0].annotations, "runbook_url", json_string("javascript:x"));
    json_object_set_new(made.alerts[0].labels, "instance", json_string(big));
    for (unsigned i = 0; i < 500; i++) {
        (void)snprintf(name, sizeof(name), "label%u", i);
        json_object_set_new(made.alerts[0].labels, name, json_string(big));
        json_object_set_new(made.alerts[0].annotations, name, json_string(big));
    }
    event = page_render(config, &made.page);
    text = json_dumps(event, JSON_COMPACT);
    assert_in_range(strlen(text), 1000, 512000);
    free(text);
    payload = json_object_get(event, "payload");
    assert_int_equal(strlen(json_text(payload, "summary")), 1023 * 2 + 3);
    assert_int_equal(strlen(json_text(payload, "source")), 254 * 2 + 3);
    assert_int_equal(json_array_size(json_object_get(event, "links")), 2);
    json_decref(event);
    free(big);
}

/* Control characters become six bytes each; links are as long as they may be. */
static void test_pagerduty_worst_event_fits(void **state)
{
    char *big = big_text(20000, "\x01"), *path = big_text(2000, "u"), url[2048], name[16];
    char *text;
    size_t len;

    (void)state;
    for (unsigned i = 0; i < 500; i++) {
        (void)snprintf(name, sizeof(name), "label%u", i);
        json_object_set_new(made.alerts[0].labels, name, json_string(big));
        json_object_set_new(made.alerts[0].annotations, name, json_string(big));
        json_object_set_new(made.page.group_labels, name, json_string(big));
    }
    json_object_set_new(made.alerts[0].annotations, "summary", json_string(big));
    (void)snprintf(url, sizeof(url), "https://runbooks.example/%s", path);
    json_object_set_new(made.alerts[0].annotations, "runbook_url", json_string(url));
    text = page_text(config, &made.page, &len);
    assert_in_range(len, 300000, 512000);
    free(text);
    free(path);
    free(big);
}

static void test_pagerduty_is_complete_without_labels(void **state)
{
    json_t *event, *payload;

    (void)state;
    made.page.nalerts = 0;
    json_object_clear(made.page.group_labels);
    json_object_clear(made.page.common_labels);
    event = page_render(config, &made.page);
    payload = json_object_get(event, "payload");
    assert_true(*json_text(payload, "summary"));
    assert_true(*json_text(payload, "source"));
    assert_string_equal(json_text(payload, "severity"), "error");
    json_decref(event);
}

static void test_pagerduty_429_waits(void **state)
{
    struct clew__answer answer = {.status = 429, .problem = "", .retry_after = "", .body = ""};
    struct clew__verdict verdict = clew__pagerduty.verdict(&answer);

    (void)state;
    assert_int_equal(verdict.kind, CLEW__RETRY);
    assert_true(verdict.wait_seconds == 30);
    assert_true(verdict.wait_all);
    answer.retry_after = "5";
    assert_true(clew__pagerduty.verdict(&answer).wait_seconds == 5);
}

int main(void)
{
#define TEST(function)                                                                      \
    cmocka_unit_test_prestate_setup_teardown(function, rendering_setup, rendering_teardown, \
                                             (void *)(HEAD))
    const struct CMUnitTest tests[] = {
        TEST(test_pagerduty_trigger),
        TEST(test_pagerduty_resolve),
        TEST(test_pagerduty_acknowledge),
        TEST(test_pagerduty_severity_table),
        TEST(test_pagerduty_configured_severities),
        TEST(test_pagerduty_configured_texts),
        TEST(test_pagerduty_worst_event_fits),
        TEST(test_pagerduty_change),
        TEST(test_pagerduty_limits),
        TEST(test_pagerduty_is_complete_without_labels),
        cmocka_unit_test(test_pagerduty_429_waits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
