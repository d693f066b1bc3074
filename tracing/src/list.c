/* SPDX-License-Identifier: Apache-2.0
 *
 * Lists of members, "key=value,key=value": taken apart, and the usual ones
 * checked 64 characters at once while they are copied. There each class of
 * characters is a mask of 64 bits, and keys are found by an addition: the carry
 * of a member's first bit runs through all that is neither '=' nor ',' and stops
 * at the key's end. Stateless.
 */
#include "propagate_priv.h"

#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
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

#if defined(__SSE2__)

/* A bit for each character. */
struct masks {
    uint64_t comma, equals, first, key, value; /* first: may begin a key; key: may be in one */
};

static inline __m128i in_range(__m128i c, char low, char high)
{
    __m128i d = _mm_sub_epi8(c, _mm_set1_epi8(low));

    return _mm_cmpeq_epi8(_mm_min_epu8(d, _mm_set1_epi8((char)(high - low))), d);
}

static inline __m128i is(__m128i c, char what)
{
    return _mm_cmpeq_epi8(c, _mm_set1_epi8(what));
}

static inline uint64_t bits(__m128i v)
{
    return (uint64_t)(unsigned)_mm_movemask_epi8(v);
}

/* Of 16 characters, at bit `at`; the first `skip` were there before. */
static inline void classify(struct masks *m, __m128i c, unsigned at, unsigned skip, bool is_state)
{
    __m128i comma = is(c, ','), equals = is(c, '='), first, key, other;

    if (is_state) {
        first = _mm_or_si128(in_range(c, 'a', 'z'), in_range(c, '0', '9'));
        key = _mm_or_si128(
            first, _mm_or_si128(_mm_or_si128(is(c, '_'), is(c, '-')),
                                _mm_or_si128(is(c, '*'), _mm_or_si128(is(c, '/'), is(c, '@')))));
        other = equals;
    } else {
        first = _mm_or_si128(in_range(_mm_or_si128(c, _mm_set1_epi8(0x20)), 'a', 'z'),
                             in_range(c, '0', '9'));
        first = _mm_or_si128(first, _mm_or_si128(is(c, '_'), in_range(c, '-', '.')));
        key = first;
        other = _mm_or_si128(is(c, '"'), is(c, '\\'));
    }
    m->comma |= bits(comma) >> skip << at;
    m->equals |= bits(equals) >> skip << at;
    m->first |= bits(first) >> skip << at;
    m->key |= bits(key) >> skip << at;
    m->value |= bits(_mm_andnot_si128(other, in_range(c, 0x21, 0x7E))) >> skip << at;
}

/* Copies up to 64 of what is left behind text + at, and classifies them. */
static inline void take_block(char *to, const char *text, size_t at, size_t len, struct masks *m,
                              bool is_state)
{
    *m = (struct masks){0, 0, 0, 0, 0};
    for (unsigned i = 0; i < 64 && at + i < len; i += 16) {
        size_t from = at + i, skip = 0;
        __m128i c;

        if (from + 16 > len) { /* the last ones again, rather than read behind the end */
            skip = from + 16 - len;
            from = len - 16;
        }
        c = _mm_loadu_si128((const __m128i *)(const void *)(text + from));
        _mm_storeu_si128((__m128i *)(void *)(to + from), c);
        classify(m, c, i, (unsigned)skip, is_state);
    }
}

static inline bool copy_usual(char *to, const char *text, size_t len, bool is_state)
{
    uint64_t member = 1, in_key = 0, after_equals = 0, bad = 0; /* carried over to bit 0 */
    unsigned commas = 0;

    for (size_t at = 0; at < len; at += 64) {
        uint64_t valid = len - at >= 64 ? UINT64_MAX : (UINT64_C(1) << (len - at)) - 1;
        uint64_t starts, run, sum, ends, keys, values;
        struct masks m;
        bool carry;

        take_block(to, text, at, len, &m, is_state);
        commas += (unsigned)__builtin_popcountll(m.comma);
        starts = m.comma << 1 | member;
        member = m.comma >> 63;
        run = ~(m.equals | m.comma) & valid;
        carry = __builtin_add_overflow(starts | in_key, run, &sum);
        /* A start that is no run at all is an empty key, and stays where it is. */
        ends = sum & ~run;
        keys = run & ~sum;
        in_key = carry;
        values = valid & ~keys & ~ends & ~m.comma;
        bad |= (starts & ~m.first) | (ends & ~m.equals) | (keys & ~m.key) | (values & ~m.value);
        if (is_state) { /* no value is empty */
            bad |= (ends << 1 | after_equals) & ~values;
            after_equals = ends >> 63;
        }
    }
    return !bad && !member && !in_key && !after_equals &&
           commas < (is_state ? CLEW_TRACESTATE_MEMBERS_MAX : CLEW_BAGGAGE_MEMBERS_MAX);
}

bool clew__list_copy_usual(char *to, const char *text, size_t len, bool is_state)
{
    char room[16] = "";

    if (len == 0)
        return false;
    if (len < 16) { /* copied to the end of 16, so that all can be read */
        size_t pad = 16 - len;
        bool good;

        memset(room, 'k', pad);
        memcpy(room + pad, text, len);
        good = copy_usual(to, room, 16, is_state);
        memmove(to, to + pad, len);
        return good && text[0] != '=' && text[0] != '-' && text[0] != '_' && text[0] != '*' &&
               text[0] != '/' && text[0] != '@' && text[0] != '.';
    }
    return is_state ? copy_usual(to, text, len, true) : copy_usual(to, text, len, false);
}

#else

bool clew__list_copy_usual(char *to, const char *text, size_t len, bool is_state)
{
    (void)to, (void)text, (void)len, (void)is_state;
    return false;
}

#endif
