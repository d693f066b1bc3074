/* SPDX-License-Identifier: Apache-2.0
 *
 * Rotation of a log file, for one process or for several that write to the
 * same path: app.log, app.log.1 (the newest), app.log.2.gz, …
 *
 * Rules between processes (and threads), all with flock():
 *   the file      every writer holds it shared as long as it may write to it;
 *                 the compressor reads it with an exclusive lock, so nobody
 *                 writes to what it will remove
 *   PATH.lock     held for the renames, never longer; stays there
 *   PATH.gz.tmp   held while it is written: one compressor a path
 */
#ifndef CLEW_ROTATE_PRIV_H
#define CLEW_ROTATE_PRIV_H

#include <clew/log.h>

#include <pthread.h>
#include <sys/stat.h>

#define CLEW__KEEP_MAX 1000u
#define CLEW__LOG_PATH_MAX 1000u
#define CLEW__ROTATED_PATH_MAX (CLEW__LOG_PATH_MAX + 16u)

enum clew__period_kind {
    CLEW__PERIOD_NONE,
    CLEW__PERIOD_HOURLY, /* at the full hour of local time */
    CLEW__PERIOD_DAILY,  /* at local midnight */
    CLEW__PERIOD_SECONDS /* when Unix time is a multiple of them */
};

struct clew__period {
    enum clew__period_kind kind;
    uint64_t seconds; /* of PERIOD_SECONDS, >= 1 */
};

struct clew__rotation_policy {
    uint64_t max_bytes; /* 0: no limit. Passed by at most one write */
    struct clew__period period;
    unsigned keep; /* rotated files, 1..CLEW__KEEP_MAX */
    bool compress;
    const char *libz; /* NULL for "libz.so.1"; static */
};

/* What zlib offers, found at run time. */
struct clew__zlib {
    void *(*gzdopen)(int fd, const char *mode);
    int (*gzwrite)(void *file, const void *data, unsigned len);
    int (*gzclose)(void *file);
};

struct clew__compressor {
    struct clew__zlib zlib;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    pthread_t thread;
    bool started; /* and not joined yet */
    /* under the lock */
    bool ended;
    bool asked;
    bool warned;
    _Atomic bool stop; /* also read without it */
};

/* Belongs to one thread. Zero is no valid start. */
struct clew__rotation {
    char path[CLEW__LOG_PATH_MAX]; /* absolute, no symbolic link */
    struct clew__rotation_policy policy;
    uint64_t due_s;   /* end of the file's period, Unix time; 0 for none */
    uint64_t retry_s; /* after a failure: not before */
    bool say_no_zlib;
    struct clew__compressor compressor;
};

/* Opens a log file for appending as rotation and compression ask for: also for
 * files that others rotate. like: whose mode and owner a new file gets, NULL
 * for 0640. Anything but a regular file is just opened. 0 or -errno, with
 * clew_last_error() */
int clew__log_file_open(const char *path, const struct stat *like, int *ret_fd);
/* Whether path is another file than fd now, or none: logrotate moved it. */
bool clew__reopen_needed(int fd, const char *path);

/* Opens the file and begins its rotation. 0; -EINVAL for a policy or file that
 * cannot be, other -errno; clew_last_error() says why. rotation is initialised
 * only after 0. now_s: Unix time, here and below. */
int clew__rotation_open(struct clew__rotation *rotation, const char *path,
                        const struct clew__rotation_policy *policy, uint64_t now_s, int *ret_fd);
/* All there is to do before or after a write: opens the file anew when it was
 * moved, rotates it when it is due. Two or three system calls when there is
 * nothing to do. 0 nothing; 1 *fd is another file now; -errno it failed, *fd
 * still works and a later call tries again. */
int clew__rotation_tend(struct clew__rotation *rotation, int *fd, uint64_t now_s);
/* The parts of it. An empty file is never due: it begins the new period. */
bool clew__rotate_due(struct clew__rotation *rotation, uint64_t size, uint64_t now_s);
/* 0 rotated; 1 another process did or does, *fd is the file at path; -errno as above */
int clew__rotate(struct clew__rotation *rotation, int *fd, uint64_t now_s);
/* Ends compression where it is; what it did not finish is found by the next
 * clew__rotation_open(). The descriptor stays the caller's. */
void clew__rotation_close(struct clew__rotation *rotation);
/* In the child of a fork, before anything else with it. */
void clew__rotation_after_fork(struct clew__rotation *rotation);

/* When the period that begins or runs at now_s ends. */
uint64_t clew__period_end(const struct clew__period *period, uint64_t now_s);

/* "1048576", "64k", "100M", "1G", in either case: powers of 1024. what names the setting in
 * the error. 0 or -EINVAL with clew_last_error(), ret untouched then. */
int clew__size_parse(const char *what, const char *text, uint64_t *ret_bytes);
/* "none", "hourly", "daily", "90" or "90s", "15m", "12h", "7d". */
int clew__period_parse(const char *what, const char *text, struct clew__period *ret_period);

/* ---- between rotate.c and rotate_compress.c ------------------------------------ */

/* PATH.n or PATH.n.gz; n 0: PATH.gz.tmp. */
void clew__rotated_path(const struct clew__rotation *rotation, unsigned n, bool is_gz,
                        char ret[CLEW__ROTATED_PATH_MAX]);
/* The lock of the renames: a descriptor to close, or -errno; -EAGAIN when
 * somebody else had it all the time. */
int clew__rotation_lock(const struct clew__rotation *rotation, unsigned timeout_ms);
/* Gives a lock back and closes. Closing alone would not do where a fork has
 * copied the descriptor; for the log file that is wanted, the child may write
 * to it as well. */
void clew__unlock(int fd);

/* false when there is no zlib. */
bool clew__compressor_init(struct clew__compressor *compressor, const char *libz);
/* Compresses in the background what there is; rotation stays where it is. */
void clew__compressor_ask(struct clew__rotation *rotation);
void clew__compressor_done(struct clew__compressor *compressor);
void clew__compressor_after_fork(struct clew__compressor *compressor);

#endif
