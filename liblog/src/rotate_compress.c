/* SPDX-License-Identifier: Apache-2.0
 *
 * Rotated files to gzip, in a thread of the lowest priority that lives while
 * there is something to compress. It goes by the file, not by its name, which
 * a rotation changes under it: the new file gets the name that the old one has
 * when it is complete. It is complete on the disk before it gets that name, and
 * only then the old one goes: a crash leaves one of them or both, and both are
 * compressed again onto the same name.
 *
 * zlib is looked for at run time, so that nothing has to be linked. Not
 * SCHED_IDLE: a thread that may get no time at all must not hold the allocator's
 * locks. A file that somebody still writes to, or another process compresses,
 * is asked for again after a while.
 */
#include "rotate_priv.h"

#include "crash_priv.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <unistd.h>

#define CHUNK 65536u
#define BUSY_MIN_MS 20u
#define BUSY_MAX_MS 10000u
#define FAILED_MS 600000u /* a full disk: each attempt reads the whole file */
#define RENAME_WAIT_MS 5000u

enum outcome { DONE, BUSY, FAILED };

static void init_locks(struct clew__compressor *compressor)
{
    pthread_condattr_t attributes;

    pthread_mutex_init(&compressor->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&compressor->wake, &attributes);
    pthread_condattr_destroy(&attributes);
}

bool clew__compressor_init(struct clew__compressor *compressor, const char *libz)
{
    void *library = dlopen(libz, RTLD_NOW | RTLD_LOCAL); /* stays loaded */
    struct clew__zlib zlib = {0};

    if (!library)
        return false;
    /* How POSIX has functions come out of dlsym(). */
    *(void **)&zlib.gzdopen = dlsym(library, "gzdopen");
    *(void **)&zlib.gzwrite = dlsym(library, "gzwrite");
    *(void **)&zlib.gzclose = dlsym(library, "gzclose");
    if (!zlib.gzdopen || !zlib.gzwrite || !zlib.gzclose) {
        (void)dlclose(library);
        return false;
    }
    *compressor = (struct clew__compressor){.zlib = zlib};
    init_locks(compressor);
    return true;
}

/* All of source through gzip into target. */
static enum outcome squeeze(struct clew__compressor *compressor, int source, int target)
{
    const struct clew__zlib *zlib = &compressor->zlib;
    enum outcome outcome = DONE;
    char *chunk = malloc(CHUNK);
    int copy = fcntl(target, F_DUPFD_CLOEXEC, 3); /* gzclose() closes it */
    void *gz = chunk && copy >= 0 ? zlib->gzdopen(copy, "wb") : NULL;
    off_t at = 0;

    if (!gz) {
        if (copy >= 0)
            close(copy);
        free(chunk);
        return FAILED;
    }
    while (outcome == DONE) {
        ssize_t n = pread(source, chunk, CHUNK, at);

        if (n == 0)
            break;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 || zlib->gzwrite(gz, chunk, (unsigned)n) != n)
            outcome = FAILED;
        else if (atomic_load_explicit(&compressor->stop, memory_order_relaxed))
            outcome = BUSY;
        else
            at += n;
    }
    if (zlib->gzclose(gz) != 0 && outcome == DONE)
        outcome = FAILED;
    free(chunk);
    return outcome;
}

static bool is_at(const char *path, const struct stat *file)
{
    struct stat st;

    return lstat(path, &st) == 0 && st.st_dev == file->st_dev && st.st_ino == file->st_ino;
}

static void sync_directory(const char *path)
{
    char directory[CLEW__ROTATED_PATH_MAX];
    size_t len = (size_t)(strrchr(path, '/') - path);
    int fd;

    memcpy(directory, path, len);
    memcpy(directory + len, len ? "" : "/", len ? 1 : 2);
    fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    (void)fsync(fd);
    close(fd);
}

/* Gives the finished file the name of the one it was made of. */
static enum outcome put_in_place(const struct clew__rotation *rotation, const struct stat *source,
                                 const char *finished)
{
    char plain[CLEW__ROTATED_PATH_MAX], gz[CLEW__ROTATED_PATH_MAX];
    enum outcome outcome = DONE;
    unsigned n = 1;
    int lock = clew__rotation_lock(rotation, RENAME_WAIT_MS);

    if (lock < 0)
        return BUSY;
    for (; n <= rotation->policy.keep; n++) {
        clew__rotated_path(rotation, n, false, plain);
        if (is_at(plain, source))
            break;
    }
    if (n > rotation->policy.keep) {
        (void)unlink(finished); /* too old meanwhile */
    } else {
        clew__rotated_path(rotation, n, true, gz);
        if (rename(finished, gz) < 0) {
            outcome = FAILED;
        } else {
            sync_directory(gz);
            (void)unlink(plain);
        }
    }
    clew__unlock(lock);
    return outcome;
}

/* source is locked: nobody writes to it, nobody else compresses it. */
static enum outcome compress_locked(struct clew__rotation *rotation, int source)
{
    char name[CLEW__ROTATED_PATH_MAX];
    enum outcome outcome = BUSY;
    struct stat from, to;
    int target;

    if (fstat(source, &from) < 0 || from.st_nlink == 0)
        return DONE; /* compressed or removed by somebody else */
    clew__rotated_path(rotation, 0, true, name);
    target = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (target < 0)
        return FAILED;
    if (flock(target, LOCK_EX | LOCK_NB) < 0 || fstat(target, &to) < 0 || !is_at(name, &to)) {
        close(target); /* another process is at it */
        return BUSY;
    }
    if (ftruncate(target, 0) < 0)
        outcome = FAILED;
    else
        outcome = squeeze(&rotation->compressor, source, target);
    if (outcome == DONE) {
        const struct timespec times[2] = {from.st_atim, from.st_mtim};
        mode_t mode = from.st_mode & 0777;

        if (fchown(target, from.st_uid, from.st_gid) < 0)
            mode &= 0640; /* ours then, and not for more than a new log file is */
        (void)fchmod(target, mode);
        (void)futimens(target, times);
        outcome = fsync(target) < 0 ? FAILED : put_in_place(rotation, &from, name);
    }
    if (outcome != DONE)
        (void)unlink(name);
    clew__unlock(target);
    return outcome;
}

/* Looks at every rotated file once; the worst that happened. */
static enum outcome compress_all(struct clew__rotation *rotation)
{
    enum outcome worst = DONE;

    for (unsigned n = 1; n <= rotation->policy.keep; n++) {
        char name[CLEW__ROTATED_PATH_MAX];
        enum outcome outcome = BUSY;
        struct stat st;
        int source;

        clew__rotated_path(rotation, n, false, name);
        source = open(name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (source < 0)
            continue;
        if (fstat(source, &st) < 0 || !S_ISREG(st.st_mode))
            outcome = DONE;
        else if (flock(source, LOCK_EX | LOCK_NB) == 0)
            outcome = compress_locked(rotation, source);
        clew__unlock(source);
        if (outcome > worst)
            worst = outcome;
        if (atomic_load_explicit(&rotation->compressor.stop, memory_order_relaxed))
            break;
    }
    return worst;
}

/* Waits until it is asked, told to stop, or the time has passed. Lock held. */
static void locked_pause(struct clew__compressor *compressor, unsigned ms)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += (long)(ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    while (!compressor->asked && !compressor->stop)
        if (pthread_cond_timedwait(&compressor->wake, &compressor->lock, &until) == ETIMEDOUT)
            break;
}

static void *run(void *arg)
{
    struct clew__rotation *rotation = arg;
    struct clew__compressor *compressor = &rotation->compressor;
    unsigned busy_ms = BUSY_MIN_MS;

    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), 19); /* on Linux: this thread's */
    (void)pthread_setname_np(pthread_self(), "clew-gzip");
    pthread_mutex_lock(&compressor->lock);
    while (!compressor->stop) {
        enum outcome outcome;
        bool warn;

        compressor->asked = false;
        pthread_mutex_unlock(&compressor->lock);
        outcome = compress_all(rotation);
        pthread_mutex_lock(&compressor->lock);
        if (compressor->asked) {
            busy_ms = BUSY_MIN_MS;
            continue;
        }
        if (outcome == DONE)
            break;
        warn = outcome == FAILED && !compressor->warned;
        compressor->warned = outcome == FAILED;
        if (warn) {
            pthread_mutex_unlock(&compressor->lock);
            clew_warn("a rotated log file stays uncompressed for now: it could not be read, or "
                      "its directory not be written to",
                      clew_kv("path", rotation->path));
            pthread_mutex_lock(&compressor->lock);
        }
        locked_pause(compressor, outcome == FAILED ? FAILED_MS : busy_ms);
        if (busy_ms < BUSY_MAX_MS)
            busy_ms *= 2;
    }
    compressor->ended = true;
    pthread_mutex_unlock(&compressor->lock);
    return NULL;
}

void clew__compressor_ask(struct clew__rotation *rotation)
{
    struct clew__compressor *compressor = &rotation->compressor;
    sigset_t before;

    pthread_mutex_lock(&compressor->lock);
    compressor->asked = true;
    if (compressor->started && !compressor->ended) {
        pthread_cond_signal(&compressor->wake);
        pthread_mutex_unlock(&compressor->lock);
        return;
    }
    pthread_mutex_unlock(&compressor->lock);
    if (compressor->started)
        pthread_join(compressor->thread, NULL);
    compressor->ended = false;
    clew__block_signals(&before); /* the service's handlers run elsewhere */
    /* Without a thread the files wait for the next rotation. */
    compressor->started = pthread_create(&compressor->thread, NULL, run, rotation) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void clew__compressor_done(struct clew__compressor *compressor)
{
    pthread_mutex_lock(&compressor->lock);
    compressor->stop = true;
    pthread_cond_signal(&compressor->wake);
    pthread_mutex_unlock(&compressor->lock);
    if (compressor->started)
        pthread_join(compressor->thread, NULL);
    pthread_cond_destroy(&compressor->wake);
    pthread_mutex_destroy(&compressor->lock);
}

void clew__compressor_after_fork(struct clew__compressor *compressor)
{
    /* The thread is the parent's, and so may be the lock. */
    compressor->started = false;
    compressor->ended = false;
    compressor->asked = false;
    compressor->stop = false;
    init_locks(compressor);
}
