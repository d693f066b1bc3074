/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines as `clew fmt` reads them. Beyond survival: what is printed without
 * colour holds no control, jansson agrees on what is JSON, and the search
 * never hides a line that a filter asks for. The input's first line is a
 * condition, the rest is the log.
 */
#include <fmt.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void must(bool condition, const char *what)
{
    if (!condition) {
        fprintf(stderr, "fuzz_fmt: %s\n", what);
        abort();
    }
}

static void no_controls(const struct clew__buf *out)
{
    for (size_t i = 0; i < out->len; i++) {
        unsigned char c = (unsigned char)out->data[i];

        must((c >= 0x20 || c == '\n') && c != 0x7F, "a control was printed");
        must(i == 0 || (unsigned char)out->data[i - 1] != 0xC2 || c >= 0xA0, "a C1 control");
    }
}

/* Everything jansson takes is taken; but jansson overlooks a NUL behind a number. */
static void agrees(const char *line, size_t len)
{
    const struct cli_style style = {.utc = true};
    json_t *reference = json_loadb(line, len, JSON_ALLOW_NUL, NULL);
    struct clew__buf out;
    bool mine;

    clew__buf_init(&out, 16u << 20);
    mine = cli_format_own(&out, line, len, &style);
    must(mine || !json_is_object(reference) || memchr(line, '\0', len), "a good line was refused");
    must(!out.failed, "out of memory");
    clew__buf_done(&out);
    json_decref(reference);
}

static void print(const char *condition, const char *log, size_t len, bool searching, bool json,
                  struct clew__buf *ret)
{
    static const char *const fields[] = {"message", "a.b"};
    struct cli_fmt f = {.filter = {.rank = len % 7 == 0 ? 3 : -1},
                        .style = {.utc = true, .dated = true},
                        .json = json,
                        .out_fd = -1,
                        .name = "fuzz"};

    f.n_fields = !json && len % 5 == 0 ? 2 : 0;
    memcpy(f.fields, fields, sizeof(fields));
    clew__buf_init(&f.out, 16u << 20);
    if (!cli_filter_add(&f.filter, condition)) {
        f.searching = cli_filter_prepare(&f.filter) > 0 && searching;
        cli_fmt_lines(&f, log, len);
    }
    cli_filter_done(&f.filter);
    *ret = f.out;
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    const char *text = (const char *)data, *log = memchr(text, '\n', size), *end = text + size;
    struct clew__buf searched, read, readable;
    char condition[64];

    if (!log || log - text >= (long)sizeof(condition) || size > 16384)
        return 0;
    (void)snprintf(condition, sizeof(condition), "%.*s", (int)(log - text), text);
    if (strchr(condition, '~') && strlen(condition) > 8)
        return 0; /* the C library's regular expressions are not ours to test */
    log++;
    for (const char *p = log, *stop; p < end; p = stop + 1) {
        stop = memchr(p, '\n', (size_t)(end - p));
        stop = stop ? stop : end;
        agrees(p, (size_t)(stop - p));
        if (stop == end)
            break;
    }
    print(condition, log, (size_t)(end - log), true, true, &searched);
    print(condition, log, (size_t)(end - log), false, true, &read);
    print(condition, log, (size_t)(end - log), true, false, &readable);
    must(searched.len == read.len &&
             (read.len == 0 || memcmp(searched.data, read.data, read.len) == 0),
         "the search hid a line");
    no_controls(&readable);
    clew__buf_done(&searched);
    clew__buf_done(&read);
    clew__buf_done(&readable);
    return 0;
}
