/* SPDX-License-Identifier: Apache-2.0
 * RED stays exact whatever becomes of the lines. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <child.h>
#include <clew/export.h>
#include <clew/http.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void one_exchange(const char *method, const char *route, unsigned status)
{
    struct clew_extract headers;
    struct clew_http_exchange *exchange;

    clew_extract_init(&headers);
    exchange = clew_http_exchange_begin(method, "/x/1", &headers);
    clew_http_exchange_set_route(exchange, route);
    clew_http_exchange_set_status(exchange, status);
    clew_http_exchange_end(exchange, NULL);
}

static void *flood(void *arg)
{
    (void)arg;
    for (int i = 0; i < 50000; i++)
        one_exchange("GET", "/x/{id}", 200);
    return NULL;
}

#define CHECK_PAGE(expected)                                                          \
    do {                                                                              \
        char *page_;                                                                  \
        size_t len_;                                                                  \
        clew_metrics_render(true, &page_, &len_);                                     \
        if (!strstr(page_, expected)) {                                               \
            fprintf(stderr, "line %d: not there: %s\n%s", __LINE__, expected, page_); \
            return 1;                                                                 \
        }                                                                             \
        free(page_);                                                                  \
    } while (0)

static int exact_while_lines_drop(void *arg)
{
    struct clew_stats stats;
    pthread_t threads[2];

    (void)arg;
    setenv("CLEW_RING_KIB", "64", 1);
    setenv("CLEW_LOG_OUTPUT", "/dev/full", 1);
    if (clew_start("red", "1") < 0)
        return 2;
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, flood, NULL);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    clew_stats_read(&stats);
    if (stats.dropped_ring_full + stats.dropped_space == 0)
        return 3; /* nothing was lost: the test shows nothing */
    CHECK_PAGE("http_requests_total{method=\"GET\",path=\"/x/{id}\",status=\"200\"} 100000.0");
    CHECK_PAGE("http_request_duration_seconds_count{method=\"GET\",path=\"/x/{id}\"} 100000.0\n");
    CHECK_PAGE("\nactive_connections 0.0\n");
    return 0;
}

static void test_red_is_exact_while_lines_drop(void **state)
{
    (void)state;
    child_run(exact_while_lines_drop, NULL);
    assert_int_equal(child.status, 0);
}

static int level_off(void *arg)
{
    (void)arg;
    setenv("CLEW_LOG_LEVEL", "off", 1);
    if (clew_start("red", "1") < 0)
        return 2;
    CHECK_PAGE("# TYPE http_requests counter\n"); /* named before the first request */
    one_exchange("GET", "/a", 200);
    one_exchange("BREW", "/a", 418);
    one_exchange("POST", NULL, 0);
    CHECK_PAGE("http_requests_total{method=\"GET\",path=\"/a\",status=\"200\"} 1.0");
    CHECK_PAGE("http_requests_total{method=\"_OTHER\",path=\"/a\",status=\"418\"} 1.0");
    CHECK_PAGE("http_requests_total{method=\"POST\",path=\"unmatched\",status=\"500\"} 1.0");
    CHECK_PAGE("# {trace_id=\"");
    return 0;
}

static void test_red_does_not_need_the_lines(void **state)
{
    (void)state;
    child_run(level_off, NULL);
    assert_int_equal(child.status, 0);
    assert_int_equal(child.output_len, 0);
}

static int own_event(void *arg)
{
    (void)arg;
    if (clew_start("red", "1") < 0)
        return 2;
    clew_info("request completed", clew_kv("route", "/mine"), clew_kv("duration_seconds", 0.2),
              clew_kv("status", 200), clew_kv("method", "PUT"));
    clew_info("request completed", clew_kv("route", "/other")); /* not the event's shape */
    CHECK_PAGE("http_requests_total{method=\"PUT\",path=\"/mine\",status=\"200\"} 1.0");
    CHECK_PAGE(
        "http_request_duration_seconds_bucket{method=\"PUT\",path=\"/mine\",le=\"0.25\"} 1.0");
    CHECK_PAGE(
        "http_request_duration_seconds_bucket{method=\"PUT\",path=\"/mine\",le=\"0.1\"} 0.0\n");
    return 0;
}

static void test_red_takes_a_services_own_event(void **state)
{
    (void)state;
    child_run(own_event, NULL);
    assert_int_equal(child.status, 0);
}

/* 99 lines in a hundred are not written: the level of most, the ring of others. */
static int exact_without_lines(void *arg)
{
    (void)arg;
    setenv("CLEW_LOG_LEVEL", "error", 1);
    setenv("CLEW_RING_KIB", "64", 1);
    setenv("OTEL_TRACES_SAMPLER", "traceidratio", 1);
    setenv("OTEL_TRACES_SAMPLER_ARG", "0.01", 1);
    if (clew_start("red", "1") < 0)
        return 2;
    for (int i = 0; i < 100000; i++)
        if (i % 100)
            clew_info("request completed", clew_kv("method", "GET"), clew_kv("route", "/r"),
                      clew_kv("status", 200), clew_kv("duration_seconds", 0.5));
        else
            clew_error("request completed", clew_kv("method", "GET"), clew_kv("route", "/r"),
                       clew_kv("status", 500), clew_kv("duration_seconds", 0.25));
    CHECK_PAGE("http_requests_total{method=\"GET\",path=\"/r\",status=\"200\"} 99000.0");
    CHECK_PAGE("http_requests_total{method=\"GET\",path=\"/r\",status=\"500\"} 1000.0");
    CHECK_PAGE("http_request_duration_seconds_count{method=\"GET\",path=\"/r\"} 100000.0\n");
    CHECK_PAGE("http_request_duration_seconds_sum{method=\"GET\",path=\"/r\"} 49750.0\n");
    return 0;
}

static void test_red_is_exact_without_lines(void **state)
{
    size_t lines = 0;

    (void)state;
    child_run(exact_without_lines, NULL);
    assert_int_equal(child.status, 0);
    for (size_t i = 0; i < child.output_len; i++)
        lines += child.output[i] == '\n';
    assert_true(lines <= 1000);
}

static int other_events(void *arg)
{
    (void)arg;
    setenv("CLEW_METRICS_PREFIX", "marty_", 1);
    setenv("CLEW_LOG_LEVEL", "off", 1);
    if (clew_start("red", "1") < 0)
        return 2;
    clew_trace("grpc call started", clew_kv("service", "s"), clew_kv("method", "m"));
    CHECK_PAGE("\nmarty_grpc_active_connections 1.0\n");
    clew_info("grpc call completed", clew_kv("service", "s"), clew_kv("method", "m"),
              clew_kv("status", "INTERNAL"), clew_kv("duration_seconds", 0.0005));
    CHECK_PAGE("\nmarty_grpc_active_connections 0.0\n");
    CHECK_PAGE("marty_grpc_requests_total{service=\"s\",method=\"m\",status=\"INTERNAL\"} 1.0\n");
    CHECK_PAGE("marty_grpc_errors_total{service=\"s\",method=\"m\",error_type=\"INTERNAL\"} 1.0\n");
    CHECK_PAGE(
        "marty_grpc_request_duration_seconds_bucket{service=\"s\",method=\"m\",le=\"0.001\"} "
        "1.0\n");
    clew_info("kafka message processed", clew_kv("topic", "t"), clew_kv("partition", 3),
              clew_kv("status", "ok"), clew_kv("duration_seconds", 0.1), clew_kv("lag", 12));
    CHECK_PAGE("marty_kafka_messages_consumed_total{topic=\"t\",status=\"ok\"} 1.0\n");
    CHECK_PAGE("marty_kafka_consumer_lag{topic=\"t\",partition=\"3\"} 12.0\n");
    clew_trace("database query completed", clew_kv("system", "sqlite"),
               clew_kv("operation", "SELECT"), clew_kv("status", "ok"),
               clew_kv("duration_seconds", 0.1));
    CHECK_PAGE(
        "marty_db_queries_total{system=\"sqlite\",operation=\"SELECT\",status=\"ok\"} 1.0\n");
    clew_trace("database connections", clew_kv("active", 4), clew_kv("idle", 6));
    CHECK_PAGE("\nmarty_database_connections_active 4.0\n");
    CHECK_PAGE("\nmarty_db_connections_idle 6.0\n");
    clew_trace("cache lookup", clew_kv("cache_type", "redis"), clew_kv("hit", (bool)true));
    clew_trace("cache lookup", clew_kv("cache_type", "redis"), clew_kv("hit", (bool)false));
    CHECK_PAGE("marty_cache_hits_total{cache_type=\"redis\"} 1.0\n");
    CHECK_PAGE("marty_cache_misses_total{cache_type=\"redis\"} 1.0\n");
    clew_info("business transaction completed", clew_kv("transaction_type", "order"),
              clew_kv("status", "success"), clew_duration("duration_seconds", 20000000));
    CHECK_PAGE("marty_business_transactions_total{transaction_type=\"order\",status=\"success\"} "
               "1.0\n");
    CHECK_PAGE(
        "marty_business_transaction_duration_seconds_sum{transaction_type=\"order\"} 0.02\n");
    return 0;
}

static void test_red_knows_other_events(void **state)
{
    (void)state;
    child_run(other_events, NULL);
    assert_int_equal(child.status, 0);
}

static int conventions(void *arg)
{
    (void)arg;
    setenv("CLEW_METRICS_NAMES", "both", 1);
    if (clew_start("red", "1") < 0)
        return 2;
    one_exchange("GET", "/a", 200);
    CHECK_PAGE("http_requests_total{method=\"GET\",path=\"/a\",status=\"200\"} 1.0");
    CHECK_PAGE("http_server_request_duration_seconds_count{http_request_method=\"GET\","
               "http_route=\"/a\",http_response_status_code=\"200\"} 1.0\n");
    CHECK_PAGE("http_server_active_requests{http_request_method=\"GET\"} 0.0\n");
    return 0;
}

static void test_red_knows_opentelemetrys_names(void **state)
{
    (void)state;
    child_run(conventions, NULL);
    assert_int_equal(child.status, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, child_setup, child_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_red_is_exact_while_lines_drop),  TEST(test_red_does_not_need_the_lines),
        TEST(test_red_takes_a_services_own_event), TEST(test_red_is_exact_without_lines),
        TEST(test_red_knows_other_events),         TEST(test_red_knows_opentelemetrys_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
