/* SPDX-License-Identifier: Apache-2.0
 * Where a page leads. */
#include "pages.h"

#include <receivers/text.h>

#include <clew/log.h>

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD                                                               \
    "storage: x\nroute: {receiver: a}\nreceivers: [{name: a}]\nlinks:\n"   \
    "  - {text: Plain, url: 'https://x.example/{{ .Labels.instance }}'}\n" \
    "  - text: Logs\n    explore: {url: 'https://grafana.example/g/', datasource: lo-1, "

static struct bench bench;
static struct clew__config *config;
static struct made_page made;
static struct clew__page_link links[CLEW__LINKS_MAX];
static size_t nlinks;

static int setup(void **state)
{
    (void)state;
    bench_init(&bench);
    page_init(&made, 1);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    clew__links_done(links, nlinks);
    nlinks = 0;
    page_done(&made);
    config = clew__config_free(config);
    bench_done(&bench);
    return 0;
}

static void collect(const char *explore)
{
    char text[2048];

    (void)snprintf(text, sizeof(text), HEAD "%s}\n", explore);
    clew__links_done(links, nlinks);
    (void)clew__config_free(config);
    config = load_config(&bench, text);
    nlinks = clew__links_collect(config, &made.page, links);
}

static const char *find(const char *text)
{
    for (size_t i = 0; i < nlinks; i++)
        if (strcmp(links[i].text, text) == 0)
            return links[i].url;
    return NULL;
}

/* The pane that a URL opens. */
static json_t *pane(const char *url, const char *head)
{
    const char *encoded = url + strlen(head);
    char *text = strdup(encoded), *json;
    json_t *panes, *pane;
    int len;

    assert_memory_equal(url, head, strlen(head));
    for (char *c = text; *c; c++)
        *c = *c == '+' ? ' ' : *c;
    json = curl_easy_unescape(NULL, text, 0, &len);
    panes = json_loadb(json, (size_t)len, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(panes);
    assert_int_equal(json_object_size(panes), 1);
    pane = json_incref(json_object_iter_value(json_object_iter(panes)));
    json_decref(panes);
    curl_free(json);
    free(text);
    return pane;
}

static const char *text_at(json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "(none)";
}

static void test_links_explore_logs(void **state)
{
    json_t *opened, *query, *range;

    (void)state;
    made.alerts[0].firing = false;
    made.alerts[0].ends_at = made.alerts[0].starts_at + 60000000000;
    collect("query: '{host=\"{{ .Labels.instance }}\"} |= `error`', before: 1m, after: 30s");
    opened = pane(find("Logs"), "https://grafana.example/g/explore?schemaVersion=1&orgId=1&panes=");
    assert_string_equal(text_at(opened, "datasource"), "lo-1");
    query = json_array_get(json_object_get(opened, "queries"), 0);
    assert_string_equal(text_at(query, "refId"), "A");
    assert_string_equal(text_at(query, "expr"), "{host=\"one\"} |= `error`");
    assert_string_equal(text_at(query, "queryType"), "range");
    assert_string_equal(text_at(json_object_get(query, "datasource"), "uid"), "lo-1");
    assert_string_equal(text_at(json_object_get(query, "datasource"), "type"), "loki");
    range = json_object_get(opened, "range");
    assert_string_equal(text_at(range, "from"), "1795208297632");
    assert_string_equal(text_at(range, "to"), "1795208447632");
    json_decref(opened);
}

static void test_links_explore_traces(void **state)
{
    json_t *opened, *query;

    (void)state;
    collect("type: tempo, org_id: 7,"
            " query: '{resource.service.name=\"{{ .Labels.instance }}\" && status=error}'");
    opened = pane(find("Logs"), "https://grafana.example/g/explore?schemaVersion=1&orgId=7&panes=");
    query = json_array_get(json_object_get(opened, "queries"), 0);
    assert_string_equal(text_at(query, "query"), "{resource.service.name=\"one\" && status=error}");
    assert_string_equal(text_at(query, "queryType"), "traceql");
    json_decref(opened);
}

/* A label cannot become a part of the query, and without it there is no link. */
static void test_links_explore_hostile_and_missing(void **state)
{
    const char *hostile = "x\"} or {a=~\".+\\";
    json_t *opened, *query;

    (void)state;
    json_object_set_new(made.alerts[0].labels, "instance", json_string(hostile));
    collect("query: '{host=\"{{ .Labels.instance }}\"}'");
    opened = pane(find("Logs"), "https://grafana.example/g/explore?schemaVersion=1&orgId=1&panes=");
    query = json_array_get(json_object_get(opened, "queries"), 0);
    assert_string_equal(text_at(query, "expr"), "{host=\"x\\\"} or {a=~\\\".+\\\\\"}");
    json_decref(opened);
    assert_null(find("Plain")); /* it is no URL any more */
    collect("query: '{host=\"{{ .Labels.missing }}\"}'");
    assert_null(find("Logs"));
    assert_non_null(find("Runbook"));
}

static void test_links_errors(void **state)
{
    static const char *const cases[][2] = {
        {"query: x, type: mysql", "type is loki"},
        {"query: x, before: soon", "before is no span"},
        {"query: x, org_id: 0", "expected a number"},
        {"query: '{{ .No }}'", "unknown field"},
        {"type: loki", "needs datasource"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct clew__config *none = NULL;
        char text[2048];

        (void)snprintf(text, sizeof(text), HEAD "%s}\n", cases[i][0]);
        assert_int_equal(clew__config_load(bench_write(&bench, "bad.yml", "%s", text), NULL, &none),
                         -EINVAL);
        if (!strstr(clew_last_error(), cases[i][1]))
            fail_msg("%s", clew_last_error());
    }
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_links_explore_logs),
        TEST(test_links_explore_traces),
        TEST(test_links_explore_hostile_and_missing),
        TEST(test_links_errors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
