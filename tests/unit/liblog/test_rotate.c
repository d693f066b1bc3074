/* SPDX-License-Identifier: Apache-2.0
 * When a log file is rotated, by a clock of the test's own, and the renames. */
#include "rotate_fixture.h"

#include <sys/file.h>

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
        TEST(test_rotate_behind_a_link),
        TEST(test_rotate_open_says_what_is_wrong),
        TEST(test_rotate_parses_sizes),
        TEST(test_rotate_parses_periods),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
