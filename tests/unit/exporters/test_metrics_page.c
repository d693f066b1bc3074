/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "metrics/config.h"
#include "metrics/registry_priv.h"
#include "sample.h"

#include <zlib.h>

#define LABELS(...) ((const char *const[]){__VA_ARGS__, NULL})

#define OPENMETRICS "application/openmetrics-text; version=1.0.0; charset=utf-8"
#define OPENMETRICS_0 "application/openmetrics-text; version=0.0.1; charset=utf-8"
#define TEXT "text/plain; version=0.0.4; charset=utf-8"
#define PROTOBUF                                                                 \
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; " \
    "encoding=delimited"
#define ASK_PROTOBUF \
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"

static void test_page_negotiation(void **state)
{
    static const struct {
        const char *accept, *content_type;
    } cases[] = {
        {NULL, TEXT},
        {"", TEXT},
        {"*/*", TEXT},
        {"text/html, */*;q=0.1", TEXT},
        {"application/json", TEXT},
        {"application/openmetrics-text", OPENMETRICS},
        {"application/openmetrics-text;version=2.0.0", TEXT},
        {"application/openmetrics-text; version=\"0.0.1\"", OPENMETRICS_0},
        {"APPLICATION/OpenMetrics-Text ; Version=1.0.0", OPENMETRICS},
        {"application/openmetrics-text;q=0, text/plain", TEXT},
        {"application/openmetrics-text;q=0.5, text/plain;q=0.6", TEXT},
        {"application/openmetrics-text;q=0.6, text/plain;q=0.5", OPENMETRICS},
        {"text/plain;version=0.0.4;q=0.5,*/*;q=0.9", TEXT},
        {"application/vnd.google.protobuf", TEXT},
        {ASK_PROTOBUF, PROTOBUF},
        {ASK_PROTOBUF ";q=nonsense, text/plain", TEXT},
        {ASK_PROTOBUF ";q=1.001, text/plain", TEXT},
        {";;;,,,=;q=,\"", TEXT},
        {"x;y=\"a,b;q=1\", application/openmetrics-text", OPENMETRICS},
        /* Prometheus 2.42 */
        {"application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;"
         "q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
         OPENMETRICS},
        /* Prometheus 3 */
        {"application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
         "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;"
         "escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
         OPENMETRICS "; escaping=allow-utf-8"},
        /* the same with native histograms */
        {ASK_PROTOBUF ";q=0.7,application/openmetrics-text;version=1.0.0;escaping=underscores;"
                      "q=0.6,text/plain;version=0.0.4;q=0.4,*/*;q=0.3",
         PROTOBUF},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct clew_page_format format;

        clew_page_negotiate(cases[i].accept, NULL, &format);
        assert_string_equal(format.content_type, cases[i].content_type);
        assert_false(format.gzip);
    }
}

static void test_page_gzip_is_asked_for(void **state)
{
    static const struct {
        const char *accept_encoding;
        bool gzip;
    } cases[] = {{"gzip", true},
                 {"br, gzip;q=0.001", true},
                 {"gzip;q=0", false},
                 {"deflate", false},
                 {"*", true},
                 {"*, gzip;q=0.0", false},
                 {"identity", false},
                 {"", false},
                 {"GZIP ; q=1.000", true},
                 {"notgzip", false}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct clew_page_format format;

        clew_page_negotiate(NULL, cases[i].accept_encoding, &format);
        assert_int_equal(format.gzip, cases[i].gzip);
    }
}

static void test_page_gzip_holds_the_same(void **state)
{
    struct clew_page_format format = {CLEW_EXPOSITION_OPENMETRICS, true, NULL};
    struct clew_metric *metric = clew_counter("zipped_total", "Z.", LABELS("v"));
    size_t len, plain_len, room;
    char *packed, *plain, *unpacked;
    z_stream z = {.next_in = NULL};

    (void)state;
    (void)clew_metric_limit(metric, NULL, 20000);
    for (int i = 0; i < 20000; i++) { /* more than one piece for the compressor */
        char value[32];

        snprintf(value, sizeof(value), "value-%d", i);
        clew_series_add(clew_metric_series(metric, LABELS(value)), i);
    }
    assert_int_equal(clew_page_render(&format, &packed, &len), 0);
    assert_int_equal(clew_metrics_render(true, &plain, &plain_len), 0);
    room = plain_len + 100;
    unpacked = malloc(room);
    assert_int_equal(inflateInit2(&z, 31), Z_OK);
    z.next_in = (Bytef *)packed;
    z.avail_in = (uInt)len;
    z.next_out = (Bytef *)unpacked;
    z.avail_out = (uInt)room;
    assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
    assert_int_equal(z.total_out, plain_len);
    assert_memory_equal(unpacked, plain, plain_len);
    assert_true(len < plain_len / 4);
    inflateEnd(&z);
    free(unpacked);
    free(plain);
    free(packed);
}

static void test_page_names_do_not_clash(void **state)
{
    (void)state;
    assert_non_null(clew_histogram("clash", "C.", NULL, NULL, 0));
    assert_null(clew_gauge("clash_count", "C.", NULL));
    assert_non_null(strstr(clew_last_error(), "taken by the metric clash"));
    assert_null(clew_counter("clash_total", "C.", NULL));
    assert_non_null(clew_gauge("other_sum", "C.", NULL));
    assert_null(clew_histogram("other", "C.", NULL, NULL, 0));
    assert_null(clew_gauge("summary", "C.", LABELS("quantile")));
    assert_non_null(strstr(clew_last_error(), "reserved for summaries"));
}

static void test_page_wrong_variables_are_refused(void **state)
{
    static const char *const wrong[][2] = {
        {"CLEW_METRICS_SERIES_MAX", "0"},  {"CLEW_METRICS_SERIES_MAX", "many"},
        {"CLEW_METRICS_VALUES_MAX", "-1"}, {"CLEW_METRICS_IDLE_S", "1h"},
        {"CLEW_METRICS_PREFIX", "1x"},     {"CLEW_METRICS_PREFIX", "a-"},
        {"CLEW_METRICS_LABELS", "name"},   {"CLEW_METRICS_LABELS", "a=1,a=2"},
        {"CLEW_METRICS_LABELS", "le=1"},   {"CLEW_METRICS_LABELS", "service,=x"},
        {"CLEW_METRICS_LABELS", "a=\xff"}, {"CLEW_METRICS_LABELS", "__a=x"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        setenv(wrong[i][0], wrong[i][1], 1);
        assert_true(clew__metrics_config_check() < 0);
        assert_non_null(strstr(clew_last_error(), wrong[i][0]));
        unsetenv(wrong[i][0]);
    }
    assert_int_equal(clew__metrics_config_check(), 0);
}

/* As set in main(), before the first metric. */
static void test_page_prefix_and_constant_labels(void **state)
{
    (void)state;
    clew_series_add(clew_metric_series(clew__derived_counter("derived_total", "D.", LABELS("zone")),
                                       LABELS("a")),
                    2);
    clew_series_add(clew_metric_series(clew_counter("plain_total", "P.", NULL), NULL), 3);
    assert_true(sample("marty_derived_total{zone=\"a\",region=\"eu\\\"1\"}") == 2);
    assert_true(sample("plain_total{region=\"eu\\\"1\",zone=\"z\"}") == 3);
    assert_int_equal(clew__derived_info("service_info", "S.", LABELS("name"), LABELS("x")), 0);
    assert_true(sample("marty_service_info{name=\"x\",region=\"eu\\\"1\",zone=\"z\"}") == 1);
}

static void test_page_timers(void **state)
{
    struct clew_series *series =
        clew_metric_series(clew_histogram("timed_seconds", "T.", NULL, NULL, 0), NULL);
    struct clew_timer timer;

    (void)state;
    {
        CLEW_TIME_SCOPE(series);
    }
    timer = clew_timer_start(series);
    clew_timer_stop(&timer);
    clew_timer_stop(&timer);
    timer = clew_timer_start(series);
    timer.series = NULL;
    clew_timer_stop(&timer);
    assert_true(sample("timed_seconds_count{region=\"eu\\\"1\",zone=\"z\"}") == 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_page_negotiation),
        cmocka_unit_test(test_page_gzip_is_asked_for),
        cmocka_unit_test(test_page_gzip_holds_the_same),
        cmocka_unit_test(test_page_names_do_not_clash),
        cmocka_unit_test(test_page_prefix_and_constant_labels),
        cmocka_unit_test(test_page_timers),
        cmocka_unit_test(test_page_wrong_variables_are_refused),
    };

    setenv("CLEW_METRICS_PREFIX", "marty_", 1);
    setenv("CLEW_METRICS_LABELS", "region=eu\"1,zone=z", 1);
    if (clew__metrics_config_check() < 0)
        return 1;
    (void)clew__metrics_config();
    unsetenv("CLEW_METRICS_PREFIX");
    unsetenv("CLEW_METRICS_LABELS");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
