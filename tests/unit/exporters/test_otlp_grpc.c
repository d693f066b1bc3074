/* SPDX-License-Identifier: Apache-2.0
 * Spans over gRPC without TLS, to a far side that behaves, and to many that do
 * not: one connection, nothing lost, nothing twice that was acknowledged. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "sample.h"

#include <child.h>
#include <clew/export.h>
#include <clew/trace.h>
#include <fake_grpc.h>
#include <h2c_headers.h>
#include <otlp_read.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MS UINT64_C(1000000)
#define N(list) (sizeof(list) / sizeof(list[0]))
#define ANSWERS(...)                                           \
    .answers = (const struct fake_grpc_answer[]){__VA_ARGS__}, \
    .n = N(((const struct fake_grpc_answer[]){__VA_ARGS__}))

static int setup(void **state)
{
    setenv("CLEW_LOG_OUTPUT", "none", 1);
    setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", 1);
    return child_setup(state);
}

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void use_host(const char *host, uint16_t port)
{
    char url[64];

    snprintf(url, sizeof(url), "http://%s:%u", host, port);
    setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url, 1);
}

/* A server, and we send to it; static, because children of a fork know of it. */
static struct fake_grpc *server;

static bool start(const struct fake_grpc_options *options)
{
    server = fake_grpc_start(options);
    use_host("127.0.0.1", fake_grpc_port(server));
    return clew_start("s", "1") == 0;
}

static void make_spans(const char *name, int n)
{
    for (int i = 0; i < n; i++)
        clew_span_end(clew_span_start(name, CLEW_SPAN_INTERNAL));
}

static double exported(const char *outcome)
{
    char name[128];

    snprintf(name, sizeof(name),
             "clew_export_records_total{destination=\"otlp_traces\",outcome=\"%s\"}", outcome);
    return sample(name);
}

static double retries(void)
{
    return sample("clew_export_retries_total{destination=\"otlp_traces\"}");
}

struct count {
    const char *name;
    size_t n;
};

static bool count_name(void *arg, const struct clew__otlp_span *span)
{
    struct count *count = arg;

    count->n += span->name_len == strlen(count->name) &&
                memcmp(span->name, count->name, span->name_len) == 0;
    return true;
}

/* Spans of that name in requests that were answered with OK. */
static size_t acknowledged(const char *name)
{
    struct count count = {name, 0};

    for (size_t i = 0; i < fake_grpc_count(server); i++) {
        const struct fake_grpc_request *request = fake_grpc_request(server, i);

        if (request->ok && clew__otlp_read(request->message, request->len, count_name, &count) < 0)
            return SIZE_MAX;
    }
    return count.n;
}

static void run(int (*scenario)(void *), const void *arg)
{
    child_run(scenario, (void *)arg);
    assert_int_equal(child.status, 0);
}

/* ---- connections ----------------------------------------------------------------------- */

static int many_requests(void *arg)
{
    const struct fake_grpc_options options = {ANSWERS({FAKE_GRPC_OK, 0}), .pings = true};

    (void)arg;
    CHECK(start(&options));
    for (int i = 0; i < 50; i++) {
        make_spans("a", 20);
        CHECK(clew_flush(5000) == 0);
    }
    CHECK(fake_grpc_count(server) == 50);
    CHECK(acknowledged("a") == 1000);
    CHECK(exported("accepted") == 1000);
    CHECK(fake_grpc_connections(server) == 1);
    CHECK(fake_grpc_pongs(server) >= 49); /* the last may be on its way */
    CHECK(clew_shutdown(5000) == 0);
    fake_grpc_stop(server);
    return 0;
}

static void test_otlp_grpc_one_connection_serves_many_requests(void **state)
{
    (void)state;
    run(many_requests, NULL);
}

struct outcome {
    struct fake_grpc_options options;
    size_t connections;
    int flushed; /* what the last clew_flush() says */
    size_t requests, accepted, rejected, retries;
};

/* Four times ten spans, each flushed. */
static int four_batches(void *arg)
{
    const struct outcome *expected = arg;
    int flushed = 0;

    CHECK(start(&expected->options));
    for (int i = 0; i < 4; i++) {
        int err;

        make_spans("a", 10);
        err = clew_flush(10000);
        if (err)
            flushed = err;
    }
    CHECK(flushed == expected->flushed);
    CHECK(acknowledged("a") == expected->accepted);
    CHECK(exported("accepted") == (double)expected->accepted);
    CHECK(exported("rejected") == (double)expected->rejected);
    CHECK(exported("dropped") == 0);
    CHECK(fake_grpc_count(server) == expected->requests);
    CHECK(fake_grpc_connections(server) == expected->connections);
    CHECK(retries() == (double)expected->retries);
    CHECK(clew_shutdown(5000) == 0);
    fake_grpc_stop(server);
    return 0;
}

#define OK              \
    {                   \
        FAKE_GRPC_OK, 0 \
    }

static void test_otlp_grpc_goaway_goes_again_on_a_new_connection(void **state)
{
    /* a connection that served before: at once, and not counted as a retry */
    const struct outcome later = {.options = {ANSWERS(OK, OK, {FAKE_GRPC_GOAWAY, 0}, OK)},
                                  .connections = 2,
                                  .requests = 5,
                                  .accepted = 40};
    const struct outcome first = {.options = {ANSWERS({FAKE_GRPC_GOAWAY, 0}, OK)},
                                  .connections = 2,
                                  .requests = 5,
                                  .accepted = 40,
                                  .retries = 1};

    (void)state;
    run(four_batches, &later);
    run(four_batches, &first);
}

static void test_otlp_grpc_goaway_lets_the_request_end(void **state)
{
    const struct outcome expected = {.options = {ANSWERS(OK, {FAKE_GRPC_OK_AND_LEAVE, 0}, OK)},
                                     .connections = 2,
                                     .requests = 4,
                                     .accepted = 40};

    (void)state;
    run(four_batches, &expected);
}

static void test_otlp_grpc_dead_connection_is_replaced(void **state)
{
    const struct outcome kept = {.options = {ANSWERS(OK, {FAKE_GRPC_HANG_UP, 0}, OK)},
                                 .connections = 2,
                                 .requests = 5,
                                 .accepted = 40};
    const struct outcome first = {.options = {ANSWERS({FAKE_GRPC_HANG_UP, 0}, OK)},
                                  .connections = 2,
                                  .requests = 5,
                                  .accepted = 40,
                                  .retries = 1};

    (void)state;
    run(four_batches, &kept);
    run(four_batches, &first);
}

static void test_otlp_grpc_reset_is_tried_again(void **state)
{
    const struct outcome refused = {.options = {ANSWERS(OK, {FAKE_GRPC_RESET, 7}, OK)},
                                    .connections = 1,
                                    .requests = 5,
                                    .accepted = 40,
                                    .retries = 1};
    const struct outcome internal = {.options = {ANSWERS(OK, {FAKE_GRPC_RESET, 2}, OK)},
                                     .connections = 1,
                                     .requests = 5,
                                     .accepted = 40,
                                     .retries = 1};

    (void)state;
    run(four_batches, &refused);
    run(four_batches, &internal);
}

/* ---- answers --------------------------------------------------------------------------------- */

static void test_otlp_grpc_trailers_only(void **state)
{
    const struct outcome unavailable = {.options = {ANSWERS({FAKE_GRPC_TRAILERS, 14}, OK)},
                                        .connections = 1,
                                        .requests = 5,
                                        .accepted = 40,
                                        .retries = 1};
    const struct outcome exhausted = {.options = {ANSWERS(OK, {FAKE_GRPC_TRAILERS, 8}, OK)},
                                      .connections = 1,
                                      .requests = 6, /* all, one half, the other */
                                      .accepted = 40};
    const struct outcome denied = {.options = {ANSWERS(OK, {FAKE_GRPC_TRAILERS, 7}, OK)},
                                   .connections = 1,
                                   .flushed = 1,
                                   .requests = 4,
                                   .accepted = 30,
                                   .rejected = 10};

    (void)state;
    run(four_batches, &unavailable);
    run(four_batches, &exhausted);
    run(four_batches, &denied);
}

static void test_otlp_grpc_answers_are_bounded(void **state)
{
    const struct outcome headers = {.options = {ANSWERS(OK, {FAKE_GRPC_BOMB, 0}, OK)},
                                    .connections = 1,
                                    .flushed = 1,
                                    .requests = 4,
                                    .accepted = 30,
                                    .rejected = 10};
    const struct outcome body = {.options = {ANSWERS(OK, {FAKE_GRPC_LONG, 0}, OK)},
                                 .connections = 1,
                                 .flushed = 1,
                                 .requests = 4,
                                 .accepted = 30,
                                 .rejected = 10};

    (void)state;
    run(four_batches, &headers);
    run(four_batches, &body);
}

/* The answer is there before the request is: that is more than its window. */
static int answered_early(void *arg)
{
    const struct fake_grpc_options options = {ANSWERS({FAKE_GRPC_EARLY, 7}, {FAKE_GRPC_OK, 0}),
                                              .window = 65535};

    (void)arg;
    CHECK(start(&options));
    make_spans("many", 4000);
    CHECK(clew_flush(10000) >= 0); /* 0: it was refused before */
    CHECK(exported("rejected") >= 512);
    CHECK(exported("rejected") + exported("accepted") == 4000);
    CHECK(acknowledged("many") == exported("accepted"));
    CHECK(fake_grpc_connections(server) <= 2);
    CHECK(clew_shutdown(5000) == 0);
    fake_grpc_stop(server);
    return 0;
}

static void test_otlp_grpc_answer_before_the_end_of_the_request(void **state)
{
    (void)state;
    setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4000", 1);
    setenv("OTEL_BSP_MAX_QUEUE_SIZE", "4000", 1);
    run(answered_early, NULL);
}

/* ---- windows and pieces ------------------------------------------------------------------------
 */

static int little_by_little(void *arg)
{
    const struct fake_grpc_options options = {ANSWERS({FAKE_GRPC_OK, 0}), .window = 1};

    (void)arg;
    CHECK(start(&options));
    for (int i = 0; i < 3; i++) {
        make_spans("slow", 10);
        CHECK(clew_flush(20000) == 0);
    }
    CHECK(acknowledged("slow") == 30);
    CHECK(fake_grpc_connections(server) == 1);
    CHECK(clew_shutdown(5000) == 0);
    fake_grpc_stop(server);
    return 0;
}

static void test_otlp_grpc_window_of_one_byte(void **state)
{
    (void)state;
    run(little_by_little, NULL);
}

/* Spans of scopes that take turns are one piece of the body each. */
static int many_pieces(void *arg)
{
    const struct fake_grpc_options options = {ANSWERS({FAKE_GRPC_OK, 0})};
    char name[3000];

    (void)arg;
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    CHECK(start(&options));
    for (int i = 0; i < 5000; i++)
        clew_span_end(clew_span_start_with(
            i % 7 ? "piece" : name, &(struct clew_span_options){.scope = i % 2 ? "odd" : "even"}));
    CHECK(clew_flush(20000) == 0);
    CHECK(acknowledged("piece") == 5000 - 715);
    CHECK(exported("accepted") == 5000);
    CHECK(clew_shutdown(5000) == 0);
    fake_grpc_stop(server);
    return 0;
}

static void test_otlp_grpc_many_pieces_and_bytes(void **state)
{
    (void)state;
    run(many_pieces, NULL);
}

/* ---- deadlines ---------------------------------------------------------------------------------
 */

/* A first small request may pass. */
static int keep_deadlines(void)
{
    uint64_t before, took;

    setenv("CLEW_SHUTDOWN_TIMEOUT_MS", "60000", 1);
    CHECK(clew_start("s", "1") == 0);
    make_spans("late", 2000);
    before = now_ns();
    CHECK(clew_flush(300) == -ETIMEDOUT);
    took = now_ns() - before;
    CHECK(took >= 300 * MS && took < 350 * MS);
    before = now_ns();
    CHECK(clew_shutdown(300) == -ETIMEDOUT);
    took = now_ns() - before;
    CHECK(took >= 290 * MS && took < 350 * MS);
    CHECK(exported("dropped") > 0);
    CHECK(exported("dropped") + exported("accepted") == 2000);
    return 0;
}

static int against(void *arg)
{
    int err;

    server = fake_grpc_start(arg);
    use_host("127.0.0.1", fake_grpc_port(server));
    err = keep_deadlines();
    fake_grpc_stop(server);
    return err;
}

static void test_otlp_grpc_deadline_when_it_hangs(void **state)
{
    const struct fake_grpc_options hangs = {ANSWERS({FAKE_GRPC_HANG, 0})};
    const struct fake_grpc_options shut = {ANSWERS({FAKE_GRPC_OK, 0}), .window_shut = true};

    (void)state;
    run(against, &hangs);
    run(against, &shut);
}

static void test_otlp_grpc_deadline_when_it_speaks_something_else(void **state)
{
    static const char http1[] = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
    static const char noise[] = "\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64"
                                "\x00\x00\x04\x01\x04\x00\x00\x00\x01\xff\xff\xff\xff";
    const struct fake_grpc_options answers[] = {
        {.greeting = http1, .greeting_len = sizeof(http1) - 1},
        {.greeting = noise, .greeting_len = sizeof(noise) - 1},
        {.greeting = "", .greeting_len = 0},
    };

    (void)state;
    for (size_t i = 0; i < N(answers); i++)
        run(against, &answers[i]);
}

static int against_nobody(void *arg)
{
    use_host(arg, 4317);
    return keep_deadlines();
}

static void test_otlp_grpc_deadline_without_a_host(void **state)
{
    (void)state;
    run(against_nobody, "name.invalid");
}

/* ---- names and forks
 * ----------------------------------------------------------------------------- */

static int by_name(void *arg)
{
    const struct fake_grpc_options options = {ANSWERS({FAKE_GRPC_OK, 0})};

    (void)arg;
    server = fake_grpc_start(&options);
    use_host("localhost", fake_grpc_port(server));
    CHECK(clew_start("s", "1") == 0);
    make_spans("a", 10);
    CHECK(clew_flush(10000) == 0);
    CHECK(acknowledged("a") == 10);
    CHECK(clew_shutdown(5000) == 0);
    fake_grpc_stop(server);
    return 0;
}

static void test_otlp_grpc_host_by_name(void **state)
{
    (void)state;
    run(by_name, NULL);
}

/* The parent keeps its connection; its child has one of its own. */
static int forks(void *arg)
{
    const struct fake_grpc_options options = {ANSWERS({FAKE_GRPC_OK, 0})};
    int status = -1;
    pid_t pid;

    (void)arg;
    CHECK(start(&options));
    make_spans("first", 10);
    CHECK(clew_flush(5000) == 0);
    make_spans("parent", 10);
    CHILD_BEFORE_FORK();
    pid = fork();
    if (pid == 0) {
        make_spans("child", 100);
        CHECK(clew_flush(5000) == 0);
        CHECK(clew_shutdown(5000) == 0);
        exit(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    make_spans("parent", 10);
    CHECK(clew_flush(5000) == 0);
    CHECK(acknowledged("first") == 10);
    CHECK(acknowledged("parent") == 20);
    CHECK(acknowledged("child") == 100);
    CHECK(fake_grpc_connections(server) == 2);
    CHECK(retries() == 0);
    CHECK(clew_shutdown(5000) == 0);
    fake_grpc_stop(server);
    return 0;
}

static void test_otlp_grpc_children_have_a_connection_of_their_own(void **state)
{
    (void)state;
    run(forks, NULL);
}

/* ---- headers -----------------------------------------------------------------------------------
 */

static const char *find(const struct clew__h2c_headers *headers, const char *name)
{
    static char value[1024];

    for (size_t i = 0; i < headers->n; i++) {
        const nghttp2_nv *nv = &headers->all[i];

        if (nv->namelen != strlen(name) || memcmp(nv->name, name, nv->namelen) != 0)
            continue;
        memcpy(value, nv->value, nv->valuelen);
        value[nv->valuelen] = '\0';
        return value;
    }
    return NULL;
}

static void test_otlp_grpc_headers(void **state)
{
    struct clew__h2c_headers h;
    char host[256], port[8];

    (void)state;
    assert_true(clew__h2c_headers_make(&h, "http://me:p%40ss@[::1]:4317/a.b/C",
                                       "Content-Type: application/grpc\nte: trailers\n"
                                       "Api-Key: s e\nConnection: close\nempty: \n",
                                       host, port));
    assert_string_equal(host, "::1");
    assert_string_equal(port, "4317");
    assert_string_equal(find(&h, ":authority"), "[::1]:4317");
    assert_string_equal(find(&h, ":path"), "/a.b/C");
    assert_string_equal(find(&h, ":method"), "POST");
    assert_string_equal(find(&h, ":scheme"), "http");
    assert_string_equal(find(&h, "content-type"), "application/grpc");
    assert_string_equal(find(&h, "api-key"), "s e");
    assert_string_equal(find(&h, "authorization"), "Basic bWU6cEBzcw==");
    assert_non_null(strstr(find(&h, "user-agent"), "OTel-OTLP-Exporter-C/"));
    assert_null(find(&h, "connection"));
    assert_null(find(&h, "empty"));
    clew__h2c_headers_done(&h);
    assert_true(clew__h2c_headers_make(&h, "http://host/x", "User-Agent: mine\n", host, port));
    assert_string_equal(port, "80");
    assert_string_equal(find(&h, ":authority"), "host");
    assert_string_equal(find(&h, "user-agent"), "mine");
    clew__h2c_headers_done(&h);
    assert_false(clew__h2c_headers_make(&h, "http://host:99999/x", "", host, port));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, child_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_otlp_grpc_one_connection_serves_many_requests),
        TEST(test_otlp_grpc_goaway_goes_again_on_a_new_connection),
        TEST(test_otlp_grpc_goaway_lets_the_request_end),
        TEST(test_otlp_grpc_dead_connection_is_replaced),
        TEST(test_otlp_grpc_reset_is_tried_again),
        TEST(test_otlp_grpc_trailers_only),
        TEST(test_otlp_grpc_answers_are_bounded),
        TEST(test_otlp_grpc_answer_before_the_end_of_the_request),
        TEST(test_otlp_grpc_window_of_one_byte),
        TEST(test_otlp_grpc_many_pieces_and_bytes),
        TEST(test_otlp_grpc_deadline_when_it_hangs),
        TEST(test_otlp_grpc_deadline_when_it_speaks_something_else),
        TEST(test_otlp_grpc_deadline_without_a_host),
        TEST(test_otlp_grpc_host_by_name),
        TEST(test_otlp_grpc_children_have_a_connection_of_their_own),
        cmocka_unit_test(test_otlp_grpc_headers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
