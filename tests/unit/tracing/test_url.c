/* SPDX-License-Identifier: Apache-2.0
 * What of URLs and queries may be seen. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <tracing_priv.h>

#include <string.h>

static const struct {
    const char *url, *seen;
} urls[] = {
    {"http://host/path?a=b", "http://host/path?a=b"},
    {"https://me:pass@host:81/p?q#f", "https://REDACTED:REDACTED@host:81/p?q#f"},
    {"https://me@host", "https://REDACTED:REDACTED@host"},
    {"https://a@b@host/x@y", "https://REDACTED:REDACTED@host/x@y"},
    {"http://h/?token=1&x=2;password=3&Signature=4",
     "http://h/?token=REDACTED&x=2;password=REDACTED"
     "&Signature=REDACTED"},
    {"http://h/#access_token=1&state=2", "http://h/#access_token=REDACTED&state=2"},
    {"http://h/?#", "http://h/?#"},
    {"http://h?token=?&=1&&a", "http://h?token=REDACTED&=1&&a"},
    {"host/path?AWSAccessKeyId=1", "host/path?AWSAccessKeyId=REDACTED"},
    {"", ""},
};

static void test_url_secrets_are_redacted(void **state)
{
    char seen[1024];

    (void)state;
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        clew__url_clean(seen, sizeof(seen), urls[i].url);
        assert_string_equal(seen, urls[i].seen);
    }
    clew__query_clean(seen, sizeof(seen), "a=b&api_key=1&jwt=2");
    assert_string_equal(seen, "a=b&api_key=REDACTED&jwt=REDACTED");
}

static void test_url_is_cut(void **state)
{
    char seen[24];

    (void)state;
    clew__url_clean(seen, sizeof(seen),
                    "http://host/\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4");
    assert_string_equal(seen, "http://host/\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4");
    clew__url_clean(seen, sizeof(seen), "http://me:a-secret@host/");
    assert_string_equal(seen, "http://REDACTED:REDACTE");
    /* A name nobody has is as good as a secret. */
    clew__query_clean(
        seen, sizeof(seen),
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa=1&b=2");
    assert_string_equal(seen, "aaaaaaaaaaaaaaaaaaaaaaa");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_url_secrets_are_redacted),
        cmocka_unit_test(test_url_is_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
