/* SPDX-License-Identifier: Apache-2.0
 * Small programs: how long they take over one that traces nothing, their memory
 * and their libraries. */
#include "bench.h"

#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define RUNS 101

static double now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static double run_us(const char *path)
{
    char *arguments[] = {(char *)path, NULL};
    double before = now_us();
    int status = -1;
    pid_t pid;

    if (posix_spawn(&pid, path, NULL, NULL, arguments, environ) != 0 ||
        waitpid(pid, &status, 0) != pid || status != 0)
        return -1;
    return now_us() - before;
}

static bool report(const char *path, long *ret_kib, int *ret_libraries)
{
    char command[1100];
    bool good;
    FILE *f;

    (void)snprintf(command, sizeof(command), "HELLO_REPORT=1 '%s'", path);
    f = popen(command, "r");
    good = f && fscanf(f, "%ld %d", ret_kib, ret_libraries) == 2;
    if (f)
        (void)pclose(f);
    return good;
}

void bench_programs(const char *directory)
{
    static const char *const names[] = {"hello_nothing", "hello_clew", "hello_export",
                                        "hello_otel"};
    static const char *const titles[] = {"traces nothing", "libclew", "libclew-export",
                                         "opentelemetry-cpp"};
    uint16_t port = bench_sink_start();
    double took[RUNS], nothing = 0;
    char path[1024], url[64];

    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u", port);
    setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url, 1);
    (void)snprintf(url, sizeof(url), "%u", port);
    setenv("HELLO_PORT", url, 1);
    setenv("CLEW_LOG_OUTPUT", "none", 1);
    printf("\n%-32s %14s %14s %10s\n", "a program that makes one span", "over nothing", "resident",
           "libraries");
    for (unsigned i = 0; i < 4; i++) {
        double median;
        int libraries;
        long kib;

        (void)snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
        if (access(path, X_OK) < 0 || !report(path, &kib, &libraries))
            continue;
        for (unsigned run = 0; run < RUNS; run++)
            took[run] = run_us(path);
        median = bench_median(took, RUNS);
        if (i == 0)
            nothing = median;
        printf("%-32s %11.2f ms %10.2f MiB %10d%s\n", titles[i], (median - nothing) / 1e3,
               (double)kib / 1024, libraries, i == 1 ? "   (at most 0.50 ms, 2.50 MiB)" : "");
    }
    bench_sink_stop();
}
