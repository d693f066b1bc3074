/* SPDX-License-Identifier: Apache-2.0
 *
 * See h2c.h. A connection is made for the first request and kept until the far
 * side ends it, a request gets no answer in time, or one ends with parts of its
 * body unsent. When a connection that has served before turns out to be dead, or
 * to take no further request, the request goes again at once on a new one: that
 * says nothing about the far side, which may only have been restarted.
 */
#include "h2c.h"

#include "h2_session.h"
#include "h2c_headers.h"
#include "sockets.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define TURNS_MAX 16u /* of one run: other destinations have theirs */
#define READ_BYTES 16384u
#define IDLE_BYTES_MAX 65536u /* of a far side that was not asked */

struct clew__h2c {
    struct clew__exchange *x;
    bool in_flight;
    bool ended; /* and run has not said so yet */
    uint64_t deadline_ns;
    struct clew__connector connector;
    bool connecting;
    int fd;              /* -1: not connected */
    struct clew__h2 *h2; /* with fd */
    bool kept;           /* it has served a request before this one */
    bool blocked;        /* there is more to write than the socket takes */
    size_t unasked;      /* bytes that came with no request in flight */
    struct clew__h2c_headers headers;
};

/* ---- the connection ------------------------------------------------------------------- */

static void write_all(struct clew__h2c *c);

/* Its end. What is half written stays so. */
static void hang_up(struct clew__h2c *c)
{
    if (c->fd >= 0) {
        if (!c->h2->x && clew__h2_is_open(c->h2)) {
            clew__h2_say_goodbye(c->h2);
            write_all(c);
        }
        (void)clew__sockets_close(c->fd);
    }
    c->fd = -1;
    c->h2 = clew__h2_free(c->h2);
    clew__connector_stop(&c->connector);
    c->connecting = c->kept = c->blocked = false;
}

static void end(struct clew__h2c *c)
{
    c->in_flight = false;
    c->ended = c->kept = true;
    c->unasked = 0;
}

static void fail(struct clew__h2c *c, const char *what, const char *why)
{
    clew__exchange_fail(c->x, "%s%s%s", what, why ? ": " : "", why ? why : "");
    hang_up(c);
    c->in_flight = false;
    c->ended = true;
}

static void begin_request(struct clew__h2c *c)
{
    clew__exchange_begin(c->x);
    if (c->fd < 0) {
        c->connecting = true;
        clew__connector_start(&c->connector);
    } else if (!clew__h2_request(c->h2, c->headers.all, c->headers.n, c->x)) {
        fail(c, "out of memory", NULL);
    }
}

/* The connection is of no more use. */
static void lose(struct clew__h2c *c, const char *why)
{
    bool again = c->in_flight && c->kept && c->x->answer_len == 0;

    if (c->in_flight && !again) {
        fail(c, "the connection was lost", why);
        return;
    }
    hang_up(c);
    if (again)
        begin_request(c);
}

static void connected(struct clew__h2c *c, int fd)
{
    c->connecting = false;
    c->fd = fd;
    c->h2 = clew__h2_new();
    if (c->h2)
        begin_request(c);
    else
        fail(c, "out of memory", NULL);
}

static void go_on_connecting(struct clew__h2c *c)
{
    int fd;

    switch (clew__connector_run(&c->connector, &fd)) {
    case CLEW__CONNECTED:
        connected(c, fd);
        break;
    case CLEW__NOT_CONNECTED:
        fail(c, "could not connect",
             c->connector.trouble ? c->connector.trouble : strerror(c->connector.err));
        break;
    case CLEW__CONNECTING:
        break;
    }
}

/* ---- reading and writing ----------------------------------------------------------------- */

/* libnghttp2 says that the request ended. */
static void look_for_end(struct clew__h2c *c)
{
    if (!c->in_flight || c->h2->x)
        return;
    if (c->h2->refused && c->h2->going_away && c->kept) {
        hang_up(c);
        begin_request(c);
        return;
    }
    end(c);
    if (!clew__h2_is_open(c->h2))
        hang_up(c);
}

static void read_all(struct clew__h2c *c)
{
    char bytes[READ_BYTES];

    for (unsigned turn = 0; turn < TURNS_MAX && c->fd >= 0; turn++) {
        ssize_t n = recv(c->fd, bytes, sizeof(bytes), 0);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            lose(c, n < 0 ? strerror(errno) : "the far side closed it");
            return;
        }
        if (!c->in_flight && (c->unasked += (size_t)n) > IDLE_BYTES_MAX) {
            hang_up(c);
            return;
        }
        clew__h2_read(c->h2, bytes, (size_t)n);
        look_for_end(c);
        if (n < (ssize_t)sizeof(bytes))
            return;
    }
}

/* As much as the socket takes; what fails shows when reading. */
static void write_all(struct clew__h2c *c)
{
    c->blocked = false;
    for (unsigned turn = 0; turn < TURNS_MAX; turn++) {
        struct msghdr message = {.msg_name = NULL};
        ssize_t n;

        message.msg_iov = clew__h2_output(c->h2, &message.msg_iovlen);
        if (message.msg_iovlen == 0)
            return;
        n = sendmsg(c->fd, &message, MSG_NOSIGNAL);
        if (n >= 0)
            clew__h2_written(c->h2, (size_t)n);
        else if (errno == EAGAIN)
            break;
        else if (errno != EINTR)
            return;
    }
    c->blocked = true;
}

/* ---- what the delivery thread does -------------------------------------------------------- */

void clew__h2c_send(struct clew__h2c *c)
{
    c->in_flight = true;
    c->deadline_ns = clew__now_ns() + (uint64_t)c->x->timeout_ms * 1000000u;
    if (c->fd >= 0 && !clew__h2_is_open(c->h2))
        hang_up(c);
    begin_request(c);
}

bool clew__h2c_run(struct clew__h2c *c)
{
    bool ended;

    if (c->connecting)
        go_on_connecting(c);
    if (c->fd >= 0)
        read_all(c);
    if (c->fd >= 0)
        write_all(c);
    if (c->fd >= 0 && clew__h2_is_over(c->h2))
        lose(c, "it is not HTTP/2 as it should be");
    if (c->in_flight && clew__now_ns() >= c->deadline_ns)
        fail(c, "timed out", NULL);
    ended = c->ended;
    c->ended = false;
    return ended;
}

void clew__h2c_cancel(struct clew__h2c *c)
{
    if (c->in_flight)
        hang_up(c);
    c->in_flight = c->ended = false;
}

size_t clew__h2c_wait(const struct clew__h2c *c, struct curl_waitfd *ret, uint64_t *ret_ns)
{
    uint64_t now = clew__now_ns(), left = c->deadline_ns > now ? c->deadline_ns - now : 0;

    if (c->in_flight && left < *ret_ns)
        *ret_ns = left;
    if (c->connecting)
        return clew__connector_wait(&c->connector, ret, ret_ns);
    if (c->fd < 0)
        return 0;
    ret[0] = (struct curl_waitfd){
        c->fd, (short)(CURL_WAIT_POLLIN | (c->blocked ? CURL_WAIT_POLLOUT : 0)), 0};
    return 1;
}

/* ---- opening and closing ------------------------------------------------------------------ */

struct clew__h2c *clew__h2c_new(const struct clew__destination *to, struct clew__exchange *x)
{
    struct clew__h2c *c = calloc(1, sizeof(*c));
    char host[256], port[8];

    if (!c)
        return NULL;
    c->x = x;
    c->fd = -1;
    if (clew__h2c_headers_make(&c->headers, to->url, to->headers, host, port)) {
        clew__connector_init(&c->connector, host, port);
        return c;
    }
    free(c);
    return NULL;
}

struct clew__h2c *clew__h2c_free(struct clew__h2c *c)
{
    if (!c)
        return NULL;
    clew__h2c_cancel(c);
    hang_up(c);
    clew__connector_done(&c->connector);
    clew__h2c_headers_done(&c->headers);
    free(c);
    return NULL;
}
