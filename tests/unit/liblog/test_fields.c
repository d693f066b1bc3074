/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fields_priv.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void set_int(struct clew__fields *fields, const char *key, int64_t v, int expected)
{
    struct clew_value value = clew_value_int(v);

    assert_int_equal(clew__fields_set(fields, key, CLEW_TYPE_INT, &value), expected);
}

static void test_fields_replace_in_place(void **state)
{
    char bytes[256];
    struct clew__fields fields = {.bytes = bytes, .max_bytes = sizeof(bytes), .max_n = 8};
    struct clew_value text = clew_value_string("long text that takes room");
    struct clew__field field;
    size_t at = 0;

    (void)state;
    set_int(&fields, "a", 1, 0);
    assert_int_equal(clew__fields_set(&fields, "b", CLEW_TYPE_STRING, &text), 0);
    set_int(&fields, "c", 3, 0);
    set_int(&fields, "b", 2, 0);
    assert_int_equal(fields.n, 3);
    assert_true(clew__fields_next(bytes, fields.len, &at, &field));
    assert_memory_equal(field.key, "a", 1);
    assert_true(clew__fields_next(bytes, fields.len, &at, &field));
    assert_memory_equal(field.key, "c", 1);
    assert_true(clew__fields_next(bytes, fields.len, &at, &field));
    assert_memory_equal(field.key, "b", 1);
    assert_int_equal(field.value.as.i, 2);
    assert_false(clew__fields_next(bytes, fields.len, &at, &field));
}

static void test_fields_refuse_what_does_not_fit(void **state)
{
    char bytes[32], key[300];
    struct clew__fields fields = {.bytes = bytes, .max_bytes = sizeof(bytes), .max_n = 2};
    struct clew_value text = clew_value_string("0123456789012345678901234567890123456789");

    (void)state;
    memset(key, 'k', sizeof(key));
    key[299] = '\0';
    set_int(&fields, "", 1, -EINVAL);
    set_int(&fields, key, 1, -EINVAL);
    set_int(&fields, "a", 1, 0);
    assert_int_equal(clew__fields_set(&fields, "a", CLEW_TYPE_STRING, &text), -E2BIG);
    set_int(&fields, "b", 1, 0);
    set_int(&fields, "c", 1, -E2BIG);
    set_int(&fields, "b", 2, 0);
    assert_int_equal(fields.n, 2);
}

static void test_fields_survive_any_bytes(void **state)
{
    (void)state;
    srand(3);
    for (int round = 0; round < 100000; round++) {
        char *bytes = malloc(32);
        size_t len = (size_t)rand() % 33, at = 0;
        struct clew__field field;

        for (size_t i = 0; i < len; i++)
            bytes[i] = (char)(rand() % 4 ? rand() % 8 : rand());
        while (clew__fields_next(bytes, len, &at, &field))
            assert_true(at <= len);
        free(bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields_replace_in_place),
        cmocka_unit_test(test_fields_refuse_what_does_not_fit),
        cmocka_unit_test(test_fields_survive_any_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
