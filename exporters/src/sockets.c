/* SPDX-License-Identifier: Apache-2.0
 * See sockets.h. One that finds no room is not remembered: then a child that
 * lives longer keeps that connection open. */
#include "sockets.h"

#include <stdatomic.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

#define SOCKETS_MAX 32

static _Atomic int sockets[SOCKETS_MAX]; /* plus 1 */

int clew__sockets_add(int fd)
{
    for (size_t i = 0; fd >= 0 && i < SOCKETS_MAX; i++) {
        int none = 0;

        if (atomic_compare_exchange_strong(&sockets[i], &none, fd + 1))
            break;
    }
    return fd;
}

int clew__sockets_open(int family, int type, int protocol)
{
    return clew__sockets_add(socket(family, type | SOCK_CLOEXEC, protocol));
}

int clew__sockets_close(int fd)
{
    for (size_t i = 0; i < SOCKETS_MAX; i++) {
        int it = fd + 1;

        if (atomic_compare_exchange_strong(&sockets[i], &it, 0))
            break;
    }
    return close(fd);
}

void clew__sockets_forget(void)
{
    for (size_t i = 0; i < SOCKETS_MAX; i++) {
        int fd = atomic_exchange(&sockets[i], 0) - 1;

        if (fd >= 0)
            close(fd);
    }
}
