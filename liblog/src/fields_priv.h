/* SPDX-License-Identifier: Apache-2.0
 *
 * Typed fields in a row, as bound fields of a context and of a logger and
 * attributes of a span are kept and travel: type, length of the key, key, value
 * (value_priv.h).
 */
#ifndef CLEW_FIELDS_PRIV_H
#define CLEW_FIELDS_PRIV_H

#include <clew/log.h>

struct clew__fields {
    char *bytes; /* the owner's storage */
    uint16_t len;
    uint16_t max_bytes;
    uint16_t n;
    uint16_t max_n;
};

struct clew__field {
    const char *key; /* not NUL-terminated */
    uint8_t key_len;
    enum clew_type type;
    struct clew_value value;
};

/* Adds a field or replaces the one of that key; a secret becomes its token. 0;
 * -EINVAL for an empty key, one over 255 bytes or a type that cannot be kept,
 * -E2BIG when it does not fit: nothing is changed then. */
int clew__fields_set(struct clew__fields *fields, const char *key, unsigned type,
                     const struct clew_value *value);
/* The field at *at, which moves on; false at the end or when it is malformed. */
bool clew__fields_next(const char *bytes, size_t len, size_t *at, struct clew__field *ret);

#endif
