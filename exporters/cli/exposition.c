/* SPDX-License-Identifier: Apache-2.0
 * See exposition.h. */
#include "exposition.h"

#include <stdlib.h>
#include <string.h>

struct cursor {
    const char *at, *end;
};

bool cli_exposition_is_name(struct cli_text name, bool colons)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.at[i];
        bool letter =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c == ':' && colons);

        if (!letter && (i == 0 || c < '0' || c > '9'))
            return false;
    }
    return name.len > 0;
}

static void skip_blanks(struct cursor *c)
{
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\t'))
        c->at++;
}

static bool take(struct cursor *c, char wanted)
{
    if (c->at == c->end || *c->at != wanted)
        return false;
    c->at++;
    return true;
}

/* Up to the next of these, or the end. */
static struct cli_text until(struct cursor *c, const char *stops)
{
    struct cli_text text = {c->at, 0};

    while (c->at < c->end && !strchr(stops, *c->at))
        c->at++;
    text.len = (size_t)(c->at - text.at);
    return text;
}

/* Behind the opening quote; false when there is no closing one. */
static bool quoted(struct cursor *c, struct cli_text *ret)
{
    const char *start = c->at;

    for (; c->at < c->end; c->at++) {
        if (*c->at == '"') {
            *ret = (struct cli_text){start, (size_t)(c->at - start)};
            c->at++;
            return true;
        }
        if (*c->at == '\\' && ++c->at == c->end)
            break;
    }
    return false;
}

static bool number(struct cursor *c, double *ret)
{
    struct cli_text text = until(c, " \t");
    char copy[64], *end;

    if (text.len == 0 || text.len >= sizeof(copy) || memchr(text.at, 'x', text.len))
        return false;
    memcpy(copy, text.at, text.len);
    copy[text.len] = '\0';
    *ret = strtod(copy, &end);
    return *end == '\0';
}

/* Behind the opening brace. A quoted string without a value is the metric's
 * name. labels may be NULL: an exemplar's are read over. */
static const char *label_set(struct cursor *c, struct cli_exposition_line *line, bool keep)
{
    for (;;) {
        struct cli_text name, value;
        bool is_quoted;

        skip_blanks(c);
        if (take(c, '}'))
            return NULL;
        is_quoted = take(c, '"');
        if (is_quoted ? !quoted(c, &name) : (name = until(c, "=,}\" \t")).len == 0)
            return "a label's name is missing or its quotes do not end";
        skip_blanks(c);
        if (is_quoted && keep && line->name.len == 0 && c->at < c->end && *c->at != '=') {
            line->name = name;
        } else {
            if (!take(c, '='))
                return "a label without a value";
            skip_blanks(c);
            if (!take(c, '"') || !quoted(c, &value))
                return "a label's value has no quotes, or they do not end";
            if (!is_quoted && !cli_exposition_is_name(name, false))
                return "a label's name is not [a-zA-Z_][a-zA-Z0-9_]*";
            if (keep && line->nlabels == CLI_LABELS_MAX)
                return "more than 64 labels";
            if (keep) {
                line->labels[line->nlabels].name = name;
                line->labels[line->nlabels++].value = value;
            }
        }
        skip_blanks(c);
        if (!take(c, ',') && !(c->at < c->end && *c->at == '}'))
            return "labels do not end, or no comma is between them";
    }
}

static const char *exemplar(struct cursor *c, struct cli_exposition_line *line)
{
    const char *error;
    double ignored;

    line->has_exemplar = true;
    skip_blanks(c);
    if (!take(c, '{'))
        return "an exemplar without labels";
    error = label_set(c, line, false);
    if (error)
        return error;
    skip_blanks(c);
    if (!number(c, &ignored))
        return "an exemplar without a value";
    skip_blanks(c);
    return c->at == c->end || number(c, &ignored) ? NULL : "an exemplar's time is no number";
}

static const char *sample(struct cursor *c, struct cli_exposition_line *line)
{
    const char *error = NULL;
    double ignored;

    line->name = until(c, "{ \t");
    skip_blanks(c);
    if (take(c, '{'))
        error = label_set(c, line, true);
    else if (line->name.len && !cli_exposition_is_name(line->name, true))
        error = "a metric's name is not [a-zA-Z_:][a-zA-Z0-9_:]*";
    if (error)
        return error;
    if (line->name.len == 0)
        return "a sample without a name";
    skip_blanks(c);
    if (!number(c, &line->value))
        return "the value is no number";
    skip_blanks(c);
    if (c->at < c->end && *c->at != '#' && !number(c, &ignored))
        return "the time is no number";
    skip_blanks(c);
    if (take(c, '#'))
        error = exemplar(c, line);
    skip_blanks(c);
    return error ? error : c->at < c->end ? "something stands behind the value" : NULL;
}

static enum cli_exposition comment(struct cursor *c, struct cli_exposition_line *line)
{
    static const struct {
        const char *word;
        enum cli_exposition kind;
    } words[] = {{"HELP", CLI_EXPOSITION_HELP},
                 {"TYPE", CLI_EXPOSITION_TYPE},
                 {"UNIT", CLI_EXPOSITION_UNIT}};
    struct cli_text word;

    skip_blanks(c);
    word = until(c, " \t");
    if (word.len == 3 && memcmp(word.at, "EOF", 3) == 0 && c->at == c->end)
        return CLI_EXPOSITION_EOF;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (word.len != 4 || memcmp(word.at, words[i].word, 4) != 0)
            continue;
        skip_blanks(c);
        if (take(c, '"')) {
            if (!quoted(c, &line->name))
                line->name.len = 0;
        } else {
            line->name = until(c, " \t");
        }
        skip_blanks(c);
        line->text = (struct cli_text){c->at, (size_t)(c->end - c->at)};
        if (line->name.len)
            return words[i].kind;
        line->error = "HELP, TYPE or UNIT without a name";
        return CLI_EXPOSITION_BAD;
    }
    return CLI_EXPOSITION_NOTHING;
}

enum cli_exposition cli_exposition_read(const char *text, size_t len,
                                        struct cli_exposition_line *ret)
{
    struct cursor c = {text, text + len};

    ret->name = ret->text = (struct cli_text){NULL, 0};
    ret->nlabels = 0;
    ret->has_exemplar = false;
    ret->error = NULL;
    skip_blanks(&c);
    if (c.at == c.end)
        return CLI_EXPOSITION_NOTHING;
    if (take(&c, '#'))
        return comment(&c, ret);
    ret->error = sample(&c, ret);
    return ret->error ? CLI_EXPOSITION_BAD : CLI_EXPOSITION_SAMPLE;
}
