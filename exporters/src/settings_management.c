/* SPDX-License-Identifier: Apache-2.0
 *
 * CLEW_MANAGEMENT_…, CLEW_METRICS_ADDRESS and CLEW_BASE_PORT: where the pages
 * are, and who may read them. A port without a host is one of 127.0.0.1.
 */
#include "settings_priv.h"

#include <clew/log.h>

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

/* Of a service whose own port is BASE. */
#define HEALTH_OFFSET 1
#define METRICS_OFFSET 1000

static int read_address(const char *name, const char *text, struct clew__listen *ret)
{
    bool bare = text[strspn(text, "0123456789")] == '\0';
    struct clew__listen listen = {.variable = name};
    char whole[80];

    if (snprintf(whole, sizeof(whole), "%s%s", bare ? "127.0.0.1:" : "", text) >=
            (int)sizeof(whole) ||
        clew__address_parse(whole, &listen.address) < 0)
        return clew_set_error(-EINVAL,
                              "%s=%.64s: use ADDRESS:PORT, such as 127.0.0.1:9464, or a port alone "
                              "for one of 127.0.0.1",
                              name, text);
    *ret = listen;
    return 0;
}

static int read_base(struct clew__management_settings *s)
{
    static const char name[] = "CLEW_BASE_PORT";
    const char *text = clew__settings_get(name);
    uint16_t base;

    if (!text)
        return 0;
    if (read_address(name, text, &s->pages) < 0)
        return -EINVAL;
    base = clew__address_port(&s->pages.address);
    if (base == 0 || base > 65535 - METRICS_OFFSET)
        return clew_set_error(-EINVAL,
                              "%s=%.64s: use a port from 1 to %d: health is at +%d, "
                              "metrics at +%d",
                              name, text, 65535 - METRICS_OFFSET, HEALTH_OFFSET, METRICS_OFFSET);
    s->metrics = s->pages;
    clew__address_set_port(&s->pages.address, (uint16_t)(base + HEALTH_OFFSET));
    clew__address_set_port(&s->metrics.address, (uint16_t)(base + METRICS_OFFSET));
    return 0;
}

static int read_ports(struct clew__management_settings *s)
{
    const char *pages = clew__settings_get("CLEW_MANAGEMENT_ADDRESS"),
               *metrics = clew__settings_get("CLEW_METRICS_ADDRESS");
    uint16_t port;

    if (read_base(s) < 0 ||
        (pages && read_address("CLEW_MANAGEMENT_ADDRESS", pages, &s->pages) < 0) ||
        (metrics && read_address("CLEW_METRICS_ADDRESS", metrics, &s->metrics) < 0))
        return -EINVAL;
    port = clew__address_port(&s->metrics.address);
    if (s->pages.variable && s->metrics.variable && port &&
        port == clew__address_port(&s->pages.address))
        return clew_set_error(-EINVAL,
                              "%s and %s both name port %u: leave the second one out to have all "
                              "pages on one port",
                              s->pages.variable, s->metrics.variable, port);
    return 0;
}

static int read_file_name(char to[CLEW__PATH_MAX], const char *name)
{
    const char *value = clew__settings_get(name);

    return value ? clew__settings_copy(to, CLEW__PATH_MAX, name, value) : 0;
}

static int read_tls(struct clew__management_settings *s)
{
    if (read_file_name(s->certificate, "CLEW_MANAGEMENT_TLS_CERTIFICATE") < 0 ||
        read_file_name(s->key, "CLEW_MANAGEMENT_TLS_KEY") < 0 ||
        read_file_name(s->client_ca, "CLEW_MANAGEMENT_TLS_CLIENT_CA") < 0)
        return -EINVAL;
    if (!s->certificate[0] != !s->key[0])
        return clew_set_error(-EINVAL, "CLEW_MANAGEMENT_TLS_CERTIFICATE and "
                                       "CLEW_MANAGEMENT_TLS_KEY: set both or none");
    if (s->client_ca[0] && !s->key[0])
        return clew_set_error(-EINVAL, "CLEW_MANAGEMENT_TLS_CLIENT_CA: needs "
                                       "CLEW_MANAGEMENT_TLS_CERTIFICATE and "
                                       "CLEW_MANAGEMENT_TLS_KEY");
    return 0;
}

/* A secret that was asked for and is empty would let everybody in. */
static int read_credentials(struct clew__management_settings *s)
{
    char password[1024];

    if (clew__settings_basic(s->basic, "CLEW_MANAGEMENT_USERNAME", "CLEW_MANAGEMENT_PASSWORD") <
            0 ||
        clew__settings_bearer(s->bearer, sizeof(s->bearer), "CLEW_MANAGEMENT_BEARER_TOKEN") < 0 ||
        clew__settings_secret(password, sizeof(password), "CLEW_MANAGEMENT_PASSWORD") < 0)
        return -EINVAL;
    if (!s->basic[0] != !password[0])
        return clew_set_error(-EINVAL,
                              "CLEW_MANAGEMENT_USERNAME and CLEW_MANAGEMENT_PASSWORD (or "
                              "CLEW_MANAGEMENT_PASSWORD_FILE): set both or none, neither empty");
    if (!s->bearer[0] && clew__settings_get("CLEW_MANAGEMENT_BEARER_TOKEN_FILE"))
        return clew_set_error(-EINVAL, "CLEW_MANAGEMENT_BEARER_TOKEN_FILE: the first line of the "
                                       "file is empty");
    return 0;
}

static int read_allowed(struct clew__management_settings *s)
{
    const char *p = clew__settings_get("CLEW_MANAGEMENT_ALLOW");

    while (p && *(p += strspn(p, ", "))) {
        size_t len = strcspn(p, ", ");

        if (s->nallowed == CLEW__NETWORKS_MAX)
            return clew_set_error(-EINVAL, "CLEW_MANAGEMENT_ALLOW: more than %d networks",
                                  CLEW__NETWORKS_MAX);
        if (clew__network_parse(p, len, &s->allowed[s->nallowed]) < 0)
            return clew_set_error(-EINVAL,
                                  "CLEW_MANAGEMENT_ALLOW: \"%.*s\" is no network: use addresses "
                                  "and prefixes such as 10.0.0.0/8, 192.0.2.7, fd00::/8",
                                  (int)(len < 64 ? len : 64), p);
        s->nallowed++;
        p += len;
    }
    return 0;
}

int clew__settings_read_management(struct clew__management_settings *ret)
{
    if (read_ports(ret) < 0 || read_tls(ret) < 0 || read_credentials(ret) < 0)
        return -EINVAL;
    return read_allowed(ret);
}
