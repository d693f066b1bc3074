/* SPDX-License-Identifier: Apache-2.0
 * Eight bytes as 16 hex digits, in a register. */
#ifndef CLEW_BASE_HEX_H
#define CLEW_BASE_HEX_H

#if defined(__SSE2__)
#include <emmintrin.h>

/* Of the lower half of bytes: its nibbles, then '0' or 'a' - 10 added to each. */
static inline __m128i clew__hex_of(__m128i bytes)
{
    __m128i low = _mm_and_si128(bytes, _mm_set1_epi8(15));
    __m128i high = _mm_and_si128(_mm_srli_epi16(bytes, 4), _mm_set1_epi8(15));
    __m128i nibbles = _mm_unpacklo_epi8(high, low);
    __m128i letter = _mm_cmpgt_epi8(nibbles, _mm_set1_epi8(9));

    return _mm_add_epi8(_mm_add_epi8(nibbles, _mm_set1_epi8('0')),
                        _mm_and_si128(letter, _mm_set1_epi8('a' - '0' - 10)));
}

/* The other way, of either case; false: something is no digit. */
static inline int clew__hex_to(__m128i text, __m128i *ret_bytes)
{
    __m128i lower = _mm_or_si128(text, _mm_set1_epi8(0x20)), nibbles;
    __m128i digit = _mm_and_si128(_mm_cmpgt_epi8(text, _mm_set1_epi8('0' - 1)),
                                  _mm_cmplt_epi8(text, _mm_set1_epi8('9' + 1)));
    __m128i letter = _mm_and_si128(_mm_cmpgt_epi8(lower, _mm_set1_epi8('a' - 1)),
                                   _mm_cmplt_epi8(lower, _mm_set1_epi8('f' + 1)));

    if (_mm_movemask_epi8(_mm_or_si128(digit, letter)) != 0xFFFF)
        return 0;
    nibbles = _mm_add_epi8(_mm_and_si128(text, _mm_set1_epi8(15)),
                           _mm_and_si128(letter, _mm_set1_epi8(9)));
    nibbles = _mm_and_si128(_mm_or_si128(_mm_slli_epi16(nibbles, 4), _mm_srli_epi16(nibbles, 8)),
                            _mm_set1_epi16(255));
    *ret_bytes = _mm_packus_epi16(nibbles, nibbles);
    return 1;
}
#endif

#endif
