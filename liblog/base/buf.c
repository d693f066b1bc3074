/* SPDX-License-Identifier: Apache-2.0
 * The slow half of the buffer: growing and printf. */
#include "buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void clew__buf_init(struct clew__buf *buf, size_t max_bytes)
{
    *buf = (struct clew__buf){.max = max_bytes};
}

void clew__buf_done(struct clew__buf *buf)
{
    free(buf->data);
    *buf = (struct clew__buf){.max = buf->max};
}

void clew__buf_reset(struct clew__buf *buf)
{
    buf->len = 0;
    buf->failed = false;
}

bool clew__buf_grow(struct clew__buf *buf, size_t n)
{
    size_t need, cap;
    char *data;

    if (buf->failed)
        return false;
    if (n > buf->max || buf->len > buf->max - n) {
        buf->failed = true;
        return false;
    }
    need = buf->len + n;
    if (need <= buf->cap)
        return true;
    cap = buf->cap ? buf->cap : 256;
    while (cap < need)
        cap *= 2;
    if (cap > buf->max)
        cap = buf->max;
    data = realloc(buf->data, cap);
    if (!data) {
        buf->failed = true;
        return false;
    }
    buf->data = data;
    buf->cap = cap;
    return true;
}

void clew__buf_addf(struct clew__buf *buf, const char *format, ...)
{
    va_list args;
    int n;
    char *p = clew__buf_room(buf, 64);

    if (!p)
        return;
    va_start(args, format);
    n = vsnprintf(p, buf->cap - buf->len, format, args);
    va_end(args);
    if (n < 0) {
        buf->failed = true;
        return;
    }
    if ((size_t)n >= buf->cap - buf->len) {
        p = clew__buf_room(buf, (size_t)n + 1);
        if (!p)
            return;
        va_start(args, format);
        (void)vsnprintf(p, (size_t)n + 1, format, args);
        va_end(args);
    }
    buf->len += (size_t)n;
}

char *clew__buf_take(struct clew__buf *buf, size_t *ret_len)
{
    char *p = clew__buf_room(buf, 1);
    size_t len = buf->len;

    if (!p) {
        clew__buf_done(buf);
        return NULL;
    }
    *p = '\0';
    p = buf->data;
    *buf = (struct clew__buf){.max = buf->max};
    *ret_len = len;
    return p;
}
