/* SPDX-License-Identifier: Apache-2.0
 * Opens the socket itself, rather than letting the HTTP library do it, so that a
 * taken port or a wrong address is told in so many words. No state. */
#include "listen.h"

#include <clew/log.h>

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct parts {
    char host[256], port[8];
};

static int split(const char *address, struct parts *parts)
{
    const char *colon = strrchr(address, ':');
    size_t len = colon ? (size_t)(colon - address) : 0;
    const char *host = address;

    if (!colon || !colon[1] || strlen(colon + 1) > 5 ||
        strspn(colon + 1, "0123456789") != strlen(colon + 1) || atoi(colon + 1) > 65535)
        return clew_set_error(-EINVAL, "listen: expected host:port");
    if (len >= 2 && host[0] == '[' && host[len - 1] == ']') {
        host++;
        len -= 2;
    } else if (memchr(host, ':', len)) {
        return clew_set_error(-EINVAL, "listen: an IPv6 address stands in brackets");
    }
    if (len >= sizeof(parts->host))
        return clew_set_error(-EINVAL, "listen: the host is too long");
    (void)snprintf(parts->host, sizeof(parts->host), "%.*s", (int)len, host);
    (void)snprintf(parts->port, sizeof(parts->port), "%s", colon + 1);
    return 0;
}

int clew__listen_check(const char *address)
{
    struct parts parts;

    return split(address, &parts);
}

static int open_socket(const struct addrinfo *info)
{
    int fd = socket(info->ai_family, info->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK,
                    info->ai_protocol);
    int on = 1, error;

    if (fd < 0)
        return -errno;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, info->ai_addr, info->ai_addrlen) == 0 && listen(fd, SOMAXCONN) == 0)
        return fd;
    error = errno;
    (void)close(fd);
    return -error;
}

int clew__listen(const char *address, uint16_t *ret_port)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_PASSIVE},
                    *list;
    struct sockaddr_storage bound;
    socklen_t len = sizeof(bound);
    struct parts parts;
    int fd = split(address, &parts), r;

    if (fd < 0)
        return fd;
    r = getaddrinfo(*parts.host ? parts.host : NULL, parts.port, &hints, &list);
    if (r != 0)
        return clew_set_error(-EINVAL, "listen %s: %s", address, gai_strerror(r));
    fd = -EADDRNOTAVAIL;
    for (struct addrinfo *info = list; info && fd < 0; info = info->ai_next)
        fd = open_socket(info);
    freeaddrinfo(list);
    if (fd < 0)
        return clew_set_error(fd, "listen %s: %s", address, strerror(-fd));
    (void)getsockname(fd, (struct sockaddr *)&bound, &len);
    *ret_port = ntohs(bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&bound)->sin6_port
                                                  : ((struct sockaddr_in *)&bound)->sin_port);
    return fd;
}
