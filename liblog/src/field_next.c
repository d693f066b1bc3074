/* SPDX-License-Identifier: Apache-2.0
 * Going through a stored array or object (value_priv.h says how they lie).
 * Lengths inside are checked: they may come from a damaged file. Stateless. */
#include "format_priv.h"

/* The next element; false at the end. */
static bool next_element(const struct clew_value *array, size_t *at, struct clew_field *ret)
{
    static const uint8_t types[] = {0,
                                    CLEW_TYPE_BOOL,
                                    CLEW_TYPE_INT,
                                    CLEW_TYPE_UINT,
                                    CLEW_TYPE_INT,
                                    CLEW_TYPE_UINT,
                                    CLEW_TYPE_DOUBLE,
                                    CLEW_TYPE_STRING};
    unsigned element = (unsigned char)array->as.s[0];

    if (*at == 0)
        *at = 1;
    if (*at >= array->len || element < CLEW_ELEMENT_BOOL || element > CLEW_ELEMENT_STRING)
        return false;
    ret->key = "";
    ret->key_len = 0;
    ret->type = (enum clew_type)types[element];
    if (element == CLEW_ELEMENT_BOOL) {
        ret->value = clew_value_bool(array->as.s[(*at)++] != 0);
        return true;
    }
    return clew__value_next(array->as.s, array->len, at, ret->type, &ret->value);
}

/* The next field, whether it is good or not; false at the end. */
static bool next_field(const struct clew_value *object, size_t *at, struct clew_field *ret)
{
    const char *bytes = object->as.s + *at;
    size_t n;

    if (object->len - *at < 2)
        return false;
    n = (unsigned char)bytes[1];
    if (n > object->len - *at - 2)
        return false;
    ret->type = (enum clew_type)(unsigned char)bytes[0];
    ret->key = bytes + 2;
    ret->key_len = (uint32_t)n;
    *at += 2 + n;
    return clew__type_is_stored(ret->type) &&
           clew__value_next(object->as.s, object->len, at, ret->type, &ret->value);
}

/* Whether a field from `at` on has the same key: the last one counts. */
static bool comes_again(const struct clew_value *object, size_t at, const struct clew_field *field)
{
    struct clew_field other;

    while (next_field(object, &at, &other))
        if (other.key_len == field->key_len && memcmp(other.key, field->key, field->key_len) == 0)
            return true;
    return false;
}

bool clew_field_next(const struct clew_field *container, size_t *at, struct clew_field *ret)
{
    const struct clew_value *value = &container->value;
    bool found;

    if (!value->as.s || *at > value->len || value->len == 0)
        return false;
    if (container->type == CLEW_TYPE_ARRAY) {
        found = next_element(value, at, ret);
    } else if (container->type == CLEW_TYPE_OBJECT) {
        do
            found = next_field(value, at, ret);
        while (found && comes_again(value, *at, ret));
    } else {
        return false;
    }
    if (!found)
        *at = value->len; /* what is malformed ends here for good */
    else if (!clew__type_is_fixed(ret->type) && !ret->value.as.s)
        ret->type = CLEW_TYPE_NULL;
    return found;
}
