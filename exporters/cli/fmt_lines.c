/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines of `clew fmt`: picked, counted, kept or printed. Output gathers in one
 * buffer, which the reader flushes when the input would make it wait. The first
 * failure to write ends the run.
 */
#include "fmt.h"
#include "cli.h"
#include "input.h"

#include <json.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FLUSH_BYTES (128u << 10)

void cli_fmt_flush(struct cli_fmt *f)
{
    const char *data = f->out.data;
    size_t len = f->out.len;

    if (f->out.failed) {
        cli_complain(f->name, "no memory to print a line");
        f->stop = f->trouble = true;
    }
    while (len > 0 && f->out_fd >= 0) {
        ssize_t n = write(f->out_fd, data, len);

        if (n >= 0) {
            data += n;
            len -= (size_t)n;
        } else if (errno != EINTR) {
            cli_complain("stdout", "%s", strerror(errno));
            f->stop = f->trouble = true;
            f->out_fd = -1; /* once is enough */
        }
    }
    clew__buf_reset(&f->out);
}

/* What is no JSON; a terminal gets nothing that could control it. */
static void add_text(struct cli_fmt *f, const char *text, size_t len)
{
    if (f->json) {
        if (f->terminal)
            cli_add_safe(&f->out, text, len);
        else
            clew__buf_add(&f->out, text, len);
        return;
    }
    if (f->style.colour)
        clew__buf_adds(&f->out, CLI_DIM);
    cli_add_safe(&f->out, text, len);
    if (f->style.colour)
        clew__buf_adds(&f->out, CLI_RESET);
}

/* Only the fields asked for, as an object or as key=value. */
static void add_fields(struct cli_fmt *f, const char *line, size_t len)
{
    const char *before = f->json ? "{" : "";

    for (size_t i = 0; i < f->n_fields; i++) {
        const char *name = f->fields[i];
        struct clew__scan_value value;
        const char *quote = "\"";

        if (!cli_field_at(line, len, name, strlen(name), &value))
            continue;
        clew__buf_adds(&f->out, before);
        before = f->json ? "," : " ";
        if (f->json) {
            clew__json_string(&f->out, name, strlen(name));
            quote = value.type == CLEW__SCAN_STRING ? "\"" : "";
            clew__buf_addf(&f->out, ":%s", quote);
            add_text(f, value.at, value.len);
            clew__buf_adds(&f->out, quote);
        } else {
            if (f->style.colour)
                clew__buf_adds(&f->out, CLI_DIM);
            cli_add_safe(&f->out, name, strlen(name));
            clew__buf_addc(&f->out, '=');
            if (f->style.colour)
                clew__buf_adds(&f->out, CLI_RESET);
            cli_add_value(&f->out, &value);
        }
    }
    if (f->json)
        clew__buf_adds(&f->out, *before == '{' ? "{}" : "}");
}

static bool is_object(const char *line, size_t len)
{
    struct clew__scan scan;
    struct clew__scan_member member;
    int more = -1;

    if (clew__scan_open(&scan, line, len))
        while ((more = clew__scan_next(&scan, &member)) == 1)
            ;
    return more == 0;
}

static void print_line(struct cli_fmt *f, const char *line, size_t len)
{
    if ((!f->json || f->terminal) && len > 0 && line[len - 1] == '\r')
        len--;
    if (f->n_fields > 0 && is_object(line, len))
        add_fields(f, line, len);
    else if (f->json || !cli_format_own(&f->out, line, len, &f->style))
        add_text(f, line, len);
    clew__buf_addc(&f->out, '\n');
    if (f->out.len >= FLUSH_BYTES || f->out.failed)
        cli_fmt_flush(f);
}

static void keep(struct cli_fmt *f, const char *line, size_t len)
{
    struct cli_kept *place = &f->kept[(f->selected - 1) % (unsigned long long)f->tail];
    char *text = NULL;

    f->kept_bytes -= place->len;
    if (len <= CLI_TAIL_MAX_BYTES - f->kept_bytes)
        text = realloc(place->text, len + 1);
    if (!text) {
        cli_complain(f->name, "--tail: so many lines are more than 256 MiB; ask for fewer");
        free(place->text);
        *place = (struct cli_kept){NULL, 0};
        f->stop = f->trouble = true;
        return;
    }
    memcpy(text, line, len);
    *place = (struct cli_kept){text, len};
    f->kept_bytes += len;
}

void cli_fmt_print_kept(struct cli_fmt *f)
{
    unsigned long long places = (unsigned long long)f->tail,
                       n = f->selected < places ? f->selected : places;

    for (unsigned long long i = f->selected - n; f->kept && i < f->selected; i++) {
        struct cli_kept *place = &f->kept[i % places];

        if (place->text)
            print_line(f, place->text, place->len);
        free(place->text);
    }
    free(f->kept);
    f->kept = NULL;
}

static void select_line(struct cli_fmt *f, const char *line, size_t len)
{
    f->selected++;
    if (f->kept)
        keep(f, line, len);
    else if (!f->count)
        print_line(f, line, len);
    f->stop |= f->head > 0 && f->selected >= (unsigned long long)f->head;
}

/* Where the text stops being a JSON object, counted from 1; 0: it is one. */
static size_t fault(const char *line, size_t len, const char **ret_what)
{
    struct clew__scan scan;
    struct clew__scan_member member;
    int more = -1;

    *ret_what = "is no JSON object";
    if (clew__scan_open(&scan, line, len))
        while ((more = clew__scan_next(&scan, &member)) == 1)
            ;
    if (more < 0)
        return (size_t)(scan.p - line) + 1;
    *ret_what = "is not UTF-8";
    for (size_t i = 0, n; i < len; i += n) {
        uint64_t word = 0x80;

        if (len - i >= 8)
            memcpy(&word, line + i, 8);
        n = word & 0x8080808080808080u ? clew__utf8_sequence(line + i, len - i) : 8;
        if (n == 0)
            return i + 1;
    }
    return 0;
}

/* False, and the run ends, when the line is neither JSON nor blank. */
static bool strictly(struct cli_fmt *f, const char *line, size_t len)
{
    const char *what;
    size_t at, blanks = 0;

    while (blanks < len && strchr(" \t\r", line[blanks]) && line[blanks])
        blanks++;
    at = blanks == len ? 0 : fault(line, len, &what);
    if (at == 0)
        return true;
    cli_fmt_flush(f);
    cli_complain(f->name, "line %llu %s, from column %zu on", f->line_number, what, at);
    f->stop = f->trouble = true;
    return false;
}

void cli_fmt_lines(struct cli_fmt *f, const char *data, size_t len)
{
    const char *p = data, *end = data + len;

    while (p < end && !f->stop) {
        const char *line = p, *stop = p;

        if (f->searching) {
            stop = cli_find_next(&f->filter.find, p, end);
            if (!stop)
                return;
            line = memrchr(p, '\n', (size_t)(stop - p));
            line = line ? line + 1 : p;
        }
        stop = memchr(stop, '\n', (size_t)(end - stop));
        p = stop ? stop + 1 : end;
        stop = stop ? stop : end;
        f->line_number++;
        if (f->strict && !strictly(f, line, (size_t)(stop - line)))
            return;
        if (cli_filter_selects(&f->filter, line, (size_t)(stop - line)))
            select_line(f, line, (size_t)(stop - line));
    }
}

bool cli_fmt_long_begin(struct cli_fmt *f, const char *part, size_t len)
{
    f->line_number++;
    if (f->strict) {
        cli_fmt_flush(f);
        cli_complain(f->name, "line %llu is longer than 16 MiB", f->line_number);
        f->stop = f->trouble = true;
        return false;
    }
    cli_complain(f->name, "a line is longer than 16 MiB: it is not read as JSON");
    if (!cli_filter_selects_text(&f->filter, part, len))
        return false;
    if (f->kept || f->count) {
        select_line(f, part, len);
        return false;
    }
    f->selected++;
    cli_fmt_long_part(f, part, len);
    return true;
}

void cli_fmt_long_part(struct cli_fmt *f, const char *part, size_t len)
{
    add_text(f, part, len);
    if (f->out.len >= FLUSH_BYTES || f->out.failed)
        cli_fmt_flush(f);
}

void cli_fmt_long_end(struct cli_fmt *f)
{
    clew__buf_addc(&f->out, '\n');
    f->stop |= f->head > 0 && f->selected >= (unsigned long long)f->head;
}
