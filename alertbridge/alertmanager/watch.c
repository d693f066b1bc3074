/* SPDX-License-Identifier: Apache-2.0
 * Rounds: each Alertmanager is asked for its beginning (/status) and its alerts, and
 * what they have is united. An alert that fires in the store and is in none of them
 * is over, after two rounds in a row, and only if every one of them would have it:
 *
 *  - all have answered: of a cluster one may be cut off, and of two tenants' each has
 *    its own alerts;
 *  - each has either listed this alert since it began, or runs for so long that
 *    Prometheus has sent it all that fires: after a restart it is empty;
 *  - the alert was there before the round began.
 *
 * Who has listed what is kept in memory: after a restart of the bridge two further
 * rounds are needed, nothing else. An occurrence whose successor fires is over when
 * only the successor is listed; with another beginning than in the store, as two
 * Prometheus report it, an alert is the same as long as nothing better is known.
 *
 * Threads: the watch's own asks and writes `next`; `lock` guards what others see. */
#include "watch.h"

#include "alertmanager.h"
#include "listing.h"

#include <common/instant.h>
#include <common/metrics.h>
#include <delivery/connection.h>
#include <store/vanish.h>

#include <clew/log.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WARM_NS (900 * CLEW__SECOND_NS) /* several evaluations of the slowest usual rules */
#define TIMEOUT_MS 30000L
#define ROUNDS 2

/* An alert of the store that fires. */
struct known {
    int64_t id;
    uint16_t by;      /* who has listed it since their beginning */
    uint16_t missing; /* in how many rounds in a row */
};

/* What a round has brought. */
struct heard {
    int64_t asked_at; /* 0: nothing yet */
    bool complete;    /* all have answered */
    uint16_t young;   /* those that may not have everything yet */
    struct clew__listing listing;
    struct known *known; /* by id */
    size_t nknown, room;
};

struct clew__watch {
    struct clew__store *store;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool stop;
    atomic_bool abort;
    int64_t wanted; /* a round that begins now or later is asked for */
    struct clew__config *config;
    struct clew__senders *senders;
    struct heard heard;
    /* The thread's own. */
    int64_t began[CLEW__ALERTMANAGERS_MAX]; /* 0: not known */
};

static void heard_done(struct heard *heard)
{
    clew__listing_done(&heard->listing);
    free(heard->known);
    *heard = (struct heard){.asked_at = 0};
}

/* ---- asking ---------------------------------------------------------------- */

static bool take_alerts(void *arg, const char *data, size_t len)
{
    return clew__listing_feed(arg, data, len) == 0;
}

static int ask(struct clew__connection *connection, const struct clew__integration *alertmanager,
               const char *path, struct clew__listing *listing, struct clew__answer *answer)
{
    char url[1200];

    (void)snprintf(url, sizeof(url), "%s%s", alertmanager->url, path);
    clew__http_send(connection, alertmanager,
                    &(struct clew__http_request){.url = url,
                                                 .timeout_ms = TIMEOUT_MS,
                                                 .take = listing ? take_alerts : NULL,
                                                 .take_arg = listing},
                    answer);
    if (answer->status == 200)
        return 0;
    return answer->status
               ? clew_set_error(-EPROTO, "Alertmanager %u: HTTP %u", alertmanager->index,
                                answer->status)
               : clew_set_error(-EIO, "Alertmanager %u: %s", alertmanager->index, answer->problem);
}

/* "uptime" is when it began. */
static int read_beginning(const struct clew__answer *answer, int64_t *ret_began)
{
    json_t *status = json_loads(answer->body, JSON_REJECT_DUPLICATES, NULL);
    const char *text = json_string_value(json_object_get(status, "uptime"));
    bool good = text && clew__instant_parse(text, ret_began) && *ret_began > 0;

    json_decref(status);
    return good ? 0 : clew_set_error(-EPROTO, "Alertmanager's status has no uptime");
}

/* What one of them says. An alert that it had before it began anew is not known to it. */
static int ask_one(struct clew__watch *watch, const struct clew__integration *alertmanager,
                   struct heard *next)
{
    struct clew__connection *connection = clew__connection_new(&watch->abort);
    uint16_t by = (uint16_t)(1u << alertmanager->index);
    size_t before = next->listing.n;
    struct clew__answer answer;
    int64_t began = 0;
    int r;

    if (!connection)
        return clew_set_error(-ENOMEM, "out of memory");
    r = ask(connection, alertmanager, "/api/v2/status", NULL, &answer);
    if (r == 0)
        r = read_beginning(&answer, &began);
    clew__listing_begin(&next->listing, by);
    if (r == 0)
        r = ask(connection, alertmanager, "/api/v2/alerts", &next->listing, &answer);
    if (r == 0)
        r = clew__listing_end(&next->listing);
    (void)clew__connection_free(connection);
    if (r < 0) {
        next->listing.n = before; /* half a list says nothing */
        return r;
    }
    if (next->asked_at - began < WARM_NS)
        next->young |= by;
    if (watch->began[alertmanager->index] != began)
        for (size_t i = 0; i < watch->heard.nknown; i++)
            watch->heard.known[i].by &= (uint16_t)~by;
    watch->began[alertmanager->index] = began;
    return 0;
}

static int ask_all(struct clew__watch *watch, const struct clew__config *config, struct heard *next)
{
    next->complete = true;
    for (size_t i = 0; i < config->nalertmanagers; i++) {
        int r = ask_one(watch, &config->alertmanagers[i], next);

        if (r == -ENOMEM)
            return r;
        clew__metrics_reconcile(r == 0 ? "answered" : "failed", 1);
        if (r < 0 && !atomic_load(&watch->abort))
            clew_warn("an Alertmanager cannot be asked", clew_kv("error", clew_last_error()));
        next->complete = next->complete && r == 0;
    }
    clew__listing_unite(&next->listing);
    return 0;
}

/* ---- comparing -------------------------------------------------------------- */

static struct known *find_known(const struct heard *heard, int64_t id)
{
    size_t low = 0, high = heard->nknown;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (heard->known[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < heard->nknown && heard->known[low].id == id ? &heard->known[low] : NULL;
}

static int add_known(struct heard *heard, const struct known *known)
{
    if (heard->nknown == heard->room) {
        size_t room = heard->room ? heard->room * 2 : 256;
        struct known *longer = realloc(heard->known, room * sizeof(*longer));

        if (!longer)
            return clew_set_error(-ENOMEM, "out of memory");
        heard->known = longer;
        heard->room = room;
    }
    heard->known[heard->nknown++] = *known;
    return 0;
}

/* Whether all would have an alert that these have listed. */
static bool all_would_have(const struct heard *heard, uint16_t by)
{
    return heard->complete && (heard->young & ~by) == 0;
}

static int compare(struct clew__watch *watch, struct heard *next,
                   const struct clew__firing_alert *alert)
{
    const struct known *before = find_known(&watch->heard, alert->id);
    struct known known = {.id = alert->id, .by = before ? before->by : 0};
    int64_t starts_ms = alert->starts_at / (CLEW__SECOND_NS / 1000);
    struct clew__superseded superseded = {.alert = alert};
    const struct clew__listed *listed;
    uint64_t fingerprint;
    bool active;
    int r = 0;

    if (!clew__fingerprint_number(alert->fingerprint, &fingerprint))
        return 0; /* of no Alertmanager */
    listed = clew__listing_find(&next->listing, fingerprint, starts_ms, &active);
    if (listed && listed->starts_ms != starts_ms)
        r = clew__store_read(watch->store, clew__store_superseded, &superseded);
    if (listed)
        known.by |= listed->by;
    if ((!listed || superseded.is) && alert->last_seen < next->asked_at &&
        all_would_have(next, known.by))
        known.missing = (uint16_t)((before ? before->missing : 0) + 1);
    return r < 0 ? r : add_known(next, &known);
}

static int compare_all(struct clew__watch *watch, struct heard *next)
{
    struct clew__firing_alerts *batch = calloc(1, sizeof(*batch));
    int r = batch ? 0 : clew_set_error(-ENOMEM, "out of memory");

    do {
        if (r == 0)
            r = clew__store_read(watch->store, clew__store_firing_alerts, batch);
        for (size_t i = 0; r == 0 && i < batch->n; i++)
            r = compare(watch, next, &batch->items[i]);
    } while (r == 0 && batch->n == CLEW__FIRING_BATCH);
    free(batch);
    return r;
}

/* Ends what has been missing for long enough. */
static int end_vanished(struct clew__watch *watch, struct clew__config *config,
                        const struct heard *next)
{
    struct clew__vanished *work = calloc(1, sizeof(*work));
    int r = work ? 0 : clew_set_error(-ENOMEM, "out of memory");

    for (size_t i = 0; i < next->nknown && r == 0;) {
        work->config = config;
        work->now = clew__instant_now();
        for (work->n = 0; i < next->nknown && work->n < CLEW__VANISHED_MAX; i++)
            if (next->known[i].missing >= ROUNDS)
                work->ids[work->n++] = next->known[i].id;
        if (work->n == 0)
            break;
        r = clew__store_write(watch->store, clew__store_vanished, work);
        if (r == 0 && work->nended) {
            clew_info("alerts that Alertmanager no longer has were closed",
                      clew_kv("n", work->nended));
            clew__metrics_reconcile("closed", work->nended);
        }
        (void)pthread_mutex_lock(&watch->lock);
        if (r == 0 && work->ndeliveries && watch->senders)
            clew__senders_wake(watch->senders);
        (void)pthread_mutex_unlock(&watch->lock);
    }
    free(work);
    return r;
}

/* ---- the thread --------------------------------------------------------------- */

static void publish(struct clew__watch *watch, const struct clew__config *config,
                    struct heard *next)
{
    struct heard old = *next;

    (void)pthread_mutex_lock(&watch->lock);
    if (watch->config == config) {
        old = watch->heard;
        watch->heard = *next;
    }
    (void)pthread_cond_broadcast(&watch->changed);
    (void)pthread_mutex_unlock(&watch->lock);
    heard_done(&old);
}

static void run_round(struct clew__watch *watch, struct clew__config *config)
{
    struct heard next = {.asked_at = clew__instant_now()};
    int r = ask_all(watch, config, &next);

    if (r == 0)
        r = compare_all(watch, &next);
    if (r == 0)
        r = end_vanished(watch, config, &next);
    if (r < 0 && !atomic_load(&watch->abort))
        clew_error("alerts cannot be compared with Alertmanager's",
                   clew_kv("error", clew_last_error()));
    /* Who waits for an answer gets one, if only that nothing is known. */
    next.complete = next.complete && r == 0;
    publish(watch, config, &next);
}

/* Of other Alertmanagers, or nothing at all. */
static void forget(struct clew__watch *watch)
{
    heard_done(&watch->heard);
    memset(watch->began, 0, sizeof(watch->began));
}

/* Waits for the next round; NULL: the end. The caller owns a reference. */
static struct clew__config *wait_turn(struct clew__watch *watch)
{
    struct clew__config *config = NULL;

    (void)pthread_mutex_lock(&watch->lock);
    while (!watch->stop) {
        int64_t now = clew__instant_now(), latest = now + 60 * CLEW__SECOND_NS;
        int64_t asked = watch->heard.asked_at;
        int64_t due = asked ? asked + watch->config->reconcile_ns : 0;
        bool any = watch->config->nalertmanagers > 0;
        struct timespec time;

        if (!asked)
            forget(watch);
        /* A clock that was set back would let it sleep. */
        if (any && (due <= now || asked > now || watch->wanted > asked))
            break;
        if (!any || due > latest)
            due = latest;
        time = (struct timespec){due / CLEW__SECOND_NS, due % CLEW__SECOND_NS};
        (void)pthread_cond_timedwait(&watch->changed, &watch->lock, &time);
    }
    if (!watch->stop)
        config = clew__config_ref(watch->config);
    (void)pthread_mutex_unlock(&watch->lock);
    return config;
}

static void *run(void *arg)
{
    struct clew__watch *watch = arg;
    struct clew__config *config;

    while ((config = wait_turn(watch)) != NULL) {
        run_round(watch, config);
        (void)clew__config_free(config);
    }
    return NULL;
}

int clew__watch_start(struct clew__config *config, struct clew__store *store,
                      struct clew__senders *senders, struct clew__watch **ret_watch)
{
    struct clew__watch *watch = calloc(1, sizeof(*watch));
    int r;

    if (!watch)
        return clew_set_error(-ENOMEM, "out of memory");
    watch->store = store;
    watch->config = clew__config_ref(config);
    watch->senders = senders;
    (void)pthread_mutex_init(&watch->lock, NULL);
    (void)pthread_cond_init(&watch->changed, NULL);
    r = pthread_create(&watch->thread, NULL, run, watch);
    if (r) {
        (void)clew__config_free(watch->config);
        free(watch);
        return clew_set_error(-r, "cannot start a thread: %s", strerror(r));
    }
    *ret_watch = watch;
    return 0;
}

void clew__watch_use(struct clew__watch *watch, struct clew__config *config,
                     struct clew__senders *senders)
{
    struct clew__config *old = NULL;

    (void)pthread_mutex_lock(&watch->lock);
    watch->senders = senders;
    if (watch->config != config) {
        old = watch->config;
        watch->config = clew__config_ref(config);
        watch->heard.asked_at = 0; /* the thread drops the rest */
    }
    (void)pthread_cond_broadcast(&watch->changed);
    (void)pthread_mutex_unlock(&watch->lock);
    (void)clew__config_free(old);
}

struct clew__watch *clew__watch_stop(struct clew__watch *watch)
{
    if (!watch)
        return NULL;
    atomic_store(&watch->abort, true);
    (void)pthread_mutex_lock(&watch->lock);
    watch->stop = true;
    (void)pthread_cond_broadcast(&watch->changed);
    (void)pthread_mutex_unlock(&watch->lock);
    (void)pthread_join(watch->thread, NULL);
    heard_done(&watch->heard);
    (void)clew__config_free(watch->config);
    (void)pthread_cond_destroy(&watch->changed);
    (void)pthread_mutex_destroy(&watch->lock);
    free(watch);
    return NULL;
}

/* ---- for others ------------------------------------------------------------------ */

void clew__watch_ask(struct clew__watch *watch, int64_t since)
{
    if (!watch)
        return;
    (void)pthread_mutex_lock(&watch->lock);
    if (watch->heard.asked_at < since && watch->wanted < since) {
        watch->wanted = clew__instant_now();
        (void)pthread_cond_broadcast(&watch->changed);
    }
    (void)pthread_mutex_unlock(&watch->lock);
}

void clew__watch_wait(struct clew__watch *watch, int64_t since, int64_t until)
{
    struct timespec time = {until / CLEW__SECOND_NS, until % CLEW__SECOND_NS};
    int r = 0;

    if (!watch)
        return;
    (void)pthread_mutex_lock(&watch->lock);
    while (watch->config->nalertmanagers && !watch->stop && watch->heard.asked_at < since && r == 0)
        r = pthread_cond_timedwait(&watch->changed, &watch->lock, &time);
    (void)pthread_mutex_unlock(&watch->lock);
}

enum clew__seen clew__watch_state(struct clew__watch *watch, int64_t since, int64_t alert_id,
                                  const char *fingerprint)
{
    enum clew__seen seen = CLEW__SEEN_UNKNOWN;
    const struct known *known;
    uint64_t number;
    bool active;

    if (!watch || !clew__fingerprint_number(fingerprint, &number))
        return seen;
    (void)pthread_mutex_lock(&watch->lock);
    if (watch->config->nalertmanagers && watch->heard.asked_at >= since) {
        known = find_known(&watch->heard, alert_id);
        if (clew__listing_find(&watch->heard.listing, number, 0, &active))
            seen = active ? CLEW__SEEN_ACTIVE : CLEW__SEEN_SUPPRESSED;
        else if (known && all_would_have(&watch->heard, known->by))
            seen = CLEW__SEEN_GONE;
    }
    (void)pthread_mutex_unlock(&watch->lock);
    return seen;
}
