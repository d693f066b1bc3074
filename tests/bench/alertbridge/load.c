/* SPDX-License-Identifier: Apache-2.0
 * The generator, one thread. With a rate it is an open loop: webhook k belongs to
 * the time k / rate, and its latency is counted from there, so a bridge that stalls
 * is seen with all the webhooks that it kept waiting. Each webhook is an alert and
 * a group of its own: each one is news. */
#include "bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS_MAX 512u
#define PATIENCE_NS 10000000000 /* without an answer */
#define ALERT_MAX 1100u
#define BODY_MAX 3000u /* with one alert */

struct connection {
    int fd;
    int64_t due;
    size_t have;
    char answer[1024];
};

struct run {
    struct load *load;
    int epoll;
    int64_t start, last;
    size_t room;
    struct connection connections[CONNECTIONS_MAX], *idle[CONNECTIONS_MAX];
    unsigned nidle;
};

static int write_alert(char *to, size_t size, unsigned number, const char *severity)
{
    /* The hash of a label set looks like this. */
    uint64_t fingerprint = (number + 1) * UINT64_C(0x9e3779b97f4a7c15);

    return snprintf(
        to, size,
        "{\"status\":\"firing\",\"labels\":{\"alertname\":\"InstanceDown\",\"cluster\":\"dev\","
        "\"instance\":\"bench-%u:9100\",\"job\":\"node\",\"severity\":\"%s\",\"team\":\"infra\"},"
        "\"annotations\":{\"description\":\"\\u003cbench-%u\\u003e of job node has been down"
        " \\u003e 4s\",\"runbook_url\":\"https://runbooks.example/InstanceDown\",\"summary\":"
        "\"Instance bench-%u:9100 down\"},\"startsAt\":\"2026-11-20T20:59:17.632Z\",\"endsAt\":"
        "\"0001-01-01T00:00:00Z\",\"generatorURL\":\"http://prom.example:9090/graph?g0.expr=up"
        "+%%3D%%3D+0\\u0026g0.tab=1\",\"fingerprint\":\"%016llx\"}",
        number, severity, number, number, (unsigned long long)fingerprint);
}

static size_t write_body(char *to, size_t size, unsigned first, unsigned n, const char *severity)
{
    size_t len = (size_t)snprintf(to, size,
                                  "{\"receiver\":\"bridge\",\"status\":\"firing\","
                                  "\"alerts\":[");

    for (unsigned i = 0; i < n; i++) {
        if (i)
            to[len++] = ',';
        len += (size_t)write_alert(to + len, size - len, first + i, severity);
    }
    len += (size_t)snprintf(
        to + len, size - len,
        "],\"groupLabels\":{\"alertname\":\"InstanceDown\",\"part\":\"%u\"},\"commonLabels\":"
        "{\"alertname\":\"InstanceDown\",\"cluster\":\"dev\",\"job\":\"node\",\"severity\":\"%s\","
        "\"team\":\"infra\"},\"commonAnnotations\":{\"runbook_url\":"
        "\"https://runbooks.example/InstanceDown\"},\"externalURL\":\"http://am.example:9093\","
        "\"version\":\"4\",\"groupKey\":\"{}/{team=~\\\".+\\\"}:{alertname=\\\"InstanceDown\\\","
        " part=\\\"%u\\\"}\",\"truncatedAlerts\":0}\n",
        first, severity, first);
    return len;
}

char *load_body(unsigned first, unsigned n, const char *severity, size_t *ret_len)
{
    size_t size = n * (size_t)ALERT_MAX + BODY_MAX;
    char *body = malloc(size);

    if (!body)
        bench_fail("out of memory");
    *ret_len = write_body(body, size, first, n, severity);
    return body;
}

static void open_one(struct run *run, struct connection *c)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(run->load->bridge->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    int one = 1;

    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0 ||
        epoll_ctl(run->epoll, EPOLL_CTL_ADD, c->fd, &event) < 0)
        bench_fail("no connection");
}

static void send_next(struct run *run, int64_t due)
{
    struct connection *c = run->idle[--run->nidle];
    char text[BODY_MAX + 512], body[BODY_MAX];
    size_t len = write_body(body, sizeof(body), run->load->first + (unsigned)run->load->sent, 1,
                            run->load->severity);
    int n = snprintf(text, sizeof(text),
                     "POST /api/v1/alertmanager HTTP/1.1\r\nHost: bridge\r\nUser-Agent: "
                     "Alertmanager/0.25.0\r\nContent-Length: %zu\r\nContent-Type: "
                     "application/json\r\n\r\n%.*s",
                     len, (int)len, body);

    if (c->fd < 0)
        open_one(run, c);
    c->due = due;
    c->have = 0;
    run->load->sent++;
    if (send(c->fd, text, (size_t)n, MSG_NOSIGNAL) != n)
        bench_fail("a connection was cut");
}

/* The whole answer is there. */
static void take_answer(struct run *run, struct connection *c)
{
    struct load *load = run->load;
    int64_t now = bench_now();

    run->last = now;
    if (strncmp(c->answer, "HTTP/1.1 200", 12) == 0) {
        if (load->taken == run->room) {
            run->room = run->room ? 2 * run->room : 65536;
            load->milliseconds = realloc(load->milliseconds, run->room * sizeof(double));
            if (!load->milliseconds)
                bench_fail("out of memory");
        }
        load->milliseconds[load->taken++] = (double)(now - c->due) / 1e6;
    } else {
        load->failed++;
    }
    if (!load->keep) {
        (void)close(c->fd);
        c->fd = -1;
    }
    run->idle[run->nidle++] = c;
}

static void read_answer(struct run *run, struct connection *c)
{
    ssize_t n = recv(c->fd, c->answer + c->have, sizeof(c->answer) - 1 - c->have, MSG_DONTWAIT);
    const char *end, *length;

    if (n <= 0)
        bench_fail("a connection was cut");
    c->have += (size_t)n;
    c->answer[c->have] = '\0';
    end = strstr(c->answer, "\r\n\r\n");
    length = strcasestr(c->answer, "\r\nContent-Length: ");
    if (end && length && c->have >= (size_t)(end + 4 - c->answer) + strtoul(length + 18, NULL, 10))
        take_answer(run, c);
}

static bool wait_for_answers(struct run *run, int64_t until)
{
    struct epoll_event events[64];
    int64_t wait = until - bench_now();
    struct timespec time = {wait > 0 ? wait / 1000000000 : 0, wait > 0 ? wait % 1000000000 : 0};
    int n = epoll_pwait2(run->epoll, events, 64, &time, NULL);

    for (int i = 0; i < n; i++)
        read_answer(run, events[i].data.ptr);
    return n > 0;
}

static int64_t due_of(const struct run *run, size_t k)
{
    return run->start + (int64_t)((double)k * 1e9 / run->load->rate);
}

static void run_open(struct run *run)
{
    const size_t total = (size_t)(run->load->rate * run->load->seconds);
    int64_t give_up = run->start + (int64_t)(run->load->seconds * 1e9) + PATIENCE_NS;

    while (run->load->taken + run->load->failed < total && bench_now() < give_up) {
        while (run->load->sent < total && run->nidle && due_of(run, run->load->sent) <= bench_now())
            send_next(run, due_of(run, run->load->sent));
        (void)wait_for_answers(
            run, run->load->sent < total && run->nidle ? due_of(run, run->load->sent) : give_up);
    }
    run->load->failed = total - run->load->taken;
}

static void run_closed(struct run *run)
{
    int64_t end = run->start + (int64_t)(run->load->seconds * 1e9);

    for (;;) {
        while (run->nidle && bench_now() < end)
            send_next(run, bench_now());
        if (run->nidle == run->load->connections)
            return;
        if (!wait_for_answers(run, bench_now() + PATIENCE_NS)) {
            run->load->failed = run->load->sent - run->load->taken;
            return;
        }
    }
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

void load_run(struct load *load)
{
    struct run *run = calloc(1, sizeof(*run));

    if (!run || load->connections > CONNECTIONS_MAX)
        bench_fail("too many connections");
    run->load = load;
    run->epoll = epoll_create1(EPOLL_CLOEXEC);
    for (unsigned i = 0; i < load->connections; i++) {
        run->connections[i].fd = -1;
        if (load->keep)
            open_one(run, &run->connections[i]);
        run->idle[run->nidle++] = &run->connections[i];
    }
    run->start = run->last = bench_now();
    load->rate > 0 ? run_open(run) : run_closed(run);
    load->took = (double)(run->last - run->start) / 1e9;
    for (unsigned i = 0; i < load->connections; i++)
        if (run->connections[i].fd >= 0)
            (void)close(run->connections[i].fd);
    (void)close(run->epoll);
    free(run);
    qsort(load->milliseconds, load->taken, sizeof(double), compare);
}

double load_quantile(const double *sorted, size_t n, double q)
{
    size_t at = (size_t)((double)n * q);

    return n ? sorted[at < n ? at : n - 1] : 0;
}
