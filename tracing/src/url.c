/* SPDX-License-Identifier: Apache-2.0
 * What of an URL may be seen in a span (OpenTelemetry's registry, url.full and
 * url.query). Stateless but for the list of secret names. */
#include "tracing_priv.h"

#include <json.h>
#include <secret_priv.h>

#include <string.h>
#include <strings.h>

#define REDACTED "REDACTED"
#define NAME_MAX_BYTES 64u

struct copy {
    char *to;
    size_t len, max; /* without NUL */
};

static void add(struct copy *copy, const char *text, size_t len)
{
    size_t left = copy->max - copy->len;
    size_t n = len <= left ? len : clew__utf8_cut(text, len, left);

    memcpy(copy->to + copy->len, text, n);
    copy->len += n;
    if (n < len)
        copy->max = copy->len; /* nothing follows what was cut */
}

static bool is_secret(const char *name, size_t len)
{
    static const char *const signatures[] = {"AWSAccessKeyId", "Signature", "sig",
                                             "X-Goog-Signature", "X-Amz-Signature"};
    char text[NAME_MAX_BYTES];

    if (len >= sizeof(text))
        return true; /* nobody's name */
    memcpy(text, name, len);
    text[len] = '\0';
    for (size_t i = 0; i < sizeof(signatures) / sizeof(signatures[0]); i++)
        if (strcasecmp(text, signatures[i]) == 0)
            return true;
    return clew_key_is_secret(text);
}

/* name=value&name=value */
static void add_pairs(struct copy *copy, const char *pairs, size_t len)
{
    const char *end = pairs + len;

    while (pairs < end) {
        size_t pair = strcspn(pairs, "&;");
        size_t rest = (size_t)(end - pairs);
        const char *equals;

        pair = pair < rest ? pair : rest;
        equals = memchr(pairs, '=', pair);
        if (equals && is_secret(pairs, (size_t)(equals - pairs))) {
            add(copy, pairs, (size_t)(equals + 1 - pairs));
            add(copy, REDACTED, sizeof(REDACTED) - 1);
        } else {
            add(copy, pairs, pair);
        }
        pairs += pair;
        if (pairs < end)
            add(copy, pairs++, 1);
    }
}

void clew__query_clean(char *to, size_t size, const char *query)
{
    struct copy copy = {to, 0, size - 1};

    add_pairs(&copy, query, strlen(query));
    to[copy.len] = '\0';
}

void clew__url_clean(char *to, size_t size, const char *url)
{
    struct copy copy = {to, 0, size - 1};
    const char *scheme_end = strstr(url, "://");
    const char *authority = scheme_end ? scheme_end + 3 : url;
    const char *path = authority + strcspn(authority, "/?#");
    const char *query = path + strcspn(path, "?#");
    const char *at = memrchr(authority, '@', (size_t)(path - authority));

    add(&copy, url, (size_t)(authority - url));
    if (at)
        add(&copy, REDACTED ":" REDACTED "@", 2 * sizeof(REDACTED));
    authority = at ? at + 1 : authority;
    add(&copy, authority, (size_t)(query - authority));
    while (*query) {
        size_t len = 1 + strcspn(query + 1, "#");

        add(&copy, query, 1);
        add_pairs(&copy, query + 1, len - 1);
        query += len;
    }
    to[copy.len] = '\0';
}
