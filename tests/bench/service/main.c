/* SPDX-License-Identifier: Apache-2.0
 *
 * What it costs a service to be instrumented: a libmicrohttpd service answers
 * 20,000 requests a second, bare and with each instrumentation. Processor time
 * is that of its process, all threads, with all that was logged written and all
 * spans taken by a collector. Every figure comes from processes of their own,
 * which take turns; the bare service runs twice in each round, and how far the
 * two are apart is the noise.
 *
 *     bench_service [--quick] [--rounds N] [--rate N] [--seconds N] [--only NAME]
 *
 * --only: the bare service and the one whose name begins so. The service has
 * one processor, generator and collector another, where there are two. When the
 * bare service cannot keep up, the rate goes down until it can.
 * Exit status 1: an answer was missing, or ours lost a line or a span.
 */
#include "bench.h"

#include "../tracing/bench.h"

#include <dirent.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#define ROUNDS_MAX 20
#define VARIANTS 5
#define WARM_UP_SECONDS 0.5
#define BAR_PERCENT 3.0

enum figure { CPU_US, P50_US, P99_US, P999_US, RATE, FIGURES };

static const struct bench_variant *const variants[VARIANTS] = {
    &bench_with_nothing, &bench_with_nothing, &bench_with_clewline, &bench_with_clewline_tenth,
    &bench_with_otel};

static double figures[VARIANTS][FIGURES][ROUNDS_MAX];
static bool lost[VARIANTS];
static const char *only;
static char directory[512], log_path[600], ring_directory[600];
static int service_cpu = -1;

/* ---- where ------------------------------------------------------------------------------ */

/* The first processor is the service's, the second for all the rest. */
static void share_processors(void)
{
    cpu_set_t all, rest;

    if (sched_getaffinity(0, sizeof(all), &all) < 0 || CPU_COUNT(&all) < 2)
        return;
    CPU_ZERO(&rest);
    for (int i = 0; i < CPU_SETSIZE && CPU_COUNT(&rest) == 0; i++) {
        if (!CPU_ISSET(i, &all))
            continue;
        if (service_cpu < 0)
            service_cpu = i;
        else
            CPU_SET(i, &rest);
    }
    if (sched_setaffinity(0, sizeof(rest), &rest) < 0)
        service_cpu = -1;
}

static bool make_directories(void)
{
    const char *temporary = getenv("TMPDIR");

    (void)snprintf(directory, sizeof(directory), "%s/clew-bench-XXXXXX",
                   temporary ? temporary : "/tmp");
    if (!mkdtemp(directory))
        return false;
    (void)snprintf(log_path, sizeof(log_path), "%s/log", directory);
    (void)snprintf(ring_directory, sizeof(ring_directory), "%s/clew-bench-XXXXXX",
                   access("/dev/shm", W_OK) == 0 ? "/dev/shm" : directory);
    return mkdtemp(ring_directory) && setenv("CLEW_RING_DIR", ring_directory, 1) == 0;
}

static void remove_directory(const char *path)
{
    DIR *d = opendir(path);
    const struct dirent *entry;

    while (d && (entry = readdir(d)))
        if (entry->d_name[0] != '.')
            (void)unlinkat(dirfd(d), entry->d_name, 0);
    if (d)
        closedir(d);
    (void)rmdir(path);
}

/* ---- a run -------------------------------------------------------------------------------- */

static double quantile_us(const struct bench_answers *answers, double q)
{
    return answers->answered
               ? answers->latency_ns[(size_t)((double)(answers->answered - 1) * q)] / 1e3
               : -1;
}

static bool measure(const struct bench_service *service, struct bench_load load,
                    double ret[FIGURES])
{
    struct bench_answers answers;
    double seconds = load.seconds, before, after;
    bool good;

    load.port = service->port;
    load.yields = service_cpu < 0;
    load.seconds = WARM_UP_SECONDS;
    good = bench_load_run(&load, &answers);
    free(answers.latency_ns);
    load.seconds = seconds;
    if (!good || !bench_service_cpu(service, &before) || !bench_load_run(&load, &answers))
        return false;
    good = bench_service_cpu(service, &after) && answers.failed == 0 &&
           answers.answered == answers.sent;
    ret[CPU_US] = (after - before) / 1e3 / (double)answers.answered;
    ret[P50_US] = quantile_us(&answers, 0.5);
    ret[P99_US] = quantile_us(&answers, 0.99);
    ret[P999_US] = quantile_us(&answers, 0.999);
    ret[RATE] = (double)answers.answered / answers.seconds;
    free(answers.latency_ns);
    return good;
}

static bool run(const struct bench_variant *variant, const struct bench_load *load,
                double ret[FIGURES])
{
    uint16_t collector = bench_sink_start();
    struct bench_service service;
    bool good =
        collector != 0 && bench_service_start(variant, log_path, collector, service_cpu, &service);

    for (int i = 0; i < FIGURES; i++)
        ret[i] = -1;
    if (good) {
        good = measure(&service, *load, ret);
        bench_service_stop(&service);
    }
    bench_sink_stop();
    (void)unlink(log_path);
    return good;
}

/* Down from the rate that was asked for, to one that the bare service holds. */
static bool settle_rate(struct bench_load *load)
{
    double figure[FIGURES];

    for (; load->rate >= 100; load->rate *= 0.9)
        if (run(&bench_with_nothing, load, figure) && figure[RATE] > 0.99 * load->rate)
            return true;
    return false;
}

static bool wanted(unsigned i)
{
    return variants[i]->name &&
           (i < 2 || !only || strncmp(variants[i]->name, only, strlen(only)) == 0);
}

static void run_rounds(const struct bench_load *load, unsigned rounds)
{
    for (unsigned round = 0; round < rounds; round++)
        for (unsigned k = 0; k < VARIANTS; k++) {
            unsigned i = (k + round) % VARIANTS; /* nobody is always the first */
            double of[FIGURES];

            if (!wanted(i))
                continue;
            if (!run(variants[i], load, of))
                lost[i] = true;
            for (int f = 0; f < FIGURES; f++)
                figures[i][f][round] = of[f];
        }
}

/* ---- the report ---------------------------------------------------------------------------- */

static double median(unsigned i, enum figure f, unsigned rounds)
{
    double copy[ROUNDS_MAX];

    memcpy(copy, figures[i][f], rounds * sizeof(*copy));
    return bench_median(copy, rounds);
}

/* Over the bare service of the same round, in percent. */
static double over_bare(unsigned i, enum figure f, unsigned rounds)
{
    double ratio[ROUNDS_MAX];

    for (unsigned round = 0; round < rounds; round++)
        ratio[round] = figures[i][f][round] / figures[0][f][round];
    return (bench_median(ratio, rounds) - 1) * 100;
}

static double highest_bare(enum figure f, unsigned rounds)
{
    double highest = 0;

    for (unsigned i = 0; i < 2; i++)
        for (unsigned round = 0; round < rounds; round++)
            if (figures[i][f][round] > highest)
                highest = figures[i][f][round];
    return highest;
}

static void report(const struct bench_load *load, unsigned rounds)
{
    double percent = over_bare(2, CPU_US, rounds), p99 = median(2, P99_US, rounds),
           highest = highest_bare(P99_US, rounds);

    printf("%-28s %10s %8s %8s %8s %8s %8s %8s\n", "", "CPU us/req", "of bare", "of core", "p50 us",
           "p99 us", "p99.9 us", "req/s");
    for (unsigned i = 0; i < VARIANTS; i++) {
        double cpu = median(i, CPU_US, rounds);

        if (!wanted(i))
            continue;
        printf("%-28s %10.2f %+7.1f%% %7.1f%% %8.0f %8.0f %8.0f %8.0f%s\n",
               i == 1 ? "bare, once more (the noise)" : variants[i]->name, cpu,
               over_bare(i, CPU_US, rounds), cpu * load->rate / 1e4, median(i, P50_US, rounds),
               median(i, P99_US, rounds), median(i, P999_US, rounds), median(i, RATE, rounds),
               lost[i] ? "  LOST SOME" : "");
    }
    if (!wanted(2))
        return;
    printf("\nbar, at most %.0f %% more processor time: %+.1f %%, %.2f us a request: %s\n",
           BAR_PERCENT, percent, median(2, CPU_US, rounds) - median(0, CPU_US, rounds),
           percent <= BAR_PERCENT ? "held" : "not held");
    printf("bar, p99 within those of the bare service: %.0f us, its highest %.0f us: %s\n", p99,
           highest, p99 <= highest ? "held" : "not held");
}

static int usage(const char *problem)
{
    fprintf(stderr,
            "bench_service: %s\nusage: bench_service [--quick] [--rounds 1..%d] [--rate N] "
            "[--seconds N] [--only NAME]\n",
            problem, ROUNDS_MAX);
    return 2;
}

int main(int argc, char **argv)
{
    struct bench_load load = {.rate = 20000, .seconds = 3};
    double asked;
    unsigned rounds = 7;
    struct utsname host;
    int code;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--quick") == 0) {
            rounds = 1;
            load.seconds = 2;
        } else if (strcmp(argv[i], "--rounds") == 0 && i + 1 < argc) {
            rounds = (unsigned)atoi(argv[++i]);
        } else if (strcmp(argv[i], "--rate") == 0 && i + 1 < argc) {
            load.rate = atof(argv[++i]);
        } else if (strcmp(argv[i], "--seconds") == 0 && i + 1 < argc) {
            load.seconds = atof(argv[++i]);
        } else if (strcmp(argv[i], "--only") == 0 && i + 1 < argc) {
            only = argv[++i];
        } else {
            return usage(argv[i]);
        }
    }
    if (rounds < 1 || rounds > ROUNDS_MAX || !(load.rate >= 100 && load.rate <= 1e6) ||
        !(load.seconds >= 0.1 && load.seconds <= 600))
        return usage("a number is out of range");
    uname(&host);
    share_processors();
    if (!make_directories())
        return usage("no directory to write to");
    asked = load.rate;
    if (!settle_rate(&load)) {
        fprintf(stderr, "bench_service: the bare service does not answer\n");
        code = 1;
    } else {
        printf("%s, %ld processors, %s; " BENCH_BUILD "\n%.0f requests/s%s, %.0f s, median of %u "
               "rounds, service %s\n\n",
               host.release, sysconf(_SC_NPROCESSORS_ONLN), host.machine, load.rate,
               load.rate < asked ? " (the bare service holds no more here)" : "", load.seconds,
               rounds, service_cpu < 0 ? "beside its generator" : "on a processor of its own");
        run_rounds(&load, rounds);
        report(&load, rounds);
        code = lost[0] || lost[1] || lost[2] || lost[3];
    }
    remove_directory(ring_directory);
    remove_directory(directory);
    return code;
}
