/* SPDX-License-Identifier: Apache-2.0
 *
 * Where strings begin and end in a line of JSON: 64 bytes at a time become three
 * words with a bit for each quote, backslash and control character. Backslashes
 * are rare and are looked at one by one.
 */
#include "rules_quotes.h"

#include <string.h>

#ifdef __x86_64__
#include <immintrin.h>
#define NEWER __attribute__((target("avx2,bmi,bmi2,popcnt")))
#endif

struct masks {
    uint64_t quotes, slashes, controls;
};

/* What is so marked is compiled once for all processors and once for those that
 * have AVX2. */
#define BOTH static inline __attribute__((always_inline))

BOTH struct masks look(const char *p)
{
    struct masks m = {0, 0, 0};

#ifdef __x86_64__
    const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\'),
                  control = _mm_set1_epi8(0x1F);

    for (unsigned i = 0; i < 4; i++) {
        __m128i x = _mm_loadu_si128((const __m128i *)(const void *)(p + 16 * i));

        m.quotes |= (uint64_t)(unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(x, quote)) << 16 * i;
        m.slashes |= (uint64_t)(unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(x, slash)) << 16 * i;
        m.controls |=
            (uint64_t)(unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_min_epu8(x, control), x))
            << 16 * i;
    }
#else
    for (unsigned i = 0; i < 64; i++) {
        m.quotes |= (uint64_t)(p[i] == '"') << i;
        m.slashes |= (uint64_t)(p[i] == '\\') << i;
        m.controls |= (uint64_t)((unsigned char)p[i] < 0x20) << i;
    }
#endif
    return m;
}

#ifdef __x86_64__
static inline NEWER struct masks look_newer(const char *p)
{
    const __m256i quote = _mm256_set1_epi8('"'), slash = _mm256_set1_epi8('\\'),
                  control = _mm256_set1_epi8(0x1F);
    struct masks m = {0, 0, 0};

    for (unsigned i = 0; i < 2; i++) {
        __m256i x = _mm256_loadu_si256((const __m256i *)(const void *)(p + 32 * i));

        m.quotes |= (uint64_t)(unsigned)_mm256_movemask_epi8(_mm256_cmpeq_epi8(x, quote)) << 32 * i;
        m.slashes |= (uint64_t)(unsigned)_mm256_movemask_epi8(_mm256_cmpeq_epi8(x, slash))
                     << 32 * i;
        m.controls |= (uint64_t)(unsigned)_mm256_movemask_epi8(
                          _mm256_cmpeq_epi8(_mm256_min_epu8(x, control), x))
                      << 32 * i;
    }
    return m;
}
#endif

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* Whether what stands behind a backslash may. */
static bool is_escape(const char *p, const char *end)
{
    if (p >= end || !*p || !strchr("\"\\/bfnrtu", *p))
        return false;
    if (*p != 'u')
        return true;
    return end - p >= 5 && is_hex(p[1]) && is_hex(p[2]) && is_hex(p[3]) && is_hex(p[4]);
}

/* Which of a block's bytes stand behind a backslash that counts. *carry: the first
 * byte does; then for the next block. False: not JSON. */
static bool find_escaped(uint64_t slashes, const char *block, const char *end, uint64_t *carry,
                         uint64_t *ret)
{
    uint64_t escaped = *carry;

    *carry = 0;
    for (slashes &= ~escaped; slashes; slashes &= slashes - 1) {
        unsigned i = (unsigned)__builtin_ctzll(slashes);

        if (!is_escape(block + i + 1, end))
            return false;
        if (i == 63) {
            *carry = 1;
            break;
        }
        escaped |= UINT64_C(2) << i;
        slashes &= ~(UINT64_C(2) << i);
    }
    *ret = escaped;
    return true;
}

/* The places of quotes go to at, twelve at once, which is more than most blocks
 * have, so that no branch depends on their number; what is written beyond them
 * does not count. */
BOTH size_t note_places(uint16_t *at, size_t base, uint64_t mask)
{
    size_t n = (size_t)__builtin_popcountll(mask);

    for (size_t i = 0; i < 12; i++, mask &= mask - 1)
        at[i] = (uint16_t)(base + (unsigned)__builtin_ctzll(mask | UINT64_C(1) << 63));
    for (size_t i = 12; __builtin_expect(i < n, 0); i++, mask &= mask - 1)
        at[i] = (uint16_t)(base + (unsigned)__builtin_ctzll(mask));
    return n;
}

BOTH struct clew__quotes find_by(struct masks (*look_at)(const char *p), uint16_t *places,
                                 const char *line, size_t len, size_t readable)
{
    struct clew__quotes ret = {CLEW__QUOTES_FOUND, false, 0};
    uint64_t carry = 0, escaped;

    for (size_t at = 0; at < len; at += 64) {
        const char *block = line + at;
        char last[64];
        struct masks m;

        if (__builtin_expect(readable - at < 64, 0)) {
            memset(last, ' ', sizeof(last));
            memcpy(last, block, len - at < 64 ? len - at : 64);
            m = look_at(last);
        } else {
            m = look_at(block);
        }
        if (len - at < 64) {
            uint64_t inside = (UINT64_C(1) << (len - at)) - 1;

            m.quotes &= inside;
            m.slashes &= inside;
            m.controls &= inside;
        }
        if (m.controls) {
            ret.found = CLEW__QUOTES_TOO_HARD;
            break;
        }
        if (m.slashes | carry) {
            ret.slashes = true;
            if (!find_escaped(m.slashes, block, line + len, &carry, &escaped)) {
                ret.found = CLEW__QUOTES_NOT_JSON;
                break;
            }
            m.quotes &= ~escaped;
        }
        ret.n += note_places(places + ret.n, at, m.quotes);
    }
    return ret;
}

struct clew__quotes clew__find_quotes(uint16_t *places, const char *line, size_t len,
                                      size_t readable)
{
    return find_by(look, places, line, len, readable);
}

#ifdef __x86_64__
static NEWER struct clew__quotes find_quotes_newer(uint16_t *places, const char *line, size_t len,
                                                   size_t readable)
{
    return find_by(look_newer, places, line, len, readable);
}
#endif

clew__quotes_fn *clew__quotes_finder(void)
{
#ifdef __x86_64__
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
        __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt"))
        return find_quotes_newer;
#endif
    return clew__find_quotes;
}
