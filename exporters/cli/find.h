/* SPDX-License-Identifier: Apache-2.0
 * Finds a text in many bytes, or an escape that may hide it. */
#ifndef CLEW_CLI_FIND_H
#define CLEW_CLI_FIND_H

#include <stdbool.h>
#include <stddef.h>

/* What may stand in JSON in place of the text itself. */
enum cli_hide {
    CLI_HIDE_NOT, /* nothing: the raw bytes count */
    CLI_HIDE_U,   /* \uXXXX, as every character can be written */
    CLI_HIDE_ANY, /* any escape: the text has characters with a short one */
};

struct cli_find {
    const char *needle; /* borrowed */
    size_t len;
    enum cli_hide hide;
    size_t probe[2]; /* offsets of the bytes looked at first */
};

/* needle: at least one byte. */
void cli_find_init(struct cli_find *find, const char *needle, size_t len, enum cli_hide hide);
/* Where the first needle or escape starts; NULL for none. */
const char *cli_find_next(const struct cli_find *find, const char *p, const char *end);

#endif
