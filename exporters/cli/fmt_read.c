/* SPDX-License-Identifier: Apache-2.0
 *
 * Cuts a file into whole lines. The buffer holds a few blocks of read(2) and
 * grows for a line that does not fit, up to the bound of a line; what is longer
 * still is handed on in parts as it comes and never held as a whole.
 */
#include "fmt.h"
#include "input.h"

#include <json.h>

#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES (256u << 10)

struct cutter {
    char *data;
    size_t len, cap;
    enum { WHOLE, SHOWN, HIDDEN } in_line; /* not WHOLE: inside one too long */
};

/* Makes room behind the data; false when there is no memory. */
static bool make_room(struct cutter *c)
{
    size_t cap = c->cap ? 2 * c->cap : BLOCK_BYTES;
    char *data;

    if (c->len < c->cap)
        return true;
    data = realloc(c->data, cap);
    if (!data)
        return false;
    c->data = data;
    c->cap = cap;
    return true;
}

/* Inside a line too long; the number of bytes done with. The last character
 * waits for the rest of its bytes. */
static size_t go_on(struct cli_fmt *f, struct cutter *c)
{
    const char *stop = memchr(c->data, '\n', c->len);
    size_t n = stop ? (size_t)(stop - c->data) : clew__utf8_cut(c->data, c->len, c->len - 1);

    if (c->in_line == SHOWN && n > 0)
        cli_fmt_long_part(f, c->data, n);
    if (!stop)
        return n;
    if (c->in_line == SHOWN)
        cli_fmt_long_end(f);
    c->in_line = WHOLE;
    return n + 1;
}

/* The whole lines among the bytes; the number of bytes done with. */
static size_t whole_lines(struct cli_fmt *f, struct cutter *c, size_t from)
{
    const char *last = memrchr(c->data + from, '\n', c->len - from);
    size_t n = last ? (size_t)(last + 1 - c->data) : from;

    cli_fmt_lines(f, c->data + from, n - from);
    if (f->stop || c->len - n < CLI_LINE_MAX_BYTES)
        return n;
    from = clew__utf8_cut(c->data, c->len, c->len - 1);
    c->in_line = cli_fmt_long_begin(f, c->data, from) ? SHOWN : HIDDEN;
    return from;
}

static void cut(struct cli_fmt *f, struct cutter *c)
{
    size_t done = 0;

    if (c->in_line != WHOLE)
        done = go_on(f, c);
    if (c->in_line == WHOLE)
        done = whole_lines(f, c, done);
    c->len -= done;
    memmove(c->data, c->data + done, c->len);
}

/* The end of a file is the end of its last line. */
static void finish(struct cli_fmt *f, struct cutter *c)
{
    if (c->in_line == WHOLE && c->len > 0)
        cli_fmt_lines(f, c->data, c->len);
    else if (c->in_line == SHOWN) {
        cli_fmt_long_part(f, c->data, c->len);
        cli_fmt_long_end(f);
    }
    c->len = 0;
    c->in_line = WHOLE;
}

static void read_all(struct cli_fmt *f, struct cli_input *in, struct cutter *c)
{
    while (!f->stop) {
        ssize_t n;

        if (!make_room(c)) {
            cli_complain(in->name, "no memory for a line of %zu bytes", c->len);
            f->stop = f->trouble = true;
            return;
        }
        n = cli_input_read(in, c->data + c->len, c->cap - c->len);
        f->trouble |= n < 0;
        if (n > 0) {
            c->len += (size_t)n;
            cut(f, c);
            if (!in->regular)
                cli_fmt_flush(f);
        } else if (n == 0 && f->follow) {
            cli_fmt_print_kept(f);
            cli_fmt_flush(f);
            if (!f->stop && cli_input_wait(in))
                finish(f, c);
        } else {
            finish(f, c);
            return;
        }
    }
}

void cli_fmt_file(struct cli_fmt *f, const char *name)
{
    struct cutter c = {.in_line = WHOLE};
    struct cli_input in;

    f->name = strcmp(name, "-") == 0 ? "stdin" : name;
    f->line_number = 0;
    if (cli_input_open(&in, name, f->follow) < 0) {
        f->trouble = true;
        return;
    }
    read_all(f, &in, &c);
    cli_input_close(&in);
    free(c.data);
}
