/* SPDX-License-Identifier: Apache-2.0
 *
 * clew/metrics.h: counters, gauges and histograms for /metrics and OTLP.
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
 *
 * Every thread counts in memory of its own, a scrape adds it all up: an update
 * takes no lock and waits for nobody, whatever is scraped or made meanwhile.
 *
 * fork: the child counts from zero; what its gauges were set to stays.
 * signals: updates through a handle are AS-Safe once the handle exists, and
 * exact; everything that makes or finds something is AS-Unsafe, but for
 * clew_metric_add(), _set() and _observe(): see there.
 */
#ifndef CLEW_METRICS_H
#define CLEW_METRICS_H

#include <clew/series.h>
#include <clew/sink.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CLEW_METRIC_LABELS_MAX 8u
#define CLEW_METRIC_BUCKETS_MAX 64u
#define CLEW_METRIC_SERIES_MAX 2000u /* a metric, unless CLEW_METRICS_SERIES_MAX says otherwise */
#define CLEW_METRIC_NATIVE_MAX 160u  /* buckets of a native histogram, each sign */

struct clew_metric; /* a family: name, help, label names */

/* ---- metrics ------------------------------------------------------------------- */

/* Make or find a metric. They live until the process ends.
 *
 * args     name [a-zA-Z_:][a-zA-Z0-9_:]*, at most 200 bytes, counters end in
 *          _total; help any text, cut at 1,024 bytes; label_names
 *          [a-zA-Z_][a-zA-Z0-9_]* without "__" in front, NULL-terminated, NULL
 *          for none, "le" is not for histograms and "quantile" for nobody;
 *          bounds ascending, finite, copied; NULL for 0.005 … 10 s
 *          (OpenTelemetry's HTTP buckets)
 * threads  MT-Safe (lock)          signals AS-Unsafe
 * returns  NULL: a bad name, another type, labels or bounds under the same name,
 *          a name that another metric's samples have (x_count beside the
 *          histogram x), no memory; clew_last_error() says which */
CLEW_PUBLIC struct clew_metric *clew_counter(const char *name, const char *help,
                                             const char *const *label_names);
CLEW_PUBLIC struct clew_metric *clew_gauge(const char *name, const char *help,
                                           const char *const *label_names);
CLEW_PUBLIC struct clew_metric *clew_histogram(const char *name, const char *help,
                                               const char *const *label_names, const double *bounds,
                                               size_t nbounds);

/* A histogram whose buckets need no choosing: their bounds are the powers of
 * 2^(2^-schema), as many as the values need. When a series has values in more
 * than buckets_max of them, its schema goes down by one and they are joined two
 * by two. Prometheus' native and OpenTelemetry's exponential histograms; the text
 * formats have no form for it but count and sum.
 *
 * args     schema -4 … 8: 3 has 8 buckets for each doubling; buckets_max 80 …
 *          CLEW_METRIC_NATIVE_MAX, 0 for that. Values within 2^-128 of zero count
 *          as zero
 * The rest as above. */
CLEW_PUBLIC struct clew_metric *clew_native_histogram(const char *name, const char *help,
                                                      const char *const *label_names, int schema,
                                                      unsigned buckets_max);

/* Facts that are labels and do not change, such as a version: a gauge that is
 * always 1, in OpenMetrics of the type info.
 * args     name ends in _info; as many values as names. Said again with other
 *          values, it is a further series
 * returns  0; -EINVAL, -ENOMEM and clew_last_error() */
CLEW_PUBLIC int clew_metric_info(const char *name, const char *help, const char *const *label_names,
                                 const char *const *label_values);

/* How many series a metric may have, or with a label how many values that label
 * may take. What comes beyond counts in a series that says "overflow" in all
 * labels, or in that label; clew_metrics_overflow_total{metric} says how often.
 * Lowering it removes nothing.
 *
 * args     label: NULL for the series; max 1 … 10,000,000
 * returns  0; -EINVAL: no metric, no such label, out of range */
CLEW_PUBLIC int clew_metric_limit(struct clew_metric *metric, const char *label, size_t max);

/* ---- series -------------------------------------------------------------------- */

/* The handle of one label set, valid for ever: a series that somebody has a
 * handle of does not expire. One value per label name, any text: cut at 256
 * bytes, invalid UTF-8 replaced, escaped on the page. Never NULL for a non-NULL
 * metric: past its limit, or without memory, it is the metric's overflow series.
 * threads  MT-Safe; a known set is found without a lock   signals AS-Unsafe */
CLEW_PUBLIC struct clew_series *clew_metric_series(struct clew_metric *metric,
                                                   const char *const *label_values);

/* Adds to a counter or a gauge. MT-Safe, AS-Safe, lock-free, never blocks,
 * accepts NULL. A counter does not take negative and non-finite amounts, nothing
 * takes NaN: clew_metrics_rejected_total counts them. Whole amounts are exact up
 * to 2^64, others are added as doubles. */
CLEW__INLINE void clew_series_add(struct clew_series *series, double amount)
{
    if (!(amount >= 0 && amount < CLEW__WHOLE_MAX && amount == (double)(int64_t)amount) ||
        !clew__add_whole(series, (uint64_t)(int64_t)amount))
        clew_series_add_any(series, amount);
}

/* Sets a gauge; what is added afterwards comes on top. As clew_series_add().
 * Of two calls at the same time one counts. */
CLEW_PUBLIC void clew_series_set(struct clew_series *series, double value);

/* Counts a value of a histogram. As clew_series_add(); values that are not
 * finite are not taken.
 * args     trace_id: 16 bytes for the exemplar of the bucket, NULL for none */
CLEW_PUBLIC void clew_series_observe(struct clew_series *series, double value,
                                     const uint8_t *trace_id, uint64_t span_id);

/* clew_series_add() to a counter, with an exemplar. */
CLEW_PUBLIC void clew_series_add_traced(struct clew_series *series, double amount,
                                        const uint8_t *trace_id, uint64_t span_id);

/* ---- updates by label values ------------------------------------------------------ */

/* A label value: any bytes, need not end in NUL. */
struct clew_label {
    const char *value;
    size_t len;
};

/* Updates of the series with these values, one for each label name, made if
 * there is none. Such a series expires when nothing was counted in it for
 * CLEW_METRICS_IDLE_S seconds (an hour by default): it is gone from the page, and
 * starts again at zero when it comes back.
 * threads  MT-Safe; a known set is found without a lock; a new one is made under
 *          one that is held for microseconds
 * signals  AS-Safe for sets that are known to the metric; others count as overflow
 *          when the handler interrupted a call of this header */
CLEW_PUBLIC void clew_metric_add(struct clew_metric *metric, const struct clew_label *values,
                                 double amount);
CLEW_PUBLIC void clew_metric_set(struct clew_metric *metric, const struct clew_label *values,
                                 double value);
CLEW_PUBLIC void clew_metric_observe(struct clew_metric *metric, const struct clew_label *values,
                                     double value, const uint8_t *trace_id, uint64_t span_id);

/* ---- callbacks ------------------------------------------------------------------- */

/* A gauge or counter whose value is asked for at every scrape, in the scraping
 * thread. It must come back soon, must not scrape, and stays for ever.
 * returns  0; -EINVAL: a histogram, or with the second a metric with labels */
CLEW_PUBLIC int clew_series_callback(struct clew_series *series, double (*value)(void *arg),
                                     void *arg);
CLEW_PUBLIC int clew_metric_callback(struct clew_metric *metric, double (*value)(void *arg),
                                     void *arg);

/* ---- timers ---------------------------------------------------------------------- */

/* Seconds from start to stop, into a histogram, with the trace of the scope at
 * the stop as exemplar if it is sampled. A second stop does nothing; so does one
 * after series was set to NULL. */
struct clew_timer {
    struct clew_series *series;
    uint64_t started_ns;
};
CLEW_PUBLIC struct clew_timer clew_timer_start(struct clew_series *series);
CLEW_PUBLIC void clew_timer_stop(struct clew_timer *timer);

#define CLEW__JOIN_(a, b) a##b
#define CLEW__JOIN(a, b) CLEW__JOIN_(a, b)
#if !defined(__cplusplus)
/* From here to the end of the block, however that is left. In C++ there is
 * clew::timer for the same. */
#define CLEW_TIME_SCOPE(series)                          \
    struct clew_timer CLEW__JOIN(clew__timer_, __LINE__) \
        __attribute__((cleanup(clew_timer_stop), unused)) = clew_timer_start(series)
#endif

/* ---- pages ------------------------------------------------------------------------ */

enum clew_exposition {
    CLEW_EXPOSITION_TEXT,        /* Prometheus text 0.0.4 */
    CLEW_EXPOSITION_OPENMETRICS, /* OpenMetrics 1.0, with exemplars */
    CLEW_EXPOSITION_PROTOBUF     /* io.prometheus.client.MetricFamily, delimited */
};

struct clew_page_format {
    enum clew_exposition exposition;
    bool gzip;                /* Content-Encoding: gzip */
    const char *content_type; /* static */
};

/* The format that the headers of a scrape ask for (RFC 9110, 12.5): the highest
 * q, then protobuf before OpenMetrics before text. What cannot be made, or makes
 * no sense, is answered with text.
 * args     NULL where the header is not there                MT-Safe, AS-Safe */
CLEW_PUBLIC void clew_page_negotiate(const char *accept, const char *accept_encoding,
                                     struct clew_page_format *ret_format);

/* The whole page. One at a time: a second scrape waits for the first.
 * args     *ret_page: free() it, with a NUL behind that is not in *ret_len
 * returns  0 or -ENOMEM (also past 1 GiB) */
CLEW_PUBLIC int clew_page_render(const struct clew_page_format *format, char **ret_page,
                                 size_t *ret_len);
/* The same, openmetrics or text, not compressed. */
CLEW_PUBLIC int clew_metrics_render(bool openmetrics, char **ret_text, size_t *ret_len);

#ifdef __cplusplus
} /* extern "C" */

namespace clew
{
/* Seconds from its beginning to its end, into a histogram. */
class timer
{
  public:
    explicit timer(clew_series *series) : timer_(clew_timer_start(series))
    {
    }
    ~timer()
    {
        clew_timer_stop(&timer_);
    }
    timer(const timer &) = delete;
    timer &operator=(const timer &) = delete;
    void stop()
    {
        clew_timer_stop(&timer_);
    }
    void cancel()
    {
        timer_.series = nullptr;
    }

  private:
    clew_timer timer_;
};
} // namespace clew
#endif

#endif
