/* SPDX-License-Identifier: Apache-2.0
 * What only ours is asked: a call whose level is off, and a process that has
 * logged and does nothing. */
#include "bench.h"
#include "clock.h"

#include <clew/log.h>

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* The compiler has to take it that the gate may have changed. */
static inline void forget(void)
{
    __asm__ volatile("" ::: "memory");
}

static double disabled_ns(int n)
{
    uint64_t start = clock_fenced();

    for (int i = 0; i < n; i++) {
        clew_debug("Order placed", clew_kv("order_id", i), clew_kv("symbol", "ACME"),
                   clew_kv("amount", 100.25), clew_kv("ok", (bool)true));
        forget();
    }
    return bench_ns((double)(clock_fenced() - start)) / n;
}

static double loop_ns(int n)
{
    uint64_t start = clock_fenced();

    for (int i = 0; i < n; i++)
        forget();
    return bench_ns((double)(clock_fenced() - start)) / n;
}

static double idle_percent(int ms)
{
    const struct timespec pause = {ms / 1000, ms % 1000 * 1000000L};
    struct rusage before, after;
    double us;

    getrusage(RUSAGE_SELF, &before);
    nanosleep(&pause, NULL);
    getrusage(RUSAGE_SELF, &after);
    us = (double)(after.ru_utime.tv_sec - before.ru_utime.tv_sec + after.ru_stime.tv_sec -
                  before.ru_stime.tv_sec) *
             1e6 +
         (double)(after.ru_utime.tv_usec - before.ru_utime.tv_usec + after.ru_stime.tv_usec -
                  before.ru_stime.tv_usec);
    return us / ms / 10;
}

bool bench_ours(const struct sizes *s, const char *path, double ret[3])
{
    const size_t size = 3 * sizeof(double);
    double *shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int status = -1;
    pid_t pid;

    if (shared == MAP_FAILED)
        return false;
    if ((pid = bench_fork()) == 0) {
        bench_clewline.open(path, 1);
        bench_clewline.thread_begin();
        bench_clewline.loops.plain(0, 1);
        (void)disabled_ns(1);
        shared[0] = disabled_ns(s->disabled);
        shared[1] = loop_ns(s->disabled);
        bench_clewline.flush();
        shared[2] = idle_percent(s->idle_ms);
        exit(0);
    }
    (void)waitpid(pid, &status, 0);
    for (int i = 0; i < 3; i++)
        ret[i] = shared[i];
    munmap(shared, size);
    unlink(path);
    return pid > 0 && status == 0;
}
