/* SPDX-License-Identifier: Apache-2.0
 * The journal: what it finds after every kind of end. */
#include "bridge.h"

#include <intake/journal.h>

#include <clew/log.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <signal.h>
#include <unistd.h>

static struct bench bench;
static struct clew__journal *journal;
static struct clew__journal_found found;

static int setup(void **state)
{
    (void)state;
    bench_init(&bench);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    journal = clew__journal_close(journal);
    bench_done(&bench);
    return 0;
}

static void reopen(uint64_t applied)
{
    journal = clew__journal_close(journal);
    assert_int_equal(clew__journal_open(bench_path(&bench, "j"), applied, &journal, &found), 0);
}

/* Appends "body N" with so many spaces more. */
static int append(unsigned number, size_t more)
{
    struct clew__journal_record record = {.received_at = number,
                                          .request_id = "request",
                                          .correlation_id = "",
                                          .traceparent = "t",
                                          .labels = "{}"};
    char *body = calloc(1, 64 + more);
    int r;

    record.len = (size_t)snprintf(body, 64, "body %u", number);
    memset(body + record.len, ' ', more);
    record.len += more;
    record.body = body;
    r = clew__journal_append(journal, &record);
    free(body);
    return r;
}

static uint64_t sync_all(void)
{
    uint64_t last = 0;

    assert_int_equal(clew__journal_sync(journal, &last), 0);
    return last;
}

/* Reads the records; their numbers as a text, "1 2 3". */
static const char *read_all(void)
{
    static char text[512];
    struct clew__journal_record record;
    struct clew__buf room;
    int r;

    text[0] = '\0';
    clew__buf_init(&room, 64u << 20);
    while ((r = clew__journal_read(journal, &room, &record)) == 1) {
        char body[64];

        (void)snprintf(body, sizeof(body), "body %u", (unsigned)record.received_at);
        assert_memory_equal(record.body, body, strlen(body));
        assert_string_equal(record.request_id, "request");
        assert_string_equal(record.correlation_id, "");
        assert_string_equal(record.traceparent, "t");
        assert_string_equal(record.labels, "{}");
        (void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%u", *text ? " " : "",
                       (unsigned)record.received_at);
    }
    assert_int_equal(r, 0);
    clew__buf_done(&room);
    return text;
}

static off_t size_of_file(void)
{
    int fd = open(bench_path(&bench, "j"), O_RDONLY);
    off_t size = lseek(fd, 0, SEEK_END);

    (void)close(fd);
    return size;
}

static void flip(off_t at)
{
    int fd = open(bench_path(&bench, "j"), O_RDWR);
    char c;

    assert_int_equal(pread(fd, &c, 1, at), 1);
    c = (char)(c ^ 0x10);
    assert_int_equal(pwrite(fd, &c, 1, at), 1);
    (void)close(fd);
}

static void test_journal_keeps_what_was_synced(void **state)
{
    (void)state;
    reopen(0);
    assert_int_equal(found.waiting, 0);
    assert_int_equal(append(1, 0) | append(2, 100000), 0);
    assert_int_equal(sync_all(), 2);
    assert_int_equal(append(3, 5), 0);
    assert_int_equal(sync_all(), 3);
    assert_string_equal(read_all(), "1 2 3");
    assert_int_equal(append(4, 5), 0); /* not synced */
    reopen(1);
    assert_int_equal(found.waiting, 2);
    assert_int_equal(found.newest, 3);
    assert_false(found.torn);
    assert_string_equal(read_all(), "2 3");
    reopen(3);
    assert_int_equal(found.waiting, 0);
    assert_int_equal(append(5, 0), 0);
    assert_int_equal(sync_all(), 4);
    assert_string_equal(read_all(), "5");
}

/* Old records lie behind the newest one, and are not taken for newer ones. */
static void test_journal_starts_again(void **state)
{
    (void)state;
    reopen(0);
    for (unsigned i = 1; i <= 20; i++)
        assert_int_equal(append(i, i), 0);
    (void)sync_all();
    (void)read_all();
    clew__journal_rewind(journal);
    assert_int_equal(append(21, 1000), 0);
    assert_int_equal(sync_all(), 21);
    assert_string_equal(read_all(), "21");
    reopen(20);
    assert_int_equal(found.waiting, 1);
    assert_string_equal(read_all(), "21");
    clew__journal_again(journal);
    assert_string_equal(read_all(), "21");
    clew__journal_mark(journal);
    clew__journal_again(journal);
    assert_string_equal(read_all(), "");
    assert_int_equal(append(22, 0), 0);
    assert_int_equal(sync_all(), 22);
    reopen(20);
    assert_string_equal(read_all(), "21 22");
}

/* Cut at every byte: the records before the cut are there, all of them. */
static void test_journal_cut_anywhere(void **state)
{
    static const char *const wanted[] = {"", "1", "1 2", "1 2 3"};
    off_t ends[4] = {0}, size;

    (void)state;
    reopen(0);
    for (unsigned i = 1; i <= 3; i++) {
        assert_int_equal(append(i, 10 * i), 0);
        (void)sync_all();
        ends[i] = size_of_file();
    }
    size = ends[3];
    while (size-- > 0) {
        unsigned whole = 0;

        while (whole < 3 && ends[whole + 1] - 7 <= size)
            whole++;
        assert_int_equal(truncate(bench_path(&bench, "j"), size), 0);
        reopen(0);
        if (found.waiting > 3 || strcmp(read_all(), wanted[found.waiting]) != 0)
            fail_msg("cut at %lld", (long long)size);
        /* The padding may be cut. */
        if (found.waiting != whole && found.waiting + 1 != whole)
            fail_msg("cut at %lld: %u records", (long long)size, (unsigned)found.waiting);
    }
}

/* Any bit: at most the record that it is in is lost, and that is known. */
static void test_journal_bit_flips(void **state)
{
    off_t ends[4] = {0};

    (void)state;
    reopen(0);
    for (unsigned i = 1; i <= 3; i++) {
        assert_int_equal(append(i, 9), 0);
        (void)sync_all();
        ends[i] = size_of_file();
    }
    for (off_t at = 0; at < ends[3]; at++) {
        static const char *const without[] = {"2 3", "1 3", "1 2"};
        unsigned hit = at < ends[1] ? 0 : at < ends[2] ? 1 : 2;
        const char *have;

        flip(at);
        reopen(0);
        have = read_all();
        if (strcmp(have, "1 2 3") != 0 && strcmp(have, without[hit]) != 0)
            fail_msg("byte %lld: \"%s\"", (long long)at, have);
        flip(at);
    }
}

/* A write that fails takes nothing with it; the next one succeeds. */
static void test_journal_full_disk(void **state)
{
    struct rlimit limit, former;
    uint64_t last = 99;

    (void)state;
    (void)signal(SIGXFSZ, SIG_IGN);
    reopen(0);
    assert_int_equal(append(1, 0), 0);
    (void)sync_all();
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &former), 0);
    limit = former;
    limit.rlim_cur = (rlim_t)size_of_file() + 50;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_int_equal(append(2, 1000), 0);
    assert_int_equal(clew__journal_sync(journal, &last), -EFBIG);
    assert_non_null(strstr(clew_last_error(), "journal"));
    assert_int_equal(last, 99);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &former), 0);
    assert_int_equal(append(3, 0), 0);
    assert_int_equal(sync_all(), 2);
    assert_string_equal(read_all(), "1 3");
    reopen(0);
    assert_string_equal(read_all(), "1 3");
}

static void test_journal_errors(void **state)
{
    (void)state;
    assert_int_equal(clew__journal_open("/nowhere/j", 0, &journal, &found), -ENOENT);
    assert_non_null(strstr(clew_last_error(), "/nowhere/j"));
    assert_null(journal);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_journal_keeps_what_was_synced),
        TEST(test_journal_starts_again),
        TEST(test_journal_cut_anywhere),
        TEST(test_journal_bit_flips),
        TEST(test_journal_full_disk),
        TEST(test_journal_errors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
