/* SPDX-License-Identifier: Apache-2.0
 * traceparent: W3C Trace Context level 2, section 3.2. Stateless. */
#include "propagate_priv.h"

#include <json.h>

#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#if defined(__SSE2__)

/* The values of 16 digits; in *ok all bits stay set if they are lower-case hex. */
static __m128i nibbles(const char *text, __m128i *ok)
{
    __m128i c = _mm_loadu_si128((const __m128i *)(const void *)text);
    __m128i digit = _mm_sub_epi8(c, _mm_set1_epi8('0'));
    __m128i letter = _mm_sub_epi8(c, _mm_set1_epi8('a'));
    __m128i is_digit = _mm_cmpeq_epi8(_mm_min_epu8(digit, _mm_set1_epi8(9)), digit);
    __m128i is_letter = _mm_cmpeq_epi8(_mm_min_epu8(letter, _mm_set1_epi8(5)), letter);

    *ok = _mm_and_si128(*ok, _mm_or_si128(is_digit, is_letter));
    return _mm_or_si128(_mm_and_si128(digit, is_digit),
                        _mm_and_si128(_mm_add_epi8(letter, _mm_set1_epi8(10)), is_letter));
}

/* Pairs of nibbles, the first of each the higher, in the low bytes of the lanes. */
static __m128i pairs(__m128i v)
{
    return _mm_and_si128(_mm_or_si128(_mm_slli_epi16(v, 4), _mm_srli_epi16(v, 8)),
                         _mm_set1_epi16(0xFF));
}

static bool read_ids(const char *text, uint8_t ret_trace_id[16], uint64_t *ret_span_id)
{
    __m128i ok = _mm_set1_epi8(-1);
    __m128i a = nibbles(text + 3, &ok), b = nibbles(text + 19, &ok), c = nibbles(text + 36, &ok);

    _mm_storeu_si128((__m128i *)(void *)ret_trace_id, _mm_packus_epi16(pairs(a), pairs(b)));
    _mm_storel_epi64((__m128i *)(void *)ret_span_id, _mm_packus_epi16(pairs(c), pairs(c)));
    return _mm_movemask_epi8(ok) == 0xFFFF;
}

#else

static bool is_lower_hex(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!((text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f')))
            return false;
    return true;
}

static bool read_ids(const char *text, uint8_t ret_trace_id[16], uint64_t *ret_span_id)
{
    return is_lower_hex(text + 3, 32) && is_lower_hex(text + 36, 16) &&
           clew__unhex(ret_trace_id, text + 3, 16) == 0 &&
           clew__unhex(ret_span_id, text + 36, 8) == 0;
}

#endif

/* Far below zero when it is no lower-case hex. */
static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -256;
}

/* Negative when it is no lower-case hex. */
static int read_byte(const char *text)
{
    return digit(text[0]) * 16 + digit(text[1]);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

bool clew__traceparent_parse(const char *text, size_t len, uint8_t ret_trace_id[16],
                             uint64_t *ret_span_id, uint8_t *ret_flags)
{
    uint64_t trace_id[2], span_id;
    int version, flags;

    if (len != CLEW__TRACEPARENT_LEN || is_blank(text[0]) || is_blank(text[len - 1]))
        clew__trim(&text, &len);
    if (len < CLEW__TRACEPARENT_LEN || text[2] != '-' || text[35] != '-' || text[52] != '-' ||
        !read_ids(text, (uint8_t *)trace_id, &span_id))
        return false;
    if (!(trace_id[0] | trace_id[1]) || !span_id)
        return false;
    version = text[0] == '0' && text[1] == '0' ? 0 : read_byte(text);
    flags = text[53] == '0' ? digit(text[54]) : read_byte(text + 53);
    if (version < 0 || version == 0xFF || flags < 0)
        return false;
    /* Only a version to come may have more, and then behind a dash. */
    if (len > CLEW__TRACEPARENT_LEN && (version == 0 || text[CLEW__TRACEPARENT_LEN] != '-'))
        return false;
    memcpy(ret_trace_id, trace_id, 16);
    *ret_span_id = span_id;
    *ret_flags = (uint8_t)flags & (CLEW_TRACE_SAMPLED | CLEW_TRACE_RANDOM);
    return true;
}

void clew__traceparent_put(char ret[CLEW__TRACEPARENT_LEN + 1], const uint8_t trace_id[16],
                           uint64_t span_id, uint8_t flags)
{
    memcpy(ret, "00-", 3);
    clew__hex(ret + 3, trace_id, 16);
    ret[35] = '-';
    clew__hex(ret + 36, &span_id, 8);
    memcpy(ret + 52, "-0", 2);
    ret[54] = (char)('0' + (flags & (CLEW_TRACE_SAMPLED | CLEW_TRACE_RANDOM)));
    ret[55] = '\0';
}
