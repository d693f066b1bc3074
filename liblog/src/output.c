/* SPDX-License-Identifier: Apache-2.0
 *
 * The local output: stdout, stderr or a file, as JSON or readable text. Lines
 * gather in a buffer and go out in whole lines. When the output refuses, what
 * it did not take is counted and given up, except the rest of a line that is
 * half out: that is kept and goes first, so that no line is ever torn.
 * Collector thread.
 */
#include "core_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FLUSH_BYTES 65536u
#define BUFFER_MAX (4u << 20)

static int fd = -1;
static bool is_closed; /* the descriptor was closed when we came: lines are lost */
static bool own_fd;
static bool as_text;
static bool with_colour;
static struct clew__buf out;

int clew__output_open(void)
{
    const char *target = clew__config.output;
    const char *no_color = getenv("NO_COLOR");

    clew__buf_init(&out, BUFFER_MAX);
    own_fd = false;
    if (strcmp(target, "none") == 0) {
        fd = -1;
        return 0;
    }
    if (strcmp(target, "stdout") == 0) {
        fd = STDOUT_FILENO;
    } else if (strcmp(target, "stderr") == 0) {
        fd = STDERR_FILENO;
    } else {
        fd = open(target, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
        if (fd < 0)
            return clew_set_error(-errno, "CLEW_LOG_OUTPUT=%s: %s", target, strerror(errno));
        own_fd = true;
    }
    if (fcntl(fd, F_GETFD) < 0) {
        /* Never written to: another file may get this number later. */
        is_closed = true;
        fd = -1;
        return 0;
    }
    as_text = clew__config.format == CLEW__FORMAT_TEXT ||
              (clew__config.format == CLEW__FORMAT_AUTO && isatty(fd));
    with_colour = as_text && isatty(fd) && !(no_color && *no_color);
    return 0;
}

static void count_lost(const char *bytes, size_t len)
{
    uint64_t lines = 0;

    for (const char *p = bytes; (p = memchr(p, '\n', len - (size_t)(p - bytes))) != NULL; p++)
        lines++;
    atomic_fetch_add_explicit(&clew__counters.output, lines, memory_order_relaxed);
}

/* written bytes went out, then the output failed. */
static void give_up(size_t written)
{
    const char *rest = out.data + written;
    size_t left = out.len - written, keep = 0;

    if (written > 0 && rest[-1] != '\n')
        keep = (size_t)((char *)memchr(rest, '\n', left) - rest) + 1;
    count_lost(rest + keep, left - keep);
    memmove(out.data, rest, keep);
    out.len = keep;
}

void clew__output_flush(void)
{
    size_t written = 0;

    if (out.failed) { /* never while lines are bounded; do not lose the rest with it */
        clew__buf_reset(&out);
        return;
    }
    while (written < out.len) {
        ssize_t n = write(fd, out.data + written, out.len - written);

        if (n >= 0) {
            written += (size_t)n;
            continue;
        }
        if (errno == EINTR)
            continue;
        if (errno == EAGAIN || errno == EWOULDBLOCK) {
            struct pollfd ready = {.fd = fd, .events = POLLOUT};

            (void)poll(&ready, 1, 100); /* the rings hold what comes meanwhile */
            continue;
        }
        give_up(written);
        return;
    }
    out.len = 0;
}

void clew__output_line(const struct clew__line *line, const struct clew_line *json)
{
    if (is_closed)
        CLEW__COUNT_ONE(output);
    if (fd < 0)
        return;
    if (as_text)
        clew__format_text(&out, line, with_colour);
    else
        clew__buf_add(&out, json->json, json->json_len);
    clew__buf_addc(&out, '\n');
    if (out.len >= FLUSH_BYTES)
        clew__output_flush();
}

bool clew__output_wants_json(void)
{
    return fd >= 0 && !as_text;
}

void clew__output_close(void)
{
    if (fd >= 0)
        clew__output_flush();
    if (own_fd)
        close(fd);
    fd = -1;
    clew__buf_done(&out);
}

void clew__output_after_fork(void)
{
    out.len = 0; /* the parent's lines */
}
