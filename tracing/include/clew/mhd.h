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
 * handler frees it when it answers or in middleware.completed. What
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

static inline enum MHD_Result clew_mhd_take_header_(void *cls, enum MHD_ValueKind kind,
                                                    const char *name, size_t name_len,
                                                    const char *value, size_t value_len)
{
    (void)kind;
    clew_extract_header((struct clew_extract *)cls, name, name_len, value ? value : "",
                        value ? value_len : 0);
    return MHD_YES;
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
        struct clew_extract headers;

        request = (struct clew_mhd_request_ *)calloc(1, sizeof(*request));
        if (!request)
            return MHD_NO;
        clew_extract_init(&headers);
        (void)MHD_get_connection_values_n(connection, MHD_HEADER_KIND, clew_mhd_take_header_,
                                          &headers);
        request->mw = mw;
        request->exchange = clew_http_exchange_begin(method, url, &headers);
        *con_cls = request;
    }

    struct clew_scope previous = clew_http_exchange_enter(request->exchange);
    enum MHD_Result result = mw->handler(mw->cls, connection, url, method, version, upload_data,
                                         upload_data_size, &request->con_cls);
    clew_http_exchange_leave(request->exchange, previous);
    return result;
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
    struct clew_scope previous = clew_http_exchange_enter(request->exchange);
    if (request->mw->completed)
        request->mw->completed(request->mw->completed_cls, connection, &request->con_cls, why);
    clew_http_exchange_leave(request->exchange, previous);
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
