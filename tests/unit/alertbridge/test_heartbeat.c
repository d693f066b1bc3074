/* SPDX-License-Identifier: Apache-2.0
 * The bridge tells somebody that it works, and only then. */
#include "bridge.h"

#include <common/instant.h>
#include <watchdog/heartbeat.h>

#include <curl/curl.h>
#include <stdio.h>
#include <unistd.h>

static struct bench bench;
static struct far far;
static struct clew__config *config;
static struct clew__store *store;
static struct clew__senders *senders;
static struct clew__heart *heart;

static struct clew__config *configure(const char *method)
{
    char text[1024];

    (void)snprintf(text, sizeof(text),
                   "storage: unused\nroute: {receiver: a}\nreceivers: [{name: a}]\n"
                   "heartbeat: {url: 'http://127.0.0.1:%u/beat/SECRET', every: 1s, method: %s}\n",
                   far.port, method);
    return load_config(&bench, text);
}

static int setup(void **state)
{
    (void)state;
    bench_init(&bench);
    far_start(&far);
    config = configure("GET");
    store = open_store(&bench);
    assert_int_equal(clew__senders_start(config, store, &senders), 0);
    assert_int_equal(clew__heart_start(config, store, senders, &heart), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    heart = clew__heart_stop(heart);
    senders = clew__senders_stop(senders, clew__instant_now() + CLEW__SECOND_NS);
    store = clew__store_close(store);
    config = clew__config_free(config);
    far_stop(&far);
    bench_done(&bench);
    return 0;
}

static void test_heartbeat_beats(void **state)
{
    struct clew__config *other;

    (void)state;
    assert_true(far_wait(&far, 3, 10));
    assert_string_equal(far.requests[0].path, "/beat/SECRET");
    assert_null(far.requests[0].body);
    assert_true(far.requests[2].at - far.requests[0].at > 3 * CLEW__SECOND_NS / 2);
    other = configure("POST");
    clew__heart_use(heart, other, senders);
    assert_true(far_wait(&far, far_count(&far) + 2, 10));
    assert_non_null(far.requests[far_count(&far) - 1].body);
    (void)clew__config_free(config);
    config = other;
}

static void test_heartbeat_stands_still(void **state)
{
    size_t n;

    (void)state;
    assert_true(far_wait(&far, 1, 10));
    clew__heart_use(heart, config, NULL);
    (void)far_wait(&far, far_count(&far) + 1, 1); /* one may be under way */
    n = far_count(&far);
    assert_false(far_wait(&far, n + 1, 3));
    clew__heart_use(heart, config, senders);
    assert_true(far_wait(&far, n + 1, 10));
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_heartbeat_beats),
        TEST(test_heartbeat_stands_still),
    };

    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
