/* SPDX-License-Identifier: Apache-2.0
 * Lines of JSON as events: the members that rules name, where they lie. */
#ifndef CLEW_RULES_JSON_H
#define CLEW_RULES_JSON_H

#include "rules_priv.h"
#include "rules_quotes.h"

/* Longer lines are read by the scanner that `clew fmt` has. */
#define CLEW__JSON_QUICK_MAX 32768u

struct clew__json_node;

/* What is looked for, and what a line had of it. MT-Unsafe. */
struct clew__json_reader {
    struct clew__json_node *nodes; /* the first is the line itself */
    size_t nnodes, ncolumns;
    clew__quotes_fn *find_quotes;
    struct clew__rule_value event[CLEW__COLUMNS_MAX];
    uint8_t ranks[CLEW__COLUMNS_MAX]; /* of what is in event */
    uint16_t quotes[CLEW__JSON_QUICK_MAX + 64];
};

/* 0, -ENOMEM. owner clew__json_done() */
int clew__json_init(struct clew__json_reader *reader, const struct clew__rules *set);
void clew__json_done(struct clew__json_reader *reader);

/* Fills reader->event, which points into the line. All of the line is checked.
 *
 * args     readable: bytes at line, more than len
 * returns  false when it is no JSON object; event is of no use then */
bool clew__json_read(struct clew__json_reader *reader, const char *line, size_t len,
                     size_t readable);
/* The same by the scanner: slower, for any length. */
bool clew__json_read_slowly(struct clew__json_reader *reader, const char *line, size_t len);

#endif
