/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP by libmicrohttpd (a pool of threads, each request handled in one of
 * them) and libcurl (one handle a thread). Bodies are bounded.
 */
#include "service.h"

#include <clew/curl.h>
#include <clew/mhd.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BODY_MAX 65536u

struct bytes {
    size_t len;
    char data[BODY_MAX];
};

const char *service_setting(const char *name, const char *fallback)
{
    const char *value = getenv(name);

    return value && *value ? value : fallback;
}

void service_route(const char *route)
{
    clew_mhd_route(route);
}

void service_fail(struct request *request, unsigned status, const char *text)
{
    request->status = status;
    request->answer = json_pack("{s:s}", "error", text);
}

/* ---- server ---------------------------------------------------------------- */

static enum MHD_Result answer(struct MHD_Connection *connection, struct request *request)
{
    char *text = request->answer ? json_dumps(request->answer, JSON_COMPACT) : NULL;
    struct MHD_Response *response;
    enum MHD_Result result;

    json_decref(request->answer);
    if (!text)
        text = strdup("{}");
    response = MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
    result = clew_mhd_respond(connection, request->status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result handle(void *cls, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *upload_data,
                              size_t *upload_data_size, void **con_cls)
{
    service_handler *handler = *(service_handler **)cls;
    struct bytes *body = *con_cls;
    struct request request = {.method = method, .path = url, .status = MHD_HTTP_OK};

    (void)version;
    if (!body) {
        *con_cls = calloc(1, sizeof(*body));
        return *con_cls ? MHD_YES : MHD_NO;
    }
    if (*upload_data_size) {
        size_t n = *upload_data_size;

        *upload_data_size = 0;
        if (n > BODY_MAX - body->len)
            n = BODY_MAX - body->len; /* cut: will not parse */
        memcpy(body->data + body->len, upload_data, n);
        body->len += n;
        return MHD_YES;
    }
    request.body = body->len ? json_loadb(body->data, body->len, 0, NULL) : NULL;
    handler(&request);
    json_decref(request.body);
    return answer(connection, &request);
}

static void completed(void *cls, struct MHD_Connection *connection, void **con_cls,
                      enum MHD_RequestTerminationCode why)
{
    (void)cls;
    (void)connection;
    (void)why;
    free(*con_cls);
    *con_cls = NULL;
}

int service_run(const char *name, const char *version, service_handler *handler)
{
    struct clew_mhd middleware = {handle, &handler, completed, NULL};
    struct sockaddr_in address = {.sin_family = AF_INET};
    struct MHD_Daemon *daemon;
    sigset_t signals;
    int got;

    /* Blocked before any thread is made, so that only sigwait() sees them. */
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    if (clew_start(name, version) < 0) {
        fprintf(stderr, "%s: %s\n", name, clew_last_error());
        return 1;
    }
    address.sin_port = htons((uint16_t)atoi(service_setting("PORT", "8080")));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    daemon =
        MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_EPOLL, 0, NULL, NULL,
                         clew_mhd_handle, &middleware, MHD_OPTION_SOCK_ADDR, &address,
                         MHD_OPTION_THREAD_POOL_SIZE, 4u, MHD_OPTION_CONNECTION_TIMEOUT, 30u,
                         MHD_OPTION_NOTIFY_COMPLETED, clew_mhd_completed, NULL, MHD_OPTION_END);
    if (!daemon) {
        clew_fatal("cannot listen", clew_kv("port", ntohs(address.sin_port)));
        clew_stop();
        return 1;
    }
    clew_info("ready", clew_kv("port", ntohs(address.sin_port)));
    sigwait(&signals, &got);
    MHD_stop_daemon(daemon);
    clew_info("stopped", clew_kv("signal", got));
    clew_stop();
    curl_global_cleanup();
    return 0;
}

/* ---- client ---------------------------------------------------------------- */

static size_t take(char *data, size_t size, size_t n, void *arg)
{
    struct bytes *bytes = arg;

    (void)size;
    if (n > BODY_MAX - bytes->len)
        return 0;
    memcpy(bytes->data + bytes->len, data, n);
    bytes->len += n;
    return n;
}

unsigned service_call(const char *method, const char *base_url, const char *path, json_t *body,
                      json_t **ret_answer)
{
    struct bytes *received = calloc(1, sizeof(*received));
    char *sent = body ? json_dumps(body, JSON_COMPACT) : NULL;
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    CURL *easy = curl_easy_init();
    char url[512];
    long status = 0;

    if (ret_answer)
        *ret_answer = NULL;
    if (received && easy && headers &&
        snprintf(url, sizeof(url), "%s%s", base_url, path) < (int)sizeof(url)) {
        curl_easy_setopt(easy, CURLOPT_URL, url);
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method);
        curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, 5000L);
        curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take);
        curl_easy_setopt(easy, CURLOPT_WRITEDATA, received);
        if (sent)
            curl_easy_setopt(easy, CURLOPT_POSTFIELDS, sent);
        if (clew_curl_perform(easy, headers) == CURLE_OK)
            curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
        if (ret_answer && status)
            *ret_answer = json_loadb(received->data, received->len, 0, NULL);
    }
    curl_easy_cleanup(easy);
    curl_slist_free_all(headers);
    free(sent);
    free(received);
    return (unsigned)status;
}
