/* SPDX-License-Identifier: Apache-2.0
 * What libcurl and libmicrohttpd say about themselves, in the log, and what of
 * it must never be there. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <child.h>
#include <clew/curl.h>
#include <clew/mhd.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum MHD_Result answer(void *cls, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *data,
                              size_t *data_len, void **con_cls)
{
    struct MHD_Response *response;
    enum MHD_Result result;

    (void)cls, (void)url, (void)method, (void)version, (void)data, (void)con_cls;
    if (*data_len) {
        *data_len = 0;
        return MHD_YES;
    }
    response = MHD_create_response_from_buffer(11, (void *)"body-secret", MHD_RESPMEM_PERSISTENT);
    (void)MHD_add_response_header(response, "Set-Cookie", "session=set-secret");
    (void)MHD_add_response_header(response, "X-Plain", "plain value");
    (void)MHD_add_response_header(response, "Location", "http://u:user-secret@h/p?q=query-secret");
    result = MHD_queue_response(connection, 200, response);
    MHD_destroy_response(response);
    return result;
}

static struct MHD_Daemon *start(uint16_t port)
{
    return MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_ERROR_LOG, port, NULL, NULL,
                            answer, NULL, MHD_OPTION_EXTERNAL_LOGGER, clew_mhd_logger, NULL,
                            MHD_OPTION_END);
}

static size_t discard(char *data, size_t size, size_t n, void *arg)
{
    (void)data;
    (void)arg;
    return size * n;
}

static int asks(void *arg)
{
    struct MHD_Daemon *daemon = start(0);
    struct curl_slist *headers = NULL;
    CURL *easy = curl_easy_init();
    char url[128];

    (void)arg;
    setenv("CLEW_LOG_LEVEL", "debug", 1);
    CHECK(daemon != NULL);
    (void)snprintf(url, sizeof(url),
                   "http://me:user-secret@127.0.0.1:%u/path?t=query-secret#fragment-secret",
                   (unsigned)MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT)->port);
    headers = curl_slist_append(headers, "X-Api-Key: key-secret");
    headers = curl_slist_append(headers, "X-Visible: seen");
    (void)curl_easy_setopt(easy, CURLOPT_URL, url);
    (void)curl_easy_setopt(easy, CURLOPT_COOKIE, "c=cookie-secret");
    (void)curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    (void)curl_easy_setopt(easy, CURLOPT_POSTFIELDS, "posted-secret");
    (void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, discard);
    CHECK(clew_curl_debug(easy) == CURLE_OK);
    CHECK(curl_easy_perform(easy) == CURLE_OK);
    curl_easy_cleanup(easy);
    curl_slist_free_all(headers);
    MHD_stop_daemon(daemon);
    return 0;
}

static bool has(const char *kind, const char *text)
{
    size_t i;
    json_t *line;

    json_array_foreach(child.lines, i, line)
    {
        json_t *context = json_object_get(line, "context");
        const char *k = json_string_value(json_object_get(context, "kind"));
        const char *t = json_string_value(json_object_get(context, "text"));

        if (k && t && strcmp(k, kind) == 0 && strcmp(t, text) == 0)
            return true;
    }
    return false;
}

static void test_adapters_curl_debug(void **state)
{
    (void)state;
    child_run(asks, NULL);
    assert_int_equal(child.status, 0);
    assert_true(child.whole);
    assert_true(has("sent", "POST /path? HTTP/1.1"));
    assert_true(has("sent", "X-Visible: seen"));
    assert_true(has("sent", "X-Api-Key"));
    assert_true(has("sent", "Authorization"));
    assert_true(has("sent", "Cookie"));
    assert_true(has("received", "HTTP/1.1 200 OK"));
    assert_true(has("received", "X-Plain: plain value"));
    assert_true(has("received", "Set-Cookie"));
    assert_true(has("received", "Location: http://h/p?"));
    assert_non_null(strstr(child.output, "\"kind\":\"info\""));
    assert_null(strstr(child.output, "secret"));
    assert_null(strstr(child.output, "bWU6dXNlci1zZWNyZXQ")); /* me:user-secret in base64 */
}

/* Lines as other versions and protocols have them. */
static int talks(void *arg)
{
    static const struct {
        curl_infotype type;
        const char *text;
    } said[] = {
        {CURLINFO_TEXT, "[HTTP/2] [1] [authorization: Bearer a-secret]\n"},
        {CURLINFO_TEXT, "h2h3 [cookie: a-secret]\n"},
        {CURLINFO_TEXT, "[HTTP/2] [1] OPENED stream for https://me:a-secret@h/x?k=a-secret\n"},
        {CURLINFO_TEXT, "[HTTP/2] [1] [:path: /x?k=a-secret]\n"},
        {CURLINFO_TEXT, "Connection #0 to host h left intact\n"},
        {CURLINFO_HEADER_OUT, "PASS a-secret\r\n"},
        {CURLINFO_HEADER_OUT, "PASS half:a-secret\r\n"},
        {CURLINFO_HEADER_OUT, "YS1zZWNyZXQ=\r\n"},
        {CURLINFO_HEADER_OUT, "GET /x?k=a-secret HTTP/2\r\nhost: h\r\nproxy-authorization: Basic "
                              "a-secret\r\n\r\n"},
        {CURLINFO_DATA_OUT, "a-secret\n"},
        {CURLINFO_DATA_IN, "a-secret\n"},
        {CURLINFO_SSL_DATA_OUT, "a-secret\n"},
        {CURLINFO_TEXT, ""},
        {CURLINFO_TEXT, "no newline"},
    };
    char big[5000];

    (void)arg;
    setenv("CLEW_LOG_LEVEL", "debug", 1);
    for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++) {
        size_t len = strlen(said[i].text);
        char *copy = malloc(len + 1); /* not NUL-terminated, as libcurl has it */

        memcpy(copy, said[i].text, len);
        CHECK(clew_curl_debug_(NULL, said[i].type, copy, len, NULL) == 0);
        free(copy);
    }
    memset(big, 'x', sizeof(big));
    CHECK(clew_curl_debug_(NULL, CURLINFO_TEXT, big, sizeof(big), NULL) == 0);
    return 0;
}

static void test_adapters_curl_never_says_secrets(void **state)
{
    (void)state;
    child_run(talks, NULL);
    assert_int_equal(child.status, 0);
    assert_true(child.whole);
    assert_null(strstr(child.output, "secret"));
    assert_null(strstr(child.output, "YS1zZWNyZXQ"));
    assert_null(strstr(child.output, "half"));
    assert_true(has("info", "[HTTP/2] [1] [authorization"));
    assert_true(has("info", "[HTTP/2] [1] OPENED stream for https://h/x?"));
    assert_true(has("info", "[HTTP/2] [1] [:path: /x?]"));
    assert_true(has("info", "Connection #0 to host h left intact"));
    assert_true(has("info", "no newline"));
    assert_true(has("sent", "GET /x? HTTP/2"));
    assert_true(has("sent", "host: h"));
    assert_true(has("sent", "proxy-authorization"));
    assert_int_equal(child_count("libcurl"), 13);
}

static int address_in_use(void *arg)
{
    struct MHD_Daemon *first = start(0), *second;

    (void)arg;
    CHECK(first != NULL);
    second = start(MHD_get_daemon_info(first, MHD_DAEMON_INFO_BIND_PORT)->port);
    MHD_stop_daemon(first);
    CHECK(second == NULL);
    return 0;
}

static void test_adapters_mhd_logger(void **state)
{
    json_t *line;

    (void)state;
    child_run(address_in_use, NULL);
    assert_int_equal(child.status, 0);
    line = child_line("libmicrohttpd");
    assert_non_null(line);
    assert_string_equal(json_string_value(json_object_get(line, "level")), "WARN");
    assert_non_null(strstr(
        json_string_value(json_object_get(json_object_get(line, "context"), "text")), "bind"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, child_setup, child_teardown)
        TEST(test_adapters_curl_debug),
        TEST(test_adapters_curl_never_says_secrets),
        TEST(test_adapters_mhd_logger),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
