/* SPDX-License-Identifier: Apache-2.0
 *
 * The delivery thread, its beginning and end. It starts what each destination
 * can send, lets what carries it work, and sleeps until there is something to
 * do; see delivery_line.h for one destination.
 */
#include "delivery_line.h"
#include "sockets.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#define GRACE_NS UINT64_C(30000000) /* for the thread to end after its deadline */

static struct clew__line lines[CLEW__DESTINATIONS_MAX];
static size_t nlines;
static CURLM *multi;
static pthread_t thread;
static _Atomic enum { IDLE, RUNNING, FORKED } state;
static _Atomic bool stopping;
static _Atomic uint64_t flush_wanted, stop_at_ns;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed;
static uint64_t flush_done;  /* under lock */
static bool ended;           /* under lock */
static uint64_t lost_before; /* by destinations that are gone */

/* ---- the thread ---------------------------------------------------------------------- */

/* Whether anything is still to be sent. */
static bool busy(void)
{
    for (size_t i = 0; i < nlines; i++)
        if (lines[i].batch || atomic_load(&lines[i].to->batcher->queued))
            return true;
    return false;
}

/* Starts what can be started; how long to wait when nothing else happens. */
static uint64_t start_requests(bool force)
{
    uint64_t now = clew__now_ns(), wait = UINT64_C(10000000000);

    for (size_t i = 0; i < nlines; i++) {
        struct clew__line *line = &lines[i];
        uint64_t until = UINT64_MAX;

        if (line->in_flight)
            continue;
        if (!line->x.body.len)
            clew__line_send_next(line, multi, force, &until);
        else if (now >= line->retry_at_ns)
            clew__line_send(line, multi);
        else
            until = line->retry_at_ns - now;
        if (until < wait)
            wait = until;
    }
    return wait;
}

/* Somebody waits: what only our own backoff holds back is tried at once. */
static void hurry(void)
{
    for (size_t i = 0; i < nlines; i++)
        lines[i].retry_at_ns = lines[i].asked_ns;
}

/* Whether any that curl carries ended. */
static bool finish_curl(void)
{
    CURLMsg *message;
    bool any = false;
    int left;

    while ((message = curl_multi_info_read(multi, &left))) {
        struct clew__line *line = NULL;
        CURLcode code = message->data.result;

        if (message->msg != CURLMSG_DONE)
            continue;
        (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&line);
        clew__curl_finish(&line->curl, multi, code);
        clew__line_finish(line);
        any = true;
    }
    return any;
}

/* As much as the sockets take now; whether any request ended: then there may be
 * something to start. */
static bool transfer(void)
{
    bool any;

    clew__curl_run(multi);
    any = finish_curl();
    for (size_t i = 0; i < nlines; i++)
        if (lines[i].h2c && clew__h2c_run(lines[i].h2c)) {
            clew__line_finish(&lines[i]);
            any = true;
        }
    return any;
}

/* Until a socket is ready, somebody wakes us or the time is over. */
static void sleep_for(uint64_t wait_ns)
{
    struct curl_waitfd fds[CLEW__DESTINATIONS_MAX * CLEW__ATTEMPTS_MAX];
    unsigned n = 0;

    for (size_t i = 0; i < nlines; i++)
        if (lines[i].h2c)
            n += (unsigned)clew__h2c_wait(lines[i].h2c, &fds[n], &wait_ns);
    (void)curl_multi_poll(multi, fds, n, (int)((wait_ns + 999999) / 1000000), NULL);
}

static void say_flushed(uint64_t ticket, bool at_end)
{
    pthread_mutex_lock(&lock);
    flush_done = ticket;
    ended = at_end;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

/* At the end: what could not be sent in time is lost for the far side. */
static void drop_all(void)
{
    for (size_t i = 0; i < nlines; i++)
        clew__line_drop(&lines[i], multi);
}

static void *deliver(void *arg)
{
    uint64_t flushed = 0, hurried = 0;
    bool hurried_to_stop = false;

    (void)arg;
    (void)pthread_setname_np(pthread_self(), "clew-delivery");
    for (;;) {
        uint64_t ticket = atomic_load(&flush_wanted), wait, now;
        bool last = atomic_load(&stopping);

        if (ticket != hurried || last != hurried_to_stop)
            hurry();
        hurried = ticket;
        hurried_to_stop = last;
        wait = start_requests(last || ticket != flushed);
        if (transfer())
            wait = 0;
        for (size_t i = 0; i < nlines; i++)
            clew__line_tell_dropped(&lines[i]);
        if (ticket != flushed && !busy())
            say_flushed(flushed = ticket, false);
        now = clew__now_ns();
        if (last && (!busy() || now >= atomic_load(&stop_at_ns)))
            break;
        if (last && wait > atomic_load(&stop_at_ns) - now)
            wait = atomic_load(&stop_at_ns) - now;
        if (wait)
            sleep_for(wait);
    }
    drop_all();
    say_flushed(flushed, true);
    return NULL;
}

/* ---- starting and stopping -------------------------------------------------------------- */

int clew__delivery_add(const struct clew__destination *destination)
{
    int err;

    if (nlines == CLEW__DESTINATIONS_MAX)
        return -ENOSPC;
    err = clew__line_open(&lines[nlines], destination);
    if (err == 0)
        nlines++;
    return err;
}

/* The child of a fork has no delivery thread: see restart(). */
static void in_child(void)
{
    if (atomic_load(&state) == IDLE)
        return;
    atomic_store(&state, FORKED);
    atomic_store(&stopping, false);
    pthread_mutex_init(&lock, NULL);
    atomic_store(&flush_wanted, 0);
    flush_done = 0;
    clew__sockets_forget();
    for (size_t i = 0; i < nlines; i++) {
        atomic_store(&lines[i].lost, 0);
        clew__batcher_forget(lines[i].to->batcher);
    }
}

/* The thread, without signals: they are the program's. */
static int run(void)
{
    pthread_condattr_t attr;
    sigset_t all, old;
    int err;

    multi = curl_multi_init();
    if (!multi)
        return clew_set_error(-ENOMEM, "delivery: no memory");
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&changed, &attr);
    pthread_condattr_destroy(&attr);
    ended = false;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    err = pthread_create(&thread, NULL, deliver, NULL);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (err)
        return clew_set_error(-err, "delivery thread: %s", strerror(err));
    atomic_store(&state, RUNNING);
    return 0;
}

/* In the child of a fork, with its first record: handles and connections are
 * the parent's and are left alone, because to close them says goodbye to its
 * far side. */
static void restart(void)
{
    pthread_mutex_lock(&lock);
    if (atomic_load(&state) == FORKED && !atomic_load(&stopping)) {
        bool good = true;

        for (size_t i = 0; i < nlines; i++)
            good = clew__line_reopen(&lines[i]) && good;
        if (good)
            (void)run();
    }
    pthread_mutex_unlock(&lock);
}

int clew__delivery_start(void)
{
    static bool registered;
    int err = nlines ? run() : 0;

    if (err == 0 && nlines && !registered) {
        registered = true;
        (void)pthread_atfork(NULL, NULL, in_child);
    }
    return err;
}

void clew__delivery_batch_end(void *destination)
{
    const struct clew__destination *to = destination;

    if (!clew__batcher_give(to->batcher))
        return;
    if (atomic_load_explicit(&state, memory_order_relaxed) == FORKED)
        restart();
    if (atomic_load_explicit(&state, memory_order_relaxed) == RUNNING)
        (void)curl_multi_wakeup(multi);
}

/* Until the ticket is done, or for 0 the thread has ended. */
static bool wait_until(uint64_t deadline_ns, uint64_t ticket)
{
    struct timespec until = {(time_t)(deadline_ns / 1000000000u),
                             (long)(deadline_ns % 1000000000u)};
    bool done;

    (void)curl_multi_wakeup(multi);
    pthread_mutex_lock(&lock);
    while (!(done = ticket ? flush_done >= ticket : ended))
        if (pthread_cond_timedwait(&changed, &lock, &until) != 0)
            break;
    pthread_mutex_unlock(&lock);
    return done;
}

uint64_t clew__delivery_lost(void)
{
    uint64_t lost = lost_before;

    for (size_t i = 0; i < nlines; i++)
        lost += atomic_load(&lines[i].lost) + atomic_load(&lines[i].to->batcher->dropped);
    return lost;
}

int clew__delivery_flush(uint64_t deadline_ns)
{
    if (atomic_load(&state) != RUNNING)
        return 0; /* nothing was ever queued */
    return wait_until(deadline_ns, atomic_fetch_add(&flush_wanted, 1) + 1) ? 0 : -ETIMEDOUT;
}

static void forget_destinations(void)
{
    lost_before = clew__delivery_lost();
    for (size_t i = 0; i < nlines; i++)
        clew__line_close(&lines[i]);
    nlines = 0;
}

int clew__delivery_stop(uint64_t deadline_ns)
{
    uint64_t dropped = 0, before = 0;

    switch (atomic_exchange(&state, IDLE)) {
    case IDLE: /* destinations may have been added by a start that failed */
        forget_destinations();
        return 0;
    case FORKED:
        return 0;
    case RUNNING:
        break;
    }
    for (size_t i = 0; i < nlines; i++)
        before += atomic_load(&lines[i].to->batcher->dropped);
    atomic_store(&stop_at_ns, deadline_ns);
    atomic_store(&stopping, true);
    /* The thread keeps the deadline itself. One that is stuck in the middle of
     * compressing is left behind: the process is about to end. */
    if (!wait_until(deadline_ns + GRACE_NS, 0))
        return -ETIMEDOUT;
    pthread_join(thread, NULL);
    for (size_t i = 0; i < nlines; i++)
        dropped += atomic_load(&lines[i].to->batcher->dropped);
    forget_destinations();
    curl_multi_cleanup(multi);
    atomic_store(&stopping, false);
    return dropped == before ? 0 : -ETIMEDOUT;
}
