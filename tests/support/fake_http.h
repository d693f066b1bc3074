/* SPDX-License-Identifier: Apache-2.0
 * An HTTP server in the test's own process that answers what it is told and
 * remembers what it was asked. */
#ifndef CLEW_TEST_FAKE_HTTP_H
#define CLEW_TEST_FAKE_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fake_answer {
    unsigned status;         /* 0: hang until the server stops */
    const char *retry_after; /* NULL: no such header */
    const char *body;
    size_t body_len;
};

struct fake_request {
    char path[256];
    char content_type[64];
    char content_encoding[32];
    char tenant[64];
    uint64_t time_ns; /* CLOCK_MONOTONIC */
    size_t len;
    char *body;
};

struct fake_http;

/* Listens on a free port of 127.0.0.1. The answers are given one after the
 * other, the last again and again. */
struct fake_http *fake_http_start(const struct fake_answer *answers, size_t n);
/* The same on a port that was free a moment ago. */
struct fake_http *fake_http_start_on(uint16_t port, const struct fake_answer *answers, size_t n);
void fake_http_stop(struct fake_http *server);
uint16_t fake_http_port(const struct fake_http *server);
size_t fake_http_count(struct fake_http *server);
/* Waits until n requests came; false after timeout_ms. */
bool fake_http_wait(struct fake_http *server, size_t n, unsigned timeout_ms);
/* The i-th request, borrowed until stop. */
const struct fake_request *fake_http_request(struct fake_http *server, size_t i);

#endif
