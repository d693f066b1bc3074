/* SPDX-License-Identifier: Apache-2.0
 * Times of lines and of options. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <time_text.h>
#include <when.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define T INT64_C(1755684000000000000) /* 2025-08-20T10:00:00Z */

static void test_when_reads_what_loggers_write(void **state)
{
    static const struct {
        enum clew__scan_type type;
        const char *text;
        int64_t ns; /* -1: none */
    } cases[] = {
        {CLEW__SCAN_STRING, "2025-08-20T10:00:00Z", T},
        {CLEW__SCAN_STRING, "2025-08-20T10:00:00.123456789Z", T + 123456789},
        {CLEW__SCAN_STRING, "2025-08-20 10:00:00,5", T + 500000000},
        {CLEW__SCAN_STRING, "2025-08-20T12:00:00+02:00", T},
        {CLEW__SCAN_STRING, "2025-08-20T12:00:00.0000000000001+0200", T},
        {CLEW__SCAN_STRING, "2025-08-20t04:30:00-05:30", T},
        {CLEW__SCAN_STRING, "1970-01-01T00:00:00Z", 0},
        {CLEW__SCAN_STRING, "2000-02-29T00:00:00Z", INT64_C(951782400000000000)},
        {CLEW__SCAN_STRING, "1969-12-31T23:59:59Z", -1},
        {CLEW__SCAN_STRING, "1970-01-01T00:00:00+01:00", -1},
        {CLEW__SCAN_STRING, "9999-01-01T00:00:00Z", -1},
        {CLEW__SCAN_STRING, "2025-13-20T10:00:00Z", -1},
        {CLEW__SCAN_STRING, "2025-08-20T10:00", -1},
        {CLEW__SCAN_STRING, "2025-08-20T10:00:00X", -1},
        {CLEW__SCAN_STRING, "2025-08-20T10:00:00+2:00", -1},
        {CLEW__SCAN_STRING, "yesterday evening, I think", -1},
        {CLEW__SCAN_STRING, "", -1},
        {CLEW__SCAN_NUMBER, "1755684000", T},
        {CLEW__SCAN_NUMBER, "1755684000.25", T + 250000000},
        {CLEW__SCAN_NUMBER, "1755684000123", T + 123000000},
        {CLEW__SCAN_NUMBER, "1755684000123.5", T + 123500000},
        {CLEW__SCAN_NUMBER, "1755684000123456", T + 123456000},
        {CLEW__SCAN_NUMBER, "1755684000123456789", T + 123456789},
        {CLEW__SCAN_NUMBER, "-5", -1},
        {CLEW__SCAN_NUMBER, "1e9", -1},
        {CLEW__SCAN_NUMBER, "99999999999", -1},
        {CLEW__SCAN_NUMBER, "99999999999999999999999999", -1},
        {CLEW__SCAN_NUMBER, "9223372036854775807", -1},
        {CLEW__SCAN_TRUE, "true", -1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct clew__scan_value v = {
            .type = cases[i].type, .at = cases[i].text, .len = strlen(cases[i].text)};
        int64_t ns = -1;

        if (clew__time_value(&v, &ns) != (cases[i].ns >= 0) || ns != cases[i].ns)
            fail_msg("%s: %lld", cases[i].text, (long long)ns);
    }
}

static void test_when_reads_options(void **state)
{
    static const struct {
        const char *text;
        bool utc;
        int64_t ns; /* -1: none */
    } cases[] = {
        {"90s", false, T - INT64_C(90000000000)},
        {"10m", false, T - INT64_C(600000000000)},
        {"2h", true, T - INT64_C(7200000000000)},
        {"1d", true, T - INT64_C(86400000000000)},
        {"2025-08-20T10:00:00Z", false, T},
        {"2025-08-20T10:00:00", true, T},
        {"2025-08-20T12:00:00", false, T},
        {"2025-08-20", true, T - INT64_C(36000000000000)},
        {"2025-08-20", false, T - INT64_C(43200000000000)},
        {"10", false, -1},
        {"m", false, -1},
        {"10w", false, -1},
        {"10mm", false, -1},
        {"99999999999m", false, -1},
        {"", false, -1},
        {"2025-8-20", false, -1},
    };

    (void)state;
    setenv("TZ", "XST-2", 1);
    tzset();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t ns = -1;
        bool good = cli_when_option(cases[i].text, T, cases[i].utc, &ns);

        if (good != (cases[i].ns >= 0) || (good && ns != cases[i].ns))
            fail_msg("%s: %lld", cases[i].text, (long long)ns);
    }
}

static void test_when_prints(void **state)
{
    struct clew__buf out;

    (void)state;
    setenv("TZ", "XST-2", 1);
    tzset();
    clew__buf_init(&out, 1024);
    cli_when_add(&out, T + 61007000000, true, true);
    cli_when_add(&out, T + 61999999999, true, false);
    cli_when_add(&out, T + 61007000000, false, true);
    cli_when_add(&out, -5, true, true);
    clew__buf_addc(&out, '\0');
    assert_string_equal(out.data, "2025-08-20 10:01:01.007 10:01:01.999 "
                                  "2025-08-20 12:01:01.007 1970-01-01 00:00:00.000 ");
    clew__buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_when_reads_what_loggers_write),
        cmocka_unit_test(test_when_reads_options),
        cmocka_unit_test(test_when_prints),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
