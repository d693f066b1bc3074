/* SPDX-License-Identifier: Apache-2.0
 *
 * What the scanner's values stand for: escapes, and numbers by value. All of
 * it works on text that the scanner has proved to be JSON.
 */
#include "scan.h"

#include <json.h>

#include <locale.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static unsigned hex4(const char *p)
{
    uint8_t b[2];

    (void)clew__unhex(b, p, 2);
    return (unsigned)b[0] << 8 | b[1];
}

static size_t put_utf8(char ret[4], unsigned c)
{
    if (c < 0x80) {
        ret[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        ret[0] = (char)(0xC0 | c >> 6);
        ret[1] = (char)(0x80 | (c & 0x3F));
        return 2;
    }
    if (c < 0x10000) {
        ret[0] = (char)(0xE0 | c >> 12);
        ret[1] = (char)(0x80 | (c >> 6 & 0x3F));
        ret[2] = (char)(0x80 | (c & 0x3F));
        return 3;
    }
    ret[0] = (char)(0xF0 | c >> 18);
    ret[1] = (char)(0x80 | (c >> 12 & 0x3F));
    ret[2] = (char)(0x80 | (c >> 6 & 0x3F));
    ret[3] = (char)(0x80 | (c & 0x3F));
    return 4;
}

/* The escape at *p, and *p behind it; the number of bytes it stands for. */
static size_t unescape(const char **p, const char *end, char ret[4])
{
    static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
    const char *q = *p + 1, *found;
    unsigned c;

    *p = q + 1;
    if (*q != 'u') {
        found = strchr(from, *q);
        ret[0] = found ? to[found - from] : *q;
        return 1;
    }
    c = hex4(q + 1);
    *p = q + 5;
    if (c >= 0xD800 && c < 0xDC00 && end - *p >= 6 && (*p)[0] == '\\' && (*p)[1] == 'u') {
        unsigned low = hex4(*p + 2);

        if (low >= 0xDC00 && low < 0xE000) {
            *p += 6;
            return put_utf8(ret, 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00));
        }
    }
    return put_utf8(ret, c >= 0xD800 && c < 0xE000 ? 0xFFFD : c);
}

void clew__scan_decode(struct clew__buf *out, const struct clew__scan_value *string)
{
    const char *p = string->at, *end = p + string->len, *slash;
    char bytes[4];

    while (string->escaped && (slash = memchr(p, '\\', (size_t)(end - p))) != NULL) {
        clew__buf_add(out, p, (size_t)(slash - p));
        p = slash;
        clew__buf_add(out, bytes, unescape(&p, end, bytes));
    }
    clew__buf_add(out, p, (size_t)(end - p));
}

bool clew__scan_equals(const struct clew__scan_value *string, const char *text, size_t len)
{
    const char *p = string->at, *end = p + string->len;
    size_t at = 0;

    if (!string->escaped)
        return string->len == len && memcmp(p, text, len) == 0;
    while (p < end) {
        char bytes[4] = {*p};
        size_t n = 1;

        if (*p == '\\')
            n = unescape(&p, end, bytes);
        else
            p++;
        if (len - at < n || memcmp(text + at, bytes, n) != 0)
            return false;
        at += n;
    }
    return at == len;
}

/* The string with its quotes, its escapes the fewest there can be. */
static void add_string(struct clew__buf *out, const struct clew__scan_value *string)
{
    const char *p = string->at, *end = p + string->len, *slash;
    char bytes[4];

    clew__buf_addc(out, '"');
    while (string->escaped && (slash = memchr(p, '\\', (size_t)(end - p))) != NULL) {
        clew__json_chars(out, p, (size_t)(slash - p));
        p = slash;
        clew__json_chars(out, bytes, unescape(&p, end, bytes));
    }
    clew__json_chars(out, p, (size_t)(end - p));
    clew__buf_addc(out, '"');
}

void clew__scan_compact(struct clew__buf *out, const struct clew__scan_value *value)
{
    const char *p = value->at, *end = p + value->len;

    if (value->type == CLEW__SCAN_STRING) {
        add_string(out, value);
        return;
    }
    while (p < end) {
        struct clew__scan_value string = {.type = CLEW__SCAN_STRING, .at = p + 1};

        if (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r') {
            p++;
        } else if (*p != '"') {
            clew__buf_addc(out, *p++);
        } else {
            for (p++; *p != '"'; p++)
                if (*p == '\\') {
                    string.escaped = true;
                    p++;
                }
            string.len = (size_t)(p++ - string.at);
            add_string(out, &string);
        }
    }
}

bool clew__scan_is_number(const char *text, size_t len)
{
    struct clew__scan scan;
    struct clew__scan_member member;
    char object[80];

    if (len == 0 || len > 64 || strchr("-0123456789", *text) == NULL)
        return false;
    memcpy(object, "{\"\":", 4);
    memcpy(object + 4, text, len);
    object[4 + len] = '}';
    return clew__scan_open(&scan, object, len + 5) && clew__scan_next(&scan, &member) == 1 &&
           member.value.type == CLEW__SCAN_NUMBER && member.value.len == len &&
           clew__scan_next(&scan, &member) == 0;
}

/* The long way, whatever the program's locale takes for a decimal point. */
static double slow_double(const char *text, size_t len)
{
    static locale_t _Atomic c_locale;
    locale_t locale = atomic_load_explicit(&c_locale, memory_order_acquire);
    struct clew__buf copy;
    double value = 0;

    if (!locale) {
        locale_t none = (locale_t)0;

        locale = newlocale(LC_NUMERIC_MASK, "C", none);
        if (!atomic_compare_exchange_strong(&c_locale, &none, locale)) {
            freelocale(locale);
            locale = none;
        }
    }
    clew__buf_init(&copy, len + 1);
    clew__buf_add(&copy, text, len);
    clew__buf_addc(&copy, '\0');
    if (!copy.failed && locale)
        value = strtod_l(copy.data, NULL, locale);
    clew__buf_done(&copy);
    return value;
}

/* Up to 15 digits are exact in a double, and so are powers of ten up to 22: one
 * division or multiplication of the two is rounded once, as it has to be. */
double clew__scan_double(const char *text, size_t len)
{
    static const double powers[] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    const char *p = text, *end = text + len;
    bool negative = p < end && *p == '-';
    unsigned digits = 0, fraction = 0;
    uint64_t mantissa = 0;
    double value;

    p += negative;
    for (; p < end && (unsigned)(*p - '0') < 10; p++, digits++)
        mantissa = 10 * mantissa + (unsigned)(*p - '0');
    if (p < end && *p == '.')
        for (p++; p < end && (unsigned)(*p - '0') < 10; p++, digits++, fraction++)
            mantissa = 10 * mantissa + (unsigned)(*p - '0');
    if (p != end || digits > 15)
        return slow_double(text, len);
    value = (double)mantissa / powers[fraction];
    return negative ? -value : value;
}

/* A number as 0.DIGITS * 10^exponent, the first digit not 0. */
struct decimal {
    const char *digit, *end; /* with the point in it */
    long long exponent;
    bool negative, zero;
};

static struct decimal decompose(const char *text, size_t len)
{
    struct decimal d = {.digit = text, .end = text + len, .negative = *text == '-'};
    const char *p;
    bool negative, pointed = false;

    for (p = text; p < text + len && *p != 'e' && *p != 'E'; p++)
        ;
    d.end = p;
    negative = p + 1 < text + len && p[1] == '-';
    for (p += p < text + len; p < text + len; p++)
        if (*p >= '0' && *p <= '9' && d.exponent < 1000000000000)
            d.exponent = 10 * d.exponent + (*p - '0');
    if (negative)
        d.exponent = -d.exponent;
    for (d.digit = text + d.negative; d.digit < d.end; d.digit++) {
        if (*d.digit >= '1')
            break;
        if (*d.digit == '.')
            pointed = true;
        else if (pointed)
            d.exponent--;
    }
    d.zero = d.digit == d.end;
    for (p = d.digit; !pointed && p < d.end && *p != '.'; p++)
        d.exponent++;
    return d;
}

static char next_digit(struct decimal *d)
{
    if (d->digit < d->end && *d->digit == '.')
        d->digit++;
    return d->digit < d->end ? *d->digit++ : '0';
}

bool clew__scan_same_number(const char *a, size_t a_len, const char *b, size_t b_len)
{
    struct decimal x = decompose(a, a_len), y = decompose(b, b_len);

    if (x.zero || y.zero)
        return x.zero && y.zero;
    if (x.negative != y.negative || x.exponent != y.exponent)
        return false;
    while (x.digit < x.end || y.digit < y.end)
        if (next_digit(&x) != next_digit(&y))
            return false;
    return true;
}
