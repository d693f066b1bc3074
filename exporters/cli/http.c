/* SPDX-License-Identifier: Apache-2.0
 * One GET over libcurl, with limits. */
#include "cli.h"

#include <curl/curl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BODY_MAX (64u << 20)

static size_t take(char *data, size_t size, size_t n, void *arg)
{
    struct clew__buf *body = arg;

    (void)size;
    clew__buf_add(body, data, n);
    return body->failed ? 0 : n;
}

long cli_get(const char *url, const char *const *headers, char **ret_body, size_t *ret_len)
{
    struct curl_slist *list = NULL;
    CURL *easy = curl_easy_init();
    struct clew__buf body;
    CURLcode code;
    long status = 0;

    clew__buf_init(&body, BODY_MAX);
    if (!easy)
        return 0;
    for (; headers && *headers; headers++)
        list = curl_slist_append(list, *headers);
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, list);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, 5L);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT, 60L);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "");
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &body);
    code = curl_easy_perform(easy);
    if (code == CURLE_OK)
        curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    else
        fprintf(stderr, "clew: %.200s: %s\n", url, curl_easy_strerror(code));
    curl_easy_cleanup(easy);
    curl_slist_free_all(list);
    *ret_body = clew__buf_take(&body, ret_len);
    return *ret_body ? status : 0;
}

/* NAME or the first line of the file that NAME_FILE names. */
static bool read_secret(const char *name, char *ret, size_t size)
{
    char variable[64];
    const char *value = getenv(name), *path;
    FILE *file;

    ret[0] = '\0';
    if (value && *value)
        return snprintf(ret, size, "%s", value) < (int)size;
    (void)snprintf(variable, sizeof(variable), "%s_FILE", name);
    path = getenv(variable);
    if (!path || !*path)
        return true;
    file = fopen(path, "re");
    if (!file || !fgets(ret, (int)size, file))
        ret[0] = '\0';
    if (file)
        (void)fclose(file);
    ret[strcspn(ret, "\r\n")] = '\0';
    return ret[0] != '\0';
}

const char *const *cli_headers(const char *accept)
{
    static char lines[3][4200];
    static const char *list[4];
    const char *tenant = getenv("CLEW_LOKI_TENANT");
    char token[4096];
    size_t n = 0;

    if (accept) {
        (void)snprintf(lines[n], sizeof(lines[n]), "Accept: %s", accept);
        n++;
    }
    if (tenant && *tenant) {
        (void)snprintf(lines[n], sizeof(lines[n]), "X-Scope-OrgID: %.150s", tenant);
        n++;
    }
    if (!read_secret("CLEW_LOKI_BEARER_TOKEN", token, sizeof(token)))
        fprintf(stderr, "clew: CLEW_LOKI_BEARER_TOKEN_FILE: cannot be read\n");
    if (token[0]) {
        (void)snprintf(lines[n], sizeof(lines[n]), "Authorization: Bearer %s", token);
        n++;
    }
    for (size_t i = 0; i < n; i++)
        list[i] = lines[i];
    list[n] = NULL;
    return list;
}

char *cli_url(const char *base, const char *format, ...)
{
    struct clew__buf url;
    size_t len = strlen(base);
    char tail[8192];
    va_list args;

    while (len && base[len - 1] == '/')
        len--;
    va_start(args, format);
    (void)vsnprintf(tail, sizeof(tail), format, args);
    va_end(args);
    clew__buf_init(&url, 65536);
    clew__buf_add(&url, base, len);
    clew__buf_adds(&url, tail);
    return clew__buf_take(&url, &len);
}

char *cli_escape(const char *text)
{
    char *escaped = curl_easy_escape(NULL, text, 0);
    char *copy = escaped ? strdup(escaped) : NULL;

    curl_free(escaped);
    return copy;
}
