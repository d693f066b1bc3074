/* SPDX-License-Identifier: Apache-2.0
 * bench_alertbridge PROGRAM [NAME…]: what the bridge promises about speed and memory,
 * each on a store of its own, with webhooks that are all news. The generator and the
 * far side share the processors with the bridge. Exit status 1 when a bar is missed.
 * NAME: paced, durable, serial, large, memory, page (all of them without). */
#include "bench.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *program;
static bool missed;

static void report(const char *what, double value, const char *unit, bool ok, const char *bar)
{
    (void)printf("%-58s %10.2f %-4s %s %s\n", what, value, unit, ok ? "ok  " : "MISS", bar);
    missed = missed || !ok;
    (void)fflush(stdout);
}

static void begin(struct bridge *bridge, struct far **far, bool holds)
{
    uint16_t port = bench_free_port();

    *far = far_start(port, holds);
    bridge_init(bridge, program, port);
    (void)bridge_start(bridge);
}

static void end(struct bridge *bridge, struct far *far)
{
    /* A far side that holds its answers would hold the bridge's end. */
    bridge_stop(bridge, SIGKILL);
    bridge_done(bridge);
    far_stop(far);
}

static void finish(const char *name, struct load *load, double cpu)
{
    (void)printf("%s: %zu webhooks, %zu not taken, %.2f s, %.0f/s; p50 %.2f ms, p99 %.2f ms, "
                 "max %.2f ms; %.0f us of processor each\n",
                 name, load->taken, load->failed, load->took, (double)load->taken / load->took,
                 load_quantile(load->milliseconds, load->taken, 0.5),
                 load_quantile(load->milliseconds, load->taken, 0.99),
                 load_quantile(load->milliseconds, load->taken, 1),
                 cpu * 1e6 / (double)load->taken);
    missed = missed || load->failed || load->taken == 0;
}

static void run_load(const char *name, const struct bridge *bridge, struct load *load)
{
    double before = bridge_cpu(bridge);

    load->bridge = bridge;
    load_run(load);
    finish(name, load, bridge_cpu(bridge) - before);
}

/* 1,000 webhooks/s at their times, to nobody and to PagerDuty. */
static void bench_paced(void)
{
    static const char *const severities[] = {"info", "critical"};

    for (unsigned i = 0; i < 2; i++) {
        struct load load = {.severity = severities[i],
                            .connections = 64,
                            .keep = true,
                            .rate = 1000,
                            .seconds = 10};
        struct bridge bridge;
        struct far *far;
        double p50, p99;

        begin(&bridge, &far, false);
        run_load(i ? "1,000/s, each a PagerDuty incident" : "1,000/s, for nobody", &bridge, &load);
        p50 = load_quantile(load.milliseconds, load.taken, 0.5);
        p99 = load_quantile(load.milliseconds, load.taken, 0.99);
        report("  acknowledged, p50", p50, "ms", p50 < 1, "< 1");
        report("  acknowledged, p99", p99, "ms", p99 < 10, "< 10");
        free(load.milliseconds);
        end(&bridge, far);
    }
}

/* As many as it takes; PagerDuty holds its answers, so that only the intake works. */
static void bench_intake(const char *name, unsigned connections, bool keep, const char *severity,
                         double bar)
{
    struct load load = {
        .severity = severity, .connections = connections, .keep = keep, .seconds = 5};
    struct bridge bridge;
    struct far *far;
    double rate;
    char text[32];

    begin(&bridge, &far, true);
    run_load(name, &bridge, &load);
    rate = (double)load.taken / load.took;
    (void)snprintf(text, sizeof(text), ">= %.0f", bar);
    report("  durable", rate, "/s", rate >= bar, text);
    free(load.milliseconds);
    end(&bridge, far);
}

static void bench_durable(void)
{
    bench_intake("64 connections, for nobody", 64, true, "info", 10000);
    bench_intake("64 connections, each a PagerDuty incident", 64, true, "critical", 10000);
    bench_intake("64 at once, a connection each", 64, false, "critical", 5000);
}

static void bench_serial(void)
{
    bench_intake("one after the other, each a PagerDuty incident", 1, true, "critical", 1500);
    bench_intake("one after the other, a connection each", 1, false, "critical", 1000);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* 10,000 alerts in one body: all news, all repeats. */
static void bench_large(void)
{
    double milliseconds[30], p99, peak;
    struct bridge bridge;
    struct far *far;

    begin(&bridge, &far, false);
    for (unsigned i = 0; i < 30; i++) {
        size_t len;
        char *body = load_body(i / 2 * 10000, 10000, "crowd", &len);
        int64_t start = bench_now();

        if (bridge_post(&bridge, body, len) != 200)
            bench_fail("10,000 alerts were not taken");
        milliseconds[i] = (double)(bench_now() - start) / 1e6;
        if (i < 2)
            (void)printf("10,000 alerts in %.2f MB, %s: %.1f ms\n", (double)len / 1e6,
                         i ? "all repeats" : "all news", milliseconds[i]);
        free(body);
    }
    qsort(milliseconds, 30, sizeof(double), compare);
    p99 = load_quantile(milliseconds, 30, 0.99);
    peak = bridge_memory(&bridge, "VmHWM");
    report("10,000 alerts: acknowledged, worst of 30", p99, "ms", p99 < 150, "< 150");
    report("10,000 alerts: most memory", peak, "MiB", peak < 64, "< 64");
    end(&bridge, far);
}

static void wait_for_pages(const struct far *far, unsigned n)
{
    for (unsigned i = 0; i < 6000 && far_count(far) < n; i++)
        (void)usleep(10000);
    if (far_count(far) < n)
        bench_fail("the pages were not sent");
}

/* As it began, and when it has worked and been calm for some seconds. */
static void measure_idle(const struct bridge *bridge, const struct far *far)
{
    struct load load = {.bridge = bridge,
                        .severity = "critical",
                        .connections = 8,
                        .keep = true,
                        .rate = 200,
                        .seconds = 5,
                        .first = 1000000};
    double rss;

    (void)sleep(1);
    rss = bridge_memory(bridge, "VmRSS");
    report("idle", rss, "MiB", rss < 10, "< 10");
    load_run(&load);
    free(load.milliseconds);
    wait_for_pages(far, 1000);
    (void)sleep(15);
    rss = bridge_memory(bridge, "VmRSS");
    report("idle again, after 1,000 pages", rss, "MiB", rss < 10, "< 10");
}

static void bench_memory(void)
{
    struct bridge bridge;
    struct far *far;
    double rss, ms;
    size_t len;
    char *body;

    begin(&bridge, &far, false);
    measure_idle(&bridge, far);
    for (unsigned i = 0; i < 100; i++) {
        body = load_body(i * 1000, 1000, "crowd", &len);
        if (bridge_post(&bridge, body, len) != 200)
            bench_fail("1,000 alerts were not taken");
        free(body);
    }
    wait_for_pages(far, 1200);
    rss = bridge_memory(&bridge, "VmRSS");
    report("100,000 open alerts in 100 groups", rss, "MiB", rss < 100, "< 100");
    bridge_stop(&bridge, SIGKILL);
    ms = bridge_start(&bridge);
    report("100,000 open alerts: started after kill -9", ms, "ms", ms < 1000, "< 1000");
    body = load_body(0, 1, "info", &len);
    if (bridge_post(&bridge, body, len) != 200)
        bench_fail("not taken after the start");
    free(body);
    bridge_stop(&bridge, SIGTERM);
    ms = bridge_start(&bridge);
    report("100,000 open alerts: started again", ms, "ms", ms < 1000, "< 1000");
    rss = bridge_memory(&bridge, "VmRSS");
    report("100,000 open alerts: started again", rss, "MiB", rss < 100, "< 100");
    end(&bridge, far);
}

/* From the time when a critical webhook should have been sent to PagerDuty's first
 * byte, beside others for nobody. */
static void bench_page(void)
{
    const unsigned n = 1000;
    struct load load = {
        .severity = "critical", .connections = 8, .keep = true, .rate = 50, .seconds = 20};
    double *milliseconds = calloc(n, sizeof(*milliseconds)), p99;
    int64_t start, arrival;
    struct bridge bridge;
    struct far *far;

    if (!milliseconds)
        bench_fail("out of memory");
    begin(&bridge, &far, false);
    start = bench_now();
    run_load("50/s critical", &bridge, &load);
    for (unsigned i = 0; i < n; i++) {
        for (unsigned wait = 0; (arrival = far_arrival(far, i)) == 0 && wait < 500; wait++)
            (void)usleep(10000);
        if (!arrival)
            bench_fail("an alert was not paged");
        milliseconds[i] = (double)(arrival - start) / 1e6 - (double)i * 1000 / load.rate;
    }
    qsort(milliseconds, n, sizeof(double), compare);
    p99 = load_quantile(milliseconds, n, 0.99);
    report("  PagerDuty's request begun, p50", load_quantile(milliseconds, n, 0.5), "ms", true, "");
    report("  PagerDuty's request begun, p99", p99, "ms", p99 < 50, "< 50");
    free(load.milliseconds);
    free(milliseconds);
    end(&bridge, far);
}

static const struct {
    const char *name;
    void (*run)(void);
} benches[] = {{"paced", bench_paced}, {"durable", bench_durable}, {"serial", bench_serial},
               {"large", bench_large}, {"memory", bench_memory},   {"page", bench_page}};

int main(int argc, char **argv)
{
    bool any = false;

    if (argc < 2)
        bench_fail("usage: bench_alertbridge PROGRAM [paced|durable|serial|large|memory|page]…");
    program = argv[1];
    for (size_t i = 0; i < sizeof(benches) / sizeof(benches[0]); i++) {
        bool asked = argc == 2;

        for (int j = 2; j < argc; j++)
            asked = asked || strcmp(argv[j], benches[i].name) == 0;
        if (asked)
            benches[i].run();
        any = any || asked;
    }
    if (!any)
        bench_fail("no such benchmark");
    return missed;
}
