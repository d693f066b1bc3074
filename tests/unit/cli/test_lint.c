/* SPDX-License-Identifier: Apache-2.0
 * Pages of metrics and what the lint says of them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <lint.h>

#include <stdlib.h>
#include <string.h>

struct verdict {
    size_t notes, warnings, errors;
    char *text;
};

static struct verdict lint_of(const char *page)
{
    struct verdict verdict = {0, 0, 0, NULL};
    size_t size = 0, len = strlen(page);
    struct cli_lint lint = {.source = "page", .series_max = 4, .values_max = 3};
    char *exact = malloc(len + 1);

    memcpy(exact, page, len); /* without a NUL: what reads on is seen */
    exact = realloc(exact, len ? len : 1);
    lint.out = open_memstream(&verdict.text, &size);
    assert_true(cli_lint_page(&lint, exact, len));
    (void)fclose(lint.out);
    verdict.notes = lint.count[CLI_LINT_NOTE];
    verdict.warnings = lint.count[CLI_LINT_WARNING];
    verdict.errors = lint.count[CLI_LINT_ERROR];
    cli_lint_done(&lint);
    free(exact);
    return verdict;
}

#define GAUGE(name) "# HELP " name " X.\n# TYPE " name " gauge\n"
#define COUNTER(name) "# HELP " name " X.\n# TYPE " name " counter\n"
#define HISTOGRAM(name) "# HELP " name " X.\n# TYPE " name " histogram\n"

static const struct {
    const char *page;
    size_t notes, warnings, errors;
    const char *says; /* one of them; NULL: nothing */
} cases[] = {
    {"", 0, 0, 0, NULL},
    {GAUGE("a") "a 1\n", 0, 0, 0, NULL},
    {GAUGE("a") "a 1 1700000000000\n", 0, 0, 0, NULL},
    {GAUGE("a_bytes") "a_bytes NaN\n# EOF\n", 0, 0, 0, NULL},
    {GAUGE("a") "a{x=\"1\",y=\"\\\"}\\n\",} +Inf\n", 0, 0, 0, NULL},
    {COUNTER("a_total") "a_total 1 # {trace_id=\"ab\"} 0.5 1.5\n", 0, 0, 0, NULL},
    {"# HELP a X.\n# TYPE a counter\na_total 1\na_created 5\n# EOF\n", 0, 0, 0, NULL},
    {"# HELP a.b X.\n# TYPE a.b gauge\n{\"a.b\",\"x.y\"=\"1\"} 1\n", 0, 1, 0, "Prometheus 3"},
    /* form */
    {GAUGE("a") "a\n", 0, 0, 1, "page:3: error: a: the value is no number"},
    {GAUGE("a") "a 0x10\n", 0, 0, 1, "no number"},
    {GAUGE("a") "a 1 x\n", 0, 0, 1, "the time is no number"},
    {GAUGE("a") "a 1 2 3\n", 0, 0, 1, "behind the value"},
    {GAUGE("a") "a{x=1} 1\n", 0, 0, 1, "no quotes"},
    {GAUGE("a") "a{x=\"1} 1\n", 0, 0, 1, "no quotes"},
    {GAUGE("a") "a{x=\"1\\", 0, 0, 2, "line break"},
    {GAUGE("a") "a{x=\"1\" y=\"2\"} 1\n", 0, 0, 1, "comma"},
    {GAUGE("a") "a{x} 1\n", 0, 0, 1, "without a value"},
    {GAUGE("a") "a{9=\"1\"} 1\n", 0, 0, 1, "[a-zA-Z_]"},
    {GAUGE("a") "9a 1\n", 0, 0, 1, "a metric's name"},
    {GAUGE("a") "a 1 # 5\n", 0, 0, 1, "an exemplar"},
    {GAUGE("a") "a 1\n# EOF\na{x=\"1\"} 1\n", 0, 0, 1, "behind # EOF"},
    {GAUGE("a") "a 1\na 2\n", 0, 0, 1, "the same series twice"},
    {GAUGE("a") "a{x=\"1\",y=\"2\"} 1\na{y=\"2\",x=\"1\"} 2\n", 0, 0, 1, "twice"},
    {"a 1\n# HELP a X.\n# TYPE a gauge\n", 0, 0, 1, "behind its samples"},
    {GAUGE("a") "# TYPE a gauge\na 1\n", 0, 0, 1, "a second TYPE"},
    {"# HELP a X.\n# TYPE a gouge\na 1\n", 0, 0, 1, "no type"},
    {GAUGE("a") GAUGE("b") "a 1\nb 1\na{x=\"1\"} 1\n", 0, 0, 1, "not together"},
    {COUNTER("a_total") "a_total -1\n", 0, 0, 1, "negative"},
    {HISTOGRAM("h") "h_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 1\nh_count 2\n", 0, 0, 0,
     NULL},
    {HISTOGRAM("h") "h_bucket{le=\"1\"} 3\nh_bucket{le=\"+Inf\"} 2\nh_sum 1\nh_count 2\n", 0, 0, 1,
     "not cumulative"},
    {HISTOGRAM("h") "h_bucket{le=\"1\"} 2\nh_sum 1\nh_count 2\n", 0, 0, 1, "no bucket +Inf"},
    {HISTOGRAM("h") "h_bucket{le=\"+Inf\"} 2\nh_sum 1\nh_count 3\n", 0, 0, 1, "_count is not"},
    {HISTOGRAM("h") "h_bucket{x=\"1\",le=\"+Inf\"} 2\nh_count{x=\"1\"} 2\n"
                    "h_bucket{x=\"2\",le=\"+Inf\"} 1\nh_count{x=\"2\"} 1\n",
     0, 0, 0, NULL},
    /* names */
    {"# TYPE a gauge\na 1\n", 0, 1, 0, "no HELP"},
    {"# HELP a X.\na 1\n", 0, 1, 0, "no TYPE"},
    {COUNTER("a") "a 1\n", 0, 1, 0, "name it a_total"},
    {GAUGE("a_total") "a_total 1\n", 0, 1, 0, "for counters"},
    {GAUGE("a_count") "a_count 1\n", 0, 1, 0, "for counters"},
    {GAUGE("cpu_percent") "cpu_percent 1\n", 0, 1, 0, "name it cpu_ratio (divide by 100)"},
    {GAUGE("cpu_percent") "cpu_percent 1\n" GAUGE("cpu_ratio") "cpu_ratio 1\n", 1, 0, 0,
     "its twin cpu_ratio is there"},
    {GAUGE("last_timestamp") "last_timestamp 1\n", 0, 1, 0, "last_timestamp_seconds"},
    {GAUGE("last_timestamp_seconds") "last_timestamp_seconds 1\n", 0, 0, 0, NULL},
    {COUNTER("wait_ms_total") "wait_ms_total 1\n", 0, 1, 0, "wait_seconds_total"},
    {HISTOGRAM("call_duration") "call_duration_bucket{le=\"+Inf\"} 1\ncall_duration_count 1\n", 0,
     1, 0, "call_duration_seconds"},
    {GAUGE("heap_mb") "heap_mb 1\n", 0, 1, 0, "heap_bytes (multiply by 1e6)"},
    {GAUGE("percent") "percent 1\n", 0, 0, 0, NULL},
    {GAUGE("callGauge") "callGauge 1\n", 0, 1, 0, "small letters"},
    {GAUGE("a:b") "a:b 1\n", 0, 1, 0, "recording rules"},
    {GAUGE("queue_gauge") "queue_gauge 1\n", 0, 1, 0, "leave the type out"},
    /* labels */
    {GAUGE("a") "a{__x=\"1\"} 1\n", 0, 0, 1, "two underscores"},
    {GAUGE("a") "a{le=\"1\"} 1\n", 0, 0, 1, "reserved for histograms"},
    {GAUGE("a") "a{quantile=\"1\"} 1\n", 0, 0, 1, "reserved for summaries"},
    {GAUGE("a") "a{instance=\"1\"} 1\n", 0, 1, 0, "exported_instance"},
    {GAUGE("a") "a{user_id=\"1\"} 1\n", 0, 1, 0, "each id is a series"},
    {GAUGE("a") "a{path=\"/v2/orders/{id}\"} 1\n", 0, 0, 0, NULL},
    {GAUGE("a") "a{path=\"/v2/orders/17\"} 1\na{path=\"/v2/orders/18\"} 1\n", 0, 1, 0, "raw path"},
    {GAUGE("a") "a{path=\"/x?y=1\"} 1\n", 0, 1, 0, "raw path"},
    {GAUGE("a") "a{x=\"0af76519-16cd-43dd-8448-eb211c80319c\"} 1\n", 0, 1, 0, "a value is an id"},
    {GAUGE("a") "a{x=\"Bearer hush\"} 1\n", 0, 0, 1, "looks like a secret"},
    {GAUGE("a") "a{x=\"1\"} 1\na{x=\"2\"} 1\na{x=\"3\"} 1\na{x=\"4\"} 1\n", 0, 1, 0, "4 values"},
    {GAUGE("a") "a{x=\"1\",y=\"1\"} 1\na{x=\"1\",y=\"2\"} 1\na{x=\"2\",y=\"1\"} 1\n"
                "a{x=\"2\",y=\"2\"} 1\na{x=\"3\",y=\"2\"} 1\n",
     0, 1, 0, "5 series"},
};

static void test_lint_verdicts(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct verdict v = lint_of(cases[i].page);

        if (v.notes != cases[i].notes || v.warnings != cases[i].warnings ||
            v.errors != cases[i].errors || !strstr(v.text, cases[i].says ? cases[i].says : ""))
            fail_msg("%s\n%s", cases[i].page, v.text);
        free(v.text);
    }
}

static void test_lint_never_repeats_a_value(void **state)
{
    struct verdict v = lint_of(GAUGE("a") "a{x=\"Bearer hush\"} 1\n");

    (void)state;
    assert_null(strstr(v.text, "hush"));
    free(v.text);
}

static void test_lint_controls_do_not_reach_the_terminal(void **state)
{
    struct verdict v = lint_of("# TYPE a\033[2J gauge\na 1\n");

    (void)state;
    assert_null(strchr(v.text, '\033'));
    free(v.text);
    v = lint_of(GAUGE("a") "a{\"__x\033[2J\"=\"1\"} 1\n");
    assert_int_equal(v.errors, 1);
    assert_null(strchr(v.text, '\033'));
    free(v.text);
}

/* Families and series beyond what any table began with. */
static void test_lint_large_pages(void **state)
{
    struct cli_lint lint = {.source = "page", .series_max = 100000, .values_max = 100000};
    char *page = NULL, *text = NULL;
    size_t len = 0, text_len = 0;
    FILE *file = open_memstream(&page, &len);

    (void)state;
    for (int i = 0; i < 3000; i++)
        fprintf(file, "# HELP m%d X.\n# TYPE m%d gauge\nm%d 1\n", i, i, i);
    fputs("# HELP many X.\n# TYPE many gauge\n", file);
    for (int i = 0; i < 20000; i++)
        fprintf(file, "many{x=\"v%d\"} 1\n", i);
    fputs("many{x=\"v7\"} 2\n", file);
    (void)fclose(file);
    lint.out = open_memstream(&text, &text_len);
    assert_true(cli_lint_page(&lint, page, len));
    (void)fclose(lint.out);
    assert_int_equal(lint.nfamilies, 3001);
    assert_int_equal(lint.count[CLI_LINT_WARNING], 0);
    assert_int_equal(lint.count[CLI_LINT_ERROR], 1);
    assert_non_null(strstr(text, "many: the same series twice"));
    cli_lint_done(&lint);
    free(page);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lint_verdicts),
        cmocka_unit_test(test_lint_never_repeats_a_value),
        cmocka_unit_test(test_lint_controls_do_not_reach_the_terminal),
        cmocka_unit_test(test_lint_large_pages),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
