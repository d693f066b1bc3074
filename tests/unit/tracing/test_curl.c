/* SPDX-License-Identifier: Apache-2.0
 * Requests with libcurl, easy and multi: what their spans say, which headers
 * they send, and when they end. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "print_spans.h"

#include <clew/curl.h>
#include <clew/log.h>
#include <clew/mhd.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Logs what it was sent; /moved leads to /found. */
static enum MHD_Result answer(void *cls, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *data,
                              size_t *data_len, void **con_cls)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(2, (void *)"ok", MHD_RESPMEM_PERSISTENT);
    const char *parent = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "traceparent");
    const char *own = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "X-Own");
    bool moved = strcmp(url, "/moved") == 0;
    enum MHD_Result result;

    (void)cls, (void)method, (void)version, (void)data, (void)data_len, (void)con_cls;
    if (!*con_cls) {
        *con_cls = response;
        MHD_destroy_response(response);
        return MHD_YES;
    }
    clew_info("asked", clew_kv("path", url), clew_kv("traceparent", parent), clew_kv("own", own));
    if (moved)
        (void)MHD_add_response_header(response, "Location", "/found");
    result = MHD_queue_response(connection,
                                moved                          ? 302
                                : strcmp(url, "/missing") == 0 ? 404
                                                               : 200,
                                response);
    MHD_destroy_response(response);
    return result;
}

static struct MHD_Daemon *serve(char url[64])
{
    struct MHD_Daemon *daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL, NULL,
                                                 answer, NULL, MHD_OPTION_END);

    (void)snprintf(url, 64, "http://localhost:%u",
                   (unsigned)MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT)->port);
    return daemon;
}

static size_t discard(char *data, size_t size, size_t n, void *arg)
{
    (void)data, (void)arg;
    return size * n;
}

static CURL *easy_for(const char *base, const char *path)
{
    CURL *easy = curl_easy_init();
    char url[256];

    (void)snprintf(url, sizeof(url), "%s%s", base, path);
    (void)curl_easy_setopt(easy, CURLOPT_URL, url);
    (void)curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_IPRESOLVE, CURL_IPRESOLVE_V4);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, discard);
    (void)curl_easy_setopt(easy, CURLOPT_TIMEOUT, 20L);
    return easy;
}

static int easily(void *arg)
{
    struct curl_slist *own = curl_slist_append(NULL, "X-Own: mine");
    struct clew_curl_transfer transfer;
    struct MHD_Daemon *daemon;
    struct clew_span *outer;
    char base[64];
    CURL *easy;

    (void)arg;
    print_spans();
    daemon = serve(base);
    outer = clew_span_begin("outer", CLEW_SPAN_INTERNAL);
    easy = easy_for(base, "/first?q=1&token=secret");
    CHECK(clew_curl_perform(easy, own) == CURLE_OK);
    CHECK(own->next == NULL);
    CHECK(clew_curl_perform(easy, NULL) == CURLE_OK); /* the same connection */
    curl_easy_cleanup(easy);

    easy = easy_for(base, "/moved");
    CHECK(clew_curl_perform(easy, own) == CURLE_OK);
    curl_easy_cleanup(easy);

    easy = easy_for(base, "/missing");
    (void)curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, "FROBNICATE");
    clew_curl_begin(&transfer, easy, NULL);
    CHECK(curl_easy_perform(easy) == CURLE_OK);
    transfer.resends = 2;
    clew_curl_end(&transfer, CURLE_OK);
    curl_easy_cleanup(easy);

    easy = easy_for("http://me:user-secret@127.0.0.1:1", "/nobody");
    (void)curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, "DELETE");
    CHECK(clew_curl_perform(easy, NULL) == CURLE_COULDNT_CONNECT);
    curl_easy_cleanup(easy);
    clew_span_end(outer);
    curl_slist_free_all(own);
    MHD_stop_daemon(daemon);
    return 0;
}

static json_int_t time_of(json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static void check_phases(json_t *span)
{
    static const char *const phases[] = {"dns", "connect", "first_byte"};
    json_int_t last = time_of(span, "start_ns");

    for (size_t i = 0; i < 3; i++) {
        json_t *event = span_event(span, phases[i]);

        assert_non_null(event);
        assert_true(time_of(event, "time_ns") >= last);
        last = time_of(event, "time_ns");
    }
    assert_true(last <= time_of(span, "end_ns"));
    assert_null(span_event(span, "tls"));
}

static json_t *asked(const char *path)
{
    size_t i;
    json_t *line;

    json_array_foreach(child.lines, i, line)
    {
        if (strcmp(member(json_object_get(line, "context"), "path"), path) == 0)
            return json_object_get(line, "context");
    }
    return NULL;
}

static void assert_injected(const char *path, json_t *span)
{
    char parent[64];

    (void)snprintf(parent, sizeof(parent), "00-%s-%s-03", member(span, "trace_id"),
                   member(span, "span_id"));
    assert_string_equal(member(asked(path), "traceparent"), parent);
}

static void test_curl_easy(void **state)
{
    json_t *span;

    (void)state;
    child_run(easily, NULL);
    assert_int_equal(child.status, 0);
    assert_true(child.whole);
    assert_null(strstr(child.output, "secret"));
    span = span_named("GET", 0);
    assert_non_null(span);
    assert_string_equal(member(span, "scope"), "clew.curl");
    assert_string_equal(member(span, "parent_id"), member(span_named("outer", 0), "span_id"));
    assert_string_equal(span_attribute(span, "http.request.method"), "GET");
    assert_non_null(strstr(span_attribute(span, "url.full"), "/first?q=1&token=REDACTED"));
    assert_string_equal(span_attribute(span, "server.address"), "localhost");
    assert_string_not_equal(span_attribute(span, "server.port"), "(none)");
    assert_string_equal(span_attribute(span, "network.peer.address"), "127.0.0.1");
    assert_string_equal(span_attribute(span, "network.protocol.version"), "1.1");
    assert_string_equal(span_attribute(span, "http.response.status_code"), "200");
    assert_string_equal(span_attribute(span, "http.request.resend_count"), "(none)");
    assert_injected("/first", span);
    assert_string_equal(member(asked("/first"), "own"), "mine");
    check_phases(span);
    span = span_named("GET", 1);
    assert_null(span_event(span, "connect"));
    assert_non_null(span_event(span, "first_byte"));
    span = span_named("GET", 2);
    assert_string_equal(span_attribute(span, "http.request.resend_count"), "1");
    assert_non_null(span_event(span, "redirected"));
    assert_non_null(strstr(span_attribute(span, "url.full"), "/found"));
    assert_injected("/found", span);
    span = span_named("HTTP", 0);
    assert_string_equal(span_attribute(span, "http.request.method"), "_OTHER");
    assert_string_equal(span_attribute(span, "http.request.method_original"), "FROBNICATE");
    assert_string_equal(span_attribute(span, "http.request.resend_count"), "2");
    assert_string_equal(span_attribute(span, "error.type"), "404");
    assert_int_equal(json_integer_value(json_object_get(span, "status")), CLEW_SPAN_ERROR);
    span = span_named("DELETE", 0);
    assert_string_equal(span_attribute(span, "http.response.status_code"), "(none)");
    assert_string_not_equal(span_attribute(span, "error.type"), "(none)");
    assert_string_equal(span_attribute(span, "url.full"),
                        "http://REDACTED:REDACTED@127.0.0.1:1/nobody");
    assert_true(spans_follow_conventions());
}

#define TRANSFERS 20

static int in_parallel(void *arg)
{
    struct clew_curl_multi traced = {.multi = curl_multi_init()};
    struct MHD_Daemon *daemon;
    CURL *easy[TRANSFERS + 2];
    int running, left, done = 0;
    char base[64];
    CURLMsg *message;

    (void)arg;
    print_spans();
    daemon = serve(base);
    for (int i = 0; i < TRANSFERS + 2; i++) {
        easy[i] = easy_for(base, i % 2 ? "/odd" : "/even");
        if (i < TRANSFERS)
            CHECK(clew_curl_multi_add(&traced, easy[i], NULL) == CURLM_OK);
    }
    CHECK(clew_curl_multi_add(&traced, easy[0], NULL) == CURLM_ADDED_ALREADY);
    CHECK(clew_curl_multi_transfer(&traced, easy[1]) != NULL);
    CHECK(curl_multi_add_handle(traced.multi, easy[TRANSFERS]) == CURLM_OK); /* not traced */
    do {
        CHECK(curl_multi_perform(traced.multi, &running) == CURLM_OK);
        CHECK(curl_multi_poll(traced.multi, NULL, 0, 100, NULL) == CURLM_OK);
        while ((message = clew_curl_multi_info_read(&traced, &left)) != NULL) {
            CHECK(message->data.result == CURLE_OK);
            done++;
        }
    } while (running);
    CHECK(done == TRANSFERS + 1);
    CHECK(clew_curl_multi_add(&traced, easy[TRANSFERS + 1], NULL) == CURLM_OK); /* given up */
    for (int i = 0; i < TRANSFERS + 2; i++) {
        CHECK(clew_curl_multi_remove(&traced, easy[i]) == CURLM_OK);
        curl_easy_cleanup(easy[i]);
    }
    CHECK(curl_multi_cleanup(traced.multi) == CURLM_OK);
    MHD_stop_daemon(daemon);
    return 0;
}

static void test_curl_multi(void **state)
{
    size_t i, failed = 0;
    json_t *line;

    (void)state;
    child_run(in_parallel, NULL);
    assert_int_equal(child.status, 0);
    assert_true(child.whole);
    assert_int_equal(child_count("span"), TRANSFERS + 1);
    assert_int_equal(child_count("asked"), TRANSFERS + 1);
    json_array_foreach(child.lines, i, line)
    {
        if (strcmp(member(line, "message"), "span") == 0 &&
            strcmp(span_attribute(line, "error.type"), "(none)") != 0)
            failed++;
    }
    assert_int_equal(failed, 1);
    assert_true(spans_follow_conventions());
}

/* ---- TLS: both adapters ------------------------------------------------------------ */

static char *read_text(const char *name)
{
    char path[128], *text = calloc(1, 16384);
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s/%s", child.directory, name);
    file = fopen(path, "r");
    if (file) {
        (void)fread(text, 1, 16383, file);
        (void)fclose(file);
    }
    return text;
}

static enum MHD_Result secure_answer(void *cls, struct MHD_Connection *connection, const char *url,
                                     const char *method, const char *version, const char *data,
                                     size_t *data_len, void **con_cls)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(2, (void *)"ok", MHD_RESPMEM_PERSISTENT);
    enum MHD_Result result = clew_mhd_respond(connection, 200, response);

    (void)cls, (void)url, (void)method, (void)version, (void)data, (void)data_len, (void)con_cls;
    MHD_destroy_response(response);
    return result;
}

static int securely(void *arg)
{
    static struct clew_mhd middleware = {secure_answer, NULL, NULL, NULL};
    struct MHD_Daemon *daemon;
    char command[512], base[64];
    char *key, *certificate;
    CURL *easy;

    (void)arg;
    print_spans();
    (void)snprintf(command, sizeof(command),
                   "cd %s && openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -days 2 "
                   "-keyout key -out certificate 2>/dev/null",
                   child.directory);
    CHECK(system(command) == 0);
    key = read_text("key");
    certificate = read_text("certificate");
    daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_TLS, 0, NULL, NULL,
                              clew_mhd_handle, &middleware, MHD_OPTION_HTTPS_MEM_KEY, key,
                              MHD_OPTION_HTTPS_MEM_CERT, certificate, MHD_OPTION_NOTIFY_COMPLETED,
                              clew_mhd_completed, NULL, MHD_OPTION_END);
    CHECK(daemon != NULL);
    (void)snprintf(base, sizeof(base), "https://localhost:%u",
                   (unsigned)MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT)->port);
    easy = easy_for(base, "/");
    (void)curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L); /* it signed itself */
    CHECK(clew_curl_perform(easy, NULL) == CURLE_OK);
    curl_easy_cleanup(easy);
    MHD_stop_daemon(daemon);
    free(key);
    free(certificate);
    return 0;
}

static void test_curl_tls(void **state)
{
    json_t *client, *server;

    (void)state;
    child_run(securely, NULL);
    assert_int_equal(child.status, 0);
    client = span_named("GET", 0);
    server = span_named("GET", 1);
    assert_non_null(client);
    assert_non_null(server);
    if (strcmp(member(client, "scope"), "clew.mhd") == 0) {
        json_t *swap = client;

        client = server;
        server = swap;
    }
    assert_string_equal(span_attribute(server, "url.scheme"), "https");
    assert_string_equal(member(server, "parent_id"), member(client, "span_id"));
    assert_non_null(span_event(client, "tls"));
    assert_true(time_of(span_event(client, "tls"), "time_ns") >=
                time_of(span_event(client, "connect"), "time_ns"));
    assert_true(time_of(span_event(client, "tls"), "time_ns") <=
                time_of(span_event(client, "first_byte"), "time_ns"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, child_setup, child_teardown)
        TEST(test_curl_easy),
        TEST(test_curl_multi),
        TEST(test_curl_tls),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
