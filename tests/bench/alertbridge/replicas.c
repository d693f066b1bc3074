/* SPDX-License-Identifier: Apache-2.0
 * with_server postgresql-kept bench_alertbridge_replicas PROGRAM: two replicas on one
 * PostgreSQL, which writes to the disk. The first one holds the leases; webhooks go to
 * the second one. Exit status 1 when a page came late. */
#include "bench.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PAGE_FIRST 0u
#define NPAGES 100u /* fewer than PagerDuty takes in a minute */
#define TAKEOVER_FIRST 2000u
#define INTAKE_FIRST 100000u

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static int64_t wait_for(const struct far *far, unsigned number)
{
    int64_t arrival, begin = bench_now();

    while ((arrival = far_arrival(far, number)) == 0) {
        if (bench_now() - begin > 30000000000)
            bench_fail("an alert was not paged");
        (void)usleep(1000);
    }
    return arrival;
}

/* From the time when a critical webhook should have been sent to one replica to the
 * first byte of the other one's request. */
static bool pages(const struct bridge *door, const struct far *far)
{
    struct load load = {.bridge = door,
                        .severity = "critical",
                        .connections = 8,
                        .keep = true,
                        .rate = 5,
                        .seconds = NPAGES / 5,
                        .first = PAGE_FIRST};
    static double milliseconds[NPAGES];
    int64_t start = bench_now();
    double p99;

    load_run(&load);
    if (load.taken != NPAGES)
        bench_fail("webhooks were not taken");
    for (unsigned i = 0; i < NPAGES; i++)
        milliseconds[i] = (double)(wait_for(far, PAGE_FIRST + i) - start) / 1e6 - (double)i * 200;
    qsort(milliseconds, NPAGES, sizeof(double), compare);
    p99 = load_quantile(milliseconds, NPAGES, 0.99);
    (void)printf("5/s critical at the replica that does not send: acknowledged p50 %.2f ms, p99 "
                 "%.2f ms; PagerDuty's request begun p50 %.2f ms, p99 %.2f ms (< 50: %s)\n",
                 load_quantile(load.milliseconds, load.taken, 0.5),
                 load_quantile(load.milliseconds, load.taken, 0.99),
                 load_quantile(milliseconds, NPAGES, 0.5), p99, p99 < 50 ? "ok" : "MISS");
    free(load.milliseconds);
    return p99 < 50;
}

/* Seconds from the holder's end to the first page of the other one. */
static double takeover(struct bridge *holder, const struct bridge *other, const struct far *far,
                       int signal, unsigned number)
{
    int64_t begin = bench_now();
    size_t len;
    char *body = load_body(number, 1, "critical", &len);

    if (signal == SIGKILL)
        bridge_stop(holder, SIGKILL);
    else
        (void)kill(holder->pid, signal);
    if (bridge_post(other, body, len) != 200)
        bench_fail("a webhook was not taken");
    free(body);
    return (double)(wait_for(far, number) - begin) / 1e9;
}

static void takeovers(struct bridge replicas[2], const struct far *far, int signal, unsigned first)
{
    double sum = 0, most = 0;

    for (unsigned i = 0; i < 3; i++) {
        struct bridge *holder = &replicas[i % 2], *other = &replicas[1 - i % 2];
        double seconds = takeover(holder, other, far, signal, first + i);

        sum += seconds;
        most = seconds > most ? seconds : most;
        if (signal == SIGKILL)
            (void)bridge_start(holder);
        else
            (void)kill(holder->pid, SIGCONT);
        (void)usleep(4500000); /* the former holder counts as an old replica again */
    }
    (void)printf("holder %s: its work went on elsewhere after %.2f s (mean of 3), %.2f s at most\n",
                 signal == SIGKILL ? "killed" : "stopped", sum / 3, most);
}

static void intake(const struct bridge *door, const char *severity, unsigned first)
{
    struct load load = {.bridge = door,
                        .severity = severity,
                        .connections = 64,
                        .keep = true,
                        .seconds = 5,
                        .first = first};

    load_run(&load);
    (void)printf("64 connections, %s: %.0f webhooks/s, %zu not taken; p50 %.2f ms, p99 %.2f ms\n",
                 severity, (double)load.taken / load.took, load.failed,
                 load_quantile(load.milliseconds, load.taken, 0.5),
                 load_quantile(load.milliseconds, load.taken, 0.99));
    free(load.milliseconds);
}

int main(int argc, char **argv)
{
    struct bridge replicas[2] = {{.pid = 0}, {.pid = 0}};
    uint16_t port = bench_free_port();
    struct far *far;
    bool ok;

    if (argc != 2 || !getenv("CLEW_TEST_POSTGRES"))
        bench_fail("usage: with_server postgresql-kept bench_alertbridge_replicas PROGRAM");
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    far = far_start(port, false);
    for (unsigned i = 0; i < 2; i++) {
        bridge_init(&replicas[i], argv[1], port);
        (void)bridge_start(&replicas[i]);
        (void)usleep(4500000);
    }
    ok = pages(&replicas[1], far);
    takeovers(replicas, far, SIGKILL, TAKEOVER_FIRST);
    /* Three changes: the second replica holds everything now. */
    bridge_stop(&replicas[1], SIGTERM);
    (void)bridge_start(&replicas[1]);
    (void)usleep(4500000);
    takeovers(replicas, far, SIGSTOP, TAKEOVER_FIRST + 10);
    bridge_stop(&replicas[1], SIGTERM);
    intake(&replicas[0], "info", INTAKE_FIRST);
    intake(&replicas[0], "critical", 2 * INTAKE_FIRST);
    bridge_stop(&replicas[0], SIGKILL);
    for (unsigned i = 0; i < 2; i++)
        bridge_done(&replicas[i]);
    far_stop(far);
    return !ok;
}
