/* SPDX-License-Identifier: Apache-2.0
 * Processes that die while they log to a file, at any moment and in many ways:
 * after the next start every line that was logged is in the file, whole, and
 * once. The same when the one who recovers dies in between, when the file was
 * moved, and when others write to it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <child.h>
#include <clew/context.h>

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define THREADS_MAX 4
#define LINES_MAX 200000

enum death { KILLED, ABORTED, FAULTED, LEFT, NDEATHS };

static struct {
    int threads;
    unsigned pause_ns; /* between lines */
    unsigned life_us;
    enum death death;
    bool move; /* the file, as logrotate does */
} life;

/* Lines logged by each thread: counted after the call returned. */
static _Atomic unsigned *logged;
static char log_path[128], moved_path[140];
static unsigned char seen[THREADS_MAX][LINES_MAX];

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void *chatter(void *arg)
{
    int me = (int)(intptr_t)arg;
    struct clew_scope scope = {clew_context_new(), 0};
    uint64_t next = now_ns();

    (void)clew_scope_enter(scope);
    for (unsigned i = 0; i < LINES_MAX - 1; i++) {
        if (i % 1000 == 0)
            clew_context_set_request_id(scope.context, NULL, 0);
        clew_info("chatter", clew_kv("t", me), clew_kv("i", i), clew_kv("text", "\"quoted\"\n"));
        logged[me] = i + 1;
        for (next += life.pause_ns; life.pause_ns && now_ns() < next;)
            ;
    }
    pause();
    return NULL;
}

static void die(void)
{
    switch (life.death) {
    case ABORTED:
        signal(SIGABRT, SIG_DFL);
        abort();
    case FAULTED:
        signal(SIGSEGV, SIG_DFL);
        raise(SIGSEGV);
        break;
    case LEFT:
        _exit(0);
    default:
        kill(getpid(), SIGKILL);
    }
}

static int mortal(void *arg)
{
    pthread_t threads[THREADS_MAX];

    (void)arg;
    for (int i = 0; i < life.threads; i++)
        if (pthread_create(&threads[i], NULL, chatter, (void *)(intptr_t)i) != 0)
            return 1;
    if (life.move) {
        usleep(life.life_us / 2);
        (void)rename(log_path, moved_path);
        clew_log_reopen();
    }
    usleep(life.life_us);
    die();
    return 1;
}

static int heir(void *arg)
{
    const unsigned *dies_after_us = arg;

    if (clew_log_start("mortal", NULL) != 0)
        return 1;
    if (*dies_after_us) {
        usleep(*dies_after_us);
        kill(getpid(), SIGKILL);
    }
    return clew_log_flush(20000) == 0 ? 0 : 2;
}

/* Of the last line in it: the first part of another, of a process that died, may
 * stand before. */
static char *last_context(char *line, const char *end)
{
    for (char *at = line; (at = memmem(at, (size_t)(end - at), "{\"timestamp\":\"", 14)); at++)
        line = at;
    return memmem(line, (size_t)(end - line), "\"context\":{\"t\":", 15);
}

/* Reads one file; every line whole, none twice. */
static void read_lines(const char *path)
{
    int fd = open(path, O_RDONLY);
    struct stat st;
    char *bytes;

    if (fd < 0)
        return;
    assert_int_equal(fstat(fd, &st), 0);
    if (st.st_size == 0) {
        close(fd);
        return;
    }
    bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    assert_true(bytes != MAP_FAILED);
    assert_int_equal(bytes[st.st_size - 1], '\n');
    for (char *line = bytes, *end = bytes + st.st_size; line < end;) {
        char *newline = memchr(line, '\n', (size_t)(end - line));
        char *fields = last_context(line, newline);
        int t;
        unsigned i;

        assert_int_equal(memcmp(line, "{\"timestamp\":\"", 14), 0);
        assert_int_equal(memcmp(newline - 2, "}}", 2), 0);
        if (fields) {
            char *after;

            t = (int)strtol(fields + 15, &after, 10);
            assert_int_equal(memcmp(after, ",\"i\":", 5), 0);
            i = (unsigned)strtoul(after + 5, NULL, 10);
            assert_true(t >= 0 && t < THREADS_MAX && i < LINES_MAX);
            assert_int_equal(seen[t][i], 0); /* not twice */
            seen[t][i] = 1;
        }
        line = newline + 1;
    }
    munmap(bytes, (size_t)st.st_size);
    close(fd);
}

static void check_files(void)
{
    memset(seen, 0, sizeof(seen));
    read_lines(moved_path);
    read_lines(log_path);
    for (int t = 0; t < life.threads; t++) {
        unsigned n = logged[t];

        assert_null(memchr(seen[t], 0, n));
        /* The call that was interrupted may or may not be there. */
        assert_null(memchr(seen[t] + n + 1, 1, LINES_MAX - n - 1));
    }
}

static void set_up(void)
{
    snprintf(log_path, sizeof(log_path), "%s/log.json", child.directory);
    snprintf(moved_path, sizeof(moved_path), "%s.1", log_path);
    setenv("CLEW_LOG_OUTPUT", log_path, 1);
    setenv("OTEL_SERVICE_NAME", "mortal", 1);
    setenv("CLEW_RING_FULL", "block:60000", 1); /* however busy the machine is */
    logged = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(logged != MAP_FAILED);
}

static void one_round(unsigned heir_dies_after_us)
{
    unsigned never = 0;

    memset((void *)logged, 0, THREADS_MAX * sizeof(*logged));
    unlink(log_path);
    unlink(moved_path);
    child_run(mortal, NULL);
    if (heir_dies_after_us)
        child_run(heir, &heir_dies_after_us);
    child_run(heir, &never);
    assert_int_equal(child.status, 0);
    check_files();
}

static void test_kill_every_line_once(void **state)
{
    (void)state;
    set_up();
    srand(11);
    for (int round = 0; round < 120; round++) {
        life.threads = 1 + round % THREADS_MAX;
        life.pause_ns = round % 2 ? 5000 : 0;
        life.life_us = (unsigned)rand() % 12000;
        life.death = (enum death)(round / 4 % NDEATHS);
        life.move = false;
        one_round(0);
    }
}

static void test_kill_the_heir_too(void **state)
{
    (void)state;
    set_up();
    srand(12);
    for (int round = 0; round < 60; round++) {
        life.threads = 1 + round % THREADS_MAX;
        life.pause_ns = 0;
        life.life_us = (unsigned)rand() % 8000;
        life.death = KILLED;
        life.move = false;
        one_round(1 + (unsigned)rand() % 3000);
    }
}

static void test_kill_after_the_file_was_moved(void **state)
{
    (void)state;
    set_up();
    srand(13);
    for (int round = 0; round < 40; round++) {
        life.threads = 1 + round % 2;
        life.pause_ns = round % 4 ? 5000 : 500;
        life.life_us = 1000 + (unsigned)rand() % 4000;
        life.death = KILLED;
        life.move = true;
        one_round(0);
    }
}

/* Two that write to the same file die one after the other. */
static void test_kill_beside_another_writer(void **state)
{
    unsigned never = 0;

    (void)state;
    set_up();
    srand(14);
    for (int round = 0; round < 40; round++) {
        pid_t pid;

        life.threads = 1;
        life.pause_ns = 2000;
        life.death = KILLED;
        life.move = false;
        memset((void *)logged, 0, THREADS_MAX * sizeof(*logged));
        unlink(log_path);
        unlink(moved_path);
        pid = fork();
        if (pid == 0) { /* thread 1 is of another process */
            clew_info("start");
            life.life_us = 3000;
            pthread_t thread;
            pthread_create(&thread, NULL, chatter, (void *)(intptr_t)1);
            usleep(4000);
            kill(getpid(), SIGKILL);
        }
        life.life_us = (unsigned)rand() % 6000;
        child_run(mortal, NULL);
        waitpid(pid, NULL, 0);
        child_run(heir, &never);
        assert_int_equal(child.status, 0);
        life.threads = 2;
        check_files();
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, child_setup, child_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_kill_every_line_once),
        TEST(test_kill_the_heir_too),
        TEST(test_kill_after_the_file_was_moved),
        TEST(test_kill_beside_another_writer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
