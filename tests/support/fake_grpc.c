/* SPDX-License-Identifier: Apache-2.0
 * See fake_grpc.h (RFC 9113; RFC 7541 for the few header blocks). A thread for
 * the listener, one for each connection. */
#include "fake_grpc.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS_MAX 256
#define REQUESTS_MAX 4096
#define FRAME_MAX 16384u

enum { DATA, HEADERS, RST_STREAM = 3, SETTINGS, PING = 6, GOAWAY, WINDOW_UPDATE, CONTINUATION };
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4 };

struct connection {
    struct fake_grpc *server;
    pthread_t thread;
    int fd;
    size_t number;
    struct fake_grpc_answer answer; /* to the request that is coming in */
    char *body;
    size_t len;
};

struct fake_grpc {
    struct fake_grpc_options options;
    int listener;
    uint16_t port;
    pthread_t thread;
    pthread_mutex_t lock;
    size_t begun; /* requests */
    size_t n, nconnections;
    _Atomic size_t pongs;
    struct fake_grpc_request requests[REQUESTS_MAX];
    struct connection connections[CONNECTIONS_MAX];
};

/* ---- frames --------------------------------------------------------------------------- */

static bool send_all(int fd, const void *data, size_t len)
{
    const char *at = data;

    while (len > 0) {
        ssize_t n = send(fd, at, len, MSG_NOSIGNAL);

        if (n <= 0)
            return false;
        at += n;
        len -= (size_t)n;
    }
    return true;
}

static bool receive(int fd, void *to, size_t len)
{
    return len == 0 || recv(fd, to, len, MSG_WAITALL) == (ssize_t)len;
}

static void put32(unsigned char *at, uint32_t v)
{
    for (unsigned i = 0; i < 4; i++)
        at[i] = (unsigned char)(v >> (24 - 8 * i));
}

static uint32_t get32(const unsigned char *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static bool send_frame(int fd, unsigned type, unsigned flags, uint32_t stream, const void *payload,
                       size_t len)
{
    unsigned char frame[9 + FRAME_MAX] = {(unsigned char)(len >> 16), (unsigned char)(len >> 8),
                                          (unsigned char)len, (unsigned char)type,
                                          (unsigned char)flags};

    put32(frame + 5, stream);
    memcpy(frame + 9, payload, len);
    return send_all(fd, frame, 9 + len);
}

static bool send_word(int fd, unsigned type, uint32_t stream, uint32_t word)
{
    unsigned char payload[4];

    put32(payload, word);
    return send_frame(fd, type, 0, stream, payload, 4);
}

static bool send_goaway(int fd, uint32_t last)
{
    unsigned char payload[8] = "";

    put32(payload, last);
    return send_frame(fd, GOAWAY, 0, 0, payload, 8);
}

/* ---- answers -------------------------------------------------------------------------------- */

/* :status 200 (static table), content-type: application/grpc */
#define HEAD       \
    "\x88\x5f\x10" \
    "application/grpc"

static size_t put_status(unsigned char *at, unsigned status)
{
    static const char name[] = "\x00\x0bgrpc-status";
    char text[8];
    int n = snprintf(text, sizeof(text), "%u", status);

    memcpy(at, name, 13);
    at[13] = (unsigned char)n;
    memcpy(at + 14, text, (size_t)n);
    return 14 + (size_t)n;
}

static bool send_ok(int fd, uint32_t stream)
{
    unsigned char trailers[32];

    return send_frame(fd, HEADERS, END_HEADERS, stream, HEAD, sizeof(HEAD) - 1) &&
           send_frame(fd, DATA, 0, stream, "\0\0\0\0", 5) &&
           send_frame(fd, HEADERS, END_HEADERS | END_STREAM, stream, trailers,
                      put_status(trailers, 0));
}

static bool send_trailers(int fd, uint32_t stream, unsigned status)
{
    unsigned char block[64] = HEAD;

    return send_frame(fd, HEADERS, END_HEADERS | END_STREAM, stream, block,
                      sizeof(HEAD) - 1 + put_status(block + sizeof(HEAD) - 1, status));
}

/* A header of 4000 bytes into the dynamic table, then by its index (62) again
 * and again. */
static bool send_bomb(int fd, uint32_t stream)
{
    static const unsigned char start[] = "\x88\x40\x01x\x7f\xa1\x1e"; /* length 4000: 127 + 3873 */
    unsigned char block[FRAME_MAX];

    memcpy(block, start, sizeof(start) - 1);
    memset(block + sizeof(start) - 1, 'y', 4000);
    memset(block + sizeof(start) - 1 + 4000, 0x80 | 62, FRAME_MAX - 4000 - sizeof(start) + 1);
    return send_frame(fd, HEADERS, END_HEADERS | END_STREAM, stream, block, FRAME_MAX);
}

/* As far as the client's window goes; the rest it has to ask for. */
static bool send_long(int fd, uint32_t stream)
{
    static const unsigned char bytes[FRAME_MAX];
    unsigned char head[9], payload[FRAME_MAX];
    long windows[2] = {65535, 65535};
    size_t left = 5u << 20;

    if (!send_frame(fd, HEADERS, END_HEADERS, stream, HEAD, sizeof(HEAD) - 1))
        return false;
    while (left > 0) {
        if (windows[0] >= (long)FRAME_MAX && windows[1] >= (long)FRAME_MAX) {
            if (!send_frame(fd, DATA, left <= FRAME_MAX ? END_STREAM : 0, stream, bytes, FRAME_MAX))
                return false;
            windows[0] -= FRAME_MAX;
            windows[1] -= FRAME_MAX;
            left -= FRAME_MAX;
            continue;
        }
        if (!receive(fd, head, 9) || !receive(fd, payload, get32(head) >> 8))
            return false;
        if (head[3] == RST_STREAM)
            return true;
        if (head[3] == WINDOW_UPDATE)
            windows[get32(head + 5) != 0] += get32(payload);
    }
    return true;
}

/* false: the connection ends. */
static bool answer(struct connection *c, uint32_t stream)
{
    static const unsigned char ping[8] = "clewline";

    if (c->server->options.pings && !send_frame(c->fd, PING, 0, 0, ping, 8))
        return false;
    switch (c->answer.act) {
    case FAKE_GRPC_OK:
        return send_ok(c->fd, stream);
    case FAKE_GRPC_TRAILERS:
        return send_trailers(c->fd, stream, c->answer.code);
    case FAKE_GRPC_RESET:
        return send_word(c->fd, RST_STREAM, stream, c->answer.code);
    case FAKE_GRPC_GOAWAY:
        (void)send_goaway(c->fd, stream - 2);
        return false;
    case FAKE_GRPC_OK_AND_LEAVE:
        (void)(send_goaway(c->fd, stream) && send_ok(c->fd, stream));
        return false;
    case FAKE_GRPC_HANG_UP:
        return false;
    case FAKE_GRPC_BOMB:
        return send_bomb(c->fd, stream);
    case FAKE_GRPC_LONG:
        return send_long(c->fd, stream);
    case FAKE_GRPC_EARLY: /* was given */
    case FAKE_GRPC_HANG:
        break;
    }
    return true;
}

/* ---- requests ---------------------------------------------------------------------------------
 */

static void choose_answer(struct connection *c)
{
    struct fake_grpc *server = c->server;
    size_t i;

    pthread_mutex_lock(&server->lock);
    i = server->begun++;
    pthread_mutex_unlock(&server->lock);
    c->answer = server->options.answers[i < server->options.n ? i : server->options.n - 1];
}

static void remember(struct connection *c)
{
    struct fake_grpc *server = c->server;
    bool ok = c->answer.act == FAKE_GRPC_OK || c->answer.act == FAKE_GRPC_OK_AND_LEAVE;

    if (c->len < 5 || get32((unsigned char *)c->body + 1) != c->len - 5) {
        fprintf(stderr, "fake_grpc: a message of %zu bytes has the wrong length\n", c->len);
        abort();
    }
    memmove(c->body, c->body + 5, c->len - 5);
    pthread_mutex_lock(&server->lock);
    if (server->n < REQUESTS_MAX)
        server->requests[server->n++] =
            (struct fake_grpc_request){c->number, ok, c->len - 5, c->body};
    else
        free(c->body);
    pthread_mutex_unlock(&server->lock);
    c->body = NULL;
    c->len = 0;
}

static bool take_data(struct connection *c, const unsigned char *payload, size_t len,
                      uint32_t stream)
{
    const struct fake_grpc_options *options = &c->server->options;

    c->body = realloc(c->body, c->len + len + 1);
    memcpy(c->body + c->len, payload, len);
    c->len += len;
    if (len > 0 && !options->window_shut && !send_word(c->fd, WINDOW_UPDATE, 0, (uint32_t)len))
        return false;
    return len == 0 || !options->window || c->answer.act == FAKE_GRPC_EARLY ||
           send_word(c->fd, WINDOW_UPDATE, stream, (uint32_t)len);
}

static bool take_frame(struct connection *c, const unsigned char head[9],
                       const unsigned char *payload, size_t len)
{
    uint32_t stream = get32(head + 5);

    switch (head[3]) {
    case HEADERS:
        choose_answer(c);
        return c->answer.act != FAKE_GRPC_EARLY || send_trailers(c->fd, stream, c->answer.code);
    case DATA:
        if (!take_data(c, payload, len, stream))
            return false;
        if (!(head[4] & END_STREAM))
            return true;
        remember(c);
        return answer(c, stream);
    case RST_STREAM:
        c->len = 0;
        return true;
    case SETTINGS:
        return head[4] & ACK || send_frame(c->fd, SETTINGS, ACK, 0, "", 0);
    case PING:
        if (head[4] & ACK)
            c->server->pongs++;
        return true;
    case GOAWAY:
        return false;
    default:
        return true;
    }
}

static bool greet(const struct connection *c)
{
    const struct fake_grpc_options *options = &c->server->options;
    unsigned char settings[6] = {0, 4};

    if (options->greeting) {
        (void)send_all(c->fd, options->greeting, options->greeting_len);
        return false;
    }
    put32(settings + 2, options->window ? (uint32_t)options->window : 0x7fffffff);
    return send_frame(c->fd, SETTINGS, 0, 0, settings, 6);
}

static void *serve(void *arg)
{
    struct connection *c = arg;
    unsigned char head[9], payload[FRAME_MAX];
    int one = 1;

    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (greet(c) && receive(c->fd, payload, 24))
        while (receive(c->fd, head, 9)) {
            size_t len = get32(head) >> 8;

            if (len > sizeof(payload) || !receive(c->fd, payload, len) ||
                !take_frame(c, head, payload, len))
                break;
        }
    (void)shutdown(c->fd, SHUT_WR);
    while (recv(c->fd, payload, sizeof(payload), 0) > 0) /* no RST before all was read */
        ;
    (void)shutdown(c->fd, SHUT_RDWR);
    return NULL;
}

static void *listen_on(void *arg)
{
    struct fake_grpc *server = arg;
    int fd;

    while ((fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        struct connection *c = &server->connections[server->nconnections];

        if (server->nconnections == CONNECTIONS_MAX) {
            close(fd);
            continue;
        }
        *c = (struct connection){.server = server, .fd = fd, .number = server->nconnections + 1};
        pthread_mutex_lock(&server->lock);
        if (pthread_create(&c->thread, NULL, serve, c) == 0)
            server->nconnections++;
        pthread_mutex_unlock(&server->lock);
    }
    return NULL;
}

/* ---- the server
 * ----------------------------------------------------------------------------------- */

struct fake_grpc *fake_grpc_start(const struct fake_grpc_options *options)
{
    struct fake_grpc *server = calloc(1, sizeof(*server));
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);

    server->options = *options;
    pthread_mutex_init(&server->lock, NULL);
    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(server->listener, (struct sockaddr *)&address, size) < 0 ||
        listen(server->listener, 64) < 0 ||
        getsockname(server->listener, (struct sockaddr *)&address, &size) < 0 ||
        pthread_create(&server->thread, NULL, listen_on, server) != 0) {
        perror("fake_grpc");
        abort();
    }
    server->port = ntohs(address.sin_port);
    return server;
}

void fake_grpc_stop(struct fake_grpc *server)
{
    (void)shutdown(server->listener, SHUT_RDWR);
    pthread_join(server->thread, NULL);
    close(server->listener);
    for (size_t i = 0; i < server->nconnections; i++) {
        (void)shutdown(server->connections[i].fd, SHUT_RDWR);
        pthread_join(server->connections[i].thread, NULL);
        close(server->connections[i].fd);
        free(server->connections[i].body);
    }
    for (size_t i = 0; i < server->n; i++)
        free(server->requests[i].message);
    free(server);
}

uint16_t fake_grpc_port(const struct fake_grpc *server)
{
    return server->port;
}

static size_t read_locked(struct fake_grpc *server, const size_t *n)
{
    size_t value;

    pthread_mutex_lock(&server->lock);
    value = *n;
    pthread_mutex_unlock(&server->lock);
    return value;
}

size_t fake_grpc_connections(struct fake_grpc *server)
{
    return read_locked(server, &server->nconnections);
}

size_t fake_grpc_pongs(struct fake_grpc *server)
{
    return server->pongs;
}

size_t fake_grpc_count(struct fake_grpc *server)
{
    return read_locked(server, &server->n);
}

const struct fake_grpc_request *fake_grpc_request(struct fake_grpc *server, size_t i)
{
    return &server->requests[i];
}
