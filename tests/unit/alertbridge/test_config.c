/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge.h"

#include <clew/log.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct bench bench;

#define TAIL "route: {receiver: a}\nreceivers: [{name: a}]\n"

static void test_config_errors_name_the_line(void **state)
{
    static const struct {
        const char *text;
        int line;
        const char *reason;
    } cases[] = {
        {"", 1, "empty"},
        {"# nothing\n", 1, "empty"},
        {"- a\n", 1, "expected a mapping"},
        {"storage: x\nlisten: [\n", 3, "did not find"},
        {"storage: x\nbogus: 1\n" TAIL, 2, "unknown key \"bogus\""},
        {"storage: x\nstorage: y\n" TAIL, 2, "twice"},
        {"storage: x\n---\nstorage: y\n", 3, "second document"},
        {TAIL, 1, "storage"},
        {"storage: {a: b}\n" TAIL, 1, "expected a text"},
        {"storage: x\nlisten: nowhere\n" TAIL, 2, "host:port"},
        {"storage: x\nlisten: 127.0.0.1:70000\n" TAIL, 2, "host:port"},
        {"storage: x\nexternal_url: ftp://x\n" TAIL, 2, "external_url"},
        {"storage: x\nreceivers: [{name: a}]\n", 1, "route is missing"},
        {"storage: x\nroute: {receiver: a}\n", 1, "receivers are missing"},
        {"storage: x\nroute: {}\nreceivers: [{name: a}]\n", 2, "needs a receiver"},
        {"storage: x\nroute: {receiver: b}\nreceivers: [{name: a}]\n", 2, "no receiver \"b\""},
        {"storage: x\nroute: {receiver: a, matchers: ['a=b']}\nreceivers: [{name: a}]\n", 2,
         "neither matchers"},
        {"storage: x\nroute:\n  receiver: a\n  routes:\n    - matchers:\n        - a=\"b\"\n"
         "        - a=~\"(\"\nreceivers: [{name: a}]\n",
         7, "matcher: regular expression"},
        {"storage: x\nroute:\n  receiver: a\n  routes:\n    - matchers: 'a=b'\n"
         "receivers: [{name: a}]\n",
         5, "expected a list"},
        {"storage: x\nroute:\n  receiver: a\n  routes:\n    - continue: maybe\n"
         "receivers: [{name: a}]\n",
         5, "true or false"},
        {"storage: x\nroute: &r\n  receiver: a\n  routes: [*r]\nreceivers: [{name: a}]\n", 2,
         "nested deeper"},
        {"storage: x\nroute: {receiver: a}\nreceivers:\n  - name: a\n  - name: a\n", 5, "taken"},
        {"storage: x\nroute: {receiver: a}\nreceivers:\n  - name: a\n    slack_configs:\n"
         "      - {api_url: 'no url'}\n",
         6, "no http or https URL"},
        {"storage: x\nroute: {receiver: a}\nreceivers:\n  - name: a\n    slack_configs:\n"
         "      - api_url: 'http://h/x'\n        title: '{{ .Bogus }}'\n",
         7, "unknown field \".Bogus\""},
        {"storage: x\nroute: {receiver: a}\nreceivers:\n  - name: a\n    slack_configs:\n"
         "      - api_url: 'http://h/x'\n        text: '{{ .Status | exec }}'\n",
         7, "unknown function \"exec\""},
        {"storage: x\nroute: {receiver: a}\nreceivers:\n  - name: a\n    pagerduty_configs:\n"
         "      - {routing_key: k, service_key: k}\n",
         6, "exclude each other"},
        {"storage: x\nroute: {receiver: a}\nreceivers:\n  - name: a\n    pagerduty_configs:\n"
         "      - {routing_key: k, dedup: host}\n",
         6, "dedup is alert"},
        {"storage: x\nroute: {receiver: a}\nreceivers:\n  - name: a\n    pagerduty_configs:\n"
         "      - {routing_key_file: /nonexistent/x}\n",
         6, "cannot be opened"},
        {"storage: x\nroute: {receiver: a}\nreceivers:\n  - name: a\n    mail_configs: []\n", 5,
         "unknown key \"mail_configs\""},
        {"storage: x\nwebhook: {max_body_bytes: 1}\n" TAIL, 2, "expected a number from 1024"},
        {"storage: x\nwebhook: {max_body_bytes: 1e6}\n" TAIL, 2, "expected a number"},
        {"storage: x\nwebhook: {basic_auth: {username: u}}\n" TAIL, 2, "is empty"},
        {"storage: x\nwebhook: {bearer_token: ''}\n" TAIL, 2, "is empty"},
        {"storage: x\nlinks:\n  - {text: a}\n" TAIL, 3, "needs text, and url"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *file = bench_write(&bench, "bad.yml", "%s", cases[i].text);
        struct clew__config *config = NULL;
        char place[160];

        (void)snprintf(place, sizeof(place), "%s:%d:", file, cases[i].line);
        assert_true(clew__config_load(file, NULL, &config) < 0);
        assert_null(config);
        if (strncmp(clew_last_error(), place, strlen(place)) != 0 ||
            !strstr(clew_last_error(), cases[i].reason))
            fail_msg("case %zu: wanted line %d \"%s\", got: %s", i, cases[i].line, cases[i].reason,
                     clew_last_error());
    }
}

static void test_config_errors_name_the_column(void **state)
{
    static const struct {
        const char *text, *place;
    } cases[] = {
        {"storage: x\nbogus: 1\n" TAIL, ":2:1: unknown key"},
        {"storage: x\nwebhook: {max_body_bytes: 1}\n" TAIL, ":2:27: expected a number"},
        {"storage: x\nwebhook: {basic_auth: {username: u}, nothing: 1}\n" TAIL,
         ":2:38: unknown key"},
        {"storage: x\nroute: {receiver: b}\nreceivers: [{name: a}]\n", ":2:19: there is no"},
        {"storage: x\nlisten: [\n", ":3:1: did not find"},
        {"storage: x\n\tlisten: y\n", ":2:1: "},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *file = bench_write(&bench, "bad.yml", "%s", cases[i].text);
        struct clew__config *config = NULL;

        assert_true(clew__config_load(file, NULL, &config) < 0);
        if (!strstr(clew_last_error(), cases[i].place))
            fail_msg("case %zu: wanted \"%s\", got: %s", i, cases[i].place, clew_last_error());
    }
}

static void test_config_unreadable_file(void **state)
{
    struct clew__config *config = NULL;

    (void)state;
    assert_int_equal(clew__config_load("/nonexistent/a.yml", NULL, &config), -ENOENT);
    assert_non_null(strstr(clew_last_error(), "/nonexistent/a.yml"));
}

static void test_config_errors_hold_no_secret(void **state)
{
    static const char *const texts[] = {
        "storage: x\nroute: {receiver: a}\nreceivers:\n  - name: a\n    slack_configs:\n"
        "      - {api_url: 'hooks.slack.com/SECRET'}\n",
        "storage: x\nroute: {receiver: a}\nreceivers:\n  - name: a\n    pagerduty_configs:\n"
        "      - {routing_key: SECRET, url: 'SECRET'}\n",
        "storage: x\nwebhook: {bearer_token: SECRET, bearer_token_file: SECRET}\n" TAIL,
        "storage: x\nroute: {receiver: a}\nreceivers:\n  - name: a\n    pagerduty_configs:\n"
        "      - {routing_key: [SECRET]}\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct clew__config *config = NULL;

        assert_int_equal(
            clew__config_load(bench_write(&bench, "bad.yml", "%s", texts[i]), NULL, &config),
            -EINVAL);
        assert_null(strstr(clew_last_error(), "SECRET"));
    }
}

static char warnings[1024];

static void take_warning(const char *text)
{
    (void)snprintf(warnings + strlen(warnings), sizeof(warnings) - strlen(warnings), "%s\n", text);
}

static void test_config_values(void **state)
{
    char key_file[128];
    struct clew__config *config = NULL;
    const struct clew__receiver *receiver;

    (void)state;
    (void)snprintf(key_file, sizeof(key_file), "%s", bench_write(&bench, "key", "key-from-file\n"));
    (void)setenv("BRIDGE_TEST_HOST", "hooks.example", 1);
    (void)unsetenv("BRIDGE_TEST_UNSET");
    warnings[0] = '\0';
    assert_int_equal(
        clew__config_load(
            bench_write(&bench, "good.yml",
                        "storage: /x/y.db\n"
                        "webhook: {max_body_bytes: 2048, basic_auth: {username: u, password: p}}\n"
                        "links: [{text: Logs, url: 'http://l/?q={{ .Labels.a | urlquery }}'}]\n"
                        "route: {receiver: both}\n"
                        "receivers:\n"
                        "  - name: both\n"
                        "    slack_configs:\n"
                        "      - {api_url: 'https://${BRIDGE_TEST_HOST}/a$b', channel: '$${X}'}\n"
                        "      - {api_url: '${BRIDGE_TEST_UNSET}', send_resolved: true}\n"
                        "    pagerduty_configs:\n"
                        "      - {routing_key_file: '%s', send_resolved: false, dedup: group}\n",
                        key_file),
            take_warning, &config),
        0);
    assert_string_equal(config->listen, "127.0.0.1:9095");
    assert_string_equal(config->webhook.sources[0].credentials.username, "u");
    assert_int_equal(config->webhook.max_body_bytes, 2048);
    receiver = clew__config_receiver(config, "both");
    assert_non_null(receiver);
    assert_int_equal(receiver->n, 3);
    assert_string_equal(receiver->integrations[0].url, "https://hooks.example/a$b");
    assert_false(receiver->integrations[0].send_resolved);
    assert_false(receiver->integrations[0].off);
    assert_true(receiver->integrations[1].off);
    assert_true(receiver->integrations[1].send_resolved);
    assert_false(receiver->integrations[2].send_resolved);
    assert_false(receiver->integrations[2].per_alert);
    assert_string_equal(receiver->integrations[2].url, "https://events.pagerduty.com/v2/enqueue");
    assert_null(strstr(receiver->integrations[0].target, "hooks.example"));
    assert_null(strstr(receiver->integrations[2].target, "key-from-file"));
    assert_string_not_equal(receiver->integrations[0].target, receiver->integrations[1].target);
    assert_non_null(strstr(warnings, "good.yml:9:9: receiver \"both\": slack[1]"));
    assert_null(clew__config_integration(config, receiver->integrations[1].target, "both"));
    assert_ptr_equal(clew__config_integration(config, receiver->integrations[2].target, "gone"),
                     &receiver->integrations[2]);
    (void)clew__config_free(config);
}

static void test_config_warns_of_hours_that_never_open(void **state)
{
    struct clew__config *config = NULL;

    (void)state;
    warnings[0] = '\0';
    assert_int_equal(
        clew__config_load(
            bench_write(&bench, "hours.yml",
                        "storage: x\n"
                        "time_intervals:\n"
                        "  - {name: leap, time_intervals: [{months: [february],"
                        " days_of_month: ['29']}]}\n"
                        "  - {name: never, time_intervals: [{months: [february],"
                        " days_of_month: ['30']}]}\n"
                        "route:\n"
                        "  receiver: a\n"
                        "  routes:\n"
                        "    - {active_time_intervals: [leap]}\n"
                        "    - {active_time_intervals: [never]}\n"
                        "    - {active_time_intervals: [leap], mute_time_intervals: [leap]}\n"
                        "    - {mute_time_intervals: [never]}\n"
                        "receivers: [{name: a}]\n"),
            take_warning, &config),
        0);
    assert_non_null(strstr(warnings, "hours.yml:9:7: its hours (never) do not open"));
    assert_non_null(strstr(warnings, "hours.yml:10:7: its hours (leap, not leap) do not open"));
    assert_null(strstr(strchr(strchr(warnings, '\n') + 1, '\n') + 1, "hours"));
    (void)clew__config_free(config);
}

static void test_config_example_is_valid(void **state)
{
    struct clew__config *config = NULL;

    (void)state;
    if (clew__config_load(CLEW_TEST_EXAMPLE, NULL, &config) < 0)
        fail_msg("%s", clew_last_error());
    (void)clew__config_free(config);
}

static int setup(void **state)
{
    (void)state;
    bench_init(&bench);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    bench_done(&bench);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_config_errors_name_the_line),
        cmocka_unit_test(test_config_errors_name_the_column),
        cmocka_unit_test(test_config_unreadable_file),
        cmocka_unit_test(test_config_errors_hold_no_secret),
        cmocka_unit_test(test_config_values),
        cmocka_unit_test(test_config_warns_of_hours_that_never_open),
        cmocka_unit_test(test_config_example_is_valid),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
