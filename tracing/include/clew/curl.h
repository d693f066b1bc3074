/* SPDX-License-Identifier: Apache-2.0
 *
 * clew/curl.h: traced requests with libcurl's easy interface (7.62 and later).
 *
 * Header-only, so that libclew needs no libcurl. Use clew_curl_perform() where
 * the program called curl_easy_perform(): it opens a client span under the
 * current scope, sends the headers that carry the request onwards, and ends
 * the span with the answer's status.
 */
#ifndef CLEW_CURL_H
#define CLEW_CURL_H

#include <clew/http.h>
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct clew_curl_headers_ {
    struct curl_slist *list;
};

static inline void clew_curl_add_header_(void *arg, const char *name, const char *value)
{
    struct clew_curl_headers_ *headers = (struct clew_curl_headers_ *)arg;
    size_t size = strlen(name) + strlen(value) + 3;
    char *line = (char *)malloc(size);

    if (!line)
        return; /* the request goes out without this header */
    (void)snprintf(line, size, "%s: %s", name, value);
    struct curl_slist *longer = curl_slist_append(headers->list, line);
    if (longer)
        headers->list = longer;
    free(line);
}

static inline void clew_curl_end_span_(CURL *easy, struct clew_span *span, CURLcode code)
{
    char *method = NULL, *url = NULL, *host = NULL, *port = NULL;
    long status = 0;
    CURLU *parts = curl_url();

#if LIBCURL_VERSION_NUM >= 0x074800
    (void)curl_easy_getinfo(easy, CURLINFO_EFFECTIVE_METHOD, &method);
#endif
    (void)curl_easy_getinfo(easy, CURLINFO_EFFECTIVE_URL, &url);
    (void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    if (parts && url && curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK) {
        (void)curl_url_get(parts, CURLUPART_HOST, &host, 0);
        (void)curl_url_get(parts, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT);
    }
    clew_http_client_end(span, method, url, host, port ? atoi(port) : 0, (unsigned)status,
                         code == CURLE_OK ? NULL : curl_easy_strerror(code));
    curl_free(host);
    curl_free(port);
    curl_url_cleanup(parts);
}

/* curl_easy_perform() as a client span. The span says which URL, without user
 * and password: where the path itself is a secret (a webhook's), open the span
 * with clew_span_start(), send the headers of clew_inject(), and end it with
 * clew_http_client_end() and no url.
 *
 * args     headers: what CURLOPT_HTTPHEADER was or would have been set to, may
 *          be NULL; borrowed. CURLOPT_HTTPHEADER is headers again afterwards
 * returns  what curl_easy_perform() returned */
static inline CURLcode clew_curl_perform(CURL *easy, struct curl_slist *headers)
{
    struct clew_span *span = clew_span_start("HTTP", CLEW_SPAN_CLIENT);
    struct clew_scope scope = span ? clew_span_scope(span) : clew_scope_current();
    struct clew_curl_headers_ ours = {NULL};
    struct curl_slist *last;

    clew_inject(scope, clew_curl_add_header_, &ours);
    for (last = ours.list; last && last->next; last = last->next)
        ;
    if (last)
        last->next = headers;
    (void)curl_easy_setopt(easy, CURLOPT_HTTPHEADER, ours.list ? ours.list : headers);
    CURLcode code = curl_easy_perform(easy);
    (void)curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    if (last)
        last->next = NULL;
    curl_slist_free_all(ours.list);
    clew_curl_end_span_(easy, span, code);
    return code;
}

#endif
