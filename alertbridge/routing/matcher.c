/* SPDX-License-Identifier: Apache-2.0
 * Regular expressions are POSIX extended ones, from libc: no library more, and
 * without back-references their time is linear in the value, which comes from
 * outside (dialect.c says which ones). Matchers are immutable; regexec() is MT-Safe. */
#include "matcher.h"

#include "dialect.h"

#include <clew/log.h>

#include <ctype.h>
#include <errno.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct clew__matcher {
    char *text;
    char *name;
    char *value;
    bool negated;
    bool is_regex;
    regex_t regex;
};

static int compile_one(regex_t *regex, const char *pattern)
{
    char reason[128];
    int r = regcomp(regex, pattern, REG_EXTENDED | REG_NOSUB);

    if (r == 0)
        return 0;
    (void)regerror(r, regex, reason, sizeof(reason));
    return clew_set_error(-EINVAL, "regular expression: %s", reason);
}

static int compile(struct clew__matcher *matcher)
{
    size_t size = strlen(matcher->value) + sizeof("^()$");
    char *anchored;
    int r = clew__dialect_check(matcher->value);

    if (r < 0)
        return r;
    anchored = malloc(size);
    if (!anchored)
        return clew_set_error(-ENOMEM, "out of memory");
    (void)snprintf(anchored, size, "^(%s)$", matcher->value);
    r = compile_one(&matcher->regex, anchored);
    free(anchored);
    matcher->is_regex = r == 0;
    return r;
}

static const char *skip_space(const char *at)
{
    while (isspace((unsigned char)*at))
        at++;
    return at;
}

/* The value between quotes, with Go's escapes for \, " and newline. */
static int take_quoted(const char *at, char *ret_value)
{
    const char *after;

    for (at++; *at && *at != '"'; at++) {
        if (*at == '\\' && (at[1] == '\\' || at[1] == '"' || at[1] == 'n')) {
            at++;
            *ret_value++ = *at == 'n' ? '\n' : *at;
        } else {
            *ret_value++ = *at; /* Alertmanager keeps an unknown escape too */
        }
    }
    *ret_value = '\0';
    if (*at != '"')
        return clew_set_error(-EINVAL, "the closing quote is missing");
    after = skip_space(at + 1);
    if (*after)
        return clew_set_error(-EINVAL, "unexpected \"%.32s\" after the value", after);
    return 0;
}

static int take_bare(const char *at, char *ret_value)
{
    size_t len = strlen(at), bad = strcspn(at, "\",{}");

    if (bad < len)
        return clew_set_error(-EINVAL, "a value with %c has to stand in quotes", at[bad]);
    while (len && isspace((unsigned char)at[len - 1]))
        len--;
    memcpy(ret_value, at, len);
    ret_value[len] = '\0';
    return 0;
}

static int parse(struct clew__matcher *matcher, const char *text)
{
    const char *at = skip_space(text), *name = at;
    bool regex;
    int r;

    if (isalpha((unsigned char)*at) || *at == '_')
        while (isalnum((unsigned char)*at) || *at == '_')
            at++;
    matcher->text = strdup(text);
    matcher->name = strndup(name, (size_t)(at - name));
    matcher->value = malloc(strlen(text) + 1);
    if (!matcher->text || !matcher->name || !matcher->value)
        return clew_set_error(-ENOMEM, "out of memory");
    if (!*matcher->name)
        return clew_set_error(-EINVAL, "expected a label name, as in severity=\"critical\"");
    at = skip_space(at);
    matcher->negated = *at == '!';
    regex = at[0] && at[1] == '~';
    if (strncmp(at, "=~", 2) != 0 && strncmp(at, "!=", 2) != 0 && strncmp(at, "!~", 2) != 0 &&
        *at != '=')
        return clew_set_error(-EINVAL, "expected =, !=, =~ or !~ after \"%.64s\"", matcher->name);
    at += regex || matcher->negated ? 2 : 1;
    at = skip_space(at);
    r = *at == '"' ? take_quoted(at, matcher->value) : take_bare(at, matcher->value);
    return r < 0 || !regex ? r : compile(matcher);
}

int clew__matcher_parse(const char *text, struct clew__matcher **ret_matcher)
{
    struct clew__matcher *matcher = calloc(1, sizeof(*matcher));
    int r;

    if (!matcher)
        return clew_set_error(-ENOMEM, "out of memory");
    r = parse(matcher, text);
    if (r < 0)
        matcher = clew__matcher_free(matcher);
    else
        *ret_matcher = matcher;
    return r;
}

struct clew__matcher *clew__matcher_free(struct clew__matcher *matcher)
{
    if (!matcher)
        return NULL;
    if (matcher->is_regex)
        regfree(&matcher->regex);
    free(matcher->text);
    free(matcher->name);
    free(matcher->value);
    free(matcher);
    return NULL;
}

bool clew__matcher_matches(const struct clew__matcher *matcher, const json_t *labels)
{
    const char *value = json_string_value(json_object_get(labels, matcher->name));
    bool same;

    if (!value)
        value = "";
    if (matcher->is_regex)
        same = regexec(&matcher->regex, value, 0, NULL, 0) == 0;
    else
        same = strcmp(value, matcher->value) == 0;
    return same != matcher->negated;
}

bool clew__matchers_match(struct clew__matcher *const *matchers, size_t n, const json_t *labels)
{
    for (size_t i = 0; i < n; i++)
        if (!clew__matcher_matches(matchers[i], labels))
            return false;
    return true;
}

void clew__matchers_free(struct clew__matcher **matchers, size_t n)
{
    for (size_t i = 0; i < n; i++)
        (void)clew__matcher_free(matchers[i]);
    free(matchers);
}

const char *clew__matcher_text(const struct clew__matcher *matcher)
{
    return matcher->text;
}
