/* SPDX-License-Identifier: Apache-2.0
 * See exchange.h. */
#include "exchange.h"

#include <stdarg.h>
#include <stdio.h>

#define REQUEST_MAX (64u << 20) /* OTLP specification: of requests … */
#define ANSWER_MAX (4u << 20)   /* … and of answers */
#define ANSWER_KEPT 65536u
#define HEADERS_KEPT 16384u
#define RETRY_AFTER_MAX_S 86400

void clew__exchange_init(struct clew__exchange *x, long timeout_ms)
{
    *x = (struct clew__exchange){.timeout_ms = timeout_ms};
    clew__body_init(&x->body, REQUEST_MAX);
    clew__buf_init(&x->answer, ANSWER_KEPT);
    clew__buf_init(&x->headers, HEADERS_KEPT);
}

void clew__exchange_done(struct clew__exchange *x)
{
    clew__body_done(&x->body);
    clew__buf_done(&x->answer);
    clew__buf_done(&x->headers);
}

void clew__exchange_begin(struct clew__exchange *x)
{
    clew__body_rewind(&x->body);
    clew__buf_reset(&x->answer);
    clew__buf_reset(&x->headers);
    x->status = 0;
    x->trouble[0] = '\0';
    x->too_long = false;
    x->answer_len = 0;
    x->retry_after_ns = 0;
}

static bool keep(struct clew__exchange *x, struct clew__buf *to, const char *data, size_t len)
{
    size_t room = to->max - to->len;

    x->answer_len += len;
    if (x->answer_len > ANSWER_MAX) {
        x->too_long = true;
        clew__exchange_fail(x, "the answer is too long");
        return false;
    }
    clew__buf_add(to, data, len < room ? len : room);
    return true;
}

bool clew__exchange_take_header(struct clew__exchange *x, const char *line, size_t len)
{
    return keep(x, &x->headers, line, len);
}

bool clew__exchange_take(struct clew__exchange *x, const char *data, size_t len)
{
    return keep(x, &x->answer, data, len);
}

void clew__exchange_fail(struct clew__exchange *x, const char *format, ...)
{
    va_list args;

    x->status = 0;
    va_start(args, format);
    (void)vsnprintf(x->trouble, sizeof(x->trouble), format, args);
    va_end(args);
}

void clew__exchange_retry_after(struct clew__exchange *x, long long seconds)
{
    if (seconds > RETRY_AFTER_MAX_S)
        seconds = RETRY_AFTER_MAX_S;
    x->retry_after_ns = seconds > 0 ? (uint64_t)seconds * 1000000000u : 0;
}
