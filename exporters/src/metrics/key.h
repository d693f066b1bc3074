/* SPDX-License-Identifier: Apache-2.0
 *
 * What short texts are hashed and compared by: numbers that are read straight
 * from them, nothing beyond their end.
 */
#ifndef CLEW_KEY_H
#define CLEW_KEY_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define CLEW__SECRET_1 UINT64_C(0xA0761D6478BD642F) /* odd bits, about half of them set */
#define CLEW__SECRET_2 UINT64_C(0xE7037ED1A0B428DB)

/* Up to 16 bytes as two numbers that overlap in the middle, of a longer text a
 * hash. */
struct clew__key {
    uint64_t a, b, len;
};

/* lookup.c: of more than 16 bytes. */
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

static inline struct clew__key clew__key_of(const char *p, size_t len, uint64_t seed)
{
    if (len > 16)
        return (struct clew__key){clew__hash_long(p, len, seed), 0, len};
    if (len >= 8)
        return (struct clew__key){clew__load8(p), clew__load8(p + len - 8), len};
    if (len >= 4)
        return (struct clew__key){clew__load4(p), clew__load4(p + len - 4), len};
    if (len == 0)
        return (struct clew__key){0, 0, 0};
    return (struct clew__key){(uint64_t)(unsigned char)p[0] << 8 | (unsigned char)p[len - 1],
                              (unsigned char)p[len / 2], len};
}

static inline uint64_t clew__hash_key(const struct clew__key *key, uint64_t seed)
{
    return clew__key_mix(key->a ^ seed, key->b ^ CLEW__SECRET_1 ^ key->len << 56);
}

#endif
