/* SPDX-License-Identifier: Apache-2.0
 *
 * Who may have a page. Each of these, where it is set, must hold: the peer's
 * address is on the list; it has a certificate of the client CA; it gives the
 * password or the token. A change needs one of the latter two, or comes from
 * this machine itself: from its loopback address, by no proxy that says so, and
 * under a name of the loopback (a browser that was led here by somebody else's
 * name server gives that name).
 */
#include "management_priv.h"

#include <netinet/in.h>
#include <string.h>
#include <strings.h>

static const char *header(struct MHD_Connection *connection, const char *name)
{
    return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

/* Takes a time that depends on what was presented alone. */
static bool is_same(const char *presented, const char *secret)
{
    size_t n = strlen(presented), m = strlen(secret);
    volatile unsigned char difference = n != m;

    for (size_t i = 0; i < n; i++)
        difference |= (unsigned char)presented[i] ^ (unsigned char)secret[m ? i % m : 0];
    return difference == 0;
}

static bool is_scheme(const char *value, const char *scheme, const char *secret)
{
    size_t len = strlen(scheme);

    return secret[0] && strncasecmp(value, scheme, len) == 0 &&
           is_same(value + len + strspn(value + len, " "), secret);
}

static bool has_credentials(const struct clew__management_settings *settings,
                            struct MHD_Connection *connection)
{
    const char *value = header(connection, MHD_HTTP_HEADER_AUTHORIZATION);

    return value && (is_scheme(value, "Basic ", settings->basic) ||
                     is_scheme(value, "Bearer ", settings->bearer));
}

static bool is_allowed(const struct clew__management_settings *settings,
                       const unsigned char address[16])
{
    for (size_t i = 0; i < settings->nallowed; i++)
        if (clew__network_has(&settings->allowed[i], address))
            return true;
    return settings->nallowed == 0;
}

static bool is_local_name(const char *host)
{
    static const char *const names[] = {"localhost", "127.0.0.1", "[::1]"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        size_t len = strlen(names[i]);

        if (strncasecmp(host, names[i], len) == 0 && (host[len] == '\0' || host[len] == ':'))
            return true;
    }
    return false;
}

/* A service mesh's proxy delivers from other loopback addresses, 127.0.0.6 say. */
static bool is_local(struct MHD_Connection *connection, const unsigned char address[16])
{
    static const unsigned char v4[16] = {[10] = 0xFF, [11] = 0xFF, [12] = 127, [15] = 1};
    static const char *const proxied[] = {"Forwarded", "X-Forwarded-For", "X-Forwarded-Proto",
                                          "X-Real-IP", "Via"};
    const char *host = header(connection, MHD_HTTP_HEADER_HOST);

    if (memcmp(address, v4, 16) != 0 && memcmp(address, &in6addr_loopback, 16) != 0)
        return false;
    for (size_t i = 0; i < sizeof(proxied) / sizeof(proxied[0]); i++)
        if (header(connection, proxied[i]))
            return false;
    return host && is_local_name(host);
}

enum clew__access clew__access_check(const struct clew__management_settings *settings,
                                     struct MHD_Connection *connection, bool changes)
{
    const union MHD_ConnectionInfo *peer =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    bool wants_credentials = settings->basic[0] || settings->bearer[0];
    unsigned char address[16];

    if (!peer)
        return CLEW__NO_NETWORK;
    clew__address_bytes(peer->client_addr, address);
    if (!is_allowed(settings, address))
        return CLEW__NO_NETWORK;
    if (settings->client_ca[0] && !clew__tls_has_client(connection))
        return CLEW__NO_CERTIFICATE;
    if (wants_credentials && !has_credentials(settings, connection))
        return CLEW__NO_CREDENTIALS;
    if (changes && !wants_credentials && !settings->client_ca[0] && !is_local(connection, address))
        return CLEW__NOT_LOCAL;
    return CLEW__MAY;
}
