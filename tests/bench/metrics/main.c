/* SPDX-License-Identifier: Apache-2.0
 *
 * What metrics cost: the update of a counter and of a histogram, from one thread
 * and from two at the same time, the way from label values to a series, and a
 * whole page; ours beside a lower bound in C, prometheus-cpp and client_golang,
 * where those are found. Every figure is the median of several rounds in a
 * process of its own.
 *
 *     bench_metrics [--quick] [--flood] [CLIENT_GOLANG]
 *
 * CLIENT_GOLANG: the program made of client_golang.go. --flood: instead, ten
 * million label values that are all new, and what becomes of the memory. Exit
 * status 1: a bar is missed.
 */
#include "bench.h"

#include <clew/metrics.h>

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 9

double bench_values[BENCH_VALUES];
const double bench_bounds[BENCH_BOUNDS] = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10};
#define ROUTE(path)                                                   \
    {"GET", path, "200"}, {"GET", path, "201"}, {"GET", path, "404"}, \
    {                                                                 \
        "GET", path, "500"                                            \
    }
const char *const bench_sets[BENCH_SETS][3] = {ROUTE("/api/users/:id"), ROUTE("/api/orders"),
                                               ROUTE("/api/orders/:id"), ROUTE("/health")};

static const struct bench_library *const libraries[] = {&bench_ours, &bench_bound,
                                                        &bench_prometheus_cpp};
#define LIBRARIES (sizeof(libraries) / sizeof(libraries[0]))

static unsigned shrink = 1;
static const char *client_golang;
static bool missed;

static double now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *values, unsigned n)
{
    qsort(values, n, sizeof(*values), compare);
    return values[n / 2];
}

/* ---- one row, in a process of its own ------------------------------------------------------ */

struct job {
    void (*run)(unsigned n);
    unsigned n;
    pthread_barrier_t *begin;
    double took;
};

static void *work(void *arg)
{
    struct job *job = arg;
    double start;

    job->run(job->n / 100 + 1); /* warm */
    pthread_barrier_wait(job->begin);
    start = now_ns();
    job->run(job->n);
    job->took = (now_ns() - start) / job->n;
    return NULL;
}

/* Nanoseconds of one call in the slower of the threads. */
static double measure_updates(void (*run)(unsigned), unsigned threads)
{
    double rounds[ROUNDS];

    for (unsigned round = 0; round < ROUNDS; round++) {
        struct job jobs[2];
        pthread_t thread[2];
        pthread_barrier_t begin;

        pthread_barrier_init(&begin, NULL, threads);
        for (unsigned i = 0; i < threads; i++) {
            jobs[i] = (struct job){run, 2000000 / shrink, &begin, 0};
            pthread_create(&thread[i], NULL, work, &jobs[i]);
        }
        rounds[round] = 0;
        for (unsigned i = 0; i < threads; i++) {
            pthread_join(thread[i], NULL);
            if (jobs[i].took > rounds[round])
                rounds[round] = jobs[i].took;
        }
        pthread_barrier_destroy(&begin);
    }
    return median(rounds, ROUNDS);
}

/* Nanoseconds of a page. */
static double measure_page(const struct bench_library *library, unsigned series)
{
    unsigned n = series > 100000 ? 3 : ROUNDS;
    double rounds[ROUNDS];

    library->make_counters(series);
    (void)library->expose();
    for (unsigned round = 0; round < n; round++) {
        double start = now_ns();

        (void)library->expose();
        rounds[round] = now_ns() - start;
    }
    return median(rounds, n);
}

/* The figure that measure() gives, taken in a child; -1: it could not. */
static double in_child(double (*measure)(const struct bench_library *, const void *, unsigned),
                       const struct bench_library *library, const void *what, unsigned number)
{
    double figure = -1;
    int ends[2];
    pid_t pid;

    if (pipe(ends) < 0)
        return -1;
    (void)fflush(NULL);
    pid = fork();
    if (pid == 0) {
        library->start();
        figure = measure(library, what, number);
        _exit(write(ends[1], &figure, sizeof(figure)) == sizeof(figure) ? 0 : 1);
    }
    close(ends[1]);
    if (pid < 0 || read(ends[0], &figure, sizeof(figure)) != sizeof(figure))
        figure = -1;
    close(ends[0]);
    if (pid > 0)
        (void)waitpid(pid, NULL, 0);
    return figure;
}

static double run_updates(const struct bench_library *library, const void *what, unsigned threads)
{
    (void)library;
    return measure_updates(*(void (*const *)(unsigned))what, threads);
}

static double run_page(const struct bench_library *library, const void *what, unsigned series)
{
    (void)what;
    return measure_page(library, series);
}

static double run_go(const char *row, unsigned number)
{
    char command[512];
    double figure = -1;
    FILE *out;

    if (!client_golang)
        return -1;
    (void)snprintf(command, sizeof(command), "'%s' %s %u", client_golang, row, number);
    out = popen(command, "r"); // NOLINT(cert-env33-c): a benchmark's own program
    if (out && fscanf(out, "%lf", &figure) != 1)
        figure = -1;
    if (out)
        (void)pclose(out);
    return figure;
}

/* ---- the table ------------------------------------------------------------------------------ */

static void print(double figure, double unit)
{
    if (figure < 0)
        printf("%16s", "-");
    else
        printf("%16.*f", figure / unit < 10 ? 2 : 1, figure / unit);
}

static void judge(double figure, double bar)
{
    if (bar > 0)
        printf("  %s\n", figure <= bar ? "bar met" : "BAR MISSED");
    else
        printf("\n");
    missed |= bar > 0 && figure > bar;
}

static void row(const char *name, size_t which, const char *go_row, unsigned threads, double bar)
{
    double figure = -1, ours = -1;

    printf("%-40s", name);
    for (size_t i = 0; i < LIBRARIES; i++) {
        const void *run = (const char *)libraries[i] + which;

        figure = libraries[i]->name && *(void (*const *)(unsigned))run
                     ? in_child(run_updates, libraries[i], run, threads)
                     : -1;
        ours = i == 0 ? figure : ours;
        print(figure, 1);
    }
    print(run_go(go_row, threads), 1);
    judge(ours, bar);
}

static void page_row(unsigned series, double bar_ms)
{
    double figure = -1, ours = -1;

    printf("page of %u counters, ms%*s", series, series > 9999 ? series > 99999 ? 11 : 13 : 14, "");
    for (size_t i = 0; i < LIBRARIES; i++) {
        figure = libraries[i]->name && libraries[i]->expose
                     ? in_child(run_page, libraries[i], NULL, series)
                     : -1;
        ours = i == 0 ? figure : ours;
        print(figure, 1e6);
    }
    print(run_go("expose", series), 1e6);
    judge(ours / 1e6, bar_ms);
}

static void head(void)
{
    struct utsname machine;

    uname(&machine);
    printf("%s %s, %ld processors; %s\n\n", machine.sysname, machine.machine,
           sysconf(_SC_NPROCESSORS_ONLN), BENCH_BUILD);
    printf("%-40s", "nanoseconds a call, each thread");
    for (size_t i = 0; i < LIBRARIES; i++)
        printf("%16s", libraries[i]->name ? libraries[i]->name : "(not found)");
    printf("%16s\n", client_golang ? "client_golang" : "(not found)");
}

#define ROW(text, member, threads, bar) \
    row(text, offsetof(struct bench_library, member), #member, threads, bar)

static void compare_all(void)
{
    head();
    ROW("counter, add 1, 1 thread", add, 1, 1);
    ROW("counter, add 1, 2 threads", add, 2, 1);
    ROW("histogram of 11 bounds, 1 thread", observe, 1, 5);
    ROW("histogram of 11 bounds, 2 threads", observe, 2, 5);
    ROW("the same with an exemplar, 1 thread", observe_exemplar, 1, 15);
    ROW("the same with an exemplar, 2 threads", observe_exemplar, 2, 15);
    ROW("3 labels to a counter, add 1, 1 thread", find, 1, 15);
    ROW("3 labels to a counter, add 1, 2 threads", find, 2, 15);
    page_row(1000, 0.1);
    page_row(10000, 1);
    page_row(1000000, shrink > 1 ? 0 : 200);
}

/* ---- the flood ------------------------------------------------------------------------------- */

static long resident_kib(void)
{
    FILE *f = fopen("/proc/self/statm", "re");
    long size, resident = 0;

    if (!f || fscanf(f, "%ld %ld", &size, &resident) != 2)
        resident = 0;
    if (f)
        (void)fclose(f);
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

static void flood(void)
{
    struct clew_metric *metric =
        clew_counter("flood_total", "F.", (const char *const[]){"path", "method", NULL});
    unsigned total = 10000000 / shrink;
    double start = now_ns();
    long before = 0;

    for (unsigned i = 0; i < total; i++) {
        char path[48];
        struct clew_label values[2] = {{path, 0}, {"GET", 3}};

        values[0].len = (size_t)snprintf(path, sizeof(path), "/hostile/%u\n\xff", i);
        clew_metric_add(metric, values, 1);
        if (i == total / 100)
            before = resident_kib();
    }
    printf("%u new label values: %.0f ns each, resident memory %ld KiB, %ld KiB more than after "
           "the first hundredth\n",
           total, (now_ns() - start) / total, resident_kib(), resident_kib() - before);
    missed |= resident_kib() - before > 256;
}

int main(int argc, char **argv)
{
    bool wants_flood = false;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--quick") == 0)
            shrink = 10;
        else if (strcmp(argv[i], "--flood") == 0)
            wants_flood = true;
        else
            client_golang = argv[i];
    }
    srand(1);
    for (unsigned i = 0; i < BENCH_VALUES; i++)
        bench_values[i] = 10.0 * ((double)rand() / RAND_MAX) * ((double)rand() / RAND_MAX);
    (void)setvbuf(stdout, NULL, _IONBF, 0);
    if (wants_flood)
        flood();
    else
        compare_all();
    return missed;
}
