/* SPDX-License-Identifier: Apache-2.0
 * Colours, width, and text that is safe to print. */
#include "cli.h"

#include <json.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

bool cli_parse_colour(const char *text, enum cli_colour *ret)
{
    static const char *const names[] = {"auto", "always", "never"};

    for (int i = 0; i < 3; i++)
        if (strcmp(text, names[i]) == 0) {
            *ret = (enum cli_colour)i;
            return true;
        }
    return false;
}

bool cli_wants_colour(enum cli_colour choice)
{
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");

    if (choice != COLOUR_AUTO)
        return choice == COLOUR_ALWAYS;
    return isatty(STDOUT_FILENO) && !(no_color && *no_color) &&
           !(term && strcmp(term, "dumb") == 0);
}

int cli_width(void)
{
    const char *columns = getenv("COLUMNS");
    struct winsize size;

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    return columns && atoi(columns) > 0 ? atoi(columns) : 100;
}

const char *cli_colour_of(const char *name, size_t len)
{
    static const char *const colours[] = {"\033[36m", "\033[35m", "\033[34m", "\033[32m",
                                          "\033[33m", "\033[96m", "\033[95m", "\033[94m"};
    unsigned hash = 2166136261u;

    for (size_t i = 0; i < len; i++)
        hash = (hash ^ (unsigned char)name[i]) * 16777619u;
    return colours[hash % (sizeof(colours) / sizeof(colours[0]))];
}

/* Whether 8 bytes are all printable ASCII: the classic "has a byte less than"
 * trick on a word. */
static bool word_is_printable(const char *p)
{
    const uint64_t ones = 0x0101010101010101u, highs = 0x8080808080808080u;
    uint64_t w, del;

    memcpy(&w, p, 8);
    del = w ^ (ones * 0x7F);
    return (((w - ones * 0x20) | (del - ones) | w) & highs) == 0;
}

/* The number of bytes that can be printed as they are. */
static size_t printable_run(const char *text, size_t len)
{
    size_t i = 0;

    while (i < len) {
        unsigned char c = (unsigned char)text[i];
        size_t n;

        if (len - i >= 8 && word_is_printable(text + i)) {
            i += 8;
            continue;
        }
        if (c < 0x80) {
            if (c < 0x20 || c == 0x7F)
                break;
            i++;
            continue;
        }
        n = clew__utf8_sequence(text + i, len - i);
        if (n == 0 || (c == 0xC2 && (unsigned char)text[i + 1] < 0xA0))
            break;
        i += n;
    }
    return i;
}

void cli_add_safe(struct clew__buf *out, const char *text, size_t len)
{
    for (size_t i = 0; i < len;) {
        size_t run = printable_run(text + i, len - i);
        unsigned char c;

        clew__buf_add(out, text + i, run);
        i += run;
        if (i == len)
            break;
        c = (unsigned char)text[i];
        if (c == 0xC2 && clew__utf8_sequence(text + i, len - i) == 2) { /* C1 controls */
            clew__buf_addf(out, "\\x%02x", (unsigned char)text[i + 1]);
            i += 2;
        } else if (c >= 0x80) {
            clew__buf_adds(out, "\xEF\xBF\xBD");
            i++;
        } else {
            clew__buf_addf(out, "\\x%02x", c);
            i++;
        }
    }
}
