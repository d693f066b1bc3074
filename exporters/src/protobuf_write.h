/* SPDX-License-Identifier: Apache-2.0
 * Writing protobuf's wire format into a buffer. A nested message is begun and
 * ended; its length is filled in at the end, as a varint of five bytes that is
 * padded (which every decoder accepts), so nothing is measured or moved. */
#ifndef CLEW_PROTOBUF_WRITE_H
#define CLEW_PROTOBUF_WRITE_H

#include <buf.h>

#include <stdint.h>

static inline void clew__pb_varint(struct clew__buf *out, uint64_t v)
{
    char bytes[10];
    size_t n = 0;

    for (; v >= 0x80; v >>= 7)
        bytes[n++] = (char)(v | 0x80);
    bytes[n++] = (char)v;
    clew__buf_add(out, bytes, n);
}

static inline void clew__pb_tag(struct clew__buf *out, unsigned number, unsigned wire)
{
    clew__pb_varint(out, (uint64_t)number << 3 | wire);
}

static inline void clew__pb_uint(struct clew__buf *out, unsigned number, uint64_t v)
{
    clew__pb_tag(out, number, 0);
    clew__pb_varint(out, v);
}

static inline void clew__pb_fixed64(struct clew__buf *out, unsigned number, uint64_t v)
{
    clew__pb_tag(out, number, 1);
    for (int i = 0; i < 8; i++, v >>= 8)
        clew__buf_addc(out, (char)v);
}

static inline void clew__pb_bytes(struct clew__buf *out, unsigned number, const void *bytes,
                                  size_t len)
{
    clew__pb_tag(out, number, 2);
    clew__pb_varint(out, len);
    clew__buf_add(out, bytes, len);
}

static inline void clew__pb_string(struct clew__buf *out, unsigned number, const char *text)
{
    clew__pb_bytes(out, number, text, strlen(text));
}

#define CLEW__PB_LENGTH_BYTES 5u

/* Returns where the message begins, for clew__pb_end(). */
static inline size_t clew__pb_begin(struct clew__buf *out, unsigned number)
{
    clew__pb_tag(out, number, 2);
    clew__buf_add(out, "\x80\x80\x80\x80", CLEW__PB_LENGTH_BYTES);
    return out->len;
}

/* elsewhere: bytes of the message that are not in out. */
static inline void clew__pb_end_with(struct clew__buf *out, size_t begin, size_t elsewhere)
{
    size_t len;

    if (out->failed)
        return;
    len = out->len - begin + elsewhere;
    for (unsigned i = 0; i < CLEW__PB_LENGTH_BYTES; i++, len >>= 7)
        out->data[begin - CLEW__PB_LENGTH_BYTES + i] =
            (char)((len & 0x7F) | (i + 1 < CLEW__PB_LENGTH_BYTES ? 0x80 : 0));
}

static inline void clew__pb_end(struct clew__buf *out, size_t begin)
{
    clew__pb_end_with(out, begin, 0);
}

#endif
