/* SPDX-License-Identifier: Apache-2.0
 *
 * The metrics page: Prometheus text 0.0.4 and OpenMetrics 1.0. A histogram's
 * count is the sum of the buckets that were just read, so count and the +Inf
 * bucket always agree, whatever is counted meanwhile.
 */
#include "registry_priv.h"

#include <buf.h>
#include <json.h>

#include <errno.h>
#include <math.h>

#define PAGE_MAX_BYTES (256u << 20)

static void add_escaped(struct clew__buf *out, const char *text, bool quotes)
{
    for (; *text; text++) {
        if (*text == '\\')
            clew__buf_add(out, "\\\\", 2);
        else if (*text == '\n')
            clew__buf_add(out, "\\n", 2);
        else if (*text == '"' && quotes)
            clew__buf_add(out, "\\\"", 2);
        else
            clew__buf_addc(out, *text);
    }
}

static void add_number(struct clew__buf *out, double v)
{
    if (isnan(v))
        clew__buf_adds(out, "NaN");
    else if (isinf(v))
        clew__buf_adds(out, v < 0 ? "-Inf" : "+Inf");
    else
        clew__json_double(out, v);
}

/* {a="b",le="0.5"}; le NULL for none. */
static void add_labels(struct clew__buf *out, const struct clew_series *series, const double *le)
{
    const struct clew_metric *metric = series->metric;

    if (metric->nlabels == 0 && !le)
        return;
    clew__buf_addc(out, '{');
    for (size_t i = 0; i < metric->nlabels; i++) {
        if (i)
            clew__buf_addc(out, ',');
        clew__buf_adds(out, metric->labels[i]);
        clew__buf_adds(out, "=\"");
        add_escaped(out, series->values[i], true);
        clew__buf_addc(out, '"');
    }
    if (le) {
        clew__buf_adds(out, metric->nlabels ? ",le=\"" : "le=\"");
        add_number(out, *le);
        clew__buf_addc(out, '"');
    }
    clew__buf_addc(out, '}');
}

static void add_exemplar(struct clew__buf *out, struct exemplar *e)
{
    uint64_t version = atomic_load_explicit(&e->version, memory_order_acquire);
    uint64_t trace[2], span, value, time_ns;
    char hex[32];

    if (version == 0 || (version & 1))
        return;
    trace[0] = atomic_load_explicit(&e->trace[0], memory_order_relaxed);
    trace[1] = atomic_load_explicit(&e->trace[1], memory_order_relaxed);
    span = atomic_load_explicit(&e->span, memory_order_relaxed);
    value = atomic_load_explicit(&e->value_bits, memory_order_relaxed);
    time_ns = atomic_load_explicit(&e->time_ns, memory_order_relaxed);
    atomic_thread_fence(memory_order_acquire);
    if (atomic_load_explicit(&e->version, memory_order_relaxed) != version)
        return;
    clew__hex(hex, trace, 16);
    clew__buf_addf(out, " # {trace_id=\"%.32s\"", hex);
    if (span) {
        clew__hex(hex, &span, 8);
        clew__buf_addf(out, ",span_id=\"%.16s\"", hex);
    }
    clew__buf_adds(out, "} ");
    add_number(out, bits_to_double(value));
    clew__buf_addf(out, " %llu.%03u", (unsigned long long)(time_ns / 1000000000u),
                   (unsigned)(time_ns / 1000000u % 1000u));
}

static double scalar_of(const struct clew_series *series)
{
    double (*callback)(void *) = __atomic_load_n(&series->callback, __ATOMIC_ACQUIRE);
    uint64_t whole = 0;
    double fraction = 0;

    if (callback && series->metric->type == METRIC_COUNTER)
        return fmax(callback(series->callback_arg), 0); /* no counter is negative */
    if (callback)
        return callback(series->callback_arg);
    if (series->metric->type == METRIC_GAUGE)
        return bits_to_double(atomic_load_explicit(&series->gauge_bits, memory_order_relaxed));
    for (unsigned i = 0; i < SHARDS; i++) {
        whole += atomic_load_explicit(&series->counters[i].whole, memory_order_relaxed);
        fraction += bits_to_double(
            atomic_load_explicit(&series->counters[i].fraction_bits, memory_order_relaxed));
    }
    return (double)whole + fraction;
}

static void add_sample(struct clew__buf *out, const struct clew_series *series, const char *suffix,
                       const double *le, double value)
{
    clew__buf_adds(out, series->metric->name);
    clew__buf_adds(out, suffix);
    add_labels(out, series, le);
    clew__buf_addc(out, ' ');
    add_number(out, value);
}

static void add_histogram(struct clew__buf *out, const struct clew_series *series, bool openmetrics)
{
    const struct clew_metric *metric = series->metric;
    const double infinity = INFINITY;
    uint64_t count = 0;
    double sum = 0;

    for (size_t b = 0; b <= metric->nbounds; b++) {
        for (unsigned i = 0; i < SHARDS; i++)
            count += atomic_load_explicit(&histogram_shard_at(series, i)->buckets[b],
                                          memory_order_relaxed);
        add_sample(out, series, "_bucket", b < metric->nbounds ? &metric->bounds[b] : &infinity,
                   (double)count);
        if (openmetrics)
            add_exemplar(out, &series->exemplars[b]);
        clew__buf_addc(out, '\n');
    }
    for (unsigned i = 0; i < SHARDS; i++)
        sum += bits_to_double(
            atomic_load_explicit(&histogram_shard_at(series, i)->sum_bits, memory_order_relaxed));
    add_sample(out, series, "_sum", NULL, sum);
    clew__buf_addc(out, '\n');
    add_sample(out, series, "_count", NULL, (double)count);
    clew__buf_addc(out, '\n');
}

static void add_metric(struct clew__buf *out, const struct clew_metric *metric, bool openmetrics)
{
    static const char *const types[] = {"counter", "gauge", "histogram"};
    const struct clew_series *series = atomic_load_explicit(&metric->series, memory_order_acquire);
    size_t len = strlen(metric->name);

    if (openmetrics && metric->type == METRIC_COUNTER)
        len -= 6; /* the family of x_total is x */
    clew__buf_addf(out, "# HELP %.*s ", (int)len, metric->name);
    add_escaped(out, metric->help, openmetrics);
    clew__buf_addf(out, "\n# TYPE %.*s %s\n", (int)len, metric->name, types[metric->type]);
    for (; series; series = series->next) {
        if (metric->type == METRIC_HISTOGRAM) {
            add_histogram(out, series, openmetrics);
            continue;
        }
        add_sample(out, series, "", NULL, scalar_of(series));
        clew__buf_addc(out, '\n');
    }
}

int clew_metrics_render(bool openmetrics, char **ret_text, size_t *ret_len)
{
    struct clew__buf out;

    clew__buf_init(&out, PAGE_MAX_BYTES);
    for (const struct clew_metric *m = clew__metrics_first(); m;
         m = __atomic_load_n(&m->next, __ATOMIC_ACQUIRE))
        add_metric(&out, m, openmetrics);
    if (openmetrics)
        clew__buf_adds(&out, "# EOF\n");
    *ret_text = clew__buf_take(&out, ret_len);
    return *ret_text ? 0 : -ENOMEM;
}
