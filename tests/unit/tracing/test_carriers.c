/* SPDX-License-Identifier: Apache-2.0
 * Carriers and formats: OTEL_PROPAGATORS, B3, Jaeger, getters, environments. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <child.h>
#include <propagate_priv.h>
#include <tracing_priv.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/wait.h>
#include <unistd.h>

#define TRACE "0af7651916cd43dd8448eb211c80319c"
#define SPAN "b7ad6b7169203331"
#define GOOD "00-" TRACE "-" SPAN "-01"
#define OTHER "11111111111111111111111111111111"

struct header {
    const char *name, *value;
};

static struct clew_scope take(const struct header *headers, bool *remote)
{
    struct clew_extract e;

    clew_extract_init(&e);
    for (; headers->name; headers++)
        clew_extract_header(&e, headers->name, strlen(headers->name), headers->value,
                            strlen(headers->value));
    return clew_extract_context(&e, remote);
}

struct text {
    char text[4096];
};

static void add(void *arg, const char *name, const char *value)
{
    struct text *to = arg;
    size_t len = strlen(to->text);

    if (strcasecmp(name, "x-request-id") != 0 && strcasecmp(name, "x-correlation-id") != 0)
        (void)snprintf(to->text + len, sizeof(to->text) - len, "%s: %s\n", name, value);
}

/* What goes out of what came in, but the ids of the request. */
static const char *through(const struct header *headers, struct text *out)
{
    bool remote;
    struct clew_scope scope = take(headers, &remote);

    out->text[0] = '\0';
    clew_inject(scope, add, out);
    clew_scope_release(scope);
    return out->text;
}

#define THROUGH(...) through((const struct header[]){__VA_ARGS__, {NULL, NULL}}, &out)
#define IS(actual, expected)                                                             \
    do {                                                                                 \
        if (strcmp(actual, expected) != 0) {                                             \
            fprintf(stderr, "line %d:\n%sinstead of\n%s", __LINE__, out.text, expected); \
            return 1;                                                                    \
        }                                                                                \
    } while (0)

static int b3(void *arg)
{
    struct text out;

    (void)arg;
    IS(THROUGH({"b3", TRACE "-" SPAN "-1"}), "b3: " TRACE "-" SPAN "-1\n");
    IS(THROUGH({"B3", TRACE "-" SPAN "-0"}), "b3: " TRACE "-" SPAN "-0\n");
    IS(THROUGH({"b3", TRACE "-" SPAN "-d"}), "b3: " TRACE "-" SPAN "-d\n");
    IS(THROUGH({"b3", TRACE "-" SPAN "-1-05e3ac9a4f6e3b90"}), "b3: " TRACE "-" SPAN "-1\n");
    IS(THROUGH({"b3", "8448eb211c80319c-" SPAN "-1"}),
       "b3: 00000000000000008448eb211c80319c-" SPAN "-1\n");
    IS(THROUGH({"X-B3-TraceId", TRACE}, {"X-B3-SpanId", SPAN}, {"X-B3-Sampled", "true"}),
       "b3: " TRACE "-" SPAN "-1\n");
    IS(THROUGH({"X-B3-TraceId", TRACE}, {"X-B3-SpanId", SPAN}, {"X-B3-Flags", "1"}),
       "b3: " TRACE "-" SPAN "-d\n");
    /* One header wins over several. */
    IS(THROUGH({"X-B3-TraceId", OTHER}, {"X-B3-SpanId", SPAN}, {"b3", TRACE "-" SPAN "-0"}),
       "b3: " TRACE "-" SPAN "-0\n");
    /* tracecontext and baggage were not asked for. */
    IS(THROUGH({"traceparent", GOOD}, {"baggage", "a=1"}), "");
    IS(THROUGH({"b3", TRACE "-" SPAN "-x"}), "");
    IS(THROUGH({"b3", TRACE "-0000000000000000-1"}), "");
    IS(THROUGH({"b3", TRACE "-" SPAN "-1-"}), "");
    IS(THROUGH({"b3", "-"}), "");
    IS(THROUGH({"b3", ""}), "");
    IS(THROUGH({"X-B3-TraceId", TRACE "0"}, {"X-B3-SpanId", SPAN}), "");
    return 0;
}

static void test_carriers_b3(void **state)
{
    (void)state;
    setenv("OTEL_PROPAGATORS", "b3", 1);
    child_run(b3, NULL);
    assert_int_equal(child.status, 0);
}

/* What the sampler makes of the ways B3 has to say less. */
static bool first_span_records(const struct header *headers)
{
    struct clew_scope scope = take(headers, NULL);
    struct clew_span *span =
        clew_span_start_with("s", &(struct clew_span_options){.parent = scope, .remote = true});
    bool records = clew_span_is_recording(span);

    clew_span_end(span);
    clew_scope_release(scope);
    return records;
}
#define RECORDS(...) first_span_records((const struct header[]){__VA_ARGS__, {NULL, NULL}})

static int b3_decisions(void *arg)
{
    (void)arg; /* the root sampler is off */
    CHECK(!RECORDS({"none", ""}));
    CHECK(RECORDS({"b3", TRACE "-" SPAN "-1"}));
    CHECK(!RECORDS({"b3", TRACE "-" SPAN "-0"}));
    CHECK(!RECORDS({"b3", TRACE "-" SPAN})); /* deferred to us */
    CHECK(RECORDS({"b3", "1"}));
    CHECK(RECORDS({"b3", "d"}));
    CHECK(!RECORDS({"b3", "0"}));
    CHECK(RECORDS({"X-B3-Sampled", "1"}));
    return 0;
}

static void test_carriers_b3_decisions(void **state)
{
    (void)state;
    setenv("OTEL_PROPAGATORS", "b3multi", 1);
    setenv("OTEL_TRACES_SAMPLER", "parentbased_always_off", 1);
    child_run(b3_decisions, NULL);
    assert_int_equal(child.status, 0);
}

static int multi(void *arg)
{
    struct text out;

    (void)arg;
    IS(THROUGH({"b3", TRACE "-" SPAN "-1"}),
       "X-B3-TraceId: " TRACE "\nX-B3-SpanId: " SPAN "\nX-B3-Sampled: 1\n");
    IS(THROUGH({"b3", TRACE "-" SPAN "-d"}),
       "X-B3-TraceId: " TRACE "\nX-B3-SpanId: " SPAN "\nX-B3-Flags: 1\n");
    return 0;
}

static void test_carriers_b3multi(void **state)
{
    (void)state;
    setenv("OTEL_PROPAGATORS", "B3Multi, b3multi ,", 1); /* any case, once */
    child_run(multi, NULL);
    assert_int_equal(child.status, 0);
    assert_int_equal(json_array_size(child.lines), 0);
}

static int jaeger(void *arg)
{
    struct text out;

    (void)arg;
    IS(THROUGH({"uber-trace-id", TRACE ":" SPAN ":0:1"}),
       "uber-trace-id: " TRACE ":" SPAN ":0:1\n");
    IS(THROUGH({"uber-trace-id", TRACE "%3A" SPAN "%3a0%3A3"}),
       "uber-trace-id: " TRACE ":" SPAN ":0:3\n");
    IS(THROUGH({"uber-trace-id", "abc:12:0:0"}),
       "uber-trace-id: 00000000000000000000000000000abc:0000000000000012:0:0\n");
    IS(THROUGH({"uber-trace-id", TRACE ":" SPAN ":0"}), "");
    IS(THROUGH({"uber-trace-id", TRACE ":" SPAN ":0:1:2"}), "");
    IS(THROUGH({"uber-trace-id", TRACE ":0:0:1"}), "");
    IS(THROUGH({"uber-trace-id", ""}), "");
    return 0;
}

static void test_carriers_jaeger(void **state)
{
    (void)state;
    setenv("OTEL_PROPAGATORS", "jaeger", 1);
    child_run(jaeger, NULL);
    assert_int_equal(child.status, 0);
}

static int several(void *arg)
{
    struct text out;

    (void)arg;
    IS(THROUGH({"traceparent", GOOD}, {"tracestate", "a=1"}),
       "traceparent: " GOOD "\ntracestate: a=1\nb3: " TRACE "-" SPAN "-1\n");
    /* The last of the list counts, and then tracestate is not its. */
    IS(THROUGH({"traceparent", GOOD}, {"tracestate", "a=1"}, {"b3", OTHER "-" SPAN "-0"}),
       "traceparent: 00-" OTHER "-" SPAN "-00\nb3: " OTHER "-" SPAN "-0\n");
    IS(THROUGH({"traceparent", GOOD}, {"b3", "nonsense"}),
       "traceparent: " GOOD "\nb3: " TRACE "-" SPAN "-1\n");
    return 0;
}

static void test_carriers_several_and_unknown(void **state)
{
    (void)state;
    setenv("OTEL_PROPAGATORS", "tracecontext,b3,xray,tracecontext", 1);
    child_run(several, NULL);
    assert_int_equal(child.status, 0);
    assert_int_equal(
        child_count("OTEL_PROPAGATORS names one that is not known here, it is passed over"), 1);
}

static int none(void *arg)
{
    struct text out;
    const char *const *names = clew_propagation_names();

    (void)arg;
    IS(THROUGH({"traceparent", GOOD}, {"tracestate", "a=1"}, {"baggage", "k=v"}, {"b3", "1"}), "");
    CHECK(strcmp(names[0], "x-request-id") == 0 && strcmp(names[1], "x-correlation-id") == 0);
    CHECK(strcmp(names[2], "x-envoy-expected-rq-timeout-ms") == 0 && !names[3]);
    return 0;
}

static void test_carriers_none(void **state)
{
    (void)state;
    setenv("OTEL_PROPAGATORS", "none", 1);
    child_run(none, NULL);
    assert_int_equal(child.status, 0);
}

/* ---- carriers that are asked ------------------------------------------------------- */

/* Like gRPC's metadata or a Kafka message's headers: names may be there twice,
 * values have a length. */
struct message {
    size_t n;
    struct {
        const char *key;
        const void *value;
        size_t size;
    } headers[8];
};

static void get_all(void *carrier, const char *name, struct clew_extract *extract)
{
    const struct message *message = carrier;

    for (size_t i = 0; i < message->n; i++)
        if (strcmp(message->headers[i].key, name) == 0)
            clew_extract_header(extract, name, strlen(name), message->headers[i].value,
                                message->headers[i].size);
}

static void put(void *carrier, const struct clew_header *header)
{
    struct message *message = carrier;

    message->headers[message->n].key = header->name;
    message->headers[message->n].value = strndup(header->value, header->value_len);
    message->headers[message->n++].size = header->value_len;
}

static int asked(void *arg)
{
    struct message in = {.n = 5,
                         .headers = {{"other", "x", 1},
                                     {"traceparent", GOOD "behind", 55},
                                     {"tracestate", "a=1", 3},
                                     {"tracestate", "b=2", 3},
                                     {"x-request-id", "r-7", 3}}},
                   out = {.n = 0};
    struct clew_extract e;
    struct clew_scope scope;
    bool remote;

    (void)arg;
    clew_extract_init(&e);
    clew_extract_get(&e, get_all, &in);
    scope = clew_extract_context(&e, &remote);
    CHECK(remote && strcmp(clew_context_request_id(scope.context), "r-7") == 0);
    CHECK(strcmp(clew_tracestate_text(scope.context), "a=1,b=2") == 0);
    clew_inject_headers(scope, put, &out);
    CHECK(out.n == 4 && strcmp(out.headers[2].key, "traceparent") == 0);
    CHECK(out.headers[2].size == 55 && memcmp(out.headers[2].value, GOOD, 55) == 0);
    for (size_t i = 0; i < out.n; i++)
        free((void *)out.headers[i].value);
    in.headers[0].key = "traceparent"; /* twice: a new trace */
    clew_extract_init(&e);
    clew_extract_get(&e, get_all, &in);
    clew_scope_release(scope);
    scope = clew_extract_context(&e, &remote);
    CHECK(!remote);
    clew_scope_release(scope);
    return 0;
}

static void test_carriers_asked_by_name(void **state)
{
    (void)state;
    child_run(asked, NULL);
    assert_int_equal(child.status, 0);
}

/* ---- child processes ------------------------------------------------------------------ */

static int environments(void *arg)
{
    static const char *const old_text[] = {
        "PATH=/bin", "TRACEPARENT=stale", "TRACESTATE=stale=1", "BAGGAGE=stale=1", "X=y", NULL};
    struct clew_scope scope = take((const struct header[]){{"traceparent", GOOD},
                                                           {"baggage", "k=v"},
                                                           {"x-request-id", "r-1"},
                                                           {"x-correlation-id", "c-1"},
                                                           {NULL, NULL}},
                                   NULL),
                      again;
    char *const *old = (char *const *)(uintptr_t)old_text,
                **made = clew_environment_make(scope, old);
    struct clew_extract e;
    bool remote;
    int n = 0, status;
    pid_t pid;

    (void)arg;
    CHECK(made != NULL);
    while (made[n])
        n++;
    CHECK(n == 6 && strcmp(made[0], "PATH=/bin") == 0 && strcmp(made[1], "X=y") == 0);
    CHECK(strcmp(made[2], "CLEW_REQUEST_ID=r-1") == 0);
    CHECK(strcmp(made[3], "CLEW_CORRELATION_ID=c-1") == 0);
    CHECK(strcmp(made[4], "TRACEPARENT=" GOOD) == 0 && strcmp(made[5], "BAGGAGE=k=v") == 0);
    clew_extract_init(&e);
    clew_extract_environment(&e, made);
    again = clew_extract_context(&e, &remote);
    CHECK(remote && strcmp(clew_context_correlation_id(again.context), "c-1") == 0);
    clew_scope_release(again);
    pid = fork();
    if (pid == 0) {
        execle("/bin/sh", "sh", "-c",
               "[ \"$TRACEPARENT\" = " GOOD
               " ] && [ \"$BAGGAGE\" = k=v ] && [ -z \"$TRACESTATE\" ]",
               (char *)NULL, made);
        _exit(127);
    }
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    free(made);
    clew_scope_release(scope);
    made = clew_environment_make((struct clew_scope){NULL, 0}, old); /* nothing to pass on */
    CHECK(made[0] && made[1] && !made[2]);
    free(made);
    setenv("CLEW_TIMEOUT_MS", "5000", 1);
    clew_extract_init(&e);
    clew_extract_environment(&e, NULL);
    scope = clew_extract_context(&e, NULL);
    CHECK(clew_context_remaining_ns(scope.context) > 0 &&
          clew_context_remaining_ns(scope.context) <= INT64_C(5000000000));
    made = clew_environment_make(scope, NULL);
    CHECK(made != NULL);
    free(made);
    clew_scope_release(scope);
    return 0;
}

static void test_carriers_environment(void **state)
{
    (void)state;
    child_run(environments, NULL);
    assert_int_equal(child.status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, child_setup, child_teardown)
        TEST(test_carriers_b3),
        TEST(test_carriers_b3_decisions),
        TEST(test_carriers_b3multi),
        TEST(test_carriers_jaeger),
        TEST(test_carriers_several_and_unknown),
        TEST(test_carriers_none),
        TEST(test_carriers_asked_by_name),
        TEST(test_carriers_environment),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
