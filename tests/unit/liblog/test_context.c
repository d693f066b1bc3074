/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <clew/context.h>

#include <errno.h>
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_context_takes_good_ids),
        cmocka_unit_test(test_context_replaces_bad_ids_and_counts),
        cmocka_unit_test(test_context_correlation_defaults_to_request),
        cmocka_unit_test(test_context_bind_refuses_the_lines_own_keys),
        cmocka_unit_test(test_context_ids_are_unique_and_well_formed),
        cmocka_unit_test(test_context_scopes_nest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
