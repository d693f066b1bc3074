/* SPDX-License-Identifier: Apache-2.0
 * Sending one body. The answer is bounded: so many bytes of the body as a reason
 * needs, and of the headers only Retry-After. Redirects are not followed: a page
 * goes where the configuration says. clew_curl_perform() would put the whole URL
 * into the span, and Slack's URLs are secrets, so the span is opened and ended
 * here with the URL's host alone. A handle belongs to one worker. */
#include "http.h"

#include <common/instant.h>

#include <clew/http.h>
#include <clew/trace.h>
#include <curl/curl.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONNECT_TIMEOUT_MS 5000L
#define TIMEOUT_MS 15000L
#define ANSWER_MAX (64u << 10)

struct clew__http {
    CURL *easy;
    const atomic_bool *abort;
    struct clew__buf body;
    char retry_after[128];
};

static size_t take_body(char *data, size_t size, size_t n, void *arg)
{
    struct clew__http *http = arg;
    size_t len = size * n, room = ANSWER_MAX - http->body.len;

    clew__buf_add(&http->body, data, len < room ? len : room);
    return len; /* what is too much is read and dropped: the status is there */
}

static size_t take_header(char *data, size_t size, size_t n, void *arg)
{
    static const char name[] = "retry-after:";
    struct clew__http *http = arg;
    size_t len = size * n, at = sizeof(name) - 1;

    if (len >= at && strncasecmp(data, name, at) == 0) {
        while (at < len && (data[at] == ' ' || data[at] == '\t'))
            at++;
        while (len > at && (unsigned char)data[len - 1] <= ' ')
            len--;
        (void)snprintf(http->retry_after, sizeof(http->retry_after), "%.*s", (int)(len - at),
                       data + at);
    }
    return size * n;
}

static int look_at_abort(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const struct clew__http *http = arg;

    (void)a, (void)b, (void)c, (void)d;
    return atomic_load(http->abort) ? 1 : 0;
}

struct clew__http *clew__http_new(const atomic_bool *abort)
{
    struct clew__http *http = calloc(1, sizeof(*http));

    if (!http)
        return NULL;
    http->abort = abort;
    clew__buf_init(&http->body, ANSWER_MAX + 1);
    http->easy = curl_easy_init();
    if (!http->easy)
        return clew__http_free(http);
    (void)curl_easy_setopt(http->easy, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(http->easy, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
    (void)curl_easy_setopt(http->easy, CURLOPT_TIMEOUT_MS, TIMEOUT_MS);
    (void)curl_easy_setopt(http->easy, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(http->easy, CURLOPT_FOLLOWLOCATION, 0L);
    (void)curl_easy_setopt(http->easy, CURLOPT_USERAGENT, "clewline-alertbridge");
    (void)curl_easy_setopt(http->easy, CURLOPT_WRITEFUNCTION, take_body);
    (void)curl_easy_setopt(http->easy, CURLOPT_WRITEDATA, http);
    (void)curl_easy_setopt(http->easy, CURLOPT_HEADERFUNCTION, take_header);
    (void)curl_easy_setopt(http->easy, CURLOPT_HEADERDATA, http);
    (void)curl_easy_setopt(http->easy, CURLOPT_NOPROGRESS, 0L);
    (void)curl_easy_setopt(http->easy, CURLOPT_XFERINFOFUNCTION, look_at_abort);
    (void)curl_easy_setopt(http->easy, CURLOPT_XFERINFODATA, http);
    return http;
}

struct clew__http *clew__http_free(struct clew__http *http)
{
    if (!http)
        return NULL;
    curl_easy_cleanup(http->easy);
    clew__buf_done(&http->body);
    free(http);
    return NULL;
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
    case CURLE_ABORTED_BY_CALLBACK:
        return "shutdown";
    default:
        return "connection_lost";
    }
}

static void add_header(void *arg, const char *name, const char *value)
{
    struct curl_slist **list = arg, *longer;
    char line[CLEW_BAGGAGE_MAX + 64];

    if ((size_t)snprintf(line, sizeof(line), "%s: %s", name, value) >= sizeof(line))
        return;
    longer = curl_slist_append(*list, line);
    if (longer)
        *list = longer;
}

static void end_span(struct clew_span *span, const char *url, unsigned status, const char *error)
{
    char *scheme = NULL, *host = NULL, *port = NULL, clean[512] = "";
    CURLU *parts = curl_url();

    if (parts && curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK) {
        (void)curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0);
        (void)curl_url_get(parts, CURLUPART_HOST, &host, 0);
        (void)curl_url_get(parts, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT);
        (void)snprintf(clean, sizeof(clean), "%s://%s/", scheme ? scheme : "", host ? host : "");
    }
    clew_http_client_end(span, "POST", clean, host, port ? atoi(port) : 0, status, error);
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    curl_url_cleanup(parts);
}

void clew__http_post(struct clew__http *http, const char *url, const char *body, size_t len,
                     struct clew__answer *ret_answer)
{
    struct clew_span *span = clew_span_start("POST", CLEW_SPAN_CLIENT);
    struct clew_scope scope = span ? clew_span_scope(span) : clew_scope_current();
    struct curl_slist *headers = NULL;
    long status = 0;
    CURLcode code;

    clew__buf_reset(&http->body);
    http->retry_after[0] = '\0';
    add_header(&headers, "Content-Type", "application/json; charset=utf-8");
    add_header(&headers, "Expect", ""); /* no waiting for 100-continue */
    clew_inject(scope, add_header, &headers);
    (void)curl_easy_setopt(http->easy, CURLOPT_URL, url);
    (void)curl_easy_setopt(http->easy, CURLOPT_HTTPHEADER, headers);
    (void)curl_easy_setopt(http->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)len);
    (void)curl_easy_setopt(http->easy, CURLOPT_POSTFIELDS, body);
    code = curl_easy_perform(http->easy);
    if (code == CURLE_OK)
        (void)curl_easy_getinfo(http->easy, CURLINFO_RESPONSE_CODE, &status);
    (void)curl_easy_setopt(http->easy, CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(headers);
    clew__buf_addc(&http->body, '\0');
    *ret_answer = (struct clew__answer){
        .status = (unsigned)status,
        .problem = status ? "" : problem(code),
        .retry_after = http->retry_after,
        .body = http->body.failed || !http->body.data ? "" : http->body.data,
        .now = clew__instant_now(),
    };
    end_span(span, url, ret_answer->status, status ? NULL : ret_answer->problem);
}
