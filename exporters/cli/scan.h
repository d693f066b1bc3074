/* SPDX-License-Identifier: Apache-2.0
 * JSON (RFC 8259) read in place, one object after the other, without memory of
 * its own. MT-Safe: all state is the caller's. */
#ifndef CLEW_CLI_SCAN_H
#define CLEW_CLI_SCAN_H

#include <buf.h>
#include <stdbool.h>
#include <stddef.h>

/* Deeper nesting is refused. */
#define CLI_SCAN_DEPTH 1024

enum cli_type {
    CLI_NULL,
    CLI_FALSE,
    CLI_TRUE,
    CLI_NUMBER,
    CLI_STRING,
    CLI_ARRAY,
    CLI_OBJECT,
};

/* A value where it lies in the text: a string without its quotes, anything
 * else from its first byte to its last. */
struct cli_value {
    enum cli_type type;
    bool escaped; /* a string with a backslash in it */
    const char *at;
    size_t len;
};

struct cli_member {
    struct cli_value key; /* a string */
    struct cli_value value;
};

struct cli_scan {
    const char *p, *end;
    bool begun;
};

/* Starts at an object, which must be all of the text but for white space.
 * False when it does not start with '{'. */
bool cli_scan_open(struct cli_scan *scan, const char *text, size_t len);
/* The next member: 1; 0 at the end; -1 when the text is malformed, scan->p is
 * then where. All of the text was proved to be JSON only when 0 comes. Bytes
 * that are not UTF-8 are let through, and so are lone surrogates. */
int cli_scan_next(struct cli_scan *scan, struct cli_member *ret);

/* ---- scan_text.c ---- */

/* Appends what the string stands for; a lone surrogate as U+FFFD. */
void cli_scan_decode(struct clew__buf *out, const struct cli_value *string);
/* Whether the string stands for these bytes. */
bool cli_scan_equals(const struct cli_value *string, const char *text, size_t len);
/* The value as compact JSON, strings re-escaped. */
void cli_scan_compact(struct clew__buf *out, const struct cli_value *value);
/* Whether the text is one JSON number and nothing else. */
bool cli_scan_is_number(const char *text, size_t len);
/* Whether two JSON numbers are the same number, to the last digit. */
bool cli_scan_same_number(const char *a, size_t a_len, const char *b, size_t b_len);

#endif
