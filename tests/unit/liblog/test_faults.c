/* SPDX-License-Identifier: Apache-2.0
 * What goes wrong around the log: full disks, closed outputs, full rings,
 * directories that cannot be used, signals. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <child.h>
#include <clew/log.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

/* The line that says so is lost as well, if it came to that in time. */
static bool lost(uint64_t counter, uint64_t n)
{
    return counter >= n && counter <= n + 2;
}

static int to_full_disk(void *arg)
{
    struct clew_stats stats;

    (void)arg;
    setenv("CLEW_LOG_OUTPUT", "/dev/full", 1);
    for (int i = 0; i < 1000; i++)
        clew_info("nowhere");
    if (clew_log_flush(5000) != 0)
        return 1;
    clew_stats_read(&stats);
    return lost(stats.dropped_space, 1000) ? 0 : 2;
}

static void test_faults_full_disk_is_counted(void **state)
{
    (void)state;
    child_run(to_full_disk, NULL);
    assert_int_equal(child.status, 0);
}

static int to_closed_pipe(void *arg)
{
    struct clew_stats stats;
    int ends[2];

    (void)arg;
    if (pipe(ends) < 0 || dup2(ends[1], STDOUT_FILENO) < 0)
        return 1;
    close(ends[0]);
    close(ends[1]);
    for (int i = 0; i < 10; i++)
        clew_info("nobody reads");
    clew_log_flush(5000);
    clew_stats_read(&stats);
    return lost(stats.dropped_closed, 10) ? 0 : 2; /* alive: no SIGPIPE */
}

static void test_faults_closed_pipe_does_not_kill(void **state)
{
    (void)state;
    child_run(to_closed_pipe, NULL);
    assert_int_equal(child.status, 0);
}

static int without_stdout(void *arg)
{
    struct clew_stats stats;
    int file;

    (void)arg;
    close(STDIN_FILENO);
    close(STDOUT_FILENO);
    for (int i = 0; i < 10; i++)
        clew_info("nowhere to go");
    file = open("/tmp", O_TMPFILE | O_RDWR, 0600); /* gets a number that was free */
    if (file > STDOUT_FILENO)
        return 3;
    clew_info("one more");
    clew_log_flush(5000);
    clew_stats_read(&stats);
    if (lseek(file, 0, SEEK_END) != 0)
        return 4; /* a line went into somebody else's file */
    return lost(stats.dropped_closed, 11) ? 0 : 2;
}

static void test_faults_closed_stdout_is_counted(void **state)
{
    (void)state;
    child_run(without_stdout, NULL);
    assert_int_equal(child.status, 0);
}

/* Nobody reads the pipe until the ring has overflowed. */
static int to_stuck_pipe(void *arg)
{
    struct clew_stats stats;
    unsigned long infos = 0, warns = 0;
    char chunk[65536];
    int ends[2];
    ssize_t n;

    (void)arg;
    setenv("CLEW_RING_KIB", "64", 1);
    if (pipe(ends) < 0)
        return 1;
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", ends[1]);
    setenv("CLEW_LOG_OUTPUT", path, 1);
    do {
        for (int i = 0; i < 1000; i++)
            clew_info("flood", clew_kv("i", i));
        clew_stats_read(&stats);
        infos += 1000;
    } while (stats.dropped_ring_full < 5000);
    uint64_t before = stats.dropped_ring_full;
    for (int i = 0; i < 20; i++, warns++)
        clew_warn("reserve");
    clew_stats_read(&stats);
    if (stats.dropped_ring_full != before)
        return 2; /* warnings have a part of their own */
    close(ends[1]);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    uint64_t expected = infos + warns - before, lines = 0;
    while (lines < expected) {
        n = read(ends[0], chunk, sizeof(chunk));
        for (ssize_t i = 0; i < n; i++)
            lines += chunk[i] == '\n' && 1;
        if (n == 0)
            break;
    }
    clew_stats_read(&stats);
    return lines >= expected && stats.dropped_ring_full == before ? 0 : 3;
}

static void test_faults_full_ring_drops_and_counts(void **state)
{
    (void)state;
    child_run(to_stuck_pipe, NULL);
    assert_int_equal(child.status, 0);
}

static int says_drops(void *arg)
{
    (void)arg;
    setenv("CLEW_RING_FULL", "drop", 1);
    setenv("CLEW_RING_KIB", "64", 1);
    struct clew_stats stats;
    do {
        for (int i = 0; i < 10000; i++)
            clew_info("flood", clew_kv("i", i), clew_kv("text", "some text to fill the ring"));
        clew_stats_read(&stats);
    } while (stats.dropped_ring_full == 0);
    return 0;
}

static void test_faults_drops_stand_in_the_log(void **state)
{
    json_t *line, *context;
    json_int_t told = 0;
    size_t i;

    (void)state;
    child_run(says_drops, NULL);
    assert_int_equal(child.status, 0);
    assert_true(child_count("log records dropped") >= 1);
    json_array_foreach(child.lines, i, line)
    {
        context = json_object_get(line, "context");
        told += json_integer_value(json_object_get(context, "since_last"));
    }
    assert_int_equal((told + (json_int_t)child_count("flood")) % 10000, 0);
}

static int with_rings_in(void *arg)
{
    setenv("CLEW_RING_DIR", arg, 1);
    if (clew_log_start("s", NULL) != 0)
        return 1;
    clew_info("goes on");
    return 0;
}

static void test_faults_unusable_ring_directory_is_said(void **state)
{
    char shared[96];

    (void)state;
    child_run(with_rings_in, (char *)"/proc/no/such/place");
    assert_int_equal(child.status, 0);
    assert_int_equal(child_count("goes on"), 1);
    assert_int_equal(child_count("rings have no file, a crash would lose what is not written yet"),
                     1);
    snprintf(shared, sizeof(shared), "%s/shared", child.directory);
    mkdir(shared, 0777);
    chmod(shared, 0777);
    child_run(with_rings_in, shared); /* others could plant files here */
    assert_int_equal(child_count("goes on"), 1);
    assert_int_equal(child_count("rings have no file, a crash would lose what is not written yet"),
                     1);
}

static void on_alarm(int sig)
{
    (void)sig;
    clew_info("from the handler");
}

static int in_handler(void *arg)
{
    struct itimerval every = {{0, 200}, {0, 200}};
    struct clew_stats stats;

    (void)arg;
    clew_info("first");
    signal(SIGALRM, on_alarm);
    setitimer(ITIMER_REAL, &every, NULL);
    for (int i = 0; i < 2000; i++) {
        clew_info("interrupted", clew_kv("i", i), clew_kv("text", "abcdefghijklmnopqrstuvwxyz"));
        if (i % 200 == 0)
            clew_log_flush(5000);
    }
    signal(SIGALRM, SIG_IGN);
    clew_stats_read(&stats);
    return stats.dropped_ring_full == 0 ? 0 : 1;
}

static void test_faults_signal_handler_tears_nothing(void **state)
{
    (void)state;
    child_run(in_handler, NULL);
    assert_int_equal(child.status, 0);
    assert_true(child.whole);
    assert_int_equal(child_count("interrupted"), 2000);
    assert_true(child_count("from the handler") > 0);
}

static int long_string(void *arg)
{
    static char text[100000];
    struct clew_stats stats;

    (void)arg;
    memset(text, 'x', sizeof(text) - 1);
    clew_info("long", clew_kv("a", text), clew_kv("b", text), clew_kv("n", 7));
    clew_stats_read(&stats);
    return stats.truncated == 2 ? 0 : 1;
}

static void test_faults_long_strings_are_cut(void **state)
{
    json_t *context;

    (void)state;
    child_run(long_string, NULL);
    assert_int_equal(child.status, 0);
    context = json_object_get(child_line("long"), "context");
    assert_true(json_string_length(json_object_get(context, "a")) > 32000);
    assert_int_equal(json_integer_value(json_object_get(context, "n")), 7);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, child_setup, child_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_faults_full_disk_is_counted),
        TEST(test_faults_closed_pipe_does_not_kill),
        TEST(test_faults_closed_stdout_is_counted),
        TEST(test_faults_full_ring_drops_and_counts),
        TEST(test_faults_drops_stand_in_the_log),
        TEST(test_faults_unusable_ring_directory_is_said),
        TEST(test_faults_signal_handler_tears_nothing),
        TEST(test_faults_long_strings_are_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
