/* SPDX-License-Identifier: Apache-2.0
 *
 * Metrics as OTLP has them (opentelemetry-proto, metrics.proto): cumulative,
 * under the names that "Prometheus and OpenMetrics Compatibility" gives: without
 * _total, the unit from the end of the name. Series past POINTS make a further
 * Metric of the same name, so that no record is too large for a request.
 */
#include "scrape.h"

#include "../otlp_priv.h"
#include "../protobuf_write.h"

#include <time.h>

#define POINTS 1000u /* a record */
#define CUMULATIVE 2u

/* Fields of Metric. */
enum { GAUGE = 5, SUM = 7, HISTOGRAM = 9, EXPONENTIAL = 10 };

struct writer {
    struct clew__scrape scrape;
    struct clew__buf *out;
    uint64_t now_ns;
};

static void add_double(struct clew__buf *out, unsigned number, double v)
{
    clew__pb_fixed64(out, number, clew__to_bits(v));
}

static void add_attributes(struct clew__buf *out, unsigned number,
                           const struct clew__series *series)
{
    for (size_t i = 0; i < series->metric->nlabels; i++) {
        struct clew_label value = clew__series_value(series, i);
        size_t begin = clew__pb_begin(out, number), any;

        clew__pb_string(out, 1, series->metric->labels[i]);
        any = clew__pb_begin(out, 2);
        clew__pb_bytes(out, 1, value.value, value.len);
        clew__pb_end(out, any);
        clew__pb_end(out, begin);
    }
}

static void add_times(struct writer *w, const struct clew__series *series)
{
    clew__pb_fixed64(w->out, 2, clew__series_created(series));
    clew__pb_fixed64(w->out, 3, w->now_ns);
}

static void add_exemplar(struct writer *w, const struct clew__series *series, unsigned word,
                         unsigned number)
{
    struct clew__exemplar e;
    size_t begin;

    if (!clew__read_exemplar(&w->scrape, series, word, &e))
        return;
    begin = clew__pb_begin(w->out, number);
    clew__pb_fixed64(w->out, 2, e.time_ns);
    add_double(w->out, 3, e.value);
    if (e.span_id)
        clew__pb_bytes(w->out, 4, &e.span_id, 8);
    clew__pb_bytes(w->out, 5, (const uint8_t *)e.trace, 16);
    clew__pb_end(w->out, begin);
}

/* ---- points ---------------------------------------------------------------------------- */

static void add_number(struct writer *w, struct clew__series *series)
{
    struct clew__number number = clew__read_number(&w->scrape, series);

    if (series->metric->kind == CLEW__COUNTER)
        clew__pb_fixed64(w->out, 2, clew__series_created(series));
    clew__pb_fixed64(w->out, 3, w->now_ns);
    if (number.is_whole && number.whole <= INT64_MAX)
        clew__pb_fixed64(w->out, 6, number.whole);
    else
        add_double(w->out, 4, number.value);
    if (series->metric->kind == CLEW__COUNTER)
        add_exemplar(w, series, 0, 5);
    add_attributes(w->out, 7, series);
}

static void add_classic(struct writer *w, struct clew__series *series)
{
    const struct clew_metric *metric = series->metric;
    uint64_t counts[CLEW_METRIC_BUCKETS_MAX + 1], count;
    size_t begin;
    double sum;

    add_times(w, series);
    count = clew__read_classic(&w->scrape, series, counts, &sum);
    clew__pb_fixed64(w->out, 4, count);
    add_double(w->out, 5, sum);
    begin = clew__pb_begin(w->out, 6);
    for (size_t i = 0; i <= metric->nbounds; i++)
        clew__buf_add(w->out, &counts[i], 8);
    clew__pb_end(w->out, begin);
    begin = clew__pb_begin(w->out, 7);
    clew__buf_add(w->out, metric->bounds, metric->nbounds * 8);
    clew__pb_end(w->out, begin);
    for (size_t i = 0; i <= metric->nbounds; i++)
        add_exemplar(w, series, (unsigned)i + 1, 8);
    add_attributes(w->out, 9, series);
}

static uint64_t zigzag(int64_t v)
{
    return (uint64_t)v << 1 ^ (uint64_t)(v >> 63);
}

/* Bucket i of OTLP is (base^i, base^(i+1)], ours of key k (base^(k-1), base^k]. */
static void add_buckets(struct writer *w, unsigned number, const _Atomic uint64_t *buckets,
                        unsigned max, int64_t start)
{
    unsigned low = 0, high = max;
    size_t begin, counts;

    while (low < max && !clew__load(&buckets[low]))
        low++;
    while (high > low && !clew__load(&buckets[high - 1]))
        high--;
    if (low == high)
        return;
    begin = clew__pb_begin(w->out, number);
    clew__pb_uint(w->out, 1, zigzag(start + (int64_t)low - 1));
    counts = clew__pb_begin(w->out, 2);
    for (; low < high; low++)
        clew__pb_varint(w->out, clew__load(&buckets[low]));
    clew__pb_end(w->out, counts);
    clew__pb_end(w->out, begin);
}

static void add_exponential(struct writer *w, struct clew__series *series)
{
    const struct clew_metric *metric = series->metric;
    struct clew__native_copy copy;
    const struct clew__native_cell *cell = &copy.cell;

    add_attributes(w->out, 1, series);
    add_times(w, series);
    clew__pb_fixed64(w->out, 4, clew__read_native(&w->scrape, series, &copy));
    add_double(w->out, 5, clew__to_double(clew__load(&cell->sum_bits)));
    clew__pb_uint(w->out, 6, zigzag(clew__native_schema(cell, metric)));
    clew__pb_fixed64(w->out, 7, clew__load(&cell->zero));
    add_buckets(w, 8, cell->buckets, metric->native_max, (int64_t)clew__load(&cell->start[0]));
    add_buckets(w, 9, cell->buckets + metric->native_max, metric->native_max,
                (int64_t)clew__load(&cell->start[1]));
    for (unsigned i = 0; i < CLEW__NATIVE_EXEMPLARS; i++)
        add_exemplar(w, series, i, 11);
    add_double(w->out, 14, CLEW__NATIVE_ZERO);
}

/* ---- metrics ------------------------------------------------------------------------------ */

static bool ends_with(const char *name, size_t len, const char *end)
{
    return len > strlen(end) && memcmp(name + len - strlen(end), end, strlen(end)) == 0;
}

static void add_head(struct clew__buf *out, const struct clew_metric *metric)
{
    size_t len = metric->name_len - (metric->kind == CLEW__COUNTER ? strlen("_total") : 0);

    clew__pb_bytes(out, 1, metric->name, len);
    clew__pb_string(out, 2, metric->help);
    if (ends_with(metric->name, len, "_seconds"))
        clew__pb_string(out, 3, "s");
    else if (ends_with(metric->name, len, "_bytes"))
        clew__pb_string(out, 3, "By");
}

/* One record: up to POINTS series from *series on, which is where the next begins. */
static void add_metric(struct writer *w, const struct clew_metric *metric,
                       struct clew__series **series)
{
    static const unsigned fields[] = {[CLEW__COUNTER] = SUM,
                                      [CLEW__GAUGE] = GAUGE,
                                      [CLEW__INFO] = GAUGE,
                                      [CLEW__HISTOGRAM] = HISTOGRAM,
                                      [CLEW__NATIVE] = EXPONENTIAL};
    static void (*const add[])(struct writer *,
                               struct clew__series *) = {[CLEW__COUNTER] = add_number,
                                                         [CLEW__GAUGE] = add_number,
                                                         [CLEW__INFO] = add_number,
                                                         [CLEW__HISTOGRAM] = add_classic,
                                                         [CLEW__NATIVE] = add_exponential};
    struct clew__series *s = *series;
    size_t record = clew__pb_begin(w->out, 2), data, point;

    add_head(w->out, metric);
    data = clew__pb_begin(w->out, fields[metric->kind]);
    for (unsigned n = 0; s && n < POINTS; n++) {
        point = clew__pb_begin(w->out, 1);
        add[metric->kind](w, s);
        clew__pb_end(w->out, point);
        s = atomic_load_explicit(&s->next, memory_order_acquire);
    }
    if (fields[metric->kind] != GAUGE)
        clew__pb_uint(w->out, 2, CUMULATIVE);
    if (metric->kind == CLEW__COUNTER)
        clew__pb_uint(w->out, 3, 1); /* it only grows */
    clew__pb_end(w->out, data);
    clew__pb_end(w->out, record);
    *series = s;
}

void clew__otlp_append_metrics(struct clew__buf *(*begin)(void), void (*commit)(void))
{
    struct writer w = {.out = NULL};
    struct timespec now;

    if (!clew__scrape_begin(&w.scrape))
        return;
    clock_gettime(CLOCK_REALTIME, &now);
    w.now_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    for (struct clew_metric *m = clew__metrics_first(); m; m = clew__metrics_next(m)) {
        struct clew__series *series = atomic_load_explicit(&m->first, memory_order_acquire);

        while (series) {
            w.out = begin();
            add_metric(&w, m, &series);
            commit();
        }
    }
    clew__scrape_end(&w.scrape);
}
