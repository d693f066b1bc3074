/* SPDX-License-Identifier: Apache-2.0
 * The search, beside a search one byte after the other. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <find.h>

#include <stdlib.h>
#include <string.h>

static unsigned long seed = 1;

static unsigned pick(unsigned n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed >> 33) % n;
}

static const char *slowly(const char *needle, size_t len, enum cli_hide hide, const char *p,
                          const char *end)
{
    for (; p < end; p++) {
        if ((size_t)(end - p) >= len && memcmp(p, needle, len) == 0)
            return p;
        if (*p == '\\' && hide == CLI_HIDE_ANY)
            return p;
        if (*p == '\\' && hide == CLI_HIDE_U && end - p > 1 && p[1] == 'u')
            return p;
    }
    return NULL;
}

static void test_find_agrees_with_a_slow_search(void **state)
{
    int found = 0;

    (void)state;
    for (int i = 0; i < 100000; i++) {
        size_t len = pick(120), needle_len = 1 + pick(i % 2 ? 4 : 40);
        char *text = malloc(len ? len : 1), *needle = malloc(needle_len);
        enum cli_hide hide = (enum cli_hide)pick(3);
        struct cli_find find;
        const char *expected;

        for (size_t k = 0; k < len; k++)
            text[k] = pick(12) ? "ab"[pick(2)] : "\\u\n"[pick(3)];
        for (size_t k = 0; k < needle_len; k++)
            needle[k] = "ab"[pick(2)];
        if (needle_len < len && pick(3) == 0)
            memcpy(text + pick((unsigned)(len - needle_len + 1)), needle, needle_len);
        cli_find_init(&find, needle, needle_len, hide);
        expected = slowly(needle, needle_len, hide, text, text + len);
        assert_ptr_equal(cli_find_next(&find, text, text + len), expected);
        found += expected != NULL;
        free(text);
        free(needle);
    }
    assert_in_range(found, 20000, 95000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find_agrees_with_a_slow_search),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
