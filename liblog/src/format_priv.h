/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines as text. JSON is written straight into memory whose room was checked
 * once for the whole line, from pieces that were escaped once. What is written
 * depends on nothing but the record, its site, logger and context, the service
 * and the clock: recovery makes the same bytes again.
 */
#ifndef CLEW_FORMAT_PRIV_H
#define CLEW_FORMAT_PRIV_H

#include <clew/sink.h>

#include <buf.h>

#include "value_priv.h"

struct clew__line;
struct clew_logger;
struct clew__fields;

/* Pieces are copied 16 bytes at a time: so many more can be read. */
#define CLEW__PIECE_SLACK 16u
#define CLEW__LINE_FIELDS_MAX (24u + 64u)

/* What never changes for a call site. Lengths of pieces in a row. */
struct clew__site_text {
    uint32_t total;                   /* all of them */
    uint32_t head_len;                /* ","level":"INFO","service":"…" */
    uint32_t logger_len;              /* ,"logger":"…" or nothing */
    uint32_t message_len;             /* ,"message":"…" */
    uint32_t open_len;                /* ,"context":{ or nothing */
    uint32_t tail_at, tail_len;       /* ,"source":{…}} */
    uint32_t key_at[24], key_len[24]; /* ,"key": */
    uint8_t types[24];
    uint32_t skip; /* bit i: field i has a later field of the same key */
    char pieces[];
};

/* What never changes for a logger. */
struct clew__logger_text {
    const char *plain;       /* the name, not copied */
    struct clew__buf name;   /* ,"logger":"…" */
    struct clew__buf fields; /* "key":value in a row */
    struct clew__buf keys;   /* each ended by NUL */
    size_t n;
    struct {
        uint32_t at, len;
        struct clew_field field;
    } at[64];
};

/* The date of the last line: nearly always that of the next. One per writer. */
struct clew__date {
    uint64_t second;
    uint32_t len;
    char text[48]; /* {"timestamp":"2025-08-20T10:00:00. */
};

/* NULL when there is no memory or it would be too long. Free with free(). */
struct clew__site_text *clew__site_text_new(const struct clew_site *site, const char *service);
struct clew__logger_text *clew__logger_text_new(const char *name, const char *fields, size_t len);
void clew__logger_text_free(struct clew__logger_text *text);

/* The most that the line can take, scratch included. */
size_t clew__format_json_bound(const struct clew__line *line);
/* Writes the line without a newline; the end, or NULL when the record does not
 * fit its site. */
char *clew__format_json(char *p, const struct clew__line *line, struct clew__date *date);
void clew__format_text(struct clew__buf *out, const struct clew__line *line, bool colour);

/* The fields of the line's context object, no key twice, as sinks get them;
 * their number, or -1 when the record does not fit its site. ret_message: the
 * line's message. */
int clew__line_fields(const struct clew__line *line, struct clew_field ret[CLEW__LINE_FIELDS_MAX],
                      const char **ret_message, size_t *ret_message_len);

/* A stored value as JSON. */
void clew__json_value(struct clew__buf *out, unsigned type, const struct clew_value *value);
char *clew__put_value(char *p, unsigned type, const struct clew_value *value, size_t readable);
/* What clew__put_value() may need. */
static inline size_t clew__put_value_bound(unsigned type, const struct clew_value *value)
{
    return 160 + (clew__type_is_fixed(type) ? 0 : 16 * value->len);
}
/* Copies JSON text without its white space, bad UTF-8 replaced; NULL when it is
 * none or an object in it has a key twice. At most 6 * len + 16 bytes. */
char *clew__put_json(char *p, const char *s, size_t len);
/* 4 or 16 bytes; at most 45. */
char *clew__put_ip(char *p, const char *bytes, size_t len);
/* RFC 3339, UTC, nine digits. */
char *clew__put_time(char *p, int64_t ns);

#endif
