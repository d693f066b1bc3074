/* SPDX-License-Identifier: Apache-2.0
 *
 * clew/mhd.h: the middleware for libmicrohttpd servers (0.9.71 and later).
 *
 * Header-only, so that libclew needs no libmicrohttpd and a program is bound
 * to the version it was compiled with. Three changes make a server traced:
 *
 *     static struct clew_mhd middleware = {handle, NULL};
 *     MHD_start_daemon(flags, port, NULL, NULL,
 *                      clew_mhd_handle, &middleware,
 *                      MHD_OPTION_NOTIFY_COMPLETED, clew_mhd_completed, NULL,
 *                      MHD_OPTION_END);
 *
 * and in the handler clew_mhd_route("/orders/{id}") and
 * clew_mhd_respond(connection, status, response) instead of
 * MHD_queue_response(). The handler's own *con_cls works as always; the
 * handler frees it when it answers or in middleware.completed. The span ends
 * when the last byte of the answer went out or the connection broke. All
 * threading modes work the same.
 *
 * A handler that suspends its connection takes the request along, so that the
 * lines and spans of whoever goes on with it belong to it:
 *
 *     clew_mhd_suspend(connection, &job->request);            // in the handler
 *     struct clew_scope was = clew_scope_enter(job->request.scope); // in any thread
 *     ...
 *     clew_scope_leave(was);
 *     clew_mhd_resume(&job->request);       // the handler is called once more
 *
 * and where the answer's body comes from a callback,
 * clew_mhd_response_from_callback() calls it within the request. What
 * libmicrohttpd itself has to say goes into the log with, as the first option,
 *
 *                      MHD_OPTION_EXTERNAL_LOGGER, clew_mhd_logger, NULL,
 */
#ifndef CLEW_MHD_H
#define CLEW_MHD_H

#include <clew/http.h>
#include <clew/log.h>
#include <microhttpd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* handler and cls as MHD_start_daemon() would get them; completed may be NULL
 * and is called with the handler's own con_cls. Lives as long as the daemon. */
struct clew_mhd {
    MHD_AccessHandlerCallback handler;
    void *cls;
    MHD_RequestCompletedCallback completed;
    void *completed_cls;
};

struct clew_mhd_request_ {
    struct clew_mhd *mw;
    struct clew_http_exchange *exchange;
    void *con_cls;
};

/* What the headers have for the context and for the span. */
struct clew_mhd_headers_ {
    struct clew_extract extract;
    const char *host, *user_agent;
};

static inline bool clew_mhd_is_(const char *name, size_t name_len, const char *what)
{
    return name_len == strlen(what) && strncasecmp(name, what, name_len) == 0;
}

static inline enum MHD_Result clew_mhd_take_header_(void *cls, enum MHD_ValueKind kind,
                                                    const char *name, size_t name_len,
                                                    const char *value, size_t value_len)
{
    struct clew_mhd_headers_ *headers = (struct clew_mhd_headers_ *)cls;

    (void)kind;
    if (clew_mhd_is_(name, name_len, MHD_HTTP_HEADER_HOST))
        headers->host = value;
    else if (clew_mhd_is_(name, name_len, MHD_HTTP_HEADER_USER_AGENT))
        headers->user_agent = value;
    else
        clew_extract_header(&headers->extract, name, name_len, value ? value : "",
                            value ? value_len : 0);
    return MHD_YES;
}

#define CLEW_MHD_QUERY_MAX_ 1024u

/* The query as it may have been sent: libmicrohttpd keeps only its parts. */
struct clew_mhd_query_ {
    size_t len;
    char text[CLEW_MHD_QUERY_MAX_];
};

static inline void clew_mhd_add_escaped_(struct clew_mhd_query_ *query, const char *text,
                                         size_t len)
{
    static const char digits[] = "0123456789ABCDEF";

    for (; len > 0 && query->len + 4 < sizeof(query->text); text++, len--) {
        unsigned char c = (unsigned char)*text;

        if (c > ' ' && c < 0x7F && !strchr("%&=+#\"<>", c)) {
            query->text[query->len++] = (char)c;
        } else {
            query->text[query->len++] = '%';
            query->text[query->len++] = digits[c >> 4];
            query->text[query->len++] = digits[c & 15];
        }
    }
}

static inline enum MHD_Result clew_mhd_take_argument_(void *cls, enum MHD_ValueKind kind,
                                                      const char *name, size_t name_len,
                                                      const char *value, size_t value_len)
{
    struct clew_mhd_query_ *query = (struct clew_mhd_query_ *)cls;

    (void)kind;
    if (query->len + 8 > sizeof(query->text))
        return MHD_NO;
    if (query->len > 0)
        query->text[query->len++] = '&';
    clew_mhd_add_escaped_(query, name, name_len);
    if (value) {
        query->text[query->len++] = '=';
        clew_mhd_add_escaped_(query, value, value_len);
    }
    return MHD_YES;
}

static inline struct clew_http_exchange *clew_mhd_begin_(struct MHD_Connection *connection,
                                                         const char *url, const char *method,
                                                         const char *version)
{
    const union MHD_ConnectionInfo *info;
    struct clew_mhd_headers_ headers;
    struct clew_mhd_query_ query;
    struct clew_http_request request;

    memset(&request, 0, sizeof(request));
    headers.host = headers.user_agent = NULL;
    clew_extract_init(&headers.extract);
    (void)MHD_get_connection_values_n(connection, MHD_HEADER_KIND, clew_mhd_take_header_, &headers);
    query.len = 0;
    (void)MHD_get_connection_values_n(connection, MHD_GET_ARGUMENT_KIND, clew_mhd_take_argument_,
                                      &query);
    query.text[query.len] = '\0';
    request.method = method;
    request.path = url;
    request.query = query.text;
    request.host = headers.host;
    request.user_agent = headers.user_agent;
    request.protocol_version = strncmp(version, "HTTP/", 5) == 0 ? version + 5 : NULL;
    info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    request.peer = info ? info->client_addr : NULL;
    info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_PROTOCOL);
    request.scheme = info ? "https" : "http"; /* there is a TLS protocol */
    request.scope = "clew.mhd";
    return clew_http_exchange_begin_with(&request, &headers.extract);
}

/* The access handler to start the daemon with; cls is the struct clew_mhd. */
static inline enum MHD_Result clew_mhd_handle(void *cls, struct MHD_Connection *connection,
                                              const char *url, const char *method,
                                              const char *version, const char *upload_data,
                                              size_t *upload_data_size, void **con_cls)
{
    struct clew_mhd *mw = (struct clew_mhd *)cls;
    struct clew_mhd_request_ *request = (struct clew_mhd_request_ *)*con_cls;

    if (!request) {
        request = (struct clew_mhd_request_ *)malloc(sizeof(*request));
        if (!request)
            return MHD_NO;
        request->mw = mw;
        request->con_cls = NULL;
        request->exchange = clew_mhd_begin_(connection, url, method, version);
        *con_cls = request;
    }

    struct clew_scope previous = clew_http_exchange_enter(request->exchange);
    enum MHD_Result result = mw->handler(mw->cls, connection, url, method, version, upload_data,
                                         upload_data_size, &request->con_cls);
    clew_http_exchange_leave(request->exchange, previous);
    return result;
}

/* ---- suspended connections ------------------------------------------------------ */

/* A suspended connection and the scope of its request. Caller's storage. */
struct clew_mhd_suspended {
    struct MHD_Connection *connection;
    struct clew_scope scope; /* its own reference: valid until clew_mhd_resume() */
};

/* MHD_suspend_connection() in the handler, or in the callback of
 * clew_mhd_response_from_callback(). The daemon needs MHD_ALLOW_SUSPEND_RESUME;
 * with a thread per connection libmicrohttpd cannot suspend: there the handler waits.
 *
 * args     ret: filled before the connection is suspended
 * owner    clew_mhd_resume(), once, in any thread */
static inline void clew_mhd_suspend(struct MHD_Connection *connection,
                                    struct clew_mhd_suspended *ret)
{
    ret->connection = connection;
    ret->scope = clew_scope_capture();
    MHD_suspend_connection(connection);
}

/* MHD_resume_connection(). MT-Safe; suspended may be freed afterwards. */
static inline void clew_mhd_resume(struct clew_mhd_suspended *suspended)
{
    struct MHD_Connection *connection = suspended->connection;

    clew_scope_release(suspended->scope);
    suspended->scope.context = NULL;
    MHD_resume_connection(connection);
}

/* ---- bodies from a callback ------------------------------------------------------- */

struct clew_mhd_reader_ {
    struct clew_scope scope;
    MHD_ContentReaderCallback read;
    MHD_ContentReaderFreeCallback free_cls;
    void *cls;
};

static inline ssize_t clew_mhd_read_(void *cls, uint64_t pos, char *buf, size_t max)
{
    struct clew_mhd_reader_ *reader = (struct clew_mhd_reader_ *)cls;
    struct clew_scope previous = clew_scope_enter(reader->scope);
    ssize_t n = reader->read(reader->cls, pos, buf, max);

    clew_scope_leave(previous);
    return n;
}

static inline void clew_mhd_free_reader_(void *cls)
{
    struct clew_mhd_reader_ *reader = (struct clew_mhd_reader_ *)cls;

    if (reader->free_cls)
        reader->free_cls(reader->cls);
    clew_scope_release(reader->scope);
    free(reader);
}

/* MHD_create_response_from_callback(), called in the handler: read is called in
 * the scope of the request, in whichever thread.
 *
 * returns  NULL when there is no memory; free_cls was not called then */
static inline struct MHD_Response *
clew_mhd_response_from_callback(uint64_t size, size_t block_size, MHD_ContentReaderCallback read,
                                void *cls, MHD_ContentReaderFreeCallback free_cls)
{
    struct clew_mhd_reader_ *reader = (struct clew_mhd_reader_ *)malloc(sizeof(*reader));
    struct MHD_Response *response;

    if (!reader)
        return NULL;
    reader->scope = clew_scope_capture();
    reader->read = read;
    reader->cls = cls;
    reader->free_cls = free_cls;
    response = MHD_create_response_from_callback(size, block_size, clew_mhd_read_, reader,
                                                 clew_mhd_free_reader_);
    if (!response) {
        clew_scope_release(reader->scope);
        free(reader);
    }
    return response;
}

/* For MHD_OPTION_NOTIFY_COMPLETED: ends the exchange. */
static inline void clew_mhd_completed(void *cls, struct MHD_Connection *connection, void **con_cls,
                                      enum MHD_RequestTerminationCode why)
{
    struct clew_mhd_request_ *request = (struct clew_mhd_request_ *)*con_cls;
    const char *error = NULL;

    (void)cls;
    if (!request)
        return;
    switch (why) {
    case MHD_REQUEST_TERMINATED_COMPLETED_OK:
        break;
    case MHD_REQUEST_TERMINATED_TIMEOUT_REACHED:
        error = "timeout";
        break;
    case MHD_REQUEST_TERMINATED_DAEMON_SHUTDOWN:
        error = "shutdown";
        break;
    default:
        error = "connection closed";
        break;
    }
    if (request->mw->completed) {
        struct clew_scope previous = clew_http_exchange_enter(request->exchange);
        request->mw->completed(request->mw->completed_cls, connection, &request->con_cls, why);
        clew_http_exchange_leave(request->exchange, previous);
    }
    clew_http_exchange_end(request->exchange, error);
    free(request);
    *con_cls = NULL;
}

/* Names the route of the request that this thread is handling. */
static inline void clew_mhd_route(const char *route)
{
    clew_http_exchange_set_route(clew_http_exchange_current(), route);
}

static inline void clew_mhd_set_header_(struct MHD_Response *response, const char *name,
                                        const char *value)
{
    const char *old = MHD_get_response_header(response, name);

    if (!*value || (old && strcmp(old, value) == 0))
        return;
    if (old)
        (void)MHD_del_response_header(response, name, old);
    (void)MHD_add_response_header(response, name, value);
}

/* MHD_queue_response() that notes the status and echoes X-Request-ID and
 * X-Correlation-ID. The headers are set on response: do not share one response
 * between requests (use MHD_queue_response() and
 * clew_http_exchange_set_status() for those). */
static inline enum MHD_Result clew_mhd_respond(struct MHD_Connection *connection, unsigned status,
                                               struct MHD_Response *response)
{
    struct clew_http_exchange *exchange = clew_http_exchange_current();
    const struct clew_context *context = clew_http_exchange_context(exchange);

    clew_http_exchange_set_status(exchange, status);
    if (context) {
        clew_mhd_set_header_(response, "X-Request-ID", clew_context_request_id(context));
        clew_mhd_set_header_(response, "X-Correlation-ID", clew_context_correlation_id(context));
    }
    return MHD_queue_response(connection, status, response);
}

/* For MHD_OPTION_EXTERNAL_LOGGER: the message as a line "libmicrohttpd" with the
 * field text, at most 1 KiB; at level WARN, for they are about what went wrong.
 * Clients can cause them: at most 10 a second are written. MT-Safe. */
__attribute__((format(printf, 2, 0))) static inline void
clew_mhd_logger(void *cls, const char *format, va_list args)
{
    char text[1024];
    int n = vsnprintf(text, sizeof(text), format, args);
    size_t len = n < 0 ? 0 : (size_t)n;

    (void)cls;
    if (len >= sizeof(text))
        len = sizeof(text) - 1;
    while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r'))
        len--;
    if (len > 0)
        clew_log_limited(CLEW_LEVEL_WARN, CLEW_PER_SECOND(10), "libmicrohttpd",
                         clew_kvn("text", (const char *)text, len));
}

#endif
