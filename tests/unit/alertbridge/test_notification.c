/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge.h"

#include <intake/check.h>

#include <common/instant.h>

#include <clew/log.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void test_instant_table(void **state)
{
    static const struct {
        const char *text;
        int64_t ns; /* -1: refused */
    } cases[] = {
        {"1970-01-01T00:00:01Z", CLEW__SECOND_NS},
        {"2026-11-20T20:59:17.632Z", 1795208357632000000},
        {"2026-11-20T20:59:17.632000000Z", 1795208357632000000},
        {"2026-11-20t21:59:17.632+01:00", 1795208357632000000},
        {"2026-11-20T20:59:17.6320000009Z", 1795208357632000000},
        {"2024-02-29T00:00:00Z", 1709164800000000000},
        {"0001-01-01T00:00:00Z", 0},
        {"2023-02-29T00:00:00Z", -1},
        {"2026-13-01T00:00:00Z", -1},
        {"2026-11-20T24:00:00Z", -1},
        {"2026-11-20T20:59:17", -1},
        {"2026-11-20T20:59:17.Z", -1},
        {"2026-11-20T20:59:17Zx", -1},
        {"2026-11-20 20:59:17Z", -1},
        {"2026-11-20T20:59:17+1:00", -1},
        {"9999-01-01T00:00:00Z", -1},
        {"", -1},
    };
    char text[CLEW__INSTANT_TEXT];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t instant = -1;

        if (clew__instant_parse(cases[i].text, &instant) != (cases[i].ns >= 0) ||
            instant != cases[i].ns)
            fail_msg("%s: %lld", cases[i].text, (long long)instant);
    }
    assert_string_equal(clew__instant_format(1795208357632000000, text),
                        "2026-11-20T20:59:17.632Z");
    assert_string_equal(clew__instant_format(1709164800000000000, text), "2024-02-29T00:00:00Z");
}

static void test_notification_takes_all_samples(void **state)
{
    static const struct {
        const char *name;
        size_t nalerts, nfiring;
        uint64_t ntruncated;
    } cases[] = {
        {"firing_single_critical", 1, 1, 0},
        {"firing_single_info", 1, 1, 0},
        {"firing_single_warning_escapes", 1, 1, 0},
        {"grouped_firing_4", 4, 4, 0},
        {"grouped_mixed_firing_and_resolved", 4, 3, 0},
        {"grouped_mixed_resolved_REPEATED_same_endsAt", 4, 3, 0},
        {"grouped_all_resolved_4", 4, 0, 0},
        {"resolved_single_critical", 1, 0, 0},
        {"truncated_FALSE_RESOLVED_3_still_firing", 1, 0, 3},
        {"truncated_max2_of_4", 2, 2, 2},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct clew__notification n;
        size_t len, nfiring = 0;
        char *body = read_sample(cases[i].name, &len);

        if (clew__notification_parse(&n, body, len) < 0)
            fail_msg("%s: %s", cases[i].name, clew_last_error());
        assert_int_equal(n.nalerts, cases[i].nalerts);
        for (size_t j = 0; j < n.nalerts; j++)
            nfiring += n.alerts[j].firing;
        assert_int_equal(nfiring, cases[i].nfiring);
        assert_int_equal(n.ntruncated, cases[i].ntruncated);
        clew__notification_done(&n);
        free(body);
    }
}

static void test_notification_reads_fields(void **state)
{
    struct clew__notification n;
    size_t len;
    char *body = read_sample("resolved_single_critical", &len);

    (void)state;
    assert_int_equal(clew__notification_parse(&n, body, len), 0);
    assert_string_equal(n.alerts[0].fingerprint, "132a18f910b64af5");
    assert_int_equal(n.alerts[0].starts_at, 1795208357632000000);
    assert_true(n.alerts[0].ends_at > n.alerts[0].starts_at);
    assert_string_equal(json_string_value(json_object_get(n.alerts[0].labels, "team")), "infra");
    assert_string_equal(n.external_url, "http://am.example:9093");
    assert_int_equal(strlen(n.group), 64);
    assert_string_not_equal(n.group, n.source);
    clew__notification_done(&n);
    free(body);
}

#define OPEN "{\"version\":\"4\",\"groupKey\":\"g\",\"alerts\":"
#define ALERT(status, print, starts, labels)                                      \
    OPEN "[{\"status\":" status ",\"fingerprint\":" print ",\"startsAt\":" starts \
         ",\"labels\":" labels "}]}"
#define NOW "\"2026-11-20T20:59:17Z\""

static void test_notification_refuses(void **state)
{
    static const struct {
        const char *body, *reason;
    } cases[] = {
        {"", "line 1"},
        {"[]", "expected an object"},
        {"{\"version\":\"4\",}", "line 1, column 16"},
        {"{\n\"version\":\"4\",\n\"x\": nope}", "line 3, column"},
        {"{\"a\":1,\"a\":2}", "duplicate"},
        {"{\"a\":\"\\u0000\"}", "\\u0000"},
        {"{\"a\":\"\xff\"}", "unable to decode"},
        {"{\"a\":1e999}", "overflow"},
        {"{}", "version: expected a string"},
        {"{\"version\":4}", "version: expected a string"},
        {"{\"version\":\"5\",\"groupKey\":\"g\",\"alerts\":[]}", "version: expected \"4\""},
        {"{\"version\":\"4\",\"alerts\":[]}", "groupKey"},
        {"{\"version\":\"4\",\"groupKey\":\"\",\"alerts\":[]}", "groupKey"},
        {"{\"version\":\"4\",\"groupKey\":\"g\"}", "alerts: expected an array"},
        {OPEN "[7]}", "alerts[0].: expected an object"},
        {OPEN "[],\"truncatedAlerts\":-1}", "truncatedAlerts"},
        {OPEN "[],\"groupLabels\":[]}", "groupLabels: expected an object"},
        {OPEN "[],\"commonLabels\":{\"a\":1}}", "commonLabels: expected an object of strings"},
        {OPEN "[],\"externalURL\":7}", "externalURL: expected a string"},
        {ALERT("\"pending\"", "\"ab\"", NOW, "{\"a\":\"b\"}"), "alerts[0].status"},
        {ALERT("null", "\"ab\"", NOW, "{\"a\":\"b\"}"), "alerts[0].status"},
        {ALERT("\"firing\"", "\"xyz\"", NOW, "{\"a\":\"b\"}"), "alerts[0].fingerprint"},
        {ALERT("\"firing\"", "\"\"", NOW, "{\"a\":\"b\"}"), "alerts[0].fingerprint"},
        {ALERT("\"firing\"", "\"ab\"", "\"yesterday\"", "{\"a\":\"b\"}"), "alerts[0].startsAt"},
        {ALERT("\"firing\"", "\"ab\"", NOW, "{}"), "alerts[0].labels"},
        {ALERT("\"firing\"", "\"ab\"", NOW, "{\"a\":7}"), "alerts[0].labels"},
        {ALERT("\"firing\"", "\"ab\"", NOW, "{\"\":\"b\"}"), "alerts[0].labels"},
        {ALERT("\"firing\"", "\"ab\"", NOW, "{\"a\":\"b\"},\"endsAt\":\"x\""), "alerts[0].endsAt"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct clew__notification n;

        assert_int_equal(clew__notification_parse(&n, cases[i].body, strlen(cases[i].body)),
                         -EINVAL);
        if (!strstr(clew_last_error(), cases[i].reason))
            fail_msg("%s: %s", cases[i].body, clew_last_error());
    }
}

static void test_notification_bounds_nesting(void **state)
{
    struct clew__notification n;
    size_t len = 200000;
    char *deep = malloc(len);

    (void)state;
    memset(deep, '[', len);
    assert_int_equal(clew__notification_parse(&n, deep, len), -EINVAL);
    assert_non_null(strstr(clew_last_error(), "depth"));
    free(deep);
}

static void test_notification_accepts_what_grows(void **state)
{
    static const char *const bodies[] = {
        /* unknown fields, Go's null for an empty map, absent optional ones */
        OPEN "[],\"notification_reason\":\"x\",\"routeLabels\":{\"a\":[1]},\"status\":7}",
        OPEN "[],\"groupLabels\":null,\"truncatedAlerts\":null,\"externalURL\":null}",
        ALERT("\"firing\"", "\"ab\"", NOW, "{\"a\":\"b\"},\"annotations\":null,\"x\":{}"),
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        struct clew__notification n;

        if (clew__notification_parse(&n, bodies[i], strlen(bodies[i])) < 0)
            fail_msg("%s: %s", bodies[i], clew_last_error());
        assert_true(json_is_object(n.group_labels));
        clew__notification_done(&n);
    }
}

static void check_same(struct clew__notification *lean, const struct clew__notification *whole)
{
    assert_string_equal(lean->group, whole->group);
    assert_string_equal(lean->source, whole->source);
    assert_int_equal(lean->nalerts, whole->nalerts);
    for (size_t i = 0; i < whole->nalerts; i++) {
        const struct clew__alert *a = &lean->alerts[i], *b = &whole->alerts[i];

        assert_int_equal(clew__notification_open(lean, i), 0);
        assert_int_equal(a->firing, b->firing);
        assert_int_equal(a->starts_at, b->starts_at);
        assert_int_equal(a->ends_at, b->ends_at);
        assert_string_equal(a->fingerprint, b->fingerprint);
        assert_string_equal(a->generator_url, b->generator_url);
        assert_true(json_equal(a->labels, b->labels));
        assert_true(json_equal(a->annotations, b->annotations));
        clew__notification_close(lean, i);
        assert_null(a->labels);
    }
}

/* Every sample is recognised without a tree, and reads the same one alert at a time,
 * with the labels of a source too. */
static void test_notification_lean(void **state)
{
    static const char *const samples[] = {"firing_single_critical", "grouped_firing_4",
                                          "grouped_mixed_firing_and_resolved",
                                          "firing_single_warning_escapes", "truncated_max2_of_4"};
    json_t *labels = json_pack("{s:s}", "team", "shop");

    (void)state;
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        struct clew__notification lean, whole;
        struct clew__shape shape;
        size_t len;
        char *body = read_sample(samples[i], &len);

        assert_true(clew__notification_check(body, len, &shape));
        assert_int_equal(clew__notification_parse(&whole, body, len), 0);
        assert_int_equal(clew__notification_parse_lean(&lean, body, len), 0);
        assert_true(lean.lean);
        assert_int_equal(shape.nalerts, whole.nalerts);
        check_same(&lean, &whole);
        assert_int_equal(clew__notification_pin(&lean, labels), 0);
        assert_int_equal(clew__notification_pin(&whole, labels), 0);
        check_same(&lean, &whole);
        clew__notification_done(&lean);
        clew__notification_done(&whole);
        free(body);
    }
    json_decref(labels);
}

/* What is unusual is left to the parser, right or wrong. */
static void test_notification_check_gives_up(void **state)
{
#define BODY(more)                                                              \
    "{\"version\":\"4\",\"groupKey\":\"g\",\"alerts\":[{\"status\":\"firing\"," \
    "\"fingerprint\":\"0a\",\"startsAt\":\"2026-01-01T00:00:00Z\",\"labels\":{\"a\":\"b\"}" more
    static const struct {
        const char *body;
        bool recognised;
    } cases[] = {
        {BODY("}]}"), true},
        {BODY(",\"x\":{\"y\":\"z\"}}],\"new\":true}\n"), true},
        {BODY(",\"x\":{\"y\":1}}]}"), false},
        {BODY(",\"x\":1.5}]}"), false},
        {BODY(",\"status\":\"firing\"}]}"), false},
        {BODY(",\"annotations\":{\"a\":\"1\",\"a\":\"2\"}}]}"), false},
        {BODY(",\"annotations\":{\"\":\"1\"}}]}"), false},
        {BODY(",\"annotations\":{\"a\":\"\\ud800\"}}]}"), false},
        {BODY(",\"annotations\":{\"a\":\"\\u0000\"}}]}"), false},
        {BODY(",\"annotations\":{\"a\":\"\xff\"}}]}"), false},
        {BODY(",\"annotations\":{\"a\":\"\n\"}}]}"), false},
        {BODY(",\"endsAt\":\"never\"}]}"), false},
        {BODY("}]} x"), false},
        {BODY("}]"), false},
        {BODY("}],\"truncatedAlerts\":-1}"), false},
        {BODY("}],\"truncatedAlerts\":01}"), false},
        {"", false},
        {"[]", false},
        {"{\"version\":\"4\",\"alerts\":[]}", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct clew__shape shape;

        if (clew__notification_check(cases[i].body, strlen(cases[i].body), &shape) !=
            cases[i].recognised)
            fail_msg("%s", cases[i].body);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_instant_table),
        cmocka_unit_test(test_notification_takes_all_samples),
        cmocka_unit_test(test_notification_reads_fields),
        cmocka_unit_test(test_notification_refuses),
        cmocka_unit_test(test_notification_bounds_nesting),
        cmocka_unit_test(test_notification_accepts_what_grows),
        cmocka_unit_test(test_notification_lean),
        cmocka_unit_test(test_notification_check_gives_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
