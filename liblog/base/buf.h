/* SPDX-License-Identifier: Apache-2.0
 * A byte buffer that grows up to a cap stated at the start. The first failure
 * (no memory, cap passed) sticks: later appends do nothing, and one look at
 * `failed` at the end tells. MT-Unsafe. */
#ifndef CLEW_BASE_BUF_H
#define CLEW_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct clew__buf {
    char *data;
    size_t len;
    size_t cap;
    size_t max;
    bool failed;
};

void clew__buf_init(struct clew__buf *buf, size_t max_bytes);
void clew__buf_done(struct clew__buf *buf);
/* Empties it and forgets a failure; the memory stays. */
void clew__buf_reset(struct clew__buf *buf);
/* Makes room for n more bytes; false when the buffer has failed. */
bool clew__buf_grow(struct clew__buf *buf, size_t n);
void clew__buf_addf(struct clew__buf *buf, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Gives the bytes away, NUL-terminated: free() them. NULL when failed; the
 * buffer is empty afterwards. */
char *clew__buf_take(struct clew__buf *buf, size_t *ret_len);

/* Room for n bytes at the end, to be filled by the caller, who then adds to
 * len; NULL when the buffer has failed. */
static inline char *clew__buf_room(struct clew__buf *buf, size_t n)
{
    if (buf->cap - buf->len < n || buf->failed)
        if (!clew__buf_grow(buf, n))
            return NULL;
    return buf->data + buf->len;
}

static inline void clew__buf_add(struct clew__buf *buf, const void *data, size_t n)
{
    char *p = n > 0 ? clew__buf_room(buf, n) : NULL;

    if (p) {
        memcpy(p, data, n);
        buf->len += n;
    }
}

static inline void clew__buf_adds(struct clew__buf *buf, const char *text)
{
    clew__buf_add(buf, text, strlen(text));
}

static inline void clew__buf_addc(struct clew__buf *buf, char c)
{
    clew__buf_add(buf, &c, 1);
}

#endif
