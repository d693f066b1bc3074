/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON text that a caller made, checked on its way into a line (RFC 8259, the
 * whole grammar) and written without white space, so that a line stays one line.
 * Nesting and the number of keys are bounded; an object that has a key twice is
 * refused. Stateless.
 */
#include "format_priv.h"

#include <json.h>

#define DEPTH_MAX 64u
#define KEYS_MAX 256u

struct copy {
    const char *s, *end;
    char *out;
    /* Keys of the objects that are open, a stretch for each. */
    struct {
        const char *at;
        size_t len;
    } key[KEYS_MAX];
    size_t nkeys;
};

static bool copy_value(struct copy *c, unsigned depth);

static void skip_space(struct copy *c)
{
    while (c->s < c->end && (*c->s == ' ' || *c->s == '\t' || *c->s == '\n' || *c->s == '\r'))
        c->s++;
}

static bool take(struct copy *c, char wanted)
{
    skip_space(c);
    if (c->s == c->end || *c->s != wanted)
        return false;
    *c->out++ = *c->s++;
    return true;
}

static bool is_hex(char ch)
{
    return (ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'f') || (ch >= 'A' && ch <= 'F');
}

/* A backslash and what belongs to it. */
static bool copy_escape(struct copy *c)
{
    size_t n = 2;

    if (c->end - c->s < 2 || !memchr("\"\\/bfnrtu", c->s[1], 9))
        return false;
    if (c->s[1] == 'u') {
        n = 6;
        if (c->end - c->s < 6)
            return false;
        for (size_t i = 2; i < 6; i++)
            if (!is_hex(c->s[i]))
                return false;
    }
    memcpy(c->out, c->s, n);
    c->out += n;
    c->s += n;
    return true;
}

static bool copy_string(struct copy *c)
{
    *c->out++ = *c->s++;
    while (c->s < c->end && *c->s != '"') {
        const char *start = c->s;

        if ((unsigned char)*c->s < 0x20)
            return false;
        if (*c->s == '\\') {
            if (!copy_escape(c))
                return false;
            continue;
        }
        while (c->s < c->end && *c->s != '"' && *c->s != '\\' && (unsigned char)*c->s >= 0x20)
            c->s++;
        c->out = clew__put_chars(c->out, start, (size_t)(c->s - start), (size_t)(c->s - start));
    }
    if (c->s == c->end)
        return false;
    *c->out++ = *c->s++;
    return true;
}

static size_t copy_digits(struct copy *c)
{
    size_t n = 0;

    for (; c->s < c->end && *c->s >= '0' && *c->s <= '9'; n++)
        *c->out++ = *c->s++;
    return n;
}

static bool copy_number(struct copy *c)
{
    bool zero;

    if (*c->s == '-')
        *c->out++ = *c->s++;
    zero = c->s < c->end && *c->s == '0';
    if (zero)
        *c->out++ = *c->s++;
    else if (copy_digits(c) == 0)
        return false;
    if (c->s < c->end && *c->s == '.') {
        *c->out++ = *c->s++;
        if (copy_digits(c) == 0)
            return false;
    }
    if (c->s < c->end && (*c->s == 'e' || *c->s == 'E')) {
        *c->out++ = *c->s++;
        if (c->s < c->end && (*c->s == '+' || *c->s == '-'))
            *c->out++ = *c->s++;
        if (copy_digits(c) == 0)
            return false;
    }
    return true;
}

static bool copy_word(struct copy *c, const char *word)
{
    size_t n = strlen(word);

    if ((size_t)(c->end - c->s) < n || memcmp(c->s, word, n) != 0)
        return false;
    memcpy(c->out, word, n);
    c->out += n;
    c->s += n;
    return true;
}

/* Keys are compared as they are written: the same key spelled with other
 * escapes passes for another one. */
static bool copy_key(struct copy *c, size_t first)
{
    const char *start = c->s;
    size_t len;

    if (c->s == c->end || *c->s != '"' || !copy_string(c) || c->nkeys == KEYS_MAX)
        return false;
    len = (size_t)(c->s - start);
    for (size_t i = first; i < c->nkeys; i++)
        if (c->key[i].len == len && memcmp(c->key[i].at, start, len) == 0)
            return false;
    c->key[c->nkeys].at = start;
    c->key[c->nkeys++].len = len;
    return true;
}

static bool copy_object(struct copy *c, unsigned depth)
{
    size_t first = c->nkeys;

    *c->out++ = *c->s++;
    if (take(c, '}'))
        return true;
    do {
        skip_space(c);
        if (!copy_key(c, first) || !take(c, ':') || !copy_value(c, depth + 1))
            return false;
    } while (take(c, ','));
    c->nkeys = first;
    return take(c, '}');
}

static bool copy_array(struct copy *c, unsigned depth)
{
    *c->out++ = *c->s++;
    if (take(c, ']'))
        return true;
    do {
        if (!copy_value(c, depth + 1))
            return false;
    } while (take(c, ','));
    return take(c, ']');
}

static bool copy_value(struct copy *c, unsigned depth)
{
    skip_space(c);
    if (c->s == c->end || depth > DEPTH_MAX)
        return false;
    switch (*c->s) {
    case '{':
        return copy_object(c, depth);
    case '[':
        return copy_array(c, depth);
    case '"':
        return copy_string(c);
    case 't':
        return copy_word(c, "true");
    case 'f':
        return copy_word(c, "false");
    case 'n':
        return copy_word(c, "null");
    default:
        return copy_number(c);
    }
}

char *clew__put_json(char *p, const char *s, size_t len)
{
    struct copy c;

    c.s = s;
    c.end = s + len;
    c.out = p;
    c.nkeys = 0;
    if (!copy_value(&c, 1))
        return NULL;
    skip_space(&c);
    return c.s == c.end ? c.out : NULL;
}
