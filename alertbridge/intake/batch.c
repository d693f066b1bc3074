/* SPDX-License-Identifier: Apache-2.0 */
#include "batch.h"

#include <common/metrics.h>
#include <common/scope.h>

#include <clew/log.h>

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

#define LEAN_BYTES CLEW__INTAKE_BATCH_BYTES /* nothing follows such a one in a transaction */
#define LARGE_BYTES (1u << 20)
#define LOGGED_MAX 100u /* lines about the alerts of one webhook */

struct clew__intake_batch {
    const struct clew__config *config;
    struct clew__apply applies[CLEW__INTAKE_BATCH_MAX];
    struct clew__notification notifications[CLEW__INTAKE_BATCH_MAX];
    struct clew__thread_of threads[CLEW__INTAKE_BATCH_MAX];
    size_t n, bytes;
    uint64_t sequence;
};

struct clew__intake_batch *clew__intake_batch_new(const struct clew__config *config)
{
    struct clew__intake_batch *batch = calloc(1, sizeof(*batch));

    if (batch)
        batch->config = config;
    else
        (void)clew_set_error(-ENOMEM, "out of memory");
    return batch;
}

bool clew__intake_batch_is_full(const struct clew__intake_batch *batch)
{
    return batch->n == CLEW__INTAKE_BATCH_MAX || batch->bytes >= CLEW__INTAKE_BATCH_BYTES;
}

static int pin(struct clew__notification *notification, const char *labels)
{
    json_t *list = json_loads(labels, 0, NULL);
    int r = list ? clew__notification_pin(notification, list)
                 : clew_set_error(-ENOMEM, "out of memory");

    json_decref(list);
    return r;
}

int clew__intake_batch_add(struct clew__intake_batch *batch, const char *body, size_t len,
                           const char *labels, const struct clew__thread_of *thread,
                           int64_t received_at)
{
    struct clew__notification *notification = &batch->notifications[batch->n];
    int r = len > LEAN_BYTES ? clew__notification_parse_lean(notification, body, len)
                             : clew__notification_parse(notification, body, len);

    if (r < 0)
        return r;
    r = *labels ? pin(notification, labels) : 0;
    if (r < 0) {
        clew__notification_done(notification);
        return r;
    }
    batch->threads[batch->n] = *thread;
    batch->applies[batch->n] = (struct clew__apply){.config = batch->config,
                                                    .notification = notification,
                                                    .thread = &batch->threads[batch->n],
                                                    .now = received_at};
    batch->n++;
    batch->bytes += len;
    return 0;
}

static int apply(struct clew__db *db, void *arg)
{
    struct clew__intake_batch *batch = arg;
    int r = 0;

    for (size_t i = 0; i < batch->n && r == 0; i++)
        r = clew__store_apply(db, &batch->applies[i]);
    if (r == 0 && batch->sequence)
        r = clew__store_set_position(db, (int64_t)batch->sequence);
    return r < 0 ? r : 0;
}

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

int clew__intake_batch_commit(struct clew__intake_batch *batch, struct clew__store *store,
                              uint64_t sequence, uint64_t *ret_ndeliveries)
{
    int r;

    batch->sequence = sequence;
    r = clew__store_write(store, apply, batch);
    *ret_ndeliveries = 0;
    for (size_t i = 0; i < batch->n && r == 0; i++) {
        struct clew_scope scope = clew__scope_of(&batch->threads[i]), previous;

        previous = clew_scope_enter(scope);
        report(&batch->applies[i]);
        clew_scope_leave(previous);
        clew_scope_release(scope);
        *ret_ndeliveries += batch->applies[i].ndeliveries;
    }
    return r;
}

void clew__intake_batch_free(struct clew__intake_batch *batch)
{
    bool large = batch && batch->bytes > LARGE_BYTES;

    for (size_t i = 0; batch && i < batch->n; i++)
        clew__notification_done(&batch->notifications[i]);
    free(batch);
    if (large)
        (void)malloc_trim(0);
}
