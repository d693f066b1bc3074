/* SPDX-License-Identifier: Apache-2.0
 * A network for tests: what connects to one Unix socket talks with another, until it is
 * cut. Then nothing arrives any more and nobody is told, as when packets are lost. */
#ifndef CLEW_TEST_RELAY_H
#define CLEW_TEST_RELAY_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

struct relay {
    char to[108];
    int fd;
    atomic_bool cut; /* set and cleared at any time */
    atomic_bool stop;
    pthread_t thread;
};

/* Aborts when it cannot. */
void relay_start(struct relay *relay, const char *from, const char *to);
void relay_stop(struct relay *relay);

#endif
