/* SPDX-License-Identifier: Apache-2.0
 * See h2c_headers.h (RFC 9113, sections 8.2 and 8.3; gRPC over HTTP/2, "Requests"). */
#include "h2c_headers.h"

#include "delivery.h"

#include <base64.h>

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Copies both into the text; the name in lower case. */
static bool add(struct clew__h2c_headers *h, const char *name, size_t name_len, const char *value,
                size_t value_len, uint8_t flags)
{
    char *at = h->text + h->used;

    if (h->n == CLEW__H2C_HEADERS_MAX || name_len + value_len > h->room - h->used)
        return false;
    for (size_t i = 0; i < name_len; i++)
        at[i] = (char)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] + 'a' - 'A' : name[i]);
    memcpy(at + name_len, value, value_len);
    h->used += name_len + value_len;
    h->all[h->n++] = (nghttp2_nv){
        (uint8_t *)at, (uint8_t *)at + name_len, name_len, value_len,
        (uint8_t)(flags | NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE)};
    return true;
}

static bool add_own(struct clew__h2c_headers *h, const char *name, const char *value)
{
    return add(h, name, strlen(name), value, strlen(value), NGHTTP2_NV_FLAG_NONE);
}

static bool is(const char *name, size_t len, const char *other)
{
    return len == strlen(other) && strncasecmp(name, other, len) == 0;
}

/* Headers that are about a connection of HTTP/1.1, or that HTTP/2 has of its own. */
static bool is_of_http1(const char *name, size_t len)
{
    static const char *const names[] = {"connection", "content-length",   "host",
                                        "keep-alive", "proxy-connection", "transfer-encoding",
                                        "upgrade"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (is(name, len, names[i]))
            return true;
    return false;
}

/* Values may be secrets: no table of either side keeps them. */
static bool add_lines(struct clew__h2c_headers *h, const char *lines)
{
    bool has_agent = false;

    while (*lines) {
        size_t len = strcspn(lines, "\n"), name = strcspn(lines, ":"), skip = name + 1;

        if (name < len) {
            skip += strspn(lines + skip, " ");
            has_agent = has_agent || is(lines, name, "user-agent");
            if (skip < len && !is_of_http1(lines, name) &&
                !add(h, lines, name, lines + skip, len - skip,
                     is(lines, name, "content-type") || is(lines, name, "te")
                         ? NGHTTP2_NV_FLAG_NONE
                         : NGHTTP2_NV_FLAG_NO_INDEX))
                return false;
        }
        lines += len;
        lines += *lines == '\n';
    }
    return has_agent || add_own(h, "user-agent", CLEW__USER_AGENT);
}

/* A part of a URL into to; false when it is longer. */
static bool get_part(CURLU *url, CURLUPart what, unsigned flags, char *to, size_t size)
{
    char *part = NULL;
    bool good = curl_url_get(url, what, &part, flags) == CURLUE_OK && strlen(part) < size;

    if (good)
        memcpy(to, part, strlen(part) + 1);
    curl_free(part);
    return good;
}

static void strip_brackets(char *host)
{
    size_t len = strlen(host);

    if (len > 2 && host[0] == '[') {
        memmove(host, host + 1, len - 2);
        host[len - 2] = '\0';
    }
}

/* http://user:password@host is Basic authentication (RFC 7617). */
static bool add_user(struct clew__h2c_headers *h, CURLU *url)
{
    char user[256], password[256] = "", plain[512];
    char value[8 + CLEW__BASE64_MAX(sizeof(plain))] = "Basic ", *end;
    int n;

    if (!get_part(url, CURLUPART_USER, CURLU_URLDECODE, user, sizeof(user)))
        return true;
    (void)get_part(url, CURLUPART_PASSWORD, CURLU_URLDECODE, password, sizeof(password));
    n = snprintf(plain, sizeof(plain), "%s:%s", user, password);
    end = clew__put_base64(value + 6, plain, (size_t)n);
    return add(h, "authorization", 13, value, (size_t)(end - value), NGHTTP2_NV_FLAG_NO_INDEX);
}

static bool add_url(struct clew__h2c_headers *h, CURLU *url, char host[256], char port[8])
{
    char path[1024], authority[300];

    if (!get_part(url, CURLUPART_HOST, 0, host, 256) ||
        !get_part(url, CURLUPART_PORT, CURLU_DEFAULT_PORT, port, 8) ||
        !get_part(url, CURLUPART_PATH, 0, path, sizeof(path)))
        return false;
    (void)snprintf(authority, sizeof(authority), strcmp(port, "80") == 0 ? "%s" : "%s:%s", host,
                   port);
    strip_brackets(host);
    return add_own(h, ":method", "POST") && add_own(h, ":scheme", "http") &&
           add_own(h, ":path", path) && add_own(h, ":authority", authority);
}

bool clew__h2c_headers_make(struct clew__h2c_headers *ret, const char *url, const char *lines,
                            char ret_host[256], char ret_port[8])
{
    CURLU *parts = curl_url();
    bool good;

    *ret = (struct clew__h2c_headers){.room = 4096 + strlen(url) + strlen(lines)};
    ret->text = malloc(ret->room);
    good = parts && ret->text && curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
           add_url(ret, parts, ret_host, ret_port) && add_lines(ret, lines) && add_user(ret, parts);
    curl_url_cleanup(parts);
    if (!good)
        clew__h2c_headers_done(ret);
    return good;
}

void clew__h2c_headers_done(struct clew__h2c_headers *headers)
{
    free(headers->text);
    *headers = (struct clew__h2c_headers){.text = NULL};
}
