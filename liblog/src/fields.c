/* SPDX-License-Identifier: Apache-2.0
 * Fields in a row: set, replace, read. Stateless. */
#include "fields_priv.h"

#include "secret_priv.h"
#include "value_priv.h"

#include <errno.h>
#include <string.h>

bool clew__fields_next(const char *bytes, size_t len, size_t *at, struct clew__field *ret)
{
    size_t p = *at;

    if (len - p < 2)
        return false;
    ret->type = (enum clew_type)(uint8_t)bytes[p];
    ret->key_len = (uint8_t)bytes[p + 1];
    p += 2;
    if (!clew__type_is_stored(ret->type) || len - p < ret->key_len)
        return false;
    ret->key = bytes + p;
    p += ret->key_len;
    if (!clew__value_next(bytes, len, &p, ret->type, &ret->value))
        return false;
    *at = p;
    return true;
}

/* Where the field of that key is; its size, 0 when there is none. */
static size_t find(const struct clew__fields *fields, const char *key, size_t key_len,
                   size_t *ret_at)
{
    struct clew__field field;
    size_t at = 0, start = 0;

    while (clew__fields_next(fields->bytes, fields->len, &at, &field)) {
        if (field.key_len == key_len && memcmp(field.key, key, key_len) == 0) {
            *ret_at = start;
            return at - start;
        }
        start = at;
    }
    *ret_at = fields->len;
    return 0;
}

int clew__fields_set(struct clew__fields *fields, const char *key, unsigned type,
                     const struct clew_value *given)
{
    size_t key_len = strlen(key), size, old_at, old;
    struct clew_value value = *given;
    char token[CLEW__TOKEN_BYTES];
    char *at;

    if (type == CLEW_TYPE_SECRET || clew_key_is_secret(key))
        type = clew__tokenise(type, &value, token);
    if (key_len == 0 || key_len > 255 || !clew__type_is_stored(type) || type == CLEW_TYPE_MESSAGE)
        return -EINVAL;
    size = 2 + key_len + clew__value_size(type, &value);
    old = find(fields, key, key_len, &old_at);
    if (fields->len - old + size > fields->max_bytes || (!old && fields->n == fields->max_n))
        return -E2BIG;
    if (old) {
        memmove(fields->bytes + old_at, fields->bytes + old_at + old, fields->len - old_at - old);
        fields->n--;
    }
    at = fields->bytes + fields->len - old;
    *at++ = (char)type;
    *at++ = (char)(uint8_t)key_len;
    memcpy(at, key, key_len);
    (void)clew__value_put(at + key_len, type, &value);
    fields->len = (uint16_t)(fields->len - old + size);
    fields->n++;
    return 0;
}
