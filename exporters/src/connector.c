/* SPDX-License-Identifier: Apache-2.0
 *
 * See connector.h. A lookup belongs to its thread and to the connector; whoever
 * is done with it last frees it, so that neither the end of the program nor a
 * deadline waits for a name server. The child of a fork leaves all of it alone.
 */
#include "connector.h"

#include "batcher.h"
#include "sockets.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define NEXT_AFTER_NS UINT64_C(250000000)

struct clew__lookup {
    _Atomic unsigned users;
    int event; /* readable when it is done */
    int err;   /* of getaddrinfo() */
    struct addrinfo *found;
    char host[256], port[8];
};

/* ---- the lookup ------------------------------------------------------------------------ */

static void leave(struct clew__lookup *lookup)
{
    if (atomic_fetch_sub(&lookup->users, 1) > 1)
        return;
    if (lookup->found)
        freeaddrinfo(lookup->found);
    if (lookup->event >= 0)
        (void)clew__sockets_close(lookup->event);
    free(lookup);
}

static int resolve(const char *host, const char *port, int flags, struct addrinfo **ret)
{
    struct addrinfo hints = {.ai_flags = flags | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};

    return getaddrinfo(host, port, &hints, ret);
}

static void *look_up(void *arg)
{
    struct clew__lookup *lookup = arg;

    (void)pthread_setname_np(pthread_self(), "clew-resolver");
    lookup->err = resolve(lookup->host, lookup->port, 0, &lookup->found);
    (void)eventfd_write(lookup->event, 1);
    leave(lookup);
    return NULL;
}

/* From the delivery thread, whose signals are blocked: so are the new one's. */
static struct clew__lookup *start_lookup(const struct clew__connector *c)
{
    struct clew__lookup *lookup = calloc(1, sizeof(*lookup));
    pthread_attr_t attr;
    pthread_t thread;
    bool started;

    if (!lookup)
        return NULL;
    memcpy(lookup->host, c->host, sizeof(lookup->host));
    memcpy(lookup->port, c->port, sizeof(lookup->port));
    lookup->event = clew__sockets_add(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    atomic_store(&lookup->users, 2);
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    started = lookup->event >= 0 && pthread_create(&thread, &attr, look_up, lookup) == 0;
    pthread_attr_destroy(&attr);
    if (started)
        return lookup;
    atomic_store(&lookup->users, 1);
    leave(lookup);
    return NULL;
}

static void fail_lookup(struct clew__connector *c, int err)
{
    c->trouble = err == EAI_SYSTEM ? "no such thread or socket" : gai_strerror(err);
}

static void take_addresses(struct clew__connector *c, struct addrinfo *found)
{
    c->found = c->next = found;
    c->next_at_ns = 0;
}

/* Whether the addresses are there, or it is certain that there are none. */
static bool looked_up(struct clew__connector *c)
{
    struct clew__lookup *lookup = c->lookup;
    eventfd_t done;

    if (!lookup)
        return true;
    if (eventfd_read(lookup->event, &done) < 0)
        return false;
    if (lookup->err)
        fail_lookup(c, lookup->err);
    else
        take_addresses(c, lookup->found);
    lookup->found = NULL;
    leave(lookup);
    c->lookup = NULL;
    return true;
}

/* ---- attempts ------------------------------------------------------------------------------ */

static void close_attempt(int *fd)
{
    if (*fd >= 0)
        (void)clew__sockets_close(*fd);
    *fd = -1;
}

/* Whether the attempt is under way. */
static bool try_address(struct clew__connector *c, int *fd, const struct addrinfo *address)
{
    const int one = 1;

    *fd = clew__sockets_open(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (*fd >= 0) {
        (void)setsockopt(*fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        if (connect(*fd, address->ai_addr, address->ai_addrlen) == 0 || errno == EINPROGRESS)
            return true;
    }
    c->err = errno;
    close_attempt(fd);
    return false;
}

/* The number of attempts under way; *ret_free: one that is not. */
static unsigned count_attempts(struct clew__connector *c, int **ret_free)
{
    unsigned n = 0;

    *ret_free = NULL;
    for (unsigned i = 0; i < CLEW__ATTEMPTS_MAX; i++)
        if (c->attempts[i] >= 0)
            n++;
        else
            *ret_free = &c->attempts[i];
    return n;
}

/* Tries the next addresses that have their turn; whether any is under way. */
static bool try_next(struct clew__connector *c)
{
    uint64_t now = clew__now_ns();
    int *slot;

    while (c->next && (count_attempts(c, &slot) == 0 || (slot && now >= c->next_at_ns))) {
        if (try_address(c, slot, c->next))
            c->next_at_ns = now + NEXT_AFTER_NS;
        c->next = c->next->ai_next;
    }
    return count_attempts(c, &slot) > 0;
}

/* Whether it ended: *fd is connected, or has become -1. */
static bool ended(struct clew__connector *c, int *fd)
{
    struct pollfd p = {*fd, POLLOUT, 0};
    socklen_t len = sizeof(c->err);

    if (poll(&p, 1, 0) != 1)
        return false;
    if (getsockopt(*fd, SOL_SOCKET, SO_ERROR, &c->err, &len) < 0)
        c->err = errno;
    if (c->err)
        close_attempt(fd);
    return true;
}

/* ---- what the delivery thread does ------------------------------------------------------------
 */

void clew__connector_init(struct clew__connector *c, const char *host, const char *port)
{
    *c = (struct clew__connector){.lookup = NULL};
    (void)snprintf(c->host, sizeof(c->host), "%s", host);
    (void)snprintf(c->port, sizeof(c->port), "%s", port);
    for (unsigned i = 0; i < CLEW__ATTEMPTS_MAX; i++)
        c->attempts[i] = -1;
}

void clew__connector_done(struct clew__connector *c)
{
    clew__connector_stop(c);
    if (c->lookup)
        leave(c->lookup);
    c->lookup = NULL;
}

void clew__connector_start(struct clew__connector *c)
{
    struct addrinfo *numeric;

    clew__connector_stop(c);
    c->trouble = NULL;
    c->err = 0;
    if (resolve(c->host, c->port, AI_NUMERICHOST, &numeric) == 0) {
        take_addresses(c, numeric);
        return;
    }
    if (!c->lookup)
        c->lookup = start_lookup(c);
    if (!c->lookup)
        fail_lookup(c, EAI_MEMORY);
}

enum clew__connect clew__connector_run(struct clew__connector *c, int *ret_fd)
{
    if (!looked_up(c))
        return CLEW__CONNECTING;
    for (unsigned i = 0; i < CLEW__ATTEMPTS_MAX; i++) {
        if (c->attempts[i] < 0 || !ended(c, &c->attempts[i]) || c->attempts[i] < 0)
            continue;
        *ret_fd = c->attempts[i];
        c->attempts[i] = -1;
        clew__connector_stop(c);
        return CLEW__CONNECTED;
    }
    return try_next(c) ? CLEW__CONNECTING : CLEW__NOT_CONNECTED;
}

void clew__connector_stop(struct clew__connector *c)
{
    for (unsigned i = 0; i < CLEW__ATTEMPTS_MAX; i++)
        close_attempt(&c->attempts[i]);
    if (c->found)
        freeaddrinfo(c->found);
    c->found = c->next = NULL;
}

size_t clew__connector_wait(const struct clew__connector *c, struct curl_waitfd *ret,
                            uint64_t *ret_ns)
{
    uint64_t now = clew__now_ns(), until;
    size_t n = 0;

    if (c->lookup) {
        ret[0] = (struct curl_waitfd){c->lookup->event, CURL_WAIT_POLLIN, 0};
        return 1;
    }
    for (unsigned i = 0; i < CLEW__ATTEMPTS_MAX; i++)
        if (c->attempts[i] >= 0)
            ret[n++] = (struct curl_waitfd){c->attempts[i], CURL_WAIT_POLLOUT, 0};
    if (c->next && n < CLEW__ATTEMPTS_MAX) {
        until = c->next_at_ns > now ? c->next_at_ns - now : 0;
        if (until < *ret_ns)
            *ret_ns = until;
    } else if (n == 0) {
        *ret_ns = 0; /* has failed */
    }
    return n;
}
