/* SPDX-License-Identifier: Apache-2.0
 *
 * What a log call costs its caller, and how many lines a second reach a file
 * with none lost. Each figure comes from a process of its own, rounds of all
 * loggers interleaved; the medians are printed. The caller's cost is measured
 * paced (one call every 2 microseconds, nobody is behind) with the cost of the
 * clock taken off.
 */
#include "logging.h"

#include <clew/context.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 5
#define PACED 200000
#define SUSTAINED 1000000
#define DISABLED 100000000

static double now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* ---- ours ----------------------------------------------------------------- */

static void clew_open(const char *path)
{
    struct clew_scope scope = {clew_context_new(), 1};
    uint8_t trace_id[16];

    setenv("CLEW_LOG_OUTPUT", path, 1);
    setenv("CLEW_LOG_FORMAT", "json", 1);
    setenv("CLEW_RING_FULL", "block:60000", 1);
    if (clew_log_start("bench", NULL) < 0) {
        fprintf(stderr, "%s\n", clew_last_error());
        exit(1);
    }
    clew_context_set_request_id(scope.context, NULL, 0);
    clew_context_set_correlation_id(scope.context, NULL, 0);
    clew_id_trace(trace_id);
    clew_context_set_trace(scope.context, trace_id, 1);
    (void)clew_scope_enter(scope);
}

static void clew_one(int i)
{
    clew_info("Order placed", clew_kv("order_id", i), clew_kv("symbol", "ACME"),
              clew_kv("amount", 100.25), clew_kv("ok", (bool)true));
}

static void clew_one_disabled(int i)
{
    clew_debug("Order placed", clew_kv("order_id", i), clew_kv("symbol", "ACME"),
               clew_kv("amount", 100.25), clew_kv("ok", (bool)true));
}

static void clew_flush_all(void)
{
    (void)clew_log_flush(60000);
}

static const struct peer ours = {"clewline", clew_open, clew_one, clew_flush_all};

/* ---- measuring ------------------------------------------------------------- */

struct figures {
    double paced_mean, paced_p999, lines_per_s, cpu_ns;
    long lines_in_file;
};

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double clock_cost(void)
{
    double start = now_ns();

    for (int i = 0; i < 1000000; i++)
        (void)now_ns();
    return (now_ns() - start) / 1e6;
}

static double cpu_ns(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return ((double)u.ru_utime.tv_sec + (double)u.ru_stime.tv_sec) * 1e9 +
           ((double)u.ru_utime.tv_usec + (double)u.ru_stime.tv_usec) * 1e3;
}

static long count_lines(const char *path)
{
    FILE *f = fopen(path, "r");
    static char buf[1 << 16];
    long lines = 0;
    size_t n;

    while (f && (n = fread(buf, 1, sizeof(buf), f)) > 0)
        for (size_t i = 0; i < n; i++)
            lines += buf[i] == '\n';
    if (f)
        fclose(f);
    return lines;
}

static void measure_paced(const struct peer *peer, struct figures *f)
{
    static double each[PACED];
    double clock = clock_cost(), sum = 0;

    for (int i = 0; i < PACED; i++) {
        double before = now_ns(), after;

        peer->log(i);
        after = now_ns();
        each[i] = after - before - clock;
        sum += each[i];
        while (now_ns() < after + 2000)
            ;
    }
    qsort(each, PACED, sizeof(each[0]), by_value);
    f->paced_mean = sum / PACED;
    f->paced_p999 = each[PACED / 1000 * 999];
}

static void measure_sustained(const struct peer *peer, struct figures *f)
{
    double start = now_ns(), cpu = cpu_ns();

    for (int i = 0; i < SUSTAINED; i++)
        peer->log(i);
    peer->flush();
    f->lines_per_s = SUSTAINED / (now_ns() - start) * 1e9;
    f->cpu_ns = (cpu_ns() - cpu) / SUSTAINED;
}

/* One measurement in a process of its own. */
static struct figures in_child(const struct peer *peer,
                               void (*measure)(const struct peer *, struct figures *))
{
    struct figures f = {0};
    char path[] = "/tmp/clew-bench-XXXXXX";
    int ends[2], fd = mkstemp(path);

    if (fd < 0 || pipe(ends) < 0) {
        perror("bench");
        exit(1);
    }
    close(fd);
    if (fork() == 0) {
        peer->open(path);
        peer->log(0); /* what happens once happens here */
        measure(peer, &f);
        if (write(ends[1], &f, sizeof(f)) != (ssize_t)sizeof(f))
            _exit(1);
        exit(0);
    }
    close(ends[1]);
    if (read(ends[0], &f, sizeof(f)) != (ssize_t)sizeof(f))
        fprintf(stderr, "%s: no figures\n", peer->name);
    close(ends[0]);
    wait(NULL);
    f.lines_in_file = count_lines(path);
    unlink(path);
    return f;
}

static double median(double *values)
{
    qsort(values, ROUNDS, sizeof(*values), by_value);
    return values[ROUNDS / 2];
}

int main(void)
{
    const struct peer *peers[8] = {&ours};
    double mean[8][ROUNDS], p999[8][ROUNDS], lines[8][ROUNDS], cpu[8][ROUNDS], start;
    size_t n = 1;
    int lost = 0;

    for (size_t i = 0; bench_peers[i]; i++)
        peers[n++] = bench_peers[i];
    for (int round = 0; round < ROUNDS; round++)
        for (size_t i = 0; i < n; i++) {
            struct figures paced = in_child(peers[i], measure_paced);
            struct figures sustained = in_child(peers[i], measure_sustained);

            mean[i][round] = paced.paced_mean;
            p999[i][round] = paced.paced_p999;
            lines[i][round] = sustained.lines_per_s;
            cpu[i][round] = sustained.cpu_ns;
            if (sustained.lines_in_file != SUSTAINED + 1) {
                printf("%s: %ld of %d lines in the file\n", peers[i]->name, sustained.lines_in_file,
                       SUSTAINED + 1);
                lost = i == 0 ? 1 : lost;
            }
        }
    printf("4 fields + request id, 1 thread, one JSON line each, medians of %d rounds\n", ROUNDS);
    printf("%-14s %14s %12s %16s %12s\n", "", "call, paced", "p99.9", "to a file", "CPU");
    for (size_t i = 0; i < n; i++)
        printf("%-14s %11.1f ns %9.0f ns %10.2f M/s %9.0f ns\n", peers[i]->name, median(mean[i]),
               median(p999[i]), median(lines[i]) / 1e6, median(cpu[i]));
    if (clew_log_start("bench", NULL) < 0)
        return 1;
    clew_one_disabled(0);
    start = now_ns();
    for (int i = 0; i < DISABLED; i++)
        clew_one_disabled(i);
    printf("%-14s %11.2f ns\n", "disabled call", (now_ns() - start) / DISABLED);
    return lost;
}
