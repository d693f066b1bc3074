/* SPDX-License-Identifier: Apache-2.0
 * Threads that come and go, signal handlers that log wherever they strike, and
 * processes that fork while others log: every line of everybody is there once. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <child.h>
#include <clew/context.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Sanitizers' own locks do not survive a fork beside other threads (GCC 12), and
 * LeakSanitizer takes its time at the exit of each child. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define FORKS 6
#define PREFORKS 2
#define BESIDE_MAX 0
#else
#define FORKS 60
#define PREFORKS 20
#define BESIDE_MAX 6
#endif

static unsigned seen[64][400000 / 64];

/* Who logged what, from the text: thousands of lines are too many for a parser. */
static size_t count_lines(const char *message)
{
    char *end = child.output + child.output_len, *newline;
    char key[64];
    size_t n = 0;

    memset(seen, 0, sizeof(seen));
    snprintf(key, sizeof(key), "\"message\":\"%s\",\"context\":{\"who\":", message);
    for (char *line = child.output;
         line < end && *line == '{' && (newline = memchr(line, '\n', (size_t)(end - line)));
         line = newline + 1) {
        char *whole = child_whole_line(line, newline), *after;
        char *at = memmem(whole, (size_t)(newline - whole), key, strlen(key));
        unsigned long who, i;

        if (!at)
            continue;
        n++;
        who = strtoul(at + strlen(key), &after, 10);
        assert_int_equal(memcmp(after, ",\"i\":", 5), 0);
        i = strtoul(after + 5, NULL, 10);
        assert_true(who < 64 && i < 400000 / 64);
        assert_int_equal(seen[who][i]++, 0);
    }
    return n;
}

/* ---- signals ------------------------------------------------------------------ */

static volatile sig_atomic_t struck;
static _Atomic unsigned outer;

static void handler(int number)
{
    (void)number;
    clew_info("from the handler", clew_kv("who", 0), clew_kv("i", struck),
              clew_kv("text", "while something else was logged"));
    struck++;
}

static void *strike(void *arg)
{
    pthread_t target = *(pthread_t *)arg;
    struct timespec pause = {0, 20000};

    for (int i = 0; i < 3000; i++) {
        pthread_kill(target, SIGUSR1);
        nanosleep(&pause, NULL);
    }
    return NULL;
}

static int signals(void *arg)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    pthread_t self = pthread_self(), striker;
    struct clew_stats stats;

    (void)arg;
    setenv("CLEW_RING_FULL", "block:20000", 1);
    clew_info("start");
    sigaction(SIGUSR1, &action, NULL);
    pthread_create(&striker, NULL, strike, &self);
    while (struck < 200 || outer < 100000) {
        unsigned i = outer++;

        clew_info("outside", clew_kv("who", i % 64), clew_kv("i", i / 64));
        if (outer >= 390000)
            break;
        if (i % 100 == 0) /* the long way too */
            clew_error("outside as well");
    }
    pthread_join(striker, NULL);
    signal(SIGUSR1, SIG_IGN);
    clew_log_flush(20000);
    clew_stats_read(&stats);
    printf("%u %u %lu\n", outer, (unsigned)struck, (unsigned long)stats.dropped_nested);
    return stats.dropped_ring_full == 0 && stats.dropped_nested == 0 ? 0 : 2;
}

static void test_threads_handlers_log_too(void **state)
{
    unsigned outside = 0, inside = 0;
    char *said;

    (void)state;
    child_run(signals, NULL);
    assert_int_equal(child.status, 0);
    for (said = child.output; *said == '{'; said = strchr(said, '\n') + 1)
        ;
    assert_int_equal(sscanf(said, "%u %u", &outside, &inside), 2);
    assert_int_equal(count_lines("outside"), outside);
    assert_true(inside >= 200);
    assert_int_equal(count_lines("from the handler"), inside);
}

/* ---- threads ------------------------------------------------------------------ */

static void *short_life(void *arg)
{
    unsigned i = (unsigned)(uintptr_t)arg;

    clew_info("thread", clew_kv("who", i % 64), clew_kv("i", i / 64));
    return NULL;
}

static int churn(void *arg)
{
    pthread_t threads[16];
    struct clew_stats stats;

    (void)arg;
    for (unsigned i = 0; i < 4000; i += 16) {
        for (unsigned k = 0; k < 16; k++)
            if (pthread_create(&threads[k], NULL, short_life, (void *)(uintptr_t)(i + k)) != 0)
                return 1;
        for (unsigned k = 0; k < 16; k++)
            pthread_join(threads[k], NULL);
    }
    clew_stats_read(&stats);
    return stats.dropped_no_ring == 0 && stats.rings < 400 ? 0 : 2; /* they are used again */
}

static void test_threads_come_and_go(void **state)
{
    (void)state;
    child_run(churn, NULL);
    assert_int_equal(child.status, 0);
    assert_int_equal(count_lines("thread"), 4000);
}

/* ---- fork ---------------------------------------------------------------------- */

static _Atomic bool enough;

static void *beside(void *arg)
{
    unsigned who = (unsigned)(uintptr_t)arg, i = 0;

    for (; !enough && i < 400000 / 64; i++) {
        struct timespec pause = {0, 50000};

        clew_info("beside", clew_kv("who", who), clew_kv("i", i));
        nanosleep(&pause, NULL);
    }
    return (void *)(uintptr_t)i;
}

static int forks(void *arg)
{
    int nthreads = *(int *)arg, bad = 0, status;
    pthread_t threads[8];
    unsigned long lines = 0;
    void *n;

    clew_info("start");
    for (int i = 0; i < nthreads; i++)
        pthread_create(&threads[i], NULL, beside, (void *)(uintptr_t)i);
    for (unsigned round = 0; round < FORKS; round++) {
        pid_t pid;

        CHILD_BEFORE_FORK();
        pid = fork();

        if (pid == 0) {
            for (unsigned i = 0; i < 10; i++)
                clew_info("child", clew_kv("who", round), clew_kv("i", i));
            exit(0);
        }
        clew_info("parent", clew_kv("who", round), clew_kv("i", 0));
        if (waitpid(pid, &status, 0) != pid || status != 0)
            bad++;
    }
    enough = true;
    for (int i = 0; i < nthreads; i++) {
        pthread_join(threads[i], &n);
        lines += (uintptr_t)n;
    }
    clew_log_flush(20000);
    printf("%lu\n", lines);
    return bad ? 2 : 0;
}

static void test_threads_fork(void **state)
{
    (void)state;
    for (int nthreads = 0; nthreads <= BESIDE_MAX; nthreads += 3) {
        unsigned long beside_lines = 0;
        char *said;

        child_run(forks, &nthreads);
        assert_int_equal(child.status, 0);
        for (said = child.output; *said == '{'; said = strchr(said, '\n') + 1)
            ;
        assert_int_equal(sscanf(said, "%lu", &beside_lines), 1);
        assert_int_equal(count_lines("child"), 10 * FORKS);
        assert_int_equal(count_lines("parent"), FORKS);
        assert_int_equal(count_lines("beside"), beside_lines);
    }
}

/* ---- signals over a fork --------------------------------------------------------------- */

#define QUEUED 1000
static volatile sig_atomic_t queued_seen;

static void count_queued(int number)
{
    (void)number;
    queued_seen++;
}

/* A process, for threads beside a fork are not for sanitizers. */
static pid_t queue_signals(void)
{
    const struct timespec pause = {0, 20000};
    pid_t parent = getpid(), pid = fork();

    for (int i = 0; pid == 0 && i < QUEUED; i++) {
        while (sigqueue(parent, SIGRTMIN, (union sigval){.sival_int = i}) < 0)
            if (errno != EAGAIN)
                _exit(1);
        nanosleep(&pause, NULL);
    }
    if (pid == 0)
        _exit(0);
    return pid;
}

static bool same_mask(const sigset_t *a)
{
    sigset_t b;

    pthread_sigmask(SIG_SETMASK, NULL, &b);
    for (int number = 1; number <= SIGRTMAX; number++)
        if (sigismember(a, number) != sigismember(&b, number))
            return false;
    return true;
}

static int signals_over_forks(void *arg)
{
    struct sigaction action = {.sa_handler = count_queued, .sa_flags = SA_RESTART};
    sigset_t mask;
    pid_t sender;
    int status;

    (void)arg;
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR2);
    sigaddset(&mask, SIGTERM);
    CHECK(pthread_sigmask(SIG_SETMASK, &mask, NULL) == 0);
    CHECK(sigaction(SIGRTMIN, &action, NULL) == 0);
    sender = queue_signals();
    clew_info("start");
    for (unsigned round = 0; round < FORKS; round++) {
        pid_t pid;

        CHILD_BEFORE_FORK();
        pid = fork();
        if (pid == 0) {
            bool good = same_mask(&mask);

            queued_seen = 0; /* the parent's are not its own */
            raise(SIGRTMIN);
            clew_info("child", clew_kv("who", round), clew_kv("i", 0));
            exit(good && queued_seen == 1 && same_mask(&mask) ? 0 : 1);
        }
        CHECK(same_mask(&mask));
        CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    }
    CHECK(waitpid(sender, &status, 0) == sender && status == 0);
    CHECK(queued_seen == QUEUED); /* all were delivered before waitpid() returned */
    CHECK(same_mask(&mask));
    return 0;
}

static void test_threads_signals_over_forks(void **state)
{
    (void)state;
    child_run(signals_over_forks, NULL);
    assert_int_equal(child.status, 0);
    assert_int_equal(child_count("child"), FORKS);
}

/* A server that forks its workers after the first line; they end in every way. */
static int prefork(void *arg)
{
    pid_t pids[8];

    (void)arg;
    setenv("OTEL_SERVICE_NAME", "prefork", 1);
    clew_info("parent", clew_kv("who", 0), clew_kv("i", 0));
    for (unsigned w = 0; w < 8; w++) {
        CHILD_BEFORE_FORK();
        pids[w] = fork();
        if (pids[w] == 0) {
            for (unsigned i = 0; i < 2000; i++)
                clew_info("worker", clew_kv("who", w), clew_kv("i", i));
            if (w % 3 == 0)
                exit(0);
            if (w % 3 == 1)
                _exit(0);
            kill(getpid(), SIGKILL);
        }
    }
    for (unsigned w = 0; w < 8; w++)
        waitpid(pids[w], NULL, 0);
    clew_info("parent", clew_kv("who", 0), clew_kv("i", 1));
    return 0;
}

static int again(void *arg)
{
    (void)arg;
    setenv("OTEL_SERVICE_NAME", "prefork", 1);
    clew_info("again");
    return 0;
}

static void test_threads_prefork(void **state)
{
    char path[128];

    (void)state;
    for (int round = 0; round < PREFORKS; round++) {
        FILE *f;

        snprintf(path, sizeof(path), "%s/workers.json", child.directory);
        unlink(path);
        setenv("CLEW_LOG_OUTPUT", path, 1);
        child_run(prefork, NULL);
        assert_int_equal(child.status, 0);
        child_run(again, NULL);
        assert_int_equal(child.status, 0);
        free(child.output);
        child.output = calloc(1, 32u << 20);
        f = fopen(path, "r");
        assert_non_null(f);
        child.output_len = fread(child.output, 1, (32u << 20) - 1, f);
        fclose(f);
        assert_int_equal(count_lines("worker"), 16000);
        assert_int_equal(count_lines("parent"), 2);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, child_setup, child_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_threads_handlers_log_too),
        TEST(test_threads_come_and_go),
        TEST(test_threads_fork),
        TEST(test_threads_signals_over_forks),
        TEST(test_threads_prefork),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
