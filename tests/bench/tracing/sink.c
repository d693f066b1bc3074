/* SPDX-License-Identifier: Apache-2.0
 *
 * The collector of the benchmark: one process, one connection at a time in a
 * loop, HTTP/1.1 or HTTP/2 with prior knowledge by the first bytes. Bodies are
 * thrown away in the kernel (MSG_TRUNC), so that it takes as little of the
 * machine as it can. It reads no header but Content-Length, and of HTTP/2
 * (RFC 9113) only the framing: it speaks with one client that behaves.
 */
#include "bench.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t pid;

static bool send_all(int fd, const void *data, size_t len)
{
    return send(fd, data, len, MSG_NOSIGNAL) == (ssize_t)len;
}

/* Reads and forgets. */
static bool skip(int fd, size_t len)
{
    while (len > 0) {
        ssize_t n = recv(fd, NULL, len, MSG_TRUNC);

        if (n <= 0)
            return false;
        len -= (size_t)n;
    }
    return true;
}

static bool read_all(int fd, void *to, size_t len)
{
    return recv(fd, to, len, MSG_WAITALL) == (ssize_t)len;
}

/* ---- HTTP/1.1 ---------------------------------------------------------------------- */

static void serve_http1(int fd, char *head, size_t have)
{
    static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

    for (;;) {
        char *end, *length;
        size_t len, after;
        ssize_t n;

        head[have] = '\0';
        end = strstr(head, "\r\n\r\n");
        if (!end) {
            n = recv(fd, head + have, 4095 - have, 0);
            if (n <= 0)
                return;
            have += (size_t)n;
            continue;
        }
        length = strcasestr(head, "content-length:");
        len = length ? strtoul(length + 15, NULL, 10) : 0;
        after = have - (size_t)(end + 4 - head);
        if (after > len || !skip(fd, len - after) || !send_all(fd, ok, sizeof(ok) - 1))
            return;
        have = 0;
    }
}

/* ---- HTTP/2 ------------------------------------------------------------------------ */

enum { DATA = 0, HEADERS = 1, SETTINGS = 4, PING = 6, GOAWAY = 7, END_STREAM = 1, ACK = 1 };

/* :status 200 (static table), content-type: application/grpc */
static const unsigned char head_block[] = "\x88\x5f\x10"
                                          "application/grpc";
/* grpc-status: 0, a literal with a name of its own */
static const unsigned char trailer_block[] = "\x00\x0bgrpc-status\x01"
                                             "0";

static size_t put_frame(unsigned char *at, unsigned type, unsigned flags, uint32_t stream,
                        const void *payload, size_t len)
{
    unsigned char head[9] = {
        (unsigned char)(len >> 16),    (unsigned char)(len >> 8),    (unsigned char)len,
        (unsigned char)type,           (unsigned char)flags,         (unsigned char)(stream >> 24),
        (unsigned char)(stream >> 16), (unsigned char)(stream >> 8), (unsigned char)stream};

    memcpy(at, head, 9);
    memcpy(at + 9, payload, len);
    return 9 + len;
}

static bool answer_grpc(int fd, uint32_t stream)
{
    unsigned char out[128];
    size_t n = put_frame(out, HEADERS, 4, stream, head_block, sizeof(head_block) - 1);

    n += put_frame(out + n, DATA, 0, stream, "\0\0\0\0", 5);
    n += put_frame(out + n, HEADERS, 4 | END_STREAM, stream, trailer_block,
                   sizeof(trailer_block) - 1);
    return send_all(fd, out, n);
}

/* Windows as wide as they can be, so that nothing waits for us. */
static bool greet(int fd)
{
    static const unsigned char settings[] = {0, 4, 0x7f, 0xff, 0xff, 0xff,  /* initial window */
                                             0, 5, 0x00, 0xff, 0xff, 0xff}; /* largest frame */
    static const unsigned char window[] = {0x7f, 0xfe, 0x00, 0x00};
    unsigned char out[64];
    size_t n = put_frame(out, SETTINGS, 0, 0, settings, sizeof(settings));

    n += put_frame(out + n, 8, 0, 0, window, sizeof(window));
    return send_all(fd, out, n);
}

static void serve_http2(int fd)
{
    uint64_t unacknowledged = 0;

    if (!greet(fd))
        return;
    for (;;) {
        unsigned char head[9], payload[64], out[128];
        size_t len;
        uint32_t stream;

        if (!read_all(fd, head, 9))
            return;
        len = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];
        stream =
            (uint32_t)head[5] << 24 | (uint32_t)head[6] << 16 | (uint32_t)head[7] << 8 | head[8];
        if (head[3] == PING && len == 8) {
            if (!read_all(fd, payload, 8) ||
                !send_all(fd, out, put_frame(out, PING, ACK, 0, payload, 8)))
                return;
            continue;
        }
        if (!skip(fd, len) || head[3] == GOAWAY)
            return;
        if (head[3] == SETTINGS && !(head[4] & ACK) &&
            !send_all(fd, out, put_frame(out, SETTINGS, ACK, 0, "", 0)))
            return;
        if (head[3] == DATA)
            unacknowledged += len;
        if (unacknowledged > (1u << 29)) {
            static const unsigned char more[] = {0x20, 0, 0, 0};

            unacknowledged -= 1u << 29;
            if (!send_all(fd, out, put_frame(out, 8, 0, 0, more, 4)))
                return;
        }
        if ((head[3] == DATA || head[3] == HEADERS) && (head[4] & END_STREAM) &&
            !answer_grpc(fd, stream))
            return;
    }
}

/* ---- the process ---------------------------------------------------------------------- */

static void serve(int fd)
{
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    char head[4096];
    int one = 1;
    ssize_t n;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    n = recv(fd, head, 24, MSG_WAITALL);
    if (n == 24 && memcmp(head, preface, 24) == 0)
        serve_http2(fd);
    else if (n > 0)
        serve_http1(fd, head, (size_t)n);
    close(fd);
}

uint16_t bench_sink_start(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (bind(listener, (struct sockaddr *)&address, size) < 0 || listen(listener, 16) < 0 ||
        getsockname(listener, (struct sockaddr *)&address, &size) < 0)
        return 0;
    pid = fork();
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;) {
            int fd = accept(listener, NULL, NULL);

            if (fd >= 0 && fork() == 0) { /* a client may have more than one */
                (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
                serve(fd);
                _exit(0);
            }
            close(fd);
            while (waitpid(-1, NULL, WNOHANG) > 0)
                ;
        }
    }
    close(listener);
    return pid > 0 ? ntohs(address.sin_port) : 0;
}

void bench_sink_stop(void)
{
    if (pid > 0) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
}
