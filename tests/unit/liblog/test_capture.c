/* SPDX-License-Identifier: Apache-2.0
 * Captured descriptors: each line an event, whoever writes it and whenever. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <child.h>
#include <clew/capture.h>
#include <clew/sink.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* The field of the i-th captured line; "" when there is none. */
static const char *field_of(size_t wanted, const char *key)
{
    size_t i, n = 0;
    json_t *line;

    json_array_foreach(child.lines, i, line)
    {
        const char *message = json_string_value(json_object_get(line, "message"));
        json_t *context = json_object_get(line, "context");
        const char *text;

        if (!message || strcmp(message, "captured output") != 0 || n++ != wanted)
            continue;
        text = json_string_value(json_object_get(context, key));
        return text ? text : "";
    }
    return "";
}

static const char *text_of(size_t i)
{
    return field_of(i, "text");
}

static void ran(int (*scenario)(void *), size_t lines)
{
    child_run(scenario, NULL);
    assert_int_equal(child.status, 0);
    assert_true(child.whole);
    assert_int_equal(child_count("captured output"), lines);
}

/* ---- lines -------------------------------------------------------------------- */

static int writes_lines(void *arg)
{
    (void)arg;
    CHECK(clew_capture_stderr(CLEW_LEVEL_WARN) == 0);
    fprintf(stderr, "first %d\n\nsec", 1);
    fprintf(stderr, "ond\r\n\xFFnot utf-8\n");
    CHECK(write(STDERR_FILENO, "a\0b\n", 4) == 4);
    fprintf(stderr, "no newline");
    clew_capture_stop();
    clew_info("after");
    return 0;
}

static void test_capture_makes_a_line_an_event(void **state)
{
    (void)state;
    ran(writes_lines, 5);
    assert_string_equal(text_of(0), "first 1");
    assert_string_equal(text_of(1), "second");
    assert_string_equal(text_of(2), "\xEF\xBF\xBDnot utf-8");
    assert_memory_equal(text_of(3), "a\0b", 4);
    assert_string_equal(text_of(4), "no newline");
    assert_string_equal(field_of(0, "origin"), "stderr");
    assert_string_equal(json_string_value(json_object_get(child_line("captured output"), "level")),
                        "WARN");
    assert_int_equal(child_count("after"), 1);
}

#define LONG 20000

static int writes_a_long_line(void *arg)
{
    char *text = malloc(LONG + 1);

    (void)arg;
    for (int i = 0; i < LONG; i += 2)
        memcpy(text + i, "\xC3\xA4", 2); /* ä: no piece may end inside one */
    text[LONG] = '\n';
    CHECK(clew_capture_stderr(CLEW_LEVEL_INFO) == 0);
    CHECK(write(STDERR_FILENO, "x", 1) == 1);
    CHECK(write(STDERR_FILENO, text, LONG + 1) == LONG + 1);
    CHECK(write(STDERR_FILENO, "short\n", 6) == 6);
    free(text);
    return 0;
}

static void test_capture_splits_long_lines(void **state)
{
    static const char mark[] = "\xE2\x80\xA6";
    size_t total = 0;

    (void)state;
    ran(writes_a_long_line, 4);
    for (size_t i = 0; i < 3; i++) {
        const char *text = text_of(i);
        size_t len = strlen(text);

        assert_null(strstr(text, "\xEF\xBF\xBD"));
        if (i > 0) {
            assert_memory_equal(text, mark, 3);
            text += 3;
            len -= 3;
        }
        if (i < 2) {
            assert_memory_equal(text + len - 3, mark, 3);
            len -= 3;
        }
        assert_true(len <= 8192);
        total += len;
    }
    assert_int_equal(total, LONG + 1);
    assert_string_equal(text_of(3), "short");
}

static int at_each_level(void *arg)
{
    static const enum clew_level levels[] = {CLEW_LEVEL_TRACE, CLEW_LEVEL_DEBUG, CLEW_LEVEL_INFO,
                                             CLEW_LEVEL_WARN,  CLEW_LEVEL_ERROR, CLEW_LEVEL_FATAL};

    (void)arg;
    CHECK(clew_log_start("s", NULL) == 0);
    CHECK(clew_log_set_level(CLEW_LEVEL_TRACE) == 0);
    for (size_t i = 0; i < 6; i++) {
        CHECK(clew_capture_fd(STDERR_FILENO, "x", levels[i]) == 0);
        fprintf(stderr, "%s\n", clew_level_name(levels[i]));
        clew_capture_stop();
    }
    return 0;
}

static void test_capture_has_all_levels(void **state)
{
    size_t i;
    json_t *line;

    (void)state;
    ran(at_each_level, 6);
    json_array_foreach(child.lines, i, line)
        assert_string_equal(json_string_value(json_object_get(line, "level")), text_of(i));
}

/* ---- descriptors ----------------------------------------------------------------- */

static int puts_back(void *arg)
{
    struct stat before, during, after;
    int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    (void)arg;
    CHECK(fd >= 0);
    for (int i = 0; i < 3; i++) {
        CHECK(fstat(fd, &before) == 0);
        CHECK(clew_capture_fd(fd, "worker", CLEW_LEVEL_INFO) == 0);
        CHECK(clew_capture_fd(fd, "worker", CLEW_LEVEL_INFO) == -EEXIST);
        CHECK(fstat(fd, &during) == 0 && S_ISFIFO(during.st_mode));
        CHECK(fcntl(fd, F_GETFD) == FD_CLOEXEC);
        CHECK(write(fd, "captured\n", 9) == 9);
        clew_capture_stop();
        clew_capture_stop();
        CHECK(fstat(fd, &after) == 0 && after.st_ino == before.st_ino);
        CHECK(fcntl(fd, F_GETFD) == FD_CLOEXEC);
        CHECK(write(fd, "plain\n", 6) == 6);
    }
    CHECK(lseek(fd, 0, SEEK_END) == 18);
    return 0;
}

static void test_capture_puts_the_original_back(void **state)
{
    (void)state;
    ran(puts_back, 3);
    assert_string_equal(field_of(2, "origin"), "worker");
}

/* The program replaced the descriptor meanwhile: it is not ours any more. */
static int replaced(void *arg)
{
    struct stat st;
    int null = open("/dev/null", O_WRONLY);

    (void)arg;
    CHECK(clew_capture_stderr(CLEW_LEVEL_INFO) == 0);
    fprintf(stderr, "before\n");
    CHECK(dup2(null, STDERR_FILENO) == STDERR_FILENO);
    fprintf(stderr, "elsewhere\n");
    clew_capture_stop();
    CHECK(fstat(STDERR_FILENO, &st) == 0 && S_ISCHR(st.st_mode));
    return 0;
}

static void test_capture_leaves_a_replaced_descriptor(void **state)
{
    (void)state;
    ran(replaced, 1);
}

static int refusals(void *arg)
{
    char long_origin[65] = {0};

    (void)arg;
    memset(long_origin, 'x', 64);
    CHECK(clew_capture_fd(-1, "x", CLEW_LEVEL_INFO) == -EINVAL);
    CHECK(clew_capture_fd(2, NULL, CLEW_LEVEL_INFO) == -EINVAL);
    CHECK(clew_capture_fd(2, "", CLEW_LEVEL_INFO) == -EINVAL);
    CHECK(clew_capture_fd(2, long_origin, CLEW_LEVEL_INFO) == -EINVAL);
    CHECK(clew_capture_fd(2, "x", CLEW_LEVEL_OFF) == -EINVAL);
    CHECK(clew_capture_fd(2, "x", (enum clew_level)2) == -EINVAL);
    CHECK(clew_capture_fd(1000, "x", CLEW_LEVEL_INFO) == -EBADF);
    CHECK(strstr(clew_last_error(), "1000") != NULL);
    CHECK(clew_capture_fd(STDOUT_FILENO, "stdout", CLEW_LEVEL_INFO) == -EBUSY);
    for (int i = 0; i < 8; i++)
        CHECK(clew_capture_fd(open("/dev/null", O_WRONLY), "x", CLEW_LEVEL_INFO) == 0);
    CHECK(clew_capture_stderr(CLEW_LEVEL_INFO) == -ENOSPC);
    return 0;
}

static void test_capture_refuses(void **state)
{
    (void)state;
    ran(refusals, 0);
}

static int own_output(void *arg)
{
    setenv("CLEW_LOG_OUTPUT", arg, 1);
    CHECK(clew_capture_stderr(CLEW_LEVEL_INFO) == -EBUSY);
    CHECK(strstr(clew_last_error(), "CLEW_LOG_OUTPUT") != NULL);
    CHECK(clew_log_flush(5000) == 0);
    return 0;
}

static void test_capture_refuses_what_the_log_is_written_to(void **state)
{
    static const char *const outputs[] = {"stderr", "/dev/stderr", "/dev/fd/2", "/proc/self/fd/2"};

    (void)state;
    for (size_t i = 0; i < sizeof(outputs) / sizeof(outputs[0]); i++) {
        child_run(own_output, (void *)outputs[i]);
        assert_int_equal(child.status, 0);
    }
}

/* The way out that the header names: a descriptor of its own. */
static int behind_stderr(void *arg)
{
    char path[32];
    int copy;

    (void)arg;
    CHECK(dup2(STDOUT_FILENO, STDERR_FILENO) == STDERR_FILENO);
    copy = dup(STDERR_FILENO);
    (void)snprintf(path, sizeof(path), "/dev/fd/%d", copy);
    setenv("CLEW_LOG_OUTPUT", path, 1);
    CHECK(clew_capture_stderr(CLEW_LEVEL_INFO) == 0);
    fprintf(stderr, "once\n");
    return 0;
}

static void test_capture_with_the_log_behind_stderr(void **state)
{
    (void)state;
    ran(behind_stderr, 1);
}

/* ---- the end ------------------------------------------------------------------------ */

static void last_words(void)
{
    fprintf(stderr, "from an exit handler\n");
}

static int leaves_at_once(void *arg)
{
    (void)arg;
    CHECK(clew_capture_stderr(CLEW_LEVEL_INFO) == 0);
    atexit(last_words); /* registered later: runs before the capture ends */
    for (int i = 0; i < 1000; i++)
        fprintf(stderr, "line %d\n", i);
    exit(0);
}

static void test_capture_loses_nothing_at_exit(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) {
        ran(leaves_at_once, 1001);
        assert_string_equal(text_of(999), "line 999");
        assert_string_equal(text_of(1000), "from an exit handler");
    }
}

static int buffered(void *arg)
{
    (void)arg;
    setenv("CLEW_LOG_OUTPUT", "/dev/fd/3", 1);
    CHECK(dup2(STDOUT_FILENO, 3) == 3);
    CHECK(clew_capture_fd(STDOUT_FILENO, "stdout", CLEW_LEVEL_INFO) == 0);
    printf("in a buffer of stdio");
    return 0;
}

static void test_capture_gets_what_stdio_holds(void **state)
{
    (void)state;
    ran(buffered, 1);
    assert_string_equal(text_of(0), "in a buffer of stdio");
}

/* ---- fork ----------------------------------------------------------------------------- */

static int forks(void *arg)
{
    int status;
    pid_t pid;

    (void)arg;
    CHECK(clew_capture_stderr(CLEW_LEVEL_INFO) == 0);
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        fprintf(stderr, "from the child\n");
        execl("/bin/sh", "sh", "-c", "echo from a program >&2", (char *)NULL);
        _exit(1);
    }
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    fprintf(stderr, "from the parent\n");
    return 0;
}

static void test_capture_has_what_children_write(void **state)
{
    (void)state;
    ran(forks, 3);
    assert_string_equal(text_of(0), "from the child");
    assert_string_equal(text_of(1), "from a program");
    assert_string_equal(text_of(2), "from the parent");
}

/* A child that stops the capture has the original; one that exits does not
 * end its parent's. */
static int child_stops(void *arg)
{
    int file = open("/tmp", O_TMPFILE | O_RDWR, 0600), status;
    pid_t pid;

    (void)arg;
    CHECK(dup2(file, STDERR_FILENO) == STDERR_FILENO);
    CHECK(clew_capture_stderr(CLEW_LEVEL_INFO) == 0);
    CHILD_BEFORE_FORK();
    pid = fork();
    if (pid == 0) {
        clew_capture_stop();
        fprintf(stderr, "original\n");
        exit(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    CHECK(lseek(file, 0, SEEK_END) == 9);
    fprintf(stderr, "still captured\n");
    return 0;
}

static void test_capture_can_be_left_by_a_child(void **state)
{
    (void)state;
    ran(child_stops, 1);
    assert_string_equal(text_of(0), "still captured");
}

/* A child that goes on writing does not keep the parent from ending. */
static int outlived(void *arg)
{
    int ready[2];
    pid_t pid;
    char c;

    (void)arg;
    CHECK(pipe(ready) == 0);
    CHECK(clew_capture_stderr(CLEW_LEVEL_INFO) == 0);
    pid = fork();
    if (pid == 0) {
        static const char text[] = "again\n";

        for (int i = 0;; i++) {
            if (write(STDERR_FILENO, text, 6) != 6)
                _exit(0);
            if (i == 0)
                (void)!write(ready[1], "x", 1);
            usleep(1000);
        }
    }
    CHECK(read(ready[0], &c, 1) == 1);
    clew_capture_stop();
    CHECK(waitpid(pid, NULL, 0) == pid); /* of SIGPIPE: nobody reads any more */
    return 0;
}

static void test_capture_ends_although_a_child_writes(void **state)
{
    (void)state;
    child_run(outlived, NULL);
    assert_int_equal(child.status, 0);
    assert_true(child_count("captured output") > 0);
}

/* ---- load ------------------------------------------------------------------------------ */

#define NOISY 2000

/* A sink, in the collector's thread, that writes to the captured descriptor. */
static void noisy_line(void *self, const struct clew_line *line)
{
    static int written;

    (void)self;
    if (strcmp(line->site->message, "noise") == 0 && written < NOISY) {
        written++;
        fprintf(stderr, "the sink saw a line, and says so at some length: %0200d\n", written);
    }
}

static int logger_writes(void *arg)
{
    static const struct clew_sink_ops noisy = {.name = "noisy", .line = noisy_line};

    setenv("CLEW_RING_KIB", "64", 1);
    setenv("CLEW_RING_FULL", arg, 1);
    CHECK(clew_sink_add(&noisy, NULL) == 0);
    CHECK(clew_capture_stderr(CLEW_LEVEL_INFO) == 0);
    for (int i = 0; i < NOISY; i++)
        clew_info("noise");
    CHECK(clew_log_flush(60000) == 0);
    return 0;
}

static void test_capture_does_not_block_the_logger(void **state)
{
    (void)state;
    child_run(logger_writes, (void *)"drop");
    assert_int_equal(child.status, 0);
    assert_true(child_count("captured output") > 0);
    child_run(logger_writes, (void *)"block:5");
    assert_int_equal(child.status, 0);
}

#define WRITERS 4
#define EACH 5000

static void *writer(void *arg)
{
    char line[64];

    for (int i = 0; i < EACH; i++) {
        int n = snprintf(line, sizeof(line), "%d %d\n", (int)(intptr_t)arg, i);

        if (write(STDERR_FILENO, line, (size_t)n) != n)
            abort();
    }
    return NULL;
}

static int many_writers(void *arg)
{
    pthread_t threads[WRITERS];

    (void)arg;
    setenv("CLEW_RING_FULL", "block:5000", 1);
    CHECK(clew_capture_stderr(CLEW_LEVEL_INFO) == 0);
    for (int i = 0; i < WRITERS; i++)
        CHECK(pthread_create(&threads[i], NULL, writer, (void *)(intptr_t)i) == 0);
    for (int i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
    return 0;
}

static void test_capture_of_many_writers_is_whole(void **state)
{
    int next[WRITERS] = {0};
    size_t i;
    json_t *line;

    (void)state;
    ran(many_writers, WRITERS * EACH);
    json_array_foreach(child.lines, i, line)
    {
        const char *text =
            json_string_value(json_object_get(json_object_get(line, "context"), "text"));
        int thread, n;

        assert_non_null(text);
        assert_int_equal(sscanf(text, "%d %d", &thread, &n), 2);
        assert_int_equal(next[thread]++, n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, child_setup, child_teardown)
        TEST(test_capture_makes_a_line_an_event),
        TEST(test_capture_splits_long_lines),
        TEST(test_capture_has_all_levels),
        TEST(test_capture_puts_the_original_back),
        TEST(test_capture_leaves_a_replaced_descriptor),
        TEST(test_capture_refuses),
        TEST(test_capture_refuses_what_the_log_is_written_to),
        TEST(test_capture_with_the_log_behind_stderr),
        TEST(test_capture_loses_nothing_at_exit),
        TEST(test_capture_gets_what_stdio_holds),
        TEST(test_capture_has_what_children_write),
        TEST(test_capture_can_be_left_by_a_child),
        TEST(test_capture_ends_although_a_child_writes),
        TEST(test_capture_does_not_block_the_logger),
        TEST(test_capture_of_many_writers_is_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
