/* SPDX-License-Identifier: Apache-2.0
 *
 * Room for an honest scraper, whatever others do. A server that has reached its
 * limit of connections and accepts no more is closed to everybody; so this one
 * accepts always, and lets go of another connection: of the address that has the
 * most of them, the one that was idle longest. Whoever holds a thousand sockets
 * holds his own newest; a scrape is answered long before it is the oldest.
 *
 * Answers that nobody reads hold memory, so they are bounded in the same way. And
 * they cost time: of an answer the kernel takes little until the peer has shown
 * that it reads, and while there is a crowd, who asks again before it has read is
 * let go. A peer that answers are read by acknowledges them with its next request.
 *
 * A connection is let go by shutdown(), which its server notices and closes it
 * with; MHD tells of the end of a connection before it closes the descriptor, so
 * no other file can have the number yet.
 */
#include "management_priv.h"

#include "address.h"

#include <linux/sockios.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define ANSWERS_MAX_BYTES ((size_t)64 << 20)

static _Atomic uint64_t evicted;

uint64_t clew__guard_evicted(void)
{
    return atomic_load_explicit(&evicted, memory_order_relaxed);
}

/* An IPv6 host has a whole /64 to speak from. Two addresses in one bucket are
 * counted as one, which is a little less fair. */
static uint8_t bucket_of(const struct sockaddr *address)
{
    unsigned char bytes[16];
    uint32_t hash = 2166136261u;

    clew__address_bytes(address, bytes);
    if (address->sa_family == AF_INET6 && memcmp(bytes, "\0\0\0\0\0\0\0\0\0\0\377\377", 12) != 0)
        memset(bytes + 8, 0, 8);
    for (size_t i = 0; i < sizeof(bytes); i++)
        hash = (hash ^ bytes[i]) * 16777619u;
    return (uint8_t)(hash ^ hash >> 8 ^ hash >> 16 ^ hash >> 24);
}

static void forget_answer(struct clew__guard *guard, struct clew__connection *connection)
{
    guard->unread -= connection->answering > 0;
    guard->answering -= connection->answering;
    connection->answering = 0;
}

static void leave(struct clew__guard *guard, struct clew__connection *connection)
{
    if (connection->leaving)
        return;
    connection->leaving = true;
    forget_answer(guard, connection);
    guard->in_bucket[connection->bucket]--;
    guard->staying--;
}

/* Whether a should go before b. */
static bool goes_first(const struct clew__guard *guard, const struct clew__connection *a,
                       const struct clew__connection *b)
{
    unsigned na = guard->in_bucket[a->bucket], nb = guard->in_bucket[b->bucket];

    return na != nb ? na > nb : a->used < b->used;
}

/* answering: only one that has an answer under way; but never `but`. */
static bool evict(struct clew__guard *guard, bool answering, const struct clew__connection *but)
{
    struct clew__connection *victim = NULL;

    for (size_t i = 0; i < CLEW__CONNECTIONS_MAX; i++) {
        struct clew__connection *at = &guard->at[i];

        if (at->here && !at->leaving && at != but && (at->answering || !answering) &&
            (!victim || goes_first(guard, at, victim)))
            victim = at;
    }
    if (!victim)
        return false;
    leave(guard, victim);
    (void)shutdown(victim->fd, SHUT_RDWR);
    atomic_fetch_add_explicit(&evicted, 1, memory_order_relaxed);
    return true;
}

static struct clew__connection *enter(struct clew__guard *guard, struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *fd =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    const union MHD_ConnectionInfo *peer =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    size_t i = 0;

    while (i < CLEW__CONNECTIONS_MAX && guard->at[i].here)
        i++;
    if (i == CLEW__CONNECTIONS_MAX || !fd || !peer)
        return NULL;
    guard->at[i] = (struct clew__connection){.here = true,
                                             .fd = fd->connect_fd,
                                             .bucket = bucket_of(peer->client_addr),
                                             .used = ++guard->clock};
    guard->in_bucket[guard->at[i].bucket]++;
    guard->staying++;
    return &guard->at[i];
}

void clew__guard_notify(void *cls, struct MHD_Connection *connection, void **socket_context,
                        enum MHD_ConnectionNotificationCode code)
{
    struct clew__guard *guard = cls;
    struct clew__connection *mine = *socket_context;

    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        *socket_context = mine = enter(guard, connection);
        if (mine && guard->staying > CLEW__CONNECTIONS_KEPT)
            (void)evict(guard, false, mine);
    } else if (mine) {
        leave(guard, mine);
        mine->here = false;
    }
}

static struct clew__connection *of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

    return info ? info->socket_context : NULL;
}

bool clew__guard_ask(struct clew__guard *guard, struct MHD_Connection *connection)
{
    struct clew__connection *mine = of(connection);
    const int room = CLEW__UNREAD_READER_BYTES;
    int unread = 0;

    if (!mine || mine->leaving)
        return true;
    mine->used = ++guard->clock;
    if (!mine->is_answered || ioctl(mine->fd, SIOCOUTQ, &unread) < 0)
        return true;
    if (unread > 0 && clew__guard_is_crowded(guard)) {
        leave(guard, mine);
        atomic_fetch_add_explicit(&evicted, 1, memory_order_relaxed);
        return false;
    }
    if (unread == 0 && !mine->reads) {
        mine->reads = true;
        (void)setsockopt(mine->fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
    }
    return true;
}

void clew__guard_use(struct clew__guard *guard, struct MHD_Connection *connection, size_t bytes)
{
    struct clew__connection *mine = of(connection);

    if (!mine || mine->leaving)
        return;
    mine->used = ++guard->clock;
    forget_answer(guard, mine);
    mine->answering = bytes;
    mine->is_answered = true;
    guard->answering += bytes;
    guard->unread += bytes > 0;
    while (guard->answering > ANSWERS_MAX_BYTES && evict(guard, true, mine))
        ;
}
