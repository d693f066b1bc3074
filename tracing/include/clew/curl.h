/* SPDX-License-Identifier: Apache-2.0
 *
 * clew/curl.h: traced requests with libcurl (7.62 and later).
 *
 * Header-only, so that libclew needs no libcurl. Use clew_curl_perform() where
 * the program called curl_easy_perform(): it opens a client span under the
 * current scope, sends the headers that carry the request onwards, and ends
 * the span with the answer's status. With the multi interface:
 *
 *     struct clew_curl_multi traced = {multi};
 *     clew_curl_multi_add(&traced, easy, headers);    // curl_multi_add_handle()
 *     ...
 *     while ((message = clew_curl_multi_info_read(&traced, &left)))  // ends the span
 *         ...
 *     clew_curl_multi_remove(&traced, easy);          // curl_multi_remove_handle()
 *
 * When the name was resolved, the connection made, TLS agreed on and the first
 * byte there are events of the span: "dns", "connect", "tls", "first_byte".
 * clew_curl_debug() puts what `curl -v` prints into the log.
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
#include <time.h>

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

/* A request while it is under way; in memory of the caller. The functions below
 * are made of this: begin, let libcurl do it in whatever way, end. */
struct clew_curl_transfer {
    unsigned
        resends; /* of a retry: how often the request was sent before; settable until the end */
    CURL *easy;
    struct clew_span *span;
    struct curl_slist *headers; /* the program's */
    struct curl_slist *ours;    /* ends in the program's */
    uint64_t start_ns;
    struct clew_curl_transfer *next; /* of a struct clew_curl_multi */
};

static inline uint64_t clew_curl_now_(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

/* Opens the span under the current scope and sets the headers.
 *
 * args     headers: what CURLOPT_HTTPHEADER was or would have been set to, may
 *          be NULL; borrowed until the end
 * owner    clew_curl_end(), once, before easy is cleaned up */
static inline void clew_curl_begin(struct clew_curl_transfer *transfer, CURL *easy,
                                   struct curl_slist *headers)
{
    struct clew_curl_headers_ ours = {NULL};
    struct clew_span_options options;
    struct curl_slist *last;

    memset(transfer, 0, sizeof(*transfer));
    memset(&options, 0, sizeof(options));
    options.kind = CLEW_SPAN_CLIENT;
    options.scope = "clew.curl";
    options.start_ns = transfer->start_ns = clew_curl_now_();
    transfer->easy = easy;
    transfer->headers = headers;
    transfer->span = clew_span_start_with("HTTP", &options);
    clew_inject(clew_span_scope(transfer->span), clew_curl_add_header_, &ours);
    for (last = ours.list; last && last->next; last = last->next)
        ;
    if (last)
        last->next = headers;
    transfer->ours = ours.list;
    (void)curl_easy_setopt(easy, CURLOPT_HTTPHEADER, ours.list ? ours.list : headers);
}

/* Gives the program its headers back. */
static inline void clew_curl_unset_headers_(struct clew_curl_transfer *transfer)
{
    struct curl_slist *last = transfer->ours;

    (void)curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, transfer->headers);
    while (last && last->next != transfer->headers)
        last = last->next;
    if (last)
        last->next = NULL;
    curl_slist_free_all(transfer->ours);
    transfer->ours = NULL;
}

static inline curl_off_t clew_curl_time_(CURL *easy, CURLINFO what)
{
    curl_off_t us = 0;

    return curl_easy_getinfo(easy, what, &us) == CURLE_OK && us > 0 ? us : 0;
}

/* libcurl counts from the start, in microseconds, and adds up over redirects:
 * then only the last request's beginning is known. What a connection that was
 * used before did not do again is no event. */
static inline void clew_curl_set_phases_(const struct clew_curl_transfer *transfer, long redirects)
{
    CURL *easy = transfer->easy;
    curl_off_t dns = clew_curl_time_(easy, CURLINFO_NAMELOOKUP_TIME_T);
    curl_off_t connect = clew_curl_time_(easy, CURLINFO_CONNECT_TIME_T);
    curl_off_t tls = clew_curl_time_(easy, CURLINFO_APPCONNECT_TIME_T);
    curl_off_t first_byte = clew_curl_time_(easy, CURLINFO_STARTTRANSFER_TIME_T);
    curl_off_t redirect = clew_curl_time_(easy, CURLINFO_REDIRECT_TIME_T);
    uint64_t start = transfer->start_ns;
    long connections = 0;

    (void)curl_easy_getinfo(easy, CURLINFO_NUM_CONNECTS, &connections);
    if (redirects > 0) {
        clew_span_event_at(transfer->span, start + (uint64_t)redirect * 1000u, "redirected",
                           clew_kv("http.request.resend_count", (int64_t)redirects));
        return;
    }
    if (dns && connections > 0)
        clew_span_event_at(transfer->span, start + (uint64_t)dns * 1000u, "dns");
    if (connect && connections > 0)
        clew_span_event_at(transfer->span, start + (uint64_t)connect * 1000u, "connect");
    if (tls && connections > 0)
        clew_span_event_at(transfer->span, start + (uint64_t)tls * 1000u, "tls");
    if (first_byte)
        clew_span_event_at(transfer->span, start + (uint64_t)first_byte * 1000u, "first_byte");
}

static inline const char *clew_curl_version_(CURL *easy)
{
    long version = 0;

    (void)curl_easy_getinfo(easy, CURLINFO_HTTP_VERSION, &version);
    switch (version) {
    case CURL_HTTP_VERSION_1_0:
        return "1.0";
    case CURL_HTTP_VERSION_1_1:
        return "1.1";
    case CURL_HTTP_VERSION_2_0:
        return "2";
    case 30: /* CURL_HTTP_VERSION_3, from 7.66 on */
        return "3";
    default:
        return NULL;
    }
}

static inline void clew_curl_describe_(const struct clew_curl_transfer *transfer)
{
    CURL *easy = transfer->easy;
    const char *version = clew_curl_version_(easy);
    char *address = NULL;
    long port = 0, redirects = 0;
    int64_t resends;

    (void)curl_easy_getinfo(easy, CURLINFO_PRIMARY_IP, &address);
    (void)curl_easy_getinfo(easy, CURLINFO_PRIMARY_PORT, &port);
    (void)curl_easy_getinfo(easy, CURLINFO_REDIRECT_COUNT, &redirects);
    if (address && *address)
        clew_span_set(transfer->span, clew_kv("network.peer.address", (const char *)address));
    if (port > 0)
        clew_span_set(transfer->span, clew_kv("network.peer.port", port));
    if (version)
        clew_span_set(transfer->span, clew_kv("network.protocol.version", version));
    resends = (int64_t)transfer->resends + redirects;
    if (resends > 0)
        clew_span_set(transfer->span, clew_kv("http.request.resend_count", resends));
    clew_curl_set_phases_(transfer, redirects);
}

/* Ends the span with what the easy handle knows, and gives CURLOPT_HTTPHEADER
 * back as it was. The span says which URL, without user and password: where the
 * path itself is a secret (a webhook's), open the span with clew_span_start(),
 * send the headers of clew_inject(), and end it with clew_http_client_end() and
 * no url.
 *
 * args     code: what libcurl said at the end */
static inline void clew_curl_end(struct clew_curl_transfer *transfer, CURLcode code)
{
    char *method = NULL, *url = NULL, *host = NULL, *port = NULL;
    CURL *easy = transfer->easy;
    CURLU *parts = curl_url();
    long status = 0;

    clew_curl_unset_headers_(transfer);
    if (clew_span_is_recording(transfer->span))
        clew_curl_describe_(transfer);
#if LIBCURL_VERSION_NUM >= 0x074800
    (void)curl_easy_getinfo(easy, CURLINFO_EFFECTIVE_METHOD, &method);
#endif
    (void)curl_easy_getinfo(easy, CURLINFO_EFFECTIVE_URL, &url);
    (void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    if (parts && url && curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK) {
        (void)curl_url_get(parts, CURLUPART_HOST, &host, 0);
        (void)curl_url_get(parts, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT);
    }
    clew_http_client_end(transfer->span, method, url, host, port ? atoi(port) : 0, (unsigned)status,
                         code == CURLE_OK ? NULL : curl_easy_strerror(code));
    transfer->span = NULL;
    curl_free(host);
    curl_free(port);
    curl_url_cleanup(parts);
}

/* curl_easy_perform() as a client span; see clew_curl_end() for the URL.
 *
 * args     headers: as clew_curl_begin(). CURLOPT_HTTPHEADER is headers again
 *          afterwards
 * returns  what curl_easy_perform() returned */
static inline CURLcode clew_curl_perform(CURL *easy, struct curl_slist *headers)
{
    struct clew_curl_transfer transfer;

    clew_curl_begin(&transfer, easy, headers);
    CURLcode code = curl_easy_perform(easy);
    clew_curl_end(&transfer, code);
    return code;
}

/* ---- the multi interface --------------------------------------------------------- */

#define CLEW_CURL_BUCKETS_ 64u

/* A multi handle and the spans of the requests in it; in memory of the caller,
 * all zero but for multi. Belongs to one thread at a time, as multi does. Easy
 * handles that were added without it are passed over. */
struct clew_curl_multi {
    CURLM *multi;
    struct clew_curl_transfer *transfers[CLEW_CURL_BUCKETS_];
};

static inline struct clew_curl_transfer **clew_curl_find_(struct clew_curl_multi *traced,
                                                          CURL *easy)
{
    uintptr_t bits = (uintptr_t)easy;
    struct clew_curl_transfer **at =
        &traced->transfers[(bits >> 6 ^ bits >> 12) % CLEW_CURL_BUCKETS_];

    while (*at && (*at)->easy != easy)
        at = &(*at)->next;
    return at;
}

static inline void clew_curl_finish_(struct clew_curl_multi *traced, CURL *easy, CURLcode code)
{
    struct clew_curl_transfer **at = clew_curl_find_(traced, easy), *transfer = *at;

    if (!transfer)
        return;
    *at = transfer->next;
    clew_curl_end(transfer, code);
    free(transfer);
}

/* curl_multi_add_handle() with clew_curl_begin(). Where there is no memory for a
 * span the request goes out without one. */
static inline CURLMcode clew_curl_multi_add(struct clew_curl_multi *traced, CURL *easy,
                                            struct curl_slist *headers)
{
    struct clew_curl_transfer **at = clew_curl_find_(traced, easy);
    CURLMcode code;

    if (*at)
        return CURLM_ADDED_ALREADY;
    *at = (struct clew_curl_transfer *)malloc(sizeof(**at));
    if (*at)
        clew_curl_begin(*at, easy, headers);
    code = curl_multi_add_handle(traced->multi, easy);
    if (code != CURLM_OK)
        clew_curl_finish_(traced, easy, CURLE_FAILED_INIT);
    return code;
}

/* The transfer of an easy handle that was added, to set its resends; NULL. */
static inline struct clew_curl_transfer *clew_curl_multi_transfer(struct clew_curl_multi *traced,
                                                                  CURL *easy)
{
    return *clew_curl_find_(traced, easy);
}

/* curl_multi_info_read(); the span of the request it tells of ends. */
static inline CURLMsg *clew_curl_multi_info_read(struct clew_curl_multi *traced, int *ret_left)
{
    CURLMsg *message = curl_multi_info_read(traced->multi, ret_left);

    if (message && message->msg == CURLMSG_DONE)
        clew_curl_finish_(traced, message->easy_handle, message->data.result);
    return message;
}

/* curl_multi_remove_handle(); a request that has not ended was given up. */
static inline CURLMcode clew_curl_multi_remove(struct clew_curl_multi *traced, CURL *easy)
{
    clew_curl_finish_(traced, easy, CURLE_ABORTED_BY_CALLBACK);
    return curl_multi_remove_handle(traced->multi, easy);
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
