/* SPDX-License-Identifier: Apache-2.0
 * What a killed process had not written yet is in the next one's log, and no
 * damaged file can harm the one that reads it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <child.h>
#include <clew/context.h>

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct life {
    int lines;
    int signal; /* 0: _exit() */
};

static int die(void *arg)
{
    const struct life *life = arg;
    struct clew_scope scope = {clew_context_new(), 0};

    if (clew_log_start("mortal", NULL) != 0)
        return 1;
    clew_context_set_request_id(scope.context, "r-dead", 6);
    clew_context_bind(scope.context, clew_kv("username", "bob"));
    (void)clew_scope_enter(scope);
    for (int i = 0; i < life->lines; i++)
        clew_info("last words", clew_kv("i", i), clew_kv("text", "t"));
    if (life->signal) {
        signal(life->signal, SIG_DFL); /* cmocka catches some */
        raise(life->signal);
    }
    _exit(0);
}

static int live(void *arg)
{
    (void)arg;
    if (clew_log_start("mortal", NULL) != 0)
        return 1;
    clew_info("alive");
    return 0;
}

/* Notes which lines were seen. A process killed inside write(2) may leave half
 * a line at the end: parse() stops there, and the whole line is recovered. */
static void mark(unsigned char *seen, size_t n)
{
    size_t i;
    json_t *line;

    json_array_foreach(child.lines, i, line)
    {
        json_t *number = json_object_get(json_object_get(line, "context"), "i");
        json_int_t at = json_integer_value(number);

        if (!number)
            continue;
        assert_true(at >= 0 && (size_t)at < n);
        assert_string_equal(json_string_value(json_object_get(line, "request_id")), "r-dead");
        assert_string_equal(json_string_value(json_object_get(line, "username")), "bob");
        seen[at] = 1;
    }
}

static void test_recover_loses_no_line(void **state)
{
    static const int deaths[] = {SIGKILL, SIGSEGV, SIGABRT, 0};

    (void)state;
    for (int round = 0; round < 40; round++) {
        struct life life = {50 * (1 + round), deaths[round % 4]};
        unsigned char seen[2048] = {0};

        child_run(die, &life);
        mark(seen, (size_t)life.lines);
        child_run(live, NULL);
        assert_int_equal(child.status, 0);
        assert_true(child.whole);
        mark(seen, (size_t)life.lines);
        assert_null(memchr(seen, 0, (size_t)life.lines));
        assert_int_equal(child_count("alive"), 1);
        child_run(live, NULL);
        assert_int_equal(child_count("last words"), 0);
    }
}

/* Path of the one ring file there is. */
static void ring_file(char *path, size_t size)
{
    char rings[96];
    struct dirent *entry;
    DIR *dir;

    snprintf(rings, sizeof(rings), "%s/rings", child.directory);
    dir = opendir(rings);
    assert_non_null(dir);
    path[0] = '\0';
    while ((entry = readdir(dir)))
        if (entry->d_name[0] != '.')
            snprintf(path, size, "%s/%s", rings, entry->d_name);
    closedir(dir);
    assert_true(path[0] != '\0');
}

static void test_recover_survives_damage(void **state)
{
    struct life life = {500, SIGKILL};

    (void)state;
    srand(5);
    for (int round = 0; round < 60; round++) {
        char path[512];
        long size;
        int fd;

        child_run(die, &life);
        ring_file(path, sizeof(path));
        fd = open(path, O_RDWR);
        assert_true(fd >= 0);
        size = lseek(fd, 0, SEEK_END);
        if (round % 3 == 0)
            assert_int_equal(ftruncate(fd, rand() % size), 0);
        for (int i = 0; i < 200; i++) {
            /* mostly where structure is: header, dictionary, ring control */
            long at = i % 2 ? rand() % size : rand() % 4096 + 4096 * (rand() % 30);
            unsigned char byte = (unsigned char)rand();

            if (at < size)
                assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        }
        close(fd);
        child_run(live, NULL);
        assert_int_equal(child.status, 0);
        assert_true(child.whole);
        assert_int_equal(child_count("alive"), 1);
    }
}

static int lives_beside(void *arg)
{
    int *ends = arg;
    char c;

    if (clew_log_start("mortal", NULL) != 0)
        return 1;
    clew_info("elder");
    clew_log_flush(5000);
    if (write(ends[1], "x", 1) != 1 || read(ends[2], &c, 1) < 0)
        return 1;
    clew_info("elder goes on");
    return 0;
}

static void test_recover_leaves_the_living_alone(void **state)
{
    int ready[2], finish[2], ends[3], status;
    char c;
    pid_t pid;

    (void)state;
    assert_int_equal(pipe(ready), 0);
    assert_int_equal(pipe(finish), 0);
    ends[1] = ready[1];
    ends[2] = finish[0];
    pid = fork();
    if (pid == 0) {
        close(finish[1]);
        exit(lives_beside(ends));
    }
    assert_int_equal(read(ready[0], &c, 1), 1);
    child_run(live, NULL);
    assert_int_equal(child_count("elder"), 0);
    close(finish[1]);
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
    close(ready[0]);
    close(ready[1]);
    close(finish[0]);
}

/* What was killed before its file had its name leaves an empty one behind. */
static void test_recover_removes_what_was_never_used(void **state)
{
    struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    char directory[96], path[2][128];
    struct stat st;

    (void)state;
    (void)snprintf(directory, sizeof(directory), "%s/rings", child.directory);
    assert_int_equal(mkdir(directory, 0700), 0);
    for (int i = 0; i < 2; i++) {
        (void)snprintf(path[i], sizeof(path[i]), "%s/.new-1-%d", directory, i);
        close(open(path[i], O_CREAT | O_WRONLY, 0600));
    }
    assert_int_equal(utimensat(AT_FDCWD, path[0], old, 0), 0);
    child_run(live, NULL);
    assert_int_equal(child.status, 0);
    assert_int_not_equal(stat(path[0], &st), 0);
    assert_int_equal(stat(path[1], &st), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, child_setup, child_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_recover_loses_no_line),
        TEST(test_recover_survives_damage),
        TEST(test_recover_leaves_the_living_alone),
        TEST(test_recover_removes_what_was_never_used),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
