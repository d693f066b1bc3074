/* SPDX-License-Identifier: Apache-2.0
 * Fields in a row: set, replace, read. Stateless. */
#include "fields_priv.h"

#include <errno.h>
#include <string.h>

bool clew__fields_next(const char *bytes, size_t len, size_t *at, struct clew__field *ret)
{
    size_t p = *at;
    uint16_t n;

    if (len - p < 2)
        return false;
    ret->type = (enum clew_type)(uint8_t)bytes[p];
    ret->key_len = (uint8_t)bytes[p + 1];
    p += 2;
    if (len - p < ret->key_len)
        return false;
    ret->key = bytes + p;
    p += ret->key_len;
    if (ret->type == CLEW_TYPE_STRING) {
        if (len - p < 2)
            return false;
        memcpy(&n, bytes + p, 2);
        p += 2;
        if (len - p < n)
            return false;
        ret->value = clew_value_stringn(bytes + p, n);
        p += n;
    } else {
        if (ret->type < CLEW_TYPE_BOOL || ret->type > CLEW_TYPE_STRING || len - p < 8)
            return false;
        memcpy(&ret->value.as, bytes + p, 8);
        ret->value.len = 0;
        p += 8;
    }
    *at = p;
    return true;
}

/* Where the field of this key lies; its size, 0 when there is none. */
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

int clew__fields_set(struct clew__fields *fields, const char *key, enum clew_type type,
                     const struct clew_value *value)
{
    size_t key_len = strlen(key), string_len = 0, size, old_at, old;
    const char *string = "";
    char *at;

    if (key_len == 0 || key_len > 255)
        return -EINVAL;
    if (type == CLEW_TYPE_STRING && value->as.s) {
        string = value->as.s;
        string_len = value->len == CLEW_LENGTH_UNKNOWN ? strlen(string) : value->len;
    }
    size = 2 + key_len + (type == CLEW_TYPE_STRING ? 2 + string_len : 8);
    old = find(fields, key, key_len, &old_at);
    if (string_len > UINT16_MAX || fields->len - old + size > fields->max_bytes ||
        (!old && fields->n == fields->max_n))
        return -E2BIG;
    if (old) {
        memmove(fields->bytes + old_at, fields->bytes + old_at + old, fields->len - old_at - old);
        fields->n--;
    }
    at = fields->bytes + fields->len - old;
    *at++ = (char)type;
    *at++ = (char)(uint8_t)key_len;
    memcpy(at, key, key_len);
    at += key_len;
    if (type == CLEW_TYPE_STRING) {
        uint16_t n = (uint16_t)string_len;

        memcpy(at, &n, 2);
        memcpy(at + 2, string, string_len);
    } else {
        memcpy(at, &value->as, 8);
    }
    fields->len = (uint16_t)(fields->len - old + size);
    fields->n++;
    return 0;
}
