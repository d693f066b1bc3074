/* SPDX-License-Identifier: Apache-2.0
 * JSON (RFC 8259) read in place, one object after the other, without memory of
 * its own. MT-Safe: all state is the caller's. */
#ifndef CLEW_SCAN_H
#define CLEW_SCAN_H

#include <buf.h>
#include <stdbool.h>
#include <stddef.h>

/* Deeper nesting is refused. */
#define CLEW__SCAN_DEPTH 1024

enum clew__scan_type {
    CLEW__SCAN_NULL,
    CLEW__SCAN_FALSE,
    CLEW__SCAN_TRUE,
    CLEW__SCAN_NUMBER,
    CLEW__SCAN_STRING,
    CLEW__SCAN_ARRAY,
    CLEW__SCAN_OBJECT,
};

/* A value where it lies in the text: a string without its quotes, anything
 * else from its first byte to its last. */
struct clew__scan_value {
    enum clew__scan_type type;
    bool escaped; /* a string with a backslash in it */
    const char *at;
    size_t len;
};

struct clew__scan_member {
    struct clew__scan_value key; /* a string */
    struct clew__scan_value value;
};

struct clew__scan {
    const char *p, *end;
    bool begun;
};

/* Starts at an object, which must be all of the text but for white space.
 * False when it does not start with '{'. */
bool clew__scan_open(struct clew__scan *scan, const char *text, size_t len);
/* The next member: 1; 0 at the end; -1 when the text is malformed, scan->p is
 * then where. All of the text was proved to be JSON only when 0 comes. Bytes
 * that are not UTF-8 are let through, and so are lone surrogates. */
int clew__scan_next(struct clew__scan *scan, struct clew__scan_member *ret);

/* ---- scan_text.c ---- */

/* Appends what the string stands for; a lone surrogate as U+FFFD. */
void clew__scan_decode(struct clew__buf *out, const struct clew__scan_value *string);
/* Whether the string stands for these bytes. */
bool clew__scan_equals(const struct clew__scan_value *string, const char *text, size_t len);
/* The value as compact JSON, strings re-escaped. */
void clew__scan_compact(struct clew__buf *out, const struct clew__scan_value *value);
/* Whether the text is one JSON number and nothing else. */
bool clew__scan_is_number(const char *text, size_t len);
/* The JSON number as the nearest double; infinite where it is too large. */
double clew__scan_double(const char *text, size_t len);
/* Whether two JSON numbers are the same number, to the last digit. */
bool clew__scan_same_number(const char *a, size_t a_len, const char *b, size_t b_len);

#endif
