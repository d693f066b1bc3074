/* SPDX-License-Identifier: Apache-2.0
 *
 * What it costs a service to be instrumented: a libmicrohttpd service answers
 * 20,000 requests a second, bare and with each instrumentation. Processor time
 * is that of its process, all threads, with all that was logged written and all
 * spans taken by a collector. The services are processes that run side by side
 * and have the load in turns of a quarter of a second, so that a slow second of
 * the machine hits all of them; there are two bare ones, and how far they are
 * apart is the noise.
 *
 *     bench_service [--quick] [--database] [--rounds N] [--rate N] [--seconds N] [--only NAME]
 *
 * --database: the service that checks a signed token and asks SQLite, see orders.c; else the
 * smallest one. --seconds: of a turn. --only: the bare services and those whose name begins so.
 * The services have one processor, generator and collector another, where there
 * are two. When a bare service cannot keep up, the rate goes down until it can.
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

#define ROUNDS_MAX 1000
#define VARIANTS 5
#define WARM_UP_SECONDS 0.5
#define BAR_PERCENT 3.0

enum figure { CPU_US, P50_US, P99_US, P999_US, RATE, FIGURES };

static const struct bench_variant *const variants[VARIANTS] = {
    &bench_with_nothing, &bench_with_nothing, &bench_with_clewline, &bench_with_clewline_tenth,
    &bench_with_otel};

/* A variant at work. */
static struct running {
    struct bench_service service;
    struct bench_load *load;
    char log_path[600];
    bool lost;
    double figures[FIGURES][ROUNDS_MAX];
} running[VARIANTS];

static double rate = 20000, seconds = 0.25;
static unsigned rounds = 48;
static const char *only;
static bool with_database;
static char directory[512], ring_directory[600];
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

/* ---- a turn ------------------------------------------------------------------------------- */

static double quantile_us(const struct bench_answers *answers, double q)
{
    return answers->latency_ns[(size_t)((double)(answers->answered - 1) * q)] / 1e3;
}

/* One turn; false: an answer is missing, or something of what was to be kept. */
static bool measure(struct running *r, double turn, double ret[FIGURES])
{
    struct bench_answers answers = {.latency_ns = NULL};
    double before, after;
    bool good = bench_service_cpu(&r->service, &before) &&
                bench_load_run(r->load, rate, turn, &answers) &&
                bench_service_cpu(&r->service, &after) && answers.failed == 0;

    for (int f = 0; f < FIGURES; f++)
        ret[f] = -1;
    if (good) {
        ret[CPU_US] = (after - before) / 1e3 / (double)answers.answered;
        ret[P50_US] = quantile_us(&answers, 0.5);
        ret[P99_US] = quantile_us(&answers, 0.99);
        ret[P999_US] = quantile_us(&answers, 0.999);
        ret[RATE] = (double)answers.answered / answers.seconds;
    }
    free(answers.latency_ns);
    (void)truncate(r->log_path, 0); /* or the disk would be busy while others have their turn */
    return good;
}

static bool wanted(unsigned i)
{
    return variants[i]->name &&
           (i < 2 || !only || strncmp(variants[i]->name, only, strlen(only)) == 0);
}

static bool start(unsigned i, uint16_t collector)
{
    struct running *r = &running[i];
    double warm_up[FIGURES];

    (void)snprintf(r->log_path, sizeof(r->log_path), "%s/log%u", directory, i);
    if (!bench_service_start(variants[i], r->log_path, collector, service_cpu, &r->service))
        return false;
    r->load = bench_load_open(r->service.port, service_cpu < 0);
    return r->load && measure(r, WARM_UP_SECONDS, warm_up);
}

/* The peer may fail; others may not. */
static bool start_all(uint16_t collector)
{
    for (unsigned i = 0; i < VARIANTS; i++) {
        if (!wanted(i))
            continue;
        running[i].lost = !start(i, collector);
        if (running[i].lost && variants[i] != &bench_with_otel) {
            fprintf(stderr, "bench_service: %s does not answer\n", variants[i]->name);
            return false;
        }
    }
    return true;
}

static void stop_all(void)
{
    for (unsigned i = 0; i < VARIANTS; i++) {
        if (running[i].load)
            bench_load_close(running[i].load);
        if (running[i].service.pid > 0)
            bench_service_stop(&running[i].service);
    }
}

/* Down from the rate that was asked for, to one that a bare service holds with room to spare. */
static bool settle_rate(void)
{
    double of[FIGURES], asked = rate;

    for (; rate >= 100; rate *= 0.9) {
        if (!measure(&running[0], 1, of))
            return false;
        if (of[RATE] <= 0.99 * rate)
            continue;
        if (rate < asked)
            rate *= 0.7;
        return true;
    }
    return false;
}

static void run_rounds(void)
{
    for (unsigned round = 0; round < rounds; round++)
        for (unsigned k = 0; k < VARIANTS; k++) {
            /* Nobody is always the first, or behind the same one. */
            unsigned i = (round + (round % 2 ? VARIANTS - k : k)) % VARIANTS;
            double of[FIGURES];

            if (!wanted(i) || running[i].lost)
                continue;
            running[i].lost = !measure(&running[i], seconds, of);
            for (int f = 0; f < FIGURES; f++)
                running[i].figures[f][round] = of[f];
        }
}

/* ---- the report ---------------------------------------------------------------------------- */

static double median(unsigned i, enum figure f)
{
    static double copy[ROUNDS_MAX];

    memcpy(copy, running[i].figures[f], rounds * sizeof(*copy));
    return bench_median(copy, rounds);
}

/* Over the bare service of the same round, in percent. */
static double over_bare(unsigned i, enum figure f)
{
    static double ratio[ROUNDS_MAX];

    for (unsigned round = 0; round < rounds; round++)
        ratio[round] = running[i].figures[f][round] / running[0].figures[f][round];
    return (bench_median(ratio, rounds) - 1) * 100;
}

static void print_row(unsigned i)
{
    double cpu = median(i, CPU_US);

    printf("%-28s", i == 1 ? "bare, another (the noise)" : variants[i]->name);
    if (running[i].lost)
        printf(" lost some\n");
    else
        printf(" %10.2f %+7.1f%% %7.1f%% %8.0f %8.0f %8.0f %8.0f\n", cpu, over_bare(i, CPU_US),
               cpu * rate / 1e4, median(i, P50_US), median(i, P99_US), median(i, P999_US),
               median(i, RATE));
}

/* How much of p99 is noise: what differs between the quarters of the rounds. */
static double p99_noise(unsigned i)
{
    double low = 0, high = 0;
    unsigned part = rounds / 4;

    for (unsigned q = 0; part > 0 && q < 4; q++) {
        static double copy[ROUNDS_MAX];
        double p99;

        memcpy(copy, running[i].figures[P99_US] + q * part, part * sizeof(*copy));
        p99 = bench_median(copy, part);
        low = q == 0 || p99 < low ? p99 : low;
        high = p99 > high ? p99 : high;
    }
    return high - low;
}

static void report(void)
{
    double percent = over_bare(2, CPU_US), more = median(2, CPU_US) - median(0, CPU_US);
    double p99 = median(2, P99_US) - median(0, P99_US), noise = p99_noise(0);

    printf("%-28s %10s %8s %8s %8s %8s %8s %8s\n", "", "CPU us/req", "of bare", "of core", "p50 us",
           "p99 us", "p99.9 us", "req/s");
    for (unsigned i = 0; i < VARIANTS; i++)
        if (wanted(i))
            print_row(i);
    if (!wanted(2) || running[0].lost || running[2].lost)
        return;
    printf("\nbar, at most %.0f %% more processor time: %+.1f %%, %.2f us a request: %s\n",
           BAR_PERCENT, percent, more, percent <= BAR_PERCENT ? "held" : "not held");
    printf("bar, p99 unchanged: %+.0f us, noise of the bare service %.0f us: %s\n", p99, noise,
           p99 <= noise ? "held" : "not held");
}

static bool run(double asked)
{
    uint16_t collector = bench_sink_start();
    struct utsname host;
    bool good = collector != 0 && bench_orders_make(with_database ? directory : NULL) &&
                start_all(collector) && settle_rate();

    if (good) {
        uname(&host);
        printf("%s, %ld processors, %s; " BENCH_BUILD "\n%.0f requests/s%s, medians of %u turns of "
               "%.2f s, services %s, orders in %s\n\n",
               host.release, sysconf(_SC_NPROCESSORS_ONLN), host.machine, rate,
               rate < asked ? " (a bare service holds no more here)" : "", rounds, seconds,
               service_cpu < 0 ? "beside the generator" : "on a processor of their own",
               with_database ? "SQLite, tokens signed" : "memory");
        run_rounds();
        report();
    }
    stop_all();
    bench_sink_stop();
    for (unsigned i = 0; i < VARIANTS; i++)
        good = good && (!running[i].lost || variants[i] == &bench_with_otel);
    return good;
}

static int usage(const char *problem)
{
    fprintf(stderr,
            "bench_service: %s\nusage: bench_service [--quick] [--database] [--rounds 1..%d] "
            "[--rate N] "
            "[--seconds N] [--only NAME]\n",
            problem, ROUNDS_MAX);
    return 2;
}

int main(int argc, char **argv)
{
    bool good;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--quick") == 0)
            rounds = 8; /* two seconds of load each */
        else if (strcmp(argv[i], "--database") == 0)
            with_database = true;
        else if (strcmp(argv[i], "--rounds") == 0 && i + 1 < argc)
            rounds = (unsigned)atoi(argv[++i]);
        else if (strcmp(argv[i], "--rate") == 0 && i + 1 < argc)
            rate = atof(argv[++i]);
        else if (strcmp(argv[i], "--seconds") == 0 && i + 1 < argc)
            seconds = atof(argv[++i]);
        else if (strcmp(argv[i], "--only") == 0 && i + 1 < argc)
            only = argv[++i];
        else
            return usage(argv[i]);
    }
    if (rounds < 1 || rounds > ROUNDS_MAX || !(rate >= 100 && rate <= 1e6) ||
        !(seconds >= 0.1 && seconds <= 60))
        return usage("a number is out of range");
    share_processors();
    if (!make_directories())
        return usage("no directory to write to");
    good = run(rate);
    remove_directory(ring_directory);
    remove_directory(directory);
    return good ? 0 : 1;
}
