/* SPDX-License-Identifier: Apache-2.0
 * One request. Of the answer's headers only Retry-After is looked at.
 * Redirects are not followed: a page goes where the configuration says. */
#include "connection.h"

#include <common/instant.h>
#include <config/authorization.h>

#include <clew/trace.h>

#include <stdio.h>
#include <string.h>

#define TIMEOUT_MS 15000L

static size_t take_header(char *data, size_t size, size_t n, void *arg)
{
    static const char name[] = "retry-after:";
    struct clew__connection *connection = arg;
    size_t len = size * n, at = sizeof(name) - 1;

    if (len >= at && strncasecmp(data, name, at) == 0) {
        while (at < len && (data[at] == ' ' || data[at] == '\t'))
            at++;
        while (len > at && (unsigned char)data[len - 1] <= ' ')
            len--;
        (void)snprintf(connection->retry_after, sizeof(connection->retry_after), "%.*s",
                       (int)(len - at), data + at);
    }
    return size * n;
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

/* "" and NULL are libcurl's own. */
static void use_tls(CURL *easy, const struct clew__tls_files *tls)
{
    if (!tls)
        return;
    if (*tls->ca_file)
        (void)curl_easy_setopt(easy, CURLOPT_CAINFO, tls->ca_file);
    (void)curl_easy_setopt(easy, CURLOPT_SSLCERT, *tls->cert_file ? tls->cert_file : NULL);
    (void)curl_easy_setopt(easy, CURLOPT_SSLKEY, *tls->key_file ? tls->key_file : NULL);
}

void clew__http_send(struct clew__connection *connection,
                     const struct clew__integration *integration,
                     const struct clew__http_request *request, struct clew__answer *ret_answer)
{
    static const struct clew__buf none = {.data = NULL};
    const struct clew__buf *body = request->body ? request->body : &none;
    const char *method = request->body ? "POST" : "GET";
    const char *url = request->url ? request->url : integration->url;
    struct clew_span *span = clew_span_start(method, CLEW_SPAN_CLIENT);
    struct clew_scope scope = span ? clew_span_scope(span) : clew_scope_current();
    struct curl_slist *headers = NULL;
    CURL *easy = connection->easy;

    if (request->body) {
        add_header(&headers, "Content-Type",
                   request->content_type ? request->content_type
                                         : "application/json; charset=utf-8");
        add_header(&headers, "Expect", ""); /* no waiting for 100-continue */
    }
    if (integration->ops->headers)
        integration->ops->headers(integration, body, clew__instant_now(), add_header, &headers);
    clew_inject(scope, add_header, &headers);
    (void)curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS,
                           request->timeout_ms ? request->timeout_ms : TIMEOUT_MS);
    (void)curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    (void)curl_easy_setopt(easy, CURLOPT_USERAGENT, "clewline-alertbridge");
    (void)curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header);
    (void)curl_easy_setopt(easy, CURLOPT_URL, url);
    (void)curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    if (request->body) {
        (void)curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body->len);
        (void)curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body->data);
    } else {
        (void)curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
    }
    (void)curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, request->once ? 1L : 0L);
    use_tls(easy, integration->tls);
    clew__connection_expect(connection, request->answer_max);
    connection->take = request->take;
    connection->take_arg = request->take_arg;
    clew__connection_perform(connection, 0, ret_answer);
    connection->take = NULL;
    (void)curl_easy_setopt(easy, CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(headers);
    clew__connection_end_span(span, method, url, ret_answer);
}
