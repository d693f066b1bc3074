/* SPDX-License-Identifier: Apache-2.0
 *
 * process_…: the names and units of Prometheus' "Writing client libraries",
 * read from /proc when scraped. process_heap_bytes is not there: to ask malloc
 * takes the locks that the service's threads need.
 */
#include "metrics_priv.h"

#include <clew/metrics.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Of the fields behind the name in /proc/self/stat (proc(5)), counted from 3. */
enum { STAT_THREADS = 20, STAT_START_TICKS = 22, STAT_VIRTUAL_BYTES = 23, STAT_RESIDENT_PAGES };

static double started_at, started_boot; /* Unix time; of CLOCK_BOOTTIME */

static double seconds_of(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* One field of /proc/self/stat, NaN when it cannot be read. The name before the
 * fields may have blanks and parentheses in it. */
static double stat_field(int field)
{
    int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
    char text[1024], *at;
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = '\0';
    at = strrchr(text, ')');
    for (int i = 2; at && i < field; i++)
        at = strchr(at + 1, ' ');
    return at ? strtod(at + 1, NULL) : (double)NAN;
}

static double field(void *arg)
{
    return stat_field((int)(intptr_t)arg);
}

double clew__process_resident_bytes(void *unused)
{
    (void)unused;
    return stat_field(STAT_RESIDENT_PAGES) * (double)sysconf(_SC_PAGESIZE);
}

double clew__process_cpu_seconds(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static double cpu_seconds(void *arg)
{
    (void)arg;
    return clew__process_cpu_seconds();
}

/* Since Linux 6.2 the directory's size is the number of descriptors; before, it
 * is 0, and they are counted. */
static double open_descriptors(void *arg)
{
    double n = -3; /* ".", ".." and the directory itself */
    struct stat st;
    DIR *dir;

    (void)arg;
    if (stat("/proc/self/fd", &st) == 0 && st.st_size > 0)
        return (double)st.st_size;
    dir = opendir("/proc/self/fd");
    while (dir && readdir(dir))
        n++;
    if (dir)
        closedir(dir);
    return dir ? n : (double)NAN;
}

/* Unlimited is infinite. */
static double limit(void *arg)
{
    struct rlimit limit;

    if (getrlimit((__rlimit_resource_t)(intptr_t)arg, &limit) < 0)
        return (double)NAN;
    return limit.rlim_cur == RLIM_INFINITY ? (double)INFINITY : (double)limit.rlim_cur;
}

/* Some sandboxes have no start time: then it is that of this call. */
static void find_start(void)
{
    double now = seconds_of(CLOCK_BOOTTIME);

    started_boot = stat_field(STAT_START_TICKS) / (double)sysconf(_SC_CLK_TCK);
    if (!(started_boot > 0 && started_boot <= now))
        started_boot = now;
    started_at = seconds_of(CLOCK_REALTIME) - (now - started_boot);
}

static pthread_once_t once = PTHREAD_ONCE_INIT;

static double start_time(void *arg)
{
    (void)arg;
    (void)pthread_once(&once, find_start);
    return started_at;
}

double clew__process_uptime(void)
{
    (void)pthread_once(&once, find_start);
    return fmax(seconds_of(CLOCK_BOOTTIME) - started_boot, 0);
}

int clew__process_metrics_start(void)
{
#define ARG(n) ((void *)(intptr_t)(n))
    const struct {
        const char *name, *help;
        double (*read)(void *);
        void *arg;
    } gauges[] = {
        {"process_start_time_seconds", "Start of the process, Unix time.", start_time, NULL},
        {"process_resident_memory_bytes", "Resident memory.", clew__process_resident_bytes, NULL},
        {"process_virtual_memory_bytes", "Virtual memory.", field, ARG(STAT_VIRTUAL_BYTES)},
        {"process_virtual_memory_max_bytes", "Virtual memory there may be.", limit, ARG(RLIMIT_AS)},
        {"process_open_fds", "Open file descriptors.", open_descriptors, NULL},
        {"process_max_fds", "File descriptors there may be.", limit, ARG(RLIMIT_NOFILE)},
        {"process_threads", "Threads.", field, ARG(STAT_THREADS)},
    };
#undef ARG
    struct clew_metric *metric =
        clew_counter("process_cpu_seconds_total", "User and system CPU time.", NULL);
    bool good = metric && clew_metric_callback(metric, cpu_seconds, NULL) == 0;

    for (size_t i = 0; i < sizeof(gauges) / sizeof(gauges[0]); i++) {
        metric = clew_gauge(gauges[i].name, gauges[i].help, NULL);
        good = good && metric && clew_metric_callback(metric, gauges[i].read, gauges[i].arg) == 0;
    }
    return good ? 0 : -ENOMEM;
}
