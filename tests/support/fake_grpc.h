/* SPDX-License-Identifier: Apache-2.0
 * A gRPC server without TLS in the test's own process: it speaks HTTP/2 in bare
 * frames, so that it can say what no library would, and remembers what it got. */
#ifndef CLEW_TEST_FAKE_GRPC_H
#define CLEW_TEST_FAKE_GRPC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum fake_grpc_act {
    FAKE_GRPC_OK,
    FAKE_GRPC_TRAILERS,     /* trailers only, with this grpc-status */
    FAKE_GRPC_EARLY,        /* the same as soon as the request's headers are there */
    FAKE_GRPC_RESET,        /* RST_STREAM with this code */
    FAKE_GRPC_GOAWAY,       /* GOAWAY: this request was not looked at; hangs up */
    FAKE_GRPC_OK_AND_LEAVE, /* GOAWAY that leaves this request valid, its answer, hangs up */
    FAKE_GRPC_HANG_UP,      /* without a word */
    FAKE_GRPC_HANG,         /* says nothing */
    FAKE_GRPC_BOMB,         /* an answer whose headers expand to 64 MB */
    FAKE_GRPC_LONG          /* an answer of 5 MiB */
};

struct fake_grpc_answer {
    enum fake_grpc_act act;
    unsigned code;
};

struct fake_grpc_options {
    const struct fake_grpc_answer *answers; /* one after the other, the last again and again */
    size_t n;
    int window;           /* of a stream; 0: the largest, and nothing is held back */
    bool window_shut;     /* no more of the connection's than the 65535 bytes it begins with */
    bool pings;           /* one before each answer */
    const char *greeting; /* this instead of HTTP/2; NULL: HTTP/2 */
    size_t greeting_len;
};

struct fake_grpc_request {
    size_t connection; /* 1, 2, … */
    bool ok;           /* was answered so */
    size_t len;        /* of the message, without gRPC's five bytes */
    char *message;
};

struct fake_grpc;

struct fake_grpc *fake_grpc_start(const struct fake_grpc_options *options);
void fake_grpc_stop(struct fake_grpc *server);
uint16_t fake_grpc_port(const struct fake_grpc *server);
size_t fake_grpc_connections(struct fake_grpc *server);
/* PINGs that came back. */
size_t fake_grpc_pongs(struct fake_grpc *server);
/* Requests that came whole. */
size_t fake_grpc_count(struct fake_grpc *server);
/* Borrowed until stop. */
const struct fake_grpc_request *fake_grpc_request(struct fake_grpc *server, size_t i);

#endif
