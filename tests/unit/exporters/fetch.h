/* SPDX-License-Identifier: Apache-2.0
 * One request to the management server, and all of its answer. */
#ifndef CLEW_TEST_FETCH_H
#define CLEW_TEST_FETCH_H

#include <clew/export.h>

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

struct fetch {
    /* what to ask; all may be NULL or 0 */
    const char *method; /* GET */
    const char *path;
    const char *header, *header2;
    const char *body;
    size_t body_len; /* 0: strlen(body) */
    uint16_t port;   /* clew_management_port() */
    const char *ca;  /* https, with this CA … */
    const char *certificate, *key;
    /* the answer */
    long status; /* 0: none */
    char text[262144], headers[8192];
};

static size_t fetch_keep(char *to, size_t size, const char *data, size_t n)
{
    size_t used = strlen(to);

    if (used + n < size) {
        memcpy(to + used, data, n);
        to[used + n] = '\0';
    }
    return n;
}

static size_t fetch_text(char *data, size_t size, size_t n, void *f)
{
    (void)size;
    return fetch_keep(((struct fetch *)f)->text, sizeof(((struct fetch *)f)->text), data, n);
}

static size_t fetch_header(char *data, size_t size, size_t n, void *f)
{
    (void)size;
    return fetch_keep(((struct fetch *)f)->headers, sizeof(((struct fetch *)f)->headers), data, n);
}

/* Returns the status. */
static long fetch(struct fetch *f)
{
    struct curl_slist *list = NULL;
    CURL *easy = curl_easy_init();
    char url[256];

    f->status = 0;
    f->text[0] = f->headers[0] = '\0';
    snprintf(url, sizeof(url), "http%s://127.0.0.1:%u%s", f->ca ? "s" : "",
             f->port ? f->port : clew_management_port(), f->path);
    if (f->header)
        list = curl_slist_append(list, f->header);
    if (f->header2)
        list = curl_slist_append(list, f->header2);
    curl_easy_setopt(easy, CURLOPT_URL, url);
    if (f->body) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE,
                         (long)(f->body_len ? f->body_len : strlen(f->body)));
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, f->body);
    }
    if (f->method && strcmp(f->method, "HEAD") == 0)
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    else if (f->method)
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, f->method);
    if (f->ca)
        curl_easy_setopt(easy, CURLOPT_CAINFO, f->ca);
    if (f->certificate) {
        curl_easy_setopt(easy, CURLOPT_SSLCERT, f->certificate);
        curl_easy_setopt(easy, CURLOPT_SSLKEY, f->key);
    }
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, list);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT, 20L);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, fetch_text);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, f);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, fetch_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, f);
    if (curl_easy_perform(easy) == CURLE_OK)
        curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &f->status);
    curl_easy_cleanup(easy);
    curl_slist_free_all(list);
    return f->status;
}

#endif
