/* SPDX-License-Identifier: Apache-2.0
 *
 * Where the bytes come from. A followed file is polled, which also works where
 * nothing tells of changes (network file systems, bind mounts): its size says
 * whether it was cut, its name whether it was rotated away. The old file is
 * read to its end before the new one is begun.
 */
#include "input.h"
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#define POLL_NS 100000000L

const char *cli_command = "fmt";

void cli_complain(const char *name, const char *format, ...)
{
    struct clew__buf text;
    char what[256];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(what, sizeof(what), format, args);
    va_end(args);
    clew__buf_init(&text, 65536);
    cli_add_safe(&text, name, strlen(name));
    clew__buf_addc(&text, '\0');
    fprintf(stderr, "clew %s: %s: %s\n", cli_command, text.failed ? "?" : text.data, what);
    clew__buf_done(&text);
}

int cli_input_open(struct cli_input *in, const char *name, bool follow)
{
    size_t len = strlen(name);
    struct stat st;

    *in = (struct cli_input){.name = name, .fd = STDIN_FILENO};
    if (strcmp(name, "-") == 0)
        in->name = "stdin";
    else
        in->fd = open(name, O_RDONLY | O_CLOEXEC);
    if (in->fd < 0 || fstat(in->fd, &st) < 0) {
        cli_complain(in->name, "%s", strerror(errno));
        cli_input_close(in);
        return -1;
    }
    in->regular = S_ISREG(st.st_mode);
    if (S_ISDIR(st.st_mode) || (follow && !in->regular)) {
        cli_complain(in->name,
                     S_ISDIR(st.st_mode) ? "is a directory" : "--follow needs a regular file");
        cli_input_close(in);
        return -1;
    }
    if (len < 3 || strcmp(name + len - 3, ".gz") != 0)
        return 0;
    in->gz = gzdopen(in->fd, "rb");
    if (!in->gz) {
        cli_complain(in->name, "no memory to unpack it");
        cli_input_close(in);
        return -1;
    }
    (void)gzbuffer(in->gz, 65536);
    return 0;
}

static ssize_t read_gz(struct cli_input *in, char *buf, size_t n)
{
    int got = gzread(in->gz, buf, (unsigned)n), code = Z_OK;
    const char *why;

    if (got > 0)
        return got;
    why = gzerror(in->gz, &code);
    if (code == Z_OK || code == Z_STREAM_END)
        return 0;
    cli_complain(in->name, "%s",
                 code == Z_BUF_ERROR ? "ends in the middle of its packed data"
                 : code == Z_ERRNO   ? strerror(errno)
                                     : why);
    return -1;
}

ssize_t cli_input_read(struct cli_input *in, char *buf, size_t n)
{
    ssize_t got;

    if (in->gz)
        return read_gz(in, buf, n);
    do
        got = read(in->fd, buf, n);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        cli_complain(in->name, "%s", strerror(errno));
    else
        in->position += got;
    return got;
}

/* Goes over to the file that has the name now; false when there is none yet. */
static bool reopen(struct cli_input *in)
{
    int fd = open(in->name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;

    if (fd < 0)
        return false;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        (void)close(fd);
        return false;
    }
    (void)close(in->fd);
    in->fd = fd;
    in->position = 0;
    return true;
}

bool cli_input_wait(struct cli_input *in)
{
    const struct timespec pause = {0, POLL_NS};

    for (;; (void)nanosleep(&pause, NULL)) {
        struct stat now, named;
        bool moved;

        /* The name first: what the old file got before it lost the name is
         * seen by the look at its size. */
        moved = stat(in->name, &named) == 0;
        if (fstat(in->fd, &now) < 0)
            continue;
        moved = moved && (named.st_ino != now.st_ino || named.st_dev != now.st_dev);
        if (now.st_size > in->position)
            return false;
        if (now.st_size < in->position) {
            in->position = lseek(in->fd, 0, SEEK_SET);
            return true;
        }
        if (moved && reopen(in))
            return true;
    }
}

void cli_input_close(struct cli_input *in)
{
    if (in->gz)
        (void)gzclose_r(in->gz);
    else if (in->fd > STDIN_FILENO)
        (void)close(in->fd);
    in->fd = -1;
    in->gz = NULL;
}
