/* SPDX-License-Identifier: Apache-2.0
 *
 * io.prometheus.client.MetricFamily, each with its length before it
 * (client_model, metrics.proto): the one format with native histograms and with
 * the time from which a series counts.
 */
#include "render.h"

#include "../protobuf_write.h"

#include <json.h>

/* MetricType; an info metric is a gauge here. */
static const unsigned types[] = {[CLEW__COUNTER] = 0,
                                 [CLEW__GAUGE] = 1,
                                 [CLEW__INFO] = 1,
                                 [CLEW__HISTOGRAM] = 4,
                                 [CLEW__NATIVE] = 4};

static void add_double(struct clew__buf *out, unsigned number, double v)
{
    clew__pb_fixed64(out, number, clew__to_bits(v));
}

static void add_label(struct clew__buf *out, const char *name, const char *value, size_t len)
{
    size_t begin = clew__pb_begin(out, 1);

    clew__pb_string(out, 1, name);
    clew__pb_bytes(out, 2, value, len);
    clew__pb_end(out, begin);
}

/* google.protobuf.Timestamp */
static void add_time(struct clew__buf *out, unsigned number, uint64_t ns)
{
    size_t begin = clew__pb_begin(out, number);

    clew__pb_uint(out, 1, ns / 1000000000u);
    clew__pb_uint(out, 2, ns % 1000000000u);
    clew__pb_end(out, begin);
}

static void add_exemplar(struct clew__page *page, const struct clew__series *series, unsigned word,
                         unsigned number)
{
    struct clew__exemplar e;
    char hex[32];
    size_t begin;

    if (!clew__read_exemplar(&page->scrape, series, word, &e))
        return;
    begin = clew__pb_begin(&page->out, number);
    clew__hex(hex, (const uint8_t *)e.trace, 16);
    add_label(&page->out, "trace_id", hex, 32);
    if (e.span_id) {
        clew__hex(hex, &e.span_id, 8);
        add_label(&page->out, "span_id", hex, 16);
    }
    add_double(&page->out, 2, e.value);
    add_time(&page->out, 3, e.time_ns);
    clew__pb_end(&page->out, begin);
}

static void add_scalar(struct clew__page *page, struct clew__series *series)
{
    bool counter = series->metric->kind == CLEW__COUNTER;
    size_t begin = clew__pb_begin(&page->out, counter ? 3 : 2);

    add_double(&page->out, 1, clew__read_number(&page->scrape, series).value);
    if (counter) {
        add_exemplar(page, series, 0, 2);
        add_time(&page->out, 3, clew__series_created(series));
    }
    clew__pb_end(&page->out, begin);
}

static void add_classic(struct clew__page *page, struct clew__series *series)
{
    const struct clew_metric *metric = series->metric;
    uint64_t counts[CLEW_METRIC_BUCKETS_MAX + 1], count = 0;
    double sum;

    clew__pb_uint(&page->out, 1, clew__read_classic(&page->scrape, series, counts, &sum));
    add_double(&page->out, 2, sum);
    for (size_t b = 0; b <= metric->nbounds; b++) {
        size_t begin = clew__pb_begin(&page->out, 3);

        count += counts[b];
        clew__pb_uint(&page->out, 1, count);
        add_double(&page->out, 2, b < metric->nbounds ? metric->bounds[b] : __builtin_inf());
        add_exemplar(page, series, (unsigned)b + 1, 3);
        clew__pb_end(&page->out, begin);
    }
}

/* ---- native ---------------------------------------------------------------------------------- */

static uint64_t zigzag(int64_t v)
{
    return (uint64_t)v << 1 ^ (uint64_t)(v >> 63);
}

/* The first bucket from i on that counted something; max when there is none. */
static unsigned next_used(const _Atomic uint64_t *buckets, unsigned i, unsigned max)
{
    while (i < max && !clew__load(&buckets[i]))
        i++;
    return i;
}

/* Runs of buckets as BucketSpan, then their counts, each as the difference to
 * the one before. */
static void add_buckets(struct clew__buf *out, const _Atomic uint64_t *buckets, unsigned max,
                        int64_t start, unsigned span_number)
{
    int64_t key = 0;
    uint64_t before = 0;

    for (unsigned i = next_used(buckets, 0, max), end; i < max; i = next_used(buckets, end, max)) {
        size_t begin = clew__pb_begin(out, span_number);

        for (end = i; end < max && clew__load(&buckets[end]);)
            end++;
        clew__pb_uint(out, 1, zigzag(start + (int64_t)i - key));
        clew__pb_uint(out, 2, end - i);
        clew__pb_end(out, begin);
        key = start + (int64_t)end;
    }
    for (unsigned i = 0; i < max; i++) {
        uint64_t n = clew__load(&buckets[i]);

        if (n)
            clew__pb_uint(out, span_number + 1, zigzag((int64_t)(n - before)));
        before = n ? n : before;
    }
}

static void add_native(struct clew__page *page, struct clew__series *series)
{
    const struct clew_metric *metric = series->metric;
    struct clew__buf *out = &page->out;
    struct clew__native_copy copy;
    const struct clew__native_cell *cell = &copy.cell;
    uint64_t count = clew__read_native(&page->scrape, series, &copy);

    clew__pb_uint(out, 1, count);
    add_double(out, 2, clew__to_double(clew__load(&cell->sum_bits)));
    clew__pb_uint(out, 5, zigzag(clew__native_schema(cell, metric)));
    add_double(out, 6, CLEW__NATIVE_ZERO);
    clew__pb_uint(out, 7, clew__load(&cell->zero));
    add_buckets(out, cell->buckets + metric->native_max, metric->native_max,
                (int64_t)clew__load(&cell->start[1]), 9);
    add_buckets(out, cell->buckets, metric->native_max, (int64_t)clew__load(&cell->start[0]), 12);
    for (unsigned i = 0; i < CLEW__NATIVE_EXEMPLARS; i++)
        add_exemplar(page, series, i, 16);
}

/* ---- families ---------------------------------------------------------------------------------
 */

static void add_histogram(struct clew__page *page, struct clew__series *series)
{
    size_t begin = clew__pb_begin(&page->out, 7);

    if (series->metric->kind == CLEW__NATIVE)
        add_native(page, series);
    else
        add_classic(page, series);
    add_time(&page->out, 15, clew__series_created(series));
    clew__pb_end(&page->out, begin);
}

static void add_series(struct clew__page *page, struct clew__series *series)
{
    const struct clew_metric *metric = series->metric;
    size_t begin = clew__pb_begin(&page->out, 4);

    for (size_t i = 0; i < metric->nlabels; i++) {
        struct clew_label value = clew__series_value(series, i);

        add_label(&page->out, metric->labels[i], value.value, value.len);
    }
    for (size_t i = 0; i < page->nlabels; i++)
        if (!clew__page_has_label(metric, page->label[i]))
            add_label(&page->out, page->label[i], page->value[i], strlen(page->value[i]));
    if (metric->kind >= CLEW__HISTOGRAM)
        add_histogram(page, series);
    else
        add_scalar(page, series);
    clew__pb_end(&page->out, begin);
}

/* A message by itself has its length before it, and no tag. */
static size_t begin_delimited(struct clew__buf *out)
{
    clew__buf_add(out, "\x80\x80\x80\x80", CLEW__PB_LENGTH_BYTES);
    return out->len;
}

void clew__render_protobuf_metric(struct clew__page *page, const struct clew_metric *metric)
{
    struct clew__series *series = atomic_load_explicit(&metric->first, memory_order_acquire);
    struct clew__buf *out = &page->out;
    size_t begin;

    if (!series) /* Prometheus wants no empty families */
        return;
    begin = begin_delimited(out);
    clew__pb_bytes(out, 1, metric->name, metric->name_len);
    clew__pb_string(out, 2, metric->help);
    clew__pb_uint(out, 3, types[metric->kind]);
    for (; series; series = atomic_load_explicit(&series->next, memory_order_acquire))
        add_series(page, series);
    clew__pb_end(out, begin);
    clew__page_pass_on(page);
}
