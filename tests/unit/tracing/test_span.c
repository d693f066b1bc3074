/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <child.h>
#include <clew/trace.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the sink saw, copied. */
static struct {
    int n;
    struct clew_span_record last, first;
    char name[64], message[64], text[64], key[64];
    size_t nattributes, text_len;
} seen;

static void take(void *self, const struct clew_span_record *span)
{
    (void)self;
    if (seen.n++ == 0)
        seen.first = *span;
    seen.last = *span;
    seen.nattributes = span->nattributes;
    snprintf(seen.name, sizeof(seen.name), "%s", span->name);
    snprintf(seen.message, sizeof(seen.message), "%s", span->status_message);
    if (span->nattributes) {
        const struct clew_field *last = &span->attributes[span->nattributes - 1];

        snprintf(seen.key, sizeof(seen.key), "%s", last->key);
        if (last->type == CLEW_TYPE_STRING)
            snprintf(seen.text, sizeof(seen.text), "%.*s", (int)last->value.len, last->value.as.s);
    }
}

static const struct clew_sink_ops sink = {"test", NULL, take, NULL, NULL, CLEW_LEVEL_TRACE};

static int nested(void *arg)
{
    struct clew_span *outer, *inner;

    (void)arg;
    clew_sink_add(&sink, NULL);
    outer = clew_span_begin("outer", CLEW_SPAN_SERVER);
    CHECK(clew_span_is_recording(outer));
    inner = clew_span_begin("inner", CLEW_SPAN_INTERNAL);
    clew_span_set(inner, clew_kv("a", 1), clew_kv("b", 2.5), clew_kv("a", 3));
    clew_span_set(inner, clew_kv("text", "bad \xff byte"));
    clew_span_set_status(inner, CLEW_SPAN_ERROR, "broken");
    clew_span_end(inner);
    CHECK(clew_scope_current().span_id == clew_span_scope(outer).span_id);
    CHECK(clew_log_flush(5000) == 0);
    CHECK(seen.n == 1 && strcmp(seen.name, "inner") == 0);
    CHECK(seen.nattributes == 3 && strcmp(seen.text, "bad \xEF\xBF\xBD byte") == 0);
    CHECK(seen.last.status == CLEW_SPAN_ERROR && strcmp(seen.message, "broken") == 0);
    CHECK(seen.last.end_ns >= seen.last.start_ns);
    clew_span_set_status(outer, CLEW_SPAN_OK, NULL);
    clew_span_set_status(outer, CLEW_SPAN_ERROR, "too late");
    uint64_t outer_id = clew_span_scope(outer).span_id;
    clew_span_end(outer);
    CHECK(clew_scope_current().context == NULL);
    CHECK(clew_log_flush(5000) == 0);
    CHECK(seen.n == 2 && seen.last.status == CLEW_SPAN_OK && seen.last.parent_span_id == 0);
    CHECK(seen.first.parent_span_id == outer_id && seen.last.span_id == outer_id);
    CHECK(memcmp(seen.first.trace_id, seen.last.trace_id, 16) == 0);
    clew_span_end(NULL);
    return 0;
}

static void test_span_nesting_attributes_status(void **state)
{
    (void)state;
    child_run(nested, NULL);
    assert_int_equal(child.status, 0);
}

static int limits(void *arg)
{
    struct clew_span *span;
    char *big = calloc(1, 40000);

    (void)arg;
    clew_sink_add(&sink, NULL);
    memset(big, 'n', 39999);
    span = clew_span_start(big, CLEW_SPAN_CLIENT);
    clew_span_set(span, clew_kv("big", (const char *)big), clew_kv("fits", 1));
    clew_span_end(span);
    free(big);
    CHECK(clew_log_flush(5000) == 0);
    CHECK(seen.n == 1 && seen.last.dropped_attributes == 1 && seen.nattributes == 1);
    return 0;
}

static void test_span_limits_are_kept_and_counted(void **state)
{
    (void)state;
    child_run(limits, NULL);
    assert_int_equal(child.status, 0);
}

static int count_spans(void *arg)
{
    int *expected = arg, n = 1000;

    clew_sink_add(&sink, NULL);
    setenv("CLEW_RING_FULL", "block", 1);
    CHECK(clew_log_start("test", NULL) == 0);
    for (int i = 0; i < n; i++)
        clew_span_end(clew_span_start("s", CLEW_SPAN_INTERNAL));
    CHECK(clew_log_flush(5000) == 0);
    if (seen.n < expected[0] || seen.n > expected[1])
        fprintf(stderr, "%d spans\n", seen.n);
    return seen.n >= expected[0] && seen.n <= expected[1] ? 0 : 1;
}

static void test_span_samplers_by_variable(void **state)
{
    static const struct {
        const char *sampler, *arg, *disabled;
        int expected[2];
    } table[] = {
        {"", "", "", {1000, 1000}},
        {"always_off", "", "", {0, 0}},
        {"parentbased_always_off", "", "", {0, 0}},
        {"traceidratio", "0.5", "", {400, 600}},
        {"parentbased_traceidratio", "0.1", "", {50, 160}},
        {"traceidratio", "nonsense", "", {1000, 1000}},
        {"no_such", "", "", {1000, 1000}},
        {"", "", "true", {0, 0}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        setenv("OTEL_TRACES_SAMPLER", table[i].sampler, 1);
        setenv("OTEL_TRACES_SAMPLER_ARG", table[i].arg, 1);
        setenv("OTEL_SDK_DISABLED", table[i].disabled, 1);
        child_run(count_spans, (void *)table[i].expected);
        assert_int_equal(child.status, 0);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, child_setup, child_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_span_nesting_attributes_status),
        TEST(test_span_limits_are_kept_and_counted),
        TEST(test_span_samplers_by_variable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
