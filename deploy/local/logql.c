/* SPDX-License-Identifier: Apache-2.0
 * LogQL's selectors and filters; see logql.h. Regular expressions are POSIX
 * extended ones, anchored for labels as in LogQL. */
#include "logql.h"

#include <ctype.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILTERS_MAX 32

enum operation { EQUAL, NOT_EQUAL, MATCH, NOT_MATCH };

struct filter {
    bool on_line; /* else on a label */
    char key[128];
    enum operation operation;
    char *value;
    bool has_regex;
    regex_t regex;
};

struct logql {
    size_t n;
    struct filter filters[FILTERS_MAX];
};

struct parser {
    const char *start, *at;
    char *error;
};

static bool fail(struct parser *p, const char *what)
{
    (void)snprintf(p->error, 256, "parse error at column %d: %s", (int)(p->at - p->start) + 1,
                   what);
    return false;
}

static void skip_space(struct parser *p)
{
    while (isspace((unsigned char)*p->at))
        p->at++;
}

static bool take(struct parser *p, const char *token)
{
    skip_space(p);
    if (strncmp(p->at, token, strlen(token)) != 0)
        return false;
    p->at += strlen(token);
    return true;
}

/* "…" with escapes or `…` as it is; a heap string. */
static char *take_string(struct parser *p)
{
    char *text = malloc(strlen(p->at) + 1), quote;
    size_t n = 0;

    skip_space(p);
    quote = *p->at;
    if (!text || (quote != '"' && quote != '`')) {
        free(text);
        (void)fail(p, "a string in quotes is expected");
        return NULL;
    }
    for (p->at++; *p->at && *p->at != quote; p->at++) {
        if (quote == '"' && *p->at == '\\' && p->at[1]) {
            p->at++;
            text[n++] = *p->at == 'n' ? '\n' : *p->at == 't' ? '\t' : *p->at;
        } else {
            text[n++] = *p->at;
        }
    }
    text[n] = '\0';
    if (!*p->at) {
        free(text);
        (void)fail(p, "the string has no end");
        return NULL;
    }
    p->at++;
    return text;
}

static bool take_value(struct parser *p, struct filter *filter)
{
    char *pattern;
    bool regex = filter->operation == MATCH || filter->operation == NOT_MATCH;

    filter->value = take_string(p);
    if (!filter->value)
        return false;
    if (!regex)
        return true;
    if (asprintf(&pattern, filter->on_line ? "%s" : "^(%s)$", filter->value) < 0)
        return fail(p, "no memory");
    filter->has_regex = regcomp(&filter->regex, pattern, REG_EXTENDED | REG_NOSUB) == 0;
    free(pattern);
    return filter->has_regex || fail(p, "the regular expression does not compile");
}

static bool take_label_filter(struct parser *p, struct filter *filter)
{
    size_t n = 0;

    skip_space(p);
    while ((isalnum((unsigned char)*p->at) || *p->at == '_') && n < sizeof(filter->key) - 1)
        filter->key[n++] = *p->at++;
    filter->key[n] = '\0';
    if (n == 0)
        return fail(p, "a label's name is expected");
    if (take(p, "=~"))
        filter->operation = MATCH;
    else if (take(p, "!~"))
        filter->operation = NOT_MATCH;
    else if (take(p, "!="))
        filter->operation = NOT_EQUAL;
    else if (take(p, "="))
        filter->operation = EQUAL;
    else
        return fail(p, "=, !=, =~ or !~ is expected; other operators are not known here");
    return take_value(p, filter);
}

/* What the filter accepts is empty text too: such a selector alone would read
 * everything. */
static bool accepts_empty(const struct filter *f)
{
    bool is_match = f->has_regex ? regexec(&f->regex, "", 0, NULL, 0) == 0 : f->value[0] == '\0';

    return f->operation == EQUAL || f->operation == MATCH ? is_match : !is_match;
}

static bool parse_selector(struct parser *p, struct logql *query)
{
    bool selective = false;

    if (!take(p, "{"))
        return fail(p, "a query begins with {label=\"value\"}");
    while (!take(p, "}")) {
        if (query->n == FILTERS_MAX)
            return fail(p, "too many filters");
        if (!take_label_filter(p, &query->filters[query->n++]))
            return false;
        selective |= !accepts_empty(&query->filters[query->n - 1]);
        if (!take(p, ",") && (skip_space(p), *p->at != '}'))
            return fail(p, ", or } is expected");
    }
    return selective ||
           fail(p, "queries require at least one matcher that does not match the empty value");
}

static bool parse_pipeline(struct parser *p, struct logql *query)
{
    static const struct {
        const char *token;
        enum operation operation;
    } line_filters[] = {{"|=", EQUAL}, {"!=", NOT_EQUAL}, {"|~", MATCH}, {"!~", NOT_MATCH}};

    while (skip_space(p), *p->at) {
        struct filter *filter = &query->filters[query->n];
        size_t i;

        if (query->n == FILTERS_MAX)
            return fail(p, "too many filters");
        for (i = 0; i < 4 && !take(p, line_filters[i].token); i++)
            ;
        if (i < 4) {
            filter->on_line = true;
            filter->operation = line_filters[i].operation;
            query->n++;
            if (!take_value(p, filter))
                return false;
            continue;
        }
        if (!take(p, "|"))
            return fail(p, "| is expected");
        query->n++;
        if (!take_label_filter(p, filter))
            return false;
    }
    return true;
}

struct logql *logql_parse(const char *text, char error[256])
{
    struct parser p = {text, text, error};
    struct logql *query = calloc(1, sizeof(*query));

    if (query && parse_selector(&p, query) && parse_pipeline(&p, query))
        return query;
    logql_free(query);
    return NULL;
}

void logql_free(struct logql *query)
{
    if (!query)
        return;
    for (size_t i = 0; i < query->n; i++) {
        free(query->filters[i].value);
        if (query->filters[i].has_regex)
            regfree(&query->filters[i].regex);
    }
    free(query);
}

static bool filter_holds(const struct filter *f, const struct store_line *line)
{
    const char *value;
    bool yes;

    if (f->on_line) {
        char *text = strndup(line->text ? line->text : "", line->len);

        yes = text && (f->has_regex ? regexec(&f->regex, text, 0, NULL, 0) == 0
                                    : strstr(text, f->value) != NULL);
        free(text);
    } else {
        value = json_string_value(json_object_get(line->metadata, f->key));
        if (!value)
            value = json_string_value(json_object_get(line->labels, f->key));
        if (!value)
            value = "";
        yes = f->has_regex ? regexec(&f->regex, value, 0, NULL, 0) == 0
                           : strcmp(value, f->value) == 0;
    }
    return f->operation == EQUAL || f->operation == MATCH ? yes : !yes;
}

bool logql_matches(const struct logql *query, const struct store_line *line)
{
    for (size_t i = 0; i < query->n; i++)
        if (!filter_holds(&query->filters[i], line))
            return false;
    return true;
}

const char *logql_exact(const struct logql *query, const char *key)
{
    for (size_t i = 0; i < query->n; i++) {
        const struct filter *f = &query->filters[i];

        if (!f->on_line && f->operation == EQUAL && strcmp(f->key, key) == 0 && f->value[0])
            return f->value;
    }
    return NULL;
}
