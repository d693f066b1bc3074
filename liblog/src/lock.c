/* SPDX-License-Identifier: Apache-2.0 */
#include "lock_priv.h"

#include "core_priv.h"
#include "crash_priv.h"

void clew__lock_take(struct clew__lock *lock)
{
    sigset_t before;

    clew__block_signals(&before);
    clew__self.locks++;
    pthread_mutex_lock(&lock->mutex);
    lock->before = before;
}

void clew__lock_give(struct clew__lock *lock)
{
    sigset_t before = lock->before;

    pthread_mutex_unlock(&lock->mutex);
    clew__self.locks--;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}
