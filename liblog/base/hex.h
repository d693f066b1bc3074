/* SPDX-License-Identifier: Apache-2.0
 * Eight bytes as 16 lower-case hex digits, in a register. */
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
#endif

#endif
