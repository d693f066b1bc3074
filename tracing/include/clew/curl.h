/* SPDX-License-Identifier: Apache-2.0
 *
 * clew/curl.h: traced requests with libcurl's easy interface (7.62 and later).
 *
 * Header-only, so that libclew needs no libcurl. Use clew_curl_perform() where
 * the program called curl_easy_perform(): it opens a client span under the
 * current scope, sends the headers that carry the request onwards, and ends
 * the span with the answer's status. clew_curl_debug() puts what `curl -v`
 * prints into the log.
 */
#ifndef CLEW_CURL_H
#define CLEW_CURL_H

#include <clew/http.h>
#include <clew/log.h>
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

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

/* ---- what libcurl says --------------------------------------------------------- */

#define CLEW_CURL_TEXT_BYTES_ 1024u

/* Behind the first of the words that names of secrets contain; NULL. */
static inline const char *clew_curl_secret_(const char *text, const char *end)
{
    static const char *const words[] = {"auth", "cookie",     "token",     "secret", "key",
                                        "pass", "credential", "signature", "session"};

    for (; text < end; text++)
        for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
            size_t len = strlen(words[i]);

            if ((size_t)(end - text) >= len && strncasecmp(text, words[i], len) == 0)
                return text + len;
        }
    return NULL;
}

static inline bool clew_curl_ends_url_(char c)
{
    return c == '\0' || strchr(" \t'\"])>", c) != NULL;
}

/* Past user and password, if a URL's authority at text has them. */
static inline const char *clew_curl_past_user_(const char *text, const char *end)
{
    const char *past = text;

    for (; text < end && *text != '/' && *text != '?' && !clew_curl_ends_url_(*text); text++)
        if (*text == '@')
            past = text + 1;
    return past;
}

/* Copies without what may be secret in a URL: user, password, query, fragment. */
static inline size_t clew_curl_copy_(char to[CLEW_CURL_TEXT_BYTES_], const char *text,
                                     const char *end)
{
    size_t n = 0;

    while (text < end && n < CLEW_CURL_TEXT_BYTES_) {
        char c = *text++;

        to[n++] = c;
        if (n >= 3 && memcmp(to + n - 3, "://", 3) == 0)
            text = clew_curl_past_user_(text, end);
        else if ((c == '?' || c == '#') && n > 1 && to[n - 2] != ' ')
            while (text < end && !clew_curl_ends_url_(*text))
                text++;
    }
    return n;
}

/* " HTTP/1.1" or " HTTP/2" at the end. */
static inline bool clew_curl_is_request_(const char *line, const char *end)
{
    return (end - line > 9 && memcmp(end - 9, " HTTP/1.", 8) == 0) ||
           (end - line > 7 && memcmp(end - 7, " HTTP/", 6) == 0);
}

/* How much of a line may be logged. Of a header whose name sounds like a secret
 * the name; libcurl's own words may quote one. Of a command that is not HTTP's
 * nothing: FTP, SMTP and IMAP send passwords so. */
static inline const char *clew_curl_until_(bool sent, const char *line, const char *end)
{
    const char *secret = clew_curl_secret_(line, end), *colon;

    if (sent && clew_curl_is_request_(line, end))
        return end;
    if (sent) {
        const char *space = (const char *)memchr(line, ' ', (size_t)(end - line));

        colon = (const char *)memchr(line, ':', (size_t)(end - line));
        if (!colon || (space && space < colon))
            return line;
    }
    colon = secret ? (const char *)memchr(secret, ':', (size_t)(end - secret)) : NULL;
    return colon ? colon : end;
}

static inline void clew_curl_line_(const char *kind, bool sent, const char *line, const char *end)
{
    const char *until = clew_curl_until_(sent, line, end);
    char text[CLEW_CURL_TEXT_BYTES_];
    size_t n = clew_curl_copy_(text, line, until);

    clew_debug("libcurl", clew_kv("kind", kind), clew_kvn("text", (const char *)text, n),
               clew_kv("hidden", until != end));
}

static inline int clew_curl_debug_(CURL *easy, curl_infotype type, char *data, size_t size,
                                   void *arg)
{
    const char *kind = type == CURLINFO_TEXT         ? "info"
                       : type == CURLINFO_HEADER_OUT ? "sent"
                       : type == CURLINFO_HEADER_IN  ? "received"
                                                     : NULL;
    const char *line = data, *end = data + size;

    (void)easy;
    (void)arg;
    while (kind && line < end) {
        const char *newline = (const char *)memchr(line, '\n', (size_t)(end - line));
        const char *stop = newline ? newline : end;

        while (stop > line && (stop[-1] == '\r' || stop[-1] == '\n'))
            stop--;
        if (stop > line)
            clew_curl_line_(kind, type == CURLINFO_HEADER_OUT, line, stop);
        line = newline ? newline + 1 : end;
    }
    return 0;
}

/* Logs what libcurl does with this handle, at level DEBUG, as "libcurl" with
 * kind ("info", "sent", "received") and text, a line an event, 1 KiB at most:
 * its own words and the headers, never the data. Values of headers whose names
 * sound like secrets (Authorization, Cookie, X-Api-Key, …), users, passwords
 * and queries of URLs, commands of other protocols than HTTP are left out; "hidden"
 * says so of a line. Paths are not:
 * do not use it where they are secret (a webhook's).
 *
 * args     easy: CURLOPT_DEBUGFUNCTION and CURLOPT_VERBOSE are set; to end it
 *          set CURLOPT_VERBOSE to 0
 * returns  what curl_easy_setopt() returned */
static inline CURLcode clew_curl_debug(CURL *easy)
{
    CURLcode code = curl_easy_setopt(easy, CURLOPT_DEBUGFUNCTION, clew_curl_debug_);

    return code == CURLE_OK ? curl_easy_setopt(easy, CURLOPT_VERBOSE, 1L) : code;
}

#endif
