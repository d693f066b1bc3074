/* SPDX-License-Identifier: Apache-2.0
 * A syslog server by each transport, in the test's own process. */
#ifndef SYSLOG_FIXTURE_H
#define SYSLOG_FIXTURE_H

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
#include <unistd.h>

#define BOM "\xEF\xBB\xBF"
#define WAIT_MS 10000

static char path[96], address[128];
static int server = -1, client = -1; /* client: what a TCP server accepted */
static const struct clew_sink_ops *ops;
static void *sink;

static inline int setup(void **state)
{
    child_setup(state);
    snprintf(path, sizeof(path), "%s/log", child.directory);
    return 0;
}

static inline void close_one(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static inline int teardown(void **state)
{
    if (sink)
        ops->close(sink, 0);
    sink = NULL;
    close_one(&client);
    close_one(&server);
    return child_teardown(state);
}

static inline void open_sink(const char *facility)
{
    assert_int_equal(clew__syslog_open(address, facility, &ops, &sink), 0);
}

static inline void unix_server(void)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};

    unlink(path);
    snprintf(to.sun_path, sizeof(to.sun_path), "%s", path);
    server = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(server, (struct sockaddr *)&to, sizeof(to)), 0);
    snprintf(address, sizeof(address), "unix:%s", path);
}

/* On 127.0.0.1; port 0 for any. Returns the port. */
static inline unsigned ip_server(int type, const char *scheme, unsigned port)
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

static inline bool readable(int fd, int timeout_ms)
{
    struct pollfd one = {.fd = fd, .events = POLLIN};

    return poll(&one, 1, timeout_ms) > 0;
}

/* One datagram, NUL-terminated. */
static inline size_t receive(char *ret, size_t size)
{
    ssize_t n;

    assert_true(readable(server, WAIT_MS));
    n = recv(server, ret, size - 1, 0);
    assert_true(n >= 0);
    ret[n] = '\0';
    return (size_t)n;
}

/* One frame of the TCP connection, without its count. */
static inline size_t receive_frame(char *ret, size_t size)
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
static inline const char *expect(unsigned pri, const char *data, const char *message)
{
    static char text[8192];
    char host[256] = "";

    gethostname(host, sizeof(host) - 1);
    snprintf(text, sizeof(text), "<%u>1 2025-08-20T10:00:00.123456Z %s shop %d - %s " BOM "%s", pri,
             host, (int)getpid(), data, message);
    return text;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
