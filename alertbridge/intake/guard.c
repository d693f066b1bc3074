/* SPDX-License-Identifier: Apache-2.0
 * libmicrohttpd's timeout is about silence: a byte every few seconds keeps a
 * connection for ever, and when the limit is reached nobody else gets in. Here each
 * connection that is waited for (for a head, a body, the next request) stands in a
 * list, the longest wait first. One that has waited for WAIT_NS is cut, and when
 * there are too many, the one at the front: an honest sender needs milliseconds, so
 * it is never at the front while there are slow ones.
 *
 * Cutting is shutdown(2), which makes the server's thread close it; the socket
 * cannot be another one's meanwhile, since its place in the list is given up before
 * it is closed. The list is looked at whenever something happens: when nothing
 * does, nobody needs the place. `lock` guards the list, on whose front and back
 * everything works, and the count. */
#include "guard.h"

#include <common/instant.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>

#define WAIT_NS (30 * CLEW__SECOND_NS)

struct place {
    struct place *before, *after; /* NULL, NULL and not first: not in the list */
    bool waits;
    int fd;
    int64_t since;
};

struct clew__guard {
    pthread_mutex_t lock;
    struct place *first, *last;
    atomic_bool closed;
    unsigned n, max; /* connections, in the list or not, but for those that were cut */
};

struct clew__guard *clew__guard_new(unsigned max)
{
    struct clew__guard *guard = calloc(1, sizeof(*guard));

    if (!guard)
        return NULL;
    guard->max = max;
    (void)pthread_mutex_init(&guard->lock, NULL);
    return guard;
}

struct clew__guard *clew__guard_free(struct clew__guard *guard)
{
    if (guard)
        (void)pthread_mutex_destroy(&guard->lock);
    free(guard);
    return NULL;
}

static void locked_leave(struct clew__guard *guard, struct place *place)
{
    if (!place->waits)
        return;
    *(place->before ? &place->before->after : &guard->first) = place->after;
    *(place->after ? &place->after->before : &guard->last) = place->before;
    place->before = place->after = NULL;
    place->waits = false;
}

/* Its wait begins now. */
static void locked_wait(struct clew__guard *guard, struct place *place)
{
    place->since = clew__instant_now();
    place->waits = true;
    place->before = guard->last;
    *(guard->last ? &guard->last->after : &guard->first) = place;
    guard->last = place;
}

/* Those that waited too long; and one, when there are too many. */
static void locked_cut(struct clew__guard *guard)
{
    int64_t now = clew__instant_now();
    struct place *place;

    while ((place = guard->first) != NULL &&
           (guard->n > guard->max || now - place->since > WAIT_NS)) {
        locked_leave(guard, place);
        (void)shutdown(place->fd, SHUT_RDWR);
        place->fd = -1;
        guard->n--;
    }
}

static void begin(struct clew__guard *guard, struct MHD_Connection *connection,
                  void **socket_context)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct place *place = calloc(1, sizeof(*place));

    *socket_context = place;
    if (!place)
        return;
    place->fd = info->connect_fd;
    (void)pthread_mutex_lock(&guard->lock);
    guard->n++;
    locked_wait(guard, place);
    locked_cut(guard);
    (void)pthread_mutex_unlock(&guard->lock);
}

enum MHD_Result clew__guard_accepts(void *arg, const struct sockaddr *address, socklen_t len)
{
    struct clew__guard *guard = arg;

    (void)address, (void)len;
    return atomic_load(&guard->closed) ? MHD_NO : MHD_YES;
}

void clew__guard_close(struct clew__guard *guard)
{
    atomic_store(&guard->closed, true);
}

void clew__guard_notify(void *cls, struct MHD_Connection *connection, void **socket_context,
                        enum MHD_ConnectionNotificationCode what)
{
    struct clew__guard *guard = cls;
    struct place *place = *socket_context;

    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        begin(guard, connection, socket_context);
        return;
    }
    if (!place)
        return;
    (void)pthread_mutex_lock(&guard->lock);
    locked_leave(guard, place);
    guard->n -= place->fd >= 0;
    (void)pthread_mutex_unlock(&guard->lock);
    free(place);
    *socket_context = NULL;
}

/* Puts the connection at the end of the list, or takes it out. */
static void move(struct clew__guard *guard, struct MHD_Connection *connection, bool waits)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct place *place = info ? info->socket_context : NULL;

    if (!place)
        return;
    (void)pthread_mutex_lock(&guard->lock);
    locked_leave(guard, place);
    if (waits && place->fd >= 0)
        locked_wait(guard, place);
    locked_cut(guard);
    (void)pthread_mutex_unlock(&guard->lock);
}

void clew__guard_head(struct clew__guard *guard, struct MHD_Connection *connection)
{
    move(guard, connection, true);
}

void clew__guard_busy(struct clew__guard *guard, struct MHD_Connection *connection)
{
    move(guard, connection, false);
}

void clew__guard_idle(struct clew__guard *guard, struct MHD_Connection *connection)
{
    move(guard, connection, true);
}
