/* SPDX-License-Identifier: Apache-2.0
 *
 * Prometheus text 0.0.4 and OpenMetrics 1.0. Name and labels of a series are
 * made into text once and kept with it. A histogram's count is the sum of the
 * buckets that were just read, so count and the +Inf bucket always agree,
 * whatever is counted meanwhile.
 */
#include "render.h"

#include <json.h>

#include <math.h>
#include <stdlib.h>

/* ---- names and labels ------------------------------------------------------------------ */

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

static void add_label(struct clew__buf *out, size_t labels_at, const char *name, const char *value)
{
    if (out->len > labels_at)
        clew__buf_addc(out, ',');
    clew__buf_adds(out, name);
    clew__buf_adds(out, "=\"");
    add_escaped(out, value, true);
    clew__buf_addc(out, '"');
}

/* name{labels} and a space, the braces only where there are labels. */
static bool make_text(const struct clew__page *page, struct clew__series *series)
{
    const struct clew_metric *metric = series->metric;
    struct clew__buf out;
    size_t len;
    char *text;

    clew__buf_init(&out, 64u << 10);
    clew__buf_add(&out, metric->name, metric->name_len);
    clew__buf_addc(&out, '{');
    series->labels_at = (uint32_t)out.len;
    for (size_t i = 0; i < metric->nlabels; i++)
        add_label(&out, series->labels_at, metric->labels[i], clew__series_value(series, i).value);
    for (size_t i = 0; i < page->nlabels; i++)
        if (!clew__page_has_label(metric, page->label[i]))
            add_label(&out, series->labels_at, page->label[i], page->value[i]);
    series->labels_len = (uint32_t)out.len - series->labels_at;
    if (series->labels_len == 0)
        out.len--;
    else
        clew__buf_addc(&out, '}');
    clew__buf_addc(&out, ' ');
    text = clew__buf_take(&out, &len);
    if (!text)
        return false;
    text = realloc(text, len); /* the NUL is not needed, nor what is behind it */
    free(series->text);
    series->text = text;
    series->text_len = (uint32_t)len;
    series->text_version = page->version;
    return true;
}

static bool has_text(struct clew__page *page, struct clew__series *series)
{
    if (series->text && series->text_version == page->version)
        return true;
    if (!make_text(page, series)) {
        page->out.failed = true;
        return false;
    }
    return true;
}

/* ---- values ------------------------------------------------------------------------------ */

static char *put_number(char *p, double v)
{
    if (isfinite(v))
        return clew__put_double(p, v);
    memcpy(p, isnan(v) ? "NaN " : v < 0 ? "-Inf" : "+Inf", 4);
    return p + (isnan(v) ? 3 : 4);
}

static char *put_whole(char *p, uint64_t v)
{
    p = clew__put_uint(p, v);
    memcpy(p, ".0", 2);
    return p + 2;
}

static char *put(char *p, const void *text, size_t len)
{
    memcpy(p, text, len);
    return p + len;
}

static void add_exemplar(struct clew__page *page, const struct clew__series *series, unsigned word)
{
    struct clew__exemplar e;
    char *p;

    if (!clew__read_exemplar(&page->scrape, series, word, &e))
        return;
    p = clew__buf_room(&page->out, 160);
    if (!p)
        return;
    p = put(p, " # {trace_id=\"", 14);
    clew__hex(p, (const uint8_t *)e.trace, 16);
    p += 32;
    if (e.span_id) {
        p = put(p, "\",span_id=\"", 11);
        clew__hex(p, &e.span_id, 8);
        p += 16;
    }
    p = put(p, "\"} ", 3);
    p = put_number(p, e.value);
    *p++ = ' ';
    p = clew__put_uint(p, e.time_ns / 1000000000u);
    *p++ = '.';
    p = clew__put_digits(p, e.time_ns / 1000000u % 1000u, 3);
    page->out.len = (size_t)(p - page->out.data);
}

/* ---- samples ------------------------------------------------------------------------------- */

static void add_scalar(struct clew__page *page, struct clew__series *series, bool openmetrics)
{
    struct clew__number number = clew__read_number(&page->scrape, series);
    char *p = clew__buf_room(&page->out, series->text_len + CLEW__PUT_NUMBER_MAX + 1);

    if (!p)
        return;
    p = put(p, series->text, series->text_len);
    p = number.is_whole ? put_whole(p, number.whole) : put_number(p, number.value);
    page->out.len = (size_t)(p - page->out.data);
    if (openmetrics && series->metric->kind == CLEW__COUNTER)
        add_exemplar(page, series, 0);
    clew__buf_addc(&page->out, '\n');
}

/* name_bucket{labels,le="0.5"} 7.0 */
static void add_bucket(struct clew__page *page, const struct clew__series *series, const char *le,
                       uint64_t count)
{
    const struct clew_metric *metric = series->metric;
    size_t le_len = strlen(le);
    char *p = clew__buf_room(&page->out, metric->name_len + series->labels_len + le_len + 64);

    if (!p)
        return;
    p = put(p, metric->name, metric->name_len);
    p = put(p, "_bucket{", 8);
    p = put(p, series->text + series->labels_at, series->labels_len);
    if (series->labels_len)
        *p++ = ',';
    p = put(p, le, le_len);
    p = put_whole(p, count);
    page->out.len = (size_t)(p - page->out.data);
}

/* name_sum{labels} and name_count{labels}, each with a space. */
static void add_name(struct clew__page *page, const struct clew__series *series, const char *suffix)
{
    clew__buf_add(&page->out, series->metric->name, series->metric->name_len);
    clew__buf_adds(&page->out, suffix);
    clew__buf_add(&page->out, series->text + series->metric->name_len,
                  series->text_len - series->metric->name_len);
}

/* In OpenMetrics a histogram of values below zero has neither, because its sum
 * is no counter ("Histogram"). */
static void add_sum_and_count(struct clew__page *page, const struct clew__series *series,
                              double sum, uint64_t count, bool has_negative)
{
    char number[CLEW__PUT_NUMBER_MAX];

    if (page->format->exposition == CLEW_EXPOSITION_OPENMETRICS && (has_negative || sum < 0))
        return;
    add_name(page, series, "_sum");
    clew__buf_add(&page->out, number, (size_t)(put_number(number, sum) - number));
    clew__buf_addc(&page->out, '\n');
    add_name(page, series, "_count");
    clew__buf_add(&page->out, number, (size_t)(put_whole(number, count) - number));
    clew__buf_addc(&page->out, '\n');
}

static void add_classic(struct clew__page *page, struct clew__series *series, bool openmetrics)
{
    const struct clew_metric *metric = series->metric;
    uint64_t counts[CLEW_METRIC_BUCKETS_MAX + 1], count = 0;
    double sum;

    (void)clew__read_classic(&page->scrape, series, counts, &sum);
    for (size_t b = 0; b <= metric->nbounds; b++) {
        count += counts[b];
        add_bucket(page, series, metric->bound_texts[b], count);
        if (openmetrics)
            add_exemplar(page, series, (unsigned)b + 1);
        clew__buf_addc(&page->out, '\n');
    }
    add_sum_and_count(page, series, sum, count, metric->nbounds && metric->bounds[0] < 0);
}

/* Its buckets have no form in text: one for all. */
static void add_native(struct clew__page *page, struct clew__series *series)
{
    struct clew__native_copy copy;
    uint64_t count = clew__read_native(&page->scrape, series, &copy);

    add_bucket(page, series, "le=\"+Inf\"} ", count);
    clew__buf_addc(&page->out, '\n');
    add_sum_and_count(page, series, clew__to_double(clew__load(&copy.cell.sum_bits)), count,
                      clew__load(&copy.cell.used[1]));
}

/* ---- families -------------------------------------------------------------------------------- */

static void add_head(struct clew__page *page, const struct clew_metric *metric, bool openmetrics)
{
    static const char *const types[][2] = {
        [CLEW__COUNTER] = {"counter", "counter"},
        [CLEW__GAUGE] = {"gauge", "gauge"},
        [CLEW__INFO] = {"gauge", "info"},
        [CLEW__HISTOGRAM] = {"histogram", "histogram"},
        [CLEW__NATIVE] = {"histogram", "histogram"},
    };
    size_t len = metric->name_len;

    if (openmetrics && metric->kind == CLEW__COUNTER)
        len -= strlen("_total"); /* the family of x_total is x */
    if (openmetrics && metric->kind == CLEW__INFO)
        len -= strlen("_info");
    clew__buf_adds(&page->out, "# HELP ");
    clew__buf_add(&page->out, metric->name, len);
    clew__buf_addc(&page->out, ' ');
    add_escaped(&page->out, metric->help, openmetrics);
    clew__buf_adds(&page->out, "\n# TYPE ");
    clew__buf_add(&page->out, metric->name, len);
    clew__buf_addc(&page->out, ' ');
    clew__buf_adds(&page->out, types[metric->kind][openmetrics]);
    clew__buf_addc(&page->out, '\n');
}

void clew__render_text_metric(struct clew__page *page, const struct clew_metric *metric)
{
    bool openmetrics = page->format->exposition == CLEW_EXPOSITION_OPENMETRICS;
    struct clew__series *series = atomic_load_explicit(&metric->first, memory_order_acquire);

    add_head(page, metric, openmetrics);
    for (; series; series = atomic_load_explicit(&series->next, memory_order_acquire)) {
        if (!has_text(page, series))
            return;
        if (metric->kind == CLEW__HISTOGRAM)
            add_classic(page, series, openmetrics);
        else if (metric->kind == CLEW__NATIVE)
            add_native(page, series);
        else
            add_scalar(page, series, openmetrics);
        clew__page_pass_on(page);
    }
}
