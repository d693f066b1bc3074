/* SPDX-License-Identifier: Apache-2.0
 *
 * What short texts are hashed and compared by: numbers that are read straight
 * from them, nothing beyond their end.
 */
#ifndef CLEW_KEY_H
#define CLEW_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define CLEW__SECRET_1 UINT64_C(0xA0761D6478BD642F) /* odd bits, about half of them set */
#define CLEW__SECRET_2 UINT64_C(0xE7037ED1A0B428DB)

#define CLEW__KEY_WHOLE 16u /* bytes of a text that its key stands for */

/* Up to 16 bytes as two numbers that overlap in the middle, less than eight as one;
 * of a longer text a hash. */
struct clew__key {
    uint64_t a, b, len;
};

/* lookup.c: of more than 32 bytes. */
uint64_t clew__hash_long(const char *p, size_t len, uint64_t seed);

static inline uint64_t clew__key_mix(uint64_t a, uint64_t b)
{
    __extension__ unsigned __int128 product = (unsigned __int128)a * b;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t clew__load8(const char *p)
{
    uint64_t v;

    memcpy(&v, p, 8);
    return v;
}

static inline uint64_t clew__load4(const char *p)
{
    uint32_t v;

    memcpy(&v, p, 4);
    return v;
}

static inline uint64_t clew__load2(const char *p)
{
    uint16_t v;

    memcpy(&v, p, 2);
    return v;
}

/* Of 17 to 32 bytes, as routes often have: all of them, in halves that overlap. */
static inline uint64_t clew__hash_middling(const char *p, size_t len, uint64_t seed)
{
    const char *end = p + len;
    uint64_t first = clew__key_mix(clew__load8(p) ^ seed, clew__load8(p + 8) ^ CLEW__SECRET_1);

    return clew__key_mix(clew__load8(end - 16) ^ first, clew__load8(end - 8) ^ CLEW__SECRET_2);
}

static inline struct clew__key clew__key_of(const char *p, size_t len, uint64_t seed)
{
    if (len >= 8) {
        if (len > 2 * CLEW__KEY_WHOLE)
            return (struct clew__key){clew__hash_long(p, len, seed), 0, len};
        if (len > CLEW__KEY_WHOLE)
            return (struct clew__key){clew__hash_middling(p, len, seed), 0, len};
        return (struct clew__key){clew__load8(p), clew__load8(p + len - 8), len};
    }
    if (len >= 4)
        return (struct clew__key){clew__load4(p) | clew__load4(p + len - 4) << 32, 0, len};
    if (len >= 2)
        return (struct clew__key){clew__load2(p) | clew__load2(p + len - 2) << 16, 0, len};
    return (struct clew__key){len ? (unsigned char)*p : 0, 0, len};
}

static inline uint64_t clew__hash_key(const struct clew__key *key, uint64_t seed)
{
    return clew__key_mix(key->a ^ seed, (key->b ^ CLEW__SECRET_1) + key->len);
}

/* Texts of more than CLEW__KEY_WHOLE bytes whose keys are the same. */
static inline bool clew__key_same_text(const char *a, const char *b, size_t len)
{
    if (__builtin_expect(len > 2 * CLEW__KEY_WHOLE, 0))
        return memcmp(a, b, len) == 0;
    return ((clew__load8(a) ^ clew__load8(b)) | (clew__load8(a + 8) ^ clew__load8(b + 8)) |
            (clew__load8(a + len - 16) ^ clew__load8(b + len - 16)) |
            (clew__load8(a + len - 8) ^ clew__load8(b + len - 8))) == 0;
}

#endif
