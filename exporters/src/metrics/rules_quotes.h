/* SPDX-License-Identifier: Apache-2.0
 * The quotes of a line of JSON. MT-Safe. */
#ifndef CLEW_RULES_QUOTES_H
#define CLEW_RULES_QUOTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct clew__quotes {
    enum {
        CLEW__QUOTES_FOUND,
        CLEW__QUOTES_NOT_JSON, /* a backslash that nothing good follows */
        CLEW__QUOTES_TOO_HARD, /* a control character, which may be white space */
    } found;
    bool slashes; /* there is an escape somewhere */
    size_t n;
};

/* Notes the places of quotes that begin or end a string, in a line without its
 * newline.
 *
 * args     places: room for len + 64 of them. len: at most 65,535
 *          readable: bytes at line, at least len */
typedef struct clew__quotes clew__quotes_fn(uint16_t *places, const char *line, size_t len,
                                            size_t readable);

/* The one for this processor. */
clew__quotes_fn *clew__quotes_finder(void);
/* The one for all processors. */
clew__quotes_fn clew__find_quotes;

#endif
