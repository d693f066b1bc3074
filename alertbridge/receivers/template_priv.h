/* SPDX-License-Identifier: Apache-2.0
 * A template as parsing (template_parse.c) leaves it for rendering (template.c). */
#ifndef CLEW_ALERTBRIDGE_TEMPLATE_PRIV_H
#define CLEW_ALERTBRIDGE_TEMPLATE_PRIV_H

#include "template.h"

#define CLEW__TEMPLATE_FUNCTIONS_MAX 4u

/* Every field: its name, and whether it is one value, a map of them, or a time. */
#define CLEW__FIELD_MAP(X)                          \
    X(STATUS, "Status", ONE)                        \
    X(RECEIVER, "Receiver", ONE)                    \
    X(EXTERNAL_URL, "ExternalURL", ONE)             \
    X(NOTE, "Note", ONE)                            \
    X(FIRING, "Firing", ONE)                        \
    X(GROUP_LABELS, "GroupLabels", MAP)             \
    X(COMMON_LABELS, "CommonLabels", MAP)           \
    X(COMMON_ANNOTATIONS, "CommonAnnotations", MAP) \
    X(LABELS, "Labels", MAP)                        \
    X(ANNOTATIONS, "Annotations", MAP)              \
    X(STARTS_AT, "StartsAt", TIME)                  \
    X(ENDS_AT, "EndsAt", TIME)

enum clew__field {
#define X(id, name, type) CLEW__FIELD_##id,
    CLEW__FIELD_MAP(X)
#undef X
};

/* A value, as it is written: .Field[.key] with what is done to it. */
struct clew__value {
    enum clew__field field;
    char *key;         /* within a map, or NULL */
    int64_t offset_ns; /* added to a time */
    enum { CLEW__TIME_TEXT, CLEW__TIME_UNIX, CLEW__TIME_UNIX_MS } form;
    struct clew__call {
        /* Appends what it makes of the text. */
        void (*function)(struct clew__buf *buf, const char *text, size_t len, const char *arg);
        char *arg; /* NULL: it has none */
    } calls[CLEW__TEMPLATE_FUNCTIONS_MAX];
    unsigned ncalls;
};

struct clew__piece {
    enum {
        CLEW__PIECE_TEXT,  /* the configuration's words */
        CLEW__PIECE_VALUE, /* a value */
        CLEW__PIECE_IF,    /* unless the value is as it should be, goes on at `to` */
        CLEW__PIECE_JUMP,  /* goes on at `to` */
    } kind;
    char *text; /* of TEXT; of IF: what the value is compared with, NULL: with nothing */
    bool negated;
    size_t to; /* always further on, so rendering ends */
    struct clew__value value;
};

struct clew__template {
    struct clew__piece *pieces;
    size_t n;
};

#endif
