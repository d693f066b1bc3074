/* SPDX-License-Identifier: Apache-2.0
 *
 * What the journald and the syslog sink share: severities, values as text, and
 * a datagram socket that outlives its far side. The socket is connected,
 * because only then does poll() wait for room in the receiver's queue. Bound
 * waits: see sinks_priv.h. Collector thread.
 */
#include "sinks_priv.h"

#include "value_priv.h"

#include <json.h>

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

unsigned clew__severity(enum clew_level level)
{
    if (level >= CLEW_LEVEL_FATAL)
        return 2;
    if (level >= CLEW_LEVEL_ERROR)
        return 3;
    if (level >= CLEW_LEVEL_WARN)
        return 4;
    return level >= CLEW_LEVEL_INFO ? 6 : 7;
}

void clew__value_text(struct clew__buf *out, enum clew_type type, const struct clew_value *value)
{
    struct clew_field field = {.key = "", .type = type, .value = *value};
    char text[256], *room;
    size_t len;

    if (type == CLEW_TYPE_NULL || (!clew__type_is_fixed(type) && !value->as.s))
        return;
    len = clew_field_text(&field, text, sizeof(text));
    if (len <= sizeof(text)) {
        clew__buf_add(out, text, len);
    } else if ((room = clew__buf_room(out, len)) != NULL) {
        (void)clew_field_text(&field, room, len);
        out->len += len;
    }
}

bool clew__is_set(const uint8_t *bytes, size_t n)
{
    uint8_t all = 0;

    for (size_t i = 0; i < n; i++)
        all |= bytes[i];
    return all != 0;
}

uint64_t clew__sink_now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * CLEW__SECOND_NS + (uint64_t)t.tv_nsec;
}

uint64_t clew__patience_deadline(const struct clew__patience *patience)
{
    uint64_t now = clew__sink_now_ns();

    return now < patience->none_before_ns ? now : now + CLEW__SINK_WAIT_MS * 1000000u;
}

void clew__patience_lost(struct clew__patience *patience)
{
    uint64_t now = clew__sink_now_ns();

    if (now >= patience->none_before_ns)
        patience->none_before_ns = now + CLEW__SECOND_NS;
}

bool clew__wait_fd(int fd, short events, uint64_t deadline_ns)
{
    struct pollfd one = {.fd = fd, .events = events};
    uint64_t now = clew__sink_now_ns();
    int n;

    do {
        uint64_t left = now < deadline_ns ? deadline_ns - now : 0;

        n = poll(&one, 1, (int)((left + 999999u) / 1000000u));
        now = clew__sink_now_ns();
    } while (n < 0 && errno == EINTR && now < deadline_ns);
    return n > 0;
}

int clew__address_unix(const char *what, const char *path, struct clew__addresses *ret)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (path[0] != '/')
        return clew_set_error(-EINVAL, "%s: \"%.200s\" is not an absolute path", what, path);
    if (strlen(path) >= sizeof(address.sun_path))
        return clew_set_error(-EINVAL, "%s: the path is longer than %zu bytes", what,
                              sizeof(address.sun_path) - 1);
    memcpy(address.sun_path, path, strlen(path));
    memcpy(&ret->at[0].address, &address, sizeof(address));
    ret->at[0].len = sizeof(address);
    ret->n = 1;
    return 0;
}

void clew__peer_init(struct clew__peer *peer, _Atomic uint64_t *lost)
{
    *peer = (struct clew__peer){.fd = -1, .lost = lost};
}

void clew__peer_done(struct clew__peer *peer)
{
    if (peer->fd >= 0)
        close(peer->fd);
    peer->fd = -1;
}

int clew__peer_connect(struct clew__peer *peer)
{
    uint64_t now = clew__sink_now_ns();

    if (peer->fd >= 0)
        return 0;
    if (now < peer->next_connect_ns)
        return peer->error;
    peer->next_connect_ns = now + CLEW__SECOND_NS;
    peer->error = -EHOSTUNREACH;
    for (unsigned i = 0; i < peer->addresses.n; i++) {
        const struct sockaddr *address = (const struct sockaddr *)&peer->addresses.at[i].address;
        int fd = socket(address->sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        if (fd >= 0 && connect(fd, address, peer->addresses.at[i].len) == 0) {
            peer->fd = fd;
            return 0;
        }
        peer->error = -errno;
        if (fd >= 0)
            close(fd);
    }
    return peer->error;
}

static bool is_local(const struct clew__peer *peer)
{
    return peer->addresses.at[0].address.ss_family == AF_UNIX;
}

/* What a failed send leaves to do: 0 to try again. */
static int after_failure(struct clew__peer *peer, int error, uint64_t *deadline_ns)
{
    switch (error) {
    case EINTR:
        return 0;
    case EAGAIN:
        if (*deadline_ns == 0)
            *deadline_ns = clew__patience_deadline(&peer->patience);
        if (clew__sink_now_ns() < *deadline_ns && clew__wait_fd(peer->fd, POLLOUT, *deadline_ns))
            return 0;
        clew__patience_lost(&peer->patience);
        return -EAGAIN;
    case EMSGSIZE:
    case ENOBUFS:
        return -error;
    case ECONNREFUSED:
        if (!is_local(peer)) {
            /* The answer to an earlier datagram: that one is gone. */
            atomic_fetch_add_explicit(peer->lost, 1, memory_order_relaxed);
            return 0;
        }
        break;
    default:
        break;
    }
    clew__peer_done(peer);
    return clew__peer_connect(peer);
}

int clew__peer_send(struct clew__peer *peer, const struct msghdr *message)
{
    uint64_t deadline_ns = 0;
    int r = clew__peer_connect(peer);

    while (r == 0) {
        if (sendmsg(peer->fd, message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
            return 0;
        r = after_failure(peer, errno, &deadline_ns);
    }
    return r;
}
