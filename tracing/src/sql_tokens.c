/* SPDX-License-Identifier: Apache-2.0
 *
 * The tokens of SQL. A value is known by its first character; where it could be
 * mistaken for something else, it is a value. Nothing here looks beyond the end
 * of the statement, whose bytes may be any.
 */
#include "sql_priv.h"

static void skip_block_comment(struct clew__sql *r)
{
    unsigned depth = 1;

    for (r->p += 2; r->p < r->end && depth > 0; r->p++)
        if (clew__sql_at(r, 0) == '*' && clew__sql_at(r, 1) == '/') {
            depth--;
            r->p++;
        } else if (clew__sql_is_postgresql(r) && clew__sql_at(r, 0) == '/' &&
                   clew__sql_at(r, 1) == '*') {
            depth++;
            r->p++;
        }
}

static void skip_gap(struct clew__sql *r)
{
    for (r->gap = false; r->p < r->end; r->gap = true)
        if (clew__sql_is_space(*r->p) || *r->p == '\0') {
            r->p++;
        } else if (clew__sql_at(r, 0) == '-' && clew__sql_at(r, 1) == '-') {
            const char *newline = memchr(r->p, '\n', (size_t)(r->end - r->p));

            r->p = newline ? newline + 1 : r->end;
        } else if (clew__sql_at(r, 0) == '/' && clew__sql_at(r, 1) == '*') {
            skip_block_comment(r);
        } else {
            return;
        }
}

bool clew__sql_skip_quoted(struct clew__sql *r, char close, bool backslashes)
{
    for (r->p++; r->p < r->end; r->p++) {
        if (backslashes && *r->p == '\\') {
            if (r->p + 1 < r->end)
                r->p++;
        } else if (*r->p == close) {
            if (clew__sql_at(r, 1) != close || close == ']') {
                r->p++;
                return true;
            }
            r->p++;
        }
    }
    return false;
}

/* PostgreSQL's $tag$…$tag$ at p; false when it is none. */
static bool skip_dollar_quoted(struct clew__sql *r)
{
    size_t tag = 1;

    if (clew__sql_at(r, 1) != '$' && !clew__sql_is_name_start(clew__sql_at(r, 1)))
        return false;
    while (clew__sql_is_name(clew__sql_at(r, tag)) && clew__sql_at(r, tag) != '$')
        tag++;
    if (clew__sql_at(r, tag++) != '$')
        return false;
    const char *start = r->p + tag;
    const char *close = memmem(start, (size_t)(r->end - start), r->p, tag);
    r->p = close ? close + tag : r->end;
    return true;
}

/* 12, 1.5e-3, .5, 0x1F, 1_000, and whatever letters cling to them. */
static void skip_number(struct clew__sql *r)
{
    while (r->p < r->end) {
        bool exponent = (*r->p == 'e' || *r->p == 'E') &&
                        (clew__sql_at(r, 1) == '-' || clew__sql_at(r, 1) == '+') &&
                        !(clew__sql_at(r, 1) && r->token[0] == '0' && (r->token[1] | 0x20) == 'x');

        if (exponent && clew__sql_is_digit(clew__sql_at(r, 2)))
            r->p += 2;
        else if (clew__sql_is_name(*r->p) || (*r->p == '.' && clew__sql_at(r, 1) != '.'))
            r->p++;
        else
            return;
    }
}

/* E'…', B'…', X'…', N'…', U&'…': the length of what stands before the quote. */
static size_t string_prefix(const struct clew__sql *r)
{
    if (clew__sql_at(r, 1) == '\'')
        return strchr("eEbBxXnN", clew__sql_at(r, 0)) ? 1 : 0;
    if (clew__sql_at(r, 1) == '&' && clew__sql_at(r, 2) == '\'')
        return (clew__sql_at(r, 0) | 0x20) == 'u' ? 2 : 0;
    return 0;
}

static enum clew__sql_token skip_string(struct clew__sql *r, size_t prefix)
{
    bool escapes = (prefix == 1 && (*r->p | 0x20) == 'e' && clew__sql_is_postgresql(r)) ||
                   (prefix == 0 && r->dialect == CLEW_SQL_POSTGRESQL_BACKSLASH);

    r->p += prefix;
    (void)clew__sql_skip_quoted(r, '\'', escapes);
    return CLEW__SQL_VALUE;
}

/* In SQLite "x" is a string where no such column is. */
static enum clew__sql_token skip_name(struct clew__sql *r, char close)
{
    bool doubtful = close == '"' && !clew__sql_is_postgresql(r) && !r->wants_name &&
                    !(r->last == CLEW__SQL_PUNCTUATION && r->last_punctuation == '.');

    if (!clew__sql_skip_quoted(r, close, false))
        return CLEW__SQL_VALUE;
    return doubtful && clew__sql_at(r, 0) != '.' ? CLEW__SQL_VALUE : CLEW__SQL_QUOTED;
}

static bool begins_placeholder(const struct clew__sql *r)
{
    char c = clew__sql_at(r, 0), next = clew__sql_at(r, 1);

    if (c == '$')
        return clew__sql_is_name(next);
    if (c == '?')
        return !clew__sql_is_postgresql(r);
    return (c == ':' || c == '@') && clew__sql_is_name_start(next) && !clew__sql_is_postgresql(r);
}

enum clew__sql_token clew__sql_next(struct clew__sql *r)
{
    size_t prefix;
    char c;

    skip_gap(r);
    r->token = r->p;
    if (r->p == r->end)
        return CLEW__SQL_NOTHING;
    c = *r->p;
    prefix = string_prefix(r);
    if (c == '\'' || prefix)
        return skip_string(r, prefix);
    if (c == '"' || (!clew__sql_is_postgresql(r) && (c == '`' || c == '[')))
        return skip_name(r, c == '[' ? ']' : c);
    if (c == '$' && clew__sql_is_postgresql(r) && skip_dollar_quoted(r))
        return CLEW__SQL_VALUE;
    if (clew__sql_is_digit(c) || (c == '.' && clew__sql_is_digit(clew__sql_at(r, 1)) &&
                                  r->last != CLEW__SQL_WORD && r->last != CLEW__SQL_QUOTED)) {
        skip_number(r);
        return CLEW__SQL_VALUE;
    }
    if (r->in_list && (c == '-' || c == '+') && clew__sql_is_digit(clew__sql_at(r, 1))) {
        r->p++;
        skip_number(r);
        return CLEW__SQL_VALUE;
    }
    if (begins_placeholder(r)) {
        for (r->p++; r->p < r->end && clew__sql_is_name(*r->p); r->p++)
            ;
        return CLEW__SQL_PLACEHOLDER;
    }
    if (clew__sql_is_name_start(c)) {
        while (r->p < r->end && clew__sql_is_name(*r->p))
            r->p++;
        return CLEW__SQL_WORD;
    }
    r->p++;
    if (c == ':' && clew__sql_at(r, 0) == ':') /* a cast */
        r->p++;
    return CLEW__SQL_PUNCTUATION;
}
