/* SPDX-License-Identifier: Apache-2.0
 * A webhook takes one of two ways. When it comes alone it goes into the store at once
 * and is acknowledged when that has it. When others come with it, it is appended to
 * the journal together with all that wait, which costs one sync whatever their
 * number, is acknowledged, and gets into the store from there, many in a transaction. So the
 * answer never waits for more than the disk, however much has to be decided about
 * the webhook; and since nothing goes the first way while something is on the
 * second, the store sees webhooks in the order of their arrival.
 *
 * When the store refuses what the journal has, nothing more is acknowledged until it
 * takes it: a bridge that can't page has to say so. A store that replicas share has
 * no journal beside it: what one has acknowledged, another must be able to take over.
 *
 * Threads: the writer owns the journal's appending, the applier its reading; `lock`
 * guards everything else. An entry belongs to its queue until `done`. */
#include "inbox.h"

#include "batch.h"
#include "journal.h"

#include <common/instant.h>
#include <common/metrics.h>

#include <clew/log.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define AT_ONCE_BYTES (64u << 10) /* a larger one never goes into the store at once */
#define CALM_NS 20000000          /* since the last webhook: nothing else is to be expected */
#define GATHER_NS 2000000         /* between transactions from the journal */
#define SETTLE_NS (5 * CLEW__SECOND_NS)

struct queue {
    struct clew__inbox_entry *first, **last;
};

struct clew__inbox {
    struct clew__store *store;
    struct clew__journal *journal; /* NULL: none */
    pthread_t writer, applier;
    unsigned nthreads;
    pthread_mutex_t lock;
    pthread_cond_t to_write, to_apply, applied_more;
    struct clew__config *config;
    struct clew__senders *senders;
    struct queue at_once, journalled;
    bool writing, applying, stop;
    int64_t last_put;           /* CLOCK_REALTIME; a step of it does no harm */
    uint64_t appended, applied; /* sequences of the journal */
    int failure;                /* of the store, with what the journal has; 0: none */
    char error[256];
};

/* ---- queues ------------------------------------------------------------------------- */

static void add(struct queue *queue, struct clew__inbox_entry *entry)
{
    entry->next = NULL;
    *queue->last = entry;
    queue->last = &entry->next;
}

/* Up to n entries off the queue. */
static struct clew__inbox_entry *take(struct queue *queue, size_t n)
{
    struct clew__inbox_entry *entries = queue->first, **end = &entries;

    while (n-- && *end)
        end = &(*end)->next;
    queue->first = *end;
    if (!queue->first)
        queue->last = &queue->first;
    *end = NULL;
    return entries;
}

static void note_error(struct clew__inbox_entry *entry, int result, const char *error)
{
    entry->result = result;
    if (result < 0)
        (void)snprintf(entry->error, sizeof(entry->error), "%s", error);
}

static void finish(struct clew__inbox_entry *entries)
{
    for (struct clew__inbox_entry *next; entries; entries = next) {
        next = entries->next; /* done() may end its life */
        entries->done(entries);
    }
}

void clew__inbox_put(struct clew__inbox *inbox, struct clew__inbox_entry *entry)
{
    bool refused, alone;

    (void)pthread_mutex_lock(&inbox->lock);
    entry->next = NULL;
    refused = inbox->stop || inbox->failure;
    if (inbox->stop)
        note_error(entry, -ECANCELED, "the bridge stops");
    else if (inbox->failure)
        note_error(entry, inbox->failure, inbox->error);
    alone =
        !inbox->applying && !inbox->writing && !inbox->at_once.first && !inbox->journalled.first &&
        inbox->applied == inbox->appended &&
        (entry->received_at - inbox->last_put > CALM_NS || entry->received_at < inbox->last_put);
    inbox->last_put = entry->received_at;
    if (!refused && (!inbox->journal || (alone && entry->len <= AT_ONCE_BYTES))) {
        add(&inbox->at_once, entry);
        (void)pthread_cond_signal(&inbox->to_apply);
    } else if (!refused) {
        add(&inbox->journalled, entry);
        (void)pthread_cond_signal(&inbox->to_write);
    }
    (void)pthread_mutex_unlock(&inbox->lock);
    if (refused)
        entry->done(entry);
}

/* ---- the writer ------------------------------------------------------------------------ */

static void write_entries(struct clew__inbox *inbox, struct clew__inbox_entry *entries)
{
    uint64_t last = 0;
    int r = 0;

    for (struct clew__inbox_entry *entry = entries; entry; entry = entry->next) {
        struct clew__journal_record record = {.received_at = entry->received_at,
                                              .request_id = entry->thread.request_id,
                                              .correlation_id = entry->thread.correlation_id,
                                              .traceparent = entry->thread.traceparent,
                                              .labels = entry->labels,
                                              .body = entry->body,
                                              .len = entry->len};

        note_error(entry, clew__journal_append(inbox->journal, &record), clew_last_error());
    }
    r = clew__journal_sync(inbox->journal, &last);
    for (struct clew__inbox_entry *entry = entries; entry && r < 0; entry = entry->next)
        if (entry->result == 0)
            note_error(entry, r, clew_last_error());
    (void)pthread_mutex_lock(&inbox->lock);
    if (r == 0)
        inbox->appended = last;
    (void)pthread_mutex_unlock(&inbox->lock);
}

static void *write_loop(void *arg)
{
    struct clew__inbox *inbox = arg;

    (void)pthread_mutex_lock(&inbox->lock);
    for (;;) {
        struct clew__inbox_entry *entries;

        while (!inbox->journalled.first && !inbox->stop)
            (void)pthread_cond_wait(&inbox->to_write, &inbox->lock);
        if (!inbox->journalled.first)
            break;
        entries = take(&inbox->journalled, SIZE_MAX);
        inbox->writing = true;
        (void)pthread_mutex_unlock(&inbox->lock);
        write_entries(inbox, entries);
        (void)pthread_mutex_lock(&inbox->lock);
        inbox->writing = false;
        (void)pthread_cond_signal(&inbox->to_apply);
        (void)pthread_mutex_unlock(&inbox->lock);
        finish(entries);
        (void)pthread_mutex_lock(&inbox->lock);
    }
    (void)pthread_mutex_unlock(&inbox->lock);
    return NULL;
}

/* ---- the applier ------------------------------------------------------------------------ */

static int commit(struct clew__inbox *inbox, struct clew__intake_batch *batch, uint64_t sequence)
{
    uint64_t ndeliveries = 0;
    int r = clew__intake_batch_commit(batch, inbox->store, sequence, &ndeliveries);

    if (ndeliveries)
        clew__inbox_wake(inbox);
    return r;
}

/* At once. */
static int apply_entries(struct clew__inbox *inbox, const struct clew__config *config,
                         struct clew__inbox_entry *entries, size_t n)
{
    struct clew__intake_batch *batch = clew__intake_batch_new(config);
    struct clew__inbox_entry *entry = entries;
    int r = batch ? 0 : -ENOMEM;

    for (size_t i = 0; i < n && r == 0; i++, entry = entry->next)
        r = clew__intake_batch_add(batch, entry->body, entry->len, entry->labels, &entry->thread,
                                   entry->received_at);
    if (r == 0)
        r = commit(inbox, batch, 0);
    entry = entries;
    for (size_t i = 0; i < n && (r == 0 || n == 1); i++, entry = entry->next)
        note_error(entry, r, clew_last_error());
    clew__intake_batch_free(batch);
    return r;
}

/* Each by itself when all of them together fail, so that none suffers from another. */
static void apply_at_once(struct clew__inbox *inbox, const struct clew__config *config,
                          struct clew__inbox_entry *entries)
{
    size_t n = 0;

    for (struct clew__inbox_entry *entry = entries; entry; entry = entry->next)
        n++;
    if (apply_entries(inbox, config, entries, n) == 0 || n == 1)
        return;
    for (struct clew__inbox_entry *entry = entries; entry; entry = entry->next)
        (void)apply_entries(inbox, config, entry, 1);
}

/* Those after `before` up to `last` can't be read; before the first one of a new store
 * there is nothing. */
static void note_lost(uint64_t before, uint64_t last)
{
    if (before == last || before == 0)
        return;
    clew_error("the journal is damaged: acknowledged webhooks are lost",
               clew_kv("n", last - before));
    clew__metrics_journal_lost(last - before);
}

static int add_record(struct clew__intake_batch *batch, const struct clew__journal_record *record)
{
    struct clew__thread_of thread;

    (void)snprintf(thread.request_id, sizeof(thread.request_id), "%s", record->request_id);
    (void)snprintf(thread.correlation_id, sizeof(thread.correlation_id), "%s",
                   record->correlation_id);
    (void)snprintf(thread.traceparent, sizeof(thread.traceparent), "%s", record->traceparent);
    return clew__intake_batch_add(batch, record->body, record->len, record->labels, &thread,
                                  record->received_at);
}

/* The next webhooks of the journal, as many as one transaction takes; room holds what the
 * batch borrows. returns 0 and *ret_sequence of the last one, -errno */
static int read_batch(struct clew__inbox *inbox, uint64_t upto, struct clew__buf *room,
                      struct clew__intake_batch *batch, uint64_t *ret_sequence)
{
    struct clew__journal_record record;
    uint64_t sequence = inbox->applied;
    int r = 0;

    while (r == 0 && sequence < upto && !clew__intake_batch_is_full(batch)) {
        uint64_t before = sequence;

        r = clew__journal_read(inbox->journal, room, &record);
        if (r < 0)
            break;
        sequence = r ? record.sequence : upto;
        note_lost(before, r ? record.sequence - 1 : upto);
        if (r == 0)
            break;
        r = add_record(batch, &record);
        if (r == -EINVAL) {
            note_lost(sequence - 1, sequence);
            r = 0;
        }
    }
    *ret_sequence = sequence;
    return r;
}

/* returns 0 and *ret_sequence, up to which everything is applied; -errno */
static int apply_waiting(struct clew__inbox *inbox, const struct clew__config *config,
                         uint64_t upto, uint64_t *ret_sequence)
{
    struct clew__intake_batch *batch = clew__intake_batch_new(config);
    struct clew__buf room;
    int r;

    if (!batch)
        return -ENOMEM;
    clew__buf_init(&room, SIZE_MAX / 2);
    r = read_batch(inbox, upto, &room, batch, ret_sequence);
    if (r == 0)
        r = commit(inbox, batch, *ret_sequence);
    if (r == 0)
        clew__journal_mark(inbox->journal);
    else
        clew__journal_again(inbox->journal);
    clew__intake_batch_free(batch);
    clew__buf_done(&room);
    return r;
}

/* What came of it; the lock is held. */
static void locked_conclude(struct clew__inbox *inbox, int result, uint64_t sequence)
{
    struct timespec time;

    if (result == 0) {
        inbox->failure = 0;
        inbox->applied = sequence;
        if (sequence == inbox->appended && !inbox->writing)
            clew__journal_rewind(inbox->journal);
        (void)pthread_cond_broadcast(&inbox->applied_more);
        return;
    }
    if (!inbox->failure)
        clew_error("the store does not take what was acknowledged",
                   clew_kv("error", clew_last_error()));
    inbox->failure = result;
    (void)snprintf(inbox->error, sizeof(inbox->error), "%s", clew_last_error());
    (void)clock_gettime(CLOCK_REALTIME, &time);
    time.tv_sec++;
    if (!inbox->stop)
        (void)pthread_cond_timedwait(&inbox->to_apply, &inbox->lock, &time);
}

/* Lets some more come, unless there are many: a transaction costs the same whatever
 * their number. The lock is held. */
static void locked_gather(struct clew__inbox *inbox)
{
    int64_t until = clew__instant_now() + GATHER_NS;
    struct timespec time = {until / CLEW__SECOND_NS, until % CLEW__SECOND_NS};
    int r = 0;

    while (r == 0 && !inbox->stop && inbox->appended - inbox->applied < CLEW__INTAKE_BATCH_MAX)
        r = pthread_cond_timedwait(&inbox->to_apply, &inbox->lock, &time);
}

static void *apply_loop(void *arg)
{
    struct clew__inbox *inbox = arg;

    (void)pthread_mutex_lock(&inbox->lock);
    for (;;) {
        struct clew__inbox_entry *entries;
        struct clew__config *config;
        uint64_t upto = inbox->appended, sequence = 0;
        int r = 0;

        entries = take(&inbox->at_once, CLEW__INTAKE_BATCH_MAX);
        if (!entries && inbox->stop)
            break;
        if (!entries && inbox->applied == upto) {
            (void)pthread_cond_wait(&inbox->to_apply, &inbox->lock);
            continue;
        }
        inbox->applying = true;
        config = clew__config_ref(inbox->config);
        (void)pthread_mutex_unlock(&inbox->lock);
        if (entries)
            apply_at_once(inbox, config, entries);
        else
            r = apply_waiting(inbox, config, upto, &sequence);
        (void)clew__config_free(config);
        (void)pthread_mutex_lock(&inbox->lock);
        inbox->applying = false;
        if (entries) {
            (void)pthread_mutex_unlock(&inbox->lock);
            finish(entries);
            (void)pthread_mutex_lock(&inbox->lock);
        } else {
            locked_conclude(inbox, r, sequence);
            if (inbox->applied < inbox->appended)
                locked_gather(inbox);
        }
    }
    (void)pthread_mutex_unlock(&inbox->lock);
    return NULL;
}

/* ---- life -------------------------------------------------------------------------------------
 */

static int open_journal(struct clew__inbox *inbox, const char *file)
{
    struct clew__journal_found found;
    int64_t position = 0;
    int r = clew__store_read(inbox->store, clew__store_position, &position);

    if (r == 0)
        r = clew__journal_open(file, (uint64_t)position, &inbox->journal, &found);
    if (r < 0)
        return r;
    inbox->applied = (uint64_t)position;
    inbox->appended = found.newest;
    if (found.waiting)
        clew_info("webhooks of the last run wait in the journal", clew_kv("n", found.waiting));
    if (found.torn)
        clew_warn("the journal ends within a webhook, which was not acknowledged before the end "
                  "of the last run",
                  clew_kv("file", file));
    return 0;
}

static int start_threads(struct clew__inbox *inbox)
{
    int r = pthread_create(&inbox->applier, NULL, apply_loop, inbox);

    inbox->nthreads += r == 0;
    if (r == 0 && inbox->journal) {
        r = pthread_create(&inbox->writer, NULL, write_loop, inbox);
        inbox->nthreads += r == 0;
    }
    return r ? clew_set_error(-r, "cannot start a thread: %s", strerror(r)) : 0;
}

int clew__inbox_open(const char *file, struct clew__store *store, struct clew__config *config,
                     struct clew__senders *senders, struct clew__inbox **ret_inbox)
{
    struct clew__inbox *inbox = calloc(1, sizeof(*inbox));
    int r = 0;

    if (!inbox)
        return clew_set_error(-ENOMEM, "out of memory");
    inbox->store = store;
    inbox->config = clew__config_ref(config);
    inbox->senders = senders;
    inbox->at_once.last = &inbox->at_once.first;
    inbox->journalled.last = &inbox->journalled.first;
    (void)pthread_mutex_init(&inbox->lock, NULL);
    (void)pthread_cond_init(&inbox->to_write, NULL);
    (void)pthread_cond_init(&inbox->to_apply, NULL);
    (void)pthread_cond_init(&inbox->applied_more, NULL);
    if (file)
        r = open_journal(inbox, file);
    if (r == 0)
        r = start_threads(inbox);
    if (r < 0)
        (void)clew__inbox_close(inbox);
    else
        *ret_inbox = inbox;
    return r;
}

void clew__inbox_use(struct clew__inbox *inbox, struct clew__config *config,
                     struct clew__senders *senders)
{
    struct clew__config *former;

    (void)pthread_mutex_lock(&inbox->lock);
    former = inbox->config;
    inbox->config = clew__config_ref(config);
    inbox->senders = senders;
    (void)pthread_mutex_unlock(&inbox->lock);
    (void)clew__config_free(former);
}

void clew__inbox_wake(struct clew__inbox *inbox)
{
    (void)pthread_mutex_lock(&inbox->lock);
    if (inbox->senders)
        clew__senders_wake(inbox->senders);
    (void)pthread_mutex_unlock(&inbox->lock);
}

void clew__inbox_settle(struct clew__inbox *inbox)
{
    int64_t deadline = clew__instant_now() + SETTLE_NS;
    struct timespec time = {deadline / CLEW__SECOND_NS, deadline % CLEW__SECOND_NS};
    uint64_t upto;
    int r = 0;

    (void)pthread_mutex_lock(&inbox->lock);
    upto = inbox->appended;
    while (inbox->applied < upto && !inbox->failure && !inbox->stop && r == 0)
        r = pthread_cond_timedwait(&inbox->applied_more, &inbox->lock, &time);
    (void)pthread_mutex_unlock(&inbox->lock);
}

void clew__inbox_stop(struct clew__inbox *inbox)
{
    if (!inbox)
        return;
    (void)pthread_mutex_lock(&inbox->lock);
    inbox->stop = true;
    (void)pthread_cond_broadcast(&inbox->to_write);
    (void)pthread_cond_broadcast(&inbox->to_apply);
    (void)pthread_cond_broadcast(&inbox->applied_more);
    (void)pthread_mutex_unlock(&inbox->lock);
    if (inbox->nthreads > 1)
        (void)pthread_join(inbox->writer, NULL);
    if (inbox->nthreads > 0)
        (void)pthread_join(inbox->applier, NULL);
    inbox->nthreads = 0;
    if (inbox->applied < inbox->appended)
        clew_info("webhooks wait in the journal for the next start",
                  clew_kv("n", inbox->appended - inbox->applied));
}

struct clew__inbox *clew__inbox_close(struct clew__inbox *inbox)
{
    if (!inbox)
        return NULL;
    clew__inbox_stop(inbox);
    (void)clew__journal_close(inbox->journal);
    (void)clew__config_free(inbox->config);
    (void)pthread_cond_destroy(&inbox->applied_more);
    (void)pthread_cond_destroy(&inbox->to_apply);
    (void)pthread_cond_destroy(&inbox->to_write);
    (void)pthread_mutex_destroy(&inbox->lock);
    free(inbox);
    return NULL;
}
