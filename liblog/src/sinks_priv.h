/* SPDX-License-Identifier: Apache-2.0
 *
 * The sinks that speak to a local or remote log daemon: journald and syslog,
 * and what both need. All of it belongs to the collector thread, except the
 * counters of lost lines, which anybody may read.
 *
 * No callback waits longer than CLEW__SINK_WAIT_MS, and after a wait that was
 * in vain there is none for a second: a daemon that hangs costs its own lines
 * and not those of the other sinks.
 */
#ifndef CLEW_SINKS_PRIV_H
#define CLEW_SINKS_PRIV_H

#include <clew/sink.h>

#include <buf.h>

#include <netinet/in.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#define CLEW__SINK_WAIT_MS 100u
#define CLEW__SECOND_NS 1000000000u
#define CLEW__JOURNALD_ADDRESS "/run/systemd/journal/socket"
#define CLEW__SYSLOG_ADDRESS "unix:/dev/log"

/* Lines the daemon did not take, since the start of the process. They survive
 * the sink's close. */
extern _Atomic uint64_t clew__journald_lost;
extern _Atomic uint64_t clew__syslog_lost;

/* Makes a sink for clew_sink_add().
 *
 * args     address: path of the socket, NULL for CLEW__JOURNALD_ADDRESS; copied
 * owner    the sink's close callback frees it; without it nothing does
 * returns  0; 1 when nobody listens there now (the sink works and tries again
 *          once a second); -EINVAL for a bad path, -ENOMEM. After anything but
 *          0 clew_last_error() says why */
int clew__journald_open(const char *address, const struct clew_sink_ops **ret_ops, void **ret_self);

/* The same for syslog, RFC 5424.
 *
 * args     address: "unix:/path", "udp:host:port" or "tcp:host:port", IPv6 in
 *          brackets; NULL for CLEW__SYSLOG_ADDRESS. facility: "user", "daemon",
 *          "local0", …; NULL for "user"
 * blocks   up to CLEW__SINK_WAIT_MS for a host name
 * returns  as above; TCP is still connecting when this returns 0 */
int clew__syslog_open(const char *address, const char *facility,
                      const struct clew_sink_ops **ret_ops, void **ret_self);

/* ---- common (sinks_common.c) ----------------------------------------------- */

/* 2 for FATAL … 7 for DEBUG and TRACE. */
unsigned clew__severity(enum clew_level level);
/* The value as bare text: no quotes, strings byte by byte, NULL as nothing. */
void clew__value_text(struct clew__buf *out, enum clew_type type, const struct clew_value *value);
/* Whether any of the n bytes is not zero. */
bool clew__is_set(const uint8_t *bytes, size_t n);
uint64_t clew__sink_now_ns(void); /* CLOCK_MONOTONIC */

/* Whether a callback may wait at all. MT-Unsafe. */
struct clew__patience {
    uint64_t none_before_ns;
};
/* When a wait that begins now has to end; now when there is to be none. */
uint64_t clew__patience_deadline(const struct clew__patience *patience);
void clew__patience_lost(struct clew__patience *patience);
/* poll() for one descriptor up to a deadline: whether an event came. */
bool clew__wait_fd(int fd, short events, uint64_t deadline_ns);

/* Addresses of one host, or one path. */
#define CLEW__ADDRESSES_MAX 8u
struct clew__addresses {
    unsigned n;
    struct {
        struct sockaddr_storage address;
        socklen_t len;
    } at[CLEW__ADDRESSES_MAX];
};
/* what names the setting in the error. 0 or -EINVAL */
int clew__address_unix(const char *what, const char *path, struct clew__addresses *ret);

/* A connected datagram socket, connected again at most once a second when the
 * far side went away. */
struct clew__peer {
    struct clew__addresses addresses;
    int fd; /* -1: none */
    int error;
    uint64_t next_connect_ns;
    struct clew__patience patience;
    _Atomic uint64_t *lost; /* for datagrams that are known to be lost later */
};
void clew__peer_init(struct clew__peer *peer, _Atomic uint64_t *lost);
void clew__peer_done(struct clew__peer *peer);
/* 0 when connected now; else why not, -errno. */
int clew__peer_connect(struct clew__peer *peer);
/* 0; -EMSGSIZE and -ENOBUFS when it is too large; other -errno: not sent. */
int clew__peer_send(struct clew__peer *peer, const struct msghdr *message);

/* ---- host names (sinks_resolve.c) ------------------------------------------- */

/* A look-up that runs in a thread of its own, as name servers may be slow. */
struct clew__resolver;
struct clew__resolver *clew__resolver_new(const char *host, const char *port, int type);
/* In the child, a new one in place of the parent's, which is left as it is: its
 * lock may be held for ever. NULL when there is no memory; all calls take that. */
struct clew__resolver *clew__resolver_after_fork(const struct clew__resolver *parents);
void clew__resolver_free(struct clew__resolver *resolver);
/* Starts a new look-up unless one runs or the host is a number. */
void clew__resolver_start(struct clew__resolver *resolver);
/* 0; -EINPROGRESS when there is no answer at the deadline; -EHOSTUNREACH with
 * clew_last_error() when the name is unknown. */
int clew__resolver_get(struct clew__resolver *resolver, uint64_t deadline_ns,
                       struct clew__addresses *ret);

/* ---- syslog's parts ------------------------------------------------------------ */

/* The text of a message (syslog_format.c). */
struct clew__syslog_format {
    unsigned facility;
    size_t max_bytes;
    struct clew__buf prefix;  /* " HOST APP PROCID - " */
    struct clew__buf value;   /* scratch */
    struct clew__buf message; /* scratch */
};
void clew__syslog_format_init(struct clew__syslog_format *format, unsigned facility,
                              size_t max_bytes);
void clew__syslog_format_done(struct clew__syslog_format *format);
/* Host, service and process as they are now: at the start and after a fork. */
void clew__syslog_format_prefix(struct clew__syslog_format *format);
/* Appends the message of a line to out, at most max_bytes. */
void clew__syslog_format_line(struct clew__syslog_format *format, const struct clew_line *line,
                              struct clew__buf *out);

/* A TCP connection with what is not sent yet (syslog_tcp.c). */
struct clew__syslog_tcp;
struct clew__syslog_tcp *clew__syslog_tcp_new(const char *host, const char *port);
/* Sends what it can until the deadline, counts the rest and frees. */
void clew__syslog_tcp_free(struct clew__syslog_tcp *tcp, uint64_t deadline_ns);
void clew__syslog_tcp_put(struct clew__syslog_tcp *tcp, const char *message, size_t len);
void clew__syslog_tcp_flush(struct clew__syslog_tcp *tcp);
/* In the child of a fork: the connection and the lines are the parent's. */
void clew__syslog_tcp_after_fork(struct clew__syslog_tcp *tcp);

#endif
