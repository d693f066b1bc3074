/* SPDX-License-Identifier: Apache-2.0
 * Which lines are asked for. */
#ifndef CLEW_CLI_FILTER_H
#define CLEW_CLI_FILTER_H

#include "find.h"
#include "scan.h"

#include <regex.h>
#include <stdint.h>

#define CLI_CONDITIONS_MAX 32
#define CLI_PATH_DOTS_MAX 15

enum cli_op { CLI_PRESENT, CLI_EQUAL, CLI_NOT_EQUAL, CLI_MATCHES };

struct cli_condition {
    enum cli_op op;
    bool number; /* the value is one */
    const char *key, *value;
    size_t key_len, value_len;
    regex_t regex;
};

/* Zero is a filter that lets all through, but for rank, which is -1 then. */
struct cli_filter {
    int rank; /* at least this; -1 any */
    bool has_since, has_until;
    int64_t since_ns, until_ns;
    const char *grep; /* the raw line contains it; NULL any */
    struct cli_condition conditions[CLI_CONDITIONS_MAX];
    size_t n;
    char *needle; /* of the search */
    struct cli_find find;
    struct clew__buf scratch;
};

/* Adds "K=V", "K!=V", "K~REGEX" or "K"; text is borrowed. NULL, or why not:
 * static, or in the filter. */
const char *cli_filter_add(struct cli_filter *filter, const char *text);
/* The same for K=V from its two halves. */
const char *cli_filter_add_equal(struct cli_filter *filter, const char *key, const char *value);
/* Call when all was added. Returns whether filter->find may be used: a line
 * with neither its needle nor its escape is none that is asked for. False: look
 * at every line. -1: no memory. */
int cli_filter_prepare(struct cli_filter *filter);
void cli_filter_done(struct cli_filter *filter);

/* Whether the line, or the text that is no JSON, is asked for: a text that is
 * no JSON object has no fields. */
bool cli_filter_selects(struct cli_filter *filter, const char *line, size_t len);
/* For what cannot be read as JSON anyway. */
bool cli_filter_selects_text(const struct cli_filter *filter, const char *text, size_t len);

/* The value at a dotted path, at the top or in the context; false for none. */
bool cli_field_at(const char *line, size_t len, const char *path, size_t path_len,
                  struct clew__scan_value *ret);

#endif
