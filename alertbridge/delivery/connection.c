/* SPDX-License-Identifier: Apache-2.0
 * What HTTP and SMTP share: the handle, the shutdown that cuts it, the words for
 * what went wrong, and a span that tells no secret. clew_curl_perform() would put
 * the whole URL into the span, and Slack's URLs are secrets. */
#include "connection.h"

#include <common/instant.h>
#include <store/lease.h>

#include <clew/http.h>
#include <clew/trace.h>

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#define CONNECT_TIMEOUT_MS 5000L
#define ANSWER_MAX (64u << 10)

static size_t take_body(char *data, size_t size, size_t n, void *arg)
{
    struct clew__connection *connection = arg;
    size_t len = size * n, room = connection->body.max - 1 - connection->body.len;
    long status = 0;

    if (connection->take) {
        (void)curl_easy_getinfo(connection->easy, CURLINFO_RESPONSE_CODE, &status);
        if (status == 200)
            return connection->take(connection->take_arg, data, len) ? len : 0;
    }
    clew__buf_add(&connection->body, data, len < room ? len : room);
    return len; /* what is too much is read and dropped: the status is there */
}

static int look_at_abort(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const struct clew__connection *connection = arg;

    (void)a, (void)b, (void)c, (void)d;
    return atomic_load(connection->abort) ? 1 : 0;
}

bool clew__connection_may_send(const struct clew__connection *connection)
{
    return !atomic_load(connection->abort) &&
           (!connection->lease || clew__lease_epoch(connection->lease) == connection->epoch);
}

/* The last moment: there is a connection, nothing was sent. */
static int look_at_lease(void *arg, char *ip, char *local_ip, int port, int local_port)
{
    (void)ip, (void)local_ip, (void)port, (void)local_port;
    return clew__connection_may_send(arg) ? CURL_PREREQFUNC_OK : CURL_PREREQFUNC_ABORT;
}

static CURL *new_handle(struct clew__connection *connection)
{
    CURL *easy = curl_easy_init();

    if (!easy)
        return NULL;
    (void)curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEDATA, connection);
    (void)curl_easy_setopt(easy, CURLOPT_HEADERDATA, connection);
    (void)curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
    (void)curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, look_at_abort);
    (void)curl_easy_setopt(easy, CURLOPT_XFERINFODATA, connection);
    (void)curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, look_at_lease);
    (void)curl_easy_setopt(easy, CURLOPT_PREREQDATA, connection);
    return easy;
}

struct clew__connection *clew__connection_new(const atomic_bool *abort)
{
    struct clew__connection *connection = calloc(1, sizeof(*connection));

    if (!connection)
        return NULL;
    connection->abort = abort;
    clew__buf_init(&connection->body, ANSWER_MAX + 1);
    connection->easy = new_handle(connection);
    return connection->easy ? connection : clew__connection_free(connection);
}

void clew__connection_rest(struct clew__connection *connection)
{
    CURL *fresh = new_handle(connection);

    if (!fresh)
        return;
    curl_easy_cleanup(connection->easy);
    connection->easy = fresh;
    (void)malloc_trim(0);
}

struct clew__connection *clew__connection_free(struct clew__connection *connection)
{
    if (!connection)
        return NULL;
    curl_easy_cleanup(connection->easy);
    clew__buf_done(&connection->body);
    free(connection);
    return NULL;
}

void clew__connection_expect(struct clew__connection *connection, size_t max)
{
    /* A page of a channel is large, and seldom: its memory does not stay. */
    if (connection->body.max > ANSWER_MAX + 1)
        clew__buf_done(&connection->body);
    connection->body.max = (max ? max : ANSWER_MAX) + 1;
}

/* A word for a metric or a log line; curl's texts may name the address. */
static const char *problem(CURLcode code)
{
    switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
        return "timeout";
    case CURLE_COULDNT_RESOLVE_HOST:
        return "name_not_resolved";
    case CURLE_COULDNT_CONNECT:
        return "connection_refused";
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
        return "tls";
    case CURLE_USE_SSL_FAILED:
        return "no_starttls";
    case CURLE_LOGIN_DENIED:
        return "no_login";
    case CURLE_ABORTED_BY_CALLBACK:
        return "shutdown";
    default:
        return "connection_lost";
    }
}

void clew__connection_perform(struct clew__connection *connection, unsigned least_failure,
                              struct clew__answer *ret_answer)
{
    CURLcode code;
    long status = 0;

    clew__buf_reset(&connection->body);
    connection->retry_after[0] = '\0';
    connection->refused = 0;
    code = curl_easy_perform(connection->easy);
    (void)curl_easy_getinfo(connection->easy, CURLINFO_RESPONSE_CODE, &status);
    if (code != CURLE_OK && (least_failure == 0 || status < (long)least_failure))
        status = 0;
    clew__buf_addc(&connection->body, '\0');
    *ret_answer = (struct clew__answer){
        .status = (unsigned)status,
        .problem = status ? "" : problem(code),
        .retry_after = connection->retry_after,
        .body = connection->body.failed || !connection->body.data ? "" : connection->body.data,
        .now = clew__instant_now(),
    };
}

void clew__connection_end_span(struct clew_span *span, const char *method, const char *url,
                               const struct clew__answer *answer)
{
    char *scheme = NULL, *host = NULL, *port = NULL, clean[512] = "";
    CURLU *parts = curl_url();

    if (parts && curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK) {
        (void)curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0);
        (void)curl_url_get(parts, CURLUPART_HOST, &host, 0);
        (void)curl_url_get(parts, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT);
        (void)snprintf(clean, sizeof(clean), "%s://%s/", scheme ? scheme : "", host ? host : "");
    }
    clew_http_client_end(span, method, clean, host, port ? atoi(port) : 0, answer->status,
                         answer->status ? NULL : answer->problem);
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    curl_url_cleanup(parts);
}
