/* SPDX-License-Identifier: Apache-2.0
 *
 * Normalises SQL: one pass over the statement, token by token, with no memory
 * but the result. The text is what the tokens are copied to, values as "?"; the
 * summary grows from what the words mean where they stand.
 *
 * It is no parser and needs none: a value is known by its first character, and
 * a table by the word before it. Where the two could be mistaken, it is a value.
 */
#include <clew/sql.h>

#include <json.h>

#include <stdio.h>
#include <string.h>

#define DEPTH_MAX 32u
#define WORD_MAX 16u

enum token { NOTHING, WORD, QUOTED, VALUE, PLACEHOLDER, PUNCTUATION };

struct reader {
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
    enum token last;
    char last_word[WORD_MAX]; /* upper case; "" when the last token was none */
    char last_punctuation;
    bool in_list, list_value, list_comma; /* behind IN (, behind a value of it, and its comma */

    /* the summary */
    unsigned depth;
    uint32_t reads_from;  /* bit: the statement at this depth can have a FROM */
    uint32_t lists_names; /* bit: behind FROM at this depth, a comma precedes a table */
    bool begins, wants_name, wants_object;
    unsigned noperations, nnames;
};

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_name_start(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c & 0x80);
}

static bool is_name(char c)
{
    return is_name_start(c) || is_digit(c) || c == '$';
}

static bool is_postgresql(const struct reader *r)
{
    return r->dialect != CLEW_SQL_SQLITE;
}

static char at(const struct reader *r, size_t n)
{
    return (size_t)(r->end - r->p) > n ? r->p[n] : '\0';
}

/* ---- the text ------------------------------------------------------------------- */

static void emit(struct reader *r, const char *bytes, size_t len)
{
    bool gap = r->gap && r->text_len > 0;

    if (r->text_full)
        return;
    if (r->text_len + gap + len >= CLEW_SQL_TEXT_MAX) {
        r->text_full = true;
        return;
    }
    if (gap)
        r->ret->text[r->text_len++] = ' ';
    memcpy(r->ret->text + r->text_len, bytes, len);
    r->text_len += len;
}

/* A list of values is its first: the comma waits until something else follows. */
static void emit_token(struct reader *r, enum token type)
{
    bool value = type == VALUE || type == PLACEHOLDER;

    if (r->in_list) {
        if (type == PUNCTUATION && *r->token == ',' && r->list_value) {
            r->list_comma = true;
            return;
        }
        if (value && r->list_comma) {
            r->list_comma = false;
            return;
        }
        if (r->list_comma) {
            bool gap = r->gap;

            r->gap = false;
            emit(r, ",", 1);
            r->gap = gap;
        }
        r->list_comma = false;
        r->list_value = value;
        r->in_list = value;
    }
    if (type == VALUE)
        emit(r, "?", 1);
    else
        emit(r, r->token, r->token_len);
}

/* ---- tokens ---------------------------------------------------------------------- */

static void skip_block_comment(struct reader *r)
{
    unsigned depth = 1;

    for (r->p += 2; r->p < r->end && depth > 0; r->p++)
        if (at(r, 0) == '*' && at(r, 1) == '/') {
            depth--;
            r->p++;
        } else if (is_postgresql(r) && at(r, 0) == '/' && at(r, 1) == '*') {
            depth++;
            r->p++;
        }
}

static void skip_gap(struct reader *r)
{
    for (r->gap = false; r->p < r->end; r->gap = true)
        if (is_space(*r->p) || *r->p == '\0') {
            r->p++;
        } else if (at(r, 0) == '-' && at(r, 1) == '-') {
            const char *newline = memchr(r->p, '\n', (size_t)(r->end - r->p));

            r->p = newline ? newline + 1 : r->end;
        } else if (at(r, 0) == '/' && at(r, 1) == '*') {
            skip_block_comment(r);
        } else {
            return;
        }
}

/* Past a string that begins at p with its quote, which stands twice within it;
 * false when it has no end. */
static bool skip_quoted(struct reader *r, char close, bool backslashes)
{
    for (r->p++; r->p < r->end; r->p++) {
        if (backslashes && *r->p == '\\') {
            if (r->p + 1 < r->end)
                r->p++;
        } else if (*r->p == close) {
            if (at(r, 1) != close || close == ']') {
                r->p++;
                return true;
            }
            r->p++;
        }
    }
    return false;
}

/* PostgreSQL's $tag$…$tag$ at p; false when it is none. */
static bool skip_dollar_quoted(struct reader *r)
{
    size_t tag = 1;

    if (at(r, 1) != '$' && !is_name_start(at(r, 1)))
        return false;
    while (is_name(at(r, tag)) && at(r, tag) != '$')
        tag++;
    if (at(r, tag++) != '$')
        return false;
    const char *start = r->p + tag;
    const char *close = memmem(start, (size_t)(r->end - start), r->p, tag);
    r->p = close ? close + tag : r->end;
    return true;
}

/* 12, 1.5e-3, .5, 0x1F, 1_000, and whatever letters cling to them. */
static void skip_number(struct reader *r)
{
    while (r->p < r->end) {
        bool exponent = (*r->p == 'e' || *r->p == 'E') && (at(r, 1) == '-' || at(r, 1) == '+') &&
                        !(at(r, 1) && r->token[0] == '0' && (r->token[1] | 0x20) == 'x');

        if (exponent && is_digit(at(r, 2)))
            r->p += 2;
        else if (is_name(*r->p) || (*r->p == '.' && at(r, 1) != '.'))
            r->p++;
        else
            return;
    }
}

/* E'…', B'…', X'…', N'…', U&'…': the length of what stands before the quote. */
static size_t string_prefix(const struct reader *r)
{
    if (strchr("eEbBxXnN", at(r, 0)) && at(r, 1) == '\'')
        return 1;
    if ((at(r, 0) | 0x20) == 'u' && at(r, 1) == '&' && at(r, 2) == '\'')
        return 2;
    return 0;
}

static enum token skip_string(struct reader *r, size_t prefix)
{
    bool escapes = (prefix == 1 && (*r->p | 0x20) == 'e' && is_postgresql(r)) ||
                   (prefix == 0 && r->dialect == CLEW_SQL_POSTGRESQL_BACKSLASH);

    r->p += prefix;
    (void)skip_quoted(r, '\'', escapes);
    return VALUE;
}

/* In SQLite "x" is a string where no such column is. */
static enum token skip_name(struct reader *r, char close)
{
    bool doubtful = close == '"' && !is_postgresql(r) && !r->wants_name &&
                    !(r->last == PUNCTUATION && r->last_punctuation == '.');

    if (!skip_quoted(r, close, false))
        return VALUE;
    return doubtful && at(r, 0) != '.' ? VALUE : QUOTED;
}

static bool begins_placeholder(const struct reader *r)
{
    char c = at(r, 0), next = at(r, 1);

    if (c == '$')
        return is_name(next);
    if (c == '?')
        return !is_postgresql(r);
    return (c == ':' || c == '@') && is_name_start(next) && !is_postgresql(r);
}

static enum token next_token(struct reader *r)
{
    size_t prefix;
    char c;

    skip_gap(r);
    r->token = r->p;
    if (r->p == r->end)
        return NOTHING;
    c = *r->p;
    prefix = string_prefix(r);
    if (c == '\'' || prefix)
        return skip_string(r, prefix);
    if (c == '"' || (!is_postgresql(r) && (c == '`' || c == '[')))
        return skip_name(r, c == '[' ? ']' : c);
    if (c == '$' && is_postgresql(r) && skip_dollar_quoted(r))
        return VALUE;
    if (is_digit(c) || (c == '.' && is_digit(at(r, 1)) && r->last != WORD && r->last != QUOTED)) {
        skip_number(r);
        return VALUE;
    }
    if (r->in_list && (c == '-' || c == '+') && is_digit(at(r, 1))) {
        r->p++;
        skip_number(r);
        return VALUE;
    }
    if (begins_placeholder(r)) {
        for (r->p++; r->p < r->end && is_name(*r->p); r->p++)
            ;
        return PLACEHOLDER;
    }
    if (is_name_start(c)) {
        while (r->p < r->end && is_name(*r->p))
            r->p++;
        return WORD;
    }
    r->p++;
    if (c == ':' && at(r, 0) == ':') /* a cast */
        r->p++;
    return PUNCTUATION;
}

/* ---- the summary ----------------------------------------------------------------- */

static void summarise(struct reader *r, const char *bytes, size_t len)
{
    size_t gap = r->summary_len > 0;

    if (r->summary_full || r->summary_len + gap + len >= CLEW_SQL_SUMMARY_MAX) {
        r->summary_full = true;
        return;
    }
    if (gap)
        r->ret->summary[r->summary_len++] = ' ';
    memcpy(r->ret->summary + r->summary_len, bytes, len);
    r->summary_len += len;
}

static void remember(char to[CLEW_SQL_NAME_MAX], const char *bytes, size_t len)
{
    size_t n = clew__utf8_cut(bytes, len, CLEW_SQL_NAME_MAX - 1);

    memcpy(to, bytes, n);
    to[n] = '\0';
}

static bool is_one_of(const char *word, const char *const *words)
{
    while (*words && strcmp(word, *words) != 0)
        words++;
    return *words != NULL;
}

static bool next_is(const struct reader *r, char c)
{
    const char *p = r->p;

    while (p < r->end && is_space(*p))
        p++;
    return p < r->end && *p == c;
}

static uint32_t depth_bit(const struct reader *r)
{
    return r->depth < DEPTH_MAX ? UINT32_C(1) << r->depth : 0;
}

static void take_operation(struct reader *r, const char *word)
{
    static const char *const reading[] = {"SELECT", "DELETE", "UPDATE", NULL};
    static const char *const named[] = {"UPDATE", "CALL",   "EXECUTE", "PRAGMA",
                                        "COPY",   "VACUUM", "ANALYZE", NULL};
    static const char *const objects[] = {"CREATE", "ALTER", "DROP", "TRUNCATE", "REINDEX", NULL};

    if (r->noperations++ == 0)
        remember(r->ret->operation, r->token, r->token_len);
    summarise(r, r->token, r->token_len);
    r->lists_names &= ~depth_bit(r);
    r->reads_from &= ~depth_bit(r);
    if (is_one_of(word, reading))
        r->reads_from |= depth_bit(r);
    r->wants_name = is_one_of(word, named);
    r->wants_object = is_one_of(word, objects);
}

/* A table's name with its schema: the rest of the dotted name is read here. */
static void take_name(struct reader *r)
{
    const char *start = r->token;
    bool gap = r->gap;

    while (at(r, 0) == '.' && (is_name_start(at(r, 1)) || at(r, 1) == '"' || at(r, 1) == '`')) {
        const char *dot = r->p++;
        char quote = *r->p;

        if (is_name_start(quote)) {
            while (r->p < r->end && is_name(*r->p))
                r->p++;
        } else if (!skip_quoted(r, quote, false)) {
            r->p = dot;
            break;
        }
    }
    r->token = start;
    r->token_len = (size_t)(r->p - start);
    r->gap = gap;
    r->wants_name = false;
    if (r->nnames++ == 0)
        remember(r->ret->collection, r->token, r->token_len);
    summarise(r, r->token, r->token_len);
}

/* CREATE TEMPORARY TABLE IF NOT EXISTS name: the object's kind and then its name. */
static bool take_object_word(struct reader *r, const char *word)
{
    static const char *const kinds[] = {"TABLE",     "INDEX",    "VIEW",      "TRIGGER", "SCHEMA",
                                        "SEQUENCE",  "TYPE",     "FUNCTION",  "ROLE",    "USER",
                                        "PROCEDURE", "DATABASE", "EXTENSION", NULL};
    static const char *const passed[] = {"OR",     "REPLACE",      "TEMP",  "TEMPORARY", "UNIQUE",
                                         "GLOBAL", "MATERIALIZED", "LOCAL", "UNLOGGED",  "VIRTUAL",
                                         NULL};

    if (!r->wants_object)
        return false;
    if (is_one_of(word, passed))
        return true;
    r->wants_object = false;
    r->wants_name = true;
    if (!is_one_of(word, kinds))
        return false;
    summarise(r, r->token, r->token_len);
    return true;
}

/* Whether an operation can begin where the token stands. */
static bool can_begin(const struct reader *r)
{
    static const char *const before[] = {"EXPLAIN", "ANALYZE", "PLAN", "VERBOSE", NULL};

    return r->begins || (r->last == PUNCTUATION && strchr("();", r->last_punctuation)) ||
           (r->last == WORD && (is_one_of(r->last_word, before)));
}

static void take_word(struct reader *r, const char *word)
{
    static const char *const verbs[] = {"INSERT", "UPDATE", "DELETE", "REPLACE", "MERGE", NULL};
    static const char *const between[] = {"IF",    "NOT",      "EXISTS",  "ONLY",         "LATERAL",
                                          "TABLE", "OR",       "IGNORE",  "CONCURRENTLY", "ABORT",
                                          "FAIL",  "ROLLBACK", "REPLACE", "FULL",         NULL};
    static const char *const list_ends[] = {"WHERE",     "GROUP",  "ORDER", "HAVING",
                                            "LIMIT",     "SET",    "UNION", "VALUES",
                                            "RETURNING", "WINDOW", NULL};
    bool begins = r->begins;

    if (strcmp(word, "SELECT") == 0 ||
        (is_one_of(word, verbs) && can_begin(r) && !next_is(r, '('))) {
        take_operation(r, word);
    } else if (begins && strcmp(word, "WITH") != 0 && strcmp(word, "EXPLAIN") != 0) {
        take_operation(r, word);
    } else if (take_object_word(r, word)) {
        return;
    } else if (strcmp(word, "FROM") == 0 && (r->reads_from & depth_bit(r)) &&
               strcmp(r->last_word, "DISTINCT") != 0) {
        r->reads_from &= ~depth_bit(r);
        r->lists_names |= depth_bit(r);
        r->wants_name = true;
    } else if (strcmp(word, "JOIN") == 0 || (strcmp(word, "INTO") == 0 && r->noperations > 0)) {
        r->wants_name = true;
    } else if (is_one_of(word, list_ends)) {
        r->lists_names &= ~depth_bit(r);
        r->wants_name = false;
    } else if (r->wants_name && !is_one_of(word, between)) {
        take_name(r);
    }
    r->begins = false;
}

static void take_punctuation(struct reader *r)
{
    switch (*r->token) {
    case '(':
        r->depth++;
        r->reads_from &= ~depth_bit(r);
        r->lists_names &= ~depth_bit(r);
        r->wants_name = false;
        r->in_list = strcmp(r->last_word, "IN") == 0;
        r->list_value = r->list_comma = false;
        break;
    case ')':
        if (r->depth > 0)
            r->depth--;
        break;
    case ',':
        r->wants_name = r->lists_names & depth_bit(r);
        break;
    case ';':
        r->depth = 0;
        r->reads_from = r->lists_names = 0;
        r->wants_name = r->wants_object = false;
        r->begins = true;
        break;
    default:
        r->wants_name = false;
        break;
    }
}

static void upper(const struct reader *r, char word[WORD_MAX])
{
    size_t n = r->token_len < WORD_MAX ? r->token_len : 0;

    for (size_t i = 0; i < n; i++)
        word[i] = (char)(r->token[i] >= 'a' && r->token[i] <= 'z' ? r->token[i] - 32 : r->token[i]);
    word[n] = '\0';
}

static void take(struct reader *r, enum token type)
{
    char word[WORD_MAX] = "";
    bool was_list = r->in_list;

    r->token_len = (size_t)(r->p - r->token);
    if (type == WORD) {
        upper(r, word);
        if (r->last == PUNCTUATION && r->last_punctuation == '.')
            word[0] = '\0'; /* a column, whatever it is called */
        else
            take_word(r, word);
    } else if (type == QUOTED) {
        if (r->wants_name)
            take_name(r);
        r->begins = false;
    } else if (type == PUNCTUATION) {
        emit_token(r, type);
        take_punctuation(r);
    } else {
        r->wants_name = false;
    }
    if (type != PUNCTUATION)
        emit_token(r, type);
    else if (was_list && *r->token != ',')
        r->in_list = r->in_list && *r->token == '(';
    r->last = type;
    r->last_punctuation = type == PUNCTUATION ? *r->token : '\0';
    memcpy(r->last_word, word, sizeof(word));
}

void clew_sql_normalise(const char *sql, size_t len, enum clew_sql_dialect dialect,
                        struct clew_sql *ret)
{
    size_t read = len < CLEW_SQL_READ_MAX ? len : CLEW_SQL_READ_MAX;
    struct reader r = {.p = sql, .end = sql + read, .dialect = dialect, .ret = ret, .begins = true};
    enum token type;

    ret->operation[0] = ret->collection[0] = '\0';
    while (!r.text_full && (type = next_token(&r)) != NOTHING)
        take(&r, type);
    ret->text[r.text_len] = '\0';
    ret->summary[r.summary_len] = '\0';
    ret->cut = r.text_full || read < len;
    if (r.noperations != 1)
        ret->operation[0] = '\0';
    if (r.noperations != 1 || r.nnames != 1)
        ret->collection[0] = '\0';
}

void clew_sql_describe(struct clew_span *span, const char *sql, size_t len,
                       enum clew_sql_dialect dialect)
{
    struct clew_sql parts;

    if (!clew_span_is_recording(span))
        return;
    clew_sql_normalise(sql, len, dialect, &parts);
    clew_span_set(span, clew_kv("db.query.text", (const char *)parts.text));
    if (parts.summary[0]) {
        clew_span_set_name(span, parts.summary);
        clew_span_set(span, clew_kv("db.query.summary", (const char *)parts.summary));
    }
    if (parts.operation[0])
        clew_span_set(span, clew_kv("db.operation.name", (const char *)parts.operation));
    if (parts.collection[0])
        clew_span_set(span, clew_kv("db.collection.name", (const char *)parts.collection));
}
