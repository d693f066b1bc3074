/* SPDX-License-Identifier: Apache-2.0
 * The sockets that the management server listens on. */
#include "management_priv.h"

#include "address.h"

#include <clew/log.h>

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

int clew__listen_failed(const struct clew__listen *where, int err)
{
    char address[64];

    clew__address_print((const struct sockaddr *)&where->address, address, sizeof(address));
    return clew_set_error(-err, "%s: cannot listen on %s: %s%s", where->variable, address,
                          strerror(err),
                          err == EADDRINUSE ? "; `clew ports` finds ports that collide" : "");
}

int clew__listen_open(const struct clew__listen *where, int unread_max, int *ret_fd,
                      uint16_t *ret_port)
{
    const int yes = 1, no = 0;
    socklen_t len = where->address.ss_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                                         : sizeof(struct sockaddr_in);
    struct sockaddr_storage bound = {.ss_family = AF_UNSPEC};
    socklen_t bound_len = sizeof(bound);
    int err, fd = socket(where->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return clew__listen_failed(where, errno);
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    /* Connections inherit it: the kernel would keep megabytes for each that is
     * not read, and a peer would have that many pages made. */
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &unread_max, sizeof(unread_max));
    if (where->address.ss_family == AF_INET6) /* [::] is every interface, IPv4 as well */
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof(no));
    if (bind(fd, (const struct sockaddr *)&where->address, len) < 0 || listen(fd, SOMAXCONN) < 0 ||
        getsockname(fd, (struct sockaddr *)&bound, &bound_len) < 0) {
        err = errno;
        close(fd);
        return clew__listen_failed(where, err);
    }
    *ret_fd = fd;
    *ret_port = clew__address_port(&bound);
    return 0;
}
