/* SPDX-License-Identifier: Apache-2.0
 *
 * Syslog over TCP, framed by octet counting (RFC 6587, section 3.4.1). Frames
 * gather in a bounded buffer and leave it only as a whole: when a connection
 * breaks, the frame that was half out is sent again from its start on the next
 * one. What the kernel had taken already may be lost with the far side; the
 * protocol has no receipt. A connection the far side closed is noticed before
 * the next send. Connecting takes turns through the host's addresses, with
 * pauses from 250 ms to 30 s. Collector thread.
 */
#include "sinks_priv.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PENDING_MAX (1u << 20)
#define FLUSH_BYTES 65536u
#define PAUSE_MIN_NS (250u * 1000000ull)
#define PAUSE_MAX_NS (30ull * CLEW__SECOND_NS)
#define CONNECT_NS (5ull * CLEW__SECOND_NS)
#define STABLE_NS (10ull * CLEW__SECOND_NS) /* a connection that lived so long was good */
#define SILENCE_MS 30000u

enum state { UNCONNECTED, CONNECTING, CONNECTED };

struct clew__syslog_tcp {
    struct clew__resolver *resolver;
    struct clew__patience patience;
    int fd;
    enum state state;
    struct clew__addresses addresses; /* of this round */
    unsigned untried;                 /* of them */
    uint64_t since_ns;                /* when the attempt began */
    uint64_t pause_ns;
    struct clew__buf pending; /* begins with a frame */
    size_t sent;              /* of pending, on this connection */
};

struct clew__syslog_tcp *clew__syslog_tcp_new(const char *host, const char *port)
{
    struct clew__syslog_tcp *tcp = calloc(1, sizeof(*tcp));

    if (!tcp)
        return NULL;
    tcp->resolver = clew__resolver_new(host, port, SOCK_STREAM);
    if (!tcp->resolver) {
        free(tcp);
        return NULL;
    }
    tcp->fd = -1;
    clew__buf_init(&tcp->pending, PENDING_MAX);
    clew__resolver_start(tcp->resolver);
    return tcp;
}

/* Bytes of the frame at the start of p. */
static size_t frame_len(const char *p)
{
    char *message;
    size_t len = strtoul(p, &message, 10);

    return (size_t)(message + 1 - p) + len;
}

static void compact(struct clew__syslog_tcp *tcp)
{
    size_t whole = 0;

    while (whole < tcp->pending.len) {
        size_t len = frame_len(tcp->pending.data + whole);

        if (whole + len > tcp->sent)
            break;
        whole += len;
    }
    if (whole == 0)
        return;
    memmove(tcp->pending.data, tcp->pending.data + whole, tcp->pending.len - whole);
    tcp->pending.len -= whole;
    tcp->sent -= whole;
}

static void disconnect(struct clew__syslog_tcp *tcp)
{
    if (tcp->state == CONNECTED && clew__sink_now_ns() - tcp->since_ns >= STABLE_NS)
        tcp->pause_ns = 0;
    else if (tcp->untried > 0)
        ; /* the next address has its turn at once */
    else if (tcp->pause_ns < PAUSE_MIN_NS)
        tcp->pause_ns = PAUSE_MIN_NS;
    else if (tcp->pause_ns < PAUSE_MAX_NS / 2)
        tcp->pause_ns *= 2;
    else
        tcp->pause_ns = PAUSE_MAX_NS;
    if (tcp->fd >= 0)
        close(tcp->fd);
    tcp->fd = -1;
    tcp->state = UNCONNECTED;
    compact(tcp);
    tcp->sent = 0;
    clew__resolver_start(tcp->resolver); /* the host may have moved */
}

static void begin_connect(struct clew__syslog_tcp *tcp, uint64_t deadline_ns)
{
    unsigned silence_ms = SILENCE_MS, i;
    const struct sockaddr *address;
    int on = 1;

    tcp->since_ns = clew__sink_now_ns();
    if (tcp->untried == 0) {
        if (clew__resolver_get(tcp->resolver, deadline_ns, &tcp->addresses) < 0) {
            disconnect(tcp);
            return;
        }
        tcp->untried = tcp->addresses.n;
    }
    i = tcp->addresses.n - tcp->untried--;
    address = (const struct sockaddr *)&tcp->addresses.at[i].address;
    tcp->fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
    if (tcp->fd < 0) {
        disconnect(tcp);
        return;
    }
    /* A far side that vanished without a word is given up after a while. */
    (void)setsockopt(tcp->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    (void)setsockopt(tcp->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &silence_ms, sizeof(silence_ms));
    tcp->state = CONNECTING;
    if (connect(tcp->fd, address, tcp->addresses.at[i].len) < 0 && errno != EINPROGRESS)
        disconnect(tcp);
}

static void finish_connect(struct clew__syslog_tcp *tcp, uint64_t deadline_ns)
{
    int error = 0;
    socklen_t len = sizeof(error);

    if (!clew__wait_fd(tcp->fd, POLLOUT, deadline_ns)) {
        if (clew__sink_now_ns() - tcp->since_ns >= CONNECT_NS)
            disconnect(tcp);
        return;
    }
    if (getsockopt(tcp->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 || error)
        disconnect(tcp);
    else {
        tcp->state = CONNECTED;
        tcp->untried = 0;
    }
}

/* A receiver of syslog has nothing to say: what comes is thrown away, the end
 * of it is the end of the connection. */
static void look_for_end(struct clew__syslog_tcp *tcp)
{
    char nothing[512];

    for (int turns = 0; turns < 16; turns++) {
        ssize_t n = recv(tcp->fd, nothing, sizeof(nothing), MSG_DONTWAIT);

        if (n > 0 || (n < 0 && errno == EINTR))
            continue;
        if (n == 0 || errno != EAGAIN)
            disconnect(tcp);
        return;
    }
}

static bool is_ready(struct clew__syslog_tcp *tcp, uint64_t deadline_ns)
{
    if (tcp->state == CONNECTED)
        look_for_end(tcp);
    if (tcp->state == UNCONNECTED && clew__sink_now_ns() < tcp->since_ns + tcp->pause_ns)
        return false;
    do {
        if (tcp->state == UNCONNECTED)
            begin_connect(tcp, deadline_ns);
        if (tcp->state == CONNECTING)
            finish_connect(tcp, deadline_ns);
    } while (tcp->state == UNCONNECTED && tcp->untried > 0);
    return tcp->state == CONNECTED;
}

static void send_until(struct clew__syslog_tcp *tcp, uint64_t deadline_ns)
{
    if (tcp->pending.len == 0 || !is_ready(tcp, deadline_ns))
        return;
    while (tcp->sent < tcp->pending.len) {
        ssize_t n = send(tcp->fd, tcp->pending.data + tcp->sent, tcp->pending.len - tcp->sent,
                         MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n >= 0) {
            tcp->sent += (size_t)n;
        } else if (errno == EAGAIN) {
            if (clew__sink_now_ns() >= deadline_ns || !clew__wait_fd(tcp->fd, POLLOUT, deadline_ns))
                break;
        } else if (errno != EINTR) {
            disconnect(tcp);
            return;
        }
    }
    compact(tcp);
}

void clew__syslog_tcp_flush(struct clew__syslog_tcp *tcp)
{
    send_until(tcp, clew__patience_deadline(&tcp->patience));
    if (tcp->pending.len > 0)
        clew__patience_lost(&tcp->patience);
}

void clew__syslog_tcp_put(struct clew__syslog_tcp *tcp, const char *message, size_t len)
{
    size_t need = len + 24; /* the count and a space */

    if (tcp->pending.len + need > PENDING_MAX)
        clew__syslog_tcp_flush(tcp);
    if (tcp->pending.len + need > PENDING_MAX || !clew__buf_room(&tcp->pending, need)) {
        tcp->pending.failed = false; /* there may be memory for the next */
        atomic_fetch_add_explicit(&clew__syslog_lost, 1, memory_order_relaxed);
        return;
    }
    clew__buf_addf(&tcp->pending, "%zu ", len);
    clew__buf_add(&tcp->pending, message, len);
    if (tcp->pending.len - tcp->sent >= FLUSH_BYTES)
        send_until(tcp, 0);
}

void clew__syslog_tcp_free(struct clew__syslog_tcp *tcp, uint64_t deadline_ns)
{
    uint64_t lost = 0, now;

    tcp->pause_ns = 0; /* no time for pauses now */
    do {
        send_until(tcp, deadline_ns);
        now = clew__sink_now_ns();
    } while (tcp->pending.len > 0 && tcp->state == CONNECTING && now < deadline_ns);
    for (size_t at = 0; at < tcp->pending.len; at += frame_len(tcp->pending.data + at))
        lost++;
    atomic_fetch_add_explicit(&clew__syslog_lost, lost, memory_order_relaxed);
    if (tcp->fd >= 0)
        close(tcp->fd);
    clew__resolver_free(tcp->resolver);
    clew__buf_done(&tcp->pending);
    free(tcp);
}

void clew__syslog_tcp_after_fork(struct clew__syslog_tcp *tcp)
{
    if (tcp->fd >= 0)
        close(tcp->fd);
    tcp->fd = -1;
    tcp->state = UNCONNECTED;
    tcp->untried = 0;
    tcp->pause_ns = 0;
    tcp->sent = 0;
    clew__buf_reset(&tcp->pending);
    tcp->resolver = clew__resolver_after_fork(tcp->resolver);
    clew__resolver_start(tcp->resolver);
}
