/* SPDX-License-Identifier: Apache-2.0
 * A far side that says yes to everything, or nothing at all, and remembers when a
 * request about which alert began to arrive. One thread; a bridge has one connection
 * a target, so there are few. */
#include "bench.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS_MAX 64
#define REQUEST_MAX (1u << 20)
#define NUMBERS_MAX (1u << 21)

struct connection {
    size_t have;
    int64_t began;
    char request[REQUEST_MAX + 1];
};

struct far {
    pthread_t thread;
    bool holds;
    int stop; /* a pipe's end: closed, the thread ends */
    struct pollfd polls[2 + CONNECTIONS_MAX];
    struct connection *connections[2 + CONNECTIONS_MAX];
    nfds_t n;
    atomic_uint count;
    _Atomic int64_t arrivals[NUMBERS_MAX];
};

static void note(struct far *far, const struct connection *c)
{
    const char *at = strstr(c->request, "bench-");
    unsigned long number = at ? strtoul(at + 6, NULL, 10) : NUMBERS_MAX;

    if (number < NUMBERS_MAX && !atomic_load(&far->arrivals[number]))
        atomic_store(&far->arrivals[number], c->began);
    (void)atomic_fetch_add(&far->count, 1);
}

/* Whether all of the request is there. */
static bool whole(struct connection *c)
{
    const char *end, *length;

    c->request[c->have] = '\0';
    end = strstr(c->request, "\r\n\r\n");
    length = strcasestr(c->request, "\r\nContent-Length: ");
    return end && length && length < end &&
           c->have >= (size_t)(end + 4 - c->request) + strtoul(length + 18, NULL, 10);
}

/* false: the connection is over. */
static bool serve(struct far *far, struct connection *c, int fd)
{
    static const char yes[] = "HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\n"
                              "Content-Length: 20\r\n\r\n{\"status\":\"success\"}";
    ssize_t n = recv(fd, c->request + c->have, REQUEST_MAX - c->have, MSG_DONTWAIT);

    if (n <= 0)
        return false;
    if (c->have == 0)
        c->began = bench_now();
    c->have += (size_t)n;
    if (!whole(c))
        return true;
    note(far, c);
    c->have = 0;
    return far->holds || send(fd, yes, sizeof(yes) - 1, MSG_NOSIGNAL) > 0;
}

static void take_one(struct far *far)
{
    int fd = accept(far->polls[1].fd, NULL, NULL);

    if (fd < 0)
        return;
    if (far->n == 2 + CONNECTIONS_MAX)
        bench_fail("too many connections to the far side");
    far->connections[far->n] = calloc(1, sizeof(struct connection));
    if (!far->connections[far->n])
        bench_fail("out of memory");
    far->polls[far->n++] = (struct pollfd){.fd = fd, .events = POLLIN};
}

static void *loop(void *arg)
{
    struct far *far = arg;

    while (poll(far->polls, far->n, -1) > 0 && !far->polls[0].revents) {
        if (far->polls[1].revents)
            take_one(far);
        for (nfds_t i = 2; i < far->n; i++) {
            if (!far->polls[i].revents || serve(far, far->connections[i], far->polls[i].fd))
                continue;
            (void)close(far->polls[i].fd);
            free(far->connections[i]);
            far->n--;
            far->polls[i] = far->polls[far->n];
            far->connections[i--] = far->connections[far->n];
        }
    }
    return NULL;
}

struct far *far_start(uint16_t port, bool holds)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct far *far = calloc(1, sizeof(*far));
    int ends[2], one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (!far || pipe(ends) != 0 || fd < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0 ||
        bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 || listen(fd, 64) != 0)
        bench_fail("no far side");
    far->holds = holds;
    far->stop = ends[1];
    far->polls[0] = (struct pollfd){.fd = ends[0], .events = POLLIN};
    far->polls[1] = (struct pollfd){.fd = fd, .events = POLLIN};
    far->n = 2;
    if (pthread_create(&far->thread, NULL, loop, far) != 0)
        bench_fail("no thread");
    return far;
}

void far_stop(struct far *far)
{
    (void)close(far->stop);
    (void)pthread_join(far->thread, NULL);
    for (nfds_t i = 0; i < far->n; i++) {
        (void)close(far->polls[i].fd);
        free(far->connections[i]);
    }
    free(far);
}

int64_t far_arrival(const struct far *far, unsigned number)
{
    return number < NUMBERS_MAX ? atomic_load(&far->arrivals[number]) : 0;
}

unsigned far_count(const struct far *far)
{
    return atomic_load(&far->count);
}
