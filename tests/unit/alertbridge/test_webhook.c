/* SPDX-License-Identifier: Apache-2.0 */
#include "rendering.h"

#include <common/digest.h>
#include <common/instant.h>

#include <clew/log.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD                                                                            \
    "storage: x\nroute: {receiver: a}\nreceivers:\n  - name: a\n    webhook_configs:\n" \
    "      - url: 'https://hook.example/SECRET'\n"

/* What this writes is what the bridge itself reads as Alertmanager's version 4. */
static void test_webhook_default_is_version_4(void **state)
{
    struct clew__notification notification;
    char *text;
    size_t len;
    json_t *body, *alert;

    (void)state;
    made.page.nalerts = 3;
    made.page.nfired = 2;
    made.page.nresolved = 30;
    made.alerts[2].firing = false;
    made.alerts[2].ends_at = made.alerts[2].starts_at + CLEW__SECOND_NS;
    text = page_text(config, &made.page, &len);
    assert_int_equal(clew__notification_parse(&notification, text, len), 0);
    assert_int_equal(notification.nalerts, 3);
    assert_string_equal(notification.group_key, "{}:{alertname=\"Down\"}");
    assert_int_equal(notification.ntruncated, 29);
    assert_true(notification.alerts[0].firing);
    assert_int_equal(notification.alerts[0].ends_at, 0);
    assert_int_equal(notification.alerts[2].ends_at, made.alerts[2].ends_at);
    clew__notification_done(&notification);
    free(text);
    body = page_render(config, &made.page);
    assert_string_equal(json_text(body, "version"), "4");
    assert_string_equal(json_text(body, "receiver"), "team");
    assert_string_equal(json_text(body, "status"), "firing");
    assert_string_equal(json_text(body, "externalURL"), "http://am.example");
    assert_string_equal(json_text(json_object_get(body, "groupLabels"), "alertname"), "Down");
    alert = json_array_get(json_object_get(body, "alerts"), 2);
    assert_string_equal(json_text(alert, "status"), "resolved");
    assert_string_equal(json_text(alert, "fingerprint"), "132a18f910b64af5");
    assert_string_equal(json_text(json_object_get(alert, "labels"), "instance"), "two");
    json_decref(body);
}

static void test_webhook_cut_list_is_never_resolved(void **state)
{
    json_t *body;

    (void)state;
    made.page.nfiring = 0;
    body = page_render(config, &made.page);
    assert_string_equal(json_text(body, "status"), "resolved");
    json_decref(body);
    made.page.ntruncated = 3;
    body = page_render(config, &made.page);
    assert_string_equal(json_text(body, "status"), "firing");
    json_decref(body);
}

static void test_webhook_payload(void **state)
{
    static const char hostile[] = "\",\"admin\":true,\"x\":\"\\\n\x01{{ .Status }}";
    json_t *body, *list;

    (void)state;
    rendering_use(HEAD "        payload:\n"
                       "          text: 'say \"{{ .CommonLabels.x }}\" {{ .Status }}'\n"
                       "          number: 4.5\n"
                       "          quoted: '4.5'\n"
                       "          yes: true\n"
                       "          nothing:\n"
                       "          list: [1, '{{ .Labels.instance }}', {deep: {deeper: []}}]\n"
                       "          alerts: '{{ .Alerts }}'\n");
    json_object_set_new(made.page.common_labels, "x", json_string(hostile));
    json_object_set_new(made.alerts[0].labels, "x", json_string(hostile));
    body = page_render(config, &made.page);
    assert_null(json_object_get(body, "admin"));
    assert_string_equal(json_text(body, "text"),
                        "say \"\",\"admin\":true,\"x\":\"\\\n\x01{{ .Status }}\" firing");
    assert_true(json_real_value(json_object_get(body, "number")) == 4.5);
    assert_string_equal(json_text(body, "quoted"), "4.5");
    assert_true(json_is_true(json_object_get(body, "yes")));
    assert_true(json_is_null(json_object_get(body, "nothing")));
    list = json_object_get(body, "list");
    assert_int_equal(json_array_size(list), 3);
    assert_string_equal(json_string_value(json_array_get(list, 1)), "one");
    assert_int_equal(json_array_size(json_object_get(body, "alerts")), 1);
    json_decref(body);
}

/* Whatever alerts hold, the body is JSON of a bounded size. */
static void test_webhook_limits(void **state)
{
    char *big = big_text(100000, "\x01"), *text, name[16];
    struct clew__buf list;
    json_t *body;
    size_t len;

    (void)state;
    clew__buf_init(&list, 1u << 20);
    clew__buf_adds(&list, HEAD "        payload: [");
    for (unsigned i = 0; i < 500; i++) {
        (void)snprintf(name, sizeof(name), "label%u", i);
        json_object_set_new(made.alerts[0].labels, name, json_string(big));
        json_object_set_new(made.alerts[0].annotations, name, json_string(big));
        json_object_set_new(made.page.common_labels, name, json_string(big));
    }
    text = page_text(config, &made.page, &len);
    assert_in_range(len, 100000, 20 * 2 * 90000);
    body = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(body);
    json_decref(body);
    free(text);
    /* Texts by the hundred, each as long as it may be. */
    for (unsigned i = 0; i < 200; i++)
        clew__buf_adds(&list,
                       i ? ", '{{ .Labels.label1 }}{{ .Labels.label2 }}'" : "'{{ .Alerts }}'");
    clew__buf_addc(&list, ']');
    clew__buf_addc(&list, '\0');
    rendering_use(list.data);
    clew__buf_done(&list);
    text = page_text(config, &made.page, &len);
    assert_in_range(len, 1u << 20, 4u << 20);
    body = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
    assert_int_equal(json_array_size(body), 200);
    json_decref(body);
    free(text);
    free(big);
}

static void take_header(void *arg, const char *name, const char *value)
{
    json_object_set_new(arg, name, json_string(value));
}

static json_t *headers_for(const char *body)
{
    const struct clew__integration *self = &config->receivers[0].integrations[0];
    struct clew__buf text;
    json_t *headers = json_object();

    clew__buf_init(&text, 1024);
    clew__buf_adds(&text, body);
    self->ops->headers(self, &text, 1795208357 * CLEW__SECOND_NS, take_header, headers);
    clew__buf_done(&text);
    return headers;
}

/* The signature is that of: printf %s '1795208357:{}' | openssl dgst -sha256 -hmac key */
static void test_webhook_headers(void **state)
{
    static const char signature[] =
        "4ced40bc761e6d8ecbddb64e9b3a2b6d921d42be69bacfa43a3998d50d3d3ffd";
    json_t *headers = headers_for("{}");

    (void)state;
    assert_int_equal(json_object_size(headers), 0);
    json_decref(headers);
    rendering_use(HEAD
                  "        http_config: {basic_auth: {username: Aladdin, password: open sesame}}\n"
                  "        hmac_config: {secret: key}\n");
    headers = headers_for("{}");
    assert_string_equal(json_text(headers, "Authorization"), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    assert_string_equal(json_text(headers, "X-Grafana-Alerting-Timestamp"), "1795208357");
    assert_string_equal(json_text(headers, "X-Grafana-Alerting-Signature"), signature);
    json_decref(headers);
    rendering_use(HEAD
                  "        http_config: {authorization: {credentials: token}}\n"
                  "        hmac_config: {secret: key, header: X-Sig, timestamp_header: X-Time}\n");
    headers = headers_for("{}");
    assert_string_equal(json_text(headers, "Authorization"), "Bearer token");
    assert_string_equal(json_text(headers, "X-Time"), "1795208357");
    assert_string_equal(json_text(headers, "X-Sig"), signature);
    json_decref(headers);
    headers = headers_for("{ }");
    assert_string_not_equal(json_text(headers, "X-Sig"), signature);
    json_decref(headers);
}

static void test_webhook_configuration_errors(void **state)
{
    static const struct {
        const char *text;
        int line;
        const char *reason;
    } cases[] = {
        {"        http_config: {basic_auth: {username: a, password: ''}}\n", 7, "empty"},
        {"        http_config: {basic_auth: {username: 'a:b', password: c}}\n", 7, "colon"},
        {"        http_config: {authorization: {credentials: \"SECRET\\r\\nX: y\"}}\n", 7,
         "control character"},
        {"        http_config:\n          basic_auth: {username: a, password: b}\n"
         "          authorization: {credentials: c}\n",
         8, "exclude"},
        {"        hmac_config: {secret: ''}\n", 7, "empty"},
        {"        hmac_config: {secret: SECRET, header: \"a\\r\\nb\"}\n", 7, "header's name"},
        {"        payload: text\n", 7, "mapping or a list"},
        {"        payload:\n          a: '{{ .Bogus }}'\n", 8, "unknown field"},
        {"        payload: {a: 1, a: 2}\n", 7, "twice"},
        {"        payload: &p {a: *p}\n", 7, "nested deeper"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *file = bench_write(&bench, "bad.yml", HEAD "%s", cases[i].text);
        struct clew__config *bad = NULL;
        char place[160];

        (void)snprintf(place, sizeof(place), "%s:%d:", file, cases[i].line);
        assert_int_equal(clew__config_load(file, NULL, &bad), -EINVAL);
        if (strncmp(clew_last_error(), place, strlen(place)) != 0 ||
            !strstr(clew_last_error(), cases[i].reason) || strstr(clew_last_error(), "SECRET"))
            fail_msg("case %zu: %s", i, clew_last_error());
    }
}

static void test_webhook_defaults(void **state)
{
    const struct clew__integration *self = &config->receivers[0].integrations[0];

    (void)state;
    assert_true(self->send_resolved);
    assert_null(self->mail);
    assert_null(strstr(self->target, "SECRET"));
}

int main(void)
{
#define TEST(function)                                                                      \
    cmocka_unit_test_prestate_setup_teardown(function, rendering_setup, rendering_teardown, \
                                             (void *)(HEAD))
    const struct CMUnitTest tests[] = {
        TEST(test_webhook_default_is_version_4),
        TEST(test_webhook_cut_list_is_never_resolved),
        TEST(test_webhook_payload),
        TEST(test_webhook_limits),
        TEST(test_webhook_headers),
        TEST(test_webhook_configuration_errors),
        TEST(test_webhook_defaults),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
