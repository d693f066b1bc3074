/* SPDX-License-Identifier: Apache-2.0
 * Secrets are compared by their digests, name and password both in any case, so
 * that the time tells nothing. Sources are tried in the order of the configuration.
 *
 * Signatures are Grafana's: HMAC-SHA256 in hex, over the body or over
 * "<unix seconds>:<body>"; with a timestamp, only near its time. */
#include "credentials.h"

#include <common/digest.h>
#include <common/instant.h>

#include <json.h>

#include <ctype.h>
#include <gnutls/gnutls.h>
#include <stdlib.h>
#include <string.h>

static const char *header(struct MHD_Connection *connection, const char *name)
{
    return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

static bool basic_right(const struct clew__credentials *credentials,
                        struct MHD_Connection *connection)
{
    char *password = NULL, *username;
    bool right = false;

    username = MHD_basic_auth_get_username_password(connection, &password);
    if (username && password) {
        bool same_name = clew__secret_equal(username, credentials->username);
        bool same_password = clew__secret_equal(password, credentials->password);

        right = same_name && same_password;
    }
    MHD_free(username);
    MHD_free(password);
    return right;
}

/* What the head alone proves. */
static bool head_right(const struct clew__credentials *credentials,
                       struct MHD_Connection *connection)
{
    const char *text = header(connection, "Authorization");

    if (!clew__credentials_any(credentials))
        return true;
    if (!text)
        return false;
    if (strncasecmp(text, "Bearer ", 7) == 0)
        return credentials->bearer_token && *credentials->bearer_token &&
               clew__secret_equal(text + 7, credentials->bearer_token);
    return credentials->username && *credentials->username && basic_right(credentials, connection);
}

static bool is_signed(const struct clew__credentials *credentials,
                      struct MHD_Connection *connection)
{
    return credentials->hmac_secret && *credentials->hmac_secret &&
           header(connection, credentials->hmac_header);
}

/* Unix seconds, near now on either side. */
static bool in_time(const char *timestamp, uint64_t tolerance_seconds, int64_t now)
{
    size_t len = strlen(timestamp);
    int64_t then, seconds = now / CLEW__SECOND_NS;

    if (len == 0 || len > 12 || strspn(timestamp, "0123456789") != len)
        return false;
    then = strtoll(timestamp, NULL, 10);
    return llabs(seconds - then) <= (int64_t)tolerance_seconds;
}

static bool signature_right(const struct clew__credentials *credentials,
                            struct MHD_Connection *connection, const char *body, size_t len,
                            int64_t now)
{
    const char *given = header(connection, credentials->hmac_header), *timestamp = NULL;
    char right[CLEW__DIGEST_TEXT], lower[CLEW__DIGEST_TEXT] = "";

    if (*credentials->hmac_timestamp_header) {
        timestamp = header(connection, credentials->hmac_timestamp_header);
        if (!timestamp || !in_time(timestamp, credentials->hmac_tolerance_seconds, now))
            return false;
    }
    if (strlen(given) != CLEW__DIGEST_TEXT - 1)
        return false;
    for (size_t i = 0; i < CLEW__DIGEST_TEXT - 1; i++)
        lower[i] = (char)tolower((unsigned char)given[i]);
    clew__sign(credentials->hmac_secret, timestamp, body, len, right);
    return clew__secret_equal(lower, right);
}

bool clew__source_path(const struct clew__webhook *webhook, const char *path)
{
    for (size_t i = 0; i < webhook->nsources; i++)
        if (strcmp(webhook->sources[i].path, path) == 0)
            return true;
    return false;
}

/* Own credentials go before none: a token of a source wins over an open path. */
const struct clew__source *clew__source_of_head(const struct clew__webhook *webhook,
                                                const char *path, struct MHD_Connection *connection,
                                                bool *ret_signed)
{
    const struct clew__source *open = NULL;

    *ret_signed = false;
    for (size_t i = 0; i < webhook->nsources; i++) {
        const struct clew__source *source = &webhook->sources[i];
        const struct clew__credentials *credentials = clew__webhook_credentials(webhook, source);

        if (strcmp(source->path, path) != 0)
            continue;
        *ret_signed = *ret_signed || is_signed(credentials, connection);
        if (!clew__credentials_any(credentials))
            open = open ? open : source;
        else if (head_right(credentials, connection))
            return source;
    }
    return *ret_signed ? NULL : open;
}

const struct clew__source *clew__source_of_body(const struct clew__webhook *webhook,
                                                const char *path, struct MHD_Connection *connection,
                                                const char *body, size_t len, int64_t now)
{
    for (size_t i = 0; i < webhook->nsources; i++) {
        const struct clew__source *source = &webhook->sources[i];
        const struct clew__credentials *credentials = clew__webhook_credentials(webhook, source);

        if (strcmp(source->path, path) == 0 && is_signed(credentials, connection) &&
            signature_right(credentials, connection, body, len, now))
            return source;
    }
    return NULL;
}

bool clew__authorized(const struct clew__webhook *webhook, struct MHD_Connection *connection)
{
    return head_right(&webhook->sources[0].credentials, connection);
}

bool clew__client_trusted(const struct clew__webhook *webhook, struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info;
    unsigned status = 0;

    if (!webhook->client_ca)
        return true;
    info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    return info && info->tls_session &&
           gnutls_certificate_verify_peers2(info->tls_session, &status) == 0 && status == 0;
}
