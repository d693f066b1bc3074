/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines of JSON as rules see them: the walk from quote to quote finds what the
 * scanner finds, and takes the lines that it takes, with either way of finding
 * quotes; and the deriver takes each line once, wherever the text is cut.
 */
#include <metrics/rules_json.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static const char rules[] =
    "builtin: false\n"
    "rules:\n"
    "  - {metric: a_total, type: counter, match: {event: e, fields: {a: {exists: true}}},\n"
    "     labels: {b: b, c: a.b, d: {field: status, map: {'1': x}, default: y}}}\n"
    "  - {metric: h, type: histogram, value: v, match: {message: {glob: 'm*'}, level: warn}}\n"
    "  - {metric: g, type: gauge, value: a.v, match: {logger: l}}\n";

static struct clew__rules *set;
static struct clew__json_reader quick, newer, slow;

static void must(bool condition, const char *what)
{
    if (!condition) {
        fprintf(stderr, "fuzz_derive: %s\n", what);
        abort();
    }
}

static void start(void)
{
    set = clew__rules_new();
    must(set && clew__rules_parse(set, "rules", rules, strlen(rules)) == 0, clew_last_error());
    must(clew__rules_finish(set, "rules") == 0, clew_last_error());
    must(clew__json_init(&quick, set) == 0 && clew__json_init(&newer, set) == 0 &&
             clew__json_init(&slow, set) == 0,
         "out of memory");
    quick.find_quotes = clew__find_quotes;
}

static void same(const struct clew__json_reader *a, const struct clew__json_reader *b)
{
    for (size_t i = 0; i < a->ncolumns; i++) {
        const struct clew__rule_value *x = &a->event[i], *y = &b->event[i];

        must(x->kind == y->kind, "another kind of value");
        must(!clew__rule_has_text(x) || (x->len == y->len && x->as.text == y->as.text),
             "another value");
    }
}

/* The line is followed by a newline. */
static void compare(const char *line, size_t len, size_t readable)
{
    bool a = clew__json_read(&quick, line, len, readable);
    bool b = clew__json_read(&newer, line, len, readable);
    bool c = clew__json_read_slowly(&slow, line, len);

    must(a == c && b == c, "one says JSON, the other does not");
    if (!a)
        return;
    same(&quick, &slow);
    same(&newer, &slow);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    const char *text = (const char *)data, *line = text, *end = text + size, *stop;
    struct clew_deriver_stats stats;
    struct clew_deriver *deriver;
    static unsigned runs;
    size_t lines = 0, taken;

    if (!set)
        start();
    for (; (stop = memchr(line, '\n', (size_t)(end - line))) != NULL; line = stop + 1, lines++)
        compare(line, (size_t)(stop - line), (size_t)(end - line));
    if (runs++ % 8 != 0) /* it is large */
        return 0;
    deriver = clew__deriver_new(set);
    must(deriver != NULL, "out of memory");
    taken = clew_derive(deriver, text, size / 2, false);
    must(taken <= size / 2 && (taken == 0 || text[taken - 1] == '\n'), "a part of a line");
    must(clew_derive(deriver, text + taken, size - taken, true) == size - taken, "some is left");
    clew_deriver_stats(deriver, &stats);
    must(stats.lines == lines + (line < end), "another number of lines");
    must(stats.matched + stats.not_json <= stats.lines, "more than there are");
    clew__deriver_done(deriver);
    return 0;
}
