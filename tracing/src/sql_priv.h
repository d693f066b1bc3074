/* SPDX-License-Identifier: Apache-2.0
 * What the files that normalise SQL share: the statement as far as it is read. */
#ifndef CLEW_SQL_PRIV_H
#define CLEW_SQL_PRIV_H

#include <clew/sql.h>

#include <string.h>

#define CLEW__SQL_DEPTH_MAX 32u

enum clew__sql_token {
    CLEW__SQL_NOTHING,
    CLEW__SQL_WORD,
    CLEW__SQL_QUOTED,
    CLEW__SQL_VALUE,
    CLEW__SQL_PLACEHOLDER,
    CLEW__SQL_PUNCTUATION
};

/* Where it is, what stood before, and the result. */
struct clew__sql {
    const char *p, *end;
    enum clew_sql_dialect dialect;
    struct clew_sql *ret;
    size_t text_len, summary_len;
    bool text_full, summary_full;

    /* the token at hand */
    const char *token;
    size_t token_len;
    bool gap; /* white space or a comment stands before it */

    /* what came before it */
    enum clew__sql_token last;
    unsigned last_word; /* what it means, 0 when it was no word */
    char last_punctuation;
    bool in_list, list_value, list_comma; /* behind IN (, behind a value of it, and its comma */

    /* the summary */
    unsigned depth;
    uint32_t reads_from;  /* bit: the statement at this depth can have a FROM */
    uint32_t lists_names; /* bit: behind FROM at this depth, a comma precedes a table */
    bool begins, wants_name, wants_object;
    unsigned noperations, nnames;
};

static inline bool clew__sql_is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static inline bool clew__sql_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static inline bool clew__sql_is_name_start(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c & 0x80);
}

static inline bool clew__sql_is_name(char c)
{
    return clew__sql_is_name_start(c) || clew__sql_is_digit(c) || c == '$';
}

static inline bool clew__sql_is_postgresql(const struct clew__sql *r)
{
    return r->dialect != CLEW_SQL_SQLITE;
}

static inline char clew__sql_at(const struct clew__sql *r, size_t n)
{
    return (size_t)(r->end - r->p) > n ? r->p[n] : '\0';
}

/* sql_tokens.c: the next token, from token to p. */
enum clew__sql_token clew__sql_next(struct clew__sql *r);
/* Past a string that begins at p with its quote, which stands twice within it;
 * false when it has no end. */
bool clew__sql_skip_quoted(struct clew__sql *r, char close, bool backslashes);

/* sql_summary.c: what the token at hand says about operations and tables.
 * Returns what the word means, for last_word. */
unsigned clew__sql_word(struct clew__sql *r);
void clew__sql_name(struct clew__sql *r);
void clew__sql_punctuation(struct clew__sql *r);

#endif
