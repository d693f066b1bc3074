/* SPDX-License-Identifier: Apache-2.0
 * Reads Prometheus' text format 0.0.4 and OpenMetrics 1.0, a line at a time, in
 * place; quoted UTF-8 names among them. Sources: Prometheus, "Exposition
 * formats"; OpenMetrics 1.0, "Text format". */
#ifndef CLEW_CLI_EXPOSITION_H
#define CLEW_CLI_EXPOSITION_H

#include <stdbool.h>
#include <stddef.h>

#define CLI_LABELS_MAX 64

struct cli_text {
    const char *at;
    size_t len;
};

enum cli_exposition {
    CLI_EXPOSITION_NOTHING, /* blank, a comment */
    CLI_EXPOSITION_HELP,
    CLI_EXPOSITION_TYPE,
    CLI_EXPOSITION_UNIT,
    CLI_EXPOSITION_EOF,
    CLI_EXPOSITION_SAMPLE,
    CLI_EXPOSITION_BAD
};

struct cli_exposition_line {
    struct cli_text name;
    struct cli_text text; /* the help, the type, the unit */
    size_t nlabels;
    struct {
        struct cli_text name;
        struct cli_text value; /* with its escapes */
    } labels[CLI_LABELS_MAX];
    double value;
    bool has_exemplar;
    const char *error; /* of a bad line; static */
};

/* The line without its line break. */
enum cli_exposition cli_exposition_read(const char *line, size_t len,
                                        struct cli_exposition_line *ret);

/* [a-zA-Z_:][a-zA-Z0-9_:]*, a label's name without colons. */
bool cli_exposition_is_name(struct cli_text name, bool colons);

#endif
