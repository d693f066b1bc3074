/* SPDX-License-Identifier: Apache-2.0
 *
 * clew/http.h: begin and end of an HTTP request, whatever server or client
 * library carries it. <clew/mhd.h> and <clew/curl.h> are thin adapters of this.
 *
 * The end of a server exchange is the event "request completed" with method,
 * route, path, status and duration_seconds; metrics are derived from it.
 */
#ifndef CLEW_HTTP_H
#define CLEW_HTTP_H

#include <clew/trace.h>

struct sockaddr;

#ifdef __cplusplus
extern "C" {
#endif

struct clew_http_exchange;

/* Begins a server exchange: context from the headers, server span, the event
 * "request started".
 *
 * args     method, path: copied; path without query, cut at 1024 bytes
 *          headers: filled by clew_extract_header()
 * owner    clew_http_exchange_end()
 * returns  NULL when there is no memory; all functions below accept NULL */
CLEW_PUBLIC struct clew_http_exchange *
clew_http_exchange_begin(const char *method, const char *path, const struct clew_extract *headers);

/* What is known of a request beside its headers; copied where it is kept. */
struct clew_http_request {
    const char *method, *path;    /* as above */
    const char *query;            /* without '?'; values of secrets are left out. NULL: none */
    const char *scheme;           /* NULL: "http" */
    const char *host;             /* the header Host, NULL: unknown */
    const char *user_agent;       /* the header User-Agent, NULL: unknown */
    const char *protocol_version; /* "1.1", NULL: unknown */
    const struct sockaddr *peer;  /* AF_INET or AF_INET6, NULL: unknown */
    const char *scope;            /* the adapter's name, "clew.mhd" */
};

/* clew_http_exchange_begin() with more to tell. */
CLEW_PUBLIC struct clew_http_exchange *
clew_http_exchange_begin_with(const struct clew_http_request *request,
                              const struct clew_extract *headers);

/* Makes the exchange current in this thread; returns the scope to leave to. */
CLEW_PUBLIC struct clew_scope clew_http_exchange_enter(struct clew_http_exchange *exchange);
CLEW_PUBLIC void clew_http_exchange_leave(struct clew_http_exchange *exchange,
                                          struct clew_scope previous);
/* The exchange entered in this thread, NULL when there is none. */
CLEW_PUBLIC struct clew_http_exchange *clew_http_exchange_current(void);

/* The route template, "/orders/{id}"; becomes a metric label and part of the
 * span's name. Copied. Without it both say "unmatched". */
CLEW_PUBLIC void clew_http_exchange_set_route(struct clew_http_exchange *exchange,
                                              const char *route);
CLEW_PUBLIC void clew_http_exchange_set_status(struct clew_http_exchange *exchange,
                                               unsigned status);
CLEW_PUBLIC struct clew_context *clew_http_exchange_context(struct clew_http_exchange *exchange);
CLEW_PUBLIC struct clew_span *clew_http_exchange_span(struct clew_http_exchange *exchange);

/* Ends and frees the exchange. error: NULL, or why the client did not get the
 * whole answer; status 0 counts as 500. */
CLEW_PUBLIC void clew_http_exchange_end(struct clew_http_exchange *exchange, const char *error);

/* Client side: ends a CLIENT span as the semantic conventions want it: name is
 * the method, 4xx and 5xx are errors; status 0 with error: no answer came. Of
 * url, user and password and the values of secrets in its query become
 * "REDACTED"; at most 1 KiB of it is kept. */
CLEW_PUBLIC void clew_http_client_end(struct clew_span *span, const char *method, const char *url,
                                      const char *host, int port, unsigned status,
                                      const char *error);

#ifdef __cplusplus
}
#endif

#endif
