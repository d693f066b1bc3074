/* SPDX-License-Identifier: Apache-2.0
 * See fake_http.h. */
#include "fake_http.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define REQUESTS_MAX 1024

struct fake_http {
    struct MHD_Daemon *http;
    const struct fake_answer *answers;
    size_t nanswers;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool stopping;
    size_t n;
    struct fake_request requests[REQUESTS_MAX];
};

static void note(char *to, size_t size, struct MHD_Connection *connection, const char *name)
{
    const char *value = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);

    (void)snprintf(to, size, "%s", value ? value : "");
}

static enum MHD_Result answer(struct fake_http *server, struct MHD_Connection *connection,
                              const struct fake_answer *a)
{
    struct MHD_Response *response;
    enum MHD_Result result;

    if (a->status == 0) {
        pthread_mutex_lock(&server->lock);
        while (!server->stopping)
            pthread_cond_wait(&server->changed, &server->lock);
        pthread_mutex_unlock(&server->lock);
        return MHD_NO;
    }
    response = MHD_create_response_from_buffer(
        a->body ? a->body_len : 0, (void *)(a->body ? a->body : ""), MHD_RESPMEM_MUST_COPY);
    if (a->retry_after)
        (void)MHD_add_response_header(response, "Retry-After", a->retry_after);
    result = MHD_queue_response(connection, a->status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *data_len, void **con_cls)
{
    struct fake_http *server = cls;
    struct fake_request *request = *con_cls;
    struct timespec now;
    size_t i;

    (void)method;
    (void)version;
    if (!request) {
        request = calloc(1, sizeof(*request));
        (void)snprintf(request->path, sizeof(request->path), "%s", url);
        note(request->content_type, sizeof(request->content_type), connection, "Content-Type");
        note(request->content_encoding, sizeof(request->content_encoding), connection,
             "Content-Encoding");
        note(request->tenant, sizeof(request->tenant), connection, "X-Scope-OrgID");
        *con_cls = request;
        return MHD_YES;
    }
    if (*data_len) {
        request->body = realloc(request->body, request->len + *data_len);
        memcpy(request->body + request->len, data, *data_len);
        request->len += *data_len;
        *data_len = 0;
        return MHD_YES;
    }
    clock_gettime(CLOCK_MONOTONIC, &now);
    request->time_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    pthread_mutex_lock(&server->lock);
    i = server->n;
    if (i < REQUESTS_MAX)
        server->requests[server->n++] = *request;
    else
        free(request->body);
    pthread_cond_broadcast(&server->changed);
    pthread_mutex_unlock(&server->lock);
    request->body = NULL;
    return answer(server, connection,
                  &server->answers[i < server->nanswers ? i : server->nanswers - 1]);
}

static void completed(void *cls, struct MHD_Connection *connection, void **con_cls,
                      enum MHD_RequestTerminationCode why)
{
    struct fake_request *request = *con_cls;

    (void)cls;
    (void)connection;
    (void)why;
    if (request)
        free(request->body);
    free(request);
    *con_cls = NULL;
}

struct fake_http *fake_http_start_on(uint16_t port, const struct fake_answer *answers, size_t n)
{
    struct fake_http *server = calloc(1, sizeof(*server));
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    pthread_condattr_t attr;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    server->answers = answers;
    server->nanswers = n;
    pthread_mutex_init(&server->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&server->changed, &attr);
    server->http = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION,
                                    0, NULL, NULL, on_request, server, MHD_OPTION_SOCK_ADDR,
                                    &address, MHD_OPTION_LISTENING_ADDRESS_REUSE, 1u,
                                    MHD_OPTION_NOTIFY_COMPLETED, completed, NULL, MHD_OPTION_END);
    if (!server->http) {
        perror("fake_http");
        abort();
    }
    return server;
}

struct fake_http *fake_http_start(const struct fake_answer *answers, size_t n)
{
    return fake_http_start_on(0, answers, n);
}

void fake_http_stop(struct fake_http *server)
{
    pthread_mutex_lock(&server->lock);
    server->stopping = true;
    pthread_cond_broadcast(&server->changed);
    pthread_mutex_unlock(&server->lock);
    MHD_stop_daemon(server->http);
    for (size_t i = 0; i < server->n; i++)
        free(server->requests[i].body);
    free(server);
}

uint16_t fake_http_port(const struct fake_http *server)
{
    return MHD_get_daemon_info(server->http, MHD_DAEMON_INFO_BIND_PORT)->port;
}

size_t fake_http_count(struct fake_http *server)
{
    size_t n;

    pthread_mutex_lock(&server->lock);
    n = server->n;
    pthread_mutex_unlock(&server->lock);
    return n;
}

bool fake_http_wait(struct fake_http *server, size_t n, unsigned timeout_ms)
{
    struct timespec until;
    int err = 0;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&server->lock);
    while (server->n < n && err == 0)
        err = pthread_cond_timedwait(&server->changed, &server->lock, &until);
    pthread_mutex_unlock(&server->lock);
    return err == 0;
}

const struct fake_request *fake_http_request(struct fake_http *server, size_t i)
{
    return &server->requests[i];
}
