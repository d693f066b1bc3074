/* SPDX-License-Identifier: Apache-2.0 */
#include "bridge.h"

#include <clew/log.h>

#include <errno.h>
#include <locale.h>
#include <string.h>

static void test_matcher_table(void **state)
{
    static const struct {
        const char *matcher, *value; /* of label a; NULL: not there */
        bool matches;
    } cases[] = {
        {"a=\"x\"", "x", true},
        {"a=\"x\"", "xy", false},
        {"a=x", "x", true},
        {" a = x ", "x", true},
        {"a=\"\"", NULL, true},
        {"a=\"\"", "", true},
        {"a=\"x\"", NULL, false},
        {"a!=\"x\"", NULL, true},
        {"a!=\"x\"", "x", false},
        {"a!=\"\"", "x", true},
        {"a=~\"x|y\"", "y", true},
        {"a=~\"x|y\"", "xy", false},
        {"a=~\"x\"", "axb", false},
        {"a=~\"x.*\"", "xyz", true},
        {"a=~\".+\"", NULL, false},
        {"a=~\".*\"", NULL, true},
        {"a!~\"x.*\"", "xyz", false},
        {"a!~\"x.*\"", "abc", true},
        {"a!~\"x.*\"", NULL, true},
        {"a=~\"[0-9]{3}\"", "123", true},
        {"a=~\"\\\\w+\"", "ab_1", true},
        {"a=\"q\\\"q\"", "q\"q", true},
        {"a=\"n\\nl\"", "n\nl", true},
        {"a=\"b\\\\s\"", "b\\s", true},
        {"a=\"\\d\"", "\\d", true},
        {"a=~\"ü+\"", "üü", true},
        {"a=~\"([a-z]{1,63}\\\\.){1,50}[a-z]+(:[0-9]{1,5})?\"", "a.example.org:80", true},
        {"a=~\"[]+*{]+(x|(y+)?)\"", "{+]y", true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        json_t *labels = cases[i].value ? json_pack("{s:s}", "a", cases[i].value) : json_object();
        struct clew__matcher *matcher = NULL;

        if (clew__matcher_parse(cases[i].matcher, &matcher) < 0)
            fail_msg("%s: %s", cases[i].matcher, clew_last_error());
        if (clew__matcher_matches(matcher, labels) != cases[i].matches)
            fail_msg("%s with %s", cases[i].matcher, cases[i].value ? cases[i].value : "nothing");
        (void)clew__matcher_free(matcher);
        json_decref(labels);
    }
}

static void test_matcher_errors(void **state)
{
    static const struct {
        const char *matcher, *reason;
    } cases[] = {
        {"", "label name"},
        {"=\"x\"", "label name"},
        {"1a=x", "label name"},
        {"a", "expected =, !=, =~ or !~"},
        {"a!x", "expected ="},
        {"a=\"x", "closing quote"},
        {"a=\"x\" y", "unexpected"},
        {"a=x\"y", "quotes"},
        {"a={b}", "quotes"},
        {"a=~\"(\"", "regular expression"},
        {"a=~\"a)|(b\"", "without"},
        {"a=~\"[\"", "regular expression"},
        {"a=~\"\\\\d+\"", "[0-9]"},
        {"a=~\"(?i)x\"", "(?"},
        {"a=~\"(x)\\\\1\"", "\\1"},
        {"a=~\"[\\\\w]\"", "ordinary character"},
        {"a=~\"a+?\"", "repetition"},
        {"a=~\"a**\"", "repetition"},
        {"a=~\"((a{1,100}){1,100}){1,9}\"", "too large"},
        {"a=~\"((((((((((((((a+)+)+)+)+)+)+)+)+)+)+)+)+)+)+\"", "too large"},
        {"a=~\"a{99999999999}\"", "too large"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct clew__matcher *matcher = NULL;

        assert_int_equal(clew__matcher_parse(cases[i].matcher, &matcher), -EINVAL);
        assert_null(matcher);
        if (!strstr(clew_last_error(), cases[i].reason))
            fail_msg("%s: %s", cases[i].matcher, clew_last_error());
    }
}

static const char tree[] = "storage: x\n"
                           "route:\n"
                           "  receiver: default\n"
                           "  routes:\n"
                           "    - matchers: ['severity=\"none\"']\n"
                           "      receiver: nobody\n"
                           "    - matchers: ['team=~\"db|web\"']\n"
                           "      continue: true\n"
                           "      receiver: team\n"
                           "      routes:\n"
                           "        - {matchers: ['team=\"db\"'], receiver: db}\n"
                           "        - {matchers: ['team=\"db\"'], receiver: never}\n"
                           "        - matchers: ['team=\"web\"', 'severity!=\"info\"']\n"
                           "    - {matchers: ['severity=\"critical\"'], receiver: on-call,"
                           " continue: true}\n"
                           "    - {matchers: ['severity=\"critical\"'], receiver: manager}\n"
                           "    - {matchers: ['severity=\"critical\"'], receiver: never}\n"
                           "receivers: [{name: default}, {name: nobody}, {name: team}, {name: db},"
                           " {name: on-call}, {name: manager}, {name: never}]\n";

static void test_route_tree(void **state)
{
    static const struct {
        const char *team, *severity;
        const char *receivers; /* in order */
    } cases[] = {
        {NULL, NULL, "default"},
        {"x", "warning", "default"},
        {"db", "none", "nobody"},
        {"db", "warning", "db"},
        {"db", "critical", "db on-call manager"},
        {"web", "warning", "team"}, /* the child has its parent's receiver */
        {"web", "info", "team"},
        {"web", "critical", "team on-call manager"},
        {"x", "critical", "on-call manager"},
        {"database", "warning", "default"}, /* anchored */
    };
    struct bench bench;
    struct clew__config *config;

    (void)state;
    bench_init(&bench);
    config = load_config(&bench, tree);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        json_t *labels = json_object();
        const struct clew__route *hits[CLEW__ROUTE_HITS_MAX];
        char got[256] = "";
        size_t n;

        if (cases[i].team)
            json_object_set_new(labels, "team", json_string(cases[i].team));
        if (cases[i].severity)
            json_object_set_new(labels, "severity", json_string(cases[i].severity));
        n = clew__route_match(config->route, labels, hits);
        for (size_t j = 0; j < n; j++) {
            strcat(got, j ? " " : "");
            strcat(got, hits[j]->receiver);
        }
        assert_string_equal(got, cases[i].receivers);
        json_decref(labels);
    }
    (void)clew__config_free(config);
    bench_done(&bench);
}

static void test_route_says_why(void **state)
{
    const struct clew__route *hits[CLEW__ROUTE_HITS_MAX];
    json_t *labels = json_pack("{s:s, s:s}", "team", "web", "severity", "warning");
    struct bench bench;
    struct clew__config *config;

    (void)state;
    bench_init(&bench);
    config = load_config(&bench, tree);
    assert_int_equal(clew__route_match(config->route, labels, hits), 1);
    assert_string_equal(hits[0]->why,
                        "default route > team=~\"db|web\" > team=\"web\", severity!=\"info\"");
    json_decref(labels);
    (void)clew__config_free(config);
    bench_done(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matcher_table),
        cmocka_unit_test(test_matcher_errors),
        cmocka_unit_test(test_route_tree),
        cmocka_unit_test(test_route_says_why),
    };

    (void)setlocale(LC_CTYPE, "C.UTF-8"); /* as the program does */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
