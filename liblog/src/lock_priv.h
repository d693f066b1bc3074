/* SPDX-License-Identifier: Apache-2.0
 *
 * A lock of the library that a log call may need. Signals wait while it is held:
 * a handler that logs meanwhile would want it too, for its call site's first line,
 * and that line would be lost. Those of a crash do not wait; their handler sees
 * from clew__self.locks that it must not take any. */
#ifndef CLEW_LOCK_PRIV_H
#define CLEW_LOCK_PRIV_H

#include <pthread.h>
#include <signal.h>

struct clew__lock {
    pthread_mutex_t mutex;
    sigset_t before; /* the holder's signal mask */
};
#define CLEW__LOCK_INITIALIZER             \
    {                                      \
        .mutex = PTHREAD_MUTEX_INITIALIZER \
    }

/* Taken within each other they are given back in the other order. */
void clew__lock_take(struct clew__lock *lock);
void clew__lock_give(struct clew__lock *lock);

#endif
