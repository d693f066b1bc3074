/* SPDX-License-Identifier: Apache-2.0
 *
 * libmicrohttpd with a pool of threads. A body is gathered whole, up to a
 * limit; compressed ones are expanded up to another, so that no small body
 * becomes a large one unnoticed.
 */
#include "server.h"

#include <address.h>
#include <buf.h>
#include <clew/log.h>

#include <errno.h>
#include <microhttpd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#define BODY_MAX (16u << 20)
#define EXPANDED_MAX (64u << 20)

struct route {
    const char *method;
    const char *path; /* ends in '/': a prefix */
    void (*handle)(struct request *request);
};

static void handle_ready(struct request *request)
{
    answer_text(request, 200, "ready\n");
}

static const struct route routes[] = {
    {"GET", "/ready", handle_ready},
    {"POST", "/loki/api/v1/push", handle_loki_push},
    {"GET", "/loki/api/v1/query_range", handle_loki_query},
    {"GET", "/loki/api/v1/query", handle_loki_query},
    {"GET", "/loki/api/v1/labels", handle_loki_labels},
    {"GET", "/loki/api/v1/label/", handle_loki_label_values},
    {"POST", "/v1/traces", handle_traces_push},
    {"GET", "/api/traces/", handle_trace},
    {"GET", "/api/search", handle_trace_search},
    {"POST", "/slack/services/", handle_slack_post},
    {"POST", "/slack/api/", handle_slack_api},
    {"POST", "/slack/click", handle_slack_click},
    {"GET", "/api/slack/messages", handle_slack_list},
    {"POST", "/v2/enqueue", handle_pagerduty_post},
    {"GET", "/api/pagerduty/events", handle_pagerduty_events},
    {"GET", "/api/pagerduty/incidents", handle_pagerduty_incidents},
    {"GET", "/", handle_page_overview},
    {"GET", "/logs", handle_page_logs},
    {"GET", "/trace/", handle_page_trace},
    {"GET", "/slack", handle_page_slack},
    {"GET", "/pagerduty", handle_page_pagerduty},
};

static struct MHD_Daemon *http;

const char *request_header(const struct request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

const char *request_argument(const struct request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_GET_ARGUMENT_KIND, name);
}

struct field {
    const char *name;
    struct clew__buf value;
    bool found;
};

static enum MHD_Result take_field(void *cls, enum MHD_ValueKind kind, const char *key,
                                  const char *file, const char *type, const char *coding,
                                  const char *data, uint64_t offset, size_t size)
{
    struct field *field = cls;

    (void)kind;
    (void)file;
    (void)type;
    (void)coding;
    (void)offset;
    if (strcmp(key, field->name) == 0) {
        field->found = true;
        clew__buf_add(&field->value, data, size);
    }
    return MHD_YES;
}

char *request_field(const struct request *request, const char *name)
{
    struct field field = {.name = name};
    struct MHD_PostProcessor *form =
        MHD_create_post_processor(request->connection, 4096, take_field, &field);
    size_t len;

    if (!form)
        return NULL;
    clew__buf_init(&field.value, BODY_MAX);
    (void)MHD_post_process(form, request->body, request->body_len);
    (void)MHD_destroy_post_processor(form);
    clew__buf_addc(&field.value, '\0');
    if (field.found && !field.value.failed)
        return clew__buf_take(&field.value, &len);
    clew__buf_done(&field.value);
    return NULL;
}

void answer_text(struct request *request, unsigned status, const char *format, ...)
{
    va_list args;
    int n;

    va_start(args, format);
    n = vasprintf(&request->answer, format, args);
    va_end(args);
    request->answer_len = n < 0 ? 0 : (size_t)n;
    if (n < 0)
        request->answer = NULL;
    request->status = status;
    request->content_type = "text/plain; charset=utf-8";
}

void answer_see_other(struct request *request, const char *path)
{
    request->status = MHD_HTTP_SEE_OTHER;
    request->location = path;
}

void answer_json(struct request *request, unsigned status, json_t *json)
{
    request->answer = json_dumps(json, JSON_COMPACT);
    request->answer_len = request->answer ? strlen(request->answer) : 0;
    request->status = request->answer ? status : 500;
    request->content_type = "application/json";
    json_decref(json);
}

/* ---- bodies ----------------------------------------------------------------- */

/* window_bits as zlib's inflateInit2() has them. */
static int expand(const struct clew__buf *in, struct clew__buf *out, int window_bits)
{
    z_stream z = {.next_in = (Bytef *)in->data, .avail_in = (uInt)in->len};
    int result = inflateInit2(&z, window_bits);

    clew__buf_init(out, EXPANDED_MAX);
    while (result == Z_OK) {
        char *room = clew__buf_room(out, 65536);

        if (!room)
            break;
        z.next_out = (Bytef *)room;
        z.avail_out = 65536;
        result = inflate(&z, Z_NO_FLUSH);
        out->len += 65536 - z.avail_out;
    }
    (void)inflateEnd(&z);
    return out->failed ? -EFBIG : result == Z_STREAM_END ? 0 : -EINVAL;
}

/* Calls handle with the body as it was meant. */
static void handle_decoded(struct request *request, const struct clew__buf *body,
                           void (*handle)(struct request *request))
{
    const char *coding = request_header(request, "Content-Encoding");
    struct clew__buf expanded;
    int err;

    request->body = body->data ? body->data : "";
    request->body_len = body->len;
    if (!coding || !*coding || strcasecmp(coding, "identity") == 0 ||
        strcasecmp(coding, "snappy") == 0) {
        handle(request);
        return;
    }
    if (strcasecmp(coding, "gzip") != 0 && strcasecmp(coding, "deflate") != 0) {
        answer_text(request, 400, "Content-Encoding \"%.32s\" not supported\n", coding);
        return;
    }
    err = expand(body, &expanded, strcasecmp(coding, "gzip") == 0 ? 31 : -15);
    if (err == 0) {
        request->body = expanded.data ? expanded.data : "";
        request->body_len = expanded.len;
        handle(request);
    } else {
        answer_text(request, err == -EFBIG ? 413 : 400, "%s\n",
                    err == -EFBIG ? "the body expands to too much"
                                  : "the body is not compressed as its header says");
    }
    clew__buf_done(&expanded);
}

/* ---- requests ----------------------------------------------------------------- */

static const struct route *find(const char *path, const char *method, bool *ret_other_method,
                                const char **ret_rest)
{
    *ret_other_method = false;
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
        const struct route *route = &routes[i];
        size_t len = strlen(route->path);
        bool prefix = len > 1 && route->path[len - 1] == '/';

        if (prefix ? strncmp(path, route->path, len) != 0 : strcmp(path, route->path) != 0)
            continue;
        if (strcmp(method, route->method) != 0 &&
            !(strcmp(method, "HEAD") == 0 && strcmp(route->method, "GET") == 0)) {
            *ret_other_method = true;
            continue;
        }
        *ret_rest = path + len;
        return route;
    }
    return NULL;
}

static enum MHD_Result send_answer(struct request *request)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(
        request->answer_len, request->answer, MHD_RESPMEM_MUST_FREE);
    enum MHD_Result result;

    if (!response) {
        free(request->answer);
        return MHD_NO;
    }
    if (request->content_type)
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
                                      request->content_type);
    if (request->location)
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_LOCATION, request->location);
    (void)MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    (void)MHD_add_response_header(response, "Content-Security-Policy",
                                  "default-src 'none'; style-src 'unsafe-inline'");
    result = MHD_queue_response(request->connection, request->status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *data_len, void **con_cls)
{
    struct clew__buf *body = *con_cls;
    struct request request = {.connection = connection, .method = method, .path = url};
    const struct route *route;
    bool other_method;

    (void)cls;
    (void)version;
    if (!body) {
        body = malloc(sizeof(*body));
        if (!body)
            return MHD_NO;
        clew__buf_init(body, BODY_MAX);
        *con_cls = body;
        return MHD_YES;
    }
    if (*data_len) {
        clew__buf_add(body, data, *data_len);
        *data_len = 0;
        return MHD_YES;
    }
    route = find(url, method, &other_method, &request.rest);
    if (body->failed)
        answer_text(&request, 413, "the body is larger than %u bytes\n", BODY_MAX);
    else if (route)
        handle_decoded(&request, body, route->handle);
    else
        answer_text(&request, other_method ? 405 : 404, "%s\n",
                    other_method ? "method not allowed" : "no such page");
    return send_answer(&request);
}

static void on_completed(void *cls, struct MHD_Connection *connection, void **con_cls,
                         enum MHD_RequestTerminationCode why)
{
    (void)cls;
    (void)connection;
    (void)why;
    if (*con_cls)
        clew__buf_done(*con_cls);
    free(*con_cls);
    *con_cls = NULL;
}

int server_start(const char *listen_at, uint16_t *ret_port)
{
    struct sockaddr_storage address;
    const union MHD_DaemonInfo *info;
    unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_EPOLL;

    if (clew__address_parse(listen_at, &address) < 0)
        return clew_set_error(-EINVAL, "--listen %s: give ADDRESS:PORT, such as 127.0.0.1:3100",
                              listen_at);
    if (address.ss_family == AF_INET6)
        flags |= MHD_USE_IPv6;
    http = MHD_start_daemon(flags, 0, NULL, NULL, on_request, NULL, MHD_OPTION_SOCK_ADDR, &address,
                            MHD_OPTION_THREAD_POOL_SIZE, 2u, MHD_OPTION_CONNECTION_LIMIT, 256u,
                            MHD_OPTION_CONNECTION_TIMEOUT, 30u, MHD_OPTION_NOTIFY_COMPLETED,
                            on_completed, NULL, MHD_OPTION_END);
    if (!http)
        return clew_set_error(-EADDRINUSE, "--listen %s: cannot listen there: %s", listen_at,
                              strerror(errno));
    info = MHD_get_daemon_info(http, MHD_DAEMON_INFO_BIND_PORT);
    *ret_port = info ? info->port : 0;
    return 0;
}

void server_stop(void)
{
    MHD_stop_daemon(http);
}
