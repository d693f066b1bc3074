/* SPDX-License-Identifier: Apache-2.0
 * traceparent: W3C Trace Context level 2, section 3.2. Stateless. */
#include "propagate_priv.h"

#include <json.h>

#include <string.h>
#if defined(__x86_64__)
#include <cpu.h>

#include <immintrin.h>
#endif

/* ---- ids: neither may be all zeros; nothing is stored unless both are good ---------- */

static bool is_lower_hex(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!((text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f')))
            return false;
    return true;
}

static bool read_ids(const char *text, uint8_t ret_trace_id[16], uint64_t *ret_span_id)
{
    uint64_t trace_id[2], span_id;

    if (!is_lower_hex(text + 3, 32) || !is_lower_hex(text + 36, 16) ||
        clew__unhex(trace_id, text + 3, 16) < 0 || clew__unhex(&span_id, text + 36, 8) < 0 ||
        !(trace_id[0] | trace_id[1]) || !span_id)
        return false;
    memcpy(ret_trace_id, trace_id, 16);
    *ret_span_id = span_id;
    return true;
}

#if defined(__x86_64__)

#define AVX2 __attribute__((target("avx2")))

static inline AVX2 __m128i load(const char *text)
{
    return _mm_loadu_si128((const __m128i *)(const void *)text);
}

/* The values of digits; bits of *wrong are set by what is no lower-case hex. */
static inline AVX2 __m256i values(__m256i c, __m256i *wrong)
{
    /* Between '9' and 'a' there are 39 others, and the last of them have values too. */
    __m256i letter = _mm256_cmpgt_epi8(c, _mm256_set1_epi8('9'));
    __m256i value = _mm256_sub_epi8(_mm256_sub_epi8(c, _mm256_set1_epi8('0')),
                                    _mm256_and_si256(letter, _mm256_set1_epi8(39)));
    __m256i least = _mm256_and_si256(letter, _mm256_set1_epi8(10));

    *wrong = _mm256_or_si256(*wrong, _mm256_or_si256(_mm256_subs_epu8(value, _mm256_set1_epi8(15)),
                                                     _mm256_subs_epu8(least, value)));
    return value;
}

static AVX2 bool read_ids_avx2(const char *text, uint8_t ret_trace_id[16], uint64_t *ret_span_id)
{
    const __m256i weights = _mm256_set1_epi16(0x0110); /* the first digit 16, the second 1 */
    __m256i wrong = _mm256_setzero_si256();
    __m256i trace = values(_mm256_set_m128i(load(text + 19), load(text + 3)), &wrong);
    __m256i span = values(_mm256_broadcastsi128_si256(load(text + 36)), &wrong);
    __m256i bytes = _mm256_packus_epi16(_mm256_maddubs_epi16(trace, weights),
                                        _mm256_maddubs_epi16(span, weights));
    __m128i front = _mm256_castsi256_si128(bytes); /* half of the trace id, then the span's */
    __m128i trace_id = _mm_unpacklo_epi64(front, _mm256_extracti128_si256(bytes, 1));
    uint64_t span_id = (uint64_t)_mm_extract_epi64(front, 1);

    if (!_mm256_testz_si256(wrong, wrong) || _mm_testz_si128(trace_id, trace_id) || !span_id)
        return false;
    _mm_storeu_si128((__m128i *)(void *)ret_trace_id, trace_id);
    *ret_span_id = span_id;
    return true;
}

#define READ_IDS (clew__avx2 ? read_ids_avx2 : read_ids)

#else

#define READ_IDS read_ids

#endif

/* ---- the header ---------------------------------------------------------------------- */

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

/* What is not of version 00 without flags of level 3 and up, or has blanks around it. */
static __attribute__((noinline)) bool parse_unusual(const char *text, size_t len,
                                                    uint8_t ret_trace_id[16], uint64_t *ret_span_id,
                                                    uint8_t *ret_flags)
{
    int version, flags;

    clew__trim(&text, &len);
    if (len < CLEW__TRACEPARENT_LEN || text[2] != '-' || text[35] != '-' || text[52] != '-')
        return false;
    version = read_byte(text);
    flags = read_byte(text + 53);
    if (version < 0 || version == 0xFF || flags < 0)
        return false;
    /* Only a version to come may have more, and then behind a dash. */
    if (len > CLEW__TRACEPARENT_LEN && (version == 0 || text[CLEW__TRACEPARENT_LEN] != '-'))
        return false;
    if (!READ_IDS(text, ret_trace_id, ret_span_id))
        return false;
    *ret_flags = (uint8_t)flags & (CLEW_TRACE_SAMPLED | CLEW_TRACE_RANDOM);
    return true;
}

bool clew__traceparent_parse(const char *text, size_t len, uint8_t ret_trace_id[16],
                             uint64_t *ret_span_id, uint8_t *ret_flags)
{
    int flags;

    if (len != CLEW__TRACEPARENT_LEN || memcmp(text, "00-", 3) != 0 || text[35] != '-' ||
        memcmp(text + 52, "-0", 2) != 0)
        return parse_unusual(text, len, ret_trace_id, ret_span_id, ret_flags);
    flags = digit(text[54]);
    if (flags < 0 || !READ_IDS(text, ret_trace_id, ret_span_id))
        return false;
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
