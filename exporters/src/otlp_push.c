/* SPDX-License-Identifier: Apache-2.0
 *
 * Metrics sent over OTLP, every OTEL_METRIC_EXPORT_INTERVAL: a thread of its own
 * reads them, as a scrape does, and hands them to the delivery thread. They are
 * cumulative, so what a request lost the next one says again: only a few stay in
 * the queue.
 *
 * The child of a fork has no such thread; it sends what it counted when it
 * flushes and when it ends.
 */
#include "exporters_priv.h"
#include "otlp_priv.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#define QUEUE_BYTES (8u << 20)

static const struct clew__settings *settings;
static struct clew__batcher batcher;
static struct clew__destination destination;
static char headers[CLEW__OTLP_HEADERS_BYTES];

static pthread_mutex_t reading = PTHREAD_MUTEX_INITIALIZER; /* one at a time hands over */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed;
static bool stopping; /* under lock */
static pthread_t thread;
static _Atomic bool is_added, has_thread;

static bool encode(const struct clew__batch *batch, struct clew__body *ret_body)
{
    return clew__otlp_encode(&settings->otlp_metrics, batch, ret_body);
}

static struct clew__buf *begin(void)
{
    return clew__batcher_begin(&batcher);
}

static void commit(void)
{
    clew__batcher_commit(&batcher, 0);
}

void clew__otlp_push_now(void)
{
    if (!is_added)
        return;
    pthread_mutex_lock(&reading);
    clew__otlp_append_metrics(begin, commit);
    clew__delivery_batch_end(&destination);
    pthread_mutex_unlock(&reading);
}

/* False: it is time to end. */
static bool wait_until(uint64_t ns)
{
    struct timespec until = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
    bool goes_on;
    int err = 0;

    pthread_mutex_lock(&lock);
    while (!stopping && err == 0)
        err = pthread_cond_timedwait(&changed, &lock, &until);
    goes_on = !stopping;
    pthread_mutex_unlock(&lock);
    return goes_on;
}

static void *push(void *arg)
{
    uint64_t interval = (uint64_t)settings->metrics_interval_ms * 1000000, next = clew__now_ns();
    (void)arg;

    (void)pthread_setname_np(pthread_self(), "clew-push");
    for (;;) {
        uint64_t now = clew__now_ns();

        next += interval;
        if (next < now) /* reading takes longer than that, or the machine slept */
            next = now + interval;
        if (!wait_until(next))
            return NULL;
        clew__otlp_push_now();
    }
}

/* ---- beginning and end --------------------------------------------------------------------- */

static void in_child(void)
{
    pthread_mutex_init(&reading, NULL);
    pthread_mutex_init(&lock, NULL);
    has_thread = false;
}

int clew__otlp_push_add(const struct clew__settings *s)
{
    int err = clew__otlp_destination(&s->otlp_metrics, headers, &destination);

    if (err < 0)
        return err;
    settings = s;
    clew__batcher_init(&batcher, &(struct clew__limits){.batch_bytes = CLEW__OTLP_BATCH_BYTES,
                                                        .due_records = 1,
                                                        .queue_bytes = QUEUE_BYTES});
    destination.name = "otlp_metrics";
    destination.batcher = &batcher;
    destination.encode = encode;
    err = clew__delivery_add(&destination);
    is_added = err == 0;
    return err;
}

int clew__otlp_push_start(void)
{
    static bool registered;
    pthread_condattr_t attr;
    sigset_t all, old;
    int err;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&changed, &attr);
    pthread_condattr_destroy(&attr);
    stopping = false;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    err = pthread_create(&thread, NULL, push, NULL);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (err)
        return clew_set_error(-err, "metrics push thread: %s", strerror(err));
    has_thread = true;
    if (!registered)
        (void)pthread_atfork(NULL, NULL, in_child);
    registered = true;
    return 0;
}

void clew__otlp_push_stop(void)
{
    if (has_thread) {
        pthread_mutex_lock(&lock);
        stopping = true;
        pthread_cond_signal(&changed);
        pthread_mutex_unlock(&lock);
        pthread_join(thread, NULL);
        has_thread = false;
    }
    clew__otlp_push_now();
    is_added = false;
}
