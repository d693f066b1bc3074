/* SPDX-License-Identifier: Apache-2.0
 *
 * The generator: an open loop. Request k belongs to the time k / rate, and its
 * latency is counted from there, so that a service which stalls is seen with all
 * the requests that it kept waiting, and not with one. Connections are kept, one
 * request at a time on each; a request that finds none free waits for one.
 *
 * Each request is another trace and another order of another customer.
 */
#include "bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS 64u
#define GIVE_UP_NS 5000000000u

struct connection {
    int fd;
    uint64_t due_ns;
    size_t have;
    char answer[4096];
};

struct bench_load {
    uint16_t port;
    bool yields;
    int epoll;
    uint64_t random;
    struct connection connections[CONNECTIONS];
    struct connection *idle[CONNECTIONS];
    size_t nidle;
    /* of the run: */
    struct bench_answers *answers;
    double rate;
    uint64_t start_ns;
    size_t total;
};

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* splitmix64 */
static uint64_t next_random(struct bench_load *load)
{
    uint64_t z = load->random += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static bool open_connections(struct bench_load *load)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(load->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1;

    load->epoll = epoll_create1(EPOLL_CLOEXEC);
    for (unsigned i = 0; i < CONNECTIONS; i++)
        load->connections[i].fd = -1;
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        struct connection *c = &load->connections[i];
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};

        c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
            setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0 ||
            epoll_ctl(load->epoll, EPOLL_CTL_ADD, c->fd, &event) < 0)
            return false;
        load->idle[load->nidle++] = c;
    }
    return true;
}

void bench_load_close(struct bench_load *load)
{
    for (unsigned i = 0; i < CONNECTIONS; i++)
        if (load->connections[i].fd >= 0)
            close(load->connections[i].fd);
    close(load->epoll);
    free(load);
}

struct bench_load *bench_load_open(uint16_t port, bool yields)
{
    struct bench_load *load = calloc(1, sizeof(*load));

    if (!load)
        return NULL;
    load->port = port;
    load->yields = yields;
    if (open_connections(load))
        return load;
    bench_load_close(load);
    return NULL;
}

static uint64_t due_of(const struct bench_load *load, size_t k)
{
    return load->start_ns + (uint64_t)((double)k * 1e9 / load->rate);
}

static bool send_request(struct bench_load *load, struct connection *c)
{
    uint64_t high = next_random(load), low = next_random(load) | 1;
    unsigned order = (unsigned)(high % BENCH_ORDERS);
    char text[1024];
    int n;

    n = snprintf(text, sizeof(text),
                 "GET /orders/%u HTTP/1.1\r\n"
                 "Host: orders.internal:8080\r\n"
                 "User-Agent: checkout/2.3\r\n"
                 "Accept: application/json\r\n"
                 "Authorization: Bearer %s\r\n"
                 "X-Request-ID: 0198c5a2-%04x-7%03x-9%03x-%012llx\r\n"
                 "traceparent: 00-%016llx%016llx-%016llx-01\r\n\r\n",
                 order, bench_token(order % BENCH_CUSTOMERS), (unsigned)(high >> 48),
                 (unsigned)(high >> 36 & 0xFFF), (unsigned)(high >> 24 & 0xFFF),
                 (unsigned long long)(low >> 16), (unsigned long long)high, (unsigned long long)low,
                 (unsigned long long)(high ^ low << 1) | 1);
    c->have = 0;
    return send(c->fd, text, (size_t)n, MSG_NOSIGNAL) == n;
}

/* Sends what is due, as far as there are connections for it. */
static bool send_due(struct bench_load *load, uint64_t now)
{
    while (load->answers->sent < load->total && load->nidle > 0) {
        uint64_t due = due_of(load, load->answers->sent);
        struct connection *c;

        if (due > now)
            break;
        c = load->idle[--load->nidle];
        c->due_ns = due;
        if (!send_request(load, c))
            return false;
        load->answers->sent++;
    }
    return true;
}

/* How long the whole answer is that begins here; 0: not known yet. */
static size_t answer_length(const char *text)
{
    const char *end = strstr(text, "\r\n\r\n"), *length = strcasestr(text, "\r\ncontent-length:");

    return end && length && length < end ? (size_t)(end + 4 - text) + strtoul(length + 17, NULL, 10)
                                         : 0;
}

/* -1: the connection is broken; 1: its answer is whole. */
static int receive(struct connection *c)
{
    ssize_t n = recv(c->fd, c->answer + c->have, sizeof(c->answer) - 1 - c->have, MSG_DONTWAIT);
    size_t whole;

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n <= 0)
        return -1;
    c->have += (size_t)n;
    c->answer[c->have] = '\0';
    whole = answer_length(c->answer);
    return whole > 0 && c->have >= whole;
}

/* timeout: NULL to look only. */
static bool receive_answers(struct bench_load *load, const struct timespec *timeout)
{
    struct bench_answers *answers = load->answers;
    struct epoll_event events[CONNECTIONS];
    int n = timeout ? epoll_pwait2(load->epoll, events, CONNECTIONS, timeout, NULL)
                    : epoll_wait(load->epoll, events, CONNECTIONS, 0);

    for (int i = 0; i < n; i++) {
        struct connection *c = events[i].data.ptr;
        int got = receive(c);

        if (got < 0)
            return false;
        if (got == 0)
            continue;
        if (strncmp(c->answer, "HTTP/1.1 200 ", 13) != 0)
            answers->failed++;
        answers->latency_ns[answers->answered++] = (uint32_t)(now_ns() - c->due_ns);
        load->idle[load->nidle++] = c;
    }
    return true;
}

static struct timespec until_next(const struct bench_load *load, uint64_t now)
{
    uint64_t due = due_of(load, load->answers->sent), wait = due > now ? due - now : 0;

    if (load->nidle == 0 || load->answers->sent == load->total)
        wait = 10000000; /* for answers only */
    return (struct timespec){0, (long)wait};
}

static bool drive(struct bench_load *load)
{
    uint64_t give_up;

    load->start_ns = now_ns() + 1000000;
    give_up = due_of(load, load->total) + GIVE_UP_NS;
    while (load->answers->answered < load->total) {
        uint64_t now = now_ns();
        struct timespec timeout;

        if (now > give_up)
            break;
        if (!send_due(load, now))
            return false;
        timeout = until_next(load, now);
        if (!receive_answers(load, load->yields ? &timeout : NULL))
            return false;
    }
    load->answers->seconds = (double)(now_ns() - load->start_ns) / 1e9;
    return true;
}

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

bool bench_load_run(struct bench_load *load, double rate, double seconds, struct bench_answers *ret)
{
    load->answers = ret;
    load->rate = rate;
    load->total = (size_t)(rate * seconds);
    *ret = (struct bench_answers){.latency_ns = calloc(load->total, sizeof(*ret->latency_ns))};
    if (!ret->latency_ns || !drive(load))
        return false;
    qsort(ret->latency_ns, ret->answered, sizeof(*ret->latency_ns), by_value);
    return ret->answered == load->total;
}
