/* SPDX-License-Identifier: Apache-2.0
 *
 * clew/metrics.h: counters, gauges and histograms for /metrics.
 *
 *     static struct clew_series *placed;
 *     placed = clew_metric_series(
 *         clew_counter("orders_total", "Orders by kind.", (const char *[]){"kind", NULL}),
 *         (const char *[]){"limit", NULL});
 *     clew_series_add(placed, 1);
 *
 * Names and labels follow the Prometheus data model; a metric that exists is
 * returned again. Request metrics need none of this: they are derived from the
 * event "request completed".
 */
#ifndef CLEW_METRICS_H
#define CLEW_METRICS_H

#include <clew/sink.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CLEW_METRIC_LABELS_MAX 8u
#define CLEW_METRIC_BUCKETS_MAX 64u
#define CLEW_METRIC_SERIES_MAX 2000u /* a metric; further ones share an overflow series */

struct clew_metric; /* a family: name, help, label names */
struct clew_series; /* one combination of label values */

/* Make or find a metric. They live until the process ends.
 *
 * args     name [a-zA-Z_:][a-zA-Z0-9_:]*, counters end in _total; help any
 *          text; label_names NULL-terminated, NULL for none; bounds ascending,
 *          finite, copied; NULL for 0.005 … 10 s (OpenTelemetry's HTTP buckets)
 * threads  MT-Safe (lock)          signals AS-Unsafe
 * returns  NULL: a bad name, another type or other labels under the same name,
 *          no memory; clew_last_error() says which */
CLEW_PUBLIC struct clew_metric *clew_counter(const char *name, const char *help,
                                             const char *const *label_names);
CLEW_PUBLIC struct clew_metric *clew_gauge(const char *name, const char *help,
                                           const char *const *label_names);
CLEW_PUBLIC struct clew_metric *clew_histogram(const char *name, const char *help,
                                               const char *const *label_names, const double *bounds,
                                               size_t nbounds);

/* The handle of one label set: one value per label name, any bytes (escaped on
 * the page, invalid UTF-8 replaced, cut at 256 bytes). Never NULL for a
 * non-NULL metric: past CLEW_METRIC_SERIES_MAX, or without memory, it is the
 * metric's overflow series, whose labels all say "overflow".
 * threads  MT-Safe; a lookup of a known set takes no lock */
CLEW_PUBLIC struct clew_series *clew_metric_series(struct clew_metric *metric,
                                                   const char *const *label_values);

/* Updates: MT-Safe, lock-free, never block, accept NULL. A counter passes over
 * negative and non-finite amounts. */
CLEW_PUBLIC void clew_series_add(struct clew_series *series, double amount); /* counter, gauge */
CLEW_PUBLIC void clew_series_set(struct clew_series *series, double value);  /* gauge */
/* trace_id: 16 bytes for the exemplar, NULL for none. */
CLEW_PUBLIC void clew_series_observe(struct clew_series *series, double value,
                                     const uint8_t *trace_id, uint64_t span_id);

/* A gauge or counter whose value is asked for at every scrape, in the scraping
 * thread. returns 0, -EINVAL, -ENOMEM */
CLEW_PUBLIC int clew_metric_callback(struct clew_metric *metric, double (*value)(void *arg),
                                     void *arg);

/* The whole page. openmetrics: OpenMetrics 1.0 with exemplars, else Prometheus
 * text 0.0.4. *ret_text: free() it. returns 0 or -ENOMEM */
CLEW_PUBLIC int clew_metrics_render(bool openmetrics, char **ret_text, size_t *ret_len);

#ifdef __cplusplus
}
#endif

#endif
