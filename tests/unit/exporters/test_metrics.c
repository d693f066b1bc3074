/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <clew/metrics.h>

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LABELS(...) ((const char *const[]){__VA_ARGS__, NULL})

static char *page(bool openmetrics)
{
    char *text;
    size_t len;

    assert_int_equal(clew_metrics_render(openmetrics, &text, &len), 0);
    assert_int_equal(strlen(text), len);
    return text;
}

static void assert_on_page(const char *expected)
{
    char *text = page(false);

    if (!strstr(text, expected))
        fail_msg("not on the page: %s", expected);
    free(text);
}

static void *add_many(void *arg)
{
    for (int i = 0; i < 100000; i++) {
        clew_series_add(arg, 1);
        if (i % 100 == 0)
            clew_series_add(arg, 0.25);
    }
    return NULL;
}

static void test_metrics_counter_is_exact_under_threads(void **state)
{
    struct clew_series *series = clew_metric_series(clew_counter("exact_total", "E.", NULL), NULL);
    pthread_t threads[8];

    (void)state;
    for (int i = 0; i < 8; i++)
        pthread_create(&threads[i], NULL, add_many, series);
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    clew_series_add(series, -5);
    clew_series_add(series, NAN);
    clew_series_add(series, INFINITY);
    assert_on_page("\nexact_total 802000.0\n");
}

static void test_metrics_gauge_goes_both_ways(void **state)
{
    struct clew_series *series = clew_metric_series(clew_gauge("level", "L.", NULL), NULL);

    (void)state;
    clew_series_set(series, 5);
    clew_series_add(series, -7.5);
    assert_on_page("\n# TYPE level gauge\nlevel -2.5\n");
}

static void test_metrics_hostile_text_keeps_the_page_whole(void **state)
{
    struct clew_metric *metric =
        clew_counter("hostile_total", "line\nbreak \\ \"q\" \xff", LABELS("a", "b"));
    char long_value[1000];

    (void)state;
    memset(long_value, 'v', 999);
    long_value[999] = '\0';
    clew_series_add(clew_metric_series(metric, LABELS("x\"y\\z\nw", "\xff\xfe")), 1);
    clew_series_add(clew_metric_series(metric, LABELS("long", long_value)), 1);
    clew_series_add(clew_metric_series(metric, LABELS("x\"y\\z\nw", "\xfe\xff")), 1);
    assert_on_page("# HELP hostile_total line\\nbreak \\\\ \"q\" \xEF\xBF\xBD\n");
    assert_on_page("hostile_total{a=\"x\\\"y\\\\z\\nw\",b=\"\xEF\xBF\xBD\xEF\xBF\xBD\"} 2.0\n");
    memset(long_value, 'v', 256);
    long_value[256] = '\0';
    char expected[1100];
    snprintf(expected, sizeof(expected), "a=\"long\",b=\"%s\"}", long_value);
    assert_on_page(expected);
}

static void test_metrics_bad_definitions_are_refused(void **state)
{
    static const double backwards[] = {2, 1};

    (void)state;
    assert_null(clew_counter("no_suffix", "H.", NULL));
    assert_null(clew_counter("0_total", "H.", NULL));
    assert_null(clew_gauge("with-dash", "H.", NULL));
    assert_null(clew_gauge("", "H.", NULL));
    assert_null(clew_gauge("g", "H.", LABELS("__name__")));
    assert_null(clew_histogram("h", "H.", LABELS("le"), NULL, 0));
    assert_null(clew_histogram("h", "H.", NULL, backwards, 2));
    assert_non_null(strstr(clew_last_error(), "ascending"));
    assert_null(clew_gauge("g", "H.", LABELS("a", "a")));
    assert_non_null(clew_counter("family_total", "H.", NULL));
    assert_null(clew_gauge("family", "H.", NULL));
    assert_non_null(clew_gauge("once", "H.", LABELS("a")));
    assert_ptr_equal(clew_gauge("once", "H.", LABELS("a")), clew_gauge("once", "H.", LABELS("a")));
    assert_null(clew_gauge("once", "H.", LABELS("b")));
    assert_null(clew_histogram("once", "H.", LABELS("a"), NULL, 0));
    assert_null(clew_metric_series(NULL, NULL));
    clew_series_add(NULL, 1);
}

static void test_metrics_past_the_limit_goes_to_overflow(void **state)
{
    struct clew_metric *metric = clew_counter("many_total", "M.", LABELS("id"));
    char id[32];

    (void)state;
    for (int i = 0; i < 10000; i++) {
        snprintf(id, sizeof(id), "%d", i);
        clew_series_add(clew_metric_series(metric, LABELS(id)), 1);
    }
    assert_on_page("many_total{id=\"overflow\"} 8000.0\n");
    assert_on_page("many_total{id=\"1999\"} 1.0\n");
}

static _Atomic bool stop;

static void *observe_many(void *arg)
{
    uint8_t trace_id[16] = {0xab};

    for (unsigned i = 0; !stop; i++)
        clew_series_observe(arg, (i % 1000) / 100.0, trace_id, 7);
    return NULL;
}

/* In every page count must be the +Inf bucket, and an exemplar whole. */
static void test_metrics_histogram_pages_agree_under_load(void **state)
{
    struct clew_series *series =
        clew_metric_series(clew_histogram("busy_seconds", "B.", NULL, NULL, 0), NULL);
    pthread_t threads[2];

    (void)state;
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, observe_many, series);
    for (int i = 0; i < 300; i++) {
        char *text = page(true), *inf, *count, *exemplar;

        inf = strstr(text, "busy_seconds_bucket{le=\"+Inf\"} ");
        count = strstr(text, "busy_seconds_count ");
        assert_non_null(inf);
        assert_non_null(count);
        assert_true(strtod(inf + 31, NULL) == strtod(count + 19, NULL));
        for (exemplar = text; (exemplar = strstr(exemplar, "# {trace_id=")); exemplar++)
            assert_memory_equal(exemplar,
                                "# {trace_id=\"ab000000000000000000000000000000\",span_id=", 55);
        assert_string_equal(text + strlen(text) - 6, "# EOF\n");
        free(text);
    }
    stop = true;
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
}

static double forty_two(void *arg)
{
    return *(double *)arg;
}

static void test_metrics_callback_is_asked_at_the_scrape(void **state)
{
    static double value = 42;

    (void)state;
    assert_int_equal(clew_metric_callback(clew_gauge("asked", "A.", NULL), forty_two, &value), 0);
    assert_true(clew_metric_callback(clew_gauge("asked_l", "A.", LABELS("l")), forty_two, &value) <
                0);
    assert_on_page("\nasked 42.0\n");
    value = 43;
    assert_on_page("\nasked 43.0\n");
}

static void test_metrics_openmetrics_names_families_without_total(void **state)
{
    char *text;

    (void)state;
    clew_series_add(clew_metric_series(clew_counter("om_total", "O.", NULL), NULL), 1);
    text = page(true);
    assert_non_null(strstr(text, "# TYPE om counter\nom_total 1.0\n"));
    free(text);
    assert_on_page("# TYPE om_total counter\nom_total 1.0\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_metrics_counter_is_exact_under_threads),
        cmocka_unit_test(test_metrics_gauge_goes_both_ways),
        cmocka_unit_test(test_metrics_hostile_text_keeps_the_page_whole),
        cmocka_unit_test(test_metrics_bad_definitions_are_refused),
        cmocka_unit_test(test_metrics_past_the_limit_goes_to_overflow),
        cmocka_unit_test(test_metrics_histogram_pages_agree_under_load),
        cmocka_unit_test(test_metrics_callback_is_asked_at_the_scrape),
        cmocka_unit_test(test_metrics_openmetrics_names_families_without_total),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
