/* SPDX-License-Identifier: Apache-2.0
 * The senders against a far side that answers as it is told. */
#include "bridge.h"

#include <common/instant.h>
#include <delivery/delivery.h>

#include <clew/sink.h>

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct bench bench;
static struct far far;
static struct clew__config *config;
static struct clew__store *store;
static struct clew__senders *senders;

static int setup(void **state)
{
    (void)state;
    bench_init(&bench);
    far_start(&far);
    config = load_config(&bench, usual_config(far.port, ""));
    store = open_store(&bench);
    assert_int_equal(clew__senders_start(config, store, &senders), 0);
    return 0;
}

static void stop_senders(void)
{
    senders = clew__senders_stop(senders, clew__instant_now() + 5 * CLEW__SECOND_NS);
}

static int teardown(void **state)
{
    (void)state;
    stop_senders();
    store = clew__store_close(store);
    config = clew__config_free(config);
    far_stop(&far);
    bench_done(&bench);
    return 0;
}

static void apply_at(int64_t now, const struct made_alert *alerts, size_t n)
{
    char *body = make_body("g", "http://am.example", 0, alerts, n);

    apply_body(store, config, body, now);
    if (senders)
        clew__senders_wake(senders);
}

static void apply(const struct made_alert *alerts, size_t n)
{
    apply_at(clew__instant_now(), alerts, n);
}

#define FIRING(i)                                            \
    {                                                        \
        "A", "critical", "firing", "2026-01-01T00:00:00Z", i \
    }
#define RESOLVED(i)                                            \
    {                                                          \
        "A", "critical", "resolved", "2026-01-01T00:00:00Z", i \
    }

static const char *action(size_t i)
{
    const char *text = json_string_value(json_object_get(far.requests[i].body, "event_action"));

    return text ? text : "slack";
}

static void test_delivery_delivers(void **state)
{
    const struct made_alert firing[] = {FIRING(1), FIRING(2)}, over[] = {RESOLVED(1), RESOLVED(2)};

    (void)state;
    apply(firing, 2);
    assert_true(far_wait(&far, 3, 10));
    apply(over, 2);
    assert_true(far_wait(&far, 6, 10));
    wait_for_queue(store, 0);
    assert_int_equal(far_pager(&far).opened, 2);
    assert_int_equal(far_pager(&far).open, 0);
    assert_false(far_pager(&far).late);
}

/* 503, cut connections and 429 before each yes; order per incident holds. */
static unsigned stumble(struct far *self, const struct far_request *request, const char **text,
                        const char **retry_after)
{
    static const unsigned answers[] = {503, 0, 202};
    unsigned *n = self->arg;

    (void)text, (void)retry_after;
    return strncmp(request->path, "/v2/", 4) == 0 ? answers[(*n)++ % 3] : 200;
}

static void test_delivery_retries_in_order(void **state)
{
    const struct made_alert firing[] = {FIRING(1)}, over[] = {RESOLVED(1)};
    unsigned n = 0;

    (void)state;
    far.arg = &n;
    far.decide = stumble;
    apply(firing, 1);
    apply(over, 1);
    assert_true(far_wait(&far, 8, 30));
    wait_for_queue(store, 0);
    for (size_t i = 0, seen = 0; i < far.n; i++)
        if (strcmp(action(i), "slack") != 0) {
            /* three attempts at the trigger, then three at the resolve */
            assert_string_equal(action(i), seen < 3 ? "trigger" : "resolve");
            seen++;
        }
    assert_int_equal(far_pager(&far).most, 1);
    assert_int_equal(far_pager(&far).open, 0);
}

static unsigned slow_down(struct far *self, const struct far_request *request, const char **text,
                          const char **retry_after)
{
    unsigned *n = self->arg;

    (void)text;
    if (strncmp(request->path, "/v2/", 4) == 0 || (*n)++ > 0)
        return 200;
    *retry_after = "2";
    return 429;
}

static void test_delivery_honours_retry_after(void **state)
{
    const struct made_alert one[] = {FIRING(1)}, two[] = {FIRING(2)};
    unsigned n = 0;
    int64_t told = 0;

    (void)state;
    far.arg = &n;
    far.decide = slow_down;
    apply(one, 1);
    assert_true(far_wait(&far, 2, 10));
    apply(two, 1); /* a new message is no reason to ask earlier */
    assert_true(far_wait(&far, 5, 20));
    for (size_t i = 0; i < far.n; i++) {
        if (strcmp(action(i), "slack") != 0)
            continue;
        if (told)
            assert_true(far.requests[i].at - told >= 2 * CLEW__SECOND_NS);
        else
            told = far.requests[i].at;
    }
    wait_for_queue(store, 0);
}

static unsigned limit_events(struct far *self, const struct far_request *request, const char **text,
                             const char **retry_after)
{
    unsigned *n = self->arg;

    (void)text;
    if (strncmp(request->path, "/v2/", 4) != 0 || (*n)++ > 0)
        return strncmp(request->path, "/v2/", 4) == 0 ? 202 : 200;
    *retry_after = "2";
    return 429;
}

/* A limit is one of the routing key, so it holds for its other incidents too. */
static void test_delivery_limit_holds_for_the_target(void **state)
{
    const struct made_alert alerts[] = {FIRING(1), FIRING(2), FIRING(3)};
    unsigned n = 0;
    int64_t told = 0;

    (void)state;
    far.arg = &n;
    far.decide = limit_events;
    apply(alerts, 3);
    assert_true(far_wait(&far, 5, 20));
    for (size_t i = 0; i < far.n; i++) {
        if (strcmp(action(i), "slack") == 0)
            continue;
        if (told)
            assert_true(far.requests[i].at - told >= 2 * CLEW__SECOND_NS);
        else
            told = far.requests[i].at;
    }
    wait_for_queue(store, 0);
    assert_int_equal(far_pager(&far).opened, 3);
}

static unsigned refuse_host_1(struct far *self, const struct far_request *request,
                              const char **text, const char **retry_after)
{
    json_t *payload = json_object_get(request->body, "payload");
    const char *source = json_string_value(json_object_get(payload, "source"));

    (void)self, (void)retry_after;
    *text = "invalid key " ROUTING_KEY;
    return source && strcmp(source, "host-1") == 0 ? 400 : 202;
}

static void test_delivery_dead_letter_blocks_nobody(void **state)
{
    const struct made_alert firing[] = {FIRING(1), FIRING(2), FIRING(3)};

    (void)state;
    far.decide = refuse_host_1;
    apply(firing, 3);
    assert_true(far_wait(&far, 4, 10));
    wait_for_queue(store, 0);
    assert_int_equal(queue_of(store).dead, 1);
    assert_int_equal(far_pager(&far).opened, 2);
    assert_int_equal(far.n, 4); /* 400 is not tried again */
}

static void test_delivery_gives_up_after_three_days(void **state)
{
    const struct made_alert old[] = {FIRING(1)}, young[] = {FIRING(2)};
    int64_t hour = 3600 * CLEW__SECOND_NS;

    (void)state;
    apply_at(clew__instant_now() - 73 * hour, old, 1);
    apply_at(clew__instant_now() - 71 * hour, young, 1);
    assert_true(far_wait(&far, 2, 10));
    wait_for_queue(store, 0);
    assert_int_equal(far.n, 2);
    assert_int_equal(queue_of(store).dead, 2);
}

static void test_delivery_hanging_slack_delays_nobody_else(void **state)
{
    const struct made_alert firing[] = {FIRING(1), FIRING(2)};
    int64_t start = clew__instant_now();

    (void)state;
    far.hang_path = "/services/";
    far.hang_ms = 1500;
    apply(firing, 2);
    assert_true(far_wait(&far, 2, 10));
    assert_true(clew__instant_now() - start < CLEW__SECOND_NS);
    assert_int_equal(far_pager(&far).opened, 2);
    assert_true(far_wait(&far, 3, 10));
}

static void test_delivery_goes_on_after_a_restart(void **state)
{
    const struct made_alert firing[] = {FIRING(1), FIRING(2)}, over[] = {RESOLVED(1)};

    (void)state;
    stop_senders();
    apply(firing, 2);
    apply(over, 1);
    assert_int_equal(far_count(&far), 0);
    assert_int_equal(queue_of(store).queued, 5);
    assert_int_equal(clew__senders_start(config, store, &senders), 0);
    assert_true(far_wait(&far, 5, 10));
    wait_for_queue(store, 0);
    assert_int_equal(far_pager(&far).opened, 2);
    assert_int_equal(far_pager(&far).open, 1);
}

static void test_delivery_stop_cuts_a_hanging_request(void **state)
{
    const struct made_alert firing[] = {FIRING(1)};
    int64_t start;

    (void)state;
    far.hang_path = "/";
    far.hang_ms = 3000;
    apply(firing, 1);
    wait_for_queue(store, 2);
    start = clew__instant_now();
    senders = clew__senders_stop(senders, start + CLEW__SECOND_NS / 2);
    assert_true(clew__instant_now() - start < 2 * CLEW__SECOND_NS);
    assert_int_equal(queue_of(store).queued, 2); /* for the next start */
}

/* What is exported about the requests. Written by the collector's thread, read
 * after a flush. */
static struct clew__buf spans;

static void take_span(void *self, const struct clew_span_record *span)
{
    (void)self;
    clew__buf_addf(&spans, "%s:", span->name);
    for (size_t i = 0; i < span->nattributes; i++)
        if (span->attributes[i].type == CLEW_TYPE_STRING)
            clew__buf_addf(&spans, " %s=%.*s", span->attributes[i].key,
                           (int)span->attributes[i].value.len, span->attributes[i].value.as.s);
    clew__buf_addc(&spans, '\n');
}

static const struct clew_sink_ops span_sink = {.name = "test", .span = take_span};

/* The lines about a page carry the ids of the webhook that caused it, and nothing
 * that is secret, not even when the far side says it aloud. */
static void test_delivery_log_has_no_secret(void **state)
{
    const struct made_alert firing[] = {FIRING(1), FIRING(2)};
    char *log;

    (void)state;
    clew__buf_init(&spans, 1u << 20);
    assert_int_equal(clew_sink_add(&span_sink, NULL), 0);
    far.decide = refuse_host_1;
    apply(firing, 2);
    assert_true(far_wait(&far, 3, 10));
    wait_for_queue(store, 0);
    assert_int_equal(clew_log_flush(5000), 0);
    log = read_text(getenv("CLEW_LOG_OUTPUT"), NULL);
    assert_non_null(strstr(log, "page delivered"));
    assert_non_null(strstr(log, "page given up"));
    assert_non_null(strstr(log, "\"request_id\":\"the-request\""));
    assert_non_null(strstr(log, "\"trace_id\":\"0af7651916cd43dd8448eb211c80319c\""));
    assert_null(strstr(log, "SECRET"));
    clew__buf_addc(&spans, '\0');
    assert_non_null(strstr(spans.data, "url.full=http://127.0.0.1/"));
    assert_null(strstr(spans.data, "SECRET"));
    free(log);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_delivery_log_has_no_secret), /* the log's file is the first test's */
        TEST(test_delivery_delivers),
        TEST(test_delivery_retries_in_order),
        TEST(test_delivery_honours_retry_after),
        TEST(test_delivery_limit_holds_for_the_target),
        TEST(test_delivery_dead_letter_blocks_nobody),
        TEST(test_delivery_gives_up_after_three_days),
        TEST(test_delivery_hanging_slack_delays_nobody_else),
        TEST(test_delivery_goes_on_after_a_restart),
        TEST(test_delivery_stop_cuts_a_hanging_request),
    };

    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
