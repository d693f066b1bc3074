/* SPDX-License-Identifier: Apache-2.0
 *
 * The test service that W3C's trace-context harness wants: a POST brings an array
 * of {"url": …, "arguments": …}, and each url gets its arguments by a POST from
 * here, within the trace of the request. An ordinary service of ours otherwise:
 * <clew/mhd.h> in, <clew/curl.h> out.
 *
 *     w3c_service [PORT]      prints the port it listens on; ends with its stdin
 */
#include <clew/curl.h>
#include <clew/mhd.h>

#include <jansson.h>
#include <unistd.h>

#define BODY_MAX_BYTES (1u << 20)

struct body {
    size_t len;
    char text[BODY_MAX_BYTES];
};

static size_t discard(char *data, size_t size, size_t n, void *arg)
{
    (void)data, (void)arg;
    return size * n;
}

/* One callback; the answer does not matter. */
static void post(const char *url, const char *text)
{
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    CURL *easy = curl_easy_init();

    if (easy && headers) {
        (void)curl_easy_setopt(easy, CURLOPT_URL, url);
        (void)curl_easy_setopt(easy, CURLOPT_POSTFIELDS, text);
        (void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, discard);
        (void)curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, 5000L);
        if (clew_curl_perform(easy, headers) != CURLE_OK)
            clew_warn("callback failed", clew_kv("url", url));
    }
    curl_slist_free_all(headers);
    curl_easy_cleanup(easy);
}

static unsigned call_back(const struct body *body)
{
    json_t *actions = json_loadb(body->text, body->len, 0, NULL), *action;
    size_t i;

    if (!json_is_array(actions)) {
        json_decref(actions);
        return MHD_HTTP_BAD_REQUEST;
    }
    json_array_foreach(actions, i, action)
    {
        const char *url = json_string_value(json_object_get(action, "url"));
        char *text = json_dumps(json_object_get(action, "arguments"), JSON_ENCODE_ANY);

        if (url && text)
            post(url, text);
        free(text);
    }
    json_decref(actions);
    return MHD_HTTP_OK;
}

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status)
{
    static char text[] = "{}";
    struct MHD_Response *response =
        MHD_create_response_from_buffer(sizeof(text) - 1, text, MHD_RESPMEM_PERSISTENT);
    enum MHD_Result result;

    (void)MHD_add_response_header(response, "Content-Type", "application/json");
    result = clew_mhd_respond(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result handle(void *cls, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *data,
                              size_t *data_len, void **con_cls)
{
    struct body *body = *con_cls;
    unsigned status;

    (void)cls, (void)url, (void)method, (void)version;
    clew_mhd_route("/test");
    if (!body) {
        *con_cls = body = malloc(sizeof(*body));
        if (body)
            body->len = 0;
        return body ? MHD_YES : MHD_NO;
    }
    if (*data_len) {
        if (*data_len > sizeof(body->text) - body->len)
            return MHD_NO;
        memcpy(body->text + body->len, data, *data_len);
        body->len += *data_len;
        *data_len = 0;
        return MHD_YES;
    }
    status = call_back(body);
    return answer(connection, status);
}

static void completed(void *cls, struct MHD_Connection *connection, void **con_cls,
                      enum MHD_RequestTerminationCode why)
{
    (void)cls, (void)connection, (void)why;
    free(*con_cls);
    *con_cls = NULL;
}

int main(int argc, char **argv)
{
    static struct clew_mhd middleware = {handle, NULL, completed, NULL};
    struct MHD_Daemon *daemon;
    char end[64];

    if (clew_log_start("w3c_service", NULL) < 0) {
        fprintf(stderr, "w3c_service: %s\n", clew_last_error());
        return 1;
    }
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
    daemon = MHD_start_daemon(MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD,
                              (uint16_t)(argc > 1 ? atoi(argv[1]) : 0), NULL, NULL, clew_mhd_handle,
                              &middleware, MHD_OPTION_NOTIFY_COMPLETED, clew_mhd_completed, NULL,
                              MHD_OPTION_END);
    if (!daemon) {
        fprintf(stderr, "w3c_service: cannot listen\n");
        return 1;
    }
    printf("%u\n", (unsigned)MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT)->port);
    (void)fflush(stdout);
    while (read(STDIN_FILENO, end, sizeof(end)) > 0)
        ;
    MHD_stop_daemon(daemon);
    curl_global_cleanup();
    return 0;
}
