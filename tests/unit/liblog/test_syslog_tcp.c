/* SPDX-License-Identifier: Apache-2.0
 * Syslog over TCP: frames, servers that are gone, stuck or come back. */
#include "syslog_fixture.h"

#include <sys/wait.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_syslog_tcp_counts_octets),
        TEST(test_syslog_tcp_takes_64_kib),
        TEST(test_syslog_tcp_dead_and_back),
        TEST(test_syslog_tcp_server_restart_is_noticed),
        TEST(test_syslog_tcp_stuck_server),
        TEST(test_syslog_close_counts_what_is_left),
        TEST(test_syslog_fork_gets_a_connection_of_its_own),
    };

    if (!name_service())
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
