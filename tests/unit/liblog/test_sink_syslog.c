/* SPDX-License-Identifier: Apache-2.0
 * Syslog messages byte by byte, datagrams, addresses. */
#include <dlfcn.h>
#include <netdb.h>

#include "syslog_fixture.h"

static void test_syslog_unix_exact_bytes(void **state)
{
    static const struct clew_field bound[] = {FIELD_STRING("username", "ann")};
    const struct clew_field fields[] = {
        {.key = "amount", .type = CLEW_TYPE_DOUBLE, .value = clew_value_double(12.5)},
        {.key = "ok", .type = CLEW_TYPE_BOOL, .value = clew_value_bool(false)},
    };
    struct clew_line line = plain_line();
    char got[8192];

    (void)state;
    unix_server();
    open_sink(NULL);
    ops->line(sink, &line);
    receive(got, sizeof(got));
    assert_string_equal(got, expect(14, "-", "paid"));
    line.request_id = "req-1";
    line.correlation_id = "corr-1";
    line.trace_id = some_trace;
    line.span_id = some_span();
    line.bound = bound;
    line.nbound = 1;
    line.fields = fields;
    line.nfields = 2;
    ops->line(sink, &line);
    receive(got, sizeof(got));
    assert_string_equal(got, expect(14,
                                    "[clewline@32473 request_id=\"req-1\" correlation_id=\"corr-1\""
                                    " trace_id=\"4bf92f3577b34da6a3ce929d0e0e4736\""
                                    " span_id=\"00f067aa0ba902b7\" username=\"ann\" amount=\"12.5\""
                                    " ok=\"false\"]",
                                    "paid"));
}

static void test_syslog_priorities(void **state)
{
    static const struct {
        const char *facility;
        enum clew_level level;
        unsigned pri;
    } cases[] = {
        {"user", CLEW_LEVEL_FATAL, 10},    {"user", CLEW_LEVEL_ERROR, 11},
        {"user", CLEW_LEVEL_WARN, 12},     {"user", CLEW_LEVEL_INFO, 14},
        {"user", CLEW_LEVEL_DEBUG, 15},    {"user", CLEW_LEVEL_TRACE, 15},
        {"daemon", CLEW_LEVEL_INFO, 30},   {"local0", CLEW_LEVEL_INFO, 134},
        {"local7", CLEW_LEVEL_FATAL, 186},
    };

    (void)state;
    unix_server();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct clew_line line = plain_line();
        char got[1024];

        open_sink(cases[i].facility);
        line.level = cases[i].level;
        ops->line(sink, &line);
        receive(got, sizeof(got));
        assert_string_equal(got, expect(cases[i].pri, "-", "paid"));
        ops->close(sink, 0);
        sink = NULL;
    }
}

static void test_syslog_escapes_values_and_names(void **state)
{
    static const struct {
        struct clew_field field;
        const char *data;
    } cases[] = {
        {FIELD_STRING("k", "a\"b\\c]d[e"), "k=\"a\\\"b\\\\c\\]d[e\""},
        {FIELD_STRING("k", "1\n2\t3\0\x7F"), "k=\"1\\\\n2\\\\t3\\\\u0000\\\\u007f\""},
        {FIELD_STRING("k", "gr\xC3\xBC\xC3\x9F \xFF!"), "k=\"gr\xC3\xBC\xC3\x9F \xEF\xBF\xBD!\""},
        {FIELD_STRING("k", "\"] [x@1 a=\""), "k=\"\\\"\\] [x@1 a=\\\"\""},
        {FIELD_STRING("a=b c]d\"e\n\xC3", "v"), "a_b_c_d_e__=\"v\""},
        {FIELD_STRING("", "v"), "_=\"v\""},
        {FIELD_STRING("k2345678901234567890123456789012345", "v"),
         "k2345678901234567890123456789012=\"v\""},
        {FIELD_STRING("trace_id", "forged"), "f_trace_id=\"forged\""},
        {{.key = "none", .type = CLEW_TYPE_STRING}, "none=\"\""},
    };

    (void)state;
    unix_server();
    open_sink("user");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct clew_line line = plain_line();
        char got[1024], data[256];

        line.fields = &cases[i].field;
        line.nfields = 1;
        ops->line(sink, &line);
        receive(got, sizeof(got));
        snprintf(data, sizeof(data), "[clewline@32473 %s]", cases[i].data);
        assert_string_equal(got, expect(14, data, "paid"));
    }
}

static void test_syslog_message_cannot_break_lines(void **state)
{
    struct clew_site site = plain_site;
    struct clew_line line = plain_line();
    char got[1024];

    (void)state;
    unix_server();
    open_sink("user");
    site.message = "a\n<0>1 \xC0 \"q\" ]";
    line.site = &site;
    line.message = site.message;
    line.message_len = strlen(site.message);
    ops->line(sink, &line);
    receive(got, sizeof(got));
    assert_string_equal(got, expect(14, "-", "a\\n<0>1 \xEF\xBF\xBD \"q\" ]"));
}

static void test_syslog_cuts_between_parameters_then_characters(void **state)
{
    static char text[20000], long_message[10001], got[70000];
    struct clew_field fields[] = {FIELD_STRING("first", "1"),
                                  {.key = "big", .type = CLEW_TYPE_STRING},
                                  FIELD_STRING("last", "2")};
    struct clew_site site = plain_site;
    struct clew_line line = plain_line();
    size_t len;

    (void)state;
    unix_server();
    open_sink("user");
    memset(text, 'x', sizeof(text));
    line.fields = fields;
    line.nfields = 3;
    fields[1].value = clew_value_stringn(text, sizeof(text));
    ops->line(sink, &line);
    receive(got, sizeof(got));
    assert_string_equal(got, expect(14, "[clewline@32473 first=\"1\" last=\"2\"]", "paid"));

    /* Exactly full: one byte more and it would be left out. */
    len = 8192 - strlen(expect(14, "[clewline@32473 first=\"1\" big=\"\"]", "paid"));
    fields[1].value = clew_value_stringn(text, len);
    line.nfields = 2;
    ops->line(sink, &line);
    assert_int_equal(receive(got, sizeof(got)), 8192);
    fields[1].value = clew_value_stringn(text, len + 1);
    ops->line(sink, &line);
    receive(got, sizeof(got));
    assert_string_equal(got, expect(14, "[clewline@32473 first=\"1\"]", "paid"));

    /* A message that fills all: no data, and no half character. */
    for (size_t odd = 0; odd < 2; odd++) {
        size_t head = strlen(expect(14, "-", "")) + odd;

        long_message[0] = 'a';
        for (size_t i = odd; i + 2 < sizeof(long_message); i += 2)
            memcpy(long_message + i, "\xC3\xBC", 2);
        site.message = long_message;
        line.site = &site;
        line.message = site.message;
        line.message_len = strlen(site.message);
        ops->line(sink, &line);
        len = receive(got, sizeof(got));
        assert_int_equal(len, 8192 - (8192 - head) % 2);
        assert_memory_equal(got, expect(14, "-", odd ? "a" : ""), head);
        for (size_t i = head; i < len; i += 2)
            assert_memory_equal(got + i, "\xC3\xBC", 2);
    }
}

static void test_syslog_udp(void **state)
{
    struct clew_line line = plain_line();
    char got[1024];

    (void)state;
    ip_server(SOCK_DGRAM, "udp", 0);
    open_sink("local0");
    ops->line(sink, &line);
    receive(got, sizeof(got));
    assert_string_equal(got, expect(134, "-", "paid"));
}

static void test_syslog_udp_dead_and_back(void **state)
{
    struct clew_line line = plain_line();
    uint64_t before = clew__syslog_lost;
    unsigned port = ip_server(SOCK_DGRAM, "udp", 0);
    char got[1024];

    (void)state;
    open_sink("user");
    close_one(&server);
    for (int i = 0; i < 10; i++)
        ops->line(sink, &line);
    assert_in_range(clew__syslog_lost - before, 1, 10);
    ip_server(SOCK_DGRAM, "udp", port);
    ops->line(sink, &line);
    receive(got, sizeof(got));
    assert_string_equal(got, expect(14, "-", "paid"));
}

/* The name server of these tests: it knows one name. */
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **list)
{
    int (*libcs)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

    *(void **)&libcs = dlsym(RTLD_NEXT, "getaddrinfo");
    if (strcmp(node, "log.example") == 0 && !(hints->ai_flags & AI_NUMERICHOST))
        node = "127.0.0.1";
    return libcs(node, service, hints, list);
}

static void test_syslog_resolves_names(void **state)
{
    struct clew_line line = plain_line();
    char got[1024];

    (void)state;
    snprintf(address, sizeof(address), "udp:log.example:%u", ip_server(SOCK_DGRAM, "udp", 0));
    assert_int_equal(clew__syslog_open(address, NULL, &ops, &sink), 0);
    ops->line(sink, &line);
    receive(got, sizeof(got));
    assert_string_equal(got, expect(14, "-", "paid"));
}

static void test_syslog_open_says_what_is_wrong(void **state)
{
    static const struct {
        const char *address, *facility, *text;
    } cases[] = {
        {"/dev/log", NULL, "use unix:/path, udp:host:port or tcp:host:port"},
        {"unix:log", NULL, "not an absolute path"},
        {"udp:host", NULL, "the port is missing"},
        {"udp:host:0", NULL, "the port is not 1 to 65535"},
        {"udp:host:65536", NULL, "the port is not 1 to 65535"},
        {"tcp:host:-1", NULL, "the port is not 1 to 65535"},
        {"tcp:host:80x", NULL, "the port is not 1 to 65535"},
        {"tcp:host:", NULL, "the port is not 1 to 65535"},
        {"tcp::80", NULL, "not a host name"},
        {"tcp:[]:80", NULL, "not a host name"},
        {"tcp:::1:80", NULL, "put the IPv6 address in brackets"},
        {"tcp:127.0.0.1:80", "local8", "syslog facility \"local8\": use user"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(clew__syslog_open(cases[i].address, cases[i].facility, &ops, &sink),
                         -EINVAL);
        assert_non_null(strstr(clew_last_error(), cases[i].text));
        assert_null(sink);
    }
    snprintf(address, sizeof(address), "unix:%s", path);
    assert_int_equal(clew__syslog_open(address, NULL, &ops, &sink), 1);
    assert_non_null(strstr(clew_last_error(), "No such file"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_syslog_unix_exact_bytes),
        TEST(test_syslog_priorities),
        TEST(test_syslog_escapes_values_and_names),
        TEST(test_syslog_message_cannot_break_lines),
        TEST(test_syslog_cuts_between_parameters_then_characters),
        TEST(test_syslog_udp),
        TEST(test_syslog_udp_dead_and_back),
        TEST(test_syslog_resolves_names),
        TEST(test_syslog_open_says_what_is_wrong),
    };

    if (!name_service())
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
