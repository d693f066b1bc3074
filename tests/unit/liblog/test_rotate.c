/* SPDX-License-Identifier: Apache-2.0
 * Rotation with a clock of the test's own, compression, and several processes
 * that write to one file. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <child.h>
#include <rotate_priv.h>

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WAIT_MS 20000

static char path[128];
static struct clew__rotation rotation;
static int fd = -1;

static int setup(void **state)
{
    child_setup(state);
    snprintf(path, sizeof(path), "%s/app.log", child.directory);
    setenv("TZ", "UTC", 1);
    tzset();
    return 0;
}

static int teardown(void **state)
{
    if (fd >= 0) {
        clew__rotation_close(&rotation);
        close(fd);
    }
    fd = -1;
    return child_teardown(state);
}

static void begin(const struct clew__rotation_policy *policy, uint64_t now_s)
{
    assert_int_equal(clew__rotation_open(&rotation, path, policy, now_s, &fd), 0);
}

static void put(const char *text)
{
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static const char *name_of(const char *suffix)
{
    static char name[160];

    snprintf(name, sizeof(name), "%s%s", path, suffix);
    return name;
}

/* What the file holds; .gz is unpacked. NULL when there is no such file. */
static const char *content(const char *suffix)
{
    static char text[4096];
    static void *libz;
    void *(*gzopen)(const char *, const char *);
    int (*gzread)(void *, void *, unsigned), (*gzclose)(void *), n;
    void *gz;

    if (access(name_of(suffix), F_OK) < 0)
        return NULL;
    if (!libz)
        libz = dlopen("libz.so.1", RTLD_NOW);
    assert_non_null(libz);
    *(void **)&gzopen = dlsym(libz, "gzopen");
    *(void **)&gzread = dlsym(libz, "gzread");
    *(void **)&gzclose = dlsym(libz, "gzclose");
    gz = gzopen(name_of(suffix), "rb"); /* takes plain files as they are */
    assert_non_null(gz);
    n = gzread(gz, text, sizeof(text) - 1);
    assert_true(n >= 0);
    text[n] = '\0';
    assert_int_equal(gzclose(gz), 0);
    return text;
}

static void assert_content(const char *suffix, const char *expected)
{
    const char *got = content(suffix);

    if (!got)
        print_error("%s is not there\n", suffix);
    assert_non_null(got);
    assert_string_equal(got, expected);
}

static bool there(const char *suffix)
{
    return access(name_of(suffix), F_OK) == 0;
}

/* Waits for a file to come or to go. */
static void await(const char *suffix, bool to_come)
{
    for (int i = 0; there(suffix) != to_come; i++) {
        assert_true(i < WAIT_MS);
        usleep(1000);
    }
}

static void test_rotate_by_size_keeps_n(void **state)
{
    const struct clew__rotation_policy policy = {.max_bytes = 10, .keep = 3};
    char text[32];

    (void)state;
    begin(&policy, 1000);
    put("123456789");
    assert_int_equal(clew__rotation_tend(&rotation, &fd, 1000), 0);
    put("0\n");
    assert_int_equal(clew__rotation_tend(&rotation, &fd, 1000), 1);
    assert_content(".1", "1234567890\n");
    assert_content("", "");
    for (int i = 2; i <= 5; i++) {
        snprintf(text, sizeof(text), "line number %d\n", i);
        put(text);
        assert_int_equal(clew__rotation_tend(&rotation, &fd, 1000), 1);
    }
    put("now\n");
    assert_content("", "now\n");
    assert_content(".1", "line number 5\n");
    assert_content(".2", "line number 4\n");
    assert_content(".3", "line number 3\n");
    assert_false(there(".4"));
    assert_true(fcntl(fd, F_GETFL) & O_APPEND);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
}

static void test_rotate_keep_made_smaller(void **state)
{
    struct clew__rotation_policy policy = {.max_bytes = 1, .keep = 5};

    (void)state;
    begin(&policy, 1000);
    for (int i = 0; i < 5; i++) {
        put("x\n");
        assert_int_equal(clew__rotation_tend(&rotation, &fd, 1000), 1);
    }
    assert_true(there(".5"));
    clew__rotation_close(&rotation);
    close(fd);
    policy.keep = 2;
    begin(&policy, 1000);
    put("y\n");
    assert_int_equal(clew__rotation_tend(&rotation, &fd, 1000), 1);
    assert_content(".1", "y\n");
    assert_true(there(".2"));
    for (int i = 3; i <= 6; i++) {
        char suffix[8];

        snprintf(suffix, sizeof(suffix), ".%d", i);
        assert_false(there(suffix));
    }
}

/* A crash between two renames leaves a gap: nothing is overwritten. */
static void test_rotate_fills_gaps(void **state)
{
    const struct clew__rotation_policy policy = {.max_bytes = 1, .keep = 4};

    (void)state;
    begin(&policy, 1000);
    for (int i = 1; i <= 4; i++) {
        char text[8];

        snprintf(text, sizeof(text), "%d\n", i);
        put(text);
        assert_int_equal(clew__rotation_tend(&rotation, &fd, 1000), 1);
    }
    unlink(name_of(".2"));
    put("5\n");
    assert_int_equal(clew__rotation_tend(&rotation, &fd, 1000), 1);
    assert_content(".1", "5\n");
    assert_content(".2", "4\n");
    assert_content(".3", "2\n");
    assert_content(".4", "1\n");
}

static void set_zone(const char *zone)
{
    setenv("TZ", zone, 1);
    tzset();
}

static void test_rotate_period_ends(void **state)
{
    static const char berlin[] = "CET-1CEST,M3.5.0,M10.5.0/3";
    static const struct {
        const char *zone;
        struct clew__period period;
        uint64_t now_s, end_s;
    } cases[] = {
        {"UTC", {CLEW__PERIOD_HOURLY, 0}, 1755684000, 1755687600},
        {"UTC", {CLEW__PERIOD_HOURLY, 0}, 1755687599, 1755687600},
        {"IST-5:30", {CLEW__PERIOD_HOURLY, 0}, 1755684000, 1755685800},
        {"UTC", {CLEW__PERIOD_DAILY, 0}, 1755684000, 1755734400},
        {"UTC", {CLEW__PERIOD_DAILY, 0}, 1755734400, 1755820800},
        {berlin, {CLEW__PERIOD_DAILY, 0}, 1755684000, 1755727200},
        /* 2025-03-30 has 23 hours, 2025-10-26 has 25 */
        {berlin, {CLEW__PERIOD_DAILY, 0}, 1743289200, 1743289200 + 23 * 3600},
        {berlin, {CLEW__PERIOD_DAILY, 0}, 1761429600, 1761429600 + 25 * 3600},
        {"UTC", {CLEW__PERIOD_SECONDS, 90}, 1000, 1080},
        {"UTC", {CLEW__PERIOD_SECONDS, 90}, 1080, 1170},
        {"UTC", {CLEW__PERIOD_NONE, 0}, 1000, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        set_zone(cases[i].zone);
        assert_int_equal(clew__period_end(&cases[i].period, cases[i].now_s), cases[i].end_s);
    }
}

static void test_rotate_by_period(void **state)
{
    const struct clew__rotation_policy policy = {.period = {CLEW__PERIOD_DAILY, 0}, .keep = 3};
    const uint64_t day = 86400, noon = 1755691200;

    (void)state;
    begin(&policy, noon);
    put("monday\n");
    assert_int_equal(clew__rotation_tend(&rotation, &fd, noon + day / 2 - 1), 0);
    assert_int_equal(clew__rotation_tend(&rotation, &fd, noon + day / 2), 1);
    assert_content(".1", "monday\n");
    /* A day without a line makes no empty file, and the next day's first line
     * is not rotated away at once. */
    assert_int_equal(clew__rotation_tend(&rotation, &fd, noon + 2 * day), 0);
    put("wednesday\n");
    assert_int_equal(clew__rotation_tend(&rotation, &fd, noon + 2 * day + 60), 0);
    assert_int_equal(clew__rotation_tend(&rotation, &fd, noon + 3 * day), 1);
    assert_content(".1", "wednesday\n");
    assert_content(".2", "monday\n");
    /* A clock that was wrong by a year and is set right. */
    put("x\n");
    rotation.due_s = noon + 365 * day;
    assert_int_equal(clew__rotation_tend(&rotation, &fd, noon + 3 * day), 0);
    assert_int_equal(clew__rotation_tend(&rotation, &fd, noon + 4 * day), 1);
}

static void test_rotate_yesterdays_file_after_a_restart(void **state)
{
    const struct clew__rotation_policy policy = {.period = {CLEW__PERIOD_DAILY, 0}, .keep = 3};
    const struct timespec times[2] = {{.tv_sec = 1755691200}, {.tv_sec = 1755691200}};

    (void)state;
    begin(&policy, 1755691200);
    put("yesterday\n");
    assert_int_equal(futimens(fd, times), 0);
    clew__rotation_close(&rotation);
    close(fd);
    begin(&policy, 1755691200 + 86400);
    assert_int_equal(clew__rotation_tend(&rotation, &fd, 1755691200 + 86400), 1);
    assert_content(".1", "yesterday\n");
}

static void test_rotate_mode_is_kept(void **state)
{
    const struct clew__rotation_policy policy = {.max_bytes = 1, .keep = 1};
    struct stat st;

    (void)state;
    begin(&policy, 1000);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_mode & 0777 & ~0640u, 0);
    assert_int_equal(fchmod(fd, 0604), 0);
    put("x\n");
    assert_int_equal(clew__rotation_tend(&rotation, &fd, 1000), 1);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0604);
}

static void test_rotate_moved_by_others(void **state)
{
    const struct clew__rotation_policy policy = {.max_bytes = 100, .keep = 2};
    struct stat st;

    (void)state;
    begin(&policy, 1000);
    put("before\n");
    assert_false(clew__reopen_needed(fd, path));
    assert_int_equal(rename(path, name_of(".old")), 0);
    assert_true(clew__reopen_needed(fd, path));
    put("late\n");
    assert_int_equal(clew__rotation_tend(&rotation, &fd, 1000), 1);
    assert_false(clew__reopen_needed(fd, path));
    put("after\n");
    assert_content("", "after\n");
    assert_content(".old", "before\nlate\n");
    /* As logrotate's "create" has it: the mode is theirs. */
    assert_int_equal(rename(path, name_of(".old")), 0);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(clew__rotation_tend(&rotation, &fd, 1000), 1);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void test_rotate_failure_keeps_writing(void **state)
{
    const struct clew__rotation_policy policy = {.max_bytes = 1, .keep = 2};

    (void)state;
    begin(&policy, 1000);
    put("x\n");
    assert_int_equal(mkdir(name_of(".1"), 0700), 0);
    assert_int_equal(mkdir(name_of(".2"), 0700), 0); /* cannot be unlinked */
    assert_true(clew__rotation_tend(&rotation, &fd, 1000) < 0);
    assert_non_null(strstr(clew_last_error(), "app.log.2"));
    put("y\n");
    assert_content("", "x\ny\n");
    assert_int_equal(clew__rotation_tend(&rotation, &fd, 1001), 0); /* not at every line */
    assert_int_equal(rmdir(name_of(".2")), 0);
    assert_int_equal(rmdir(name_of(".1")), 0);
    assert_int_equal(clew__rotation_tend(&rotation, &fd, 1061), 1);
    assert_content(".1", "x\ny\n");
}

static void test_rotate_late_process_only_reopens(void **state)
{
    const struct clew__rotation_policy policy = {.max_bytes = 1, .keep = 5};
    struct clew__rotation other;
    int other_fd;

    (void)state;
    begin(&policy, 1000);
    assert_int_equal(clew__rotation_open(&other, path, &policy, 1000, &other_fd), 0);
    put("one\n");
    assert_int_equal(write(other_fd, "two\n", 4), 4);
    assert_int_equal(clew__rotate(&rotation, &fd, 1000), 0);
    assert_int_equal(clew__rotate(&other, &other_fd, 1000), 1);
    assert_int_equal(write(other_fd, "three\n", 6), 6);
    assert_content("", "three\n");
    assert_content(".1", "one\ntwo\n");
    assert_false(there(".2"));
    clew__rotation_close(&other);
    close(other_fd);
}

static void test_rotate_lock_that_is_held_is_not_waited_for(void **state)
{
    const struct clew__rotation_policy policy = {.max_bytes = 1, .keep = 5};
    int lock;

    (void)state;
    begin(&policy, 1000);
    put("x\n");
    lock = open(name_of(".lock"), O_RDONLY | O_CREAT | O_CLOEXEC, 0640);
    assert_int_equal(flock(lock, LOCK_EX), 0);
    assert_int_equal(clew__rotate(&rotation, &fd, 1000), 1);
    assert_false(there(".1"));
    close(lock);
    assert_int_equal(clew__rotation_tend(&rotation, &fd, 1001), 1);
    assert_content(".1", "x\n");
}

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

static void test_rotate_behind_a_link(void **state)
{
    const struct clew__rotation_policy policy = {.max_bytes = 1, .keep = 2};
    char real[128];
    struct stat st;

    (void)state;
    snprintf(real, sizeof(real), "%s/real", child.directory);
    assert_int_equal(mkdir(real, 0700), 0);
    snprintf(real, sizeof(real), "%s/real/app.log", child.directory);
    assert_int_equal(symlink(real, path), 0);
    begin(&policy, 1000);
    put("x\n");
    assert_int_equal(clew__rotation_tend(&rotation, &fd, 1000), 1);
    assert_int_equal(lstat(path, &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_false(there(".1"));
    snprintf(path, sizeof(path), "%s", real);
    assert_content(".1", "x\n");
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

static void test_rotate_open_says_what_is_wrong(void **state)
{
    struct clew__rotation_policy policy = {.max_bytes = 1, .keep = 0};

    (void)state;
    assert_int_equal(clew__rotation_open(&rotation, path, &policy, 1000, &fd), -EINVAL);
    assert_non_null(strstr(clew_last_error(), "0 rotated files cannot be kept, 1 to 1000 can"));
    policy.keep = 1;
    assert_int_equal(clew__rotation_open(&rotation, "/dev/null", &policy, 1000, &fd), -EINVAL);
    assert_string_equal(clew_last_error(), "/dev/null: only a regular file can be rotated");
    assert_int_equal(clew__rotation_open(&rotation, "/no/such/x.log", &policy, 1000, &fd), -ENOENT);
    assert_string_equal(clew_last_error(), "/no/such/x.log: No such file or directory");
    assert_int_equal(fd, -1);
}

static void test_rotate_parses_sizes(void **state)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {{"0", 0},
                {"1048576", 1048576},
                {"64k", 65536},
                {"64K", 65536},
                {"100M", 104857600},
                {"1G", 1073741824},
                {"3m", 3145728},
                {"2T", UINT64_C(2199023255552)},
                {"18446744073709551615", UINT64_MAX}};
    static const char *const bad[] = {
        "",   "M",     "-1",  "1.5G", " 1",       "1 M", "1Mb", "0x10", "18446744073709551616",
        "1x", "10MiB", "20E", "1\n",  "16777216T"};

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        uint64_t got = 7;

        assert_int_equal(clew__size_parse("X", good[i].text, &got), 0);
        assert_int_equal(got, good[i].bytes);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint64_t got = 7;

        assert_int_equal(clew__size_parse("X", bad[i], &got), -EINVAL);
        assert_int_equal(got, 7);
    }
    assert_int_equal(clew__size_parse("CLEW_X", "1Mb", &(uint64_t){0}), -EINVAL);
    assert_string_equal(clew_last_error(), "CLEW_X=1Mb: not a size; use a number of bytes or one "
                                           "with k, M, G or T behind it, like 100M");
}

static void test_rotate_parses_periods(void **state)
{
    static const struct {
        const char *text;
        struct clew__period period;
    } good[] = {
        {"none", {CLEW__PERIOD_NONE, 0}},       {"hourly", {CLEW__PERIOD_HOURLY, 0}},
        {"Daily", {CLEW__PERIOD_DAILY, 0}},     {"90", {CLEW__PERIOD_SECONDS, 90}},
        {"90s", {CLEW__PERIOD_SECONDS, 90}},    {"15m", {CLEW__PERIOD_SECONDS, 900}},
        {"12h", {CLEW__PERIOD_SECONDS, 43200}}, {"7d", {CLEW__PERIOD_SECONDS, 604800}},
    };
    static const char *const bad[] = {"",
                                      "0",
                                      "0s",
                                      "-1",
                                      "1w",
                                      "1h30m",
                                      "1 h",
                                      "d",
                                      "weekly",
                                      "3153600001",
                                      "99999999999999999999d"};

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct clew__period got;

        assert_int_equal(clew__period_parse("X", good[i].text, &got), 0);
        assert_int_equal(got.kind, good[i].period.kind);
        assert_int_equal(got.seconds, good[i].period.seconds);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct clew__period got = {.seconds = 7};

        assert_int_equal(clew__period_parse("X", bad[i], &got), -EINVAL);
        assert_int_equal(got.seconds, 7);
    }
    assert_non_null(strstr(clew_last_error(), "use none, hourly, daily or a number of seconds"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_rotate_by_size_keeps_n),
        TEST(test_rotate_keep_made_smaller),
        TEST(test_rotate_fills_gaps),
        TEST(test_rotate_period_ends),
        TEST(test_rotate_by_period),
        TEST(test_rotate_yesterdays_file_after_a_restart),
        TEST(test_rotate_mode_is_kept),
        TEST(test_rotate_moved_by_others),
        TEST(test_rotate_failure_keeps_writing),
        TEST(test_rotate_late_process_only_reopens),
        TEST(test_rotate_lock_that_is_held_is_not_waited_for),
        TEST(test_rotate_compresses),
        TEST(test_rotate_while_compressing),
        TEST(test_rotate_takes_up_what_a_crash_left),
        TEST(test_rotate_waits_for_other_writers),
        TEST(test_rotate_behind_a_link),
        TEST(test_rotate_after_a_fork),
        TEST(test_rotate_without_zlib_says_so_once),
        TEST(test_rotate_several_processes_lose_and_double_nothing),
        TEST(test_rotate_killed_anywhere_loses_nothing),
        TEST(test_rotate_open_says_what_is_wrong),
        TEST(test_rotate_parses_sizes),
        TEST(test_rotate_parses_periods),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
