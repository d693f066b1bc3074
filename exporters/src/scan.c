/* SPDX-License-Identifier: Apache-2.0
 *
 * The JSON scanner. Strings are most of a log line, so they are passed 16 bytes
 * at a time; everything else is a byte at a time. Nested values are skipped,
 * and thereby checked, with a stack of bits: one for each open bracket, which
 * says whether it is an object's.
 */
#include "scan.h"

#include <stdint.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

static const char *skip_space(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r'))
        p++;
    return p;
}

/* The first quote, backslash or control from p on. */
static const char *string_stop(const char *p, const char *end)
{
#ifdef __SSE2__
    const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\'),
                  control = _mm_set1_epi8(0x1F);

    for (; end - p >= 16; p += 16) {
        __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i hit = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(x, quote), _mm_cmpeq_epi8(x, slash)),
                                   _mm_cmpeq_epi8(_mm_min_epu8(x, control), x));
        unsigned mask = (unsigned)_mm_movemask_epi8(hit);

        if (mask)
            return p + __builtin_ctz(mask);
    }
#endif
    while (p < end && (unsigned char)*p >= 0x20 && *p != '"' && *p != '\\')
        p++;
    return p;
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* The functions below take the text from *p on and leave *p behind what they
 * read, or where it is malformed, and then return false. */

static bool skip_escape(const char **p, const char *end)
{
    const char *q = *p + 1;

    if (q >= end || !*q || !strchr("\"\\/bfnrtu", *q))
        return false;
    if (*q == 'u') {
        if (end - q < 5)
            return false;
        for (int i = 1; i <= 4; i++)
            if (!is_hex(q[i]))
                return false;
        q += 4;
    }
    *p = q + 1;
    return true;
}

/* *p is at the opening quote. */
static bool take_string(const char **p, const char *end, struct clew__scan_value *ret)
{
    const char *start = *p + 1, *q = start;

    *ret = (struct clew__scan_value){.type = CLEW__SCAN_STRING, .at = start};
    for (;;) {
        q = string_stop(q, end);
        if (q < end && *q == '"')
            break;
        *p = q;
        if (q >= end || *q != '\\' || !skip_escape(&q, end))
            return false;
        ret->escaped = true;
    }
    ret->len = (size_t)(q - start);
    *p = q + 1;
    return true;
}

static bool skip_digits(const char **p, const char *end)
{
    const char *start = *p;

    while (*p < end && **p >= '0' && **p <= '9')
        ++*p;
    return *p > start;
}

static bool skip_number(const char **p, const char *end)
{
    if (**p == '-')
        ++*p;
    if (*p < end && **p == '0')
        ++*p;
    else if (!skip_digits(p, end))
        return false;
    if (*p < end && **p == '.') {
        ++*p;
        if (!skip_digits(p, end))
            return false;
    }
    if (*p < end && (**p == 'e' || **p == 'E')) {
        ++*p;
        if (*p < end && (**p == '+' || **p == '-'))
            ++*p;
        return skip_digits(p, end);
    }
    return true;
}

static bool skip_word(const char **p, const char *end, const char *word, size_t len)
{
    if ((size_t)(end - *p) < len || memcmp(*p, word, len) != 0)
        return false;
    *p += len;
    return true;
}

/* Anything but an array or an object. */
static bool take_scalar(const char **p, const char *end, struct clew__scan_value *ret)
{
    bool good;

    ret->at = *p;
    ret->escaped = false;
    switch (**p) {
    case '"':
        return take_string(p, end, ret);
    case 't':
        ret->type = CLEW__SCAN_TRUE;
        good = skip_word(p, end, "true", 4);
        break;
    case 'f':
        ret->type = CLEW__SCAN_FALSE;
        good = skip_word(p, end, "false", 5);
        break;
    case 'n':
        ret->type = CLEW__SCAN_NULL;
        good = skip_word(p, end, "null", 4);
        break;
    default:
        ret->type = CLEW__SCAN_NUMBER;
        good = skip_number(p, end);
    }
    ret->len = (size_t)(*p - ret->at);
    return good;
}

static bool skip_key(const char **p, const char *end)
{
    struct clew__scan_value key;

    *p = skip_space(*p, end);
    if (*p >= end || **p != '"' || !take_string(p, end, &key))
        return false;
    *p = skip_space(*p, end);
    return skip_word(p, end, ":", 1);
}

struct stack {
    uint64_t objects[CLEW__SCAN_DEPTH / 64];
    size_t depth;
};

static bool in_object(const struct stack *s)
{
    return s->objects[(s->depth - 1) / 64] >> ((s->depth - 1) % 64) & 1;
}

/* *p is at a bracket, which opens. *ret_empty: it closed at once, too. */
static bool open_bracket(const char **p, const char *end, struct stack *s, bool *ret_empty)
{
    bool object = **p == '{';
    uint64_t bit = 1ull << (s->depth % 64);

    if (s->depth == CLEW__SCAN_DEPTH)
        return false;
    s->objects[s->depth / 64] = (s->objects[s->depth / 64] & ~bit) | (object ? bit : 0);
    s->depth++;
    *p = skip_space(*p + 1, end);
    *ret_empty = *p < end && **p == (object ? '}' : ']');
    return *ret_empty || !object || skip_key(p, end);
}

/* Behind a value: closes what closes here, up to the next value. *ret_more is
 * false at the end of the outermost bracket. */
static bool after_value(const char **p, const char *end, struct stack *s, bool *ret_more)
{
    while (s->depth > 0) {
        bool object = in_object(s);

        *p = skip_space(*p, end);
        if (*p >= end)
            return false;
        if (**p == ',') {
            ++*p;
            *ret_more = true;
            return !object || skip_key(p, end);
        }
        if (**p != (object ? '}' : ']'))
            return false;
        ++*p;
        s->depth--;
    }
    *ret_more = false;
    return true;
}

/* An array or an object. */
static bool take_nested(const char **p, const char *end, struct clew__scan_value *ret)
{
    struct stack s;
    bool more = true;

    s.depth = 0;
    ret->type = **p == '{' ? CLEW__SCAN_OBJECT : CLEW__SCAN_ARRAY;
    ret->escaped = false;
    ret->at = *p;
    while (more) {
        struct clew__scan_value scalar;
        bool empty = false;

        *p = skip_space(*p, end);
        if (*p >= end)
            return false;
        if (**p == '{' || **p == '[') {
            if (!open_bracket(p, end, &s, &empty))
                return false;
            if (!empty)
                continue;
        } else if (!take_scalar(p, end, &scalar)) {
            return false;
        }
        if (!after_value(p, end, &s, &more))
            return false;
    }
    ret->len = (size_t)(*p - ret->at);
    return true;
}

bool clew__scan_open(struct clew__scan *scan, const char *text, size_t len)
{
    *scan = (struct clew__scan){.p = text, .end = text + len};
    scan->p = skip_space(scan->p, scan->end);
    if (scan->p >= scan->end || *scan->p != '{')
        return false;
    scan->p++;
    return true;
}

static bool take_member(struct clew__scan *s, struct clew__scan_member *ret)
{
    if (s->p >= s->end || *s->p != '"' || !take_string(&s->p, s->end, &ret->key))
        return false;
    s->p = skip_space(s->p, s->end);
    if (s->p >= s->end || *s->p != ':')
        return false;
    s->p = skip_space(s->p + 1, s->end);
    if (s->p >= s->end)
        return false;
    return *s->p == '{' || *s->p == '[' ? take_nested(&s->p, s->end, &ret->value)
                                        : take_scalar(&s->p, s->end, &ret->value);
}

int clew__scan_next(struct clew__scan *scan, struct clew__scan_member *ret)
{
    scan->p = skip_space(scan->p, scan->end);
    if (scan->p < scan->end && *scan->p == '}') {
        scan->p = skip_space(scan->p + 1, scan->end);
        return scan->p == scan->end ? 0 : -1;
    }
    if (scan->begun) {
        if (scan->p >= scan->end || *scan->p != ',')
            return -1;
        scan->p = skip_space(scan->p + 1, scan->end);
    }
    scan->begun = true;
    return take_member(scan, ret) ? 1 : -1;
}
