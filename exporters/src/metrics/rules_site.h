/* SPDX-License-Identifier: Apache-2.0
 *
 * What rules_site.c knows about a call site, for rules_event.c.
 */
#ifndef CLEW_RULES_SITE_H
#define CLEW_RULES_SITE_H

#include "rules_priv.h"

#include <clew/sink.h>

/* Where something is in a call. */
struct clew__source {
    enum {
        CLEW__SOURCE_NOWHERE,
        CLEW__SOURCE_FIELD,
        CLEW__SOURCE_TEXT,   /* a field that is a string */
        CLEW__SOURCE_NUMBER, /* one that is always of that kind */
        CLEW__SOURCE_THERE,  /* a string of which only matters whether it is NULL */
        CLEW__SOURCE_OBJECT,
        CLEW__SOURCE_LOGGER,
        CLEW__SOURCE_HIDDEN
    } where;
    uint32_t kind;      /* of a NUMBER */
    uint32_t field, at; /* which one, and how many bytes behind the first value */
    const char *path;   /* of an OBJECT: names below it, with dots */
    bool presence;      /* all that matters is whether it is there */
};

struct clew__memory;

struct clew__observed {
    struct clew__program *program;
    struct clew__source *keys, *values;
    uint64_t serial; /* of the program */
    /* What is known about such an event; NULL: nothing. */
    const struct clew__memo *(*find)(struct clew__memory *memory,
                                     const struct clew__observed *observed,
                                     const struct clew_value *values);
    /* Where its keys and values are texts and numbers, and few: the kinds of the keys,
     * and which field is the value. */
    uint64_t kinds;
    size_t value;
    struct clew__observed *next; /* of those that were replaced */
};

/* A call site's, for ever; what is in it changes when the rules do. Read in between
 * clew__enter() and clew__leave(). NULL: no rule can match. */
struct clew__slot {
    const struct clew_site *site;
    struct clew__observed *_Atomic observed;
};
/* rules_event.c: a field's value; kind is what all values of such a type are, but
 * for texts that are NULL. */
struct clew__rule_value clew__value_of(unsigned type, const struct clew_value *value);
/* Sets what is the same for all events of a site; keys and values are there. */
void clew__observed_prepare(struct clew__observed *observed);
/* Derives metrics from an event. state: a struct clew__slot. */
void clew__observe_event(void *state, const struct clew_site *site,
                         const struct clew_logger *logger, const struct clew_value *values,
                         const struct clew_scope *scope);

#endif
