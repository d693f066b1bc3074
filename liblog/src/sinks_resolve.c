/* SPDX-License-Identifier: Apache-2.0
 *
 * Host names to addresses without waiting: getaddrinfo() may take many seconds
 * when a name server is gone, so it runs in a thread that lives for one
 * look-up. The last answer stays valid until a later look-up brings another.
 * Numbers need no thread. The thread and the owner share the resolver, the
 * last of them frees it: close does not wait for a name server. The child of
 * a fork makes a resolver of its own and leaves this one alone, for its thread
 * is not there.
 */
#include "sinks_priv.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOST_MAX 253u

struct clew__resolver {
    char host[HOST_MAX + 1];
    char port[8];
    int type;
    bool is_number;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* under the lock */
    unsigned refs;
    bool running;
    int error; /* of getaddrinfo() */
    struct clew__addresses addresses;
};

static int look_up(struct clew__resolver *resolver, int flags, struct clew__addresses *ret)
{
    struct addrinfo hints = {
        .ai_socktype = resolver->type,
        .ai_flags = flags | AI_NUMERICSERV,
    };
    struct addrinfo *list = NULL;
    int error = getaddrinfo(resolver->host, resolver->port, &hints, &list);

    ret->n = 0;
    for (const struct addrinfo *one = list; !error && one; one = one->ai_next) {
        if (ret->n == CLEW__ADDRESSES_MAX)
            break;
        memcpy(&ret->at[ret->n].address, one->ai_addr, one->ai_addrlen);
        ret->at[ret->n++].len = one->ai_addrlen;
    }
    if (list)
        freeaddrinfo(list);
    return error;
}

static void unref(struct clew__resolver *resolver)
{
    unsigned left;

    pthread_mutex_lock(&resolver->lock);
    left = --resolver->refs;
    pthread_mutex_unlock(&resolver->lock);
    if (left > 0)
        return;
    pthread_cond_destroy(&resolver->changed);
    pthread_mutex_destroy(&resolver->lock);
    free(resolver);
}

static void *run(void *arg)
{
    struct clew__resolver *resolver = arg;
    struct clew__addresses found;
    int error = look_up(resolver, 0, &found);

    pthread_mutex_lock(&resolver->lock);
    resolver->error = error;
    if (!error)
        resolver->addresses = found;
    resolver->running = false;
    pthread_cond_broadcast(&resolver->changed);
    pthread_mutex_unlock(&resolver->lock);
    unref(resolver);
    return NULL;
}

struct clew__resolver *clew__resolver_new(const char *host, const char *port, int type)
{
    struct clew__resolver *resolver = calloc(1, sizeof(*resolver));
    pthread_condattr_t attributes;

    if (!resolver)
        return NULL;
    (void)snprintf(resolver->host, sizeof(resolver->host), "%s", host);
    (void)snprintf(resolver->port, sizeof(resolver->port), "%s", port);
    resolver->type = type;
    resolver->refs = 1;
    pthread_mutex_init(&resolver->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&resolver->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    resolver->is_number = look_up(resolver, AI_NUMERICHOST, &resolver->addresses) == 0;
    return resolver;
}

struct clew__resolver *clew__resolver_after_fork(const struct clew__resolver *parents)
{
    return parents ? clew__resolver_new(parents->host, parents->port, parents->type) : NULL;
}

void clew__resolver_free(struct clew__resolver *resolver)
{
    if (resolver)
        unref(resolver);
}

void clew__resolver_start(struct clew__resolver *resolver)
{
    sigset_t all, before;
    pthread_attr_t attributes;
    pthread_t thread;
    int error;

    if (!resolver)
        return;
    pthread_mutex_lock(&resolver->lock);
    if (resolver->running || resolver->is_number) {
        pthread_mutex_unlock(&resolver->lock);
        return;
    }
    resolver->running = true;
    resolver->refs++;
    pthread_mutex_unlock(&resolver->lock);

    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* the service's handlers run elsewhere */
    error = pthread_create(&thread, &attributes, run, resolver);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    if (!error)
        return;
    pthread_mutex_lock(&resolver->lock);
    resolver->running = false;
    resolver->error = EAI_MEMORY;
    resolver->refs--;
    pthread_mutex_unlock(&resolver->lock);
}

int clew__resolver_get(struct clew__resolver *resolver, uint64_t deadline_ns,
                       struct clew__addresses *ret)
{
    struct timespec until = {(time_t)(deadline_ns / CLEW__SECOND_NS),
                             (long)(deadline_ns % CLEW__SECOND_NS)};
    int r = 0;

    if (!resolver)
        return clew_set_error(-ENOMEM, "host name: no memory");
    pthread_mutex_lock(&resolver->lock);
    while (resolver->running && resolver->addresses.n == 0 && r == 0)
        r = pthread_cond_timedwait(&resolver->changed, &resolver->lock, &until);
    if (resolver->addresses.n > 0) {
        *ret = resolver->addresses;
        r = 0;
    } else if (resolver->running) {
        r = clew_set_error(-EINPROGRESS, "%s: the name server has not answered yet",
                           resolver->host);
    } else {
        r = clew_set_error(-EHOSTUNREACH, "%s: %s", resolver->host, gai_strerror(resolver->error));
    }
    pthread_mutex_unlock(&resolver->lock);
    return r;
}
