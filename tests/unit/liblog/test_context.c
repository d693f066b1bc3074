/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <child.h>
#include <clew/context.h>

#include <errno.h>
#include <pthread.h>
#include <string.h>

static uint64_t replaced(void)
{
    struct clew_stats stats;

    clew_stats_read(&stats);
    return stats.replaced_ids;
}

static void test_context_takes_good_ids(void **state)
{
    struct clew_context *context = clew_context_new();
    char longest[CLEW_ID_MAX];

    (void)state;
    memset(longest, 'x', sizeof(longest));
    assert_int_equal(clew_context_set_request_id(context, "r-42/=+", 7), 0);
    assert_string_equal(clew_context_request_id(context), "r-42/=+");
    assert_int_equal(clew_context_set_request_id(context, "a \"b\" \\", 7), 0);
    assert_string_equal(clew_context_request_id(context), "a \"b\" \\");
    assert_int_equal(clew_context_set_request_id(context, longest, sizeof(longest)), 0);
    assert_int_equal(strlen(clew_context_request_id(context)), CLEW_ID_MAX);
    clew_context_unref(context);
}

static void test_context_replaces_bad_ids_and_counts(void **state)
{
    static const struct {
        const char *id;
        size_t len;
    } bad[] = {
        {"new\nline", 8}, {"nul\0here", 8},          {"\x7f", 1},
        {"tab\t", 4},     {"gr\xc3\xbc\xc3\x9f", 6}, {"\x1b[31m", 5},
    };
    struct clew_context *context = clew_context_new();
    char too_long[CLEW_ID_MAX + 1];

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint64_t before = replaced();

        assert_int_equal(clew_context_set_request_id(context, bad[i].id, bad[i].len), 2);
        assert_int_equal(strlen(clew_context_request_id(context)), 36);
        assert_int_equal(clew_context_request_id(context)[14], '7');
        assert_int_equal(replaced(), before + 1);
    }
    memset(too_long, 'x', sizeof(too_long));
    assert_int_equal(clew_context_set_request_id(context, too_long, sizeof(too_long)), 2);
    assert_int_equal(strlen(clew_context_request_id(context)), 36);
    clew_context_unref(context);
}

static void test_context_correlation_defaults_to_request(void **state)
{
    struct clew_context *context = clew_context_new();

    (void)state;
    assert_int_equal(clew_context_set_request_id(context, NULL, 0), 1);
    assert_int_equal(clew_context_set_correlation_id(context, NULL, 0), 1);
    assert_string_equal(clew_context_request_id(context), clew_context_correlation_id(context));
    assert_int_equal(clew_context_set_correlation_id(context, "c-1", 3), 0);
    assert_string_equal(clew_context_correlation_id(context), "c-1");
    clew_context_unref(context);
}

static void test_context_bind_refuses_the_lines_own_keys(void **state)
{
    struct clew_context *context = clew_context_new();
    char big[2000];

    (void)state;
    memset(big, 'b', sizeof(big));
    assert_int_equal(clew_context_bind(context, clew_kv("username", "alice")), 0);
    assert_int_equal(clew_context_bind(context, clew_kv("trace_id", "x")), -EINVAL);
    assert_int_equal(clew_context_bind(context, clew_kv("a", 1), clew_kv("source", 2)), -EINVAL);
    assert_int_equal(clew_context_bind(context, clew_kvn("big", big, sizeof(big))), -E2BIG);
    assert_non_null(strstr(clew_last_error(), "1024"));
    assert_int_equal(clew_context_bind(NULL, clew_kv("a", 1)), -EINVAL);
    clew_context_unref(context);
}

static void test_context_ids_are_unique_and_well_formed(void **state)
{
    char a[37], b[37];
    uint8_t t[16], u[16];

    (void)state;
    clew_id_uuid7(a);
    clew_id_uuid7(b);
    assert_string_not_equal(a, b);
    assert_int_equal(strlen(a), 36);
    assert_int_equal(a[14], '7');
    assert_non_null(strchr("89ab", a[19]));
    assert_true(strncmp(a, b, 8) == 0); /* the time leads */
    clew_id_trace(t);
    clew_id_trace(u);
    assert_memory_not_equal(t, u, 16);
    assert_true(clew_id_span() != clew_id_span());
}

static void test_context_scopes_nest(void **state)
{
    struct clew_scope outer = {clew_context_new(), 1}, inner = {clew_context_new(), 2};
    struct clew_scope was = clew_scope_enter(outer), captured;

    (void)state;
    assert_null(was.context);
    struct clew_scope was2 = clew_scope_enter(inner);
    assert_ptr_equal(was2.context, outer.context);
    captured = clew_scope_capture();
    assert_ptr_equal(captured.context, inner.context);
    clew_scope_leave(was2);
    assert_int_equal(clew_scope_current().span_id, 1);
    clew_scope_leave(was);
    clew_context_unref(inner.context);
    clew_scope_release(captured);
    clew_context_unref(outer.context);
    assert_null(clew_context_unref(NULL));
}

static uint64_t misused(void)
{
    struct clew_stats stats;

    clew_stats_read(&stats);
    return stats.misused;
}

static struct clew_scope new_scope(uint64_t span_id)
{
    return (struct clew_scope){clew_context_new(), span_id};
}

static void test_context_leaving_in_the_wrong_order(void **state)
{
    struct clew_scope a = new_scope(1), b = new_scope(2), was_a, was_b;
    uint64_t before = misused();

    (void)state;
    was_a = clew_scope_enter(a);
    was_b = clew_scope_enter(b);
    clew_scope_leave(was_a); /* b is left with it */
    assert_null(clew_scope_current().context);
    assert_int_equal(misused(), before + 1);
    clew_scope_leave(was_b); /* left already */
    assert_null(clew_scope_current().context);
    assert_int_equal(misused(), before + 2);
    for (int i = 0; i < 100; i++) /* deeper than is remembered */
        (void)clew_scope_enter(i % 2 ? a : b);
    for (int i = 99; i >= 0; i--)
        clew_scope_leave(i == 0 ? was_a : i % 2 ? b : a);
    assert_null(clew_scope_current().context);
    assert_int_equal(misused(), before + 2);
    clew_scope_release(a);
    clew_scope_release(b);
}

static void test_context_use_after_release(void **state)
{
    struct clew_scope scope = new_scope(1), was;
    uint64_t before = misused();

    (void)state;
    was = clew_scope_enter(scope);
    clew_context_unref(scope.context); /* while it is current */
    assert_null(clew_scope_current().context);
    clew_scope_leave(was);
    assert_int_equal(misused(), before + 1);
    clew_context_unref(scope.context);
    assert_null(clew_context_ref(scope.context));
    was = clew_scope_enter(scope);
    assert_null(clew_scope_current().context);
    clew_scope_leave(was);
    assert_int_equal(misused(), before + 4);
}

static void *release(void *arg)
{
    struct clew_context **contexts = arg;

    for (int i = 0; i < 200; i++)
        clew_context_unref(contexts[i]);
    return NULL;
}

/* They come back from threads that have ended, and are empty then. */
static void test_context_is_used_again(void **state)
{
    struct clew_context *first[200], *again[200];
    pthread_t thread;
    int same = 0;

    (void)state;
    for (int i = 0; i < 200; i++) {
        first[i] = clew_context_new();
        (void)clew_context_set_request_id(first[i], "old", 3);
        (void)clew_context_bind(first[i], clew_kv("user", "old"));
    }
    assert_int_equal(pthread_create(&thread, NULL, release, first), 0);
    pthread_join(thread, NULL);
    for (int i = 0; i < 200; i++) {
        again[i] = clew_context_new();
        assert_string_equal(clew_context_request_id(again[i]), "");
        for (int j = 0; j < 200; j++)
            same += again[i] == first[j];
    }
    assert_int_equal(same, 200);
    for (int i = 0; i < 200; i++)
        clew_context_unref(again[i]);
}

static void test_context_copy_and_detach(void **state)
{
    static const uint8_t trace[16] = {1, 2, 3};
    struct clew_scope scope = new_scope(7), was, detached;

    (void)state;
    (void)clew_context_set_request_id(scope.context, "r", 1);
    clew_context_set_trace(scope.context, trace, CLEW_TRACE_SAMPLED);
    clew_context_set_deadline(scope.context, 1);
    assert_true(clew_context_remaining_ns(scope.context) < 0);
    was = clew_scope_enter(scope);
    detached = clew_scope_detach();
    clew_scope_leave(was);
    clew_scope_release(scope);
    assert_ptr_not_equal(detached.context, scope.context);
    assert_string_equal(clew_context_request_id(detached.context), "r");
    assert_memory_equal(clew_context_trace_id(detached.context), trace, 16);
    assert_int_equal(clew_context_trace_flags(detached.context), CLEW_TRACE_SAMPLED);
    assert_int_equal(detached.span_id, 7);
    assert_int_equal(clew_context_deadline(detached.context), 0);
    assert_true(clew_context_remaining_ns(detached.context) == INT64_MAX);
    clew_scope_release(detached);
    assert_null(clew_context_copy(NULL));
    assert_null(clew_scope_detach().context);
}

static void note_current(void *arg)
{
    *(struct clew_scope *)arg = clew_scope_current();
}

static void test_context_call_in_a_scope(void **state)
{
    struct clew_scope scope = new_scope(3), seen;

    (void)state;
    clew_scope_call(scope, note_current, &seen);
    assert_ptr_equal(seen.context, scope.context);
    assert_int_equal(seen.span_id, 3);
    assert_null(clew_scope_current().context);
    clew_scope_release(scope);
}

struct coroutine {
    struct clew_strand strand;
    struct clew_scope own, was;
};

static void *resume_elsewhere(void *arg)
{
    struct coroutine *c = arg;
    bool right;

    clew_strand_resume(&c->strand);
    right = clew_scope_current().context == c->own.context;
    clew_scope_leave(c->was);
    clew_strand_suspend(&c->strand);
    return right && !clew_scope_current().context ? arg : NULL;
}

/* Two coroutines that take turns, each with a scope entered across its turns. */
static void test_context_strands_take_turns(void **state)
{
    struct clew_scope outer = new_scope(9), was = clew_scope_enter(outer);
    struct coroutine c[2];
    uint64_t before = misused();
    pthread_t thread;
    void *right;

    (void)state;
    for (int i = 0; i < 2; i++) {
        clew_strand_init(&c[i].strand);
        c[i].own = new_scope((uint64_t)i + 1);
        clew_strand_resume(&c[i].strand);
        assert_ptr_equal(clew_scope_current().context, outer.context); /* where it was made */
        c[i].was = clew_scope_enter(c[i].own);
        clew_strand_suspend(&c[i].strand);
        assert_ptr_equal(clew_scope_current().context, outer.context);
    }
    clew_scope_leave(was);
    clew_strand_resume(&c[0].strand);
    assert_ptr_equal(clew_scope_current().context, c[0].own.context);
    clew_scope_leave(c[0].was);
    assert_ptr_equal(clew_scope_current().context, outer.context);
    clew_strand_suspend(&c[0].strand);
    assert_null(clew_scope_current().context);
    assert_int_equal(pthread_create(&thread, NULL, resume_elsewhere, &c[1]), 0);
    pthread_join(thread, &right);
    assert_non_null(right);
    assert_int_equal(misused(), before);
    clew_strand_suspend(&c[1].strand); /* not running */
    clew_strand_resume(&c[1].strand);
    clew_strand_resume(&c[1].strand); /* twice */
    clew_strand_done(&c[1].strand);   /* while running */
    assert_int_equal(misused(), before + 3);
    assert_null(clew_scope_current().context);
    clew_strand_done(&c[0].strand);
    for (int i = 0; i < 2; i++)
        clew_scope_release(c[i].own);
    clew_scope_release(outer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_context_takes_good_ids),
        cmocka_unit_test(test_context_replaces_bad_ids_and_counts),
        cmocka_unit_test(test_context_correlation_defaults_to_request),
        cmocka_unit_test(test_context_bind_refuses_the_lines_own_keys),
        cmocka_unit_test(test_context_ids_are_unique_and_well_formed),
        cmocka_unit_test(test_context_scopes_nest),
        cmocka_unit_test(test_context_leaving_in_the_wrong_order),
        cmocka_unit_test(test_context_use_after_release),
        cmocka_unit_test(test_context_is_used_again),
        cmocka_unit_test(test_context_copy_and_detach),
        cmocka_unit_test(test_context_call_in_a_scope),
        cmocka_unit_test(test_context_strands_take_turns),
    };

    return cmocka_run_group_tests(tests, child_setup, child_teardown);
}
