/* SPDX-License-Identifier: Apache-2.0
 * See relay.h. One thread; cut, it reads nothing, and what was sent waits in the sockets. */
#include "relay.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PAIRS_MAX 64
#define LOOK_MS 20 /* at cut and stop */

struct pairs {
    struct pollfd fds[1 + 2 * PAIRS_MAX]; /* who listens, then pairs; -1: free */
};

static struct sockaddr_un address_of(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    return address;
}

static int connect_to(const char *path)
{
    struct sockaddr_un address = address_of(path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    if (fd >= 0)
        (void)close(fd);
    return -1;
}

static void add_pair(struct pairs *pairs, int client, const char *to)
{
    int server = connect_to(to);

    for (size_t i = 1; server >= 0 && i < 2 * PAIRS_MAX; i += 2) {
        if (pairs->fds[i].fd >= 0)
            continue;
        pairs->fds[i] = (struct pollfd){client, POLLIN, 0};
        pairs->fds[i + 1] = (struct pollfd){server, POLLIN, 0};
        return;
    }
    if (server >= 0)
        (void)close(server);
    (void)close(client);
}

static void end_pair(struct pairs *pairs, size_t i)
{
    for (size_t j = i; j < i + 2; j++) {
        if (pairs->fds[j].fd >= 0)
            (void)close(pairs->fds[j].fd);
        pairs->fds[j] = (struct pollfd){-1, 0, 0};
    }
}

/* false: one side has ended. */
static bool pass(int from, int to)
{
    char data[1u << 16];
    ssize_t n = recv(from, data, sizeof(data), 0), sent = 0, r;

    while (n > sent) {
        r = send(to, data + sent, (size_t)(n - sent), MSG_NOSIGNAL);
        if (r < 0 && errno != EINTR)
            return false;
        sent += r > 0 ? r : 0;
    }
    return n > 0;
}

static void pass_all(struct pairs *pairs, const struct relay *relay)
{
    if (pairs->fds[0].revents)
        add_pair(pairs, accept(relay->fd, NULL, NULL), relay->to);
    for (size_t i = 1; i < 2 * PAIRS_MAX; i += 2) {
        bool good = true;

        if (pairs->fds[i].fd < 0)
            continue;
        if (pairs->fds[i].revents)
            good = pass(pairs->fds[i].fd, pairs->fds[i + 1].fd);
        if (good && pairs->fds[i + 1].revents)
            good = pass(pairs->fds[i + 1].fd, pairs->fds[i].fd);
        if (!good)
            end_pair(pairs, i);
    }
}

static void *run(void *arg)
{
    struct relay *relay = arg;
    struct pairs pairs;

    for (size_t i = 0; i < 1 + 2 * PAIRS_MAX; i++)
        pairs.fds[i] = (struct pollfd){-1, 0, 0};
    pairs.fds[0] = (struct pollfd){relay->fd, POLLIN, 0};
    while (!atomic_load(&relay->stop)) {
        if (atomic_load(&relay->cut))
            (void)usleep(LOOK_MS * 1000);
        else if (poll(pairs.fds, 1 + 2 * PAIRS_MAX, LOOK_MS) > 0)
            pass_all(&pairs, relay);
    }
    for (size_t i = 1; i < 2 * PAIRS_MAX; i += 2)
        end_pair(&pairs, i);
    return NULL;
}

void relay_start(struct relay *relay, const char *from, const char *to)
{
    struct sockaddr_un address = address_of(from);

    memset(relay, 0, sizeof(*relay));
    (void)snprintf(relay->to, sizeof(relay->to), "%s", to);
    relay->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (relay->fd < 0 || bind(relay->fd, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(relay->fd, PAIRS_MAX) != 0 ||
        pthread_create(&relay->thread, NULL, run, relay) != 0) {
        perror("relay");
        abort();
    }
}

void relay_stop(struct relay *relay)
{
    atomic_store(&relay->stop, true);
    (void)pthread_join(relay->thread, NULL);
    (void)close(relay->fd);
}
