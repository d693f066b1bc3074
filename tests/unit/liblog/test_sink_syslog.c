/* SPDX-License-Identifier: Apache-2.0
 * The syslog sink against sockets of the test's own, by all three transports. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "sink_line.h"

#include <child.h>
#include <sinks_priv.h>

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define BOM "\xEF\xBB\xBF"
#define WAIT_MS 10000

static char path[96], address[128];
static int server = -1, client = -1; /* client: what a TCP server accepted */
static const struct clew_sink_ops *ops;
static void *sink;

static int setup(void **state)
{
    child_setup(state);
    snprintf(path, sizeof(path), "%s/log", child.directory);
    return 0;
}

static void close_one(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static int teardown(void **state)
{
    if (sink)
        ops->close(sink, 0);
    sink = NULL;
    close_one(&client);
    close_one(&server);
    return child_teardown(state);
}

static void open_sink(const char *facility)
{
    assert_int_equal(clew__syslog_open(address, facility, &ops, &sink), 0);
}

static void unix_server(void)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};

    unlink(path);
    snprintf(to.sun_path, sizeof(to.sun_path), "%s", path);
    server = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(server, (struct sockaddr *)&to, sizeof(to)), 0);
    snprintf(address, sizeof(address), "unix:%s", path);
}

/* On 127.0.0.1; port 0 for any. Returns the port. */
static unsigned ip_server(int type, const char *scheme, unsigned port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    socklen_t len = sizeof(to);
    int on = 1;

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    server = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    assert_int_equal(bind(server, (struct sockaddr *)&to, sizeof(to)), 0);
    if (type == SOCK_STREAM)
        assert_int_equal(listen(server, 4), 0);
    assert_int_equal(getsockname(server, (struct sockaddr *)&to, &len), 0);
    port = ntohs(to.sin_port);
    snprintf(address, sizeof(address), "%s:127.0.0.1:%u", scheme, port);
    return port;
}

static bool readable(int fd, int timeout_ms)
{
    struct pollfd one = {.fd = fd, .events = POLLIN};

    return poll(&one, 1, timeout_ms) > 0;
}

/* One datagram, NUL-terminated. */
static size_t receive(char *ret, size_t size)
{
    ssize_t n;

    assert_true(readable(server, WAIT_MS));
    n = recv(server, ret, size - 1, 0);
    assert_true(n >= 0);
    ret[n] = '\0';
    return (size_t)n;
}

/* One frame of the TCP connection, without its count. */
static size_t receive_frame(char *ret, size_t size)
{
    size_t want = 0, have = 0;
    ssize_t n;
    char c = 0;

    if (client < 0) {
        assert_true(readable(server, WAIT_MS));
        client = accept(server, NULL, NULL);
    }
    do {
        assert_true(readable(client, WAIT_MS));
        assert_int_equal(recv(client, &c, 1, 0), 1);
        assert_true(c == ' ' || (c >= '0' && c <= '9'));
        if (c != ' ')
            want = want * 10 + (size_t)(c - '0');
    } while (c != ' ');
    assert_true(want < size);
    for (; have < want; have += (size_t)n) {
        assert_true(readable(client, WAIT_MS));
        n = recv(client, ret + have, want - have, 0);
        assert_true(n > 0);
    }
    ret[have] = '\0';
    return have;
}

/* What is to arrive: pri, structured data, message. */
static const char *expect(unsigned pri, const char *data, const char *message)
{
    static char text[8192];
    char host[256] = "";

    gethostname(host, sizeof(host) - 1);
    snprintf(text, sizeof(text), "<%u>1 2025-08-20T10:00:00.123456Z %s shop %d - %s " BOM "%s", pri,
             host, (int)getpid(), data, message);
    return text;
}

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

static void test_syslog_resolves_names(void **state)
{
    struct clew_line line = plain_line();
    char got[1024];

    (void)state;
    snprintf(address, sizeof(address), "udp:localhost:%u", ip_server(SOCK_DGRAM, "udp", 0));
    if (clew__syslog_open(address, NULL, &ops, &sink) != 0)
        skip(); /* "localhost" is unknown or an IPv6 address here */
    ops->line(sink, &line);
    if (!readable(server, 1000))
        skip();
    receive(got, sizeof(got));
    assert_string_equal(got, expect(14, "-", "paid"));
}

static void test_syslog_tcp_counts_octets(void **state)
{
    struct clew_line line = plain_line();
    struct clew_field field = FIELD_STRING("text", "two\nlines");
    char got[1024];

    (void)state;
    ip_server(SOCK_STREAM, "tcp", 0);
    open_sink("user");
    ops->line(sink, &line);
    line.fields = &field;
    line.nfields = 1;
    ops->line(sink, &line);
    ops->batch_end(sink);
    receive_frame(got, sizeof(got));
    assert_string_equal(got, expect(14, "-", "paid"));
    receive_frame(got, sizeof(got));
    assert_string_equal(got, expect(14, "[clewline@32473 text=\"two\\\\nlines\"]", "paid"));
}

static void test_syslog_tcp_takes_64_kib(void **state)
{
    static char text[60000], got[70000];
    struct clew_field fields[2] = {{.key = "big", .type = CLEW_TYPE_STRING},
                                   {.key = "more", .type = CLEW_TYPE_STRING}};
    struct clew_line line = plain_line();
    size_t len;

    (void)state;
    memset(text, 'x', sizeof(text));
    fields[0].value = fields[1].value = clew_value_stringn(text, sizeof(text));
    line.fields = fields;
    line.nfields = 2;
    ip_server(SOCK_STREAM, "tcp", 0);
    open_sink("user");
    ops->line(sink, &line);
    ops->batch_end(sink);
    len = receive_frame(got, sizeof(got));
    assert_in_range(len, 60000, 65536);
    assert_null(strstr(got, "more="));
}

/* Frames wait for a server that is not there yet, whole and in order. */
static void test_syslog_tcp_dead_and_back(void **state)
{
    uint64_t lost = clew__syslog_lost, end = clew__sink_now_ns() + 20 * CLEW__SECOND_NS, took;
    unsigned port = ip_server(SOCK_STREAM, "tcp", 0);
    struct clew_line line = plain_line();
    char got[1024], number[32];
    struct clew_field field = FIELD_STRING("n", "");

    (void)state;
    close_one(&server);
    open_sink("user");
    line.fields = &field;
    line.nfields = 1;
    field.type = CLEW_TYPE_INT;
    for (int i = 0; i < 100; i++) {
        uint64_t start = clew__sink_now_ns();

        field.value = clew_value_int(i);
        ops->line(sink, &line);
        ops->batch_end(sink);
        took = clew__sink_now_ns() - start;
        assert_in_range(took, 0, 1000 * 1000000u);
    }
    ip_server(SOCK_STREAM, "tcp", port);
    while (!readable(server, 20) && clew__sink_now_ns() < end)
        ops->batch_end(sink);
    ops->batch_end(sink);
    for (int i = 0; i < 100; i++) {
        receive_frame(got, sizeof(got));
        snprintf(number, sizeof(number), "[clewline@32473 n=\"%d\"]", i);
        assert_string_equal(got, expect(14, number, "paid"));
    }
    assert_int_equal(clew__syslog_lost, lost);
}

static void test_syslog_tcp_server_restart_is_noticed(void **state)
{
    unsigned port = ip_server(SOCK_STREAM, "tcp", 0);
    uint64_t end = clew__sink_now_ns() + 20 * CLEW__SECOND_NS;
    struct clew_line line = plain_line();
    char got[1024];

    (void)state;
    open_sink("user");
    ops->line(sink, &line);
    ops->batch_end(sink);
    receive_frame(got, sizeof(got));
    close_one(&client);
    close_one(&server);
    ops->line(sink, &line); /* is not sent into the connection that ended */
    ops->batch_end(sink);
    ip_server(SOCK_STREAM, "tcp", port);
    while (!readable(server, 20) && clew__sink_now_ns() < end)
        ops->batch_end(sink);
    ops->batch_end(sink);
    receive_frame(got, sizeof(got));
    assert_string_equal(got, expect(14, "-", "paid"));
}

/* A server that does not read: bounded memory, bounded waits, counted loss,
 * and after all no torn frame. */
static void test_syslog_tcp_stuck_server(void **state)
{
    static char text[30000], got[70000];
    struct clew_line line = plain_line();
    struct clew_field fields[2] = {{.key = "n", .type = CLEW_TYPE_INT},
                                   {.key = "text", .type = CLEW_TYPE_STRING}};
    uint64_t before = clew__syslog_lost, start = clew__sink_now_ns();
    unsigned sent = 0;

    (void)state;
    memset(text, 'x', sizeof(text));
    fields[1].value = clew_value_stringn(text, sizeof(text));
    line.fields = fields;
    line.nfields = 2;
    ip_server(SOCK_STREAM, "tcp", 0);
    open_sink("user");
    for (; clew__syslog_lost < before + 10; sent++) {
        fields[0].value = clew_value_uint(sent);
        ops->line(sink, &line);
        ops->batch_end(sink);
        assert_true(sent < 10000);
    }
    assert_in_range(clew__sink_now_ns() - start, 0, 5 * CLEW__SECOND_NS);
    for (unsigned i = 0; i < sent - 10; i++) {
        char number[64];

        receive_frame(got, sizeof(got));
        snprintf(number, sizeof(number), "[clewline@32473 n=\"%u\" text=", i);
        assert_non_null(strstr(got, number));
        ops->batch_end(sink);
    }
    assert_int_equal(clew__syslog_lost, before + 10);
}

static void test_syslog_close_counts_what_is_left(void **state)
{
    struct clew_line line = plain_line();
    uint64_t before = clew__syslog_lost;

    (void)state;
    ip_server(SOCK_STREAM, "tcp", 0);
    close_one(&server);
    open_sink("user");
    for (int i = 0; i < 3; i++)
        ops->line(sink, &line);
    ops->close(sink, clew__sink_now_ns() + 100 * 1000000u);
    sink = NULL;
    assert_int_equal(clew__syslog_lost, before + 3);
}

static void test_syslog_fork_gets_a_connection_of_its_own(void **state)
{
    struct clew_line line = plain_line();
    char parents[1024], childs[1024];
    int first, status;
    pid_t pid;

    (void)state;
    ip_server(SOCK_STREAM, "tcp", 0);
    open_sink("user");
    ops->line(sink, &line);
    ops->batch_end(sink);
    receive_frame(parents, sizeof(parents));
    first = client;
    client = -1;
    ops->line(sink, &line); /* still in the buffer, the parent's */
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        ops->line(sink, &line);
        ops->batch_end(sink);
        ops->close(sink, clew__sink_now_ns() + 5 * CLEW__SECOND_NS);
        _exit(0);
    }
    receive_frame(childs, sizeof(childs));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    snprintf(parents, sizeof(parents), " shop %d - ", (int)pid);
    assert_non_null(strstr(childs, parents));
    assert_int_equal(recv(client, parents, 1, 0), 0); /* one line only */
    close(client);
    client = first;
    ops->batch_end(sink);
    receive_frame(parents, sizeof(parents));
    assert_string_equal(parents, expect(14, "-", "paid"));
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

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
        TEST(test_syslog_tcp_counts_octets),
        TEST(test_syslog_tcp_takes_64_kib),
        TEST(test_syslog_tcp_dead_and_back),
        TEST(test_syslog_tcp_server_restart_is_noticed),
        TEST(test_syslog_tcp_stuck_server),
        TEST(test_syslog_close_counts_what_is_left),
        TEST(test_syslog_fork_gets_a_connection_of_its_own),
        TEST(test_syslog_open_says_what_is_wrong),
    };

    if (!name_service())
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
