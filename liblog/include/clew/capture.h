/* SPDX-License-Identifier: Apache-2.0
 *
 * clew/capture.h: what others write to stderr becomes lines of the log.
 *
 *     clew_log_start("user_service", "1.4.2");
 *     if (clew_capture_stderr(CLEW_LEVEL_WARN) < 0)
 *         clew_warn("stderr is not captured", clew_kv("reason", clew_last_error()));
 *
 * A pipe takes the place of the descriptor; a thread reads it line by line and
 * logs each as "captured output" with the fields origin and text. That covers
 * whatever is written there: by libraries, by the C library (assert, malloc),
 * by programs that are started.
 *
 * The log's own lines must not come back in. So a descriptor that the log is
 * written to is refused: use CLEW_LOG_OUTPUT=stdout, a file, journald or syslog.
 * Where it has to be the terminal or file behind stderr, give the log a
 * descriptor of its own: `CLEW_LOG_OUTPUT=/dev/fd/3 program 3>&2`. A sink that
 * writes a line to a captured descriptor for every line it gets would never end.
 *
 * fork     the child, and what it executes, goes on writing into the pipe of the
 *          parent, whose log has the lines. When the parent has ended such a
 *          write fails with EPIPE (SIGPIPE). A child that outlives its parent
 *          calls clew_capture_stop() first, which gives it the original back
 * crash    what was written but not read when the process dies is lost, unless
 *          clew_crash_install() is in use, which lets the reader finish
 */
#ifndef CLEW_CAPTURE_H
#define CLEW_CAPTURE_H

#include <clew/log.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Logs what is written to fd from now on. Starts logging if it is not running.
 *
 * args     fd: open for writing, it keeps its number and its close-on-exec flag.
 *          origin: 1..63 bytes, copied. level: of the lines, not OFF
 * threads  MT-Safe      signals AS-Unsafe (lock)
 * blocks   never; who writes to fd afterwards waits while the pipe is full
 * limits   8 descriptors at a time. A line has at most 8 KiB: longer ones
 *          become several, of which each but the last ends in "…" and each but
 *          the first begins with it. Empty lines are left out
 * returns  0; -EBUSY when the log is written to fd; -EEXIST when it is captured
 *          already; -EINVAL; -ENOSPC; -EBADF and other -errno. clew_last_error()
 */
CLEW_PUBLIC int clew_capture_fd(int fd, const char *origin, enum clew_level level);

/* The same for stderr, with the origin "stderr". */
CLEW_PUBLIC int clew_capture_stderr(enum clew_level level);

/* Puts the originals back, logs what is still in the pipes, ends the threads.
 * A descriptor that was replaced by something else meanwhile is left alone. Runs
 * at exit by itself, before the log ends; what handlers write there that were
 * registered earlier goes to the originals. Does nothing where nothing is
 * captured.
 *
 * threads  MT-Safe      signals AS-Unsafe (lock)
 * fork     in the child: puts the child's originals back
 * blocks   up to 2 s, and that only while other processes keep writing
 */
CLEW_PUBLIC void clew_capture_stop(void);

#ifdef __cplusplus
}
#endif

#endif
