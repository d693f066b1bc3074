/* SPDX-License-Identifier: Apache-2.0
 * The middleware for libmicrohttpd in each of its threading modes: a plain
 * request, an upload and a download in pieces, a connection that is suspended
 * and resumed elsewhere, and a client that goes away. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "print_spans.h"

#include <arpa/inet.h>
#include <clew/mhd.h>
#include <curl/curl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CHUNKS 5
#define UPLOAD 1000000u

static sem_t completed;
static bool can_suspend; /* with a thread per connection, handlers just wait */

static enum MHD_Result respond(struct MHD_Connection *connection, unsigned status)
{
    static char text[] = "answer\n";
    struct MHD_Response *response =
        MHD_create_response_from_buffer(sizeof(text) - 1, text, MHD_RESPMEM_PERSISTENT);
    enum MHD_Result result = clew_mhd_respond(connection, status, response);

    MHD_destroy_response(response);
    return result;
}

static ssize_t read_chunk(void *cls, uint64_t pos, char *buf, size_t max)
{
    int *left = cls;

    (void)pos;
    if (*left == 0)
        return MHD_CONTENT_READER_END_OF_STREAM;
    if (--*left < CHUNKS)
        clew_info("reading");
    memset(buf, 'x', max);
    return (ssize_t)max;
}

static enum MHD_Result stream(struct MHD_Connection *connection, int chunks)
{
    int *left = malloc(sizeof(*left));
    struct MHD_Response *response;
    enum MHD_Result result;

    *left = chunks;
    response = clew_mhd_response_from_callback(MHD_SIZE_UNKNOWN, 1024, read_chunk, left, free);
    result = clew_mhd_respond(connection, 200, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result upload(struct MHD_Connection *connection, size_t *data_len, void **con_cls)
{
    size_t *sum = *con_cls;

    if (!sum) {
        *con_cls = calloc(1, sizeof(size_t));
        return MHD_YES;
    }
    if (*data_len) {
        if (*sum == 0)
            clew_info("uploading");
        *sum += *data_len;
        *data_len = 0;
        return MHD_YES;
    }
    clew_info("uploaded", clew_kv("bytes", *sum));
    free(sum);
    *con_cls = NULL;
    return respond(connection, 201);
}

struct job {
    struct clew_mhd_suspended request;
    pthread_t thread;
    atomic_bool done;
};

static void *work(void *arg)
{
    struct job *job = arg;
    struct clew_scope was = clew_scope_enter(job->request.scope);

    clew_span_end(clew_span_begin("work", CLEW_SPAN_INTERNAL));
    clew_info("worked");
    clew_scope_leave(was);
    job->done = true;
    if (job->request.connection)
        clew_mhd_resume(&job->request);
    else
        clew_scope_release(job->request.scope);
    return NULL;
}

static enum MHD_Result later(struct MHD_Connection *connection, void **con_cls)
{
    struct job *job = *con_cls;

    if (!job) {
        *con_cls = job = calloc(1, sizeof(*job));
        if (can_suspend)
            clew_mhd_suspend(connection, &job->request);
        else
            job->request.scope = clew_scope_capture();
        (void)pthread_create(&job->thread, NULL, work, job);
        if (can_suspend)
            return MHD_YES;
    }
    if (can_suspend && !job->done)
        return MHD_YES;
    (void)pthread_join(job->thread, NULL);
    free(job);
    *con_cls = NULL;
    clew_info("resumed");
    return respond(connection, 200);
}

static enum MHD_Result handle(void *cls, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *data,
                              size_t *data_len, void **con_cls)
{
    (void)cls, (void)method, (void)version, (void)data;
    if (strcmp(url, "/upload") == 0) {
        clew_mhd_route("/upload");
        return upload(connection, data_len, con_cls);
    }
    if (strcmp(url, "/stream") == 0 || strcmp(url, "/endless") == 0) {
        clew_mhd_route(url);
        return stream(connection, url[1] == 's' ? CHUNKS : INT32_MAX);
    }
    if (strcmp(url, "/later") == 0) {
        clew_mhd_route("/later");
        return later(connection, con_cls);
    }
    clew_mhd_route("/orders/{id}");
    return respond(connection, 200);
}

static void on_completed(void *cls, struct MHD_Connection *connection, void **con_cls,
                         enum MHD_RequestTerminationCode why)
{
    (void)cls, (void)connection, (void)con_cls, (void)why;
    (void)sem_post(&completed);
}

static size_t discard(char *data, size_t size, size_t n, void *arg)
{
    (void)data, (void)arg;
    return size * n;
}

static long ask(uint16_t port, const char *path, size_t post)
{
    CURL *easy = curl_easy_init();
    struct curl_slist *headers = NULL;
    char url[128], *body = calloc(1, post + 1);
    long status = 0;

    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", (unsigned)port, path);
    headers = curl_slist_append(headers, "X-Request-ID: r-1");
    headers = curl_slist_append(
        headers, "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    headers = curl_slist_append(headers, "Expect:");
    (void)curl_easy_setopt(easy, CURLOPT_URL, url);
    (void)curl_easy_setopt(easy, CURLOPT_USERAGENT, "tester/1");
    (void)curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, discard);
    (void)curl_easy_setopt(easy, CURLOPT_TIMEOUT, 20L);
    if (post) {
        memset(body, 'b', post);
        (void)curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body);
        (void)curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long)post);
    }
    if (curl_easy_perform(easy) == CURLE_OK)
        (void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(easy);
    curl_slist_free_all(headers);
    free(body);
    return status;
}

static int go_away(uint16_t port)
{
    static const char request[] = "GET /endless HTTP/1.1\r\nHost: h\r\n\r\n";
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    char buf[1000];
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    CHECK(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
    CHECK(write(fd, request, sizeof(request) - 1) == (ssize_t)sizeof(request) - 1);
    CHECK(read(fd, buf, sizeof(buf)) > 0);
    (void)close(fd);
    return 0;
}

struct mode {
    const char *name;
    unsigned flags, threads;
    bool external;
};

static const struct mode modes[] = {
    {"select", MHD_USE_INTERNAL_POLLING_THREAD, 0, false},
    {"poll", MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL, 0, false},
    {"epoll", MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_EPOLL, 0, false},
    {"pool", MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_EPOLL, 4, false},
    {"thread per connection", MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION, 0,
     false},
    {"external", 0, 0, true},
};

static atomic_bool stopping;

static void *run_loop(void *daemon)
{
    while (!stopping)
        (void)MHD_run_wait(daemon, 20);
    return NULL;
}

static int serve(void *arg)
{
    const struct mode *mode = arg;
    static struct clew_mhd middleware = {handle, NULL, on_completed, NULL};
    struct MHD_OptionItem options[] = {
        {mode->threads ? MHD_OPTION_THREAD_POOL_SIZE : MHD_OPTION_END, (intptr_t)mode->threads,
         NULL},
        {MHD_OPTION_END, 0, NULL}};
    struct timespec deadline;
    struct MHD_Daemon *daemon;
    pthread_t loop;
    uint16_t port;

    print_spans();
    can_suspend = !(mode->flags & MHD_USE_THREAD_PER_CONNECTION);
    (void)sem_init(&completed, 0, 0);
    daemon = MHD_start_daemon(
        mode->flags | MHD_USE_ERROR_LOG | (can_suspend ? MHD_ALLOW_SUSPEND_RESUME : 0), 0, NULL,
        NULL, clew_mhd_handle, &middleware, MHD_OPTION_EXTERNAL_LOGGER, clew_mhd_logger, NULL,
        MHD_OPTION_NOTIFY_COMPLETED, clew_mhd_completed, NULL, MHD_OPTION_ARRAY, options,
        MHD_OPTION_END);
    CHECK(daemon != NULL);
    port = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
    if (mode->external)
        CHECK(pthread_create(&loop, NULL, run_loop, daemon) == 0);
    CHECK(ask(port, "/orders/7?x=1%202&token=secret&flag", 0) == 200);
    CHECK(ask(port, "/upload", UPLOAD) == 201);
    CHECK(ask(port, "/stream", 0) == 200);
    CHECK(ask(port, "/later", 0) == 200);
    CHECK(go_away(port) == 0);
    (void)clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += 20;
    for (int i = 0; i < 5; i++)
        CHECK(sem_timedwait(&completed, &deadline) == 0);
    stopping = true;
    if (mode->external)
        (void)pthread_join(loop, NULL);
    MHD_stop_daemon(daemon);
    return 0;
}

static void assert_same_trace(const char *message, json_t *span)
{
    json_t *line = child_line(message);

    assert_non_null(line);
    assert_string_equal(member(line, "trace_id"), member(span, "trace_id"));
    assert_string_equal(member(line, "span_id"), member(span, "span_id"));
}

static void check_plain(json_t *span)
{
    assert_non_null(span);
    assert_string_equal(member(span, "scope"), "clew.mhd");
    assert_string_equal(member(span, "trace_id"), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_string_equal(member(span, "parent_id"), "00f067aa0ba902b7");
    assert_string_equal(span_attribute(span, "url.path"), "/orders/7");
    assert_string_equal(span_attribute(span, "url.query"), "x=1%202&token=REDACTED&flag");
    assert_string_equal(span_attribute(span, "url.scheme"), "http");
    assert_string_equal(span_attribute(span, "http.request.method"), "GET");
    assert_string_equal(span_attribute(span, "http.route"), "/orders/{id}");
    assert_string_equal(span_attribute(span, "http.response.status_code"), "200");
    assert_string_equal(span_attribute(span, "server.address"), "127.0.0.1");
    assert_string_not_equal(span_attribute(span, "server.port"), "(none)");
    assert_string_equal(span_attribute(span, "client.address"), "127.0.0.1");
    assert_string_equal(span_attribute(span, "network.peer.address"), "127.0.0.1");
    assert_string_equal(span_attribute(span, "network.protocol.version"), "1.1");
    assert_string_equal(span_attribute(span, "user_agent.original"), "tester/1");
    assert_string_equal(span_attribute(span, "http.request.header.x-request-id"), "[\"r-1\"]");
    assert_string_equal(span_attribute(span, "error.type"), "(none)");
}

static void test_mhd_modes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        json_t *span, *work_span;

        print_message("%s\n", modes[i].name);
        child_run(serve, (void *)&modes[i]);
        assert_int_equal(child.status, 0);
        assert_true(child.whole);
        assert_int_equal(child_count("span"), 6);
        assert_int_equal(child_count("request completed"), 5);
        check_plain(span_named("GET /orders/{id}", 0));
        span = span_named("POST /upload", 0);
        assert_non_null(span);
        assert_same_trace("uploading", span);
        assert_same_trace("uploaded", span);
        span = span_named("GET /stream", 0);
        assert_non_null(span);
        assert_same_trace("reading", span);
        assert_int_equal(child_count("reading"), CHUNKS);
        span = span_named("GET /later", 0);
        work_span = span_named("work", 0);
        assert_non_null(span);
        assert_same_trace("worked", span);
        assert_same_trace("resumed", span);
        assert_string_equal(member(work_span, "parent_id"), member(span, "span_id"));
        span = span_named("GET /endless", 0);
        assert_non_null(span);
        assert_string_equal(span_attribute(span, "error.type"), "connection closed");
        assert_int_equal(json_integer_value(json_object_get(span, "status")), CLEW_SPAN_ERROR);
        assert_true(spans_follow_conventions());
        assert_null(strstr(child.output, "secret"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_mhd_modes, child_setup, child_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
