/* SPDX-License-Identifier: Apache-2.0
 * What may be captured: anything but what the log itself is written to, which
 * would be read, logged, written and read for ever. */
#include "capture_priv.h"
#include "core_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Whether the output's name stands for the descriptor's number. */
static bool names_fd(const char *name, int fd)
{
    static const char *const streams[] = {"stdin", "stdout", "stderr"};
    char path[40];

    if (fd <= STDERR_FILENO) {
        (void)snprintf(path, sizeof(path), "/dev/%s", streams[fd]);
        if (strcmp(name, path) == 0 || strcmp(name, streams[fd]) == 0)
            return true;
    }
    (void)snprintf(path, sizeof(path), "/dev/fd/%d", fd);
    if (strcmp(name, path) == 0)
        return true;
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return strcmp(name, path) == 0;
}

static bool log_is_written_to(int fd)
{
    for (unsigned i = 0; i < clew__config.noutputs; i++)
        if (clew__config.outputs[i].kind == CLEW__OUTPUT_STREAM &&
            names_fd(clew__config.outputs[i].name, fd))
            return true;
    return false;
}

static int check_arguments(int fd, const char *origin, enum clew_level level)
{
    size_t len = origin ? strlen(origin) : 0;
    enum clew_level parsed;

    if (fd < 0)
        return clew_set_error(-EINVAL, "capture: %d is no descriptor", fd);
    if (len == 0 || len >= CLEW__ORIGIN_BYTES)
        return clew_set_error(-EINVAL, "capture: the origin must have 1 to %d bytes",
                              CLEW__ORIGIN_BYTES - 1);
    if (level == CLEW_LEVEL_OFF || clew_level_parse(clew_level_name(level), &parsed) < 0 ||
        parsed != level)
        return clew_set_error(-EINVAL, "capture: %d is no level for lines", (int)level);
    return 0;
}

int clew__capture_check(int fd, const char *origin, enum clew_level level)
{
    int err = check_arguments(fd, origin, level);

    if (err == 0)
        err = clew_log_start(NULL, NULL);
    if (err < 0)
        return err;
    if (log_is_written_to(fd))
        return clew_set_error(-EBUSY,
                              "capture: the log itself is written to descriptor %d; set "
                              "CLEW_LOG_OUTPUT to another stream, a file, journald or syslog",
                              fd);
    return 0;
}
