/* SPDX-License-Identifier: Apache-2.0
 * Samplers: parts, ratios and their thresholds, rates, rules. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <child.h>
#include <propagate_priv.h>
#include <sampler_priv.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A trace id whose 56 bits begin with these 16. */
static const uint8_t *id_of(unsigned first)
{
    static uint8_t id[16];

    memset(id, 0xAB, sizeof(id));
    memset(id + 9, 0, 7);
    id[9] = (uint8_t)(first >> 8);
    id[10] = (uint8_t)first;
    return id;
}

static bool root(const char *name, enum clew_span_kind kind, const char *hint)
{
    const struct clew__sampling s = {
        .trace_id = id_of(0x8000), .name = name, .kind = kind, .hint = hint};

    return clew__sampler_decide(&s).sampled;
}

static bool child_of(bool remote, bool sampled)
{
    const struct clew__sampling s = {.trace_id = id_of(0x8000),
                                     .has_parent = true,
                                     .parent_is_remote = remote,
                                     .parent_sampled = sampled,
                                     .name = "n"};

    return clew__sampler_decide(&s).sampled;
}

static void test_sampler_thresholds(void **state)
{
    (void)state;
    assert_true(clew__ratio_threshold(1) == 0);
    assert_true(clew__ratio_threshold(0) == CLEW__NEVER);
    assert_true(clew__ratio_threshold(0.5) == UINT64_C(0x80000000000000));
    assert_true(clew__ratio_threshold(0.1) == UINT64_C(0xE6660000000000));
    assert_true(clew__ratio_threshold(0.01) == UINT64_C(0xFD70A000000000));
    for (int i = 0; i < 1000; i++) /* the set of the smaller ratio is within the other's */
        assert_true(clew__ratio_threshold(i / 1000.0) >= clew__ratio_threshold((i + 1) / 1000.0));
}

static int parts_by_default(void *arg)
{
    (void)arg;
    CHECK(clew__sampler_known(false, false, false) == 2); /* not read yet */
    CHECK(root("n", CLEW_SPAN_SERVER, NULL));
    CHECK(child_of(true, true) && child_of(false, true));
    CHECK(!child_of(true, false) && !child_of(false, false));
    CHECK(clew__sampler_known(false, false, false) == 1);
    CHECK(clew__sampler_known(true, false, false) == 0);
    CHECK(clew__sampler_known(true, false, true) == 1);
    CHECK(clew__sampler_known(true, true, false) == 0);
    CHECK(clew__sampler_known(true, true, true) == 1);
    return 0;
}

static int parts_by_rule(void *arg)
{
    (void)arg;
    CHECK(!root("n", CLEW_SPAN_SERVER, NULL));
    CHECK(!child_of(true, true) && child_of(false, true));
    CHECK(child_of(true, false) && !child_of(false, false));
    CHECK(clew__sampler_known(true, true, true) == 0);
    CHECK(clew__sampler_known(true, true, false) == 1);
    return 0;
}

static int no_parts(void *arg)
{
    (void)arg; /* always_off, not by parent */
    CHECK(!root("n", CLEW_SPAN_SERVER, NULL) && !child_of(true, true));
    return 0;
}

static void test_sampler_parts(void **state)
{
    (void)state;
    child_run(parts_by_default, NULL);
    assert_int_equal(child.status, 0);
    setenv("OTEL_TRACES_SAMPLER", "parentbased_always_off", 1);
    setenv("CLEW_TRACES_SAMPLER_RULES", "@remote_sampled=drop; @remote_not_sampled = keep", 1);
    child_run(parts_by_rule, NULL);
    assert_int_equal(child.status, 0);
    setenv("OTEL_TRACES_SAMPLER", "always_off", 1);
    unsetenv("CLEW_TRACES_SAMPLER_RULES");
    child_run(no_parts, NULL);
    assert_int_equal(child.status, 0);
}

/* What is in tracestate after the decision for a trace whose 56 bits begin so. */
static const char *after(unsigned first, const char *tracestate, bool *ret_sampled)
{
    static struct clew_context *context;
    struct clew__sampling s = {.trace_id = id_of(first), .name = "n"};
    struct clew__sampled decision;
    struct clew_extract_piece piece = {tracestate, strlen(tracestate)};

    (void)clew_context_unref(context);
    context = clew_context_new();
    clew_context_set_trace(context, s.trace_id, 0);
    clew__tracestate_take(context, &piece, 1);
    context->decision = CLEW__OPEN;
    s.context = context;
    decision = clew__sampler_decide(&s);
    clew__sampler_apply(context, &decision);
    *ret_sampled = clew_context_trace_flags(context) & CLEW_TRACE_SAMPLED;
    return clew_tracestate_text(context);
}

static int ratio(void *arg)
{
    bool sampled;

    (void)arg; /* 0.1 */
    CHECK(strcmp(after(0xE666, "", &sampled), "ot=th:e666") == 0 && sampled);
    CHECK(strcmp(after(0xE665, "", &sampled), "") == 0 && !sampled);
    CHECK(strcmp(after(0xFFFF, "a=1,ot=th:0;x:y", &sampled), "ot=th:e666;x:y,a=1") == 0 && sampled);
    CHECK(strcmp(after(0, "ot=th:0,a=1", &sampled), "a=1") == 0 && !sampled);
    /* rv is the randomness where there is one */
    CHECK(strcmp(after(0, "ot=rv:f0000000000000", &sampled), "ot=th:e666;rv:f0000000000000") == 0 &&
          sampled);
    CHECK(strcmp(after(0xFFFF, "ot=rv:00000000000001", &sampled), "ot=rv:00000000000001") == 0 &&
          !sampled);
    CHECK(strcmp(after(0, "ot=rv:F0000000000000", &sampled), "ot=rv:F0000000000000") == 0 &&
          !sampled); /* malformed: the trace id's */
    return 0;
}

static void test_sampler_ratio_and_its_threshold(void **state)
{
    (void)state;
    setenv("OTEL_TRACES_SAMPLER", "traceidratio", 1);
    setenv("OTEL_TRACES_SAMPLER_ARG", "0.1", 1);
    child_run(ratio, NULL);
    assert_int_equal(child.status, 0);
}

static int rules(void *arg)
{
    int n = 0;

    (void)arg;
    CHECK(!root("GET", CLEW_SPAN_SERVER, "GET /health/live"));
    CHECK(root("POST", CLEW_SPAN_SERVER, "POST /orders"));
    CHECK(root("POST", CLEW_SPAN_SERVER, "POST /orders/7/items/8"));
    CHECK(!root("POST", CLEW_SPAN_SERVER, "POST /orders/7/item/8"));
    CHECK(!root("kind", CLEW_SPAN_CONSUMER, "anything"));
    CHECK(root("half", CLEW_SPAN_SERVER, NULL));   /* 0x8000 of 0x8000 */
    CHECK(!root("small", CLEW_SPAN_SERVER, NULL)); /* 0.25 */
    CHECK(root("a-b", CLEW_SPAN_INTERNAL, NULL));
    CHECK(!root("a--b", CLEW_SPAN_INTERNAL, NULL));
    for (int i = 0; i < 1000; i++)
        n += root("limited", CLEW_SPAN_SERVER, NULL);
    CHECK(n >= 10 && n < 20); /* ten, and what a slow machine takes for the loop */
    CHECK(!root("what no rule names", CLEW_SPAN_SERVER, NULL));
    CHECK(child_of(true, true) && !child_of(true, false)); /* rules are for roots */
    CHECK(clew__sampler_known(false, false, false) == 2);
    return 0;
}

static void test_sampler_rules(void **state)
{
    json_t *line;

    (void)state;
    setenv("OTEL_TRACES_SAMPLER", "parentbased_always_off", 1);
    setenv("CLEW_TRACES_SAMPLER_RULES",
           "GET /health*=drop; POST /orders=keep ;POST */items/*=1;kind:consumer=0;;half=0.5;"
           "small=0.25;a?b=keep;limited=10/s; nonsense; x=2; y=keeps; @local=keep; kind:odd=drop",
           1);
    child_run(rules, NULL);
    assert_int_equal(child.status, 0);
    assert_int_equal(child_count("a rule of CLEW_TRACES_SAMPLER_RULES is passed over"), 5);
    line = json_object_get(child_line("a rule of CLEW_TRACES_SAMPLER_RULES is passed over"),
                           "context");
    assert_string_equal(json_string_value(json_object_get(line, "rule")), "nonsense");
    assert_int_equal(json_integer_value(json_object_get(line, "number")), 9);
}

static int spans_follow(void *arg)
{
    struct clew_span *outer, *inner;

    (void)arg;
    outer = clew_span_start_with(
        "GET", &(struct clew_span_options){.enter = true, .sampling_hint = "GET /health"});
    inner = clew_span_begin("POST /orders", CLEW_SPAN_INTERNAL);
    CHECK(!clew_span_is_recording(outer) && !clew_span_is_recording(inner));
    clew_span_end(inner);
    clew_span_end(outer);
    outer = clew_span_begin("POST /orders", CLEW_SPAN_SERVER);
    inner = clew_span_begin("GET /health", CLEW_SPAN_INTERNAL);
    CHECK(clew_span_is_recording(outer) && clew_span_is_recording(inner));
    clew_span_end(inner);
    clew_span_end(outer);
    return 0;
}

static void test_sampler_spans_follow_their_first(void **state)
{
    (void)state;
    setenv("CLEW_TRACES_SAMPLER_RULES", "GET /health=drop", 1);
    child_run(spans_follow, NULL);
    assert_int_equal(child.status, 0);
}

static int disabled(void *arg)
{
    (void)arg;
    CHECK(clew__tracing_disabled());
    CHECK(!root("n", CLEW_SPAN_SERVER, NULL) && child_of(true, true) && !child_of(true, false));
    CHECK(clew__sampler_known(true, true, true) == 1 && !clew__sampler_known(false, false, false));
    return 0;
}

static void test_sampler_disabled(void **state)
{
    (void)state;
    setenv("OTEL_SDK_DISABLED", "TRUE", 1);
    child_run(disabled, NULL);
    assert_int_equal(child.status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, child_setup, child_teardown)
        cmocka_unit_test(test_sampler_thresholds),   TEST(test_sampler_parts),
        TEST(test_sampler_ratio_and_its_threshold),  TEST(test_sampler_rules),
        TEST(test_sampler_spans_follow_their_first), TEST(test_sampler_disabled),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
