/* SPDX-License-Identifier: Apache-2.0
 *
 * Local outputs. Lines come in batches and go out as whole lines. When an output
 * refuses, what it did not take is counted by reason and given up, except the
 * rest of a line that is half out: that is kept and goes first, so that no line
 * is ever torn. A pipe gets PIPE_BUF bytes at a time and only when they fit: such
 * a write neither blocks nor can it be cut.
 *
 * Threads: the lock of a target is held while its descriptor is used; what is
 * set when it is opened is read without.
 */
#include "target_priv.h"

#include "rotate_priv.h"
#include "sinks_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_BATCH_BYTES 262144u
#define REST_MAX (2u << 20)
#define TEND_NS 100000000u
#define SPINS 4000u

struct target {
    pthread_mutex_t lock;
    _Atomic bool is_locked; /* to look at while the lock is somebody else's */
    int fd;
    int own_fd;  /* of a file: what fd is a copy of. Collector thread */
    bool closed; /* the descriptor was closed when we came: lines are lost */
    bool own;
    bool never_blocks;
    bool is_file;
    bool as_text, colour;
    uint8_t level;
    _Atomic bool failing;
    struct clew__buf rest; /* of a line that is half out */
    bool rotates;
    uint64_t written; /* since the last look, under the lock */
    struct clew__rotation rotation;
    char path[512];
};

static struct target targets[CLEW__TARGETS_MAX];
static _Atomic unsigned ntargets; /* a full ring asks while a stop sets it to 0 */
static _Atomic bool reopen_wanted;
static _Atomic bool rotation_is_due;

/* ---- opening ---------------------------------------------------------------------- */

static void look_at(struct target *target)
{
    struct stat st;

    if (fcntl(target->fd, F_GETFD) < 0 || fstat(target->fd, &st) < 0) {
        /* Never written to: another file may get this number later. */
        target->closed = true;
        return;
    }
    target->is_file = S_ISREG(st.st_mode);
    target->never_blocks = target->is_file || (S_ISCHR(st.st_mode) && !isatty(target->fd));
}

static uint64_t unix_time(void)
{
    return clew__realtime_ns() / 1000000000u;
}

/* A file. Its descriptor is a copy that keeps its number when the file behind
 * it changes: threads write to it meanwhile. */
static int open_file(struct target *target, const struct clew__output *output)
{
    const struct clew__rotation_policy *policy = &output->rotation;
    int err;

    (void)snprintf(target->path, sizeof(target->path), "%s", output->name);
    target->rotates = policy->max_bytes || policy->period.kind != CLEW__PERIOD_NONE;
    err = target->rotates ? clew__rotation_open(&target->rotation, target->path, policy,
                                                unix_time(), &target->own_fd)
                          : clew__log_file_open(target->path, NULL, &target->own_fd);
    if (err < 0)
        return err;
    target->own = true;
    target->fd = fcntl(target->own_fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    return target->fd < 0 ? clew_set_error(-errno, "%s: %s", target->path, strerror(errno)) : 0;
}

static int open_stream(const struct clew__output *output)
{
    struct target *target = &targets[ntargets];
    const char *no_color = getenv("NO_COLOR");
    int err;

    *target = (struct target){.fd = STDOUT_FILENO, .own_fd = -1, .level = (uint8_t)output->level};
    if (strcmp(output->name, "stderr") == 0) {
        target->fd = STDERR_FILENO;
    } else if (strcmp(output->name, "stdout") != 0) {
        char why[512];

        err = open_file(target, output);
        if (err < 0) {
            (void)snprintf(why, sizeof(why), "%s", clew_last_error());
            return clew_set_error(err, "CLEW_LOG_OUTPUT: %s", why);
        }
    }
    look_at(target);
    target->as_text =
        output->format == CLEW__FORMAT_TEXT ||
        (output->format == CLEW__FORMAT_AUTO && !target->closed && isatty(target->fd));
    target->colour =
        target->as_text && !target->closed && isatty(target->fd) && !(no_color && *no_color);
    clew__buf_init(&target->rest, REST_MAX);
    (void)pthread_mutex_init(&target->lock, NULL);
    ntargets++;
    return 0;
}

/* journald and syslog are sinks as any other. */
static int open_sink(const struct clew__output *output)
{
    static struct clew_sink_ops kept[CLEW__TARGETS_MAX];
    static unsigned nkept;
    const char *address = output->name[0] ? output->name : NULL;
    const struct clew_sink_ops *ops;
    void *self;
    int err;

    if (nkept == CLEW__TARGETS_MAX)
        return clew_set_error(-ENOSPC, "CLEW_LOG_OUTPUT: too many sinks");
    err = output->kind == CLEW__OUTPUT_JOURNALD
              ? clew__journald_open(address, &ops, &self)
              : clew__syslog_open(address, output->facility[0] ? output->facility : NULL, &ops,
                                  &self);
    if (err < 0)
        return err;
    kept[nkept] = *ops;
    kept[nkept].min_level = output->level;
    return clew_sink_add(&kept[nkept++], self);
}

int clew__targets_open(void)
{
    for (unsigned i = 0; i < clew__config.noutputs; i++) {
        const struct clew__output *output = &clew__config.outputs[i];
        int err = output->kind == CLEW__OUTPUT_STREAM ? open_stream(output) : open_sink(output);

        if (err < 0) {
            clew__targets_close();
            return err;
        }
    }
    return 0;
}

void clew__targets_close(void)
{
    for (unsigned i = 0; i < ntargets; i++) {
        if (targets[i].rotates)
            clew__rotation_close(&targets[i].rotation);
        if (targets[i].own) {
            close(targets[i].fd);
            close(targets[i].own_fd);
        }
        clew__buf_done(&targets[i].rest);
    }
    ntargets = 0;
}

void clew__targets_after_fork(void)
{
    for (unsigned i = 0; i < ntargets; i++) {
        (void)pthread_mutex_init(&targets[i].lock, NULL);
        atomic_store(&targets[i].is_locked, false);
        targets[i].rest.len = 0; /* the parent's line */
        if (targets[i].rotates)
            clew__rotation_after_fork(&targets[i].rotation);
    }
}

/* Without symbolic links, unless the file was moved in this moment. */
static void absolute_path(const char *path, char *ret, size_t size)
{
    char *real = realpath(path, NULL);
    char *here = real || path[0] == '/' ? NULL : getcwd(NULL, 0);
    int len = snprintf(ret, size, "%s%s%s", here ? here : "", here ? "/" : "", real ? real : path);

    if (len < 0 || (size_t)len >= size)
        ret[0] = '\0';
    free(here);
    free(real);
}

/* stdout, sent to a file by the shell. */
static void path_of_fd(int fd, char *ret, size_t size)
{
    char link[64];
    ssize_t len;

    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    len = readlink(link, ret, size - 1);
    ret[len > 0 ? len : 0] = '\0';
}

void clew__targets_describe(void)
{
    for (unsigned i = 0; i < ntargets; i++) {
        struct clew__file_target it = {.level = targets[i].level, .as_text = targets[i].as_text};

        if (targets[i].own && targets[i].is_file)
            absolute_path(targets[i].path, it.path, sizeof(it.path));
        else if (targets[i].is_file)
            path_of_fd(targets[i].fd, it.path, sizeof(it.path));
        clew__file_set_target(i, &it);
    }
}

unsigned clew__targets_count(void)
{
    return atomic_load_explicit(&ntargets, memory_order_relaxed);
}

bool clew__targets_never_block(void)
{
    for (unsigned i = 0, n = clew__targets_count(); i < n; i++)
        if (!targets[i].never_blocks && !targets[i].closed)
            return false;
    return true;
}

size_t clew__targets_batch_bytes(void)
{
    return clew__targets_never_block() ? FILE_BATCH_BYTES : PIPE_BUF;
}

bool clew__target_wants(unsigned i, unsigned level)
{
    return level >= targets[i].level;
}

bool clew__target_is_text(unsigned i)
{
    return targets[i].as_text;
}

bool clew__target_has_colour(unsigned i)
{
    return targets[i].colour;
}

void clew__targets_positions(struct clew__position ret[CLEW__TARGETS_MAX])
{
    for (unsigned i = 0; i < ntargets; i++) {
        struct stat st;

        ret[i] = (struct clew__position){0, 0};
        if (targets[i].is_file && fstat(targets[i].fd, &st) == 0)
            ret[i] = (struct clew__position){st.st_ino, (uint64_t)st.st_size};
    }
}

static inline void pause_briefly(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* ---- writing ---------------------------------------------------------------------- */

static void count_lost(int error, const char *bytes, size_t len)
{
    uint64_t lines = 0;

    for (const char *p = bytes; (p = memchr(p, '\n', len - (size_t)(p - bytes))) != NULL; p++)
        lines++;
    if (error == ENOSPC || error == EDQUOT || error == EFBIG)
        CLEW__COUNT_MANY(space, lines);
    else if (error == EPIPE || error == EBADF)
        CLEW__COUNT_MANY(closed, lines);
    else
        CLEW__COUNT_MANY(output, lines);
}

/* How much of it to write at once. */
static size_t portion(const struct target *target, const char *data, size_t len)
{
    const char *newline;

    if (target->never_blocks || len <= PIPE_BUF)
        return len;
    newline = memrchr(data, '\n', PIPE_BUF);
    return newline ? (size_t)(newline - data) + 1 : PIPE_BUF;
}

static void wait_until_ready(const struct target *target)
{
    struct pollfd ready = {.fd = target->fd, .events = POLLOUT};

    while (poll(&ready, 1, 100) == 0 || (errno == EINTR && !ready.revents))
        ; /* the rings hold what comes meanwhile */
}

/* Bytes written; all of them, or errno says why not. */
static size_t write_out(const struct target *target, const char *data, size_t len)
{
    size_t written = 0;

    while (written < len) {
        ssize_t n;

        if (!target->never_blocks)
            wait_until_ready(target);
        n = write(target->fd, data + written, portion(target, data + written, len - written));
        if (n >= 0)
            written += (size_t)n;
        else if (errno == EAGAIN)
            wait_until_ready(target);
        else if (errno != EINTR)
            return written;
    }
    return written;
}

static void locked_write(struct target *target, const char *data, size_t len)
{
    size_t written = write_out(target, target->rest.data, target->rest.len);
    const char *rest;
    size_t keep = 0;
    int error;

    if (written < target->rest.len) {
        error = errno;
        memmove(target->rest.data, target->rest.data + written, target->rest.len - written);
        target->rest.len -= written;
        count_lost(error, data, len);
        atomic_store(&target->failing, true);
        return;
    }
    target->rest.len = 0;
    written = write_out(target, data, len);
    if (written == len) {
        atomic_store_explicit(&target->failing, false, memory_order_relaxed);
        return;
    }
    error = errno;
    rest = data + written;
    if (written > 0 && rest[-1] != '\n')
        keep = (size_t)((const char *)memchr(rest, '\n', len - written) - rest) + 1;
    clew__buf_add(&target->rest, rest, keep);
    count_lost(error, rest + keep, len - written - keep);
    atomic_store(&target->failing, true);
}

/* Writing a batch takes some ten microseconds, going to sleep and being woken
 * takes longer: whoever comes meanwhile looks on for a while. */
static void lock(struct target *target)
{
    for (unsigned i = 0; i < SPINS; i++) {
        if (!atomic_load_explicit(&target->is_locked, memory_order_relaxed) &&
            pthread_mutex_trylock(&target->lock) == 0)
            goto mine;
        pause_briefly();
    }
    pthread_mutex_lock(&target->lock);
mine:
    atomic_store_explicit(&target->is_locked, true, memory_order_relaxed);
}

static void unlock(struct target *target)
{
    atomic_store_explicit(&target->is_locked, false, memory_order_relaxed);
    pthread_mutex_unlock(&target->lock);
}

void clew__target_write(unsigned i, const char *data, size_t len)
{
    struct target *target = &targets[i];

    if (target->closed) {
        count_lost(EBADF, data, len);
        return;
    }
    lock(target);
    locked_write(target, data, len);
    target->written += len;
    if (target->rotates && target->rotation.policy.max_bytes &&
        target->written > target->rotation.policy.max_bytes / 8) {
        target->written = 0;
        atomic_store(&rotation_is_due, true);
        clew__collector_wake();
    }
    unlock(target);
}

bool clew__targets_failing(void)
{
    for (unsigned i = 0; i < ntargets; i++)
        if (atomic_load(&targets[i].failing))
            return true;
    return false;
}

/* ---- moved files -------------------------------------------------------------------- */

void clew_log_reopen(void)
{
    atomic_store(&reopen_wanted, true);
}

/* own_fd is another file now: the descriptor that is written to follows. */
static void follow(struct target *target)
{
    pthread_mutex_lock(&target->lock);
    if (target->rest.len) { /* the line that is half out ends where it began */
        (void)write_out(target, target->rest.data, target->rest.len);
        target->rest.len = 0;
    }
    (void)dup3(target->own_fd, target->fd, O_CLOEXEC);
    pthread_mutex_unlock(&target->lock);
}

static void reopen(struct target *target)
{
    int fd;

    if (clew__log_file_open(target->path, NULL, &fd) < 0)
        return; /* better the old file than none */
    close(target->own_fd);
    target->own_fd = fd;
    follow(target);
}

void clew__targets_tend(uint64_t now_ns)
{
    static uint64_t last_ns;
    bool wanted = atomic_exchange(&reopen_wanted, false);
    bool due = atomic_exchange(&rotation_is_due, false);

    if (!wanted && !due && now_ns - last_ns < TEND_NS)
        return;
    last_ns = now_ns;
    for (unsigned i = 0; i < ntargets; i++) {
        struct target *target = &targets[i];

        if (!target->own || !target->is_file)
            continue;
        if (target->rotates) {
            if (clew__rotation_tend(&target->rotation, &target->own_fd, unix_time()) == 1)
                follow(target);
        } else if (wanted || clew__reopen_needed(target->fd, target->path)) {
            reopen(target);
        }
    }
}
