/* SPDX-License-Identifier: Apache-2.0
 * Spans of time and times of the clock: Alertmanager's words, IANA's zones, both
 * ends of summer time, leap days. */
#include "bridge.h"

#include <common/duration.h>
#include <common/instant.h>
#include <config/intervals.h>

#include <clew/log.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct bench bench;

static int setup(void **state)
{
    (void)state;
    bench_init(&bench);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    bench_done(&bench);
    return 0;
}

static const char *config_text(const char *interval)
{
    static char text[2048];

    (void)snprintf(text, sizeof(text),
                   "storage: unused\n"
                   "time_intervals:\n"
                   "  - name: hours\n"
                   "    time_intervals: [%s]\n"
                   "  - name: holidays\n"
                   "    time_intervals: [{months: [december], days_of_month: ['24:26']}]\n"
                   "route: {receiver: team, active_time_intervals: [hours],"
                   " mute_time_intervals: [holidays]}\n"
                   "receivers: [{name: team}]\n",
                   interval);
    return text;
}

static int64_t at(const char *text)
{
    int64_t instant;

    assert_true(clew__instant_parse(text, &instant));
    return instant;
}

/* Whether `hours` has these instants: "+time" or "-time". */
static void check(const char *interval, const char *const *cases)
{
    struct clew__config *config = load_config(&bench, config_text(interval));
    const struct clew__interval *hours = clew__config_interval(config, "hours");

    for (; *cases; cases++)
        if (clew__interval_has(hours, at(*cases + 1)) != (**cases == '+'))
            fail_msg("%s: %s", interval, *cases);
    (void)clew__config_free(config);
}

static void next(const char *interval, const char *from, const char *expected)
{
    struct clew__config *config = load_config(&bench, config_text(interval));
    int64_t opening = clew__hours_next(&config->route->hours, at(from));
    char text[CLEW__INSTANT_TEXT];

    if (opening != (expected ? at(expected) : 0))
        fail_msg("%s from %s: %s", interval, from, clew__instant_format(opening, text));
    (void)clew__config_free(config);
}

#define CHECK(interval, ...) check(interval, (const char *const[]){__VA_ARGS__, NULL})
#define BUSINESS                                          \
    "{times: [{start_time: '09:00', end_time: '17:00'}]," \
    " weekdays: ['monday:friday'], location: Europe/Berlin}"

static void test_duration_texts(void **state)
{
    static const struct {
        const char *text;
        int64_t seconds; /* -1: refused */
        const char *back;
    } cases[] = {
        {"15m", 900, "15m"},  {"1h30m", 5400, "1h30m"}, {"90s", 90, "1m30s"},
        {"1d", 86400, "1d"},  {"0", 0, "0s"},           {"0s", 0, "0s"},
        {"1w", 604800, "7d"}, {"", -1, NULL},           {"15", -1, NULL},
        {"m", -1, NULL},      {"1m1h", -1, NULL},       {"1m1m", -1, NULL},
        {"1.5h", -1, NULL},   {"-1m", -1, NULL},        {"2y", -1, NULL},
        {"1 h", -1, NULL},    {"999999999w", -1, NULL}, {"9999999999s", -1, NULL},
        {"1hx", -1, NULL},    {"1y1s", -1, NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[CLEW__DURATION_TEXT];
        int64_t ns = -7;
        bool good = clew__duration_parse(cases[i].text, &ns);

        if (good != (cases[i].seconds >= 0) ||
            ns != (good ? cases[i].seconds * CLEW__SECOND_NS : -7))
            fail_msg("%s", cases[i].text);
        if (good)
            assert_string_equal(clew__duration_format(ns, text), cases[i].back);
    }
}

static void test_interval_business_hours(void **state)
{
    (void)state;
    /* Wednesday, winter: Berlin is an hour ahead; summer: two. */
    CHECK(BUSINESS, "-2026-01-07T07:59:59.999Z", "+2026-01-07T08:00:00Z", "+2026-01-07T15:59:59Z",
          "-2026-01-07T16:00:00Z", "+2026-07-08T07:00:00Z", "-2026-07-08T06:59:00Z",
          "-2026-07-08T15:00:00Z", "-2026-01-10T10:00:00Z", "-2026-01-11T10:00:00Z");
}

static void test_interval_fields(void **state)
{
    (void)state;
    CHECK("{}", "+1999-01-01T00:00:00Z");
    CHECK("{weekdays: [Saturday, sunday]}", "+2026-01-10T00:00:00Z", "-2026-01-12T00:00:00Z");
    CHECK("{months: ['january:march', '5', june:7]}", "+2026-02-01T00:00:00Z",
          "-2026-04-30T23:59:59Z", "+2026-05-01T00:00:00Z", "+2026-07-31T00:00:00Z",
          "-2026-08-01T00:00:00Z");
    CHECK("{years: ['2026:2027', '2030']}", "-2025-12-31T23:59:59Z", "+2027-12-31T23:59:59Z",
          "-2028-01-01T00:00:00Z", "+2030-06-01T00:00:00Z");
    CHECK("{days_of_month: ['1:2', '-2:-1', '15:-15']}", "+2026-02-02T00:00:00Z",
          "-2026-02-03T00:00:00Z", "+2026-02-27T00:00:00Z", "+2024-02-29T00:00:00Z",
          "-2024-02-27T00:00:00Z", "+2026-01-16T00:00:00Z", "-2026-02-16T00:00:00Z");
    CHECK("{times: [{start_time: '22:00', end_time: '24:00'},"
          " {start_time: '00:00', end_time: '06:00'}]}",
          "+2026-02-02T23:59:59Z", "+2026-02-02T00:00:00Z", "-2026-02-02T06:00:00Z");
}

/* In spring 02:30 does not come; in autumn it comes twice. */
static void test_interval_ends_of_summer_time(void **state)
{
    static const char night[] =
        "{times: [{start_time: '02:15', end_time: '02:45'}], location: Europe/Berlin}";

    (void)state;
    CHECK(night, "+2026-03-28T01:30:00Z", "-2026-03-29T00:30:00Z", "-2026-03-29T01:30:00Z",
          "+2026-03-30T00:30:00Z", "+2026-10-25T00:30:00Z", "+2026-10-25T01:30:00Z",
          "-2026-10-25T02:30:00Z", "-2026-10-26T00:30:00Z", "+2026-10-26T01:30:00Z");
    next(night, "2026-03-28T02:00:00Z", "2026-03-30T00:15:00Z");
    next(night, "2026-10-25T00:50:00Z", "2026-10-25T01:15:00Z");
    /* The Monday after: nine o'clock there, whatever UTC says. */
    next(BUSINESS, "2026-03-27T16:00:00Z", "2026-03-30T07:00:00Z");
    next(BUSINESS, "2026-10-23T15:00:00Z", "2026-10-26T08:00:00Z");
    /* Half an hour, in the southern summer. */
    next("{times: [{start_time: '09:00', end_time: '10:00'}], location: Australia/Lord_Howe}",
         "2026-01-15T00:00:00Z", "2026-01-15T22:00:00Z");
    next("{times: [{start_time: '09:00', end_time: '10:00'}], location: Australia/Lord_Howe}",
         "2026-07-15T00:00:00Z", "2026-07-15T22:30:00Z");
    next("{times: [{start_time: '09:00', end_time: '10:00'}], location: Asia/Kathmandu}",
         "2026-07-15T05:00:00Z", "2026-07-16T03:15:00Z");
}

static void test_interval_next_opening(void **state)
{
    (void)state;
    next(BUSINESS, "2026-01-07T10:00:00.5Z", "2026-01-07T10:00:00.5Z"); /* open already */
    next(BUSINESS, "2026-01-09T16:00:00Z", "2026-01-12T08:00:00Z");
    next("{days_of_month: ['29'], months: [february]}", "2026-01-01T00:00:00Z",
         "2028-02-29T00:00:00Z");
    next("{days_of_month: ['29'], months: [february]}", "2096-03-01T00:00:00Z",
         "2104-02-29T00:00:00Z"); /* 2100 is no leap year */
    next("{days_of_month: ['-1'], location: America/New_York}", "2026-02-10T00:00:00Z",
         "2026-02-28T05:00:00Z");
    next("{years: ['2020']}", "2026-01-01T00:00:00Z", NULL);
    /* Muted from the 24th to the 26th of December. */
    next("{}", "2026-12-24T00:00:00Z", "2026-12-27T00:00:00Z");
}

static void test_interval_errors(void **state)
{
    static const char *const cases[][2] = {
        {"{location: Europe/Atlantis}", ":4:33: the system knows no time zone"},
        {"{location: ../../etc/passwd}", "no time zone"},
        {"{times: [{start_time: '17:00', end_time: '09:00'}]}", "end_time is not after"},
        {"{times: [{start_time: '9:00', end_time: '10:00'}]}", "start_time is a time"},
        {"{times: [{start_time: '09:60', end_time: '10:00'}]}", "start_time is a time"},
        {"{times: [{start_time: '09:00', end_time: '24:01'}]}", "end_time is a time"},
        {"{times: [{start_time: '09:00'}]}", "end_time is a time"},
        {"{weekdays: [funday]}", "a range like"},
        {"{weekdays: ['friday:monday']}", "before the beginning"},
        {"{weekdays: ['0:7']}", "only values from 0 to 6"},
        {"{months: ['0']}", "only values from 1 to 12"},
        {"{months: ['']}", "a range like"},
        {"{days_of_month: ['0']}", "days are 1 to 31"},
        {"{days_of_month: ['-1:5']}", "days are 1 to 31"},
        {"{days_of_month: ['32']}", "only values from -31 to 31"},
        {"{years: ['2027:2026']}", "before the beginning"},
        {"{week: [monday]}", "week"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct clew__config *config = NULL;
        const char *file = bench_write(&bench, "config.yml", "%s", config_text(cases[i][0]));

        assert_true(clew__config_load(file, NULL, &config) < 0);
        if (!strstr(clew_last_error(), cases[i][1]))
            fail_msg("%s: %s", cases[i][0], clew_last_error());
    }
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_duration_texts),        TEST(test_interval_business_hours),
        TEST(test_interval_fields),       TEST(test_interval_ends_of_summer_time),
        TEST(test_interval_next_opening), TEST(test_interval_errors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
