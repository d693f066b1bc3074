/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <propagate_priv.h>
#include <tracing_priv.h>

#include <errno.h>
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

/* Every byte at every place: digits are digits, everything else is refused, and what is
 * refused changes nothing. */
static void test_propagation_traceparent_every_byte(void **state)
{
    char text[] = GOOD;

    (void)state;
    for (size_t at = 3; at < 52; at++) {
        if (at == 35)
            continue;
        for (int c = 0; c < 256; c++) {
            bool digit = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'), good;
            uint8_t trace_id[16] = {0}, flags = 77, *byte;
            uint64_t span_id = 0;
            unsigned value;

            text[at] = (char)c;
            good = clew__traceparent_parse(text, 55, trace_id, &span_id, &flags);
            if (good != digit || (!good && (span_id != 0 || trace_id[0] != 0 || flags != 77)))
                fail_msg("byte %d at %zu", c, at);
            if (!good)
                continue;
            byte = at < 35 ? &trace_id[(at - 3) / 2] : (uint8_t *)&span_id + (at - 36) / 2;
            value = (at < 35 ? at - 3 : at) % 2 == 0 ? *byte >> 4 : *byte & 15;
            assert_int_equal(value, c <= '9' ? c - '0' : c - 'a' + 10);
        }
        text[at] = GOOD[at];
    }
}

/* A copy of exactly this size: a sanitizer sees what reads behind it. */
static struct clew_extract_piece exact_piece(const char *text)
{
    size_t len = strlen(text);
    char *exact = malloc(len ? len : 1);

    memcpy(exact, text, len);
    return (struct clew_extract_piece){exact, len};
}

static void assert_tracestate(const char *in, const char *expected)
{
    struct clew_extract_piece piece = exact_piece(in);
    struct clew_context *context = clew_context_new();

    clew__tracestate_take(context, &piece, 1);
    assert_string_equal(clew_tracestate_text(context), expected);
    assert_int_equal(context->state_len, strlen(expected));
    clew_context_unref(context);
    free((char *)piece.value);
}

static void test_propagation_tracestate_rules(void **state)
{
    static const char *const dropped[] = {"@foo=1",
                                          "foo =1",
                                          "FOO=1",
                                          "foo.bar=1",
                                          "foo=",
                                          "a=b=c",
                                          "",
                                          ",",
                                          "=1",
                                          "a",
                                          "a=1,b",
                                          "a=1,=2",
                                          "a=1,b=",
                                          "a=1,@b=2",
                                          "-a=1",
                                          "a=1,_b=1",
                                          "a=\x01",
                                          "a=\x7f",
                                          "a=b\xc3\xa9",
                                          "a=1,b=2,C=3",
                                          "a=,b=1",
                                          "kkkkkkkkkk=1==",
                                          "*=1"};
    char many[400] = "", big[1200] = "";

    (void)state;
    assert_tracestate("foo=1,bar=2", "foo=1,bar=2");
    assert_tracestate("a=1", "a=1");
    assert_tracestate("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE",
                      "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE");
    assert_tracestate("a=b c", "a=b c");
    assert_tracestate(" foo=1 ,\t, bar=2,", "foo=1,bar=2");
    assert_tracestate("foo@=1,foo@@bar=1,a@b@c=2", "foo@=1,foo@@bar=1,a@b@c=2");
    assert_tracestate("a=1,a=2,a=1", "a=1,a=2,a=1");
    for (size_t i = 0; i < sizeof(dropped) / sizeof(dropped[0]); i++)
        assert_tracestate(dropped[i], "");
    for (int i = 0; i < 32; i++)
        sprintf(many + strlen(many), "%sk%d=1", i ? "," : "", i);
    assert_tracestate(many, many);
    strcat(many, ",k=1");
    assert_tracestate(many, "");
    memset(big, 'v', 202); /* one long member, then shorter ones past 512 bytes */
    memcpy(big, "l=", 2);
    for (int i = 0; i < 9; i++)
        sprintf(big + strlen(big), ",k%d=%040d", i, i);
    assert_tracestate(big, big + 203);
}

/* Every length around the blocks that are read at once, good and bad in each place. */
static void test_propagation_tracestate_any_length(void **state)
{
    char text[300], changed[300];

    (void)state;
    for (int len = 3; len <= 256; len++) {
        for (int i = 0; i < len; i++)
            text[i] = "k=v,"[i % 4];
        if (len % 4 != 3) /* ends with a value */
            memset(text + len / 4 * 4 - 1, 'v', (size_t)(len % 4) + 1);
        text[len] = '\0';
        memcpy(changed, text, sizeof(text));
        if (len / 4 < 32)
            assert_tracestate(text, text);
        for (int i = 0; i < len; i += 1 + len / 16) {
            changed[i] = '\x01';
            assert_tracestate(changed, "");
            changed[i] = text[i];
        }
    }
}

static void test_propagation_tracestate_members(void **state)
{
    struct clew_context *context = clew_context_new();
    char value[300], key[16];

    (void)state;
    assert_int_equal(clew_tracestate_get(context, "a", value, sizeof(value)), -ENOENT);
    assert_int_equal(clew_tracestate_remove(context, "a"), -ENOENT);
    assert_int_equal(clew_tracestate_set(context, "a", "1"), 0);
    assert_int_equal(clew_tracestate_set(context, "b", "2"), 0);
    assert_int_equal(clew_tracestate_set(context, "a", "3"), 0);
    assert_string_equal(clew_tracestate_text(context), "a=3,b=2");
    assert_int_equal(clew_tracestate_get(context, "b", value, sizeof(value)), 1);
    assert_string_equal(value, "2");
    assert_int_equal(clew_tracestate_set(context, "c", "long value"), 0);
    assert_int_equal(clew_tracestate_get(context, "c", value, 5), 10);
    assert_string_equal(value, "long");
    assert_int_equal(clew_tracestate_remove(context, "c"), 0);
    assert_int_equal(clew_tracestate_set(context, "C", "1"), -EINVAL);
    assert_int_equal(clew_tracestate_set(context, "c", "1,d=2"), -EINVAL);
    assert_int_equal(clew_tracestate_set(context, "c", ""), -EINVAL);
    assert_int_equal(clew_tracestate_set(context, NULL, "1"), -EINVAL);
    for (int i = 0; i < 40; i++) {
        sprintf(key, "k%d", i);
        assert_int_equal(clew_tracestate_set(context, key, "v"), 0);
    }
    assert_true(strncmp(clew_tracestate_text(context), "k39=v,k38=v,", 12) == 0);
    assert_null(strstr(clew_tracestate_text(context), "k7=v"));
    assert_non_null(strstr(clew_tracestate_text(context), "k8=v"));
    memset(value, 'v', 256);
    value[256] = '\0';
    assert_int_equal(clew_tracestate_set(context, "x", value), 0);
    assert_true(strlen(clew_tracestate_text(context)) <= CLEW_TRACESTATE_MAX);
    clew_context_unref(context);
}

static void assert_baggage(const char *in, const char *expected)
{
    struct clew_extract_piece piece = exact_piece(in);
    struct clew_context *context = clew_context_new();

    clew__baggage_take(context, &piece, 1);
    assert_string_equal(context->baggage ? context->baggage : "", expected);
    clew_context_unref(context);
    free((char *)piece.value);
}

static void test_propagation_baggage_members(void **state)
{
    struct clew_extract_piece pieces[2] = {{"user=al%20ice;meta=1 , bad key=2,a=b=c", 0},
                                           {"x=\"y\",z=1", 0}};
    struct clew_context *context = clew_context_new();

    (void)state;
    pieces[0].len = strlen(pieces[0].value);
    pieces[1].len = strlen(pieces[1].value);
    clew__baggage_take(context, pieces, 2);
    assert_string_equal(context->baggage, "user=al%20ice;meta=1,a=b=c,z=1");
    clew_context_unref(context);
    assert_baggage("userId=alice,serverNode=DF%2028,isProduction=false",
                   "userId=alice,serverNode=DF%2028,isProduction=false");
    assert_baggage("k=,b=1", "k=,b=1");
    assert_baggage("!#$%&'*+-.^_`|~=1", "!#$%&'*+-.^_`|~=1");
    assert_baggage("k = v ; p = 1 , b", "k = v ; p = 1");
    assert_baggage("a=1,nul", "a=1");
    assert_baggage("", "");
    assert_baggage("=1,,;", "");
}

static void test_propagation_baggage_access(void **state)
{
    struct clew_context *context = clew_context_new();
    struct clew_baggage_member member;
    char value[64], big[CLEW_BAGGAGE_MAX];
    size_t at = 0;

    (void)state;
    assert_int_equal(clew_baggage_get(context, "k", value, sizeof(value)), -ENOENT);
    assert_int_equal(clew_baggage_set(context, "user", "J\xc3\xb6rg, 100%", "secret;ttl=3"), 0);
    assert_string_equal(context->baggage, "user=J%C3%B6rg%2C%20100%25;secret;ttl=3");
    assert_int_equal(clew_baggage_get(context, "user", value, sizeof(value)), 11);
    assert_string_equal(value, "J\xc3\xb6rg, 100%");
    assert_int_equal(clew_baggage_get(context, "user", value, 3), 11);
    assert_string_equal(value, "J"); /* no half character */
    assert_int_equal(clew_baggage_set(context, "b", "2", NULL), 0);
    assert_int_equal(clew_baggage_set(context, "user", "x", NULL), 0);
    assert_string_equal(context->baggage, "b=2,user=x");
    assert_true(clew_baggage_next(context, &at, &member));
    assert_memory_equal(member.key, "b", member.key_len);
    assert_true(clew_baggage_next(context, &at, &member));
    assert_memory_equal(member.value, "x", member.value_len);
    assert_int_equal(member.properties_len, 0);
    assert_false(clew_baggage_next(context, &at, &member));
    assert_int_equal(clew_baggage_remove(context, "b"), 0);
    assert_int_equal(clew_baggage_remove(context, "b"), -ENOENT);
    assert_int_equal(clew_baggage_set(context, "bad key", "1", NULL), -EINVAL);
    assert_int_equal(clew_baggage_set(context, "k", NULL, NULL), -EINVAL);
    assert_int_equal(clew_baggage_set(context, "k", "v", "a,b=1"), -EINVAL);
    memset(big, 'v', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    assert_int_equal(clew_baggage_set(context, "big", big, NULL), -E2BIG);
    big[2000] = '\0';
    assert_int_equal(clew_baggage_set(context, "big", big, NULL), 0); /* not inline any more */
    assert_int_equal(clew_baggage_get(context, "big", value, sizeof(value)), 2000);
    for (int i = 0; i < 62; i++) {
        sprintf(value, "k%d", i);
        assert_int_equal(clew_baggage_set(context, value, "", NULL), 0);
    }
    assert_int_equal(clew_baggage_set(context, "one_more", "", NULL), -E2BIG);
    assert_int_equal(clew_baggage_set(context, "big", "\xff", NULL), 0);
    assert_int_equal(clew_baggage_get(context, "big", value, sizeof(value)), 3);
    assert_string_equal(value, "\xEF\xBF\xBD");
    assert_int_equal(clew_baggage_remove(context, "user"), 0);
    clew_context_unref(context);
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

/* What a stranger may send without anybody being hurt. */
static void test_propagation_hostile_sizes(void **state)
{
    size_t size = 1u << 20;
    char *text = malloc(size), *p = text;
    struct clew_extract e;
    struct clew_scope scope;
    bool remote;

    (void)state;
    clew_extract_init(&e);
    clew_extract_header(&e, "traceparent", 11, GOOD, strlen(GOOD));
    memset(text, 'a', 65536); /* a tracestate of 64 KiB */
    clew_extract_header(&e, "tracestate", 10, text, 65536);
    scope = clew_extract_context(&e, &remote);
    assert_true(remote);
    assert_string_equal(clew_tracestate_text(scope.context), "");
    clew_scope_release(scope);

    p = text; /* 64 KiB of members that are all good, but too many */
    for (int i = 0; i < 128; i++)
        p += sprintf(p, "%sk%d=%0500d", i ? "," : "", i, 0);
    clew_extract_init(&e);
    clew_extract_header(&e, "traceparent", 11, GOOD, strlen(GOOD));
    clew_extract_header(&e, "tracestate", 10, text, (size_t)(p - text));
    scope = clew_extract_context(&e, &remote);
    assert_string_equal(clew_tracestate_text(scope.context), "");
    clew_scope_release(scope);

    p = text; /* 10,000 members of baggage: the first 64 are carried */
    for (int i = 0; i < 10000; i++)
        p += sprintf(p, "%sk%d=v", i ? "," : "", i);
    clew_extract_init(&e);
    clew_extract_header(&e, "baggage", 7, text, (size_t)(p - text));
    for (int i = 0; i < 300; i++)
        clew_extract_header(&e, "baggage", 7, "later=1", 7);
    scope = clew_extract_context(&e, &remote);
    assert_false(remote);
    assert_non_null(strstr(scope.context->baggage, "k63=v"));
    assert_null(strstr(scope.context->baggage, "k64=v"));
    assert_null(strstr(scope.context->baggage, "later"));
    clew_scope_release(scope);

    p = text + sprintf(text, "small=1,big="); /* no member is cut */
    memset(p, 'v', 9000);
    p += 9000;
    clew_extract_init(&e);
    clew_extract_header(&e, "baggage", 7, text, (size_t)(p - text));
    clew_extract_header(&e, "baggage", 7, "nul\0=1,\0,x=\0", 13);
    scope = clew_extract_context(&e, &remote);
    assert_string_equal(scope.context->baggage, "small=1");
    clew_scope_release(scope);

    clew_extract_init(&e); /* 33 headers of tracestate */
    clew_extract_header(&e, "traceparent", 11, GOOD, strlen(GOOD));
    for (int i = 0; i < 32; i++)
        clew_extract_header(&e, "tracestate", 10, "a=1", 3);
    clew_extract_header(&e, "tracestate", 10, "", 0);
    scope = clew_extract_context(&e, &remote);
    assert_int_equal(strlen(clew_tracestate_text(scope.context)), 32 * 4 - 1);
    clew_scope_release(scope);
    clew_extract_header(&e, "tracestate", 10, "a=1", 3);
    scope = clew_extract_context(&e, &remote);
    assert_string_equal(clew_tracestate_text(scope.context), "");
    clew_scope_release(scope);
    free(text);
}

static void test_propagation_flags_stay_the_callers(void **state)
{
    static const char *const off[][2] = {
        {"traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-02"}};
    bool remote;
    struct clew_scope scope = extract(off, 1, &remote);

    (void)state;
    assert_int_equal(clew_context_trace_flags(scope.context), CLEW_TRACE_RANDOM);
    assert_true(clew__sampler_is_open(scope.context));
    clew_scope_release(scope);
    scope = extract(NULL, 0, &remote);
    assert_int_equal(clew_context_trace_flags(scope.context), CLEW_TRACE_RANDOM);
    assert_true(clew__sampler_is_open(scope.context));
    clew_scope_release(scope);
}

static void test_propagation_deadline_travels(void **state)
{
    static const char *const good[][2] = {{"X-Envoy-Expected-Rq-Timeout-Ms", " 2500 "}};
    static const char *const bad[][2] = {{"x-envoy-expected-rq-timeout-ms", "-1"}};
    struct headers out = {""};
    struct clew_scope scope = extract(good, 1, NULL);
    int64_t left = clew_context_remaining_ns(scope.context);
    unsigned ms = 0;

    (void)state;
    assert_true(left > 0 && left <= INT64_C(2500000000));
    clew_inject(scope, collect, &out);
    assert_non_null(strstr(out.text, "x-envoy-expected-rq-timeout-ms: "));
    sscanf(strstr(out.text, "timeout-ms: "), "timeout-ms: %u", &ms);
    assert_true(ms > 0 && ms <= 2500);
    clew_scope_release(scope);
    scope = extract(bad, 1, NULL);
    assert_int_equal(clew_context_deadline(scope.context), 0);
    assert_true(clew_context_remaining_ns(scope.context) == INT64_MAX);
    clew_scope_release(scope);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_propagation_traceparent_table),
        cmocka_unit_test(test_propagation_traceparent_every_byte),
        cmocka_unit_test(test_propagation_tracestate_rules),
        cmocka_unit_test(test_propagation_tracestate_any_length),
        cmocka_unit_test(test_propagation_tracestate_members),
        cmocka_unit_test(test_propagation_baggage_members),
        cmocka_unit_test(test_propagation_baggage_access),
        cmocka_unit_test(test_propagation_round_trip),
        cmocka_unit_test(test_propagation_malformed_starts_a_new_trace),
        cmocka_unit_test(test_propagation_survives_any_bytes),
        cmocka_unit_test(test_propagation_hostile_sizes),
        cmocka_unit_test(test_propagation_flags_stay_the_callers),
        cmocka_unit_test(test_propagation_deadline_travels),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
