/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP exchanges: the server's request from begin to end, and the end of a
 * client's. Names follow OpenTelemetry's HTTP semantic conventions; the event
 * "request completed" is what metrics are derived from, so its message and
 * keys are a promise.
 *
 * Threads: an exchange belongs to one thread at a time.
 */
#include "tracing_priv.h"

#include <clew/http.h>
#include <json.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_MAX_BYTES 1024u
#define UNMATCHED "unmatched"

struct clew_http_exchange {
    struct clew_scope scope; /* context (a reference) and what its lines name as span */
    struct clew_span *span;
    struct clew_http_exchange *previous;
    uint64_t start_ns; /* CLOCK_MONOTONIC */
    unsigned status;
    char method[32];
    char route[128];
    char path[PATH_MAX_BYTES + 1];
};

static void copy(char *to, size_t size, const char *from)
{
    size_t len = clew__utf8_cut(from, strnlen(from, size), size - 1);

    memcpy(to, from, len);
    to[len] = '\0';
}

struct clew_http_exchange *clew_http_exchange_begin(const char *method, const char *path,
                                                    const struct clew_extract *headers)
{
    struct clew_http_exchange *exchange = malloc(sizeof(*exchange));
    struct clew_scope previous;
    bool remote;

    if (!exchange)
        return NULL;
    memset(exchange, 0, offsetof(struct clew_http_exchange, method));
    exchange->scope = clew_extract_context(headers, &remote);
    if (!exchange->scope.context) {
        free(exchange);
        return NULL;
    }
    exchange->start_ns = clew__monotonic_ns();
    copy(exchange->method, sizeof(exchange->method), method);
    copy(exchange->route, sizeof(exchange->route), UNMATCHED);
    copy(exchange->path, sizeof(exchange->path), path);
    exchange->path[strcspn(exchange->path, "?#")] = '\0';
    exchange->span = clew_span_start_with(exchange->method,
                                          &(struct clew_span_options){.parent = exchange->scope,
                                                                      .remote = remote,
                                                                      .kind = CLEW_SPAN_SERVER});
    if (exchange->span)
        exchange->scope.span_id = clew_span_scope(exchange->span).span_id;
    clew_span_set(exchange->span, clew_kv("http.request.method", exchange->method),
                  clew_kv("url.path", exchange->path), clew_kv("url.scheme", "http"),
                  clew_kv("request_id", clew_context_request_id(exchange->scope.context)));
    previous = clew_scope_enter(exchange->scope);
    clew_trace("request started", clew_kv("method", exchange->method),
               clew_kv("path", exchange->path));
    clew_scope_leave(previous);
    return exchange;
}

struct clew_scope clew_http_exchange_enter(struct clew_http_exchange *exchange)
{
    if (!exchange)
        return clew_scope_current();
    exchange->previous = clew__self.exchange;
    clew__self.exchange = exchange;
    return clew_scope_enter(exchange->scope);
}

void clew_http_exchange_leave(struct clew_http_exchange *exchange, struct clew_scope previous)
{
    if (!exchange)
        return;
    clew__self.exchange = exchange->previous;
    clew_scope_leave(previous);
}

struct clew_http_exchange *clew_http_exchange_current(void)
{
    return clew__self.exchange;
}

void clew_http_exchange_set_route(struct clew_http_exchange *exchange, const char *route)
{
    if (exchange && route && *route)
        copy(exchange->route, sizeof(exchange->route), route);
}

void clew_http_exchange_set_status(struct clew_http_exchange *exchange, unsigned status)
{
    if (exchange)
        exchange->status = status;
}

struct clew_context *clew_http_exchange_context(struct clew_http_exchange *exchange)
{
    return exchange ? exchange->scope.context : NULL;
}

struct clew_span *clew_http_exchange_span(struct clew_http_exchange *exchange)
{
    return exchange ? exchange->span : NULL;
}

static void log_completed(const struct clew_http_exchange *exchange, const char *error)
{
    double seconds = (double)(clew__monotonic_ns() - exchange->start_ns) / 1e9;

#define FIELDS                                                                \
    clew_kv("method", exchange->method), clew_kv("route", exchange->route),   \
        clew_kv("path", exchange->path), clew_kv("status", exchange->status), \
        clew_kv("duration_seconds", seconds)
    if (error)
        clew_error("request completed", FIELDS, clew_kv("error", error));
    else if (exchange->status >= 500)
        clew_error("request completed", FIELDS);
    else
        clew_info("request completed", FIELDS);
#undef FIELDS
}

void clew_http_exchange_end(struct clew_http_exchange *exchange, const char *error)
{
    struct clew_scope previous;
    char text[sizeof(exchange->method) + sizeof(exchange->route) + 1];

    if (!exchange)
        return;
    if (exchange->status == 0)
        exchange->status = 500;
    if (strcmp(exchange->route, UNMATCHED) != 0) {
        (void)snprintf(text, sizeof(text), "%s %s", exchange->method, exchange->route);
        clew_span_set_name(exchange->span, text);
        clew_span_set(exchange->span, clew_kv("http.route", exchange->route));
    }
    clew_span_set(exchange->span, clew_kv("http.response.status_code", exchange->status));
    if (exchange->status >= 500 || error) {
        (void)snprintf(text, sizeof(text), "%u", exchange->status);
        clew_span_set(exchange->span, clew_kv("error.type", error ? error : text));
        clew_span_set_status(exchange->span, CLEW_SPAN_ERROR, error);
    }
    previous = clew_scope_enter(exchange->scope);
    log_completed(exchange, error);
    clew_scope_leave(previous);
    clew_span_end(exchange->span);
    (void)clew_context_unref(exchange->scope.context);
    free(exchange);
}

/* url.full must not hold credentials: user and password are cut out. */
static void set_url(struct clew_span *span, const char *url)
{
    const char *scheme_end = strstr(url, "://");
    const char *authority = scheme_end ? scheme_end + 3 : url;
    size_t authority_len = strcspn(authority, "/?#");
    const char *at = memrchr(authority, '@', authority_len);
    char clean[PATH_MAX_BYTES];

    (void)snprintf(clean, sizeof(clean), "%.*s%s", (int)(authority - url), url,
                   at ? at + 1 : authority);
    clew_span_set(span, clew_kv("url.full", clean));
}

void clew_http_client_end(struct clew_span *span, const char *method, const char *url,
                          const char *host, int port, unsigned status, const char *error)
{
    char text[16];

    if (clew_span_is_recording(span)) {
        if (method && *method) {
            clew_span_set_name(span, method);
            clew_span_set(span, clew_kv("http.request.method", method));
        }
        if (url)
            set_url(span, url);
        if (host)
            clew_span_set(span, clew_kv("server.address", host));
        if (port > 0)
            clew_span_set(span, clew_kv("server.port", port));
        if (status)
            clew_span_set(span, clew_kv("http.response.status_code", status));
        if (error || status >= 400) {
            (void)snprintf(text, sizeof(text), "%u", status);
            clew_span_set(span, clew_kv("error.type", error ? error : text));
            clew_span_set_status(span, CLEW_SPAN_ERROR, error);
        }
    }
    clew_span_end(span);
}
