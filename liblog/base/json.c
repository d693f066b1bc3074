/* SPDX-License-Identifier: Apache-2.0
 * JSON strings and numbers, UTF-8, hex. Strings are copied 16 bytes at a time
 * as long as none of them needs anything done to it. */
#include "json.h"

#include "hex.h"

#include <locale.h>
#include <math.h>
#include <stdatomic.h>
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

/* ---- strings ---------------------------------------------------------------- */

static char *put_escape(char *p, unsigned char c)
{
    *p++ = '\\';
    switch (c) {
    case '"':
    case '\\':
        *p++ = (char)c;
        return p;
    case '\n':
        *p++ = 'n';
        return p;
    case '\r':
        *p++ = 'r';
        return p;
    case '\t':
        *p++ = 't';
        return p;
    default:
        memcpy(p, "u00", 3);
        p[3] = hex_digits[c >> 4];
        p[4] = hex_digits[c & 15];
        return p + 5;
    }
}

/* Writes the sequence at s and moves it on. */
static char *put_special(char *p, const char **s, size_t left)
{
    unsigned char c = (unsigned char)**s;
    size_t n;

    if (c < 0x80) {
        ++*s;
        return c < 0x20 || c == '"' || c == '\\' || c == 0x7F ? put_escape(p, c)
                                                              : (*p = (char)c, p + 1);
    }
    n = clew__utf8_sequence(*s, left);
    if (n) {
        memcpy(p, *s, n);
        *s += n;
        return p + n;
    }
    ++*s;
    memcpy(p, replacement, 3);
    return p + 3;
}

#if defined(__SSE2__)
/* Bit i is set when byte i is a control, a quote, a backslash, DEL or not ASCII. */
static inline unsigned special_bytes(__m128i v)
{
    __m128i control = _mm_cmplt_epi8(v, _mm_set1_epi8(0x20)); /* signed: not ASCII too */
    __m128i quote = _mm_cmpeq_epi8(v, _mm_set1_epi8('"'));
    __m128i slash = _mm_cmpeq_epi8(v, _mm_set1_epi8('\\'));
    __m128i del = _mm_cmpeq_epi8(v, _mm_set1_epi8(0x7F));

    return (unsigned)_mm_movemask_epi8(
        _mm_or_si128(_mm_or_si128(control, quote), _mm_or_si128(slash, del)));
}

/* Four to fifteen characters, all of them plain, by two loads that overlap; false
 * when there is one that is not, and nothing is written then. */
static inline bool put_few(char *p, const char *s, size_t n)
{
    __m128i first, last;

    if (n >= 8) {
        first = _mm_loadl_epi64((const __m128i *)(const void *)s);
        last = _mm_loadl_epi64((const __m128i *)(const void *)(s + n - 8));
        if (special_bytes(_mm_unpacklo_epi64(first, last)))
            return false;
        _mm_storel_epi64((__m128i *)(void *)p, first);
        _mm_storel_epi64((__m128i *)(void *)(p + n - 8), last);
    } else {
        int low, high;

        memcpy(&low, s, 4);
        memcpy(&high, s + n - 4, 4);
        first = _mm_cvtsi32_si128(low);
        last = _mm_cvtsi32_si128(high);
        if (special_bytes(_mm_unpacklo_epi32(first, last)) & 0xFF)
            return false;
        memcpy(p, &low, 4);
        memcpy(p + n - 4, &high, 4);
    }
    return true;
}

char *clew__put_chars(char *p, const char *s, size_t len, size_t readable)
{
    const char *end = s + len, *stop = s + readable;

    while (s < end) {
        unsigned special;
        size_t n = (size_t)(end - s), plain;
        __m128i v;

        if (stop - s < 16) {
            if (n >= 4 && put_few(p, s, n))
                return p + n;
            p = put_special(p, &s, n);
            continue;
        }
        v = _mm_loadu_si128((const __m128i *)(const void *)s);
        special = special_bytes(v);
        _mm_storeu_si128((__m128i *)(void *)p, v);
        plain = special ? (size_t)__builtin_ctz(special) : 16;
        if (plain > n)
            plain = n;
        s += plain;
        p += plain;
        if (plain < 16 && s < end)
            p = put_special(p, &s, (size_t)(end - s));
    }
    return p;
}
#else
char *clew__put_chars(char *p, const char *s, size_t len, size_t readable)
{
    const char *end = s + len;

    (void)readable;
    while (s < end)
        p = put_special(p, &s, (size_t)(end - s));
    return p;
}
#endif

/* Where the cap leaves no room for the worst case: piece by piece. */
static void add_in_pieces(struct clew__buf *buf, const char *s, size_t len)
{
    char piece[CLEW__PUT_CHARS_MAX(64)];

    while (len > 0) {
        size_t n = clew__utf8_cut(s, len, 64);

        clew__buf_add(buf, piece, (size_t)(clew__put_chars(piece, s, n, n) - piece));
        s += n;
        len -= n;
    }
}

void clew__json_chars(struct clew__buf *buf, const char *s, size_t len)
{
    size_t need = CLEW__PUT_CHARS_MAX(len);
    char *p;

    if (buf->failed || buf->max - buf->len < need) {
        add_in_pieces(buf, s, len);
        return;
    }
    p = clew__buf_room(buf, need);
    if (p)
        buf->len = (size_t)(clew__put_chars(p, s, len, len) - buf->data);
}

void clew__json_string(struct clew__buf *buf, const char *s, size_t len)
{
    clew__buf_addc(buf, '"');
    clew__json_chars(buf, s, len);
    clew__buf_addc(buf, '"');
}

/* ---- numbers ---------------------------------------------------------------- */

static const char pairs[] = "00010203040506070809101112131415161718192021222324252627282930313233"
                            "34353637383940414243444546474849505152535455565758596061626364656667"
                            "6869707172737475767778798081828384858687888990919293949596979899";

char *clew__put_uint(char *p, uint64_t v)
{
    char text[20];
    size_t at = sizeof(text);

    while (v >= 100) {
        at -= 2;
        memcpy(text + at, pairs + 2 * (v % 100), 2);
        v /= 100;
    }
    if (v >= 10) {
        at -= 2;
        memcpy(text + at, pairs + 2 * v, 2);
    } else {
        text[--at] = (char)('0' + v);
    }
    memcpy(p, text + at, sizeof(text) - at);
    return p + sizeof(text) - at;
}

char *clew__put_int(char *p, int64_t v)
{
    if (v >= 0)
        return clew__put_uint(p, (uint64_t)v);
    *p = '-';
    return clew__put_uint(p + 1, -(uint64_t)v);
}

char *clew__put_digits(char *p, uint64_t v, unsigned n)
{
    char *q = p + n;

    for (; q - p >= 2; v /= 100) {
        q -= 2;
        memcpy(q, pairs + 2 * (v % 100), 2);
    }
    if (q > p)
        *p = (char)('0' + v % 10);
    return p + n;
}

char *clew__put_fraction(char *p, uint32_t ns)
{
    uint32_t high = ns / 100000, low = ns % 100000; /* 4 and 5 digits, side by side */

    memcpy(p, pairs + 2 * (high / 100), 2);
    memcpy(p + 2, pairs + 2 * (high % 100), 2);
    p[4] = (char)('0' + low / 10000);
    low %= 10000;
    memcpy(p + 5, pairs + 2 * (low / 100), 2);
    memcpy(p + 7, pairs + 2 * (low % 100), 2);
    return p + 9;
}

/* Most numbers have nine decimals at most: amounts, ratios, durations. Below 10^6
 * that is 15 digits, which no two doubles share. NULL when it has more. */
static char *put_nine_decimals(char *p, double a)
{
    uint64_t n;

    if (a >= 1e6)
        return NULL;
    n = (uint64_t)(a * 1e9 + 0.5);
    if ((double)n / 1e9 != a)
        return NULL;
    p = clew__put_uint(p, n / 1000000000u);
    *p++ = '.';
    p = clew__put_fraction(p, (uint32_t)(n % 1000000000u));
    while (p[-1] == '0' && p[-2] != '.')
        p--;
    return p;
}

/* The smallest k for which n / 10^k is the same double. n and 10^k are exact, so
 * the division rounds correctly, and equality means that the text reads back
 * equal. NULL when there is none. */
static char *put_short_decimal(char *p, double a)
{
    static const double powers[] = {1,    1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                    1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    static const uint64_t whole[] = {1,
                                     10,
                                     100,
                                     1000,
                                     10000,
                                     100000,
                                     1000000,
                                     10000000,
                                     100000000,
                                     1000000000,
                                     10000000000,
                                     100000000000,
                                     1000000000000,
                                     10000000000000,
                                     100000000000000,
                                     1000000000000000};

    for (unsigned k = 0; k < sizeof(powers) / sizeof(powers[0]); k++) {
        double scaled = a * powers[k], off;
        uint64_t n;

        if (scaled >= 9007199254740992.0) /* n has to be exact */
            return NULL;
        n = (uint64_t)(scaled + 0.5);
        off = scaled - (double)n;
        /* The product is off by one part in 2^53 at most: most k end here. */
        if ((off < 0 ? -off : off) > scaled * 0x1p-51 || (double)n / powers[k] != a)
            continue;
        if (k < sizeof(whole) / sizeof(whole[0])) {
            uint64_t before = k == 0 ? n : (uint64_t)a;

            p = clew__put_uint(p, before);
            *p++ = '.';
            return k ? clew__put_digits(p, n - before * whole[k], k) : (*p = '0', p + 1);
        }
        memcpy(p, "0.", 2);
        return clew__put_digits(p + 2, n, k);
    }
    return NULL;
}

/* strtod in the C locale, where a thread may have another. */
static double text_to_double(const char *text)
{
    static _Atomic(locale_t) c_locale;
    locale_t locale = c_locale;

    if (!locale) {
        locale_t fresh = newlocale(LC_ALL_MASK, "C", (locale_t)0), none = (locale_t)0;

        if (!fresh)
            return strtod(text, NULL);
        if (atomic_compare_exchange_strong(&c_locale, &none, fresh)) {
            locale = fresh;
        } else {
            freelocale(fresh);
            locale = none;
        }
    }
    return strtod_l(text, NULL, locale);
}

/* Shortest digits by trial: 15 always read back equal if they were given, 17
 * always do; below the normal range there are fewer. */
static char *put_any_double(char *p, double v)
{
    char text[40];
    int first = fabs(v) < 2.2250738585072014e-308 ? 1 : 15;

    for (int digits = first; digits <= 17; digits++) {
        (void)snprintf(text, sizeof(text), "%.*g", digits, v);
        for (char *c = text; *c; c++)
            if (*c == ',') /* a locale's decimal comma */
                *c = '.';
        if (digits == 17 || text_to_double(text) == v)
            break;
    }
    if (!strpbrk(text, ".e"))
        strcat(text, ".0");
    memcpy(p, text, strlen(text));
    return p + strlen(text);
}

char *clew__put_double(char *p, double v)
{
    char *end;

    if (isnan(v)) {
        memcpy(p, "\"NaN\"", 5);
        return p + 5;
    }
    if (isinf(v)) {
        const char *text = v < 0 ? "\"-Infinity\"" : "\"Infinity\"";

        memcpy(p, text, strlen(text));
        return p + strlen(text);
    }
    if (fabs(v) < 9007199254740992.0 && (fabs(v) >= 1e-7 || v == 0)) {
        if (signbit(v))
            *p++ = '-';
        end = put_nine_decimals(p, fabs(v));
        if (!end)
            end = put_short_decimal(p, fabs(v));
        if (end)
            return end;
        if (signbit(v))
            p--;
    }
    return put_any_double(p, v);
}

/* What put(p, v) makes, appended. */
#define APPEND(buf, put, v)                                         \
    do {                                                            \
        char text_[CLEW__PUT_NUMBER_MAX];                           \
        clew__buf_add(buf, text_, (size_t)(put(text_, v) - text_)); \
    } while (0)

void clew__json_uint(struct clew__buf *buf, uint64_t v)
{
    APPEND(buf, clew__put_uint, v);
}

void clew__json_int(struct clew__buf *buf, int64_t v)
{
    APPEND(buf, clew__put_int, v);
}

void clew__json_double(struct clew__buf *buf, double v)
{
    APPEND(buf, clew__put_double, v);
}

void clew__hex(char *ret, const void *bytes, size_t n)
{
    const unsigned char *b = bytes;
    size_t i = 0;

#if defined(__SSE2__)
    for (; i + 8 <= n; i += 8)
        _mm_storeu_si128((__m128i *)(void *)(ret + 2 * i),
                         clew__hex_of(_mm_loadl_epi64((const __m128i *)(const void *)(b + i))));
#endif
    for (; i < n; i++) {
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
    size_t i = 0;

#if defined(__SSE2__)
    for (; i + 8 <= n; i += 8) {
        __m128i bytes;

        if (!clew__hex_to(_mm_loadu_si128((const __m128i *)(const void *)(text + 2 * i)), &bytes))
            return -1;
        _mm_storel_epi64((__m128i *)(void *)(b + i), bytes);
    }
#endif
    for (; i < n; i++) {
        int high = hex_value(text[2 * i]);
        int low = high < 0 ? -1 : hex_value(text[2 * i + 1]);

        if (low < 0)
            return -1;
        b[i] = (unsigned char)(high << 4 | low);
    }
    return 0;
}
