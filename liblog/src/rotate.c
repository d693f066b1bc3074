/* SPDX-License-Identifier: Apache-2.0
 *
 * When a log file has to make place for a new one, and the renames. They go
 * from the oldest to the newest under the lock, so that no name is ever taken
 * by two: a crash anywhere leaves a gap in the numbers and every line. Who
 * finds that path is another file than the one it has open was late: somebody
 * else rotated, and opening anew is all there is to do. What is written to the
 * old file until then is safe, see rotate_priv.h. One thread a rotation.
 */
#include "rotate_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#define LOCK_WAIT_MS 100u
#define RETRY_S 60u
#define OPEN_TRIES 100

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

bool clew__reopen_needed(int fd, const char *path)
{
    struct stat mine, there;

    if (fstat(fd, &mine) < 0)
        return true;
    return stat(path, &there) < 0 ? errno == ENOENT : !same_file(&mine, &there);
}

static void take_after(int fd, const struct stat *like)
{
    struct stat mine;

    if (fstat(fd, &mine) < 0)
        return;
    /* Who may not do this has a file of its own, which is good as well. */
    if (mine.st_uid != like->st_uid || mine.st_gid != like->st_gid)
        if (fchown(fd, like->st_uid, like->st_gid) < 0 && fchown(fd, (uid_t)-1, like->st_gid) < 0)
            return;
    if ((mine.st_mode & 0777) != (like->st_mode & 0777))
        (void)fchmod(fd, like->st_mode & 0777);
}

static int open_or_create(const char *path, const struct stat *like)
{
    const int flags = O_WRONLY | O_APPEND | O_CLOEXEC;
    int fd = open(path, flags);

    if (fd >= 0 || errno != ENOENT)
        return fd;
    fd = open(path, flags | O_CREAT, 0640 & (like ? like->st_mode : 0640));
    if (fd >= 0 && like)
        take_after(fd, like);
    return fd;
}

int clew__log_file_open(const char *path, const struct stat *like, int *ret_fd)
{
    for (int tries = 0; tries < OPEN_TRIES; tries++) {
        int fd = open_or_create(path, like);
        struct stat st;

        if (fd < 0)
            return clew_set_error(-errno, "%s: %s", path, strerror(errno));
        /* Only a compressor has it exclusively, and then it is no longer at
         * path; nor may it have gone between open and lock. */
        if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
            ((flock(fd, LOCK_SH | LOCK_NB) == 0 || errno != EWOULDBLOCK) &&
             !clew__reopen_needed(fd, path))) {
            *ret_fd = fd;
            return 0;
        }
        close(fd);
    }
    return clew_set_error(-EBUSY, "%s: is moved or locked again and again", path);
}

void clew__rotated_path(const struct clew__rotation *rotation, unsigned n, bool is_gz,
                        char ret[CLEW__ROTATED_PATH_MAX])
{
    if (n == 0)
        (void)snprintf(ret, CLEW__ROTATED_PATH_MAX, "%s.gz.tmp", rotation->path);
    else
        (void)snprintf(ret, CLEW__ROTATED_PATH_MAX, "%s.%u%s", rotation->path, n,
                       is_gz ? ".gz" : "");
}

int clew__rotation_lock(const struct clew__rotation *rotation, unsigned timeout_ms)
{
    static const struct timespec millisecond = {0, 1000000};
    char name[CLEW__ROTATED_PATH_MAX];
    int fd, error;

    (void)snprintf(name, sizeof(name), "%s.lock", rotation->path);
    fd = open(name, O_RDONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (fd < 0)
        return clew_set_error(-errno, "%s: %s", name, strerror(errno));
    for (unsigned i = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; i++) {
        error = errno;
        if (error != EINTR && (error != EWOULDBLOCK || i >= timeout_ms)) {
            close(fd);
            return clew_set_error(-error, "%s: %s", name, strerror(error));
        }
        (void)nanosleep(&millisecond, NULL);
    }
    return fd;
}

void clew__unlock(int fd)
{
    (void)flock(fd, LOCK_UN);
    close(fd);
}

/* Moves or removes PATH.n in both its forms; 0 or -errno. */
static int move_slot(const struct clew__rotation *rotation, unsigned n, bool remove_it)
{
    char from[CLEW__ROTATED_PATH_MAX], to[CLEW__ROTATED_PATH_MAX];

    for (int is_gz = 0; is_gz < 2; is_gz++) {
        clew__rotated_path(rotation, n, is_gz, from);
        clew__rotated_path(rotation, n + 1, is_gz, to);
        if ((remove_it ? unlink(from) : rename(from, to)) < 0 && errno != ENOENT)
            return clew_set_error(-errno, "%s: %s", from, strerror(errno));
    }
    return 0;
}

static bool slot_is_free(const struct clew__rotation *rotation, unsigned n)
{
    char name[CLEW__ROTATED_PATH_MAX];
    struct stat st;

    for (int is_gz = 0; is_gz < 2; is_gz++) {
        clew__rotated_path(rotation, n, is_gz, name);
        if (lstat(name, &st) == 0 || errno != ENOENT)
            return false;
    }
    return true;
}

/* Makes PATH.1 free. Removes what is beyond `keep`, also when that was larger. */
static int shift(const struct clew__rotation *rotation)
{
    const unsigned keep = rotation->policy.keep;
    unsigned n = 1;
    int r = 0;

    while (n < keep && !slot_is_free(rotation, n))
        n++;
    if (n == keep)
        r = move_slot(rotation, keep, true);
    for (unsigned old = keep + 1; r == 0 && !slot_is_free(rotation, old); old++)
        r = move_slot(rotation, old, true);
    while (r == 0 && --n > 0)
        r = move_slot(rotation, n, false);
    return r;
}

/* Path is the file in *fd and the lock is held. */
static int rotate_locked(struct clew__rotation *rotation, int *fd)
{
    char newest[CLEW__ROTATED_PATH_MAX];
    struct stat like;
    int r, new_fd;

    if (fstat(*fd, &like) < 0)
        return clew_set_error(-errno, "%s: %s", rotation->path, strerror(errno));
    r = shift(rotation);
    if (r < 0)
        return r;
    clew__rotated_path(rotation, 1, false, newest);
    if (rename(rotation->path, newest) < 0)
        return clew_set_error(-errno, "%s: %s", newest, strerror(errno));
    r = clew__log_file_open(rotation->path, &like, &new_fd);
    if (r < 0) /* what is written until it works goes to PATH.1 */
        return r;
    close(*fd);
    *fd = new_fd;
    return 0;
}

static int reopen(const struct clew__rotation *rotation, int *fd)
{
    struct stat like;
    bool known = fstat(*fd, &like) == 0;
    int new_fd, r = clew__log_file_open(rotation->path, known ? &like : NULL, &new_fd);

    if (r < 0)
        return r;
    close(*fd);
    *fd = new_fd;
    return 1;
}

/* The period of a file that is there already is the one of its last line. */
static void begin_period(struct clew__rotation *rotation, int fd, uint64_t now_s)
{
    uint64_t from_s = now_s;
    struct stat st;

    /* The clock of time stamps may be some ms late: a file that was begun at
     * midnight must not look like yesterday's. */
    if (fstat(fd, &st) == 0 && st.st_size > 0 && st.st_mtime >= 0 &&
        (uint64_t)st.st_mtime + 1 < now_s)
        from_s = (uint64_t)st.st_mtime + 1;
    rotation->due_s = clew__period_end(&rotation->policy.period, from_s);
}

static void say_no_zlib(struct clew__rotation *rotation)
{
    if (!rotation->say_no_zlib)
        return;
    rotation->say_no_zlib = false;
    clew_warn("rotated log files stay uncompressed: zlib is not there",
              clew_kv("library", rotation->policy.libz), clew_kv("path", rotation->path));
}

int clew__rotate(struct clew__rotation *rotation, int *fd, uint64_t now_s)
{
    int r, lock = clew__rotation_lock(rotation, LOCK_WAIT_MS);

    if (lock < 0)
        r = lock;
    else if (clew__reopen_needed(*fd, rotation->path))
        r = reopen(rotation, fd);
    else
        r = rotate_locked(rotation, fd);
    if (lock >= 0)
        clew__unlock(lock);
    if (r == -EAGAIN) { /* somebody is at it: the file is another one soon */
        rotation->retry_s = now_s + 1;
        return 1;
    }
    if (r < 0) {
        rotation->retry_s = now_s + RETRY_S;
        return r;
    }
    rotation->retry_s = 0;
    begin_period(rotation, *fd, now_s);
    if (rotation->policy.compress)
        clew__compressor_ask(rotation);
    say_no_zlib(rotation);
    return r;
}

bool clew__rotate_due(struct clew__rotation *rotation, uint64_t size, uint64_t now_s)
{
    const struct clew__rotation_policy *policy = &rotation->policy;
    bool daily = policy->period.kind != CLEW__PERIOD_SECONDS;
    uint64_t far_s = now_s + 2 * (daily ? 86400 : policy->period.seconds);
    bool over = rotation->due_s && now_s >= rotation->due_s;

    if (rotation->retry_s > now_s && rotation->retry_s - now_s <= RETRY_S)
        return false;
    /* Also when the clock was set back. */
    if ((over && size == 0) || rotation->due_s > far_s)
        rotation->due_s = clew__period_end(&policy->period, now_s);
    return size > 0 && (over || (policy->max_bytes && size >= policy->max_bytes));
}

int clew__rotation_tend(struct clew__rotation *rotation, int *fd, uint64_t now_s)
{
    struct stat st;
    int r = 0;

    if (clew__reopen_needed(*fd, rotation->path)) {
        r = reopen(rotation, fd);
        if (r < 0)
            return r;
        begin_period(rotation, *fd, now_s);
    }
    if (fstat(*fd, &st) < 0 || !clew__rotate_due(rotation, (uint64_t)st.st_size, now_s))
        return r;
    r = clew__rotate(rotation, fd, now_s);
    return r < 0 ? r : 1;
}

/* Opens the file and finds out where it really is: neither chdir() nor a link
 * changes what is renamed later. */
static int open_real(const char *path, char ret_real[CLEW__LOG_PATH_MAX], int *ret_fd)
{
    char *real = NULL;
    struct stat st;
    int fd = -1, r = 0;

    for (int tries = 0; !real && tries < OPEN_TRIES; tries++) {
        if (fd >= 0)
            close(fd);
        r = clew__log_file_open(path, NULL, &fd);
        if (r < 0)
            return r;
        real = realpath(path, NULL); /* another process may just have moved it */
        if (!real && errno != ENOENT)
            break;
    }
    if (!real)
        r = clew_set_error(-errno, "%s: %s", path, strerror(errno));
    else if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        r = clew_set_error(-EINVAL, "%s: only a regular file can be rotated", path);
    else if (strlen(real) >= CLEW__LOG_PATH_MAX)
        r = clew_set_error(-EINVAL, "%s: the path is too long to rotate", path);
    if (r == 0) {
        memcpy(ret_real, real, strlen(real) + 1);
        *ret_fd = fd;
    } else {
        close(fd);
    }
    free(real);
    return r;
}

int clew__rotation_open(struct clew__rotation *rotation, const char *path,
                        const struct clew__rotation_policy *policy, uint64_t now_s, int *ret_fd)
{
    char real[CLEW__LOG_PATH_MAX];
    int r;

    if (policy->keep < 1 || policy->keep > CLEW__KEEP_MAX)
        return clew_set_error(-EINVAL, "%s: %u rotated files cannot be kept, 1 to %u can", path,
                              policy->keep, CLEW__KEEP_MAX);
    r = open_real(path, real, ret_fd);
    if (r < 0)
        return r;
    *rotation = (struct clew__rotation){.policy = *policy};
    memcpy(rotation->path, real, strlen(real));
    begin_period(rotation, *ret_fd, now_s);
    if (!policy->libz)
        rotation->policy.libz = "libz.so.1";
    if (policy->compress && !clew__compressor_init(&rotation->compressor, rotation->policy.libz)) {
        rotation->policy.compress = false;
        rotation->say_no_zlib = true; /* later: the log may not run yet */
    }
    if (rotation->policy.compress)
        clew__compressor_ask(rotation); /* what a crash left */
    return 0;
}

void clew__rotation_close(struct clew__rotation *rotation)
{
    if (rotation->policy.compress)
        clew__compressor_done(&rotation->compressor);
}

void clew__rotation_after_fork(struct clew__rotation *rotation)
{
    if (rotation->policy.compress)
        clew__compressor_after_fork(&rotation->compressor);
}
