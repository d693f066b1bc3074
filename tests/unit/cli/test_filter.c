/* SPDX-License-Identifier: Apache-2.0
 * Conditions on lines, one by one, and beside a filter written with jansson on
 * random lines, where the search must never hide a line that is asked for. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fmt.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool selects(struct cli_filter *f, const char *line)
{
    bool yes = cli_filter_selects(f, line, strlen(line));

    if (yes && f->find.len > 0)
        assert_non_null(cli_find_next(&f->find, line, line + strlen(line)));
    return yes;
}

static bool holds(const char *condition, const char *line)
{
    struct cli_filter f = {.rank = -1};
    bool yes;

    assert_null(cli_filter_add(&f, condition));
    assert_true(cli_filter_prepare(&f) >= 0);
    yes = selects(&f, line);
    cli_filter_done(&f);
    return yes;
}

static void test_filter_conditions(void **state)
{
    static const char line[] =
        "{\"timestamp\":\"2025-08-20T10:00:00Z\",\"level\":\"INFO\",\"service\":\"s\","
        "\"request_id\":\"r-1\",\"n\":100.0,\"t\":true,\"e\":\"\",\"z\":null,\"path\":\"\\/a\\/b\","
        "\"a.b\":\"flat\",\"a\":{\"b\":{\"c\":\"deep\"},\"l\":[1]},\"\\u006bey\":\"\\u0076\","
        "\"context\":{\"amount\":-2.50,\"n\":7,\"user\":{\"name\":\"J\\u00f6rg\"},\"q\":\"5\"}}";
    static const struct {
        const char *condition;
        bool holds;
    } cases[] = {
        {"request_id=r-1", true},
        {"request_id=r-", false},
        {"request_id!=r-1", false},
        {"request_id!=r-2", true},
        {"n=100", true},
        {"n=1e2", true},
        {"n=7.0", true}, /* in the context */
        {"n=8", false},
        {"n!=7", false},
        {"amount=-2.5", true},
        {"context.amount=-2.5", true},
        {"amount=2.5", false},
        {"q=5", true},
        {"q=5.0", false}, /* a string is no number */
        {"t=true", true},
        {"t=false", false},
        {"z=null", true},
        {"e=", true},
        {"request_id=", false},
        {"a.b=flat", true},
        {"a.b.c=deep", true},
        {"a.b.c=flat", false},
        {"context.user.name=J\xC3\xB6rg", true},
        {"user.name=J\xC3\xB6rg", true},
        {"path=/a/b", true},
        {"path=\\/a\\/b", false},
        {"key=v", true},
        {"key", true},
        {"nokey", false},
        {"a.l", true},
        {"a.l=1", false},
        {"a", true},
        {"a.b.c", true},
        {"a.b.d", false},
        {"context", true},
        {"name", false},
        {"path~^/a", true},
        {"path~^/b", false},
        {"user.name~J.+g$", true},
        {"n~^100\\.0$", true},
        {"nokey~.*", false},
        {"a~.", false},
        {"nokey!=x", true},
        {"level=INFO", true},
        {"level=info", false},
        {"user.name!=x=y", true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (holds(cases[i].condition, line) != cases[i].holds)
            fail_msg("%s", cases[i].condition);
}

static void test_filter_refuses_what_it_cannot_read(void **state)
{
    struct cli_filter f = {.rank = -1};

    (void)state;
    assert_non_null(cli_filter_add(&f, ""));
    assert_non_null(cli_filter_add(&f, "=x"));
    assert_non_null(cli_filter_add(&f, "!=x"));
    assert_non_null(cli_filter_add(&f, "~x"));
    assert_non_null(cli_filter_add(&f, "a~("));
    assert_non_null(cli_filter_add(&f, "1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16.17=x"));
    assert_int_equal(f.n, 0);
    for (int i = 0; i < CLI_CONDITIONS_MAX; i++)
        assert_null(cli_filter_add(&f, "a=1"));
    assert_non_null(cli_filter_add(&f, "a=1"));
    assert_non_null(cli_filter_add_equal(&f, "a", "1"));
    cli_filter_done(&f);
}

static void test_filter_levels_and_times(void **state)
{
    static const struct {
        const char *line;
        bool warn, morning;
    } cases[] = {
        {"{\"level\":\"WARN\",\"timestamp\":\"2025-08-20T09:00:00Z\"}", true, true},
        {"{\"lvl\":\"warning\",\"ts\":1755680400}", true, true},
        {"{\"time\":1755680400000,\"level\":50}", true, true},
        {"{\"level\":30,\"time\":1755684000000}", false, false},
        {"{\"severity\":\"\\u0045RROR\",\"@timestamp\":\"2025-08-20T11:00:00Z\"}", true, false},
        {"{\"level\":\"info\",\"level\":\"error\"}", false, false},
        {"{\"context\":{\"level\":\"error\"},\"message\":\"\\\"level\\\":\\\"ERROR\\\"\"}", false,
         false},
        {"{\"severity\":3,\"level\":\"error\"}", true, false},
        {"{\"level\":\"error\"", false, false},
        {"{\"level\":\"ERRORS\"}", false, false},
        {"{\"level\":\"\"}", false, false},
        {"error", false, false},
        {"", false, false},
    };
    struct cli_filter level = {.rank = 3};
    struct cli_filter time = {.rank = -1,
                              .has_since = true,
                              .has_until = true,
                              .since_ns = INT64_C(1755680400000000000),
                              .until_ns = INT64_C(1755684000000000000)};

    (void)state;
    assert_int_equal(cli_filter_prepare(&level), 0);
    assert_int_equal(cli_filter_prepare(&time), 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (selects(&level, cases[i].line) != cases[i].warn ||
            selects(&time, cases[i].line) != cases[i].morning)
            fail_msg("%s", cases[i].line);
    cli_filter_done(&level);
    cli_filter_done(&time);
}

static void test_filter_text_has_no_fields(void **state)
{
    (void)state;
    assert_false(holds("a=1", "a=1"));
    assert_true(holds("a!=1", "a=1"));
    assert_true(holds("a!=1", "{\"a\":1"));
    assert_false(holds("a!=1", "{\"a\":1}"));
}

/* ---- beside jansson --------------------------------------------------------- */

static uint64_t seed = 88172645463325252u;

static unsigned pick(unsigned n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)(seed >> 20) % n;
}

static const char *const keys[] = {"a", "b", "a.b", "level", "request_id", "context", "lvl", "x/y"};
static const char *const strings[] = {"INFO", "error", "x", "r-17", "a/b", "1", "", "true", "q\"q"};
static const char *const words[] = {"1", "1.0", "10e-1", "2", "50", "true", "null", "-0.5"};

/* Some characters as escapes. */
static void add_string(struct clew__buf *out, const char *text)
{
    bool escaping = pick(4) == 0;

    clew__buf_addc(out, '"');
    for (; *text; text++) {
        if ((escaping && pick(2)) || *text == '"')
            clew__buf_addf(out, "\\u%04x", (unsigned char)*text);
        else
            clew__buf_addf(out, *text == '/' && pick(2) ? "\\%c" : "%c", *text);
    }
    clew__buf_addc(out, '"');
}

static void add_object(struct clew__buf *out, unsigned depth)
{
    clew__buf_addc(out, '{');
    for (unsigned i = 0, n = pick(5); i < n; i++) {
        clew__buf_adds(out, i ? pick(4) ? "," : " , " : "");
        add_string(out, keys[pick(8)]);
        clew__buf_adds(out, pick(4) ? ":" : " : ");
        if (depth < 3 && pick(3) == 0)
            add_object(out, depth + 1);
        else if (pick(3))
            add_string(out, strings[pick(9)]);
        else
            clew__buf_adds(out, words[pick(8)]);
    }
    clew__buf_addc(out, '}');
}

static bool reference_fits(const struct cli_condition *c, json_t *v)
{
    char text[64] = "";

    if (c->op == CLI_PRESENT)
        return true;
    if (json_is_number(v))
        return c->number && json_number_value(v) == strtod(c->value, NULL);
    if (json_is_string(v))
        (void)snprintf(text, sizeof(text), "%s", json_string_value(v));
    else if (json_is_object(v))
        return false;
    else
        (void)snprintf(text, sizeof(text), "%s",
                       json_is_true(v)    ? "true"
                       : json_is_false(v) ? "false"
                                          : "null");
    return strcmp(text, c->value) == 0;
}

static bool reference_reached(const struct cli_condition *c, json_t *object, const char *path)
{
    json_t *v = json_object_get(object, path);
    char first[32];

    if (v && reference_fits(c, v))
        return true;
    for (const char *dot = path; (dot = strchr(dot, '.')) != NULL; dot++) {
        (void)snprintf(first, sizeof(first), "%.*s", (int)(dot - path), path);
        v = json_object_get(object, first);
        if (json_is_object(v) && reference_reached(c, v, dot + 1))
            return true;
    }
    return false;
}

static int reference_rank(json_t *line)
{
    static const char *const text[] = {"INFO", "error"};
    const char *key;
    json_t *v;

    json_object_foreach(line, key, v)
    {
        if (strcmp(key, "level") != 0 && strcmp(key, "lvl") != 0)
            continue;
        for (int i = 0; i < 2; i++)
            if (json_is_string(v) && strcasecmp(json_string_value(v), text[i]) == 0)
                return 2 + 2 * i;
        if (json_is_integer(v) && json_integer_value(v) == 50)
            return 4;
    }
    return -1;
}

static bool reference_selects(const struct cli_filter *f, json_t *line)
{
    if (f->rank >= 0 && reference_rank(line) < f->rank)
        return false;
    for (size_t i = 0; i < f->n; i++) {
        const struct cli_condition *c = &f->conditions[i];
        char path[64];
        bool yes;

        (void)snprintf(path, sizeof(path), "%.*s", (int)c->key_len, c->key);
        yes = reference_reached(c, line, path) ||
              reference_reached(c, json_object_get(line, "context"), path);
        if (yes == (c->op == CLI_NOT_EQUAL))
            return false;
    }
    return true;
}

static void make_filter(struct cli_filter *f, char text[4][96])
{
    *f = (struct cli_filter){.rank = pick(3) ? -1 : 4};
    for (unsigned i = 0, n = 1 + pick(2); i < n; i++) {
        static const char *const signs[] = {"=", "=", "!=", ""};
        const char *sign = signs[pick(4)];

        (void)snprintf(text[i], 96, "%s%s%s%s%s", keys[pick(8)], pick(4) ? "" : ".b", sign,
                       *sign ? pick(2) ? strings[pick(9)] : words[pick(8)] : "", "");
        assert_null(cli_filter_add(f, text[i]));
    }
}

/* Lines in one block, as a file gives them; what is printed must be what the
 * reference picks, with the search and without it. */
static void test_filter_agrees_with_jansson(void **state)
{
    struct clew__buf block, expected;
    size_t picked = 0, total = 0;

    (void)state;
    clew__buf_init(&block, 1u << 20);
    clew__buf_init(&expected, 1u << 20);
    for (int round = 0; round < 3000; round++) {
        struct cli_fmt f = {.json = true, .out_fd = -1, .name = "test"};
        char text[4][96];
        int search;

        make_filter(&f.filter, text);
        search = cli_filter_prepare(&f.filter);
        clew__buf_init(&f.out, 1u << 20);
        clew__buf_reset(&block);
        clew__buf_reset(&expected);
        for (int i = 0; i < 30; i++) {
            size_t start = block.len, len;
            json_error_t error;
            json_t *line;

            add_object(&block, 0);
            if (pick(10) == 0)
                block.data[start + pick((unsigned)(block.len - start))] = '!';
            len = block.len - start;
            line = json_loadb(block.data + start, len, JSON_REJECT_DUPLICATES, &error);
            if (!line && json_error_code(&error) == json_error_duplicate_key) {
                block.len = start;
                continue;
            }
            if (reference_selects(&f.filter, line)) {
                clew__buf_add(&expected, block.data + start, len);
                clew__buf_addc(&expected, '\n');
                picked++;
            }
            clew__buf_addc(&block, '\n');
            json_decref(line);
            total++;
        }
        for (int searching = 0; searching <= search; searching++) {
            clew__buf_reset(&f.out);
            f.searching = searching;
            cli_fmt_lines(&f, block.data, block.len);
            if (f.out.len != expected.len ||
                (f.out.len && memcmp(f.out.data, expected.data, f.out.len) != 0))
                fail_msg("%s %s rank %d searching %d\n%.*s\nexpected\n%.*s\ngot\n%.*s", text[0],
                         f.filter.n > 1 ? text[1] : "", f.filter.rank, searching, (int)block.len,
                         block.data, (int)expected.len, expected.data, (int)f.out.len, f.out.data);
        }
        clew__buf_done(&f.out);
        cli_filter_done(&f.filter);
    }
    assert_in_range(picked, total / 20, total / 2);
    clew__buf_done(&block);
    clew__buf_done(&expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_filter_conditions),
        cmocka_unit_test(test_filter_refuses_what_it_cannot_read),
        cmocka_unit_test(test_filter_levels_and_times),
        cmocka_unit_test(test_filter_text_has_no_fields),
        cmocka_unit_test(test_filter_agrees_with_jansson),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
