/* SPDX-License-Identifier: Apache-2.0
 * Preloaded into a program: counts its calls that change the disk or speak with the
 * network, kills it at one of them, or lets those fail that are about one file. What
 * to do stands in a file that is mapped, so the test may change it at any time:
 * CLEW_FAULTS=PATH. The program's own log and pipes are not counted. */
#undef _FILE_OFFSET_BITS /* or pwrite would be pwrite64 here, and that twice */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

/* The mapped file; integration/alertbridge/bridge.py writes it. */
struct plan {
    atomic_ulong calls;   /* so far */
    atomic_ulong kill_at; /* before this call, or after it; 0: never */
    atomic_ulong after;
    atomic_ulong error;  /* errno of the calls below; 0: none fail */
    atomic_ulong writes; /* 1: writes fail; 2: syncs; 4: opening to write */
    atomic_ulong failed; /* so many did */
    char path[256];      /* of the files that this is about: it is part of their names */
};

static struct plan *plan;

__attribute__((constructor)) static void start(void)
{
    const char *path = getenv("CLEW_FAULTS");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *map =
        fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(*plan), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (map != MAP_FAILED)
        plan = map;
    if (fd >= 0)
        (void)close(fd);
}

static void *next(const char *name)
{
    void *function = dlsym(RTLD_NEXT, name);

    if (!function)
        abort();
    return function;
}

/* Returns the number of this call; dies if it is the one. */
static unsigned long before(void)
{
    unsigned long number;

    if (!plan)
        return 0;
    number = atomic_fetch_add(&plan->calls, 1) + 1;
    if (number == atomic_load(&plan->kill_at) && !atomic_load(&plan->after))
        (void)raise(SIGKILL);
    return number;
}

static void after(unsigned long number)
{
    if (number && number == atomic_load(&plan->kill_at))
        (void)raise(SIGKILL);
}

/* Whether this call on this file is to fail; errno is set then. */
static int fails(int fd, unsigned long what)
{
    char link[64], name[512];
    int saved = errno;
    ssize_t n;

    if (!plan || !atomic_load(&plan->error) || !(atomic_load(&plan->writes) & what))
        return 0;
    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    n = readlink(link, name, sizeof(name) - 1);
    errno = saved;
    if (n <= 0)
        return 0;
    name[n] = '\0';
    if (!strstr(name, plan->path))
        return 0;
    (void)atomic_fetch_add(&plan->failed, 1);
    errno = (int)atomic_load(&plan->error);
    return 1;
}

#define CALL(type, name, what, parameters, arguments, fd) \
    type name parameters;                                 \
    type name parameters                                  \
    {                                                     \
        static type(*real) parameters;                    \
        unsigned long number = before();                  \
        type result;                                      \
                                                          \
        if (fails(fd, what))                              \
            return -1;                                    \
        if (!real)                                        \
            real = (type(*) parameters)next(#name);       \
        result = real arguments;                          \
        after(number);                                    \
        return result;                                    \
    }

CALL(ssize_t, pwrite, 1, (int fd, const void *from, size_t n, off_t at), (fd, from, n, at), fd)
CALL(ssize_t, pwrite64, 1, (int fd, const void *from, size_t n, off64_t at), (fd, from, n, at), fd)
CALL(int, ftruncate, 1, (int fd, off_t size), (fd, size), fd)
CALL(int, ftruncate64, 1, (int fd, off64_t size), (fd, size), fd)
CALL(int, fsync, 2, (int fd), (fd), fd)
CALL(int, fdatasync, 2, (int fd), (fd), fd)
CALL(int, unlink, 0, (const char *path), (path), -1)
CALL(ssize_t, send, 0, (int fd, const void *from, size_t n, int flags), (fd, from, n, flags), fd)
CALL(ssize_t, sendmsg, 0, (int fd, const struct msghdr *message, int flags), (fd, message, flags),
     fd)
CALL(ssize_t, recv, 0, (int fd, void *to, size_t n, int flags), (fd, to, n, flags), fd)
CALL(int, connect, 0, (int fd, const struct sockaddr *address, socklen_t len), (fd, address, len),
     fd)
CALL(int, accept4, 0, (int fd, struct sockaddr *address, socklen_t *len, int flags),
     (fd, address, len, flags), fd)

/* A file that may not be opened to write. */
#define OPEN(name)                                                                         \
    int name(const char *path, int flags, ...);                                            \
    int name(const char *path, int flags, ...)                                             \
    {                                                                                      \
        static int (*real)(const char *, int, ...);                                        \
        va_list list;                                                                      \
        mode_t mode;                                                                       \
                                                                                           \
        va_start(list, flags);                                                             \
        mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(list, mode_t) : 0;                   \
        va_end(list);                                                                      \
        if (!real)                                                                         \
            real = (int (*)(const char *, int, ...))next(#name);                           \
        if (plan && (atomic_load(&plan->writes) & 4) && (flags & O_ACCMODE) != O_RDONLY && \
            strstr(path, plan->path)) {                                                    \
            errno = (int)atomic_load(&plan->error);                                        \
            return -1;                                                                     \
        }                                                                                  \
        return real(path, flags, mode);                                                    \
    }

OPEN(open)
OPEN(open64)
