/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <tracing_priv.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GOOD "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

static void test_propagation_traceparent_table(void **state)
{
    static const struct {
        const char *text;
        bool good;
        uint8_t flags;
    } table[] = {
        {GOOD, true, 1},
        {" \t" GOOD "\t ", true, 1},
        {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", true, 0},
        {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-ff", true, 3},
        {"cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", true, 1},
        {"cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what-ever", true, 1},
        {"cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01.xyz", false, 0},
        {GOOD "-extra", false, 0},
        {"ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false, 0},
        {"00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", false, 0},
        {"00-00000000000000000000000000000000-b7ad6b7169203331-01", false, 0},
        {"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", false, 0},
        {"00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01", false, 0},
        {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333-01", false, 0},
        {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1", false, 0},
        {"0-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false, 0},
        {"00-0af7651916cd43dd8448eb211c8031.c-b7ad6b7169203331-01", false, 0},
        {"", false, 0},
        {"00", false, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        uint8_t trace_id[16], flags = 0;
        uint64_t span_id;
        size_t len = strlen(table[i].text);
        char *exact = malloc(len + 1); /* no byte behind: a sanitizer sees overruns */
        bool good;

        memcpy(exact, table[i].text, len);
        exact = realloc(exact, len ? len : 1);
        good = clew__traceparent_parse(exact, len, trace_id, &span_id, &flags);
        if (good != table[i].good || (good && flags != table[i].flags))
            fail_msg("\"%s\"", table[i].text);
        free(exact);
    }
}

static void assert_tracestate(const char *in, const char *expected)
{
    struct clew_extract_piece piece = {in, strlen(in)};
    char *out = clew__tracestate_join(&piece, 1);

    if (expected)
        assert_string_equal(out ? out : "(null)", expected);
    else
        assert_null(out);
    free(out);
}

static void test_propagation_tracestate_rules(void **state)
{
    char many[200] = "", big[1200] = "";

    (void)state;
    assert_tracestate("foo=1,bar=2", "foo=1,bar=2");
    assert_tracestate(" foo=1 ,\t, bar=2,", "foo=1,bar=2");
    assert_tracestate("foo@=1,foo@@bar=1,a@b@c=2", "foo@=1,foo@@bar=1,a@b@c=2");
    assert_tracestate("@foo=1", NULL);
    assert_tracestate("foo =1", NULL);
    assert_tracestate("FOO=1", NULL);
    assert_tracestate("foo.bar=1", NULL);
    assert_tracestate("foo=", NULL);
    assert_tracestate("a=b=c", NULL);
    assert_tracestate("", NULL);
    for (int i = 0; i < 33; i++)
        sprintf(many + strlen(many), "k%d=1,", i);
    assert_tracestate(many, NULL);
    memset(big, 'v', 202); /* one long member, then shorter ones past 512 bytes */
    memcpy(big, "l=", 2);
    for (int i = 0; i < 9; i++)
        sprintf(big + strlen(big), ",k%d=%040d", i, i);
    struct clew_extract_piece piece = {big, strlen(big)};
    char *out = clew__tracestate_join(&piece, 1);
    assert_non_null(out);
    assert_true(strlen(out) <= CLEW_TRACESTATE_MAX);
    assert_memory_equal(out, "k0=", 3);
    assert_non_null(strstr(out, "k8="));
    free(out);
}

static void test_propagation_baggage_members(void **state)
{
    struct clew_extract_piece pieces[2] = {{"user=al%20ice;meta=1 , bad key=2,a=b=c", 0},
                                           {"x=\"y\",z=1", 0}};
    char *out;

    (void)state;
    pieces[0].len = strlen(pieces[0].value);
    pieces[1].len = strlen(pieces[1].value);
    out = clew__baggage_join(pieces, 2);
    assert_string_equal(out, "user=al%20ice;meta=1,a=b=c,z=1");
    free(out);
}

struct headers {
    char text[2048];
};

static void collect(void *arg, const char *name, const char *value)
{
    struct headers *headers = arg;

    snprintf(headers->text + strlen(headers->text), sizeof(headers->text) - strlen(headers->text),
             "%s: %s\n", name, value);
}

static struct clew_scope extract(const char *const (*headers)[2], size_t n, bool *remote)
{
    struct clew_extract e;

    clew_extract_init(&e);
    for (size_t i = 0; i < n; i++)
        clew_extract_header(&e, headers[i][0], strlen(headers[i][0]), headers[i][1],
                            strlen(headers[i][1]));
    return clew_extract_context(&e, remote);
}

static void test_propagation_round_trip(void **state)
{
    static const char *const in[][2] = {
        {"x-request-id", "r-1"},       {"X-CORRELATION-ID", "c-1"}, {"TraceParent", GOOD},
        {"tracestate", "a=1"},         {"tracestate", "b=2"},       {"baggage", "k=v"},
        {"x-request-id-not", "other"},
    };
    struct headers out = {""};
    bool remote;
    struct clew_scope scope = extract(in, 7, &remote);

    (void)state;
    assert_true(remote);
    clew_inject(scope, collect, &out);
    assert_string_equal(out.text, "X-Request-ID: r-1\nX-Correlation-ID: c-1\ntraceparent: " GOOD
                                  "\ntracestate: a=1,b=2\nbaggage: k=v\n");
    clew_scope_release(scope);
}

static void test_propagation_malformed_starts_a_new_trace(void **state)
{
    static const char *const twice[][2] = {
        {"traceparent", GOOD}, {"traceparent", GOOD}, {"tracestate", "a=1"}};
    static const char *const bad[][2] = {{"traceparent", "nonsense"},
                                         {"tracestate", "a=1"},
                                         {"X-Request-ID", "bad id\r\nSet-Cookie: x"}};
    struct headers out = {""};
    bool remote;
    struct clew_scope scope = extract(twice, 3, &remote);

    (void)state;
    assert_false(remote);
    assert_int_equal(scope.span_id, 0);
    clew_scope_release(scope);
    scope = extract(bad, 3, &remote);
    assert_false(remote);
    scope.span_id = clew_id_span();
    clew_inject(scope, collect, &out);
    assert_null(strstr(out.text, "0af7651916cd43dd8448eb211c80319c"));
    assert_null(strstr(out.text, "tracestate"));
    assert_null(strstr(out.text, "Cookie"));
    assert_non_null(strstr(out.text, "traceparent: 00-"));
    clew_scope_release(scope);
}

static void test_propagation_survives_any_bytes(void **state)
{
    static const char *const names[] = {"traceparent", "tracestate", "baggage", "x-request-id",
                                        "x-correlation-id"};
    (void)state;
    srand(6);
    for (int round = 0; round < 20000; round++) {
        struct clew_extract e;
        char values[12][80];
        bool remote;

        clew_extract_init(&e);
        for (int i = 0; i < 12; i++) {
            size_t len = (size_t)rand() % 80;

            for (size_t j = 0; j < len; j++)
                values[i][j] = rand() % 3 ? "0a-=,;k1 "[rand() % 9] : (char)rand();
            clew_extract_header(&e, names[rand() % 5], strlen(names[i % 5]), values[i], len);
            clew_extract_header(&e, names[i % 5], strlen(names[i % 5]), values[i], len);
        }
        struct clew_scope scope = clew_extract_context(&e, &remote);
        assert_non_null(scope.context);
        assert_true(clew_context_request_id(scope.context)[0] != '\0');
        clew_scope_release(scope);
    }
}

static void test_propagation_sampler_follows_parent(void **state)
{
    static const char *const off[][2] = {
        {"traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"}};
    bool remote;
    struct clew_scope scope = extract(off, 1, &remote);

    (void)state;
    assert_false(clew_context_trace_flags(scope.context) & CLEW_TRACE_SAMPLED);
    clew_scope_release(scope);
    scope = extract(NULL, 0, &remote);
    assert_true(clew_context_trace_flags(scope.context) & CLEW_TRACE_SAMPLED);
    clew_scope_release(scope);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_propagation_traceparent_table),
        cmocka_unit_test(test_propagation_tracestate_rules),
        cmocka_unit_test(test_propagation_baggage_members),
        cmocka_unit_test(test_propagation_round_trip),
        cmocka_unit_test(test_propagation_malformed_starts_a_new_trace),
        cmocka_unit_test(test_propagation_survives_any_bytes),
        cmocka_unit_test(test_propagation_sampler_follows_parent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
