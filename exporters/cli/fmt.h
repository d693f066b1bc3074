/* SPDX-License-Identifier: Apache-2.0
 * The parts of `clew fmt`. */
#ifndef CLEW_CLI_FMT_H
#define CLEW_CLI_FMT_H

#include "filter.h"
#include "line.h"

#define CLI_LINE_MAX_BYTES (16u << 20) /* of a line that is read as one */
#define CLI_TAIL_MAX_BYTES (256u << 20)
#define CLI_FIELDS_MAX 64

struct cli_kept {
    char *text;
    size_t len;
};

struct cli_fmt {
    struct cli_filter filter;
    struct cli_style style;
    bool json, strict, count, follow;
    bool terminal; /* the output is one: --json is made safe as well */
    long head;     /* 0: all */
    long tail;     /* 0: all; else kept has so many places */
    const char *fields[CLI_FIELDS_MAX];
    size_t n_fields;

    bool searching; /* with filter.find */
    int out_fd;     /* -1 after a failure */
    struct clew__buf out;
    unsigned long long selected, line_number;
    bool stop;    /* nothing more is asked for */
    bool trouble; /* something was said on stderr */
    struct cli_kept *kept;
    size_t kept_bytes;
    const char *name; /* of the file being read */
};

/* ---- fmt_lines.c ---- */

/* Takes whole lines; the last one may lack its newline. */
void cli_fmt_lines(struct cli_fmt *fmt, const char *data, size_t len);
/* A line too long to be read, in parts: the first says whether the line is
 * asked for. */
bool cli_fmt_long_begin(struct cli_fmt *fmt, const char *part, size_t len);
void cli_fmt_long_part(struct cli_fmt *fmt, const char *part, size_t len);
void cli_fmt_long_end(struct cli_fmt *fmt);
/* Prints the last lines kept and forgets them. */
void cli_fmt_print_kept(struct cli_fmt *fmt);
void cli_fmt_flush(struct cli_fmt *fmt);

/* ---- fmt_read.c ---- */

/* Reads the file to its end, or for ever. */
void cli_fmt_file(struct cli_fmt *fmt, const char *name);

#endif
