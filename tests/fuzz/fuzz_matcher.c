/* SPDX-License-Identifier: Apache-2.0
 *
 * A matcher (up to the first NUL) and the value of a label (the rest): = and != are
 * each other's opposite, and so are =~ and !~.
 */
#include <routing/matcher.h>

#include <clew/log.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void must(bool condition, const char *what)
{
    if (!condition) {
        (void)fprintf(stderr, "fuzz_matcher: %s: %s\n", what, clew_last_error());
        abort();
    }
}

/* The matcher with ! before = or ~, or without; a value that begins with ~ stays one.
 * NULL: there is none. */
static char *opposite(const char *text)
{
    size_t at = strcspn(text, "=!"), len = strlen(text);
    char *other = malloc(len + 3);

    if (!other)
        return NULL;
    if (strncmp(text + at, "=~", 2) == 0)
        (void)snprintf(other, len + 3, "%.*s!~%s", (int)at, text, text + at + 2);
    else if (strncmp(text + at, "!~", 2) == 0)
        (void)snprintf(other, len + 3, "%.*s=~%s", (int)at, text, text + at + 2);
    else if (text[at] == '!')
        (void)snprintf(other, len + 3, "%.*s= %s", (int)at, text, text + at + 2);
    else
        (void)snprintf(other, len + 3, "%.*s!= %s", (int)at, text, text + at + 1);
    return other;
}

static void check(struct clew__matcher *matcher, const char *text, const char *value)
{
    struct clew__matcher *negated;
    size_t name = strspn(text, " \t\n\v\f\r"), len = 0;
    char *other = opposite(text), *label;
    json_t *labels = json_object();

    while (text[name + len] == '_' || (text[name + len] | 0x20) - 'a' + 0u < 26 ||
           text[name + len] - '0' + 0u < 10)
        len++;
    label = strndup(text + name, len);
    must(strcmp(clew__matcher_text(matcher), text) == 0, "another text");
    must(label && *label && labels && other, "a matcher without a name");
    /* Bad UTF-8 is no label's value: it is the empty text then. */
    (void)json_object_set_new(labels, label, json_string(value));
    must(clew__matcher_parse(other, &negated) == 0, "the opposite is refused");
    must(clew__matcher_matches(matcher, labels) != clew__matcher_matches(negated, labels),
         "neither a matcher nor its opposite");
    (void)clew__matcher_free(negated);
    json_decref(labels);
    free(other);
    free(label);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    char *text = strndup((const char *)data, size), *value;
    size_t len = text ? strlen(text) : 0;
    struct clew__matcher *matcher = NULL;
    int r;

    value = len < size ? strndup((const char *)data + len + 1, size - len - 1) : strdup("");
    r = text && value ? clew__matcher_parse(text, &matcher) : -ENOMEM;
    if (r == 0)
        check(matcher, text, value);
    else
        must(r == -ENOMEM || (r == -EINVAL && *clew_last_error() && !matcher), "no reason");
    (void)clew__matcher_free(matcher);
    free(text);
    free(value);
    return 0;
}
