/* SPDX-License-Identifier: Apache-2.0
 * The journald sink against a socket of the test's own. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "sink_line.h"

#include <child.h>
#include <sinks_priv.h>

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char path[96];
static int server = -1;
static const struct clew_sink_ops *ops;
static void *sink;

static void server_start(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    server = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(server >= 0);
    assert_int_equal(bind(server, (struct sockaddr *)&address, sizeof(address)), 0);
}

static void server_stop(void)
{
    close(server);
    server = -1;
    unlink(path);
}

static int setup(void **state)
{
    child_setup(state);
    snprintf(path, sizeof(path), "%s/socket", child.directory);
    server_start();
    assert_int_equal(clew__journald_open(path, &ops, &sink), 0);
    return 0;
}

static int teardown(void **state)
{
    if (sink)
        ops->close(sink, 0);
    sink = NULL;
    if (server >= 0)
        server_stop();
    return child_teardown(state);
}

/* One datagram; *ret_fd the file that came with it or -1. */
static size_t receive(char *ret, size_t size, int *ret_fd)
{
    char control[CMSG_SPACE(sizeof(int))];
    struct iovec data = {ret, size};
    struct msghdr message = {.msg_iov = &data,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof(control)};
    struct cmsghdr *header;
    ssize_t n = recvmsg(server, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

    assert_true(n >= 0);
    *ret_fd = -1;
    header = CMSG_FIRSTHDR(&message);
    if (header && header->cmsg_type == SCM_RIGHTS)
        memcpy(ret_fd, CMSG_DATA(header), sizeof(int));
    return (size_t)n;
}

static void assert_received(const char *expected, size_t len)
{
    char got[8192];
    int fd;
    size_t n = receive(got, sizeof(got), &fd);

    assert_int_equal(fd, -1);
    if (n != len || memcmp(got, expected, len) != 0)
        print_error("got:\n%.*s\nexpected:\n%.*s\n", (int)n, got, (int)len, expected);
    assert_int_equal(n, len);
    assert_memory_equal(got, expected, len);
}

#define ASSERT_RECEIVED(literal) assert_received(literal, sizeof(literal) - 1)
#define PLAIN_HEAD                                                                                \
    "MESSAGE=paid\nPRIORITY=6\nSYSLOG_IDENTIFIER=shop\nCODE_FILE=pay.c\nCODE_LINE=42\nCODE_FUNC=" \
    "pay\n"

static void test_journald_sends_ids_and_fields(void **state)
{
    static const struct clew_field bound[] = {FIELD_STRING("username", "ann")};
    const struct clew_field fields[] = {
        FIELD_STRING("order.state", "open = yes"),
        {.key = "amount", .type = CLEW_TYPE_DOUBLE, .value = clew_value_double(12.5)},
        {.key = "count", .type = CLEW_TYPE_INT, .value = clew_value_int(-3)},
        {.key = "size", .type = CLEW_TYPE_UINT, .value = clew_value_uint(UINT64_MAX)},
        {.key = "ok", .type = CLEW_TYPE_BOOL, .value = clew_value_bool(true)},
        {.key = "ratio", .type = CLEW_TYPE_DOUBLE, .value = clew_value_double((double)NAN)},
        {.key = "none", .type = CLEW_TYPE_STRING, .value = {.as.s = NULL, .len = 0}},
    };
    struct clew_line line = plain_line();

    (void)state;
    line.request_id = "req-1";
    line.correlation_id = "corr-1";
    line.trace_id = some_trace;
    line.span_id = some_span();
    line.bound = bound;
    line.nbound = 1;
    line.fields = fields;
    line.nfields = sizeof(fields) / sizeof(fields[0]);
    ops->line(sink, &line);
    ASSERT_RECEIVED(PLAIN_HEAD "REQUEST_ID=req-1\nCORRELATION_ID=corr-1\n"
                               "TRACE_ID=4bf92f3577b34da6a3ce929d0e0e4736\n"
                               "SPAN_ID=00f067aa0ba902b7\nUSERNAME=ann\n"
                               "ORDER_STATE=open = yes\nAMOUNT=12.5\nCOUNT=-3\n"
                               "SIZE=18446744073709551615\nOK=true\nRATIO=NaN\nNONE=\n");
}

static void test_journald_maps_levels(void **state)
{
    static const struct {
        enum clew_level level;
        char priority;
    } cases[] = {
        {CLEW_LEVEL_FATAL, '2'}, {CLEW_LEVEL_ERROR, '3'}, {CLEW_LEVEL_WARN, '4'},
        {CLEW_LEVEL_INFO, '6'},  {CLEW_LEVEL_DEBUG, '7'}, {CLEW_LEVEL_TRACE, '7'},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct clew_line line = plain_line();
        char got[1024];
        int fd;

        line.level = cases[i].level;
        ops->line(sink, &line);
        (void)receive(got, sizeof(got), &fd);
        assert_memory_equal(got, "MESSAGE=paid\nPRIORITY=", 22);
        assert_int_equal(got[22], cases[i].priority);
    }
}

static void test_journald_values_cannot_forge_fields(void **state)
{
    static const struct clew_field fields[] = {
        FIELD_STRING("a", "x\nMESSAGE=forged"),
        FIELD_STRING("b", "\0\x7F"),
        FIELD_STRING("c", "\xFF"),
        FIELD_STRING("d", "gr\xC3\xBC\xC3\x9F"),
        FIELD_STRING("e", "\t"),
    };
    struct clew_line line = plain_line();

    (void)state;
    line.fields = fields;
    line.nfields = 5;
    ops->line(sink, &line);
    ASSERT_RECEIVED(PLAIN_HEAD "A\n\x10\0\0\0\0\0\0\0x\nMESSAGE=forged\n"
                               "B\n\x02\0\0\0\0\0\0\0\0\x7F\n"
                               "C\n\x01\0\0\0\0\0\0\0\xFF\n"
                               "D=gr\xC3\xBC\xC3\x9F\n"
                               "E\n\x01\0\0\0\0\0\0\0\t\n");
}

static void test_journald_keys_become_names(void **state)
{
    static const struct {
        const char *key, *name;
    } cases[] = {
        {"plain", "PLAIN"},
        {"http.status-code", "HTTP_STATUS_CODE"},
        {"_PID", "F__PID"},
        {".x", "F__X"},
        {"2fa", "F_2FA"},
        {"", "F_"},
        {"a=b\nMESSAGE", "A_B_MESSAGE"},
        {"\xC3\xBC", "F___"},
        {"message", "F_MESSAGE"},
        {"Priority", "F_PRIORITY"},
        {"trace_id", "F_TRACE_ID"},
        {"code_line", "F_CODE_LINE"},
        {"syslog_pid", "F_SYSLOG_PID"},
        {"unit", "F_UNIT"},
        {"units", "UNITS"},
        {"code", "CODE"},
        {"f_x", "F_X"},
        {"k234567890123456789012345678901234567890123456789012345678901234567890",
         "K234567890123456789012345678901234567890123456789012345678901234"},
        {"0234567890123456789012345678901234567890123456789012345678901234567890",
         "F_02345678901234567890123456789012345678901234567890123456789012"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct clew_field field = FIELD_STRING(NULL, "v");
        struct clew_line line = plain_line();
        char expected[256];

        field.key = cases[i].key;
        line.fields = &field;
        line.nfields = 1;
        ops->line(sink, &line);
        snprintf(expected, sizeof(expected), PLAIN_HEAD "%s=v\n", cases[i].name);
        assert_received(expected, strlen(expected));
    }
}

static void test_journald_large_entry_goes_as_sealed_file(void **state)
{
    const size_t big = 400000;
    struct clew_field field = {.key = "big", .type = CLEW_TYPE_STRING};
    struct clew_line line = plain_line();
    char nothing[16], *text = malloc(big), *got = malloc(big + 1024);
    const char head[] = PLAIN_HEAD "BIG=";
    struct stat st;
    int fd;

    (void)state;
    memset(text, 'x', big);
    field.value.as.s = text;
    field.value.len = big;
    line.fields = &field;
    line.nfields = 1;
    ops->line(sink, &line);
    assert_int_equal(receive(nothing, sizeof(nothing), &fd), 0);
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_GET_SEALS),
                     F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_size, sizeof(head) - 1 + big + 1);
    assert_int_equal(pread(fd, got, big + 1024, 0), st.st_size);
    assert_memory_equal(got, head, sizeof(head) - 1);
    assert_memory_equal(got + sizeof(head) - 1, text, big);
    assert_int_equal(got[st.st_size - 1], '\n');
    close(fd);
    free(text);
    free(got);
}

static void test_journald_entry_over_the_cap_is_counted(void **state)
{
    struct clew_field field = {.key = "big", .type = CLEW_TYPE_STRING};
    struct clew_line line = plain_line();
    uint64_t before = clew__journald_lost;
    char *text = calloc(1, 2u << 20);

    (void)state;
    field.value.as.s = text;
    field.value.len = 2u << 20;
    line.fields = &field;
    line.nfields = 1;
    ops->line(sink, &line);
    assert_int_equal(clew__journald_lost, before + 1);
    line.nfields = 0; /* and the next is not affected */
    ops->line(sink, &line);
    ASSERT_RECEIVED(PLAIN_HEAD);
    free(text);
}

static void test_journald_connects_once_a_second(void **state)
{
    struct clew_line line = plain_line();
    uint64_t before, begun;

    (void)state;
    do { /* until it was done within the second that counts */
        before = clew__journald_lost;
        begun = clew__sink_now_ns();
        ops->close(sink, 0);
        assert_int_equal(clew__journald_open(path, &ops, &sink), 0);
        server_stop();
        server_start(); /* back already, but it has just connected */
        ops->line(sink, &line);
    } while (clew__sink_now_ns() - begun >= CLEW__SECOND_NS);
    assert_int_equal(clew__journald_lost, before + 1);
}

static void test_journald_gone_and_back(void **state)
{
    struct clew_line line = plain_line();
    uint64_t before = clew__journald_lost, end = clew__sink_now_ns() + 10 * CLEW__SECOND_NS;
    struct pollfd readable;

    (void)state;
    server_stop();
    for (int i = 0; i < 5; i++)
        ops->line(sink, &line);
    assert_int_equal(clew__journald_lost, before + 5);
    server_start();
    readable = (struct pollfd){.fd = server, .events = POLLIN};
    do
        ops->line(sink, &line);
    while (poll(&readable, 1, 20) == 0 && clew__sink_now_ns() < end);
    ASSERT_RECEIVED(PLAIN_HEAD);
}

static void test_journald_restart_costs_nothing(void **state)
{
    struct clew_line line = plain_line();
    uint64_t before = clew__journald_lost, reachable = clew__sink_now_ns() + CLEW__SECOND_NS;

    (void)state;
    while (clew__sink_now_ns() <= reachable) /* it connects once a second */
        (void)poll(NULL, 0, 20);
    server_stop();
    server_start();
    ops->line(sink, &line);
    ASSERT_RECEIVED(PLAIN_HEAD);
    assert_int_equal(clew__journald_lost, before);
}

static void test_journald_that_hangs_costs_its_own_lines_only(void **state)
{
    struct clew_line line = plain_line();
    uint64_t before = clew__journald_lost, start = clew__sink_now_ns(), took;
    unsigned sent = 0;
    char got[1024];
    int fd;

    (void)state;
    while (clew__journald_lost == before) {
        ops->line(sink, &line);
        sent++;
        assert_true(sent < 100000);
    }
    for (int i = 0; i < 20; i++, sent++)
        ops->line(sink, &line);
    took = clew__sink_now_ns() - start;
    assert_int_equal(clew__journald_lost, before + 21);
    assert_in_range(took, 90 * 1000000u, 1500 * 1000000u); /* one wait, not 21 */
    for (unsigned i = 0; i < sent - 21; i++)
        (void)receive(got, sizeof(got), &fd);
    ops->line(sink, &line);
    ASSERT_RECEIVED(PLAIN_HEAD);
}

static void test_journald_open_says_what_is_wrong(void **state)
{
    const struct clew_sink_ops *other_ops = NULL;
    void *other = NULL;
    char longer[200];

    (void)state;
    memset(longer, 'x', sizeof(longer));
    longer[0] = '/';
    longer[199] = '\0';
    assert_int_equal(clew__journald_open("relative", &other_ops, &other), -EINVAL);
    assert_string_equal(clew_last_error(), "journald: \"relative\" is not an absolute path");
    assert_int_equal(clew__journald_open(longer, &other_ops, &other), -EINVAL);
    assert_null(other);
    server_stop();
    assert_int_equal(clew__journald_open(path, &other_ops, &other), 1);
    assert_non_null(strstr(clew_last_error(), "No such file"));
    other_ops->close(other, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_journald_sends_ids_and_fields),
        TEST(test_journald_maps_levels),
        TEST(test_journald_values_cannot_forge_fields),
        TEST(test_journald_keys_become_names),
        TEST(test_journald_large_entry_goes_as_sealed_file),
        TEST(test_journald_entry_over_the_cap_is_counted),
        TEST(test_journald_connects_once_a_second),
        TEST(test_journald_gone_and_back),
        TEST(test_journald_restart_costs_nothing),
        TEST(test_journald_that_hangs_costs_its_own_lines_only),
        TEST(test_journald_open_says_what_is_wrong),
    };

    if (!name_service())
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
