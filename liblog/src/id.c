/* SPDX-License-Identifier: Apache-2.0
 *
 * Ids from xoshiro256++ (Blackman and Vigna, 2019), one generator per thread,
 * seeded by the kernel and seeded again in the child of a fork.
 */
#include "id_priv.h"

#include <cpu.h>
#include <hex.h>
#include <json.h>

#include <endian.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

void clew__random_seed(struct clew__thread *self, unsigned epoch)
{
    if (getrandom(self->random, sizeof(self->random), 0) != (ssize_t)sizeof(self->random)) {
        /* No entropy to be had: distinct is what is left to aim for. */
        self->random[0] = clew__realtime_ns();
        self->random[1] = (uint64_t)(uintptr_t)self;
        self->random[2] = clew__ticks();
        self->random[3] = (uint64_t)getpid() << 32 | epoch;
    }
    self->random[0] |= 1; /* never all zero */
    self->epoch = epoch;
}

uint64_t clew_id_span(void)
{
    return clew__id_span();
}

void clew_id_trace(uint8_t ret_id[16])
{
    uint64_t high = clew_id_span(), low = clew__random();

    memcpy(ret_id, &high, 8);
    memcpy(ret_id + 8, &low, 8);
}

/* ---- UUIDs as text ------------------------------------------------------------------ */

static void put_uuid(char *text, uint64_t high, uint64_t low)
{
    const uint64_t bytes[2] = {htobe64(high), htobe64(low)};
    char hex[32];

    clew__hex(hex, bytes, 16);
    memcpy(text, hex, 8);
    memcpy(text + 9, hex + 8, 4);
    memcpy(text + 14, hex + 12, 4);
    memcpy(text + 19, hex + 16, 4);
    memcpy(text + 24, hex + 20, 12);
    text[8] = text[13] = text[18] = text[23] = '-';
    text[36] = '\0';
}

#if defined(__x86_64__)

/* The same without a detour through memory: -1 makes a zero, which a dash or a digit of the
 * other half takes the place of. */
static __attribute__((target("avx2"), noinline)) void put_uuid_avx2(char *text, char *same,
                                                                    uint64_t high, uint64_t low)
{
    const __m128i first = _mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, -1, 8, 9, 10, 11, -1, 12, 13);
    const __m128i dashes = _mm_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, '-', 0, 0, 0, 0, '-', 0, 0);
    const __m128i end =
        _mm_setr_epi8(14, 15, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1);
    const __m128i second = _mm_setr_epi8(-1, -1, -1, 0, 1, 2, 3, -1, 4, 5, 6, 7, 8, 9, 10, 11);
    const __m128i more_dashes = _mm_setr_epi8(0, 0, '-', 0, 0, 0, 0, '-', 0, 0, 0, 0, 0, 0, 0, 0);
    __m128i a = clew__hex_of(_mm_cvtsi64_si128((int64_t)htobe64(high)));
    __m128i b = clew__hex_of(_mm_cvtsi64_si128((int64_t)htobe64(low)));
    __m128i front = _mm_or_si128(_mm_shuffle_epi8(a, first), dashes);
    __m128i back = _mm_or_si128(_mm_or_si128(_mm_shuffle_epi8(a, end), more_dashes),
                                _mm_shuffle_epi8(b, second));
    uint64_t rest = (uint32_t)_mm_extract_epi32(b, 3); /* and the NUL */

    _mm_storeu_si128((__m128i *)(void *)text, front);
    _mm_storeu_si128((__m128i *)(void *)(text + 16), back);
    memcpy(text + 32, &rest, 5);
    if (same) {
        _mm_storeu_si128((__m128i *)(void *)same, front);
        _mm_storeu_si128((__m128i *)(void *)(same + 16), back);
        memcpy(same + 32, &rest, 5);
    }
}

#endif

/* RFC 9562, section 5.7: milliseconds, a counter in rand_a (section 6.2, method 1, here one
 * of each thread), and 62 random bits. */
void clew__id_uuid7_twice(char ret_text[37], char ret_same[37])
{
    uint64_t low = UINT64_C(1) << 63 | clew__random() >> 2, high;
    struct timespec t;

    /* Of the last timer interrupt, some milliseconds ago: a fifth of the cost. */
    clock_gettime(CLOCK_REALTIME_COARSE, &t);
    high = ((uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / 1000000u) << 16 | 0x7000 |
           (clew__self.uuid_count++ & 0xFFF);
#if defined(__x86_64__)
    if (clew__avx2) {
        put_uuid_avx2(ret_text, ret_same, high, low);
        return;
    }
#endif
    put_uuid(ret_text, high, low);
    if (ret_same)
        put_uuid(ret_same, high, low);
}

void clew_id_uuid7(char ret_text[37])
{
    clew__id_uuid7_twice(ret_text, NULL);
}
