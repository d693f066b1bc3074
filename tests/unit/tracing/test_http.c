/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <child.h>
#include <clew/http.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_http_events_and_spans, child_setup, child_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
