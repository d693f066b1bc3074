/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines to a syslog daemon (RFC 5424): the address, the facility and the three
 * transports. Datagrams (unix, udp) leave with each line, TCP with the batch.
 * After a fork the child's first line finds another process id and begins
 * anew. Collector thread.
 */
#include "sinks_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DATAGRAM_MAX 8192u
#define STREAM_MAX 65536u
/* While a parameter is tried, before one too many is taken back: its escapes
 * take up to 7 bytes for one. */
#define SCRATCH_FACTOR 9u

_Atomic uint64_t clew__syslog_lost;

struct syslog {
    struct clew__syslog_format format;
    struct clew__buf message;
    pid_t pid;
    struct clew__peer peer;          /* unix, udp */
    struct clew__resolver *resolver; /* udp */
    uint64_t next_lookup_ns;
    struct clew__syslog_tcp *tcp;
};

static int facility_parse(const char *name, unsigned *ret)
{
    static const struct {
        const char *name;
        unsigned number;
    } all[] = {
        {"user", 1},    {"mail", 2},    {"daemon", 3},  {"auth", 4},    {"syslog", 5},
        {"lpr", 6},     {"news", 7},    {"uucp", 8},    {"cron", 9},    {"authpriv", 10},
        {"ftp", 11},    {"local0", 16}, {"local1", 17}, {"local2", 18}, {"local3", 19},
        {"local4", 20}, {"local5", 21}, {"local6", 22}, {"local7", 23},
    };

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (strcmp(name, all[i].name) == 0) {
            *ret = all[i].number;
            return 0;
        }
    }
    return clew_set_error(
        -EINVAL,
        "syslog facility \"%.40s\": use user, daemon, auth, authpriv, mail, cron, "
        "ftp, lpr, news, syslog, uucp or local0 to local7",
        name);
}

/* "host:port" or "[host]:port" taken apart. */
static int host_parse(const char *address, const char *text, char ret_host[254], char ret_port[6])
{
    const char *colon = strrchr(text, ':'), *host = text;
    char *end;
    size_t len;

    if (!colon)
        return clew_set_error(-EINVAL, "syslog address \"%.200s\": the port is missing", address);
    len = (size_t)(colon - text);
    if (len >= 2 && text[0] == '[' && colon[-1] == ']') {
        host++;
        len -= 2;
    } else if (memchr(text, ':', len)) {
        return clew_set_error(
            -EINVAL, "syslog address \"%.200s\": put the IPv6 address in brackets", address);
    }
    if (len == 0 || len > 253 || memchr(host, ' ', len))
        return clew_set_error(-EINVAL, "syslog address \"%.200s\": not a host name", address);
    if (colon[1] < '0' || colon[1] > '9' || strlen(colon + 1) > 5 ||
        strtoul(colon + 1, &end, 10) - 1 > 65534 || *end)
        return clew_set_error(-EINVAL, "syslog address \"%.200s\": the port is not 1 to 65535",
                              address);
    memcpy(ret_host, host, len);
    ret_host[len] = '\0';
    memcpy(ret_port, colon + 1, strlen(colon + 1) + 1);
    return 0;
}

static void renew_after_fork(struct syslog *self)
{
    self->pid = getpid();
    clew__syslog_format_prefix(&self->format);
    if (self->tcp)
        clew__syslog_tcp_after_fork(self->tcp);
    if (self->resolver)
        self->resolver = clew__resolver_after_fork(self->resolver);
}

static int send_datagram(struct syslog *self)
{
    struct iovec data = {self->message.data, self->message.len};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1};

    if (self->resolver && self->peer.fd < 0) {
        uint64_t now = clew__sink_now_ns();
        int r;

        if (now >= self->next_lookup_ns) {
            clew__resolver_start(self->resolver);
            self->next_lookup_ns = now + CLEW__SECOND_NS;
        }
        r = clew__resolver_get(self->resolver, now, &self->peer.addresses);
        if (r < 0)
            return r;
    }
    return clew__peer_send(&self->peer, &message);
}

static void syslog_line(void *arg, const struct clew_line *line)
{
    struct syslog *self = arg;

    if (getpid() != self->pid)
        renew_after_fork(self);
    clew__buf_reset(&self->message);
    clew__syslog_format_line(&self->format, line, &self->message);
    if (!self->message.failed && self->tcp)
        clew__syslog_tcp_put(self->tcp, self->message.data, self->message.len);
    else if (self->message.failed || send_datagram(self) < 0)
        atomic_fetch_add_explicit(&clew__syslog_lost, 1, memory_order_relaxed);
}

static void syslog_batch_end(void *arg)
{
    struct syslog *self = arg;

    if (self->tcp && getpid() == self->pid)
        clew__syslog_tcp_flush(self->tcp);
}

static void syslog_close(void *arg, uint64_t deadline_ns)
{
    struct syslog *self = arg;

    if (getpid() != self->pid)
        renew_after_fork(self);
    if (self->tcp)
        clew__syslog_tcp_free(self->tcp, deadline_ns);
    clew__resolver_free(self->resolver);
    clew__peer_done(&self->peer);
    clew__syslog_format_done(&self->format);
    clew__buf_done(&self->message);
    free(self);
}

static int open_udp(struct syslog *self, const char *host, const char *port)
{
    int r;

    self->resolver = clew__resolver_new(host, port, SOCK_DGRAM);
    if (!self->resolver)
        return clew_set_error(-ENOMEM, "syslog: no memory");
    clew__resolver_start(self->resolver);
    r = clew__resolver_get(self->resolver, clew__patience_deadline(&self->peer.patience),
                           &self->peer.addresses);
    return r < 0 ? 1 : 0;
}

static int open_address(struct syslog *self, const char *address)
{
    char host[254], port[6];
    int r;

    if (strncmp(address, "unix:", 5) == 0)
        return clew__address_unix("syslog", address + 5, &self->peer.addresses);
    if (strncmp(address, "udp:", 4) != 0 && strncmp(address, "tcp:", 4) != 0)
        return clew_set_error(
            -EINVAL, "syslog address \"%.200s\": use unix:/path, udp:host:port or tcp:host:port",
            address);
    r = host_parse(address, address + 4, host, port);
    if (r < 0)
        return r;
    if (address[0] == 'u')
        return open_udp(self, host, port);
    self->tcp = clew__syslog_tcp_new(host, port);
    return self->tcp ? 0 : clew_set_error(-ENOMEM, "syslog: no memory");
}

int clew__syslog_open(const char *address, const char *facility,
                      const struct clew_sink_ops **ret_ops, void **ret_self)
{
    static const struct clew_sink_ops ops = {
        .name = "syslog",
        .line = syslog_line,
        .batch_end = syslog_batch_end,
        .close = syslog_close,
    };
    struct syslog *self;
    size_t max_bytes;
    unsigned number = 0;
    int r;

    if (!address)
        address = CLEW__SYSLOG_ADDRESS;
    r = facility_parse(facility ? facility : "user", &number);
    if (r < 0)
        return r;
    self = calloc(1, sizeof(*self));
    if (!self)
        return clew_set_error(-ENOMEM, "syslog: no memory");
    self->pid = getpid();
    clew__peer_init(&self->peer, &clew__syslog_lost);
    r = open_address(self, address);
    if (r < 0) {
        syslog_close(self, 0);
        return r;
    }
    max_bytes = self->tcp ? STREAM_MAX : DATAGRAM_MAX;
    clew__syslog_format_init(&self->format, number, max_bytes);
    clew__buf_init(&self->message, SCRATCH_FACTOR * max_bytes);
    if (r == 0 && !self->tcp && (r = clew__peer_connect(&self->peer)) < 0)
        r = clew_set_error(1, "syslog address \"%.200s\": %s", address, strerror(-r));
    *ret_ops = &ops;
    *ret_self = self;
    return r;
}
