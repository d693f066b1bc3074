/* SPDX-License-Identifier: Apache-2.0
 * The HTTP server in this process, where the store can be made to fail. */
#include "bridge.h"

#include <common/instant.h>
#include <intake/intake.h>
#include <intake/listen.h>

#include <clew/log.h>

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATH "/api/v1/alertmanager"

static struct bench bench;
static struct clew__config *config;
static struct clew__store *store;
static struct clew__intake *intake;

static int setup(void **state)
{
    (void)state;
    bench_init(&bench);
    config = load_config(&bench, usual_config(9, ""));
    store = open_store(&bench);
    assert_int_equal(clew__intake_start(config, store, NULL, &intake), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    intake = clew__intake_stop(intake, clew__instant_now() + CLEW__SECOND_NS);
    store = clew__store_close(store);
    config = clew__config_free(config);
    bench_done(&bench);
    return 0;
}

static int fill_disk(struct clew__db *db, void *arg)
{
    (void)arg;
    return clew__db_exec(db, "PRAGMA max_page_count = 1");
}

static int free_disk(struct clew__db *db, void *arg)
{
    (void)arg;
    return clew__db_exec(db, "PRAGMA max_page_count = 1000000");
}

static char *body_of(unsigned first, unsigned n)
{
    struct made_alert alerts[400];

    for (unsigned i = 0; i < n; i++)
        alerts[i] =
            (struct made_alert){"A", "critical", "firing", "2026-01-01T00:00:00Z", first + i};
    return make_body("g", "http://am.example", 0, alerts, n);
}

/* Posts n alerts. */
static unsigned post_alerts(unsigned first, unsigned n, char **ret_text)
{
    char *body = body_of(first, n);
    unsigned status = post(clew__intake_port(intake), PATH, body, strlen(body), ret_text);

    free(body);
    return status;
}

static size_t count_alerts(void)
{
    char *text = NULL;
    json_t *view;
    size_t n;

    assert_int_equal(get(clew__intake_port(intake), "/api/v1/alerts", &text), 200);
    view = json_loads(text, 0, NULL);
    n = json_array_size(json_object_get(view, "alerts"));
    json_decref(view);
    free(text);
    return n;
}

/* No room for a page more: 503 and nothing stored, until there is room again. */
static void test_intake_full_disk_is_503(void **state)
{
    char *text = NULL;

    (void)state;
    assert_int_equal(clew__store_write(store, fill_disk, NULL), 0);
    assert_int_equal(post_alerts(1, 100, &text), 503);
    assert_non_null(strstr(text, "the store"));
    free(text);
    assert_int_equal(count_alerts(), 0);
    assert_int_equal(clew__store_write(store, free_disk, NULL), 0);
    assert_int_equal(post_alerts(1, 100, &text), 200);
    assert_string_equal(text, "{\"alerts\":100}\n");
    free(text);
    assert_int_equal(count_alerts(), 100);
}

/* What the journal has and the store refuses is not lost, and nothing more is
 * acknowledged until the store takes it. */
static void test_intake_full_store_stops_the_journal(void **state)
{
    int64_t give_up = clew__instant_now() + 20 * CLEW__SECOND_NS;

    (void)state;
    assert_int_equal(clew__store_write(store, fill_disk, NULL), 0);
    /* Too large to go into the store at once. */
    assert_int_equal(post_alerts(1, 400, NULL), 200);
    while (post_alerts(1000, 1, NULL) == 200)
        assert_true(clew__instant_now() < give_up);
    assert_int_equal(count_alerts(), 0);
    assert_int_equal(clew__store_write(store, free_disk, NULL), 0);
    while (post_alerts(1000, 1, NULL) != 200)
        assert_true(clew__instant_now() < give_up);
    assert_int_equal(count_alerts(), 401);
}

enum { POSTERS = 12, POSTS = 25 };

static void *post_many(void *arg)
{
    unsigned first = *(unsigned *)arg;

    for (unsigned i = 0; i < POSTS; i++) {
        /* Every second one is the same for all threads: a pair of senders. */
        unsigned number = i % 2 ? i + 1 : 1000 + first * POSTS + i;
        const struct made_alert alert = {"A", "critical", "firing", "2026-01-01T00:00:00Z", number};
        char *body = make_body("g", first % 2 ? "http://am-1" : "http://am-2", 0, &alert, 1);

        if (post(clew__intake_port(intake), PATH, body, strlen(body), NULL) != 200)
            abort();
        free(body);
    }
    return NULL;
}

static int count_deliveries(struct clew__db *db, void *arg)
{
    return clew__db_number(db, -1, arg, "SELECT count(*) FROM deliveries WHERE kind = 'pagerduty'",
                           "");
}

static void test_intake_concurrent_webhooks_page_once(void **state)
{
    pthread_t threads[POSTERS];
    unsigned numbers[POSTERS];
    int64_t n = 0;

    (void)state;
    for (unsigned i = 0; i < POSTERS; i++) {
        numbers[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, post_many, &numbers[i]), 0);
    }
    for (unsigned i = 0; i < POSTERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    (void)count_alerts(); /* a view waits for what was acknowledged */
    assert_int_equal(clew__store_read(store, count_deliveries, &n), 0);
    assert_int_equal(n, POSTERS * (POSTS - POSTS / 2) + POSTS / 2);
}

static void test_listen_errors(void **state)
{
    static const char *const wrong[] = {"", "9095", "a:", "a:b", "a:99999", "::1:80", "a:1x"};
    uint16_t port = 0;
    int fd;

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(clew__listen_check(wrong[i]), -EINVAL);
    assert_int_equal(clew__listen_check(":0"), 0);
    assert_int_equal(clew__listen_check("[::1]:80"), 0);
    fd = clew__listen("127.0.0.1:0", &port);
    assert_true(fd >= 0 && port > 0);
    (void)close(fd);
    fd = clew__listen("192.0.2.1:1", &port); /* nobody's address (RFC 5737) */
    assert_true(fd < 0);
    assert_non_null(strstr(clew_last_error(), "192.0.2.1:1"));
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_intake_full_disk_is_503),
        TEST(test_intake_full_store_stops_the_journal),
        TEST(test_intake_concurrent_webhooks_page_once),
        cmocka_unit_test(test_listen_errors),
    };

    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
