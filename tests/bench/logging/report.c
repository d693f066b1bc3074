/* SPDX-License-Identifier: Apache-2.0
 * The table: a column a logger, the medians of the rounds, and how much better
 * than the best of the others ours is. */
#include "bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#define MAX_ROUNDS 100

enum better { LOWER, HIGHER };
enum how { MEDIAN, WORST };

static const struct {
    const char *title, *unit;
    int digits;
    enum better better;
    enum how how;
} columns[] = {
#define X(id, title, unit, digits, better, how) {title, unit, digits, better, how},
    BENCH_COLUMNS(X)
#undef X
};

static double of_rounds(const struct figures *of, int rounds, int column)
{
    double values[MAX_ROUNDS], worst = NAN;
    int n = 0;

    for (int i = 0; i < rounds; i++)
        if (!isnan(of[i].v[column])) {
            values[n++] = of[i].v[column];
            worst = fmax(worst, of[i].v[column]);
        }
    if (n == 0 || columns[column].how == WORST)
        return worst;
    return bench_median(values, n);
}

/* Above 1: ours is better by that factor. */
static void print_ratio(double ours, double best, const char *name, enum better better)
{
    double factor = better == LOWER ? best / ours : ours / best;

    if (isnan(ours) || isnan(best))
        return;
    if (ours == best)
        printf("  equal to %s", name);
    else if (ours == 0 || best == 0)
        printf("  %s 0", ours == 0 ? "ours alone" : name);
    else
        printf("  x%.2f of %s", factor, name);
}

void bench_report(const struct peer *const *peers, int n, const struct figures *of, int rounds)
{
    printf("\n%-33s", "");
    for (int i = 0; i < n; i++)
        printf(" %12s", peers[i]->name);
    printf("%s\n", n > 1 && peers[0] == &bench_clewline ? "  ours beside the best other" : "");
    for (int c = 0; c < BENCH_NCOLUMNS; c++) {
        double ours = NAN, best = NAN;
        const char *name = "";

        printf("%-29s %3s", columns[c].title, columns[c].unit);
        for (int i = 0; i < n; i++) {
            double v = of_rounds(of + i * rounds, rounds, c);

            if (isnan(v))
                printf(" %12s", "-");
            else
                printf(" %12.*f", columns[c].digits, v);
            if (peers[i] == &bench_clewline)
                ours = v;
            else if (!isnan(v) &&
                     (isnan(best) || (columns[c].better == LOWER ? v < best : v > best))) {
                best = v;
                name = peers[i]->name;
            }
        }
        print_ratio(ours, best, name, columns[c].better);
        putchar('\n');
    }
    printf(
        "\nMedians of %d rounds; of the lines lacking, lost, twice and torn the most. One JSON\n"
        "line with 4 ids, 4 fields and its place a call. xN: N times as good as the best other.\n",
        rounds);
}

void bench_report_machine(void)
{
    char line[256], model[256] = "unknown processor";
    struct utsname os;
    FILE *f = fopen("/proc/cpuinfo", "re");
    int cpus = 0;
    double load;

    while (f && fgets(line, sizeof(line), f)) {
        char *colon = strchr(line, ':');

        cpus += strncmp(line, "processor", 9) == 0;
        if (colon && strncmp(line, "model name", 10) == 0)
            (void)snprintf(model, sizeof(model), "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
    }
    if (f)
        fclose(f);
    if (uname(&os) == 0)
        printf("%s, %d cores; %s %s %s; %s\n", model, cpus, os.sysname, os.release, os.machine,
               BENCH_BUILD);
    if (getloadavg(&load, 1) == 1)
        printf("Load of the last minute: %.1f, of which this run is about one.\n", load);
}
