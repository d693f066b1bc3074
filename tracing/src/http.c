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

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_MAX_BYTES 1024u
#define AGENT_MAX_BYTES 256u
#define UNMATCHED "unmatched"

struct clew_http_exchange {
    struct clew_scope scope; /* context (a reference) and what its lines name as span */
    struct clew_span *span;
    struct clew_http_exchange *previous;
    uint64_t start_ns; /* CLOCK_MONOTONIC */
    unsigned status;
    char method[32];
    char route[128];
    char path[]; /* no longer than it is: malloc() keeps small ones at hand for each thread */
};

static void copy(char *to, size_t size, const char *from)
{
    size_t len = clew__utf8_cut(from, strnlen(from, size), size - 1);

    memcpy(to, from, len);
    to[len] = '\0';
}

/* The methods that conventions know; anything else is "_OTHER", and the span "HTTP". */
static bool is_method(const char *method)
{
    static const char *const known[] = {"GET",     "HEAD",    "POST",  "PUT",   "DELETE",
                                        "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"};

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strcmp(method, known[i]) == 0)
            return true;
    return false;
}

static void set_method(struct clew_span *span, const char *method)
{
    if (is_method(method))
        clew_span_set(span, clew_kv("http.request.method", method));
    else
        clew_span_set(span, clew_kv("http.request.method", "_OTHER"),
                      clew_kv("http.request.method_original", method));
}

/* "GET /orders"; to has room for both. */
static void join(char *to, const char *method, const char *path)
{
    to = stpcpy(to, method);
    *to++ = ' ';
    (void)strcpy(to, path);
}

static const char *name_of(const char *method)
{
    return is_method(method) ? method : "HTTP";
}

/* A whole decimal number, 1 to 65535; else 0. */
static unsigned read_port(const char *text)
{
    unsigned port = 0;

    for (; *text >= '0' && *text <= '9' && port <= 65535; text++)
        port = port * 10 + (unsigned)(*text - '0');
    return *text || port > 65535 ? 0 : port;
}

/* name, name:port, [address]:port */
static void set_host(struct clew_span *span, const char *host)
{
    size_t bracket = *host == '[' ? strcspn(host, "]") : 0;
    const char *behind = host + bracket, *colon = strchr(behind, ':');
    size_t len = colon ? (size_t)(colon - host) : bracket + strlen(behind);
    unsigned port = colon ? read_port(colon + 1) : 0;

    if (bracket) {
        bool closed = host[bracket] == ']';

        len = closed ? bracket - 1 : 0;
        host++;
    }
    if (len > 0 && port > 0)
        clew_span_set(span, clew_kvn("server.address", host, len), clew_kv("server.port", port));
    else if (len > 0)
        clew_span_set(span, clew_kvn("server.address", host, len));
    else if (port > 0)
        clew_span_set(span, clew_kv("server.port", port));
}

/* 0: not an address of a kind that has one. */
static unsigned port_of(const struct sockaddr *peer)
{
    if (peer && peer->sa_family == AF_INET)
        return ntohs(((const struct sockaddr_in *)(const void *)peer)->sin_port);
    if (peer && peer->sa_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)(const void *)peer)->sin6_port);
    return 0;
}

#define REQUEST_ATTRIBUTES                                                 \
    clew_kv("url.path", (const char *)exchange->path),                     \
        clew_kv("url.scheme", request->scheme ? request->scheme : "http"), \
        clew_array("http.request.header.x-request-id", ids, 1)
#define AGENT_ATTRIBUTE                                  \
    clew_kvn("user_agent.original", request->user_agent, \
             strnlen(request->user_agent, AGENT_MAX_BYTES))
#define VERSION_ATTRIBUTE clew_kv("network.protocol.version", request->protocol_version)
#define PEER_ATTRIBUTES                                                                       \
    clew_ip("client.address", request->peer), clew_ip("network.peer.address", request->peer), \
        clew_kv("network.peer.port", port)

/* What nearly every request has is one item of the span; else they are several. */
static void describe(struct clew_span *span, const struct clew_http_request *request,
                     const struct clew_http_exchange *exchange)
{
    const char *ids[1] = {clew_context_request_id(exchange->scope.context)};
    unsigned port = port_of(request->peer);
    char query[PATH_MAX_BYTES];

    if (!clew_span_is_recording(span))
        return;
    if (port && request->user_agent && request->protocol_version && is_method(exchange->method)) {
        clew_span_set(span, clew_kv("http.request.method", exchange->method), REQUEST_ATTRIBUTES,
                      AGENT_ATTRIBUTE, VERSION_ATTRIBUTE, PEER_ATTRIBUTES);
    } else {
        set_method(span, exchange->method);
        clew_span_set(span, REQUEST_ATTRIBUTES);
        if (request->user_agent)
            clew_span_set(span, AGENT_ATTRIBUTE);
        if (request->protocol_version)
            clew_span_set(span, VERSION_ATTRIBUTE);
        if (port)
            clew_span_set(span, PEER_ATTRIBUTES);
    }
    if (request->host)
        set_host(span, request->host);
    if (request->query && *request->query) {
        clew__query_clean(query, sizeof(query), request->query);
        clew_span_set(span, clew_kv("url.query", (const char *)query));
    }
}
#undef REQUEST_ATTRIBUTES
#undef AGENT_ATTRIBUTE
#undef VERSION_ATTRIBUTE
#undef PEER_ATTRIBUTES

static struct clew_span *start_span(const struct clew_http_request *request,
                                    const struct clew_http_exchange *exchange, bool remote)
{
    char hint[sizeof(exchange->method) + PATH_MAX_BYTES + 1];
    struct clew_span_options options = {.parent = exchange->scope,
                                        .remote = remote,
                                        .kind = CLEW_SPAN_SERVER,
                                        .scope = request->scope ? request->scope : "clew.http",
                                        .sampling_hint = hint};

    join(hint, exchange->method, exchange->path);
    return clew_span_start_with(name_of(exchange->method), &options);
}

/* Of the path what is kept: without the query. */
static size_t path_length(const char *path)
{
    size_t len = 0;

    while (len <= PATH_MAX_BYTES && path[len] && path[len] != '?' && path[len] != '#')
        len++;
    return clew__utf8_cut(path, len, PATH_MAX_BYTES);
}

struct clew_http_exchange *clew_http_exchange_begin_with(const struct clew_http_request *request,
                                                         const struct clew_extract *headers)
{
    size_t path_len = path_length(request->path);
    struct clew_http_exchange *exchange = malloc(sizeof(*exchange) + path_len + 1);
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
    copy(exchange->method, sizeof(exchange->method), request->method);
    copy(exchange->route, sizeof(exchange->route), UNMATCHED);
    memcpy(exchange->path, request->path, path_len);
    exchange->path[path_len] = '\0';
    exchange->span = start_span(request, exchange, remote);
    if (exchange->span)
        exchange->scope.span_id = clew_span_scope(exchange->span).span_id;
    describe(exchange->span, request, exchange);
    previous = clew_scope_enter(exchange->scope);
    clew_trace("request started", clew_kv("method", exchange->method),
               clew_kv("path", exchange->path));
    clew_scope_leave(previous);
    return exchange;
}

struct clew_http_exchange *clew_http_exchange_begin(const char *method, const char *path,
                                                    const struct clew_extract *headers)
{
    const char *mark = strchr(path, '?');
    struct clew_http_request request = {
        .method = method, .path = path, .query = mark ? mark + 1 : NULL};

    return clew_http_exchange_begin_with(&request, headers);
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
        join(text, name_of(exchange->method), exchange->route);
        clew_span_set_name(exchange->span, text);
        clew_span_set(exchange->span, clew_kv("http.route", exchange->route),
                      clew_kv("http.response.status_code", exchange->status));
    } else {
        clew_span_set(exchange->span, clew_kv("http.response.status_code", exchange->status));
    }
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

void clew_http_client_end(struct clew_span *span, const char *method, const char *url,
                          const char *host, int port, unsigned status, const char *error)
{
    char text[16], clean[PATH_MAX_BYTES];

    if (clew_span_is_recording(span)) {
        if (method && *method) {
            clew_span_set_name(span, name_of(method));
            set_method(span, method);
        }
        if (url) {
            clew__url_clean(clean, sizeof(clean), url);
            clew_span_set(span, clew_kv("url.full", (const char *)clean));
        }
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
