/* SPDX-License-Identifier: Apache-2.0
 * See delivery_curl.h. */
#include "delivery_curl.h"

#include "sockets.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define SEND_BUFFER_BYTES (256L << 10)

static size_t bytes_given; /* of bodies, ever: whether curl gets on */

/* ---- what curl calls ----------------------------------------------------------------- */

static size_t give_body(char *data, size_t size, size_t n, void *arg)
{
    size_t now = clew__body_read(&((struct clew__exchange *)arg)->body, data, size * n);

    bytes_given += now;
    return now;
}

/* curl begins again only from the start: a connection that was kept was dead. */
static int seek_body(void *arg, curl_off_t offset, int origin)
{
    if (offset != 0 || origin != SEEK_SET)
        return CURL_SEEKFUNC_CANTSEEK;
    clew__body_rewind(&((struct clew__exchange *)arg)->body);
    return CURL_SEEKFUNC_OK;
}

static size_t take_answer(char *data, size_t size, size_t n, void *arg)
{
    return clew__exchange_take(arg, data, size * n) ? size * n : 0;
}

static size_t take_header(char *data, size_t size, size_t n, void *arg)
{
    return clew__exchange_take_header(arg, data, size * n) ? size * n : 0;
}

static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    (void)arg;
    (void)purpose;
    return clew__sockets_open(address->family, address->socktype, address->protocol);
}

static int close_socket(void *arg, curl_socket_t fd)
{
    (void)arg;
    return clew__sockets_close(fd);
}

/* ---- requests ------------------------------------------------------------------------ */

bool clew__curl_send(struct clew__curl *c, CURLM *multi)
{
    curl_easy_setopt(c->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)c->x->body.len);
    return curl_multi_add_handle(multi, c->easy) == CURLM_OK;
}

void clew__curl_finish(struct clew__curl *c, CURLM *multi, CURLcode code)
{
    curl_off_t seconds = 0;
    long status = 0;

    clew__curl_cancel(c, multi);
    (void)curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
    (void)curl_easy_getinfo(c->easy, CURLINFO_RETRY_AFTER, &seconds);
    clew__exchange_retry_after(c->x, seconds);
    if (code == CURLE_OK)
        c->x->status = (unsigned)status;
    else if (!c->x->too_long) /* curl's own words name no URL and no header */
        clew__exchange_fail(c->x, "%s", curl_easy_strerror(code));
}

void clew__curl_cancel(struct clew__curl *c, CURLM *multi)
{
    (void)curl_multi_remove_handle(multi, c->easy);
}

/* One call hands over one buffer only. */
void clew__curl_run(CURLM *multi)
{
    size_t before;
    int active;

    do {
        before = bytes_given;
        (void)curl_multi_perform(multi, &active);
    } while (bytes_given != before);
}

/* ---- opening and closing ---------------------------------------------------------------- */

static bool set_headers(struct clew__curl *c, const char *headers)
{
    char copy[8192], *rest = copy, *header;
    struct curl_slist *longer;

    if (snprintf(copy, sizeof(copy), "%sExpect:\n", headers) >= (int)sizeof(copy))
        return false;
    while ((header = strsep(&rest, "\n")) && *header) {
        longer = curl_slist_append(c->headers, header);
        if (!longer)
            return false;
        c->headers = longer;
    }
    return true;
}

/* A handle with everything that stays the same; again in the child of a fork. */
bool clew__curl_reopen(struct clew__curl *c, const struct clew__destination *to,
                       struct clew__exchange *x, void *owner)
{
    CURL *easy = c->easy = curl_easy_init();

    if (!easy)
        return false;
    c->x = x;
    curl_easy_setopt(easy, CURLOPT_URL, to->url);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, c->headers);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, owner);
    curl_easy_setopt(easy, CURLOPT_POST, 1L);
    curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, SEND_BUFFER_BYTES);
    curl_easy_setopt(easy, CURLOPT_READFUNCTION, give_body);
    curl_easy_setopt(easy, CURLOPT_READDATA, x);
    curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, seek_body);
    curl_easy_setopt(easy, CURLOPT_SEEKDATA, x);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_answer);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, x);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, x);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, close_socket);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); /* the end waits for no name server */
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, x->timeout_ms);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_USERAGENT, CLEW__USER_AGENT);
    if (to->http2)
        curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    if (to->certificate[0])
        curl_easy_setopt(easy, CURLOPT_CAINFO, to->certificate);
    if (to->client_certificate[0])
        curl_easy_setopt(easy, CURLOPT_SSLCERT, to->client_certificate);
    if (to->client_key[0])
        curl_easy_setopt(easy, CURLOPT_SSLKEY, to->client_key);
    return true;
}

bool clew__curl_open(struct clew__curl *c, const struct clew__destination *to,
                     struct clew__exchange *x, void *owner)
{
    *c = (struct clew__curl){.easy = NULL};
    if (set_headers(c, to->headers) && clew__curl_reopen(c, to, x, owner))
        return true;
    clew__curl_close(c);
    return false;
}

void clew__curl_close(struct clew__curl *c)
{
    curl_easy_cleanup(c->easy);
    curl_slist_free_all(c->headers);
    *c = (struct clew__curl){.easy = NULL};
}
