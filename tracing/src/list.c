/* SPDX-License-Identifier: Apache-2.0
 *
 * Lists of members, "key=value,key=value": taken apart, and the usual ones
 * checked 64 characters at once while they are copied (with AVX2; else the slow
 * way is for all). There each class of characters is a mask of 64 bits, and keys are found by an
 * addition: the carry of a member's first bit runs through all that is neither '=' nor ',' and
 * stops at the key's end. Stateless.
 */
#include "propagate_priv.h"

#include <string.h>
#if defined(__x86_64__)
#include <cpu.h>

#include <immintrin.h>
#endif

void clew__trim(const char **text, size_t *len)
{
    while (*len && (**text == ' ' || **text == '\t')) {
        (*text)++;
        (*len)--;
    }
    while (*len && ((*text)[*len - 1] == ' ' || (*text)[*len - 1] == '\t'))
        (*len)--;
}

bool clew__member_next(const char *text, size_t len, size_t *at, struct clew__member *ret)
{
    while (*at < len) {
        const char *start = text + *at, *comma = memchr(start, ',', len - *at);

        *ret = (struct clew__member){start, (size_t)((comma ? comma : text + len) - start)};
        *at += ret->len + 1;
        clew__trim(&ret->text, &ret->len);
        if (ret->len)
            return true;
    }
    return false;
}

#if defined(__x86_64__)

#define USUAL __attribute__((target("avx2,bmi,bmi2,popcnt")))
#define INLINED static inline USUAL __attribute__((always_inline))
/* Apart, each with no more registers to save than it needs: nearly all lists are one block. */
#define APART static USUAL __attribute__((noinline))

/* Which characters a key may not have, by the halves of their codes: a character
 * is bad if low[c & 15] & high[c >> 4] is more than bit 7. Bit 7 itself: good in
 * a key, but not as its first. Bits 0 to 5 are the rows 0x20 to 0x70, bit 6 is
 * for the rows in which nothing is good. */
struct classes {
    uint8_t low[16], high[16];
};

#define ROWS                                                                         \
    {                                                                                \
        64, 64, 1 | 128, 2, 4 | 128, 8 | 128, 16, 32, 64, 64, 64, 64, 64, 64, 64, 64 \
    }
#define PLAIN_ROWS                                                 \
    {                                                              \
        64, 64, 1, 2, 4, 8, 16, 32, 64, 64, 64, 64, 64, 64, 64, 64 \
    }

/* a-z 0-9 _ - * / @, the first of them a-z 0-9 */
static const struct classes state_classes = {
    {64 | 1 | 8 | 16 | 128, 64 | 1 | 4 | 8, 64 | 1 | 4 | 8, 64 | 1 | 4 | 8, 64 | 1 | 4 | 8,
     64 | 1 | 4 | 8, 64 | 1 | 4 | 8, 64 | 1 | 4 | 8, 64 | 1 | 4 | 8, 64 | 1 | 4 | 8,
     64 | 2 | 4 | 8 | 128, 64 | 1 | 2 | 4 | 8 | 32, 64 | 1 | 2 | 4 | 8 | 32,
     64 | 2 | 4 | 8 | 32 | 128, 64 | 1 | 2 | 4 | 8 | 32, 64 | 2 | 4 | 32 | 128},
    ROWS};
/* RFC 7230's token */
static const struct classes token_classes = {{64 | 1 | 4, 64, 64 | 1, 64, 64, 64, 64, 64, 64 | 1,
                                              64 | 1, 64 | 2, 64 | 2 | 8 | 32, 64 | 1 | 2 | 8,
                                              64 | 2 | 8 | 32, 64 | 2, 64 | 1 | 2 | 32},
                                             PLAIN_ROWS};

/* A bit for each character; and which of those at the same place of 32 are all usual. */
struct masks {
    uint64_t comma, equals, bad_first, bad_key;
    __m256i usual;
};
#define NO_MASKS                         \
    {                                    \
        0, 0, 0, 0, _mm256_set1_epi8(-1) \
    }

/* Of 32 characters, at bit `at`; the first `skip` were there before. */
INLINED void classify(struct masks *m, __m256i c, unsigned at, unsigned skip, bool is_state)
{
    const struct classes *classes = is_state ? &state_classes : &token_classes;
    const __m256i low =
        _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)classes->low));
    const __m256i high =
        _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)classes->high));
    const __m256i nibble = _mm256_set1_epi8(15);
    __m256i by_low = _mm256_shuffle_epi8(low, _mm256_and_si256(c, nibble));
    __m256i by_high = _mm256_shuffle_epi8(high, _mm256_and_si256(_mm256_srli_epi16(c, 4), nibble));
    __m256i key = _mm256_and_si256(by_low, by_high);
    /* 0x21 to 0x7E, as signed numbers: 0x7F becomes negative */
    __m256i good =
        _mm256_cmpgt_epi8(_mm256_add_epi8(c, _mm256_set1_epi8(1)), _mm256_set1_epi8(0x21));
    if (!is_state)
        good = _mm256_andnot_si256(_mm256_or_si256(_mm256_cmpeq_epi8(c, _mm256_set1_epi8('"')),
                                                   _mm256_cmpeq_epi8(c, _mm256_set1_epi8('\\'))),
                                   good);
    m->usual = _mm256_and_si256(m->usual, good);
#define BITS(v) ((uint64_t)((unsigned)_mm256_movemask_epi8(v) >> skip) << at)
    m->comma |= BITS(_mm256_cmpeq_epi8(c, _mm256_set1_epi8(',')));
    m->equals |= BITS(_mm256_cmpeq_epi8(c, _mm256_set1_epi8('=')));
    m->bad_first |= BITS(key);
    m->bad_key |= BITS(
        _mm256_cmpgt_epi8(_mm256_and_si256(key, _mm256_set1_epi8(127)), _mm256_setzero_si256()));
#undef BITS
}

/* What a block of 64 leaves to the next, at bit 0; and what was found so far. */
struct walk {
    uint64_t member, in_key, after_equals, bad;
};

INLINED void judge(struct walk *walk, const struct masks *m, uint64_t valid, bool is_state)
{
    uint64_t starts = m->comma << 1 | walk->member, run = ~(m->equals | m->comma) & valid;
    unsigned long long sum;
    uint64_t ends, keys, values;
    bool all_usual = _mm256_movemask_epi8(m->usual) == -1;
    bool carry = __builtin_uaddll_overflow(starts | walk->in_key, run, &sum);

    walk->member = m->comma >> 63;
    /* A start that is no run at all is an empty key, and stays where it is. */
    ends = sum & ~run;
    keys = run & ~sum;
    walk->in_key = carry;
    values = valid & ~keys & ~ends & ~m->comma;
    walk->bad |= (starts & (m->bad_first | m->bad_key | ~run)) | (ends & ~m->equals) |
                 (keys & m->bad_key) | !all_usual;
    if (is_state) { /* no value is empty, or has a '=' */
        walk->bad |= ((ends << 1 | walk->after_equals) & ~values) | (values & m->equals);
        walk->after_equals = ends >> 63;
    }
}

INLINED bool is_usual(const struct walk *walk)
{
    return !(walk->bad | walk->member | walk->in_key | walk->after_equals);
}

INLINED __m256i take(char *to, const char *text, size_t at)
{
    __m256i c = _mm256_loadu_si256((const __m256i *)(const void *)(text + at));

    _mm256_storeu_si256((__m256i *)(void *)(to + at), c);
    return c;
}

/* 32 to 64 characters: the first 32 and the last, some of which may be the same. They are no
 * more members than a list may have. */
INLINED bool copy_block(char *to, const char *text, size_t len, bool is_state)
{
    struct walk walk = {.member = 1};
    struct masks m = NO_MASKS;

    classify(&m, take(to, text, 0), 0, 0, is_state);
    classify(&m, take(to, text, len - 32), (unsigned)(len - 32), 0, is_state);
    judge(&walk, &m, UINT64_MAX >> (64 - len), is_state);
    return is_usual(&walk);
}

APART bool copy_long(char *to, const char *text, size_t len, bool is_state)
{
    struct walk walk = {.member = 1};
    unsigned commas = 0;

    for (size_t at = 0; at < len; at += 64) {
        struct masks m = NO_MASKS;

        for (unsigned i = 0; i < 64 && at + i < len; i += 32) {
            size_t from = at + i, skip = 0;

            if (from + 32 > len) { /* the last ones again, rather than read behind the end */
                skip = from + 32 - len;
                from = len - 32;
            }
            classify(&m, take(to, text, from), i, (unsigned)skip, is_state);
        }
        judge(&walk, &m, len - at >= 64 ? UINT64_MAX : (UINT64_C(1) << (len - at)) - 1, is_state);
        commas += (unsigned)__builtin_popcountll(m.comma);
    }
    return is_usual(&walk) &&
           commas < (is_state ? CLEW_TRACESTATE_MEMBERS_MAX : CLEW_BAGGAGE_MEMBERS_MAX);
}

APART bool copy_state_block(char *to, const char *text, size_t len)
{
    return copy_block(to, text, len, true);
}

APART bool copy_baggage_block(char *to, const char *text, size_t len)
{
    return copy_block(to, text, len, false);
}

static inline bool copy_one(char *to, const char *text, size_t len, bool is_state)
{
    return is_state ? copy_state_block(to, text, len) : copy_baggage_block(to, text, len);
}

/* Shorter ones are copied to the end of 32, so that all can be read; the key is
 * longer then, but its first character has to be seen as such. */
static __attribute__((noinline)) bool copy_short(char *to, const char *text, size_t len,
                                                 bool is_state)
{
    char room[33] = "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk", copied[32];
    size_t pad = 32 - len;

    memcpy(room + pad, text, len);
    memcpy(to, text, len);
    return text[0] != '=' && !(is_state && strchr("_-*/@", text[0])) &&
           copy_one(copied, room, 32, is_state);
}

bool clew__list_copy_usual(char *to, const char *text, size_t len, bool is_state)
{
    if (len == 0 || !clew__avx2)
        return false;
    if (len < 32)
        return copy_short(to, text, len, is_state);
    if (len > 64)
        return copy_long(to, text, len, is_state);
    return copy_one(to, text, len, is_state);
}

#else

bool clew__list_copy_usual(char *to, const char *text, size_t len, bool is_state)
{
    (void)to, (void)text, (void)len, (void)is_state;
    return false;
}

#endif
