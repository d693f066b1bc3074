/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge.h"

#include <delivery/backoff.h>
#include <receivers/text.h>

#include <clew/log.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct clew__page page;
static struct clew__page_alert alerts[2];

static int setup(void **state)
{
    (void)state;
    alerts[0] = (struct clew__page_alert){
        .firing = true,
        .starts_at = 1795208357632000000,
        .fingerprint = "a1",
        .generator_url = "",
        .labels = json_pack("{s:s, s:s, s:s}", "host", "h1", "service", "a b/ü&", "k", "MiXed"),
        .annotations = json_pack("{s:s}", "summary", "first")};
    alerts[1] =
        (struct clew__page_alert){.firing = true,
                                  .starts_at = 1795208357000000000,
                                  .fingerprint = "a2",
                                  .generator_url = "",
                                  .labels = json_pack("{s:s, s:s}", "host", "h2", "k", "MiXed"),
                                  .annotations = json_object()};
    page = (struct clew__page){.receiver = "team",
                               .note = "nobody has it in hand",
                               .nfiring = 3,
                               .external_url = "http://am.example",
                               .dedup_key = "d",
                               .group_labels = json_pack("{s:s}", "alertname", "Down"),
                               .common_labels = json_pack("{s:s}", "severity", "critical"),
                               .common_annotations = json_pack("{s:s}", "summary", "<s> & <t>"),
                               .alerts = alerts,
                               .nalerts = 2};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        json_decref(alerts[i].labels);
        json_decref(alerts[i].annotations);
    }
    json_decref(page.group_labels);
    json_decref(page.common_labels);
    json_decref(page.common_annotations);
    return 0;
}

static char *render(const char *text)
{
    struct clew__template *template = NULL;
    struct clew__buf buf;
    size_t len;

    if (clew__template_parse(text, &template) < 0)
        fail_msg("%s: %s", text, clew_last_error());
    clew__buf_init(&buf, CLEW__TEMPLATE_RESULT_MAX);
    clew__template_render(template, &page, NULL, &buf);
    (void)clew__template_free(template);
    return clew__buf_take(&buf, &len);
}

static void test_template_table(void **state)
{
    static const struct {
        const char *text, *one, *two; /* with one alert, with two */
    } cases[] = {
        {"", "", ""},
        {"plain } { text", "plain } { text", "plain } { text"},
        {"{{ .GroupLabels.alertname }}", "Down", "Down"},
        {"{{.GroupLabels.alertname}}!", "Down!", "Down!"},
        {"{{ .CommonLabels.severity | toUpper }}", "CRITICAL", "CRITICAL"},
        {"{{ .CommonAnnotations.summary }}", "<s> & <t>", "<s> & <t>"},
        {"{{ .CommonLabels.missing }}|", "|", "|"},
        {"{{ .Status }} {{ .Receiver }} {{ .ExternalURL }}", "firing team http://am.example",
         "firing team http://am.example"},
        {"{{ .Labels.host }}", "h1", ""}, /* two alerts do not share it */
        {"{{ .Labels.k | toLower }}", "mixed", "mixed"},
        {"{{ .Annotations.summary }}", "first", ""},
        {"{{ .Labels.service | urlquery }}", "a+b%2F%C3%BC%26", ""},
        {"{{ .Labels.service|toUpper|urlquery }}", "A+B%2F%C3%BC%26", ""},
        {"{{ .Note }}/{{ .Firing }}", "nobody has it in hand/3", "nobody has it in hand/3"},
        {"{{ .Labels.host | default \"many\" }}", "h1", "many"},
        {"{{ .Labels.host | default \"a }} \\\"b\\\\\" | toUpper }}", "H1", "A }} \"B\\"},
        {"{{ .StartsAt }}", "2026-11-20T20:59:17.632Z", "2026-11-20T20:59:17Z"},
        {"{{ .StartsAt | unixMs }}", "1795208357632", "1795208357000"},
        {"{{ .StartsAt | add \"-1h30m\" | unix }}", "1795202957", "1795202957"},
        {"{{ .StartsAt | add \"1d\" | add \"2s\" | urlquery }}", "2026-11-21T20%3A59%3A19.632Z",
         "2026-11-21T20%3A59%3A19Z"},
        {"{{ if .Labels.host }}on {{ .Labels.host }}{{ end }}.", "on h1.", "."},
        {"{{ if .Labels.host }}one{{ else }}many{{ end }}.", "one.", "many."},
        {"{{ if not .Labels.host }}many{{ else }}one{{ end }}.", "one.", "many."},
        {"{{ if eq .CommonLabels.severity \"critical\" }}@here{{ end }}", "@here", "@here"},
        {"{{ if ne .CommonLabels.severity \"critical\" }}@here{{ end }}", "", ""},
        {"{{ if eq .Labels.k | toUpper \"MIXED\" }}{{ if .Labels.host }}1{{ else }}2{{ end }}"
         "{{ else }}{{ if .Status }}3{{ end }}{{ end }}",
         "1", "2"},
        {"{{ if .Labels.no }}{{ if .Status }}1{{ else }}2{{ end }}{{ else }}3{{ end }}4", "34",
         "34"},
        {"{{ if .Labels.no }}{{ end }}", "", ""},
        {"a{{ .Status }}b{{ .Status | toUpper }}c", "afiringbFIRINGc", "afiringbFIRINGc"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        for (size_t n = 1; n <= 2; n++) {
            char *got;

            page.nalerts = n;
            got = render(cases[i].text);
            assert_string_equal(got, n == 1 ? cases[i].one : cases[i].two);
            free(got);
        }
}

static void test_template_errors(void **state)
{
    static const struct {
        const char *text, *reason;
    } cases[] = {
        {"{{ .Status", "without }}"},
        {"{{ }}", "expected a field"},
        {"{{ Status }}", "expected a field"},
        {"{{ .Bogus }}", "unknown field"},
        {"{{ .Labels }}", "needs a name"},
        {"{{ .Labels. }}", "needs a name"},
        {"{{ .Status | }}", "unknown function"},
        {"{{ .Status | shell }}", "unknown function \"shell\""},
        {"{{ .Status toUpper }}", "expected |"},
        {"{{ range .Alerts }}{{ end }}", "expected a field"},
        {"{{ .Labels.a | default }}", "double quotes"},
        {"{{ .Labels.a | default \"x }}", "has no end"},
        {"{{ .Labels.a | unix }}", "needs a time"},
        {"{{ .StartsAt | unix | add \"1m\" }}", "needs a time"},
        {"{{ .StartsAt | add \"1 minute\" }}", "span of time"},
        {"{{ if .Status }}", "if without end"},
        {"{{ if .Status }}{{ else }}{{ else }}{{ end }}", "else without if"},
        {"{{ else }}", "else without if"},
        {"{{ end }}", "end without if"},
        {"{{ if eq .Status }}{{ end }}", "double quotes"},
        {"{{ if }}{{ end }}", "expected a field"},
        {"{{ if .Status x }}{{ end }}", "expected |"},
        {"{{ .Status|toUpper|toUpper|toUpper|toUpper|toUpper }}", "more than 4"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct clew__template *template = NULL;

        assert_int_equal(clew__template_parse(cases[i].text, &template), -EINVAL);
        assert_null(template);
        if (!strstr(clew_last_error(), cases[i].reason))
            fail_msg("%s: %s", cases[i].text, clew_last_error());
    }
}

/* A link whose query would say nothing is left out. */
static void test_template_complete(void **state)
{
    static const struct {
        const char *text;
        bool one, two;
    } cases[] = {
        {"plain", true, true},
        {"{{ .Labels.host }}", true, false},
        {"{{ .Labels.host | default \"x\" }}", true, true},
        {"{{ if .Labels.host }}{{ .Labels.host }}{{ else }}{{ .Labels.no }}{{ end }}", true, false},
        {"{{ if .Labels.host }}{{ .Labels.host }}{{ end }}", true, true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct clew__template *template = NULL;

        assert_int_equal(clew__template_parse(cases[i].text, &template), 0);
        page.nalerts = 1;
        assert_int_equal(clew__template_complete(template, &page), cases[i].one);
        page.nalerts = 2;
        assert_int_equal(clew__template_complete(template, &page), cases[i].two);
        (void)clew__template_free(template);
    }
}

/* Now, while one fires; else the last end. */
static void test_template_ends_at(void **state)
{
    char *got;

    (void)state;
    got = render("{{ .EndsAt | unix }}");
    assert_true(llabs(strtoll(got, NULL, 10) - (long long)time(NULL)) < 5);
    free(got);
    alerts[0].firing = alerts[1].firing = false;
    alerts[0].ends_at = 1795208400000000000;
    alerts[1].ends_at = 1795208401000000000;
    got = render("{{ .EndsAt | unix }}");
    assert_string_equal(got, "1795208401");
    free(got);
}

static void test_template_long_value_is_cut(void **state)
{
    char *big = malloc(1000001), *got;

    (void)state;
    memset(big, 'x', 1000000);
    big[1000000] = '\0';
    json_object_set_new(page.common_labels, "big", json_string(big));
    got = render("<{{ .CommonLabels.big }}>");
    assert_non_null(got);
    assert_int_equal(strlen(got), 4098);
    free(got);
    free(big);
}

static void test_text_cut_table(void **state)
{
    static const struct {
        const char *text;
        size_t max;
        const char *cut;
    } cases[] = {
        {"abc", 3, "abc"},
        {"abcd", 3, "ab\xE2\x80\xA6"},
        {"", 1, ""},
        {"ab", 1, "\xE2\x80\xA6"},
        {"\xC3\xBC\xC3\xBC\xC3\xBC", 3, "\xC3\xBC\xC3\xBC\xC3\xBC"},
        {"\xC3\xBC\xC3\xBC\xC3\xBC", 2, "\xC3\xBC\xE2\x80\xA6"},
        {"\xF0\x9F\x94\xA5\xF0\x9F\x94\xA5", 1, "\xE2\x80\xA6"},
        {"ab&amp;cd", 6, "ab\xE2\x80\xA6"}, /* never within an entity */
        {"ab&amp;cdef", 8, "ab&amp;\xE2\x80\xA6"},
        {"&lt;&lt;&lt;", 7, "&lt;\xE2\x80\xA6"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct clew__buf buf;

        clew__buf_init(&buf, 256);
        clew__buf_adds(&buf, cases[i].text);
        clew__text_cut(&buf, cases[i].max);
        clew__buf_addc(&buf, '\0');
        assert_string_equal(buf.data, cases[i].cut);
        clew__buf_done(&buf);
    }
}

static void test_backoff_table(void **state)
{
    static const struct {
        unsigned attempts;
        double asked, least, most; /* seconds */
    } cases[] = {
        {1, -1, 0.5, 1},   {2, -1, 1, 2},          {4, -1, 4, 8},
        {9, -1, 128, 256}, {10, -1, 150, 300},     {4000000000u, -1, 150, 300},
        {1, 0, 0.5, 1},    {1, 30, 30, 31},        {1, 120, 120, 121},
        {10, 1, 150, 300}, {1, 1e9, 21600, 21601},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        for (uint64_t random = 0; random < 11; random++) {
            uint64_t spread = random == 10 ? UINT64_MAX : random * (UINT64_MAX / 10);
            double got = (double)clew__backoff_ns(cases[i].attempts, cases[i].asked, spread) / 1e9;

            if (got < cases[i].least || got > cases[i].most)
                fail_msg("case %zu: %f s", i, got);
        }
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_template_table),
        TEST(test_template_errors),
        TEST(test_template_complete),
        TEST(test_template_ends_at),
        TEST(test_template_long_value_is_cut),
        cmocka_unit_test(test_text_cut_table),
        cmocka_unit_test(test_backoff_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
