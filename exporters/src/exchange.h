/* SPDX-License-Identifier: Apache-2.0
 *
 * A request and what came back, between a line, which makes the one and judges
 * the other, and what carries them: delivery_curl.h, h2c.h. Answers are bounded:
 * their beginning is kept, and one that is too long is none. Delivery thread.
 */
#ifndef CLEW_EXCHANGE_H
#define CLEW_EXCHANGE_H

#include "body.h"

#include <stdint.h>

struct clew__exchange {
    struct clew__body body;
    long timeout_ms; /* of all of it */
    /* the answer */
    unsigned status;          /* 0: none came, or not all of it */
    char trouble[128];        /* then: why, without addresses and headers */
    bool too_long;            /* that is why */
    struct clew__buf headers; /* lines as they came, trailers too: "name: value\r\n" */
    struct clew__buf answer;
    size_t answer_len; /* all of it, and its headers */
    uint64_t retry_after_ns;
};

void clew__exchange_init(struct clew__exchange *x, long timeout_ms);
void clew__exchange_done(struct clew__exchange *x);
/* Before the body is sent, again: from its start, and there is no answer yet. */
void clew__exchange_begin(struct clew__exchange *x);
/* Parts of the answer as they come; false when it is too long. */
bool clew__exchange_take_header(struct clew__exchange *x, const char *line, size_t len);
bool clew__exchange_take(struct clew__exchange *x, const char *data, size_t len);
/* There is no answer. */
void clew__exchange_fail(struct clew__exchange *x, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The far side wants that much time; bounded. */
void clew__exchange_retry_after(struct clew__exchange *x, long long seconds);

#endif
