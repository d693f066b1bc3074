/* SPDX-License-Identifier: Apache-2.0
 * Layouts of JSON lines: what is remembered is read as it was learned, what differs
 * in more than its values is not. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <metrics/rules_layout.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS 3u
#define NOWHERE CLEW__LAYOUT_NOWHERE

/* Its values are between the angle brackets, in turn for column 0, 1, 2 and for
 * none. */
static void learn(struct clew__layouts *layouts, const char *marked)
{
    struct clew__layout_value values[16];
    size_t n = 0, len = 0;
    char line[512];

    for (const char *p = marked; *p; p++) {
        if (*p == '<')
            values[n] = (struct clew__layout_value){
                .at = line + len, .columns = {n < COLUMNS ? (uint8_t)n : NOWHERE, NOWHERE}};
        else if (*p == '>')
            values[n].len = (uint32_t)(line + len - values[n].at), n++;
        else
            line[len++] = *p;
    }
    clew__layouts_learn(layouts, line, len, values, n);
}

/* What the columns have, with "-" for what is absent; NULL: it is not known. */
static const char *read_line(struct clew__layouts *layouts, const char *line)
{
    static char text[512];
    struct clew__rule_value event[COLUMNS];
    char readable[600];
    size_t len = strlen(line), n = 0;
    const char *stop;

    memset(readable, '\n', sizeof(readable)); /* behind the line: the next ones */
    memcpy(readable, line, len);
    stop = clew__layouts_read(layouts, readable, readable + sizeof(readable), event);
    if (!stop)
        return NULL;
    assert_ptr_equal(stop, readable + len);
    for (size_t i = 0; i < COLUMNS; i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%.*s", i ? " " : "",
                              event[i].kind == CLEW__RULE_ABSENT ? 1 : (int)event[i].len,
                              event[i].kind == CLEW__RULE_ABSENT ? "-" : event[i].as.text);
    return text;
}

static struct clew__layouts *three(void)
{
    struct clew__layouts *layouts = clew__layouts_new(COLUMNS);

    assert_non_null(layouts);
    learn(layouts, "{\"a\":\"<x>\",\"b\":<1>,\"c\":<true>,\"d\":{\"e\":\"<y>\"}}");
    return layouts;
}

static void test_layout_of_other_values(void **state)
{
    static const struct {
        const char *line, *event;
    } cases[] = {
        {"{\"a\":\"x\",\"b\":1,\"c\":true,\"d\":{\"e\":\"y\"}}", "x 1 true"},
        {"{\"a\":\"\",\"b\":12.5,\"c\":false,\"d\":{\"e\":\"\"}}", " 12.5 false"},
        {"{\"a\":\"longer than sixteen bytes\",\"b\":0,\"c\":null,\"d\":{\"e\":\"y\"}}",
         "longer than sixteen bytes 0 -"},
        {"{\"a\":\"q\\\"\\u00e9\\\\\",\"b\":7,\"c\":true,\"d\":{\"e\":\"y\"}}",
         "q\\\"\\u00e9\\\\ 7 true"},
        {"{\"a\":\"x\",\"b\":1,\"c\":true,\"d\":{\"e\":\"y\"}}\r", "x 1 true"},
        /* of another sort, with another key, other spaces, more or less */
        {"{\"a\":1,\"b\":1,\"c\":true,\"d\":{\"e\":\"y\"}}", NULL},
        {"{\"a\":\"x\",\"b\":\"1\",\"c\":true,\"d\":{\"e\":\"y\"}}", NULL},
        {"{\"a\":\"x\",\"b\":1,\"c\":1,\"d\":{\"e\":\"y\"}}", NULL},
        {"{\"a\":\"x\",\"B\":1,\"c\":true,\"d\":{\"e\":\"y\"}}", NULL},
        {"{\"a\": \"x\",\"b\":1,\"c\":true,\"d\":{\"e\":\"y\"}}", NULL},
        {"{\"a\":\"x\",\"b\":1,\"c\":true,\"d\":{\"e\":\"y\"}} ", NULL},
        {"{\"a\":\"x\",\"b\":1,\"c\":true,\"d\":{\"e\":\"y\"}", NULL},
        {"{\"a\":\"x\"}", NULL},
        /* no JSON, or left to the other reader */
        {"{\"a\":\"x\",\"b\":01,\"c\":true,\"d\":{\"e\":\"y\"}}", NULL},
        {"{\"a\":\"x\",\"b\":1.,\"c\":true,\"d\":{\"e\":\"y\"}}", NULL},
        {"{\"a\":\"x\",\"b\":.5,\"c\":true,\"d\":{\"e\":\"y\"}}", NULL},
        {"{\"a\":\"x\",\"b\":1,\"c\":truth,\"d\":{\"e\":\"y\"}}", NULL},
        {"{\"a\":\"\t\",\"b\":1,\"c\":true,\"d\":{\"e\":\"y\"}}", NULL},
        {"{\"a\":\"\\x\",\"b\":1,\"c\":true,\"d\":{\"e\":\"y\"}}", NULL},
        {"{\"a\":\"\\u00g0\",\"b\":1,\"c\":true,\"d\":{\"e\":\"y\"}}", NULL},
    };
    struct clew__layouts *layouts = three();

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *event = read_line(layouts, cases[i].line);

        if (!event != !cases[i].event || (event && strcmp(event, cases[i].event) != 0))
            fail_msg("%s: %s", cases[i].line, event ? event : "(unknown)");
    }
    clew__layouts_free(layouts);
}

/* Kinds that begin alike share steps, and each is read as itself. */
static void test_layout_of_several_kinds(void **state)
{
    struct clew__layouts *layouts = three();

    (void)state;
    learn(layouts, "{\"a\":\"<x>\",\"b\":\"<1>\"}");
    learn(layouts,
          "{\"a\":\"<x>\",\"a key that is longer than the text of one step has room for\":<1>}");
    assert_string_equal(read_line(layouts, "{\"a\":\"m\",\"b\":\"n\"}"), "m n -");
    assert_string_equal(read_line(layouts, "{\"a\":\"m\",\"b\":3,\"c\":true,\"d\":{\"e\":\"\"}}"),
                        "m 3 true");
    assert_string_equal(read_line(layouts, "{\"a\":\"m\",\"a key that is longer than the text of "
                                           "one step has room for\":5}"),
                        "m 5 -");
    assert_null(read_line(layouts, "{\"a\":\"m\",\"a key that is longer than the text of "
                                   "one step has rOOm for\":5}"));
    clew__layouts_free(layouts);
}

/* The tree is bounded; what has found room in it stays known for long. */
static void test_layout_of_too_many_kinds(void **state)
{
    struct clew__layouts *layouts = three();
    unsigned known = 0;
    char line[64];

    (void)state;
    for (unsigned i = 0; i < 5000; i++) {
        (void)snprintf(line, sizeof(line), "{\"key-%u\":<1>}", i);
        learn(layouts, line);
        (void)snprintf(line, sizeof(line), "{\"key-%u\":2}", i);
        known += read_line(layouts, line) != NULL;
    }
    assert_in_range(known, 1, 1024);
    assert_non_null(read_line(layouts, "{\"a\":\"m\",\"b\":3,\"c\":true,\"d\":{\"e\":\"\"}}"));
    clew__layouts_free(layouts);
}

/* Nothing beyond end is read, and what is not whole is not taken. */
static void test_layout_of_half_a_line(void **state)
{
    static const char line[] = "{\"a\":\"x\",\"b\":1,\"c\":true,\"d\":{\"e\":\"y\"}}\n";
    struct clew__layouts *layouts = three();
    struct clew__rule_value event[COLUMNS];

    (void)state;
    for (size_t len = 0; len < sizeof(line) - 1; len++) {
        char *half = malloc(len ? len : 1);

        memcpy(half, line, len);
        assert_null(clew__layouts_read(layouts, half, half + len, event));
        free(half);
    }
    clew__layouts_free(layouts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layout_of_other_values),
        cmocka_unit_test(test_layout_of_several_kinds),
        cmocka_unit_test(test_layout_of_too_many_kinds),
        cmocka_unit_test(test_layout_of_half_a_line),
    };

    return cmocka_run_group_tests_name("rules_layout", tests, NULL, NULL);
}
