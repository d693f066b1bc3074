/* SPDX-License-Identifier: Apache-2.0
 *
 * Values into records, for what the inlined part of a call does not write
 * itself, and out of them again. Objects are written as deep as they may be,
 * what is deeper is null; keys on the deny-list have tokens for values here
 * too. Stateless.
 */
#include "value_priv.h"

#include "secret_priv.h"

#include <netinet/in.h>
#include <sys/socket.h>

bool clew__type_is_stored(unsigned type)
{
    return (type >= CLEW_TYPE_BOOL && type <= CLEW_TYPE_HELD) ||
           (type >= CLEW_TYPE_STRING && type <= CLEW_TYPE_OBJECT);
}

static unsigned element_of(const struct clew_value *array)
{
    return (unsigned)(array->len >> 56);
}

static size_t count_of(const struct clew_value *array)
{
    return array->len & (((size_t)1 << 56) - 1);
}

/* The bytes of an address; NULL for a family that has none. */
static const void *address_bytes(const struct sockaddr *address, size_t *ret_len)
{
    if (address && address->sa_family == AF_INET) {
        *ret_len = 4;
        return &((const struct sockaddr_in *)(const void *)address)->sin_addr;
    }
    if (address && address->sa_family == AF_INET6) {
        *ret_len = 16;
        return &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
    }
    *ret_len = 0;
    return NULL;
}

static char *put_bytes(char *at, const void *bytes, size_t len)
{
    uint32_t n = bytes ? (uint32_t)len : CLEW__NULL_STRING;

    memcpy(at, &n, 4);
    if (bytes && len)
        memcpy(at + 4, bytes, len);
    return at + 4 + (bytes ? len : 0);
}

/* ---- arrays ------------------------------------------------------------------ */

static size_t array_size(const struct clew_value *value)
{
    size_t n = count_of(value), size = 1;

    if (element_of(value) == CLEW_ELEMENT_BOOL)
        return size + n;
    if (element_of(value) != CLEW_ELEMENT_STRING)
        return size + 8 * n;
    for (size_t i = 0; i < n; i++) {
        const char *s = ((const char *const *)value->as.p)[i];

        size += 4 + (s ? strlen(s) : 0);
    }
    return size;
}

static char *put_element(char *at, const struct clew_value *array, size_t i)
{
    const void *p = array->as.p;
    const char *s;
    int64_t number;

    switch (element_of(array)) {
    case CLEW_ELEMENT_BOOL:
        *at = ((const bool *)p)[i];
        return at + 1;
    case CLEW_ELEMENT_STRING:
        s = ((const char *const *)p)[i];
        return put_bytes(at, s, s ? strlen(s) : 0);
    case CLEW_ELEMENT_INT:
        number = ((const int *)p)[i];
        break;
    case CLEW_ELEMENT_UINT:
        number = ((const unsigned *)p)[i];
        break;
    default:
        memcpy(&number, (const char *)p + 8 * i, 8);
        break;
    }
    memcpy(at, &number, 8);
    return at + 8;
}

/* ---- objects ------------------------------------------------------------------ */

/* The value as it is to be stored, and its type: tokens for secrets. */
static unsigned resolve(const struct clew_fields *fields, size_t i, char token[CLEW__TOKEN_BYTES],
                        struct clew_value *ret)
{
    unsigned type = fields->types[i];

    *ret = fields->values[i];
    if (type == CLEW_TYPE_SECRET || clew_key_is_secret(fields->keys[i]))
        return clew__tokenise(type, ret, token);
    return type == CLEW_TYPE_LAZY || !clew__type_is_stored(type) ? CLEW_TYPE_NULL : type;
}

static size_t size_at(unsigned type, const struct clew_value *value, unsigned depth);
static char *put_at(char *at, unsigned type, const struct clew_value *value, unsigned depth);

static size_t object_size(const struct clew_fields *fields, unsigned depth)
{
    size_t size = 0;

    for (size_t i = 0; i < fields->n; i++) {
        char token[CLEW__TOKEN_BYTES];
        struct clew_value value;
        unsigned type = resolve(fields, i, token, &value);

        size += 2 + strnlen(fields->keys[i], 255) + size_at(type, &value, depth + 1);
    }
    return size;
}

static char *put_object(char *at, const struct clew_fields *fields, unsigned depth)
{
    for (size_t i = 0; i < fields->n; i++) {
        char token[CLEW__TOKEN_BYTES];
        struct clew_value value;
        unsigned type = resolve(fields, i, token, &value);
        size_t key_len = strnlen(fields->keys[i], 255);

        if (type == CLEW_TYPE_OBJECT && depth + 1 >= CLEW_FIELD_DEPTH_MAX)
            type = CLEW_TYPE_NULL;
        *at++ = (char)type;
        *at++ = (char)(uint8_t)key_len;
        memcpy(at, fields->keys[i], key_len);
        at = put_at(at + key_len, type, &value, depth + 1);
    }
    return at;
}

/* ---- all of them ----------------------------------------------------------------- */

static size_t size_at(unsigned type, const struct clew_value *value, unsigned depth)
{
    size_t len;

    if (clew__type_is_fixed(type))
        return 8;
    switch (type) {
    case CLEW_TYPE_IP:
        (void)address_bytes((const struct sockaddr *)value->as.p, &len);
        return 4 + len;
    case CLEW_TYPE_ARRAY:
        return 4 + array_size(value);
    case CLEW_TYPE_OBJECT:
        return depth >= CLEW_FIELD_DEPTH_MAX ? 8 : 4 + object_size(value->as.fields, depth);
    default:
        return 4 + value->len;
    }
}

static char *put_at(char *at, unsigned type, const struct clew_value *value, unsigned depth)
{
    const void *bytes;
    char *end;
    size_t len;
    uint32_t n;

    if (clew__type_is_fixed(type)) {
        memcpy(at, &value->as.u, 8);
        return at + 8;
    }
    switch (type) {
    case CLEW_TYPE_IP:
        bytes = address_bytes((const struct sockaddr *)value->as.p, &len);
        return put_bytes(at, bytes, len);
    case CLEW_TYPE_ARRAY:
        end = at + 4;
        *end++ = (char)element_of(value);
        for (size_t i = 0; i < count_of(value); i++)
            end = put_element(end, value, i);
        break;
    case CLEW_TYPE_OBJECT:
        end = put_object(at + 4, value->as.fields, depth);
        break;
    default:
        return put_bytes(at, value->as.s, value->len);
    }
    n = (uint32_t)(end - at - 4);
    memcpy(at, &n, 4);
    return end;
}

size_t clew__value_size(unsigned type, const struct clew_value *value)
{
    return size_at(type, value, 0);
}

char *clew__value_put(char *at, unsigned type, const struct clew_value *value)
{
    return put_at(at, type, value, 0);
}
