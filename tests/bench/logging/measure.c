/* SPDX-License-Identifier: Apache-2.0
 *
 * One job of one logger, in a process of its own: a logger that left threads,
 * queues or a warm heap behind would disturb the next. Figures, and how
 * far the killed one came, are handed over in shared memory.
 */
#include "bench.h"
#include "clock.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PACE_NS 2000
#define KILL_PACE_NS 5000 /* 200,000 lines a second */
#define SETTLE_MS 100
#define MAX_SECONDS 100 /* of one process; then it hangs */
#define THREADS 2

static uint64_t *samples(size_t n)
{
    uint64_t *each = malloc(n * sizeof(*each));

    if (!each) {
        perror("samples");
        exit(1);
    }
    memset(each, 1, n * sizeof(*each)); /* no page fault later */
    return each;
}

static double cpu_ns(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return ((double)u.ru_utime.tv_sec + (double)u.ru_stime.tv_sec) * 1e9 +
           ((double)u.ru_utime.tv_usec + (double)u.ru_stime.tv_usec) * 1e3;
}

static double rss_mb(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (double)u.ru_maxrss / 1024;
}

static double less(double ticks, double cost)
{
    return ticks > cost ? bench_ns(ticks - cost) : 0;
}

static void pause_ms(int ms)
{
    const struct timespec t = {ms / 1000, ms % 1000 * 1000000L};

    nanosleep(&t, NULL);
}

/* What happens once happens here, in the background threads too: some calibrate
 * a clock for tens of milliseconds after their first line. */
static void begin(const struct peer *peer, const char *path, int threads)
{
    peer->open(path, threads);
    peer->thread_begin();
    peer->loops.plain(0, 1);
    pause_ms(SETTLE_MS);
}

static void paced(const struct peer *peer, const struct sizes *s, const char *path,
                  struct figures *f)
{
    size_t n = (size_t)s->paced;
    uint64_t *each = samples(n);
    double cost = bench_clock_cost(), sum = 0;

    begin(peer, path, 1);
    peer->loops.paced(each, s->paced, (uint64_t)(PACE_NS / bench_ns(1)));
    for (size_t i = 0; i < n; i++)
        sum += (double)each[i];
    f->v[BENCH_PACED_MEAN] = less(sum / (double)n, cost);
    f->v[BENCH_PACED_P50] = less(bench_quantile(each, n, 0.5), cost);
    f->v[BENCH_PACED_P99] = less(bench_quantile(each, n, 0.99), cost);
    f->v[BENCH_PACED_P999] = less(bench_quantile(each, n, 0.999), cost);
    peer->flush();
    free(each);
}

static void cold(const struct peer *peer, const struct sizes *s, const char *path,
                 struct figures *f)
{
    uint64_t *each = samples((size_t)s->bursts);
    double cost = bench_clock_cost(), sum = 0;

    begin(peer, path, 1);
    peer->loops.bursts(each, s->bursts);
    for (int i = 0; i < s->bursts; i++)
        sum += less((double)each[i], cost);
    f->v[BENCH_COLD] = sum / s->bursts / BENCH_BURST;
    peer->flush();
    free(each);
}

static void compare(const char *path, long lines, struct figures *f)
{
    double difference = fabs((double)(lines - bench_count_lines(path)));

    f->v[BENCH_LACKING] = fmax(f->v[BENCH_LACKING], difference); /* also of the other job */
}

static void sustained_1(const struct peer *peer, const struct sizes *s, const char *path,
                        struct figures *f)
{
    double cpu;
    uint64_t start;

    begin(peer, path, 1);
    cpu = cpu_ns();
    start = clock_fenced();
    peer->loops.plain(1, s->lines);
    peer->flush();
    f->v[BENCH_LINES_1] = s->lines * 1e3 / bench_ns((double)(clock_fenced() - start));
    f->v[BENCH_CPU] = (cpu_ns() - cpu) / s->lines;
    f->v[BENCH_RSS] = rss_mb();
    compare(path, s->lines + 1L, f);
}

struct worker {
    const struct peer *peer;
    pthread_barrier_t *barrier;
    uint64_t *each;
    int lines;
};

static void *work(void *arg)
{
    struct worker *w = arg;

    w->peer->thread_begin();
    w->peer->loops.plain(0, 1);
    pthread_barrier_wait(w->barrier);
    w->peer->loops.timed(w->each, 1, w->lines);
    return NULL;
}

static void sustained_2(const struct peer *peer, const struct sizes *s, const char *path,
                        struct figures *f)
{
    size_t n = (size_t)s->lines * THREADS;
    uint64_t *each = samples(n), start;
    struct worker w[THREADS];
    pthread_t threads[THREADS];
    pthread_barrier_t barrier;

    peer->open(path, THREADS);
    peer->thread_begin();
    pthread_barrier_init(&barrier, NULL, THREADS + 1);
    for (int i = 0; i < THREADS; i++) {
        w[i] = (struct worker){peer, &barrier, each + (size_t)i * (size_t)s->lines, s->lines};
        if (pthread_create(&threads[i], NULL, work, &w[i]) != 0)
            exit(1);
    }
    pause_ms(SETTLE_MS);
    pthread_barrier_wait(&barrier);
    start = clock_fenced();
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    peer->flush();
    f->v[BENCH_LINES_2] = (double)n * 1e3 / bench_ns((double)(clock_fenced() - start));
    compare(path, (long)n + THREADS, f);
    f->v[BENCH_BUSY_P9999] = bench_ns(bench_quantile(each, n, 0.9999)) / 1e3;
    f->v[BENCH_BUSY_MAX] = bench_ns(bench_quantile(each, n, 1)) / 1e3;
    free(each);
}

static volatile sig_atomic_t interrupted, child;

void bench_interrupt(int signal)
{
    (void)signal;
    interrupted = 1;
    if (child > 0)
        (void)kill((pid_t)child, SIGKILL);
}

bool bench_interrupted(void)
{
    return interrupted;
}

pid_t bench_fork(void)
{
    pid_t pid;

    (void)fflush(NULL); /* or the child's exit prints it again */
    pid = fork();
    child = (sig_atomic_t)pid;
    if (pid == 0) {
        (void)signal(SIGINT, SIG_DFL);
        (void)signal(SIGTERM, SIG_DFL);
        alarm(MAX_SECONDS);
    }
    return pid;
}

static bool ended_well(const char *name, pid_t pid, int signal)
{
    int status = 0;
    pid_t got;

    while ((got = waitpid(pid, &status, 0)) < 0 && errno == EINTR)
        ;
    child = 0;
    if (got == pid && signal == 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    if (got == pid && signal != 0 && WIFSIGNALED(status) && WTERMSIG(status) == signal)
        return true;
    fprintf(stderr, "%s: its process ended with status %#x\n", name, (unsigned)status);
    return false;
}

static bool measured(const struct peer *peer,
                     void (*measure)(const struct peer *, const struct sizes *, const char *,
                                     struct figures *),
                     const struct sizes *s, const char *path, struct figures *ret)
{
    struct figures *f =
        mmap(NULL, sizeof(*f), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t pid;
    bool ok;

    if (f == MAP_FAILED)
        return false;
    *f = *ret;
    if ((pid = bench_fork()) == 0) {
        measure(peer, s, path, f);
        exit(0);
    }
    ok = pid > 0 && ended_well(peer->name, pid, 0);
    if (ok)
        *ret = *f;
    munmap(f, sizeof(*f));
    return ok;
}

static bool recovered(const struct peer *peer, const char *path)
{
    pid_t pid;

    if (!peer->recover)
        return true;
    if ((pid = bench_fork()) == 0) {
        peer->recover(path);
        exit(0);
    }
    return pid > 0 && ended_well(peer->name, pid, 0);
}

static bool killed(const struct peer *peer, const struct sizes *s, const char *path,
                   struct figures *ret)
{
    uint64_t *done =
        mmap(NULL, sizeof(*done), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct seen seen;
    bool ok;
    pid_t pid;

    if (done == MAP_FAILED)
        return false;
    if ((pid = bench_fork()) == 0) {
        begin(peer, path, 1);
        peer->loops.endless(done, 1, (uint64_t)(KILL_PACE_NS / bench_ns(1)));
    }
    for (int i = 0; i < 10000 && __atomic_load_n(done, __ATOMIC_ACQUIRE) == 0; i++)
        pause_ms(1);
    pause_ms(s->kill_ms);
    ok = pid > 0 && kill(pid, SIGKILL) == 0 && ended_well(peer->name, pid, SIGKILL) && *done > 0 &&
         recovered(peer, path) && bench_check_ids(path, *done, &seen);
    if (ok) {
        ret->v[BENCH_KILL_LOST] = (double)seen.lost;
        ret->v[BENCH_KILL_TWICE] = (double)seen.twice;
        ret->v[BENCH_KILL_TORN] = (double)seen.torn;
    }
    munmap(done, sizeof(*done));
    return ok;
}

bool bench_run(const struct peer *peer, enum job job, const struct sizes *s, const char *path,
               struct figures *ret)
{
    static void (*const jobs[])(const struct peer *, const struct sizes *, const char *,
                                struct figures *) = {paced, cold, sustained_1, sustained_2};
    bool ok =
        job == JOB_KILLED ? killed(peer, s, path, ret) : measured(peer, jobs[job], s, path, ret);

    unlink(path);
    return ok;
}

static void one_line(const struct peer *peer, const struct sizes *s, const char *path,
                     struct figures *f)
{
    (void)s;
    (void)f;
    begin(peer, path, 1);
    peer->flush();
}

bool bench_sample(const struct peer *peer, const char *path, char *ret, size_t size)
{
    struct figures none = {{0}};
    bool ok = measured(peer, one_line, NULL, path, &none);
    FILE *f = fopen(path, "re");

    ok = ok && f && fgets(ret, (int)size, f);
    if (f)
        fclose(f);
    unlink(path);
    return ok;
}
