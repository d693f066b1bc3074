/* SPDX-License-Identifier: Apache-2.0
 * Metrics of the bridge. The label sets are closed: receivers and kinds are those
 * of the configuration, results and outcomes are listed here. The queue's gauges
 * read the store in the scraping thread: main ends the scraping before the store. */
#include "metrics.h"

#include <common/instant.h>
#include <store/store.h>

#include <clew/metrics.h>

#include <errno.h>
#include <stddef.h>

static struct {
    struct clew_metric *lost, *salvaged, *webhooks, *alerts, *deliveries, *ack, *delay, *reload,
        *timer, *escalations, *reconcile;
} metrics;

static bool salvaged; /* before there are metrics */

static struct clew__queue read_queue(void *arg)
{
    struct clew__queue queue = {0};

    (void)clew__store_read(arg, clew__store_queue, &queue);
    return queue;
}

static double queue_length(void *arg)
{
    return (double)read_queue(arg).queued;
}

static double queue_age(void *arg)
{
    int64_t oldest = read_queue(arg).oldest_at, age = clew__instant_now() - oldest;

    return oldest && age > 0 ? (double)age / 1e9 : 0;
}

static double dead_letters(void *arg)
{
    return (double)read_queue(arg).dead;
}

static double timers_pending(void *arg)
{
    return (double)read_queue(arg).timers;
}

int clew__metrics_init(struct clew__store *store)
{
    static const double ack[] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                 0.1,   0.25,   0.5,   1,    2.5,   5};
    static const double delay[] = {0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200};
    static const double late[] = {0.01, 0.05, 0.1, 0.25, 0.5, 1, 5, 60, 3600};
    struct clew_metric *length, *age, *dead, *timers;

    metrics.webhooks =
        clew_counter("alertbridge_webhooks_total", "Webhooks by what became of them.",
                     (const char *const[]){"result", NULL});
    metrics.alerts =
        clew_counter("alertbridge_alerts_total", "Alerts whose state changed, by their new status.",
                     (const char *const[]){"status", NULL});
    metrics.lost = clew_counter("alertbridge_journal_lost_total",
                                "Acknowledged webhooks that a damaged journal has lost.", NULL);
    metrics.deliveries =
        clew_counter("alertbridge_deliveries_total", "Attempts to deliver, by outcome.",
                     (const char *const[]){"receiver", "integration", "outcome", NULL});
    metrics.ack = clew_histogram("alertbridge_webhook_ack_seconds",
                                 "From a webhook's first byte to its answer, once stored.", NULL,
                                 ack, sizeof(ack) / sizeof(ack[0]));
    metrics.delay = clew_histogram(
        "alertbridge_page_delay_seconds", "From a webhook to the delivery of its page.",
        (const char *const[]){"integration", NULL}, delay, sizeof(delay) / sizeof(delay[0]));
    length = clew_gauge("alertbridge_delivery_queue", "Deliveries that wait.", NULL);
    age = clew_gauge("alertbridge_oldest_delivery_age_seconds",
                     "Age of the oldest delivery that waits.", NULL);
    dead = clew_gauge("alertbridge_dead_letters", "Deliveries given up and still kept.", NULL);
    metrics.salvaged = clew_gauge("alertbridge_store_salvaged",
                                  "Whether this start has found the store damaged.", NULL);
    metrics.reload = clew_gauge("alertbridge_config_last_reload_successful",
                                "Whether the newest configuration is the one in use.", NULL);
    timers = clew_gauge("alertbridge_timers", "Timers that wait.", NULL);
    metrics.timer =
        clew_histogram("alertbridge_timer_late_seconds", "From a timer's time to when it fires.",
                       (const char *const[]){"kind", NULL}, late, sizeof(late) / sizeof(late[0]));
    metrics.escalations = clew_counter("alertbridge_escalations_total",
                                       "Alerts whose time to be told came, by outcome.",
                                       (const char *const[]){"receiver", "outcome", NULL});
    metrics.reconcile =
        clew_counter("alertbridge_reconcile_total",
                     "Questions to Alertmanagers by outcome, and alerts that they closed.",
                     (const char *const[]){"result", NULL});
    if (!timers || !metrics.escalations || !metrics.reconcile || !metrics.timer || !metrics.lost ||
        !metrics.salvaged || !metrics.webhooks || !metrics.alerts || !metrics.deliveries ||
        !metrics.ack || !metrics.delay || !metrics.reload || !length || !age || !dead)
        return -ENOMEM;
    if (clew_metric_callback(length, queue_length, store) < 0 ||
        clew_metric_callback(age, queue_age, store) < 0 ||
        clew_metric_callback(dead, dead_letters, store) < 0 ||
        clew_metric_callback(timers, timers_pending, store) < 0)
        return -ENOMEM;
    clew_series_set(clew_metric_series(metrics.salvaged, NULL), salvaged);
    return 0;
}

static void count(struct clew_metric *metric, const char *const *labels, double amount)
{
    if (metric)
        clew_series_add(clew_metric_series(metric, labels), amount);
}

static void observe(struct clew_metric *metric, const char *const *labels, double value)
{
    struct clew_scope scope = clew_scope_current();

    if (metric)
        clew_series_observe(clew_metric_series(metric, labels), value,
                            scope.context ? clew_context_trace_id(scope.context) : NULL,
                            scope.span_id);
}

void clew__metrics_reload(bool taken)
{
    if (metrics.reload)
        clew_series_set(clew_metric_series(metrics.reload, NULL), taken);
}

void clew__metrics_webhook(const char *result, double seconds)
{
    count(metrics.webhooks, (const char *const[]){result, NULL}, 1);
    observe(metrics.ack, NULL, seconds);
}

void clew__metrics_salvaged(void)
{
    salvaged = true;
}

void clew__metrics_journal_lost(uint64_t n)
{
    count(metrics.lost, NULL, (double)n);
}

void clew__metrics_alerts(const char *status, uint64_t n)
{
    if (n)
        count(metrics.alerts, (const char *const[]){status, NULL}, (double)n);
}

void clew__metrics_delivery(const char *receiver, const char *kind, enum clew__verdict_kind verdict,
                            double delay_seconds)
{
    static const char *const outcomes[] = {"delivered", "retry", "given_up"};

    count(metrics.deliveries, (const char *const[]){receiver, kind, outcomes[verdict], NULL}, 1);
    if (verdict == CLEW__DONE && delay_seconds >= 0)
        observe(metrics.delay, (const char *const[]){kind, NULL}, delay_seconds);
}

void clew__metrics_timer(const char *kind, double late_seconds)
{
    observe(metrics.timer, (const char *const[]){kind, NULL}, late_seconds);
}

void clew__metrics_escalation(const char *receiver, const char *outcome, uint64_t n)
{
    if (n)
        count(metrics.escalations, (const char *const[]){receiver, outcome, NULL}, (double)n);
}

void clew__metrics_reconcile(const char *result, uint64_t n)
{
    if (n)
        count(metrics.reconcile, (const char *const[]){result, NULL}, (double)n);
}
