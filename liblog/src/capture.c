/* SPDX-License-Identifier: Apache-2.0
 *
 * Captured descriptors. Each has a pipe in its place and a thread of its own
 * that cuts what comes into lines. The thread logs into its own ring and takes
 * no lock of this file, so it goes on reading whoever else writes: the collector
 * may write to a captured descriptor too and waits at most until this thread
 * was given a record or dropped it.
 *
 * Threads: the table is changed under table_lock; a reader uses only what was
 * set before it began, and its atomics. An entry is in use from the moment
 * `active` is set until its thread has been joined.
 */
#include "capture_priv.h"
#include "core_priv.h"
#include "crash_priv.h"

#include <clew/capture.h>
#include <json.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define CAPTURES_MAX 8
#define LINE_BYTES 8192u
#define SILENCE_MS 100
#define DRAIN_NS UINT64_C(2000000000)
#define MARK "\xE2\x80\xA6" /* … */
#define MARK_BYTES (sizeof(MARK) - 1)

struct capture {
    _Atomic bool active;
    _Atomic bool reading; /* has bytes that are not logged yet */
    bool foreign;         /* the parent's: the thread is not in this process */
    int fd;
    int original; /* a copy of what fd was */
    int pipe;     /* the end to read */
    int wake;     /* an eventfd: written to once, to stop */
    dev_t dev;    /* of the pipe */
    ino_t ino;
    enum clew_level level;
    pthread_t thread;
    char origin[CLEW__ORIGIN_BYTES];
};

static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
static struct capture captures[CAPTURES_MAX];

/* ---- lines ------------------------------------------------------------------ */

static void emit(enum clew_level level, const char *origin, const char *text, size_t len)
{
#define X(name, number, lower)                                                    \
    case CLEW_LEVEL_##name:                                                       \
        clew_log(CLEW_LEVEL_##name, "captured output", clew_kv("origin", origin), \
                 clew_kvn("text", text, len));                                    \
        break;
    switch (level) {
        CLEW_LEVEL_MAP(X)
    case CLEW_LEVEL_OFF:
        break;
    }
#undef X
}

/* The line that is being read. */
struct line {
    size_t len;
    bool continues; /* a piece of it was logged already */
    char text[LINE_BYTES];
};

/* Logs the first len bytes, as a piece of a longer line where it is one. */
static void put(const struct capture *capture, struct line *line, const char *text, size_t len,
                bool ends)
{
    char piece[MARK_BYTES + LINE_BYTES + MARK_BYTES];
    size_t n = 0;

    if (ends && len > 0 && text[len - 1] == '\r')
        len--;
    if (!line->continues && ends) {
        if (len > 0)
            emit(capture->level, capture->origin, text, len);
        return;
    }
    if (line->continues) {
        memcpy(piece, MARK, MARK_BYTES);
        n = MARK_BYTES;
    }
    memcpy(piece + n, text, len);
    n += len;
    if (!ends) {
        memcpy(piece + n, MARK, MARK_BYTES);
        n += MARK_BYTES;
    }
    emit(capture->level, capture->origin, piece, n);
    line->continues = !ends;
}

/* Logs the lines that are whole, and a piece when there is no room for more. */
static void take_lines(const struct capture *capture, struct line *line)
{
    char *from = line->text, *end = line->text + line->len, *newline;
    size_t cut;

    while ((newline = memchr(from, '\n', (size_t)(end - from))) != NULL) {
        put(capture, line, from, (size_t)(newline - from), true);
        from = newline + 1;
    }
    line->len = (size_t)(end - from);
    if (line->len == sizeof(line->text)) {
        cut = clew__utf8_cut(from, line->len, line->len - 1);
        put(capture, line, from, cut, false);
        from += cut;
        line->len -= cut;
    }
    memmove(line->text, from, line->len);
}

/* ---- the thread --------------------------------------------------------------- */

/* Waits for something to read; false when there will be nothing more: after
 * the wish to stop, when nobody has written for a while or it goes on too long. */
static bool wait_for_more(struct capture *capture, uint64_t *stop_ns)
{
    struct pollfd ready[2] = {{.fd = capture->pipe, .events = POLLIN},
                              {.fd = capture->wake, .events = POLLIN}};
    int n;

    for (;;) {
        if (*stop_ns && clew__monotonic_ns() - *stop_ns > DRAIN_NS)
            return false;
        n = poll(ready, *stop_ns ? 1 : 2, *stop_ns ? SILENCE_MS : -1);
        if (n == 0 && *stop_ns)
            return false;
        if (ready[1].revents && !*stop_ns)
            *stop_ns = clew__monotonic_ns();
        if (n > 0 && ready[0].revents)
            return true;
    }
}

static void *read_lines(void *arg)
{
    struct capture *capture = arg;
    struct line line = {.len = 0};
    uint64_t stop_ns = 0;
    ssize_t n;

    (void)pthread_setname_np(pthread_self(), "clew-capture");
    while (wait_for_more(capture, &stop_ns)) {
        atomic_store(&capture->reading, true);
        n = read(capture->pipe, line.text + line.len, sizeof(line.text) - line.len);
        if (n == 0)
            break; /* nobody has it open any more */
        if (n > 0) {
            line.len += (size_t)n;
            take_lines(capture, &line);
        }
        atomic_store(&capture->reading, false);
    }
    if (line.len > 0 || line.continues)
        put(capture, &line, line.text, line.len, true);
    atomic_store(&capture->reading, false);
    return NULL;
}

static int start_thread(struct capture *capture)
{
    sigset_t old;
    int err;

    clew__block_signals(&old);
    err = pthread_create(&capture->thread, NULL, read_lines, capture);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return -err;
}

bool clew__capture_is_idle(void)
{
    for (size_t i = 0; i < CAPTURES_MAX; i++) {
        int left = 0;

        /* In this order: what left the pipe is seen as being read. */
        if (atomic_load(&captures[i].active) && !captures[i].foreign &&
            ((ioctl(captures[i].pipe, FIONREAD, &left) == 0 && left > 0) ||
             atomic_load(&captures[i].reading)))
            return false;
    }
    return true;
}

/* ---- begin and end -------------------------------------------------------------- */

static void close_all(struct capture *capture)
{
    if (capture->original >= 0)
        close(capture->original);
    if (capture->pipe >= 0)
        close(capture->pipe);
    if (capture->wake >= 0)
        close(capture->wake);
}

/* Puts the original back, unless the program put something else there. */
static void restore(const struct capture *capture)
{
    struct stat now;
    int flags = fcntl(capture->fd, F_GETFD);

    if (flags >= 0 && fstat(capture->fd, &now) == 0 && now.st_dev == capture->dev &&
        now.st_ino == capture->ino)
        (void)dup3(capture->original, capture->fd, flags & FD_CLOEXEC ? O_CLOEXEC : 0);
}

/* table_lock held. The thread is there before the pipe is in place. */
static int begin(struct capture *capture, int flags)
{
    struct stat st;
    int ends[2], err;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    capture->pipe = ends[0];
    capture->original = fcntl(capture->fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    capture->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    err = capture->original < 0 || capture->wake < 0 ||
                  fcntl(capture->pipe, F_SETFL, O_NONBLOCK) < 0 || fstat(capture->pipe, &st) < 0
              ? -errno
              : start_thread(capture);
    if (err < 0) {
        close(ends[1]);
        close_all(capture);
        return err;
    }
    capture->dev = st.st_dev;
    capture->ino = st.st_ino;
    atomic_store(&capture->active, true);
    if (dup3(ends[1], capture->fd, flags & FD_CLOEXEC ? O_CLOEXEC : 0) < 0)
        err = -errno; /* the thread finds the pipe closed and ends */
    close(ends[1]);
    if (err < 0) {
        pthread_join(capture->thread, NULL);
        atomic_store(&capture->active, false);
        close_all(capture);
    }
    return err;
}

static void end(struct capture *capture)
{
    static const uint64_t one = 1;

    restore(capture);
    if (!capture->foreign) {
        if (write(capture->wake, &one, sizeof(one)) == (ssize_t)sizeof(one))
            pthread_join(capture->thread, NULL);
    }
    atomic_store(&capture->active, false);
    close_all(capture);
}

static void before_fork(void)
{
    pthread_mutex_lock(&table_lock);
}

static void in_parent(void)
{
    pthread_mutex_unlock(&table_lock);
}

/* Only the parent reads: were the end for reading open here as well, a child
 * that outlives it would wait for ever once the pipe is full. */
static void in_child(void)
{
    for (size_t i = 0; i < CAPTURES_MAX; i++) {
        struct capture *capture = &captures[i];

        if (!atomic_load(&capture->active) || capture->foreign)
            continue;
        capture->foreign = true;
        close(capture->pipe);
        close(capture->wake);
        capture->pipe = capture->wake = -1;
    }
    pthread_mutex_unlock(&table_lock);
}

/* table_lock held. Logging has started: at exit its end comes after ours. */
static void register_once(void)
{
    static bool registered;

    if (registered)
        return;
    registered = true;
    (void)pthread_atfork(before_fork, in_parent, in_child);
    (void)atexit(clew_capture_stop);
}

/* table_lock held. A free entry, none when fd has one or there is none. */
static int find_place(int fd, struct capture **ret)
{
    struct capture *found = NULL;

    for (size_t i = 0; i < CAPTURES_MAX; i++) {
        if (!atomic_load(&captures[i].active))
            found = &captures[i];
        else if (captures[i].fd == fd)
            return clew_set_error(-EEXIST, "capture: descriptor %d is captured already", fd);
    }
    if (!found)
        return clew_set_error(-ENOSPC, "capture: %d descriptors are captured, that is the limit",
                              CAPTURES_MAX);
    *ret = found;
    return 0;
}

int clew_capture_fd(int fd, const char *origin, enum clew_level level)
{
    struct capture *capture = NULL;
    int err = clew__capture_check(fd, origin, level), flags;

    if (err < 0)
        return err;
    flags = fcntl(fd, F_GETFD);
    if (flags < 0)
        return clew_set_error(-errno, "capture: descriptor %d: %s", fd, strerror(errno));
    pthread_mutex_lock(&table_lock);
    err = find_place(fd, &capture);
    if (err == 0) {
        register_once();
        *capture =
            (struct capture){.fd = fd, .original = -1, .pipe = -1, .wake = -1, .level = level};
        memcpy(capture->origin, origin, strlen(origin));
        err = begin(capture, flags);
        if (err < 0)
            (void)clew_set_error(err, "capture: descriptor %d: %s", fd, strerror(-err));
    }
    pthread_mutex_unlock(&table_lock);
    return err;
}

int clew_capture_stderr(enum clew_level level)
{
    return clew_capture_fd(STDERR_FILENO, "stderr", level);
}

void clew_capture_stop(void)
{
    pthread_mutex_lock(&table_lock);
    for (size_t i = 0; i < CAPTURES_MAX; i++) {
        if (!atomic_load(&captures[i].active))
            continue;
        if (captures[i].fd == STDOUT_FILENO)
            (void)fflush(stdout); /* what it holds was written before the end */
        end(&captures[i]);
    }
    pthread_mutex_unlock(&table_lock);
}
