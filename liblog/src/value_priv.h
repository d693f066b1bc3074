/* SPDX-License-Identifier: Apache-2.0
 *
 * Values as they lie in a record: 8 bytes for the fixed types, for the others
 * 4 bytes of length (UINT32_MAX: NULL) and
 *
 *   STRING MESSAGE HEX BASE64 JSON   the bytes
 *   IP                               4 or 16 bytes
 *   ARRAY                            enum clew_element, then the elements: 1 byte for a bool,
 *                                    8 for a number, a STRING's form for a string
 *   OBJECT                           of each field: type, length of the key, key, value
 */
#ifndef CLEW_VALUE_PRIV_H
#define CLEW_VALUE_PRIV_H

#include <clew/sink.h>

#include <string.h>

static inline bool clew__type_is_fixed(unsigned type)
{
    return type < CLEW_TYPE_STRING;
}

/* Whether a record or a file may have it. */
bool clew__type_is_stored(unsigned type);

/* The type field i has in records and lines: a secret is a string. */
static inline uint8_t clew__stored_type(const struct clew_site *site, unsigned i)
{
    uint8_t type = site->types[i];

    if (!(site->secrets & (1u << i)) || type == CLEW_TYPE_BOOL || type == CLEW_TYPE_NULL ||
        type == CLEW_TYPE_HELD)
        return type;
    return CLEW_TYPE_STRING;
}

/* Bytes the value takes. LAZY and SECRET are resolved before. */
size_t clew__value_size(unsigned type, const struct clew_value *value);
/* Writes them; returns the end. */
char *clew__value_put(char *at, unsigned type, const struct clew_value *value);
/* The next value of that type at *at, which moves on; false when it does not
 * fit into what is left. Of a type that is not fixed, s and len are the bytes. */
static inline bool clew__value_next(const char *bytes, size_t len, size_t *at, unsigned type,
                                    struct clew_value *ret)
{
    const char *p = bytes + *at;
    size_t left = len - *at;
    uint32_t n;

    *ret = clew_value_uint(0);
    if (clew__type_is_fixed(type)) {
        if (left < 8)
            return false;
        memcpy(&ret->as.u, p, 8);
        *at += 8;
        return true;
    }
    if (left < 4)
        return false;
    memcpy(&n, p, 4);
    *at += 4;
    if (n == CLEW__NULL_STRING)
        return true;
    if (n > left - 4)
        return false;
    ret->as.s = p + 4;
    ret->len = n;
    *at += n;
    return true;
}

#endif
