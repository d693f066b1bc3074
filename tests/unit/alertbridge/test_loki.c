/* SPDX-License-Identifier: Apache-2.0
 * Loki's lines come into the thread, and a Loki that hangs delays nobody. */
#include "workspace.h"

#include <common/instant.h>
#include <delivery/delivery.h>

#include <curl/curl.h>
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
static const char *lines;

static unsigned decide(struct far *self, const struct far_request *request, const char **text,
                       const char **retry_after)
{
    if (strncmp(request->path, "/loki/", 6) != 0)
        return workspace_decide(self, request, text, retry_after);
    *text = lines;
    return *lines ? 200 : 500;
}

static int setup(void **state)
{
    static char text[2048];

    (void)state;
    bench_init(&bench);
    far_start(&far);
    workspace_init(&workspace, &far);
    far.decide = decide;
    (void)snprintf(
        text, sizeof(text),
        "listen: 127.0.0.1:0\n"
        "storage: unused\n"
        "loki: {url: 'http://127.0.0.1:%u', query: '{instance=\"{{ .Labels.instance"
        " }}\"}', tenant: shop, lines: 3}\n"
        "route: {receiver: a}\n"
        "receivers:\n"
        "  - name: a\n"
        "    slack_configs:\n"
        "      - {api_url: 'http://127.0.0.1:%u/api', bot_token: '" BOT_TOKEN "', channel: C1}\n"
        "    pagerduty_configs:\n"
        "      - {routing_key: '" ROUTING_KEY "', url: 'http://127.0.0.1:%u/v2/enqueue'}\n",
        far.port, far.port, far.port);
    config = load_config(&bench, text);
    store = open_store(&bench);
    assert_int_equal(clew__senders_start(config, store, &senders), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    senders = clew__senders_stop(senders, clew__instant_now() + CLEW__SECOND_NS / 10);
    store = clew__store_close(store);
    config = clew__config_free(config);
    far_stop(&far);
    workspace_done(&workspace);
    bench_done(&bench);
    return 0;
}

static void fire(unsigned n)
{
    const struct made_alert alerts[] = {{"A", "critical", "firing", "2026-01-01T00:00:00Z", 1},
                                        {"A", "critical", "firing", "2026-01-01T00:00:00Z", 2}};
    char *body = make_body("g", "http://am.example", 0, alerts, n);

    apply_body(store, config, body, clew__instant_now());
    clew__senders_wake(senders);
}

static bool wait_for(const char *channel, bool threads, size_t n, unsigned seconds)
{
    int64_t give_up = clew__instant_now() + seconds * CLEW__SECOND_NS;
    size_t now = 0;

    while (now < n && clew__instant_now() < give_up) {
        (void)pthread_mutex_lock(&far.lock);
        now = workspace_count(&workspace, channel, threads);
        (void)pthread_mutex_unlock(&far.lock);
        (void)usleep(2000);
    }
    return now >= n;
}

static int64_t arrived(const char *path)
{
    for (size_t i = 0; i < far.n; i++)
        if (strstr(far.requests[i].path, path))
            return far.requests[i].at;
    return 0;
}

static void test_loki_lines_in_the_thread(void **state)
{
    const struct workspace_message *note;

    (void)state;
    lines = "{\"data\":{\"result\":[{\"stream\":{},\"values\":[[\"1795208357123000000\","
            "\"{\\\"message\\\":\\\"no money <!here>\\\",\\\"request_id\\\":\\\"r-1\\\"}\"]]}]}}";
    fire(1);
    assert_true(wait_for("C1", true, 1, 20));
    note = workspace_get(&workspace, "C1", true, 0);
    assert_string_equal(note->thread, workspace_get(&workspace, "C1", false, 0)->ts);
    assert_string_equal(workspace_text(note),
                        "Newest errors:\n```20:59:17.123  no money &lt;!here&gt;  r-1```");
    assert_true(arrived("/loki/api/v1/query_range") > arrived("chat.postMessage"));
}

/* Two alerts share no instance: no question that would find anybody's lines. */
static void test_loki_is_not_asked_about_nobody(void **state)
{
    (void)state;
    lines = "{}";
    fire(2);
    wait_for_queue(store, 0);
    assert_int_equal(arrived("/loki/"), 0);
    assert_int_equal(workspace_count(&workspace, "C1", true), 0);
}

/* It hangs longer than it is waited for; pages and their changes go out meanwhile. */
static void test_loki_that_hangs_delays_nobody(void **state)
{
    int64_t start;

    (void)state;
    lines = "{}";
    far.hang_path = "/loki/";
    far.hang_ms = 7000;
    start = clew__instant_now();
    fire(1);
    assert_true(wait_for("C1", false, 1, 10));
    fire(2);
    assert_true(wait_for("C1", true, 1, 10));
    assert_true(clew__instant_now() - start < 2 * CLEW__SECOND_NS);
    assert_true(far_pager(&far).opened == 2);
    (void)printf("page after %.1f ms, PagerDuty after %.1f ms, beside a Loki that hangs\n",
                 (double)(arrived("chat.postMessage") - start) / 1e6,
                 (double)(arrived("/v2/") - start) / 1e6);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_loki_lines_in_the_thread),
        TEST(test_loki_is_not_asked_about_nobody),
        TEST(test_loki_that_hangs_delays_nobody),
    };

    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
