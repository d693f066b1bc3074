/* SPDX-License-Identifier: Apache-2.0
 * Short texts hashed and compared in a few instructions, nothing read beyond
 * them. No defence against who chooses texts that collide: tables that use it
 * write over what is there, and compare. */
#ifndef CLEW_RULES_HASH_H
#define CLEW_RULES_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t clew__read(const char *p, size_t n)
{
    uint64_t word = 0;

    memcpy(&word, p, n);
    return word;
}

/* Less than eight bytes as a number; different texts of one length differ. */
static inline uint64_t clew__read_short(const char *p, size_t len)
{
    if (len >= 4)
        return clew__read(p, 4) | clew__read(p + len - 4, 4) << 32;
    if (len >= 2)
        return clew__read(p, 2) | clew__read(p + len - 2, 2) << 16;
    return len ? (unsigned char)*p : 0;
}

static inline uint64_t clew__mix(uint64_t hash, uint64_t word)
{
    __extension__ typedef unsigned __int128 wide;
    wide product = (wide)(hash ^ word) * UINT64_C(0x9E3779B97F4A7C15);

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t clew__hash_text(uint64_t hash, const char *p, size_t len)
{
    if (len < 8)
        return clew__mix(hash, clew__read_short(p, len) ^ (uint64_t)len << 56);
    for (size_t i = 0; i + 8 < len; i += 8)
        hash = clew__mix(hash, clew__read(p + i, 8));
    return clew__mix(hash, clew__read(p + len - 8, 8) ^ (uint64_t)len << 56);
}

static inline bool clew__same_text(const char *a, const char *b, size_t len)
{
    if (len < 8)
        return clew__read_short(a, len) == clew__read_short(b, len);
    for (size_t i = 0; i + 8 < len; i += 8)
        if (clew__read(a + i, 8) != clew__read(b + i, 8))
            return false;
    return clew__read(a + len - 8, 8) == clew__read(b + len - 8, 8);
}

#endif
