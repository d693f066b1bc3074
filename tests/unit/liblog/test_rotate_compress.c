/* SPDX-License-Identifier: Apache-2.0
 * Compression of rotated files, and several processes that write to one log. */
#include "rotate_fixture.h"

#include <signal.h>
#include <sys/wait.h>

static void test_rotate_compresses(void **state)
{
    const struct clew__rotation_policy policy = {.max_bytes = 1, .keep = 3, .compress = true};
    char command[256];
    struct stat st;

    (void)state;
    begin(&policy, 1000);
    assert_int_equal(fchmod(fd, 0604), 0);
    put("first\n");
    assert_int_equal(clew__rotation_tend(&rotation, &fd, 1000), 1);
    await(".1", false);
    assert_content(".1.gz", "first\n");
    assert_int_equal(stat(name_of(".1.gz"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0604);
    snprintf(command, sizeof(command), "gzip -t %s.1.gz", path);
    assert_int_equal(system(command), 0);
    put("second\n");
    assert_int_equal(clew__rotation_tend(&rotation, &fd, 1000), 1);
    await(".1", false);
    assert_content(".1.gz", "second\n");
    assert_content(".2.gz", "first\n");
    assert_false(there(".gz.tmp"));
}

/* Many rotations while the first file is still being compressed. */
static void test_rotate_while_compressing(void **state)
{
    const struct clew__rotation_policy policy = {.max_bytes = 1, .keep = 20, .compress = true};
    char text[4096], suffix[16];

    (void)state;
    begin(&policy, 1000);
    for (int i = 0; i < 4000; i++) { /* 16 MB that are slow to compress */
        for (size_t j = 0; j < sizeof(text); j++)
            text[j] = (char)('a' + rand() % 26);
        assert_int_equal(write(fd, text, sizeof(text)), sizeof(text));
    }
    assert_int_equal(clew__rotate(&rotation, &fd, 1000), 0);
    await(".gz.tmp", true);
    for (int i = 0; i < 10; i++) {
        snprintf(text, sizeof(text), "%d\n", i);
        put(text);
        assert_int_equal(clew__rotation_tend(&rotation, &fd, 1000), 1);
    }
    for (int i = 1; i <= 11; i++) {
        snprintf(suffix, sizeof(suffix), ".%d", i);
        await(suffix, false);
        snprintf(suffix, sizeof(suffix), ".%d.gz", i);
        if (i < 11) {
            snprintf(text, sizeof(text), "%d\n", 10 - i);
            assert_content(suffix, text);
        } else {
            assert_int_equal(strlen(content(suffix)), 4095); /* as much as is read */
        }
    }
    assert_false(there(".12.gz"));
    assert_false(there(".gz.tmp"));
}

static void test_rotate_takes_up_what_a_crash_left(void **state)
{
    const struct clew__rotation_policy policy = {.max_bytes = 100, .keep = 5, .compress = true};
    FILE *file;

    (void)state;
    file = fopen(name_of(".2"), "w");
    fputs("left\n", file);
    fclose(file);
    file = fopen(name_of(".gz.tmp"), "w");
    fputs("half a file, longer than what comes into its place", file);
    fclose(file);
    begin(&policy, 1000);
    await(".2", false);
    assert_content(".2.gz", "left\n");
    assert_false(there(".gz.tmp"));
}

/* Nobody compresses what another process still writes to. */
static void test_rotate_waits_for_other_writers(void **state)
{
    const struct clew__rotation_policy policy = {.max_bytes = 1, .keep = 5, .compress = true};
    int late;

    (void)state;
    begin(&policy, 1000);
    assert_int_equal(clew__log_file_open(path, NULL, &late), 0);
    put("one\n");
    assert_int_equal(clew__rotation_tend(&rotation, &fd, 1000), 1);
    put("two\n");
    assert_int_equal(clew__rotation_tend(&rotation, &fd, 1000), 1);
    await(".1.gz", true); /* the newer one is done, the older waits */
    await(".1", false);
    assert_int_equal(write(late, "late\n", 5), 5);
    assert_true(there(".2"));
    close(late);
    await(".2", false);
    assert_content(".2.gz", "one\nlate\n");
}

/* A child that logs on: both rotate, both compress. */
static void test_rotate_after_a_fork(void **state)
{
    const struct clew__rotation_policy policy = {.max_bytes = 1, .keep = 9, .compress = true};
    int status;
    pid_t pid;

    (void)state;
    begin(&policy, 1000);
    put("one\n");
    assert_int_equal(clew__rotation_tend(&rotation, &fd, 1000), 1);
#if defined(__SANITIZE_ADDRESS__) /* whose heap does not survive a fork while a thread uses it */
    await(".1", false);
#endif
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        clew__rotation_after_fork(&rotation);
        for (int i = 0; i < 2; i++)
            if (write(fd, "child\n", 6) != 6 || clew__rotation_tend(&rotation, &fd, 1000) != 1)
                _exit(1);
        await(".1", false);
        clew__rotation_close(&rotation);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    put("parent\n"); /* late: it goes to the file the child rotated away */
    assert_int_equal(clew__rotation_tend(&rotation, &fd, 1000), 1);
    put("parent\n");
    assert_int_equal(clew__rotation_tend(&rotation, &fd, 1000), 1);
    for (int i = 1; i <= 4; i++) {
        char suffix[8];

        snprintf(suffix, sizeof(suffix), ".%d", i);
        await(suffix, false);
    }
    assert_content(".1.gz", "parent\n");
    assert_content(".2.gz", "child\n");
    assert_content(".3.gz", "child\nparent\n");
    assert_content(".4.gz", "one\n");
}

static int without_zlib(void *arg)
{
    struct clew__rotation_policy policy = {
        .max_bytes = 1, .keep = 5, .compress = true, .libz = "libclew-no-such-library.so"};

    (void)arg;
    CHECK(clew__rotation_open(&rotation, path, &policy, 1000, &fd) == 0);
    for (int i = 0; i < 3; i++) {
        CHECK(write(fd, "x\n", 2) == 2);
        CHECK(clew__rotation_tend(&rotation, &fd, 1000) == 1);
    }
    clew__rotation_close(&rotation);
    return 0;
}

static void test_rotate_without_zlib_says_so_once(void **state)
{
    (void)state;
    child_run(without_zlib, NULL);
    assert_int_equal(child.status, 0);
    assert_int_equal(child_count("rotated log files stay uncompressed: zlib is not there"), 1);
    assert_content(".3", "x\n");
}

#define WRITERS 3
#define LINES 3000

static void write_lines(int writer)
{
    const struct clew__rotation_policy policy = {
        .max_bytes = 2000, .keep = CLEW__KEEP_MAX, .compress = true};
    struct clew__rotation mine;
    char text[32];
    int out;

    if (clew__rotation_open(&mine, path, &policy, 1000, &out) < 0)
        _exit(1);
    for (int i = 0; i < LINES; i++) {
        int n = snprintf(text, sizeof(text), "%d %d\n", writer, i);

        if (clew__rotation_tend(&mine, &out, (uint64_t)(1000 + i)) < 0 ||
            write(out, text, (size_t)n) != n)
            _exit(2);
    }
    clew__rotation_close(&mine);
    _exit(0);
}

static size_t count_lines(const char *text, unsigned char seen[WRITERS][LINES])
{
    size_t n = 0;

    for (const char *p = text; *p; n++) {
        int writer, i, len = 0;

        assert_int_equal(sscanf(p, "%d %d%n", &writer, &i, &len), 2);
        assert_in_range(writer, 0, WRITERS - 1);
        assert_in_range(i, 0, LINES - 1);
        assert_int_equal(p[len], '\n');
        seen[writer][i]++;
        p += len + 1;
    }
    return n;
}

static void test_rotate_several_processes_lose_and_double_nothing(void **state)
{
    static unsigned char seen[WRITERS][LINES];
    size_t lines = 0, files = 0;
    pid_t pids[WRITERS];

    (void)state;
    for (int i = 0; i < WRITERS; i++) {
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (pids[i] == 0)
            write_lines(i);
    }
    for (int i = 0; i < WRITERS; i++) {
        int status;

        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }
    lines += count_lines(content(""), seen);
    for (unsigned i = 1; i <= CLEW__KEEP_MAX; i++) {
        char plain[16], gz[16];

        snprintf(plain, sizeof(plain), ".%u", i);
        snprintf(gz, sizeof(gz), ".%u.gz", i);
        if (!there(plain) && !there(gz))
            break;
        assert_false(there(plain) && there(gz));
        lines += count_lines(content(there(gz) ? gz : plain), seen);
        files++;
    }
    for (int i = 0; i < WRITERS; i++)
        for (int j = 0; j < LINES; j++)
            assert_int_equal(seen[i][j], 1);
    assert_int_equal(lines, WRITERS * LINES);
    assert_in_range(files, 10, 100);
}

/* Killed anywhere, again and again: each line is there, in one form or both. */
static void test_rotate_killed_anywhere_loses_nothing(void **state)
{
    const struct clew__rotation_policy policy = {
        .max_bytes = 2000, .keep = CLEW__KEEP_MAX, .compress = true};
    static unsigned char seen[WRITERS][LINES];
    int ends[2], written;

    (void)state;
    for (int writer = 0; writer < WRITERS; writer++) {
        int status, at = 300 + 500 * writer;
        pid_t pid;

        assert_int_equal(pipe(ends), 0);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            struct clew__rotation mine;
            char text[32];
            int out;

            if (clew__rotation_open(&mine, path, &policy, 1000, &out) < 0)
                _exit(1);
            for (int i = 0; i < LINES; i++) {
                int n = snprintf(text, sizeof(text), "%d %d\n", writer, i);

                if (clew__rotation_tend(&mine, &out, 1000) < 0 ||
                    write(out, text, (size_t)n) != n || write(ends[1], &i, sizeof(i)) < 0)
                    _exit(2);
            }
            pause();
        }
        close(ends[1]);
        do
            assert_int_equal(read(ends[0], &written, sizeof(written)), sizeof(written));
        while (written < at);
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        while (read(ends[0], &written, sizeof(written)) == sizeof(written))
            ;
        close(ends[0]);
        memset(seen, 0, sizeof(seen));
        if (there("")) /* else it died between two files */
            (void)count_lines(content(""), seen);
        for (unsigned i = 1; i <= CLEW__KEEP_MAX; i++) {
            char plain[16], gz[16];

            snprintf(plain, sizeof(plain), ".%u", i);
            snprintf(gz, sizeof(gz), ".%u.gz", i);
            if (there(gz))
                (void)count_lines(content(gz), seen);
            else if (there(plain))
                (void)count_lines(content(plain), seen);
        }
        for (int j = 0; j <= written; j++)
            assert_true(seen[writer][j] >= 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_rotate_compresses),
        TEST(test_rotate_while_compressing),
        TEST(test_rotate_takes_up_what_a_crash_left),
        TEST(test_rotate_waits_for_other_writers),
        TEST(test_rotate_after_a_fork),
        TEST(test_rotate_without_zlib_says_so_once),
        TEST(test_rotate_several_processes_lose_and_double_nothing),
        TEST(test_rotate_killed_anywhere_loses_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
