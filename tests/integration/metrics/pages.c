/* SPDX-License-Identifier: Apache-2.0
 * A process with metrics of every kind, hostile ones among them, which writes its
 * pages while two threads count:
 *
 *     pages DIRECTORY ROUNDS */
#include <clew/export.h>
#include <clew/metrics.h>

#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LABELS(...) ((const char *const[]){__VA_ARGS__, NULL})

static struct clew_series *counter, *gauge, *histogram, *below_zero, *native;
static _Atomic bool stop;
static _Atomic unsigned counting; /* threads that have counted something */

static void *count(void *arg)
{
    uint8_t trace_id[16] = {0xab, 0xcd, 0xef};
    (void)arg;

    for (unsigned i = 0; !stop; i++) {
        clew_series_add_traced(counter, i % 3 ? 1 : 0.5, trace_id, 7);
        clew_series_add(gauge, i % 2 ? 1 : -1);
        clew_series_observe(histogram, i % 700 / 50.0, trace_id, 7);
        clew_series_observe(below_zero, i % 40 / 10.0 - 2, trace_id, 0);
        clew_series_observe(native, exp(i % 50 / 5.0) - 2, trace_id, 7);
        counting += i == 0;
    }
    return NULL;
}

static void add_hostile(void)
{
    static const char *const values[] = {"",
                                         "\"",
                                         "\\",
                                         "line\nbreak",
                                         "cr\r\nlf",
                                         "\xff\xfe bad",
                                         "cut \xe2\x82",
                                         "\xed\xa0\x80",
                                         "a\x01\x1b[2Jz",
                                         "le=\"0.5\"} 1\nevil_total 5",
                                         "# EOF\n",
                                         "\xe2\x80\xa8 separator",
                                         "overflow"};
    struct clew_metric *metric =
        clew_counter("hostile_total", "help \\ \"quoted\"\n# TYPE evil counter\n\xff\r",
                     LABELS("a", "le", "service"));

    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
        for (size_t k = 0; k < sizeof(values) / sizeof(values[0]); k++) {
            const struct clew_label label[] = {
                {values[i], strlen(values[i])}, {values[k], strlen(values[k])}, {"x\0y", 3}};

            clew_metric_add(metric, label, 1);
        }
    clew_series_set(clew_metric_series(clew_gauge("nan_gauge", NULL, NULL), NULL), NAN);
    clew_series_set(clew_metric_series(clew_gauge("inf_gauge", "", NULL), NULL), INFINITY);
    clew_series_set(clew_metric_series(clew_gauge("minus_gauge", "-", NULL), NULL), -INFINITY);
    clew_series_add(clew_metric_series(clew_counter("huge_total", "H.", NULL), NULL), 1e300);
    (void)clew_counter("no_series_total", "N.", LABELS("a"));
}

static bool write_page(const char *directory, const char *name, const char *accept, bool gzip)
{
    struct clew_page_format format;
    char path[500], *page;
    size_t len;
    FILE *f;

    clew_page_negotiate(accept, gzip ? "br, gzip;q=0.5" : NULL, &format);
    if (clew_page_render(&format, &page, &len) < 0)
        return false;
    (void)snprintf(path, sizeof(path), "%s/%s", directory, name);
    f = fopen(path, "w");
    if (!f || fwrite(page, 1, len, f) != len || fclose(f) != 0)
        return false;
    printf("%s %s\n", name, format.content_type);
    free(page);
    return true;
}

int main(int argc, char **argv)
{
    pthread_t threads[2];
    bool good = argc == 3;

    if (!good || clew_start("the \"service\"\n", "1.0") < 0) {
        (void)fprintf(stderr, "pages: %s\n", clew_last_error());
        return 1;
    }
    counter = clew_metric_series(clew_counter("busy_total", "B.", LABELS("kind")), LABELS("x"));
    gauge = clew_metric_series(clew_gauge("busy_now", "B.", NULL), NULL);
    histogram = clew_metric_series(clew_histogram("busy_seconds", "B.", LABELS("kind"), NULL, 0),
                                   LABELS("x"));
    below_zero = clew_metric_series(
        clew_histogram("celsius", "B.", NULL, (const double[]){-1, 0, 1}, 3), NULL);
    native = clew_metric_series(clew_native_histogram("busy_native", "B.", NULL, 3, 0), NULL);
    (void)clew_metric_info("build_info", "I.", LABELS("version"), LABELS("1.2.3"));
    add_hostile();
    for (int i = 0; i < 2; i++)
        (void)pthread_create(&threads[i], NULL, count, NULL);
    while (counting < 2)
        sched_yield();
    for (int i = 0; good && i < atoi(argv[2]); i++) {
        char name[64];

        (void)snprintf(name, sizeof(name), "%d.openmetrics", i);
        good = write_page(argv[1], name, "application/openmetrics-text;version=1.0.0", false);
        (void)snprintf(name, sizeof(name), "%d.text", i);
        good = good && write_page(argv[1], name, "text/plain;version=0.0.4;q=0.3", i % 2);
        (void)snprintf(name, sizeof(name), "%d.protobuf", i);
        good = good && write_page(argv[1], name,
                                  "application/vnd.google.protobuf;proto=io.prometheus.client."
                                  "MetricFamily;encoding=delimited;q=0.6,*/*;q=0.2",
                                  i % 2);
    }
    stop = true;
    for (int i = 0; i < 2; i++)
        (void)pthread_join(threads[i], NULL);
    return !good;
}
