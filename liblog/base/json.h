/* SPDX-License-Identifier: Apache-2.0
 * JSON text (RFC 8259) appended to a buffer. Strings may hold any bytes:
 * invalid UTF-8 becomes U+FFFD, so that what is written is always valid. */
#ifndef CLEW_BASE_JSON_H
#define CLEW_BASE_JSON_H

#include "buf.h"

#include <stdint.h>

/* The string in quotes. */
void clew__json_string(struct clew__buf *buf, const char *s, size_t len);
/* The same without the quotes, to put text together from pieces. */
void clew__json_chars(struct clew__buf *buf, const char *s, size_t len);
void clew__json_int(struct clew__buf *buf, int64_t v);
void clew__json_uint(struct clew__buf *buf, uint64_t v);
/* The shortest text that reads back equal, always with '.' or 'e'; NaN and the
 * infinities as the strings "NaN", "Infinity", "-Infinity". */
void clew__json_double(struct clew__buf *buf, double v);

/* The same into memory that has room for it; they return the end of what was
 * written. The bytes after it are scratch, up to the bound. */
#define CLEW__PUT_NUMBER_MAX 40u
#define CLEW__PUT_CHARS_MAX(len) (6 * (len) + 16)
/* readable: bytes that may be read at s, at least len. */
char *clew__put_chars(char *p, const char *s, size_t len, size_t readable);
char *clew__put_uint(char *p, uint64_t v);
char *clew__put_int(char *p, int64_t v);
char *clew__put_double(char *p, double v);
/* Exactly n digits. */
char *clew__put_digits(char *p, uint64_t v, unsigned n);
/* Nine digits of a number below 10^9. */
char *clew__put_fraction(char *p, uint32_t ns);

/* Length of the valid UTF-8 sequence at s (1..4), 0 when it is not valid
 * (Unicode 15, table 3-7). left > 0. */
size_t clew__utf8_sequence(const char *s, size_t left);
/* The longest prefix of at most max bytes that cuts no sequence. */
size_t clew__utf8_cut(const char *s, size_t len, size_t max);
/* Copies with invalid bytes as U+FFFD. */
void clew__utf8_clean(struct clew__buf *buf, const char *s, size_t len);

/* Lower-case hex of n bytes; ret gets 2n characters, no NUL. */
void clew__hex(char *ret, const void *bytes, size_t n);
/* 0, or -1 when text is not 2n hex digits, either case. */
int clew__unhex(void *ret_bytes, const char *text, size_t n);

#endif
