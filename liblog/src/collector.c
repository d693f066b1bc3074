/* SPDX-License-Identifier: Apache-2.0
 *
 * The collector: one thread that empties all rings, in the order of their time
 * stamps, and hands each record to the output and the sinks.
 *
 * A pass notes how far each ring was written, merges up to there, and gives
 * the room back only after the sinks have what was in it. Between passes it
 * sleeps, longer the less there is to do; a thread wakes it for an error or
 * when its ring is half full. Order is exact within a thread; between threads
 * it is exact for what one pass saw.
 */
#include "core_priv.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SINKS_MAX 16
#define PUBLISH_BYTES 65536u
#define SLEEP_MIN_NS 1000000u
#define SLEEP_MAX_NS 50000000u

static struct {
    const struct clew_sink_ops *ops;
    void *self;
} sinks[SINKS_MAX];
static _Atomic size_t nsinks;

static pthread_t thread;
static _Atomic bool running;
static _Atomic bool stopping;
static _Atomic uint32_t sleeping; /* the futex */
static __thread bool in_collector CLEW__TLS_MODEL;

static pthread_mutex_t flush_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t flush_cond;
static _Atomic uint64_t flush_wanted;
static uint64_t flush_done; /* under flush_lock, and so is: */
static bool ended;

static struct clew__clock clock_now;
static struct clew__site_text *texts[CLEW__SITES_MAX + 1];
static struct clew__buf json;

bool clew__in_collector(void)
{
    return in_collector;
}

bool clew__collector_running(void)
{
    return atomic_load(&running);
}

int clew_sink_add(const struct clew_sink_ops *ops, void *self)
{
    size_t n;
    int err = 0;

    if (!ops || !ops->name)
        return clew_set_error(-EINVAL, "sink: a name is needed");
    clew__registry_lock();
    n = atomic_load(&nsinks);
    if (n == SINKS_MAX) {
        err = clew_set_error(-ENOSPC, "sink %s: there are %d already", ops->name, SINKS_MAX);
    } else {
        sinks[n].ops = ops;
        sinks[n].self = self;
        atomic_store_explicit(&nsinks, n + 1, memory_order_release);
    }
    clew__registry_unlock();
    return err;
}

/* ---- delivering ----------------------------------------------------------- */

void clew__deliver_line(struct clew__line *line)
{
    size_t n = atomic_load_explicit(&nsinks, memory_order_acquire);
    struct clew_line view = {.time_ns = line->time_ns,
                             .level = (enum clew_level)line->site->level,
                             .site = line->site,
                             .request_id = line->context->request_id,
                             .correlation_id = line->context->correlation_id,
                             .trace_id = line->context->trace_id,
                             .span_id = line->span_id,
                             .bound = line->context->bound,
                             .nbound = line->context->nbound};
    struct clew_field fields[24];

    if (n) {
        view.fields = fields;
        for (unsigned i = 0; i < line->site->nfields; i++)
            if (!(line->text->skip & (1u << i)))
                fields[view.nfields++] = (struct clew_field){
                    line->site->keys[i], (enum clew_type)line->site->types[i], line->values[i]};
    }
    if (n || clew__output_wants_json()) {
        clew__buf_reset(&json);
        clew__format_json(&json, line);
        if (json.failed) {
            CLEW__COUNT_ONE(output);
            return;
        }
        view.json = json.data;
        view.json_len = json.len;
    }
    clew__output_line(line, &view);
    for (size_t i = 0; i < n; i++)
        if (sinks[i].ops->line)
            sinks[i].ops->line(sinks[i].self, &view);
    CLEW__COUNT_ONE(lines);
}

void clew__deliver_span(void *arg, const struct clew_span_record *span)
{
    size_t n = atomic_load_explicit(&nsinks, memory_order_acquire);

    (void)arg;
    for (size_t i = 0; i < n; i++)
        if (sinks[i].ops->span)
            sinks[i].ops->span(sinks[i].self, span);
    CLEW__COUNT_ONE(spans);
}

void clew__deliver_batch_end(void)
{
    size_t n = atomic_load_explicit(&nsinks, memory_order_acquire);

    clew__output_flush();
    for (size_t i = 0; i < n; i++)
        if (sinks[i].ops->batch_end)
            sinks[i].ops->batch_end(sinks[i].self);
}

void clew__sinks_close(uint64_t deadline_ns)
{
    size_t n = atomic_load(&nsinks);

    for (size_t i = 0; i < n; i++)
        if (sinks[i].ops->close)
            sinks[i].ops->close(sinks[i].self, deadline_ns);
    clew__output_close();
}

/* ---- one pass ---------------------------------------------------------------- */

static struct clew__site_text *text_of(const struct clew_site *site)
{
    struct clew__site_text *text = texts[site->id];

    if (!text) {
        text = calloc(1, sizeof(*text));
        if (!text)
            return NULL;
        clew__format_site(text, site, clew__config.service);
        if (text->pieces.failed) {
            free(text);
            return NULL;
        }
        texts[site->id] = text;
    }
    return text;
}

static const struct clew__record *record_at(const struct clew__ring *ring)
{
    return (const struct clew__record *)(ring->data + (ring->read & (ring->size - 1)));
}

static void consume(struct clew__ring *ring)
{
    const struct clew__record *record = record_at(ring);
    const char *payload = (const char *)(record + 1);
    size_t len = record->size - sizeof(*record);

    if (record->what == CLEW__WHAT_CONTEXT) {
        (void)clew__line_context_set(ring->context, payload, len);
        ring->context_dirty = true;
    } else if (record->what == CLEW__WHAT_SPAN) {
        if (clew__span_decode)
            (void)clew__span_decode(payload, len, &clock_now, clew__deliver_span, NULL);
    } else {
        const struct clew_site *site = clew__site_by_id(record->what);
        struct clew__line line = {.time_ns = clew__ticks_to_ns(&clock_now, record->ticks),
                                  .text = site ? text_of(site) : NULL,
                                  .context = ring->context,
                                  .span_id = record->span_id};

        if (line.text && clew__line_decode(&line, site, payload, len))
            clew__deliver_line(&line);
        else
            CLEW__COUNT_ONE(output);
    }
    ring->read += record->size;
}

/* Tells the producer, and whoever may have to recover, how far we are. */
static void publish(struct clew__ring *ring)
{
    struct clew__ring_control *control = ring->control;

    if ((atomic_load_explicit(&control->tail, memory_order_relaxed) & ~UINT64_C(7)) == ring->read)
        return;
    if (ring->context_dirty) {
        ring->slot = 1 - ring->slot;
        control->context[ring->slot].len = (uint32_t)ring->context->raw_len;
        memcpy(control->context[ring->slot].bytes, ring->context->raw, ring->context->raw_len);
        ring->context_dirty = false;
    }
    atomic_store_explicit(&control->tail, ring->read | ring->slot, memory_order_release);
}

static void publish_all(void)
{
    struct clew__ring *ring = atomic_load_explicit(&clew__rings, memory_order_acquire);

    clew__deliver_batch_end();
    for (; ring; ring = ring->next)
        publish(ring);
}

/* A ring whose thread ended is free once it is empty. */
static void free_orphans(void)
{
    struct clew__ring *ring = atomic_load_explicit(&clew__rings, memory_order_acquire);

    for (; ring; ring = ring->next)
        if (atomic_load_explicit(&ring->state, memory_order_acquire) == CLEW__RING_ORPHAN &&
            atomic_load_explicit(&ring->control->head, memory_order_acquire) == ring->read)
            atomic_store_explicit(&ring->state, CLEW__RING_FREE, memory_order_release);
}

/* Notes what there is to read; the number of rings that have something. */
static size_t look(struct clew__ring *found[CLEW__CHUNKS_MAX])
{
    struct clew__ring *ring = atomic_load_explicit(&clew__rings, memory_order_acquire);
    size_t n = 0;

    for (; ring; ring = ring->next) {
        ring->limit = atomic_load_explicit(&ring->control->head, memory_order_acquire);
        if (ring->read == ring->limit || n == CLEW__CHUNKS_MAX)
            continue;
        ring->next_ticks = record_at(ring)->ticks;
        found[n++] = ring;
    }
    return n;
}

/* The ring with the oldest record, and until when it stays the oldest. */
static size_t oldest(struct clew__ring *const rings[], size_t n, uint64_t *ret_until)
{
    size_t best = 0;
    uint64_t second = UINT64_MAX;

    for (size_t i = 1; i < n; i++) {
        if (rings[i]->next_ticks < rings[best]->next_ticks) {
            second = rings[best]->next_ticks;
            best = i;
        } else if (rings[i]->next_ticks < second) {
            second = rings[i]->next_ticks;
        }
    }
    *ret_until = second;
    return best;
}

static struct clew__ring *active[CLEW__CHUNKS_MAX]; /* of the pass */

/* Empties the rings up to where they are now; false when there was nothing. */
static bool pass(void)
{
    size_t n = look(active);
    uint64_t consumed = 0;

    if (n == 0)
        return false;
    clew__ticks_calibrate(&clock_now);
    clew__file_set_clock(&clock_now);
    while (n > 0) {
        uint64_t until;
        size_t best = oldest(active, n, &until);
        struct clew__ring *ring = active[best];

        do {
            uint64_t before = ring->read;

            consume(ring);
            consumed += ring->read - before;
            if (consumed >= PUBLISH_BYTES) {
                publish_all();
                consumed = 0;
            }
            if (ring->read == ring->limit) {
                active[best] = active[--n];
                break;
            }
            ring->next_ticks = record_at(ring)->ticks;
        } while (ring->next_ticks <= until);
    }
    publish_all();
    return true;
}

/* ---- the thread ---------------------------------------------------------------- */

/* Says in the log itself what the log lost, at most once a second. */
static void report_drops(bool now)
{
    static uint64_t told, told_at_ns;
    uint64_t t = clew__monotonic_ns();
    struct clew_stats s;
    uint64_t total;

    if (!now && t - told_at_ns < 1000000000u)
        return;
    clew_stats_read(&s);
    total = s.dropped_ring_full + s.dropped_no_ring + s.dropped_nested + s.dropped_output;
    if (total == told)
        return;
    clew_warn("log records dropped", clew_kv("since_last", total - told),
              clew_kv("ring_full", s.dropped_ring_full), clew_kv("no_ring", s.dropped_no_ring),
              clew_kv("nested", s.dropped_nested), clew_kv("output", s.dropped_output));
    told = total;
    told_at_ns = t;
}

static bool any_half_full(void)
{
    struct clew__ring *ring = atomic_load_explicit(&clew__rings, memory_order_acquire);

    for (; ring; ring = ring->next)
        if (atomic_load(&ring->control->head) - ring->read > ring->size / 2)
            return true;
    return false;
}

static void futex(int operation, uint32_t value, const struct timespec *timeout)
{
    (void)syscall(SYS_futex, &sleeping, operation | FUTEX_PRIVATE_FLAG, value, timeout, NULL, 0);
}

void clew__collector_wake(void)
{
    int saved = errno;

    if (atomic_load_explicit(&sleeping, memory_order_relaxed) && atomic_exchange(&sleeping, 0))
        futex(FUTEX_WAKE, 1, NULL);
    errno = saved;
}

static void sleep_for(uint64_t ns, uint64_t flushed)
{
    struct timespec timeout = {0, (long)ns};

    atomic_store(&sleeping, 1);
    if (!any_half_full() && !atomic_load(&stopping) && atomic_load(&flush_wanted) == flushed)
        futex(FUTEX_WAIT, 1, &timeout);
    atomic_store(&sleeping, 0);
}

static void finish_flush(uint64_t ticket)
{
    pthread_mutex_lock(&flush_lock);
    flush_done = ticket;
    pthread_cond_broadcast(&flush_cond);
    pthread_mutex_unlock(&flush_lock);
}

static void *collect(void *arg)
{
    const char *directory = arg;
    uint64_t pause = SLEEP_MIN_NS, flushed = 0;

    in_collector = true;
    (void)pthread_setname_np(pthread_self(), "clew-collector");
    if (directory)
        clew__recover(directory, clew__config.service);
    while (!atomic_load(&stopping)) {
        uint64_t ticket = atomic_load(&flush_wanted);

        if (pass())
            pause = SLEEP_MIN_NS;
        else if (pause < SLEEP_MAX_NS)
            pause *= 2;
        free_orphans();
        report_drops(false);
        if (ticket != flushed)
            finish_flush(flushed = ticket);
        sleep_for(pause, flushed);
    }
    while (pass())
        ;
    report_drops(true);
    (void)pass();
    pthread_mutex_lock(&flush_lock);
    ended = true;
    pthread_cond_broadcast(&flush_cond);
    pthread_mutex_unlock(&flush_lock);
    return NULL;
}

int clew__collector_start(void)
{
    static bool recovered;
    sigset_t all, old;
    pthread_condattr_t attr;
    void *directory = recovered || !clew__file_name()[0] ? NULL : clew__config.ring_directory;
    int err;

    recovered = true;
    clew__buf_init(&json, 4u << 20);
    clew__ticks_init(&clock_now);
    clew__file_set_clock(&clock_now);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&flush_cond, &attr);
    pthread_condattr_destroy(&attr);
    atomic_store(&stopping, false);
    /* Signals are the program's: none is handled here, SIGPIPE included. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    err = pthread_create(&thread, NULL, collect, directory);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (err)
        return clew_set_error(-err, "collector thread: %s", strerror(err));
    atomic_store(&running, true);
    return 0;
}

/* Waits until the flush of this ticket is done, or, for 0, the thread has ended;
 * false when the deadline came first. */
static bool wait_until(uint64_t deadline_ns, uint64_t ticket)
{
    struct timespec until = {(time_t)(deadline_ns / 1000000000u),
                             (long)(deadline_ns % 1000000000u)};
    bool done;

    clew__collector_wake();
    pthread_mutex_lock(&flush_lock);
    while (!(done = ticket ? flush_done >= ticket : ended))
        if (pthread_cond_timedwait(&flush_cond, &flush_lock, &until) != 0)
            break;
    pthread_mutex_unlock(&flush_lock);
    return done;
}

int clew__collector_flush(uint64_t deadline_ns)
{
    if (!atomic_load(&running))
        return -ESRCH;
    return wait_until(deadline_ns, atomic_fetch_add(&flush_wanted, 1) + 1) ? 0 : -ETIMEDOUT;
}

void clew__collector_stop(uint64_t deadline_ns)
{
    if (!atomic_exchange(&running, false))
        return;
    atomic_store(&stopping, true);
    if (!wait_until(deadline_ns, 0))
        return; /* stuck in an output: what is left stays in the ring file */
    pthread_join(thread, NULL);
    clew__sinks_close(deadline_ns);
    /* What other threads wrote meanwhile is left for the next start. */
    clew__file_close(look(active) == 0);
}

void clew__collector_after_fork(void)
{
    atomic_store(&running, false);
    atomic_store(&stopping, false);
    atomic_store(&sleeping, 0);
    pthread_mutex_init(&flush_lock, NULL);
    atomic_store(&flush_wanted, 0);
    flush_done = 0;
    ended = false;
    in_collector = false;
}
