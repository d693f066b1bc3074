/* SPDX-License-Identifier: Apache-2.0
 * See batch.h. A webhook's JSON tree lives as long as its batch, and is the largest thing
 * that the bridge has in memory. */
#include "batch.h"

#include "notification.h"

#include <common/metrics.h>
#include <common/scope.h>

#include <clew/log.h>

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

#define LEAN_BYTES CLEW__BATCH_BYTES /* the trees of larger ones are dozens of megabytes */
#define LARGE_BYTES (1u << 20)
#define LOGGED_MAX 100u /* lines about the alerts of one webhook */

struct waiting {
    struct clew__notification notification;
    struct clew__thread_of thread;
};

struct clew__batch {
    const struct clew__config *config;
    struct waiting waiting[CLEW__BATCH_MAX];
    struct clew__apply applies[CLEW__BATCH_MAX];
    size_t n, bytes;
    uint64_t position;
};

struct clew__batch *clew__batch_new(const struct clew__config *config)
{
    struct clew__batch *batch = calloc(1, sizeof(*batch));

    if (batch)
        batch->config = config;
    else
        (void)clew_set_error(-ENOMEM, "out of memory");
    return batch;
}

static int parse(struct clew__notification *notification, const char *body, size_t len,
                 const char *pinned)
{
    json_t *labels;
    int r = len > LEAN_BYTES ? clew__notification_parse_lean(notification, body, len)
                             : clew__notification_parse(notification, body, len);

    if (r < 0 || !*pinned)
        return r;
    labels = json_loads(pinned, 0, NULL);
    r = labels ? clew__notification_pin(notification, labels)
               : clew_set_error(-ENOMEM, "out of memory");
    json_decref(labels);
    if (r < 0)
        clew__notification_done(notification);
    return r;
}

int clew__batch_add(struct clew__batch *batch, const char *body, size_t len, const char *labels,
                    const struct clew__thread_of *thread, int64_t received_at)
{
    struct waiting *one = &batch->waiting[batch->n];
    int r = parse(&one->notification, body, len, labels);

    if (r < 0)
        return r;
    one->thread = *thread;
    batch->applies[batch->n++] = (struct clew__apply){.config = batch->config,
                                                      .notification = &one->notification,
                                                      .thread = &one->thread,
                                                      .now = received_at};
    batch->bytes += len;
    return 0;
}

bool clew__batch_full(const struct clew__batch *batch)
{
    return batch->n == CLEW__BATCH_MAX || batch->bytes >= CLEW__BATCH_BYTES;
}

/* Logged and counted only now that it is stored. */
static void report(const struct clew__apply *apply)
{
    struct clew__notification *n = apply->notification;
    uint64_t nfired = 0, nresolved = 0, nrepeats = 0, nlogged = 0;

    for (size_t i = 0; i < n->nalerts; i++) {
        const struct clew__alert *alert = &n->alerts[i];

        if (alert->change == CLEW__CHANGE_NONE) {
            nrepeats++;
            continue;
        }
        nfired += alert->change == CLEW__CHANGE_FIRED || alert->change == CLEW__CHANGE_REFIRED;
        nresolved += alert->change == CLEW__CHANGE_RESOLVED;
        if (nlogged++ == LOGGED_MAX)
            clew_info("further changes are in the store's audit only");
        if (nlogged > LOGGED_MAX || clew__notification_open(n, i) < 0)
            continue;
        clew_info("alert changed", clew_kv("fingerprint", alert->fingerprint),
                  clew_kv("alertname", clew__page_value(alert->labels, "alertname")),
                  clew_kv("status", alert->firing ? "firing" : "resolved"),
                  clew_kv("decision", clew__change_text(alert->change)),
                  clew_kv("incidents", alert->npages));
        clew__notification_close(n, i);
    }
    clew__metrics_alerts("firing", nfired);
    clew__metrics_alerts("resolved", nresolved);
    clew_info("webhook accepted", clew_kv("group", n->group), clew_kv("alerts", n->nalerts),
              clew_kv("fired", nfired), clew_kv("resolved", nresolved),
              clew_kv("repeats", nrepeats), clew_kv("truncated", n->ntruncated),
              clew_kv("deliveries", apply->ndeliveries));
}

static int apply(struct clew__db *db, void *arg)
{
    struct clew__batch *batch = arg;
    int r = 0;

    for (size_t i = 0; i < batch->n && r == 0; i++)
        r = clew__store_apply(db, &batch->applies[i]);
    if (r == 0 && batch->position)
        r = clew__store_set_position(db, (int64_t)batch->position);
    return r < 0 ? r : 0;
}

int clew__batch_commit(struct clew__batch *batch, struct clew__store *store, uint64_t position,
                       uint64_t *ret_ndeliveries)
{
    int r;

    batch->position = position;
    r = clew__store_write(store, apply, batch);
    if (r < 0)
        return r;
    *ret_ndeliveries = 0;
    for (size_t i = 0; i < batch->n; i++) {
        struct clew_scope scope = clew__scope_of(batch->applies[i].thread), previous;

        previous = clew_scope_enter(scope);
        report(&batch->applies[i]);
        clew_scope_leave(previous);
        clew_scope_release(scope);
        *ret_ndeliveries += batch->applies[i].ndeliveries;
    }
    return 0;
}

struct clew__batch *clew__batch_free(struct clew__batch *batch)
{
    bool large;

    if (!batch)
        return NULL;
    large = batch->bytes > LARGE_BYTES;
    for (size_t i = 0; i < batch->n; i++)
        clew__notification_done(&batch->waiting[i].notification);
    free(batch);
    if (large)
        (void)malloc_trim(0);
    return NULL;
}
