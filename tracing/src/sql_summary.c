/* SPDX-License-Identifier: Apache-2.0
 *
 * The summary of SQL: its operations and tables, in the order in which they
 * come (semantic conventions for databases, "Generating a summary of the
 * query"). A table is known by the word before it.
 */
#include "sql_priv.h"

#include <json.h>

/* What a word can mean; where it stands decides. */
enum {
    SELECTS = 1 << 0,  /* begins an operation wherever it stands */
    VERB = 1 << 1,     /* begins one at the beginning */
    READS = 1 << 2,    /* has a FROM */
    NAMED = 1 << 3,    /* is followed by a name */
    OBJECTS = 1 << 4,  /* is followed by what kind of thing, and its name */
    KIND = 1 << 5,     /* a kind of thing */
    PASSED = 1 << 6,   /* stands before the kind */
    BETWEEN = 1 << 7,  /* stands before the name */
    LIST_END = 1 << 8, /* ends the list of tables */
    EXPLAINS = 1 << 9, /* stands before an operation */
    WITHS = 1 << 10,   /* WITH and so on */
    FROMS = 1 << 11,
    JOINS = 1 << 12,
    INTOS = 1 << 13,
    INS = 1 << 14,
    DISTINCTS = 1 << 15
};

struct word {
    char text[13];
    uint16_t means;
};

/* In order. */
static const struct word known[] = {
    {"ABORT", BETWEEN},
    {"ALTER", OBJECTS},
    {"ANALYZE", NAMED | EXPLAINS},
    {"CALL", NAMED},
    {"CONCURRENTLY", BETWEEN},
    {"COPY", NAMED},
    {"CREATE", OBJECTS},
    {"DATABASE", KIND},
    {"DELETE", VERB | READS},
    {"DISTINCT", DISTINCTS},
    {"DROP", OBJECTS},
    {"EXECUTE", NAMED},
    {"EXISTS", BETWEEN},
    {"EXPLAIN", EXPLAINS},
    {"EXTENSION", KIND},
    {"FAIL", BETWEEN},
    {"FROM", FROMS},
    {"FULL", BETWEEN},
    {"FUNCTION", KIND},
    {"GLOBAL", PASSED},
    {"GROUP", LIST_END},
    {"HAVING", LIST_END},
    {"IF", BETWEEN},
    {"IGNORE", BETWEEN},
    {"IN", INS},
    {"INDEX", KIND},
    {"INSERT", VERB},
    {"INTO", INTOS},
    {"JOIN", JOINS},
    {"LATERAL", BETWEEN},
    {"LIMIT", LIST_END},
    {"LOCAL", PASSED},
    {"MATERIALIZED", PASSED},
    {"MERGE", VERB},
    {"NOT", BETWEEN},
    {"ONLY", BETWEEN},
    {"OR", PASSED | BETWEEN},
    {"ORDER", LIST_END},
    {"PLAN", EXPLAINS},
    {"PRAGMA", NAMED},
    {"PROCEDURE", KIND},
    {"REINDEX", OBJECTS},
    {"REPLACE", VERB | PASSED | BETWEEN},
    {"RETURNING", LIST_END},
    {"ROLE", KIND},
    {"ROLLBACK", BETWEEN},
    {"SCHEMA", KIND},
    {"SELECT", SELECTS | READS},
    {"SEQUENCE", KIND},
    {"SET", LIST_END},
    {"TABLE", KIND | BETWEEN},
    {"TEMP", PASSED},
    {"TEMPORARY", PASSED},
    {"TRIGGER", KIND},
    {"TRUNCATE", OBJECTS},
    {"TYPE", KIND},
    {"UNION", LIST_END},
    {"UNIQUE", PASSED},
    {"UNLOGGED", PASSED},
    {"UPDATE", VERB | READS | NAMED},
    {"USER", KIND},
    {"VACUUM", NAMED},
    {"VALUES", LIST_END},
    {"VERBOSE", EXPLAINS},
    {"VIEW", KIND},
    {"VIRTUAL", PASSED},
    {"WHERE", LIST_END},
    {"WINDOW", LIST_END},
    {"WITH", WITHS},
};

static void summarise(struct clew__sql *r, const char *bytes, size_t len)
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

/* What the word at hand means, 0 for a word like any other. */
static unsigned meaning(const struct clew__sql *r)
{
    size_t low = 0, high = sizeof(known) / sizeof(known[0]);
    char upper[sizeof(known[0].text)] = "";

    if (r->token_len >= sizeof(upper))
        return 0;
    for (size_t i = 0; i < r->token_len; i++)
        upper[i] = (char)(r->token[i] & ~0x20); /* letters; of others nothing that is known */
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = memcmp(upper, known[middle].text, sizeof(upper));

        if (order == 0)
            return known[middle].means;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return 0;
}

static bool next_is(const struct clew__sql *r, char c)
{
    const char *p = r->p;

    while (p < r->end && clew__sql_is_space(*p))
        p++;
    return p < r->end && *p == c;
}

static uint32_t depth_bit(const struct clew__sql *r)
{
    return r->depth < CLEW__SQL_DEPTH_MAX ? UINT32_C(1) << r->depth : 0;
}

static void take_operation(struct clew__sql *r, unsigned word)
{
    if (r->noperations++ == 0)
        remember(r->ret->operation, r->token, r->token_len);
    summarise(r, r->token, r->token_len);
    r->lists_names &= ~depth_bit(r);
    r->reads_from &= ~depth_bit(r);
    if (word & READS)
        r->reads_from |= depth_bit(r);
    r->wants_name = word & NAMED;
    r->wants_object = word & OBJECTS;
}

/* A table's name with its schema: the rest of the dotted name is read here. */
void clew__sql_name(struct clew__sql *r)
{
    const char *start = r->token;
    bool gap = r->gap;

    while (clew__sql_at(r, 0) == '.' && (clew__sql_is_name_start(clew__sql_at(r, 1)) ||
                                         clew__sql_at(r, 1) == '"' || clew__sql_at(r, 1) == '`')) {
        const char *dot = r->p++;
        char quote = *r->p;

        if (clew__sql_is_name_start(quote)) {
            while (r->p < r->end && clew__sql_is_name(*r->p))
                r->p++;
        } else if (!clew__sql_skip_quoted(r, quote, false)) {
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
static bool take_object_word(struct clew__sql *r, unsigned word)
{
    if (!r->wants_object)
        return false;
    if (word & PASSED)
        return true;
    r->wants_object = false;
    r->wants_name = true;
    if (!(word & KIND))
        return false;
    summarise(r, r->token, r->token_len);
    return true;
}

/* Whether an operation can begin where the token stands. */
static bool can_begin(const struct clew__sql *r)
{
    return r->begins || (r->last == CLEW__SQL_PUNCTUATION && strchr("();", r->last_punctuation)) ||
           (r->last_word & EXPLAINS);
}

static void take_word(struct clew__sql *r, unsigned word)
{
    bool begins = r->begins;

    r->begins = false;
    if ((word & SELECTS) || ((word & VERB) && (begins || can_begin(r)) && !next_is(r, '('))) {
        take_operation(r, word);
    } else if (begins && !(word & WITHS) && !((word & EXPLAINS) && !(word & NAMED))) {
        take_operation(r, word);
    } else if (take_object_word(r, word)) {
        return;
    } else if ((word & FROMS) && (r->reads_from & depth_bit(r)) && !(r->last_word & DISTINCTS)) {
        r->reads_from &= ~depth_bit(r);
        r->lists_names |= depth_bit(r);
        r->wants_name = true;
    } else if ((word & JOINS) || ((word & INTOS) && r->noperations > 0)) {
        r->wants_name = true;
    } else if (word & LIST_END) {
        r->lists_names &= ~depth_bit(r);
        r->wants_name = false;
    } else if (r->wants_name && !(word & BETWEEN)) {
        clew__sql_name(r);
    }
}

unsigned clew__sql_word(struct clew__sql *r)
{
    unsigned word;

    if (r->last_punctuation == '.')
        return 0; /* a column, whatever it is called */
    word = meaning(r);
    take_word(r, word);
    return word;
}

void clew__sql_punctuation(struct clew__sql *r)
{
    switch (*r->token) {
    case '(':
        r->depth++;
        r->reads_from &= ~depth_bit(r);
        r->lists_names &= ~depth_bit(r);
        r->wants_name = false;
        r->in_list = (r->last_word & INS) != 0;
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
