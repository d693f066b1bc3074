/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <child.h>
#include <clew/http.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void take(void *self, const struct clew_span_record *span)
{
    (void)self;
    printf("{\"message\":\"span\",\"name\":\"%s\",\"kind\":%d,\"status\":%d", span->name,
           span->kind, span->status);
    for (size_t i = 0; i < span->nattributes; i++) {
        const struct clew_field *a = &span->attributes[i];

        if (a->type == CLEW_TYPE_STRING)
            printf(",\"%s\":\"%.*s\"", a->key, (int)a->value.len, a->value.as.s);
        else
            printf(",\"%s\":%lld", a->key, (long long)a->value.as.i);
    }
    printf("}\n");
    fflush(stdout);
}

static int exchanges(void *arg)
{
    static const struct clew_sink_ops sink = {"test", NULL, take, NULL, NULL, CLEW_LEVEL_TRACE};
    struct clew_extract headers;
    struct clew_http_exchange *exchange;
    struct clew_scope previous;
    struct clew_span *span;

    (void)arg;
    clew_sink_add(&sink, NULL);
    clew_extract_init(&headers);
    clew_extract_header(&headers, "X-Request-ID", 12, "r-1", 3);
    exchange = clew_http_exchange_begin("GET", "/orders/7?token=secret", &headers);
    previous = clew_http_exchange_enter(exchange);
    if (clew_http_exchange_current() != exchange)
        return 1;
    clew_http_exchange_set_route(exchange, "/orders/{id}");
    clew_http_exchange_set_status(exchange, 200);
    clew_info("inside");
    span = clew_span_start("HTTP", CLEW_SPAN_CLIENT);
    clew_http_client_end(span, "GET", "http://user:pass@host:81/p?q&token=secret", "host", 81, 404,
                         NULL);
    clew_http_exchange_leave(exchange, previous);
    clew_http_exchange_end(exchange, NULL);
    if (clew_http_exchange_current() || clew_scope_current().context)
        return 2;
    clew_extract_init(&headers);
    exchange = clew_http_exchange_begin("POST", "/nowhere", &headers);
    clew_http_exchange_end(exchange, "connection closed");
    clew_http_exchange_end(NULL, NULL);
    return 0;
}

static json_t *nth(const char *message, size_t n)
{
    size_t i;
    json_t *line;

    json_array_foreach(child.lines, i, line)
    {
        if (strcmp(json_string_value(json_object_get(line, "message")), message) == 0 && n-- == 0)
            return line;
    }
    return NULL;
}

static const char *text(json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));

    return value ? value : "(none)";
}

static void test_http_events_and_spans(void **state)
{
    json_t *line, *context, *span;

    (void)state;
    child_run(exchanges, NULL);
    assert_int_equal(child.status, 0);
    assert_true(child.whole);
    assert_null(strstr(child.output, "secret"));
    assert_null(strstr(child.output, "pass"));
    line = nth("request completed", 0);
    context = json_object_get(line, "context");
    assert_string_equal(text(line, "level"), "INFO");
    assert_string_equal(text(line, "request_id"), "r-1");
    assert_string_equal(text(line, "span_id"), text(nth("inside", 0), "span_id"));
    assert_string_equal(text(context, "route"), "/orders/{id}");
    assert_string_equal(text(context, "path"), "/orders/7");
    assert_int_equal(json_integer_value(json_object_get(context, "status")), 200);
    assert_true(json_real_value(json_object_get(context, "duration_seconds")) > 0);
    line = nth("request completed", 1);
    context = json_object_get(line, "context");
    assert_string_equal(text(line, "level"), "ERROR");
    assert_string_equal(text(context, "route"), "unmatched");
    assert_int_equal(json_integer_value(json_object_get(context, "status")), 500);
    assert_string_equal(text(context, "error"), "connection closed");

    span = nth("span", 0);
    assert_string_equal(text(span, "name"), "GET");
    assert_string_equal(text(span, "url.full"),
                        "http://REDACTED:REDACTED@host:81/p?q&token=REDACTED");
    assert_string_equal(text(span, "error.type"), "404");
    assert_int_equal(json_integer_value(json_object_get(span, "status")), CLEW_SPAN_ERROR);
    assert_int_equal(json_integer_value(json_object_get(span, "server.port")), 81);
    span = nth("span", 1);
    assert_string_equal(text(span, "name"), "GET /orders/{id}");
    assert_string_equal(text(span, "http.route"), "/orders/{id}");
    assert_int_equal(json_integer_value(json_object_get(span, "http.response.status_code")), 200);
    assert_int_equal(json_integer_value(json_object_get(span, "status")), CLEW_SPAN_UNSET);
}

static const struct {
    const char *host, *address;
    int port; /* 0: none */
} hosts[] = {
    {"shop", "shop", 0},     {"shop:8080", "shop", 8080},   {"[::1]", "::1", 0},
    {"[::1]:81", "::1", 81}, {"[::1", "(none)", 0},         {":81", "(none)", 81},
    {"shop:0", "shop", 0},   {"shop:65535", "shop", 65535}, {"shop:65536", "shop", 0},
    {"shop:8x", "shop", 0},  {"shop:", "shop", 0},          {"shop:99999999999", "shop", 0},
};

/* All that is known of a request, and, for each host, hardly anything. */
static int requests(void *arg)
{
    static const struct clew_sink_ops sink = {"test", NULL, take, NULL, NULL, CLEW_LEVEL_TRACE};
    struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons(4711)};
    char path[1100];
    struct clew_extract headers;
    struct clew_http_request all = {.method = "GET",
                                    .path = path,
                                    .user_agent = "tester/1",
                                    .protocol_version = "1.1",
                                    .peer = (struct sockaddr *)&peer};

    (void)arg;
    clew_sink_add(&sink, NULL);
    clew_extract_init(&headers);
    memset(path, 'x', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    memcpy(path + 1023, "\xC3\xA9", 2); /* a character across the limit */
    clew_http_exchange_end(clew_http_exchange_begin_with(&all, &headers), NULL);
    all.method = "BREW";
    all.path = "/pot#lid?x";
    clew_http_exchange_end(clew_http_exchange_begin_with(&all, &headers), NULL);
    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
        struct clew_http_request some = {.method = "GET", .path = "/", .host = hosts[i].host};

        clew_http_exchange_end(clew_http_exchange_begin_with(&some, &headers), NULL);
    }
    return 0;
}

static long long number(json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static void test_http_what_is_known_of_a_request(void **state)
{
    json_t *span;

    (void)state;
    child_run(requests, NULL);
    assert_int_equal(child.status, 0);
    for (size_t i = 0; i < 2; i++) { /* the same, whichever way they were set */
        span = nth("span", i);
        assert_string_equal(text(span, "user_agent.original"), "tester/1");
        assert_string_equal(text(span, "network.protocol.version"), "1.1");
        assert_int_equal(number(span, "network.peer.port"), 4711);
        assert_string_equal(text(span, "url.scheme"), "http");
    }
    span = nth("span", 0);
    assert_string_equal(text(span, "http.request.method"), "GET");
    assert_int_equal(strlen(text(span, "url.path")), 1023);
    span = nth("span", 1);
    assert_string_equal(text(span, "http.request.method"), "_OTHER");
    assert_string_equal(text(span, "http.request.method_original"), "BREW");
    assert_string_equal(text(span, "url.path"), "/pot");
    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
        span = nth("span", i + 2);
        assert_string_equal(text(span, "server.address"), hosts[i].address);
        assert_int_equal(number(span, "server.port"), hosts[i].port);
        assert_null(json_object_get(span, "user_agent.original"));
        assert_null(json_object_get(span, "network.peer.port"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_http_events_and_spans, child_setup, child_teardown),
        cmocka_unit_test_setup_teardown(test_http_what_is_known_of_a_request, child_setup,
                                        child_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
