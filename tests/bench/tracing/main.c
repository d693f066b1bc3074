/* SPDX-License-Identifier: Apache-2.0
 *
 * What a span costs the thread that makes it, how many reach a collector in a
 * second of processor time of all threads of the process, and what a program is
 * like that makes one: ours beside opentelemetry-cpp, if it is found. Every
 * figure is the median of processes of their own, which take turns.
 *
 *     bench_tracing [--quick] [PROGRAMS]
 *
 * PROGRAMS: the directory with the small programs. Exit status 1: ours lost a
 * span, or failed.
 */
#include "bench.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 5
#define BURST 1000u
#define BURSTS 200u

static const struct bench_tracer *const tracers[] = {&bench_ours, &bench_otel};
static bool quick, failed;

static double now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double cpu_ns(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e9 +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e3;
}

/* ---- what is measured, in a process of its own ----------------------------------------- */

enum what { DISABLED, NOT_SAMPLED, CALLER, CALLER_2, END_TO_END };

static const struct bench_tracer *tracer;

/* Nanoseconds of a span for its thread: bursts that fit into the queue. */
static void *measure_caller(void *arg)
{
    static __thread double took[BURSTS];
    unsigned n = quick ? BURSTS / 10 : BURSTS;
    bool *flushes = arg;

    for (unsigned i = 0; i < n; i++) {
        double before = now_ns();

        tracer->spans(BURST);
        took[i] = (now_ns() - before) / BURST;
        if (*flushes && !tracer->flush())
            return NULL;
    }
    double *ret = malloc(sizeof(*ret));
    *ret = bench_median(took, n);
    return ret;
}

static double measure_callers(unsigned nthreads, bool flushes)
{
    pthread_t threads[2];
    double sum = 0;

    for (unsigned i = 0; i < nthreads; i++)
        pthread_create(&threads[i], NULL, measure_caller, &flushes);
    for (unsigned i = 0; i < nthreads; i++) {
        void *one = NULL;

        pthread_join(threads[i], &one);
        if (!one)
            return -1;
        sum += *(double *)one;
        free(one);
    }
    return sum / nthreads;
}

/* Spans a second of processor time, all threads, to the collector's answer. */
static double measure_end_to_end(void)
{
    unsigned per_flush = 30000, n = (tracer == &bench_ours ? 3000000u : 300000u) / (quick ? 10 : 1);
    double before;

    tracer->spans(per_flush); /* connections, memory */
    if (!tracer->flush())
        return -1;
    before = cpu_ns();
    for (unsigned i = 0; i < n; i += per_flush) {
        tracer->spans(per_flush);
        if (!tracer->flush())
            return -1;
    }
    return n / ((cpu_ns() - before) / 1e9);
}

static double measure(enum what what, enum bench_protocol protocol, uint16_t port)
{
    double figure = -1;

    switch (what) {
    case DISABLED:
        return tracer->start_disabled() ? measure_callers(1, false) : -1;
    case NOT_SAMPLED:
        return tracer->start_not_sampled() ? measure_callers(1, false) : -1;
    case CALLER:
    case CALLER_2:
        if (tracer->start_exporting(protocol, port))
            figure = measure_callers(what == CALLER ? 1 : 2, true);
        break;
    case END_TO_END:
        if (tracer->start_exporting(protocol, port))
            figure = measure_end_to_end();
        break;
    }
    return tracer->stop() ? figure : -1;
}

static double in_process(enum what what, enum bench_protocol protocol)
{
    uint16_t port = bench_sink_start();
    double figure = -1;
    int ends[2], status;
    pid_t pid;

    if (port == 0 || pipe(ends) < 0)
        return -1;
    (void)fflush(NULL);
    pid = fork();
    if (pid == 0) {
        figure = measure(what, protocol, port);
        _exit(write(ends[1], &figure, sizeof(figure)) == sizeof(figure) ? 0 : 1);
    }
    close(ends[1]);
    if (read(ends[0], &figure, sizeof(figure)) != sizeof(figure))
        figure = -1;
    close(ends[0]);
    waitpid(pid, &status, 0);
    bench_sink_stop();
    return figure;
}

/* ---- the table ----------------------------------------------------------------------------- */

static void row(const char *title, enum what what, enum bench_protocol protocol, const char *unit,
                double scale)
{
    double figures[2][ROUNDS], result[2] = {-1, -1};
    unsigned rounds = quick ? 1 : ROUNDS;

    for (unsigned round = 0; round < rounds; round++)
        for (unsigned i = 0; i < 2; i++) {
            tracer = tracers[i];
            figures[i][round] = tracer->name ? in_process(what, protocol) : -1;
        }
    for (unsigned i = 0; i < 2; i++)
        result[i] = bench_median(figures[i], rounds) / scale;
    failed = failed || result[0] < 0;
    printf("%-44s %9.1f", title, result[0]);
    if (!bench_otel.name)
        printf(" %17s", "-");
    else if (result[1] < 0)
        printf(" %17s", "failed");
    else
        printf(" %11.1f %4.0fx", result[1],
               what == END_TO_END ? result[0] / result[1] : result[1] / result[0]);
    printf("  %s\n", unit);
    (void)fflush(stdout);
}

int main(int argc, char **argv)
{
    struct utsname host;
    const char *programs = NULL;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--quick") == 0)
            quick = true;
        else
            programs = argv[i];
    }
    uname(&host);
    printf("%s, %ld processors, %s; " BENCH_BUILD "\n\n", host.release,
           sysconf(_SC_NPROCESSORS_ONLN), host.machine);
    printf("%-44s %9s %17s\n", "", bench_ours.name,
           bench_otel.name ? bench_otel.name : "(no peer)");
    row("disabled span", DISABLED, BENCH_PROTOBUF, "ns", 1);
    row("not sampled, valid ids", NOT_SAMPLED, BENCH_PROTOBUF, "ns", 1);
    row("start, 4 attributes, end: caller, 1 thread", CALLER, BENCH_PROTOBUF, "ns", 1);
    row("start, 4 attributes, end: caller, 2 threads", CALLER_2, BENCH_PROTOBUF, "ns", 1);
    row("end to end, OTLP/HTTP protobuf", END_TO_END, BENCH_PROTOBUF, "k spans/s/core", 1e3);
    row("end to end, OTLP/HTTP JSON", END_TO_END, BENCH_JSON, "k spans/s/core", 1e3);
    row("end to end, OTLP/gRPC", END_TO_END, BENCH_GRPC, "k spans/s/core", 1e3);
    if (programs)
        bench_programs(programs);
    return failed;
}
