/* SPDX-License-Identifier: Apache-2.0
 * What would be sent, printed: as the receivers write it, and with no secret in it. */
#include "bridge.h"

#include <common/instant.h>
#include <preview.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct bench bench;
static struct clew__config *config;

static int setup(void **state)
{
    (void)state;
    bench_init(&bench);
    config = load_config(
        &bench, "storage: unused\n"
                "route:\n"
                "  receiver: team\n"
                "  routes:\n"
                "    - {receiver: on-call, matchers: ['severity=\"critical\"']}\n"
                "    - {receiver: team, matchers: ['severity=\"warning\"'], after: 15m}\n"
                "receivers:\n"
                "  - name: on-call\n"
                "    pagerduty_configs: [{routing_key: '" ROUTING_KEY "'}]\n"
                "    email_configs:\n"
                "      - {to: a@example.org, from: b@example.org, smarthost: 'localhost:25'}\n"
                "  - name: team\n"
                "    slack_configs: [{api_url: 'https://hooks.example" SLACK_PATH "'}]\n");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    config = clew__config_free(config);
    bench_done(&bench);
    return 0;
}

static char *preview(const char *body)
{
    struct clew__notification notification;
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    assert_int_equal(clew__notification_parse(&notification, body, strlen(body)), 0);
    assert_int_equal(clew__preview(config, &notification, clew__instant_now(), out), 0);
    (void)fclose(out);
    clew__notification_done(&notification);
    assert_null(strstr(text, "SECRET"));
    return text;
}

static char *preview_one(const char *name, const char *severity, const char *status)
{
    const struct made_alert alert = {name, severity, status, "2026-01-01T00:00:00Z", 1};
    char *body = make_body("g", "http://am", 0, &alert, 1), *text = preview(body);

    free(body);
    return text;
}

static void test_preview_of_a_firing(void **state)
{
    char *text = preview_one("Down", "critical", "firing");

    (void)state;
    assert_non_null(strstr(text, "trigger to on-call, pagerduty[0]:\n    {\n"));
    assert_non_null(strstr(text, "\"routing_key\": \"(secret)\""));
    assert_non_null(strstr(text, "trigger to on-call, email[0]:\n"));
    assert_non_null(strstr(text, "\n    To: <a@example.org>\n"));
    assert_null(strstr(text, "team"));
    free(text);
}

/* Whoever hears of the end was told of the beginning, which is not shown again. */
static void test_preview_of_an_end(void **state)
{
    char *text = preview_one("Down", "critical", "resolved");

    (void)state;
    assert_non_null(strstr(text, "resolve to on-call, pagerduty[0]:\n"));
    assert_null(strstr(text, "trigger"));
    free(text);
}

static void test_preview_of_what_comes_later(void **state)
{
    char *text = preview_one("Slow", "warning", "firing");

    (void)state;
    assert_string_equal(text, "");
    free(text);
}

static void test_preview_is_safe_for_a_terminal(void **state)
{
    char *text = preview_one("\\u001b[2J\\u0007Down\\u007f", "critical", "firing");

    (void)state;
    assert_non_null(strstr(text, "Down"));
    for (const char *at = text; *at; at++)
        assert_true((unsigned char)*at >= ' ' ? *at != 0x7F : *at == '\n');
    free(text);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_preview_of_a_firing),
        TEST(test_preview_of_an_end),
        TEST(test_preview_of_what_comes_later),
        TEST(test_preview_is_safe_for_a_terminal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
