/* SPDX-License-Identifier: Apache-2.0
 * clew_start() to the far side and back: delivery against a server that
 * behaves as told. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "sample.h"

#include <child.h>
#include <clew/export.h>
#include <clew/trace.h>
#include <fake_http.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int setup(void **state)
{
    setenv("CLEW_LOG_OUTPUT", "none", 1);
    return child_setup(state);
}

#define N(list) (sizeof(list) / sizeof(list[0]))

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void use(const char *variable, uint16_t port)
{
    char url[64];

    snprintf(url, sizeof(url), "http://127.0.0.1:%u", port);
    setenv(variable, url, 1);
}

static void run(int (*scenario)(void *))
{
    child_run(scenario, NULL);
    assert_int_equal(child.status, 0);
}

static int accepted(void *arg)
{
    static const struct fake_answer answers[] = {{204, NULL, NULL, 0}};
    struct fake_http *server = fake_http_start(answers, N(answers));

    (void)arg;
    use("CLEW_LOKI_URL", fake_http_port(server));
    setenv("CLEW_LOKI_TENANT", "team-a", 1);
    CHECK(clew_start("s", "1") == 0);
    CHECK(clew_start("s", "1") == 1);
    for (int i = 0; i < 100; i++)
        clew_info("line");
    CHECK(clew_flush(5000) == 0);
    CHECK(fake_http_count(server) >= 1);
    CHECK(strcmp(fake_http_request(server, 0)->path, "/loki/api/v1/push") == 0);
    CHECK(strcmp(fake_http_request(server, 0)->content_type, "application/x-protobuf") == 0);
    CHECK(strcmp(fake_http_request(server, 0)->content_encoding, "snappy") == 0);
    CHECK(strcmp(fake_http_request(server, 0)->tenant, "team-a") == 0);
    CHECK(sample("clew_export_records_total{destination=\"loki\",outcome=\"accepted\"}") == 100);
    clew_stop();
    fake_http_stop(server);
    return 0;
}

static int rejected(void *arg)
{
    static const struct fake_answer answers[] = {{400, NULL, "timestamp too old", 17},
                                                 {204, NULL, NULL, 0}};
    struct fake_http *server = fake_http_start(answers, N(answers));

    (void)arg;
    use("CLEW_LOKI_URL", fake_http_port(server));
    CHECK(clew_start("s", "1") == 0);
    clew_info("line");
    CHECK(clew_flush(5000) == 1);
    CHECK(sample("clew_export_records_total{destination=\"loki\",outcome=\"rejected\"}") == 1);
    clew_stop(); /* sends the warning about it: a second request, not a repeat */
    CHECK(fake_http_count(server) == 2);
    CHECK(fake_http_request(server, 1)->len != fake_http_request(server, 0)->len);
    fake_http_stop(server);
    return 0;
}

static int retried(void *arg)
{
    static const struct fake_answer answers[] = {
        {429, "2", NULL, 0}, {503, NULL, NULL, 0}, {204, NULL, NULL, 0}};
    struct fake_http *server = fake_http_start(answers, N(answers));
    const struct fake_request *first, *second, *third;

    (void)arg;
    use("CLEW_LOKI_URL", fake_http_port(server));
    CHECK(clew_start("s", "1") == 0);
    clew_info("line");
    CHECK(clew_flush(200) != 0); /* the truth: it is not there yet */
    CHECK(fake_http_wait(server, 3, 15000));
    first = fake_http_request(server, 0);
    second = fake_http_request(server, 1);
    third = fake_http_request(server, 2);
    CHECK(second->time_ns - first->time_ns >= UINT64_C(2000000000)); /* not earlier than told */
    CHECK(second->len == first->len && memcmp(second->body, first->body, first->len) == 0);
    CHECK(third->len == first->len);
    CHECK(clew_flush(5000) == 0);
    clew_stop();
    fake_http_stop(server);
    return 0;
}

static int echoes(void *arg)
{
    static const struct fake_answer answers[] = {
        {400, NULL, "you sent Authorization: Bearer hush-hush", 40}, {204, NULL, NULL, 0}};
    struct fake_http *server = fake_http_start(answers, N(answers));

    (void)arg;
    use("CLEW_LOKI_URL", fake_http_port(server));
    setenv("CLEW_LOKI_BEARER_TOKEN", "hush-hush", 1);
    setenv("CLEW_LOG_OUTPUT", "stdout", 1);
    CHECK(clew_start("s", "1") == 0);
    clew_info("line");
    CHECK(clew_flush(5000) == 1);
    clew_stop();
    fake_http_stop(server);
    return 0;
}

static void test_export_secrets_stay_out_of_the_log(void **state)
{
    (void)state;
    run(echoes);
    assert_int_equal(child_count("export failed"), 1);
    assert_null(strstr(child.output, "hush"));
}

/* Answers of an outage do not count against a batch; a 500 alone does not end it. */
static int outage_then_500(void *arg)
{
    static const struct fake_answer answers[] = {
        {503, NULL, NULL, 0}, {503, NULL, NULL, 0}, {500, NULL, NULL, 0}, {204, NULL, NULL, 0}};
    struct fake_http *server = fake_http_start(answers, N(answers));

    (void)arg;
    use("CLEW_LOKI_URL", fake_http_port(server));
    CHECK(clew_start("s", "1") == 0);
    clew_info("line");
    CHECK(clew_flush(20000) == 0);
    CHECK(sample("clew_export_records_total{destination=\"loki\",outcome=\"rejected\"}") == 0);
    clew_stop();
    fake_http_stop(server);
    return 0;
}

static void test_export_outage_and_errors(void **state)
{
    (void)state;
    run(outage_then_500);
}

static int refused_then_up(void *arg)
{
    static const struct fake_answer answers[] = {{200, NULL, NULL, 0}};
    struct fake_http *server = fake_http_start(answers, N(answers));
    uint16_t port = fake_http_port(server);

    (void)arg;
    fake_http_stop(server);
    use("OTEL_EXPORTER_OTLP_ENDPOINT", port);
    setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip", 1);
    setenv("OTEL_BSP_SCHEDULE_DELAY", "1", 1);
    CHECK(clew_start("s", "1") == 0);
    clew_span_end(clew_span_start("waits", CLEW_SPAN_INTERNAL));
    CHECK(clew_flush(100) != 0);
    server = fake_http_start_on(port, answers, N(answers));
    CHECK(fake_http_wait(server, 1, 15000));
    CHECK(strcmp(fake_http_request(server, 0)->path, "/v1/traces") == 0);
    CHECK(strcmp(fake_http_request(server, 0)->content_encoding, "gzip") == 0);
    CHECK(clew_flush(5000) == 0);
    CHECK(sample("clew_export_records_total{destination=\"otlp_traces\",outcome=\"accepted\"}") ==
          1);
    clew_stop();
    fake_http_stop(server);
    return 0;
}

static int hangs(void *arg)
{
    static const struct fake_answer answers[] = {{0, NULL, NULL, 0}};
    struct fake_http *server = fake_http_start(answers, N(answers));
    uint64_t before, took;

    (void)arg;
    use("CLEW_LOKI_URL", fake_http_port(server));
    setenv("CLEW_SHUTDOWN_TIMEOUT_MS", "300", 1);
    CHECK(clew_start("s", "1") == 0);
    clew_info("line");
    before = now_ns();
    clew_stop();
    took = now_ns() - before;
    CHECK(took < UINT64_C(900000000));
    CHECK(sample("clew_export_records_total{destination=\"loki\",outcome=\"dropped\"}") == 1);
    CHECK(fake_http_count(server) == 1);
    fake_http_stop(server);
    return 0;
}

static void test_export_accepted(void **state)
{
    (void)state;
    run(accepted);
}

static void test_export_rejected_is_not_repeated(void **state)
{
    (void)state;
    run(rejected);
}

static void test_export_retries_no_earlier_than_told(void **state)
{
    (void)state;
    run(retried);
}

static void test_export_waits_for_the_far_side(void **state)
{
    (void)state;
    run(refused_then_up);
}

static void test_export_shutdown_keeps_its_deadline(void **state)
{
    (void)state;
    run(hangs);
}

static int port_is_taken(void *arg)
{
    static const struct fake_answer answers[] = {{204, NULL, NULL, 0}};
    struct fake_http *server = fake_http_start(answers, N(answers));
    char address[64];

    (void)arg;
    snprintf(address, sizeof(address), "127.0.0.1:%u", fake_http_port(server));
    setenv("CLEW_MANAGEMENT_ADDRESS", address, 1);
    CHECK(clew_start("svc", "2.0") < 0);
    CHECK(strstr(clew_last_error(), "CLEW_MANAGEMENT_ADDRESS"));
    use("CLEW_LOKI_URL", fake_http_port(server));
    setenv("CLEW_MANAGEMENT_ADDRESS", "127.0.0.1:0", 1);
    setenv("CLEW_LOG_LEVEL", "loud", 1);
    CHECK(clew_start("svc", "2.0") < 0); /* fails as the last step */
    CHECK(strstr(clew_last_error(), "CLEW_LOG_LEVEL"));
    setenv("CLEW_LOG_LEVEL", "info", 1);
    CHECK(clew_start("svc", "2.0") == 0);
    clew_info("request completed", clew_kv("route", "/once"), clew_kv("duration_seconds", 0.2),
              clew_kv("status", 200), clew_kv("method", "GET"));
    CHECK(clew_flush(5000) == 0);
    CHECK(sample("http_requests_total{method=\"GET\",path=\"/once\",status=\"200\"}") == 1);
    CHECK(sample("clew_export_records_total{destination=\"loki\",outcome=\"accepted\"}") == 1);
    CHECK(fake_http_count(server) == 1);
    clew_stop();
    fake_http_stop(server);
    return 0;
}

static void test_export_failed_start_can_be_repeated(void **state)
{
    (void)state;
    run(port_is_taken);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, child_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_export_accepted),
        TEST(test_export_rejected_is_not_repeated),
        TEST(test_export_retries_no_earlier_than_told),
        TEST(test_export_waits_for_the_far_side),
        TEST(test_export_secrets_stay_out_of_the_log),
        TEST(test_export_outage_and_errors),
        TEST(test_export_shutdown_keeps_its_deadline),
        TEST(test_export_failed_start_can_be_repeated),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
