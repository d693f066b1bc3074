/* SPDX-License-Identifier: Apache-2.0
 * Reading Alertmanager's list of alerts as it comes, in pieces of any size. */
#include "bridge.h"

#include <alertmanager/listing.h>

#include <clew/log.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALERT(fingerprint, starts, state)                                                         \
    "{\"annotations\":{\"summary\":\"a ] } , \\\" {[\"},\"endsAt\":\"2026-01-01T00:04:00.000Z\"," \
    "\"fingerprint\":\"" fingerprint "\",\"receivers\":[{\"name\":\"x\"}],\"startsAt\":\"" starts \
    "\",\"status\":{\"inhibitedBy\":[],\"silencedBy\":[],\"state\":\"" state "\"},"               \
    "\"labels\":{\"alertname\":\"A\"}}"
#define FP1 "00000000000000a1"
#define FP2 "ffffffffffffffff"
#define T1 "2026-01-01T00:00:00.123Z"
#define T2 "2026-01-01T00:00:01.000Z"

static int feed(struct clew__listing *listing, const char *text, size_t piece)
{
    int r = 0;

    for (size_t at = 0, len = strlen(text); at < len && r == 0; at += piece)
        r = clew__listing_feed(listing, text + at, len - at < piece ? len - at : piece);
    return r == 0 ? clew__listing_end(listing) : r;
}

static void test_listing_reads_pieces(void **state)
{
    static const char text[] = " [\n" ALERT(FP2, T1, "suppressed") " ,\n" ALERT(
        FP1, T2, "active") "," ALERT(FP1, T1, "unprocessed") "]\n";

    (void)state;
    for (size_t piece = 1; piece < sizeof(text); piece++) {
        struct clew__listing listing = {.items = NULL};
        const struct clew__listed *found;
        bool active;

        clew__listing_begin(&listing, 2);
        assert_int_equal(feed(&listing, text, piece), 0);
        clew__listing_unite(&listing);
        assert_int_equal(listing.n, 3);
        found = clew__listing_find(&listing, 0xa1, 1767225601000, &active);
        assert_true(found && active && found->starts_ms == 1767225601000 && found->by == 2);
        found = clew__listing_find(&listing, 0xa1, 5, &active);
        assert_true(found && active);
        assert_non_null(clew__listing_find(&listing, UINT64_MAX, 0, &active));
        assert_false(active);
        assert_null(clew__listing_find(&listing, 0xa2, 0, &active));
        clew__listing_done(&listing);
    }
}

/* Of two, one has it silenced; each has one of its own. */
static void test_listing_unites(void **state)
{
    struct clew__listing listing = {.items = NULL};
    const struct clew__listed *found;
    bool active;

    (void)state;
    clew__listing_begin(&listing, 1);
    assert_int_equal(feed(&listing, "[" ALERT(FP1, T1, "suppressed") "]", 64), 0);
    clew__listing_begin(&listing, 2);
    assert_int_equal(
        feed(&listing, "[" ALERT(FP1, T1, "active") "," ALERT(FP2, T1, "active") "]", 64), 0);
    clew__listing_unite(&listing);
    assert_int_equal(listing.n, 2);
    found = clew__listing_find(&listing, 0xa1, 0, &active);
    assert_true(found && active && found->by == 3);
    found = clew__listing_find(&listing, UINT64_MAX, 0, &active);
    assert_true(found && found->by == 2);
    clew__listing_done(&listing);
}

static void test_listing_refuses(void **state)
{
    static const char *const cases[] = {
        "",
        "[",
        "{}",
        "null",
        "[]]",
        "[,]",
        "[{}]",
        "[1]",
        "[\"" FP1 "\"]",
        "[" ALERT(FP1, T1, "active"),
        "[" ALERT(FP1, T1, "active") ",]",
        "[" ALERT(FP1, T1, "active") ALERT(FP1, T1, "active") "]",
        "[" ALERT(FP1, T1, "active") "] x",
        "[" ALERT("a1", T1, "active") "]",
        "[" ALERT("00000000000000g1", T1, "active") "]",
        "[" ALERT(FP1 "a1", T1, "active") "]",
        "[" ALERT(FP1, "yesterday", "active") "]",
        "[{\"fingerprint\":\"" FP1 "\",\"startsAt\":\"" T1 "\"}]",
        "[{\"fingerprint\":{}}]",
        "[{]}]",
        "[{\"a\":1,\"a\":2}]",
        "HTTP/1.1 502",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct clew__listing listing = {.items = NULL};

        clew__listing_begin(&listing, 1);
        if (feed(&listing, cases[i], 7) != -EINVAL)
            fail_msg("%s", cases[i]);
        clew__listing_done(&listing);
    }
}

static void test_listing_bounds_an_alert(void **state)
{
    char *text = malloc(CLEW__LISTING_ALERT_MAX + 64);
    struct clew__listing listing = {.items = NULL};

    (void)state;
    memset(text, 'x', CLEW__LISTING_ALERT_MAX + 63);
    memcpy(text, "[{\"a\":\"", 7);
    text[CLEW__LISTING_ALERT_MAX + 63] = '\0';
    clew__listing_begin(&listing, 1);
    assert_int_equal(feed(&listing, text, 65536), -EINVAL);
    assert_non_null(strstr(clew_last_error(), "an alert of more than"));
    clew__listing_done(&listing);
    free(text);
}

static void test_listing_fingerprints(void **state)
{
    uint64_t number = 0;

    (void)state;
    assert_true(clew__fingerprint_number("00000000000000FFabcdef01", &number));
    assert_int_equal(number, 255);
    assert_false(clew__fingerprint_number("0000", &number));
    assert_false(clew__fingerprint_number("0000000000000 00", &number));
    assert_false(clew__fingerprint_number("", &number));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_listing_reads_pieces), cmocka_unit_test(test_listing_unites),
        cmocka_unit_test(test_listing_refuses),      cmocka_unit_test(test_listing_bounds_an_alert),
        cmocka_unit_test(test_listing_fingerprints),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
