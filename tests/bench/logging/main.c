/* SPDX-License-Identifier: Apache-2.0
 *
 * What a log call costs its caller, how many lines a second reach a file with
 * none lost, and what a SIGKILL takes: ours beside the loggers that are
 * installed here. Every figure comes from a process of its own; the loggers
 * take turns, so that a slow second of the machine does not hit one of them.
 *
 *     bench_logging [--quick] [--rounds N] [--only NAME[,NAME]] [--show]
 *
 * --only: the beginnings of names do. --show prints a line of each and ends.
 * Exit status 1: ours lost a line, or failed.
 */
#include "bench.h"

#include <dirent.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_PEERS 8
#define MAX_ROUNDS 100

static char directory[512], log_path[600], ring_directory[512];

static int usage(const char *problem)
{
    fprintf(stderr,
            "bench_logging: %s\n"
            "usage: bench_logging [--quick] [--rounds 1..%d] [--only NAME[,NAME]] [--show]\n",
            problem, MAX_ROUNDS);
    return 2;
}

static bool make_directory(char *path, size_t size, const char *parent, const char *fallback)
{
    (void)snprintf(path, size, "%s/clew-bench-XXXXXX",
                   parent && access(parent, W_OK) == 0 ? parent : fallback);
    return mkdtemp(path) != NULL;
}

/* Rings where they are by default, but none of another process's. */
static bool make_directories(void)
{
    if (!make_directory(directory, sizeof(directory), getenv("TMPDIR"), "/tmp") ||
        !make_directory(ring_directory, sizeof(ring_directory), "/dev/shm", "/tmp")) {
        perror("bench_logging: no directory to write to");
        return false;
    }
    (void)snprintf(log_path, sizeof(log_path), "%s/log", directory);
    setenv("CLEW_RING_DIR", ring_directory, 1);
    unsetenv("OTEL_SERVICE_NAME");
    return true;
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
    if (rmdir(path) < 0)
        fprintf(stderr, "bench_logging: %s could not be removed\n", path);
}

/* only: beginnings of names, separated by commas. */
static bool wanted(const char *name, const char *only)
{
    while (only && *only) {
        size_t len = strcspn(only, ",");

        if (len > 0 && strncmp(name, only, len) == 0)
            return true;
        only += len + (only[len] == ',');
    }
    return !only;
}

static int choose(const struct peer **peers, const char *only)
{
    const struct peer *const ours[] = {&bench_clewline, NULL};
    const struct peer *const *const all[] = {ours, bench_spdlog, bench_quill, bench_fmtlog};
    int n = 0;

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        for (size_t j = 0; all[i][j]; j++)
            if (wanted(all[i][j]->name, only) && n < MAX_PEERS)
                peers[n++] = all[i][j];
    return n;
}

/* All must write the same, or the comparison is none. */
static bool lines_agree(const struct peer *const *peers, int n, bool show)
{
    static char line[4096];
    bool ok = true;

    for (int i = 0; i < n; i++) {
        const char *lacks = bench_sample(peers[i], log_path, line, sizeof(line))
                                ? bench_line_lacks(line)
                                : "anything";

        if (show)
            printf("%s\n%s", peers[i]->name, line);
        if (lacks)
            fprintf(stderr, "%s: its line lacks %s\n", peers[i]->name, lacks);
        ok = ok && !lacks;
    }
    return ok;
}

static bool run_rounds(const struct peer *const *peers, int n, const struct sizes *s,
                       struct figures *of)
{
    bool ok = true;

    for (int round = 0; round < s->rounds; round++)
        for (int job = 0; job < NJOBS; job++)
            for (int k = 0; k < n && !bench_interrupted(); k++) {
                int i = (k + round) % n; /* nobody is always the first */

                ok &= bench_run(peers[i], (enum job)job, s, log_path, &of[i * s->rounds + round]) ||
                      peers[i] != &bench_clewline;
            }
    return ok;
}

static bool ours_lost(const struct figures *of, int rounds)
{
    for (int round = 0; round < rounds; round++)
        if (of[round].v[BENCH_LACKING] > 0 || of[round].v[BENCH_KILL_LOST] > 0)
            return true;
    return false;
}

static int run(const struct sizes *s, const char *only, bool show)
{
    const struct peer *peers[MAX_PEERS];
    int n = choose(peers, only);
    struct figures *of = calloc((size_t)n * (size_t)s->rounds, sizeof(*of));
    bool has_ours = n > 0 && peers[0] == &bench_clewline, ok;
    double ours[3];

    if (n == 0 || !of)
        return usage("no such logger");
    for (int i = 0; i < n * s->rounds; i++)
        for (int c = 0; c < BENCH_NCOLUMNS; c++)
            of[i].v[c] = NAN;
    bench_clock_calibrate();
    ok = lines_agree(peers, n, show);
    if (!show && ok) {
        ok = run_rounds(peers, n, s, of) && !bench_interrupted();
        bench_report(peers, n, of, s->rounds);
        if (has_ours && !bench_interrupted() && bench_ours(s, log_path, ours))
            printf("%-33s %12.2f ns (the loop alone %.2f ns)\n%-33s %12.3f %% of a core\n",
                   "clewline: a call that is off", ours[0], ours[1], "clewline: idle", ours[2]);
        bench_report_machine();
        if (has_ours && ours_lost(of, s->rounds)) {
            printf("clewline lost a line\n");
            ok = false;
        }
    }
    free(of);
    return ok ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct sizes s = {5, 200000, 1000, 1000000, 200, 100000000, 3000};
    const struct sizes quick = {1, 100000, 500, 400000, 200, 50000000, 1000};
    const char *only = NULL;
    bool show = false;
    int rounds = 0, code;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--quick") == 0)
            s = quick;
        else if (strcmp(argv[i], "--show") == 0)
            show = true;
        else if (strcmp(argv[i], "--only") == 0 && i + 1 < argc)
            only = argv[++i];
        else if (strcmp(argv[i], "--rounds") == 0 && i + 1 < argc) {
            rounds = atoi(argv[++i]);
            if (rounds < 1 || rounds > MAX_ROUNDS)
                return usage("--rounds: a number is missing or out of range");
        } else
            return usage(argv[i]);
    }
    if (rounds)
        s.rounds = rounds;
    if (!make_directories())
        return 1;
    (void)signal(SIGINT, bench_interrupt);
    (void)signal(SIGTERM, bench_interrupt);
    code = run(&s, only, show);
    remove_directory(directory);
    remove_directory(ring_directory);
    return code;
}
