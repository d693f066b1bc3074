/* SPDX-License-Identifier: Apache-2.0
 *
 * Normalises SQL: one pass over the statement, token by token, with no memory
 * but the result. The text is what the tokens are copied to, values as "?"; the
 * summary grows from what the words mean where they stand.
 *
 * It is no parser and needs none.
 */
#include "sql_priv.h"
#include "tracing_priv.h"

static void emit(struct clew__sql *r, const char *bytes, size_t len)
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
static void emit_token(struct clew__sql *r, enum clew__sql_token type)
{
    bool value = type == CLEW__SQL_VALUE || type == CLEW__SQL_PLACEHOLDER;

    if (r->in_list) {
        if (type == CLEW__SQL_PUNCTUATION && *r->token == ',' && r->list_value) {
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
    if (type == CLEW__SQL_VALUE)
        emit(r, "?", 1);
    else
        emit(r, r->token, r->token_len);
}

static void take(struct clew__sql *r, enum clew__sql_token type)
{
    bool was_list = r->in_list;
    unsigned word = 0;

    r->token_len = (size_t)(r->p - r->token);
    if (type == CLEW__SQL_WORD) {
        word = clew__sql_word(r);
    } else if (type == CLEW__SQL_QUOTED) {
        if (r->wants_name)
            clew__sql_name(r);
        r->begins = false;
    } else if (type == CLEW__SQL_PUNCTUATION) {
        emit_token(r, type);
        clew__sql_punctuation(r);
    } else {
        r->wants_name = false;
    }
    if (type != CLEW__SQL_PUNCTUATION)
        emit_token(r, type);
    else if (was_list && *r->token != ',')
        r->in_list = r->in_list && *r->token == '(';
    r->last = type;
    r->last_punctuation = type == CLEW__SQL_PUNCTUATION ? *r->token : '\0';
    r->last_word = word;
}

void clew_sql_normalise(const char *sql, size_t len, enum clew_sql_dialect dialect,
                        struct clew_sql *ret)
{
    size_t read = len < CLEW_SQL_READ_MAX ? len : CLEW_SQL_READ_MAX;
    struct clew__sql r = {
        .p = sql, .end = sql + read, .dialect = dialect, .ret = ret, .begins = true};
    enum clew__sql_token type;

    ret->operation[0] = ret->collection[0] = '\0';
    while (!r.text_full && (type = clew__sql_next(&r)) != CLEW__SQL_NOTHING)
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

void clew_sql_verb(const char *sql, size_t len, char ret_verb[CLEW_SQL_VERB_MAX])
{
    size_t at = 0, n = 0;

    while (at < len && strchr(" \t\r\n(;", sql[at]) && sql[at])
        at++;
    for (; at < len && n + 1 < CLEW_SQL_VERB_MAX; at++) {
        char c = sql[at] >= 'a' && sql[at] <= 'z' ? (char)(sql[at] - 'a' + 'A') : sql[at];

        if (c < 'A' || c > 'Z')
            break;
        ret_verb[n++] = c;
    }
    ret_verb[n] = '\0';
}

uint64_t clew_sql_now_ns(void)
{
    return clew__monotonic_ns();
}

void clew_sql_completed(const char *system, const char *operation, const char *status,
                        uint64_t started_ns)
{
    double seconds = (double)(clew__monotonic_ns() - started_ns) / 1e9;

    clew_trace("database query completed", clew_kv("system", system),
               clew_kv("operation", operation), clew_kv("status", status),
               clew_kv("duration_seconds", seconds));
}
