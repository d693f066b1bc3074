/* SPDX-License-Identifier: Apache-2.0
 * JSON strings and numbers, UTF-8, hex. Strings are copied in runs of bytes
 * that need nothing done to them. */
#include "json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const char hex_digits[] = "0123456789abcdef";
static const char replacement[] = "\xEF\xBF\xBD";

size_t clew__utf8_sequence(const char *text, size_t left)
{
    const unsigned char *s = (const unsigned char *)text;
    unsigned char low = 0x80, high = 0xBF;
    size_t n;

    if (s[0] < 0x80)
        return 1;
    if (s[0] >= 0xC2 && s[0] <= 0xDF)
        n = 2;
    else if (s[0] >= 0xE0 && s[0] <= 0xEF)
        n = 3;
    else if (s[0] >= 0xF0 && s[0] <= 0xF4)
        n = 4;
    else
        return 0;
    if (left < n)
        return 0;
    if (s[0] == 0xE0)
        low = 0xA0;
    else if (s[0] == 0xED)
        high = 0x9F; /* no surrogates */
    else if (s[0] == 0xF0)
        low = 0x90;
    else if (s[0] == 0xF4)
        high = 0x8F; /* nothing above U+10FFFF */
    if (s[1] < low || s[1] > high)
        return 0;
    for (size_t i = 2; i < n; i++)
        if ((s[i] & 0xC0) != 0x80)
            return 0;
    return n;
}

size_t clew__utf8_cut(const char *s, size_t len, size_t max)
{
    if (len <= max)
        return len;
    for (size_t back = 0; back < 4 && back <= max; back++)
        if (((unsigned char)s[max - back] & 0xC0) != 0x80)
            return max - back;
    return max; /* not UTF-8 anyway */
}

void clew__utf8_clean(struct clew__buf *buf, const char *s, size_t len)
{
    size_t start = 0, i = 0;

    while (i < len) {
        size_t n = clew__utf8_sequence(s + i, len - i);

        if (n) {
            i += n;
            continue;
        }
        clew__buf_add(buf, s + start, i - start);
        clew__buf_add(buf, replacement, 3);
        start = ++i;
    }
    clew__buf_add(buf, s + start, i - start);
}

static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x7F && c != '"' && c != '\\';
}

/* Whether any of 8 bytes is a control, a quote, a backslash, DEL or not ASCII.
 * The classic "has zero byte" trick, byte by byte in a word. */
static bool word_is_plain(const char *s)
{
    const uint64_t ones = 0x0101010101010101u, highs = 0x8080808080808080u;
    uint64_t w, quote, slash, del;

    memcpy(&w, s, 8);
    quote = w ^ (ones * '"');
    slash = w ^ (ones * '\\');
    del = w ^ (ones * 0x7F);
    return (((w - ones * 0x20) | (quote - ones) | (slash - ones) | (del - ones) | w) & highs) == 0;
}

static void add_escape(struct clew__buf *buf, unsigned char c)
{
    char text[6] = {'\\', 'u', '0', '0', hex_digits[c >> 4], hex_digits[c & 15]};

    switch (c) {
    case '"':
    case '\\':
        text[1] = (char)c;
        break;
    case '\n':
        text[1] = 'n';
        break;
    case '\r':
        text[1] = 'r';
        break;
    case '\t':
        text[1] = 't';
        break;
    default:
        clew__buf_add(buf, text, 6);
        return;
    }
    clew__buf_add(buf, text, 2);
}

void clew__json_chars(struct clew__buf *buf, const char *s, size_t len)
{
    size_t start = 0, i = 0;

    while (i < len) {
        unsigned char c;
        size_t n;

        if (len - i >= 8 && word_is_plain(s + i)) {
            i += 8;
            continue;
        }
        c = (unsigned char)s[i];
        if (is_plain(c)) {
            i++;
            continue;
        }
        if (c >= 0x80 && (n = clew__utf8_sequence(s + i, len - i)) != 0) {
            i += n;
            continue;
        }
        clew__buf_add(buf, s + start, i - start);
        if (c >= 0x80)
            clew__buf_add(buf, replacement, 3);
        else
            add_escape(buf, c);
        start = ++i;
    }
    clew__buf_add(buf, s + start, i - start);
}

void clew__json_string(struct clew__buf *buf, const char *s, size_t len)
{
    clew__buf_addc(buf, '"');
    clew__json_chars(buf, s, len);
    clew__buf_addc(buf, '"');
}

void clew__json_uint(struct clew__buf *buf, uint64_t v)
{
    char text[20];
    size_t at = sizeof(text);

    do {
        text[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    clew__buf_add(buf, text + at, sizeof(text) - at);
}

void clew__json_int(struct clew__buf *buf, int64_t v)
{
    if (v < 0) {
        clew__buf_addc(buf, '-');
        clew__json_uint(buf, -(uint64_t)v);
    } else {
        clew__json_uint(buf, (uint64_t)v);
    }
}

/* Amounts, ratios and durations are mostly short decimals: find n / 10^k with
 * k <= 9 that is the same double. Division of two exactly represented numbers
 * rounds correctly, so equality here means that the text reads back equal. */
static bool add_short_decimal(struct clew__buf *buf, double v)
{
    static const double powers[] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9};
    double a = fabs(v);

    if (a >= 9007199254740992.0 || (a < 1e-5 && a != 0))
        return false;
    for (unsigned k = 0; k < sizeof(powers) / sizeof(powers[0]); k++) {
        double scaled = nearbyint(a * powers[k]);

        if (scaled >= 9007199254740992.0)
            return false;
        if (scaled / powers[k] != a)
            continue;

        uint64_t n = (uint64_t)scaled, p = (uint64_t)powers[k];
        char fraction[9];

        if (signbit(v))
            clew__buf_addc(buf, '-');
        clew__json_uint(buf, n / p);
        clew__buf_addc(buf, '.');
        if (k == 0) {
            clew__buf_addc(buf, '0');
            return true;
        }
        n %= p;
        for (unsigned i = k; i-- > 0; n /= 10)
            fraction[i] = (char)('0' + n % 10);
        clew__buf_add(buf, fraction, k);
        return true;
    }
    return false;
}

void clew__json_double(struct clew__buf *buf, double v)
{
    char text[40];

    if (isnan(v)) {
        clew__buf_adds(buf, "\"NaN\"");
        return;
    }
    if (isinf(v)) {
        clew__buf_adds(buf, v < 0 ? "\"-Infinity\"" : "\"Infinity\"");
        return;
    }
    if (add_short_decimal(buf, v))
        return;
    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(text, sizeof(text), "%.*g", digits, v);
        for (char *p = text; *p; p++)
            if (*p == ',') /* a locale's decimal comma */
                *p = '.';
        if (digits == 17 || strtod(text, NULL) == v)
            break;
    }
    clew__buf_adds(buf, text);
    if (!strpbrk(text, ".e"))
        clew__buf_adds(buf, ".0");
}

void clew__hex(char *ret, const void *bytes, size_t n)
{
    const unsigned char *b = bytes;

    for (size_t i = 0; i < n; i++) {
        ret[2 * i] = hex_digits[b[i] >> 4];
        ret[2 * i + 1] = hex_digits[b[i] & 15];
    }
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

int clew__unhex(void *ret_bytes, const char *text, size_t n)
{
    unsigned char *b = ret_bytes;

    for (size_t i = 0; i < n; i++) {
        int high = hex_value(text[2 * i]);
        int low = high < 0 ? -1 : hex_value(text[2 * i + 1]);

        if (low < 0)
            return -1;
        b[i] = (unsigned char)(high << 4 | low);
    }
    return 0;
}
