/* SPDX-License-Identifier: Apache-2.0
 * The sending threads. Each has one target, a connection to it, and does one
 * thing at a time: next delivery, page, request, verdict, record. Nothing is
 * kept in memory but the target's own pause after a 429 or a failure, which
 * protects a far side from being asked by every waiting delivery in turn.
 *
 * An answer is recorded before anything else is sent to the target; if the store
 * cannot record it, the thread waits for the store: sending the same page again
 * would be worse. Between the far side's yes and that record a crash makes a
 * repeat: PagerDuty's dedup key swallows it, Slack shows the message twice. */
#include "delivery.h"

#include "backoff.h"
#include "minute.h"
#include "sending.h"

#include <common/instant.h>
#include <common/metrics.h>
#include <common/scope.h>
#include <store/lease.h>

#include <clew/log.h>
#include <clew/trace.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define AGE_MAX_NS (72 * 3600 * CLEW__SECOND_NS)
#define OUTAGE_FAILURES 3u                      /* in a row, of the target */
#define CRITICAL_WAIT_NS (30 * CLEW__SECOND_NS) /* at most, unless it is asked for */
#define REST_NS (60 * CLEW__SECOND_NS)          /* without a page */
#define RECHECK_NS (60 * CLEW__SECOND_NS)       /* so long a step of the clock may go unseen */

struct sender {
    struct clew__senders *all;
    const char *target;
    pthread_t thread;
    bool started;
    struct clew__connection *connection;
    struct clew__lease *lease;
    struct clew__minute minute;
    atomic_llong looked_at; /* at its queue */
    unsigned failures;      /* in a row, of the target */
    int64_t paused_until;   /* of the target */
    int64_t sent_at;        /* the last page; 0: none since the connection rests */
    struct clew__pace pace;
    uint64_t generation; /* of all->generation, seen before the queue was read */
};

struct clew__senders {
    const struct clew__config *config;
    struct clew__store *store;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t generation; /* counts wakes */
    bool stop;
    atomic_bool abort;
    unsigned running;
    struct sender *senders;
    size_t n;
};

static struct timespec timespec_of(int64_t instant)
{
    return (struct timespec){instant / CLEW__SECOND_NS, instant % CLEW__SECOND_NS};
}

/* Waits until `until` (0: for ever), a wake or the stop; false: stop. */
static bool wait_until(struct sender *sender, int64_t until, bool any_wake)
{
    struct clew__senders *all = sender->all;
    int64_t latest = clew__instant_now() + RECHECK_NS;
    struct timespec time = timespec_of(until && until < latest ? until : latest);
    bool go_on;
    int r = 0;

    (void)pthread_mutex_lock(&all->lock);
    while (!all->stop && r == 0 && !(any_wake && all->generation != sender->generation))
        r = pthread_cond_timedwait(&all->changed, &all->lock, &time);
    sender->generation = all->generation;
    go_on = !all->stop;
    (void)pthread_mutex_unlock(&all->lock);
    return go_on;
}

static void log_attempt(const struct clew__delivery *delivery, const char *kind,
                        const struct clew__verdict *verdict, unsigned status, int64_t wait)
{
    const char *action = clew__action_text(delivery->action);
    unsigned attempt = delivery->attempts + 1;

    switch (verdict->kind) {
    case CLEW__DONE:
        clew_info("page delivered", clew_kv("delivery", delivery->id),
                  clew_kv("receiver", delivery->receiver), clew_kv("integration", kind),
                  clew_kv("action", action), clew_kv("attempt", attempt),
                  clew_kv("status", status));
        break;
    case CLEW__RETRY:
        clew_warn("page not delivered yet", clew_kv("delivery", delivery->id),
                  clew_kv("receiver", delivery->receiver), clew_kv("integration", kind),
                  clew_kv("action", action), clew_kv("attempt", attempt), clew_kv("status", status),
                  clew_kv("reason", verdict->reason), clew_kv("retry_seconds", (double)wait / 1e9));
        break;
    default:
        clew_error("page given up", clew_kv("delivery", delivery->id),
                   clew_kv("receiver", delivery->receiver), clew_kv("integration", kind),
                   clew_kv("action", action), clew_kv("attempt", attempt),
                   clew_kv("status", status), clew_kv("reason", verdict->reason));
    }
}

/* Until the store takes it, or the end; see the top. */
static void record(struct sender *sender, struct clew__attempt *attempt)
{
    while (clew__store_write(sender->all->store, clew__store_attempt, attempt) < 0) {
        clew_error("the store cannot record a delivery", clew_kv("delivery", attempt->delivery_id),
                   clew_kv("error", clew_last_error()));
        if (!wait_until(sender, clew__instant_now() + CLEW__SECOND_NS, false))
            return;
    }
}

/* Nothing was asked: no attempt, and nothing went wrong. */
static void postpone(struct sender *sender, const struct clew__delivery *delivery,
                     const struct clew__verdict *verdict)
{
    int64_t now = clew__instant_now();
    struct clew__attempt attempt = {.delivery_id = delivery->id,
                                    .epoch = sender->connection->epoch,
                                    .kind = CLEW__LATER,
                                    .next_attempt_at =
                                        now + (int64_t)(verdict->wait_seconds * 1e9) + 1};

    if (verdict->wait_all)
        sender->paused_until = attempt.next_attempt_at;
    else
        record(sender, &attempt);
}

static void conclude(struct sender *sender, const struct clew__delivery *delivery,
                     const struct clew__integration *integration,
                     const struct clew__verdict *verdict, struct clew__sending *sending,
                     int64_t received_at)
{
    int64_t now = clew__instant_now(), wait = 0, pause = 0;
    uint64_t random = 0;
    struct clew__attempt attempt = {.delivery_id = delivery->id,
                                    .epoch = sender->connection->epoch,
                                    .now = now,
                                    .kind = verdict->kind,
                                    .reason = verdict->reason,
                                    .also = sending->record,
                                    .also_arg = sending->left};

    if (verdict->kind == CLEW__RETRY) {
        (void)getrandom(&random, sizeof(random), GRND_NONBLOCK);
        wait = clew__backoff_ns(delivery->attempts + 1, verdict->wait_seconds, random);
        if (delivery->rank == CLEW__RANK_CRITICAL && verdict->wait_seconds < 0 &&
            wait > CRITICAL_WAIT_NS)
            wait = CRITICAL_WAIT_NS;
        attempt.next_attempt_at = now + wait;
        sender->failures++;
        /* The whole target: as long as it asked for, else a moment. */
        pause = verdict->wait_all ? wait : clew__backoff_ns(sender->failures, -1, random);
        if (!verdict->wait_all && pause > 10 * CLEW__SECOND_NS)
            pause = 10 * CLEW__SECOND_NS;
        sender->paused_until = now + pause;
    } else if (verdict->kind == CLEW__DONE) {
        attempt.target_is_back = sender->failures >= OUTAGE_FAILURES;
        sender->failures = 0;
    }
    log_attempt(delivery, integration->ops->kind, verdict, sending->status, wait);
    clew__metrics_delivery(
        delivery->receiver, integration->ops->kind, verdict->kind,
        delivery->action == CLEW__ACTION_TRIGGER ? (double)(now - received_at) / 1e9 : -1);
    record(sender, &attempt);
    if (sending->record) /* it may have queued something, for others too */
        clew__senders_wake(sender->all);
}

/* The far side is told of the end in any case: an earlier attempt may have arrived,
 * and the end of what was never opened is nothing. */
static void skip(struct sender *sender, const struct clew__delivery *delivery)
{
    struct clew__attempt attempt = {.delivery_id = delivery->id,
                                    .now = clew__instant_now(),
                                    .kind = CLEW__DONE,
                                    .reason = "skipped: ended before it could be sent"};

    clew_info("page skipped, what it is about has ended", clew_kv("delivery", delivery->id),
              clew_kv("receiver", delivery->receiver), clew_kv("attempts", delivery->attempts));
    record(sender, &attempt);
}

/* One POST, or one mail. */
static struct clew__verdict send_once(struct clew__sending *sending)
{
    const struct clew__integration *integration = sending->integration;
    struct clew__verdict verdict = {.kind = CLEW__PERMANENT, .reason = "not_renderable"};
    struct clew__answer answer = {.problem = "", .retry_after = "", .body = ""};
    struct clew__buf body;
    int r;

    clew__buf_init(&body, 4u << 20);
    r = integration->ops->render(integration, sending->config, sending->page, &body);
    if (r == 0) {
        if (integration->mail)
            clew__smtp_send(sending->connection, integration, &body, &answer);
        else
            clew__http_send(
                sending->connection, integration,
                &(struct clew__http_request){.body = &body, .once = !integration->ops->incidents},
                &answer);
        verdict = integration->ops->verdict(&answer);
    } else if (r == -ENOMEM) {
        verdict = (struct clew__verdict){CLEW__RETRY, "out_of_memory", -1, false};
    }
    clew__buf_done(&body);
    sending->status = answer.status;
    return verdict;
}

static void send_page(struct sender *sender, const struct clew__delivery *delivery,
                      const struct clew__integration *integration, const struct clew__load *load)
{
    struct clew__sending sending = {.config = sender->all->config,
                                    .integration = integration,
                                    .delivery = delivery,
                                    .page = &load->page,
                                    .store = sender->all->store,
                                    .connection = sender->connection,
                                    .pace = &sender->pace};
    struct clew__verdict verdict = {.kind = CLEW__PERMANENT, .reason = "expired"};

    if (integration->skip_ended && load->ended && delivery->action == CLEW__ACTION_TRIGGER) {
        skip(sender, delivery);
        return;
    }
    if (clew__instant_now() - delivery->created_at <= AGE_MAX_NS)
        verdict = integration->ops->send ? integration->ops->send(&sending) : send_once(&sending);
    if (verdict.kind == CLEW__LATER)
        postpone(sender, delivery, &verdict);
    /* Cut by the shutdown or another replica: no attempt, the other process makes it. */
    else if (verdict.kind != CLEW__RETRY || sending.status ||
             clew__connection_may_send(sender->connection))
        conclude(sender, delivery, integration, &verdict, &sending, load->received_at);
    free(sending.left);
}

static int deliver(struct sender *sender, const struct clew__delivery *delivery)
{
    const struct clew__integration *integration =
        clew__config_integration(sender->all->config, sender->target, delivery->receiver);
    struct clew__load load = {.delivery_id = delivery->id};
    int r = clew__store_read(sender->all->store, clew__store_load, &load);

    if (r == 0) {
        struct clew_scope scope = clew__scope_of(&load.thread), previous;

        previous = clew_scope_enter(scope);
        send_page(sender, delivery, integration, &load);
        clew_scope_leave(previous);
        clew_scope_release(scope);
    }
    clew__load_done(&load);
    return r;
}

/* There is nothing to do. Far sides close a connection after about this time too. */
static void rest(struct sender *sender, int64_t now)
{
    if (!sender->sent_at || now - sender->sent_at < REST_NS)
        return;
    clew__connection_rest(sender->connection);
    sender->sent_at = 0;
}

static void *send_loop(void *arg)
{
    struct sender *sender = arg;
    int64_t until = clew__instant_now();

    while (wait_until(sender, until, true)) {
        struct clew__next next = {.target = sender->target, .now = clew__instant_now()};
        int64_t now, due, paced;
        int r;

        atomic_store(&sender->looked_at, next.now);
        sender->connection->epoch = clew__lease_epoch(sender->lease);
        until = 0;
        if (sender->connection->epoch == 0)
            continue; /* another replica's work; a wake comes with the lease */
        r = clew__store_read(sender->all->store, clew__store_next, &next);

        now = clew__instant_now();
        if (r == 1) {
            due = next.delivery.next_attempt_at;
            paced = clew__minute_next(&sender->minute, next.delivery.rank == CLEW__RANK_CRITICAL);
            until = due > sender->paused_until ? due : sender->paused_until;
            until = paced > until ? paced : until;
            if (until <= now) {
                clew__minute_count(&sender->minute, now);
                sender->sent_at = now;
                r = deliver(sender, &next.delivery);
            }
        }
        if (r == 0 && until == 0)
            rest(sender, now);
        if (r < 0) {
            clew_error("the store cannot be read", clew_kv("error", clew_last_error()));
            until = now + CLEW__SECOND_NS;
        }
    }
    (void)pthread_mutex_lock(&sender->all->lock);
    sender->all->running--;
    (void)pthread_cond_broadcast(&sender->all->changed);
    (void)pthread_mutex_unlock(&sender->all->lock);
    return NULL;
}

/* One sender for each target, however many receivers share it. */
static int start_one(struct clew__senders *all, const struct clew__integration *integration)
{
    const char *target = integration->target;
    struct sender *sender;
    int r;

    for (size_t i = 0; i < all->n; i++)
        if (strcmp(all->senders[i].target, target) == 0)
            return 0;
    sender = &all->senders[all->n];
    *sender = (struct sender){.all = all, .target = target};
    sender->connection = clew__connection_new(&all->abort);
    if (!sender->connection)
        return clew_set_error(-ENOMEM, "out of memory");
    atomic_init(&sender->looked_at, clew__instant_now());
    sender->lease = clew__lease_want(all->store, target);
    sender->connection->lease = sender->lease;
    all->n++;
    r = clew__minute_init(&sender->minute, integration->per_minute);
    if (!sender->lease)
        return clew_set_error(-ENOMEM, "out of memory");
    if (r < 0)
        return r;
    (void)pthread_mutex_lock(&all->lock);
    r = pthread_create(&sender->thread, NULL, send_loop, sender);
    sender->started = r == 0;
    all->running += r == 0;
    (void)pthread_mutex_unlock(&all->lock);
    return r ? clew_set_error(-r, "cannot start a thread: %s", strerror(r)) : 0;
}

static int start_all(struct clew__senders *all)
{
    const struct clew__config *config = all->config;
    size_t room = CLEW__SERVICES;
    int r = 0;

    for (size_t i = 0; i < config->nreceivers; i++)
        room += config->receivers[i].n;
    all->senders = calloc(room + 1, sizeof(*all->senders));
    if (!all->senders)
        return clew_set_error(-ENOMEM, "out of memory");
    for (size_t i = 0; i < config->nreceivers; i++)
        for (size_t j = 0; j < config->receivers[i].n && r == 0; j++)
            if (!config->receivers[i].integrations[j].off)
                r = start_one(all, &config->receivers[i].integrations[j]);
    for (size_t i = 0; i < CLEW__SERVICES && r == 0; i++)
        if (!config->services[i].off)
            r = start_one(all, &config->services[i]);
    return r;
}

void clew__senders_wake(struct clew__senders *senders)
{
    (void)pthread_mutex_lock(&senders->lock);
    senders->generation++;
    (void)pthread_cond_broadcast(&senders->changed);
    (void)pthread_mutex_unlock(&senders->lock);
}

static void wake_senders(void *arg)
{
    clew__senders_wake(arg);
}

int clew__senders_start(const struct clew__config *config, struct clew__store *store,
                        struct clew__senders **ret_senders)
{
    struct clew__senders *all = calloc(1, sizeof(*all));
    int r;

    if (!all)
        return clew_set_error(-ENOMEM, "out of memory");
    all->config = config;
    all->store = store;
    (void)pthread_mutex_init(&all->lock, NULL);
    (void)pthread_cond_init(&all->changed, NULL);
    r = clew__store_watch(store, wake_senders, all);
    if (r == 0)
        r = start_all(all);
    if (r < 0)
        (void)clew__senders_stop(all, 0);
    else
        *ret_senders = all;
    return r;
}

bool clew__senders_alive(struct clew__senders *senders, int64_t within_ns)
{
    int64_t now = clew__instant_now();

    for (size_t i = 0; i < senders->n; i++)
        if (now - atomic_load(&senders->senders[i].looked_at) > within_ns)
            return false;
    return true;
}

struct clew__senders *clew__senders_stop(struct clew__senders *senders, int64_t deadline)
{
    struct timespec time = timespec_of(deadline);
    int r = 0;

    if (!senders)
        return NULL;
    clew__store_unwatch(senders->store, senders);
    (void)pthread_mutex_lock(&senders->lock);
    senders->stop = true;
    (void)pthread_cond_broadcast(&senders->changed);
    while (senders->running && r == 0)
        r = pthread_cond_timedwait(&senders->changed, &senders->lock, &time);
    (void)pthread_mutex_unlock(&senders->lock);
    atomic_store(&senders->abort, true);
    for (size_t i = 0; i < senders->n; i++) {
        if (senders->senders[i].started)
            (void)pthread_join(senders->senders[i].thread, NULL);
        (void)clew__connection_free(senders->senders[i].connection);
        (void)clew__lease_drop(senders->senders[i].lease);
        clew__minute_done(&senders->senders[i].minute);
    }
    (void)pthread_cond_destroy(&senders->changed);
    (void)pthread_mutex_destroy(&senders->lock);
    free(senders->senders);
    free(senders);
    return NULL;
}
