/* SPDX-License-Identifier: Apache-2.0
 * Layouts of JSON lines, remembered. MT-Unsafe. */
#ifndef CLEW_RULES_LAYOUT_H
#define CLEW_RULES_LAYOUT_H

#include "rules_priv.h"

#define CLEW__LAYOUT_VALUES_MAX 64u /* of a line; more are not remembered */
#define CLEW__LAYOUT_NOWHERE UINT8_MAX

/* A string, number or word in a line that was read. */
struct clew__layout_value {
    const char *at; /* behind the quote of a string */
    uint32_t len;
    uint8_t columns[2]; /* where it counts; CLEW__LAYOUT_NOWHERE: nowhere */
};

struct clew__layouts;

/* NULL without memory. owner clew__layouts_free(), which accepts NULL */
struct clew__layouts *clew__layouts_new(size_t ncolumns);
void clew__layouts_free(struct clew__layouts *layouts);

/* Remembers the layout of a line.
 *
 * args     line: one that is JSON, without control characters and its newline
 *          values: all that it has, in their order. Of those that count in the
 *          same column the last one does */
void clew__layouts_learn(struct clew__layouts *layouts, const char *line, size_t len,
                         const struct clew__layout_value *values, size_t n);

/* Reads a line that has a layout which is remembered, and so is JSON.
 *
 * args     end: of what may be read. event: filled, when there is one
 * returns  its newline; NULL: none is remembered for it, or it lies too near to end */
const char *clew__layouts_read(struct clew__layouts *layouts, const char *line, const char *end,
                               struct clew__rule_value *event);

#endif
