/* SPDX-License-Identifier: Apache-2.0
 *
 * The management server: pages about this process, by libmicrohttpd. One port
 * for all of them or two, each with a thread of its own that does everything
 * for it; nothing that a peer does holds up another thread of the process.
 *
 * What comes in is bounded: the connections (management_guard.c), the time
 * they may be idle, a request's head, and its body, which only PUT has.
 */
#include "management.h"

#include "batcher.h"
#include "management_priv.h"

#include <buf.h>
#include <clew/export.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TIMEOUT_S 75u /* idle: longer than a scrape interval, so that TLS is not begun anew */
#define HEAD_MAX_BYTES ((size_t)16384)
#define PUT_MAX_BYTES 16384u
#define KEPT_NS UINT64_C(100000000)
#define IGNORED_MAX_BYTES 65536u /* of a body that nobody asked for */

struct listener {
    struct MHD_Daemon *http;
    int fd;
    _Atomic uint16_t port; /* 0: off */
    unsigned ports;        /* enum clew__port */
    struct clew__guard guard;
    struct MHD_Response *kept; /* the last page of metrics, in a crowd */
    struct clew_page_format kept_format;
    unsigned kept_status;
    size_t kept_len;
    uint64_t kept_ns;
};

static const struct clew__management_settings *settings;
static struct clew__tls tls;
static struct listener listeners[2];

/* ---- answers ------------------------------------------------------------------------ */

static struct MHD_Response *make_response(struct clew__page *page)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(page->len, page->text, MHD_RESPMEM_MUST_FREE);

    if (!response) {
        free(page->text);
        return NULL;
    }
    if (page->type)
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, page->type);
    if (page->encoding)
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_ENCODING, page->encoding);
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_VARY, "Accept, Accept-Encoding");
    (void)MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    return response;
}

static enum MHD_Result answer(struct listener *to, struct MHD_Connection *connection,
                              struct clew__page *page, const char *header, const char *value)
{
    struct MHD_Response *response = make_response(page);
    enum MHD_Result result;

    if (!response)
        return MHD_NO;
    if (header)
        (void)MHD_add_response_header(response, header, value);
    clew__guard_use(&to->guard, connection, page->len);
    result = MHD_queue_response(connection, page->status, response);
    MHD_destroy_response(response);
    return result;
}

/* ---- the page of metrics ------------------------------------------------------------ */

static void forget_kept(struct listener *at)
{
    if (at->kept)
        MHD_destroy_response(at->kept);
    at->kept = NULL;
}

/* While there are answers that nobody takes, a page serves all who ask within a
 * moment: it is not made anew, and not kept in memory again, for each of them. */
static enum MHD_Result answer_metrics(struct listener *to, struct MHD_Connection *connection,
                                      const struct clew__page_request *request)
{
    bool crowded = clew__guard_is_crowded(&to->guard);
    struct clew_page_format format;
    struct clew__page page = {.status = 0};
    uint64_t now = clew__now_ns();
    enum MHD_Result result;

    clew_page_negotiate(request->accept, request->accept_encoding, &format);
    if (to->kept && (!crowded || now - to->kept_ns > KEPT_NS ||
                     to->kept_format.content_type != format.content_type ||
                     to->kept_format.gzip != format.gzip))
        forget_kept(to);
    if (!to->kept) {
        clew__page_metrics(&page, &format);
        to->kept = make_response(&page);
        to->kept_format = format;
        to->kept_status = page.status;
        to->kept_len = page.len;
        to->kept_ns = now;
    }
    if (!to->kept)
        return MHD_NO;
    clew__guard_use(&to->guard, connection, to->kept_len);
    result = MHD_queue_response(connection, to->kept_status, to->kept);
    if (!crowded)
        forget_kept(to);
    return result;
}

/* ---- one request ------------------------------------------------------------------- */

struct exchange {
    const struct clew__page_kind *kind;
    bool changes;
    bool is_answered; /* before its body came */
    size_t ignored;   /* bytes of the body */
    struct clew__buf body;
};

/* At most one line a second: refusals are cheap to provoke. */
static void warn_of_refusal(struct MHD_Connection *connection, const char *why)
{
    const union MHD_ConnectionInfo *peer =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    char address[64] = "";

    if (peer)
        clew__address_print(peer->client_addr, address, sizeof(address));
    clew_log_limited(CLEW_LEVEL_WARN, CLEW_PER_SECOND(1), "management request refused",
                     clew_kv("peer", (const char *)address), clew_kv("reason", why));
}

static enum MHD_Result refuse(struct listener *to, struct MHD_Connection *connection,
                              enum clew__access access)
{
    static const char *const why[] = {
        [CLEW__NO_CREDENTIALS] = "this page needs a password or a token",
        [CLEW__NO_CERTIFICATE] = "this page needs a client certificate",
        [CLEW__NO_NETWORK] = "this address is not on the list",
        [CLEW__NOT_LOCAL] = "a change needs credentials, or to come from 127.0.0.1 directly",
    };
    struct clew__page page = {.status = 0};

    warn_of_refusal(connection, why[access]);
    clew__page_error(&page, access == CLEW__NO_CREDENTIALS ? 401 : 403, why[access]);
    return answer(to, connection, &page,
                  access == CLEW__NO_CREDENTIALS ? MHD_HTTP_HEADER_WWW_AUTHENTICATE : NULL,
                  settings->basic[0] ? "Basic realm=\"clewline\", charset=\"UTF-8\""
                                     : "Bearer realm=\"clewline\"");
}

/* When the head is there: MHD_YES and nothing queued if the request may go on. */
static enum MHD_Result begin(struct listener *to, struct MHD_Connection *connection,
                             const char *url, const char *method, struct exchange *exchange)
{
    const char *length =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
    bool reads = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
    struct clew__page page = {.status = 0};
    enum clew__access access;

    if (!clew__guard_ask(&to->guard, connection))
        return MHD_NO;
    exchange->kind = clew__page_find(to->ports, url);
    exchange->changes = strcmp(method, "PUT") == 0;
    exchange->is_answered = true;
    access = exchange->kind && exchange->kind->is_open && reads
                 ? CLEW__MAY
                 : clew__access_check(settings, connection, exchange->changes);
    if (access != CLEW__MAY)
        return refuse(to, connection, access);
    if (!exchange->kind) {
        clew__page_not_found(&page, to->ports);
        return answer(to, connection, &page, NULL, NULL);
    }
    if (!reads && !(exchange->changes && exchange->kind->takes_put)) {
        clew__page_error(&page, 405, exchange->kind->takes_put ? "use GET or PUT" : "use GET");
        return answer(to, connection, &page, MHD_HTTP_HEADER_ALLOW,
                      exchange->kind->takes_put ? "GET, HEAD, PUT" : "GET, HEAD");
    }
    if (length && strtoull(length, NULL, 10) > PUT_MAX_BYTES) {
        clew__page_error(&page, 413, "the body is longer than 16384 bytes");
        return answer(to, connection, &page, NULL, NULL);
    }
    exchange->is_answered = false;
    return MHD_YES;
}

static enum MHD_Result take_body(struct exchange *exchange, const char *data, size_t *data_len)
{
    if (exchange->changes && !exchange->is_answered)
        clew__buf_add(&exchange->body, data, *data_len);
    else
        exchange->ignored += *data_len;
    *data_len = 0;
    return exchange->body.failed || exchange->ignored > IGNORED_MAX_BYTES ? MHD_NO : MHD_YES;
}

static enum MHD_Result finish(struct listener *to, struct MHD_Connection *connection,
                              const struct exchange *exchange)
{
#define HEADER(name) MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name)
    const struct clew__page_request request = {
        .changes = exchange->changes,
        .accept = HEADER(MHD_HTTP_HEADER_ACCEPT),
        .accept_encoding = HEADER(MHD_HTTP_HEADER_ACCEPT_ENCODING),
        .content_type = HEADER(MHD_HTTP_HEADER_CONTENT_TYPE),
        .body = exchange->body.data,
        .len = exchange->body.len,
    };
#undef HEADER
    struct clew__page page = {.status = 0};

    if (!exchange->kind->make)
        return answer_metrics(to, connection, &request);
    exchange->kind->make(&page, &request);
    return answer(to, connection, &page, NULL, NULL);
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *data_len, void **con_cls)
{
    struct exchange *exchange = *con_cls;

    (void)version;
    if (!exchange) {
        *con_cls = exchange = calloc(1, sizeof(*exchange));
        if (!exchange)
            return MHD_NO;
        clew__buf_init(&exchange->body, PUT_MAX_BYTES);
        return begin(cls, connection, url, method, exchange);
    }
    if (*data_len)
        return take_body(exchange, data, data_len);
    return exchange->is_answered ? MHD_YES : finish(cls, connection, exchange);
}

static void on_completed(void *cls, struct MHD_Connection *connection, void **con_cls,
                         enum MHD_RequestTerminationCode code)
{
    struct listener *at = cls;
    struct exchange *exchange = *con_cls;

    (void)code;
    clew__guard_use(&at->guard, connection, 0);
    if (exchange)
        clew__buf_done(&exchange->body);
    free(exchange);
    *con_cls = NULL;
}

/* ---- the server -------------------------------------------------------------------- */

/* The child of a fork serves nothing, and must not keep a port of its parent's. */
static void in_child(void)
{
    for (size_t i = 0; i < 2; i++) {
        if (listeners[i].port)
            close(listeners[i].fd);
        listeners[i].port = 0;
    }
}

static int start(struct listener *to, const struct clew__listen *where, unsigned ports)
{
    unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_EPOLL;
    static char versions[] = "NORMAL:-VERS-TLS1.0:-VERS-TLS1.1";
    struct MHD_OptionItem secure[] = {
        {MHD_OPTION_HTTPS_MEM_CERT, 0, tls.certificate},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, tls.key},
        {MHD_OPTION_HTTPS_PRIORITIES, 0, versions},
        {tls.client_ca ? MHD_OPTION_HTTPS_MEM_TRUST : MHD_OPTION_END, 0, tls.client_ca},
        {MHD_OPTION_END, 0, NULL},
    };
    uint16_t port;
    sigset_t all, old;
    int err = clew__listen_open(where, CLEW__UNREAD_BYTES, &to->fd, &port);

    if (err < 0)
        return err;
    to->port = port;
    memset(&to->guard, 0, sizeof(to->guard));
    to->ports = ports;
    flags |= tls.key ? MHD_USE_TLS : 0;
    sigfillset(&all); /* signals are for the service's threads */
    pthread_sigmask(SIG_SETMASK, &all, &old);
    errno = 0;
    to->http = MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, to, MHD_OPTION_LISTEN_SOCKET, to->fd,
        MHD_OPTION_CONNECTION_LIMIT, CLEW__CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
        TIMEOUT_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT, HEAD_MAX_BYTES, MHD_OPTION_NOTIFY_CONNECTION,
        clew__guard_notify, &to->guard, MHD_OPTION_NOTIFY_COMPLETED, on_completed, to,
        MHD_OPTION_ARRAY, tls.key ? secure : &secure[4], MHD_OPTION_END);
    err = errno ? errno : ENOMEM;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (to->http)
        return 0;
    close(to->fd);
    to->port = 0;
    return clew__listen_failed(where, err);
}

int clew__management_start(const struct clew__management_settings *wanted, bool metrics)
{
    unsigned rest = wanted->metrics.variable || !metrics ? 0 : CLEW__PORT_METRICS;
    static bool once;
    int err;

    settings = wanted;
    if (!wanted->pages.variable && !wanted->metrics.variable)
        return 0;
    err = clew__tls_load(wanted, &tls);
    if (err == 0 && wanted->pages.variable)
        err = start(&listeners[0], &wanted->pages, CLEW__PORT_PAGES | rest);
    if (err == 0 && wanted->metrics.variable && metrics)
        err = start(&listeners[1], &wanted->metrics, CLEW__PORT_METRICS);
    if (err == 0 && !once)
        (void)pthread_atfork(NULL, NULL, in_child);
    once = once || err == 0;
    if (err < 0)
        clew__management_stop();
    return err;
}

void clew__management_stop(void)
{
    for (size_t i = 0; i < 2; i++) {
        if (listeners[i].http)
            MHD_stop_daemon(listeners[i].http);
        forget_kept(&listeners[i]);
        listeners[i].http = NULL;
        listeners[i].port = 0;
    }
    clew__tls_done(&tls);
}

uint16_t clew__management_port(void)
{
    return listeners[0].port;
}

uint16_t clew__metrics_port(void)
{
    return listeners[1].port ? listeners[1].port : listeners[0].port;
}

/* ---- what to be warned of ------------------------------------------------------------ */

static void warn_of(const struct clew__listen *where, uint16_t port)
{
    bool secret = settings->basic[0] || settings->bearer[0];

    if (port == 0 || clew__address_is_loopback(&where->address))
        return;
    if (!secret && !settings->client_ca[0] && !settings->nallowed)
        clew_warn("management server is open to the network without authentication",
                  clew_kv("port", port), clew_kv("variable", where->variable));
    if (secret && !settings->key[0])
        clew_warn("management server takes credentials from the network without TLS",
                  clew_kv("port", port), clew_kv("variable", where->variable));
}

void clew__management_warn(void)
{
    warn_of(&settings->pages, listeners[0].port);
    warn_of(&settings->metrics, listeners[1].port);
}
