/* SPDX-License-Identifier: Apache-2.0
 * A log file in rotation, in a directory of its own, and what its files hold. */
#ifndef ROTATE_FIXTURE_H
#define ROTATE_FIXTURE_H

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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define WAIT_MS 20000

static char path[128];
static struct clew__rotation rotation;
static int fd = -1;

static inline int setup(void **state)
{
    child_setup(state);
    snprintf(path, sizeof(path), "%s/app.log", child.directory);
    setenv("TZ", "UTC", 1);
    tzset();
    return 0;
}

static inline int teardown(void **state)
{
    if (fd >= 0) {
        clew__rotation_close(&rotation);
        close(fd);
    }
    fd = -1;
    return child_teardown(state);
}

static inline void begin(const struct clew__rotation_policy *policy, uint64_t now_s)
{
    assert_int_equal(clew__rotation_open(&rotation, path, policy, now_s, &fd), 0);
}

static inline void put(const char *text)
{
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static inline const char *name_of(const char *suffix)
{
    static char name[160];

    snprintf(name, sizeof(name), "%s%s", path, suffix);
    return name;
}

/* What the file holds; .gz is unpacked. NULL when there is no such file. */
static inline const char *content(const char *suffix)
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

static inline void assert_content(const char *suffix, const char *expected)
{
    const char *got = content(suffix);

    if (!got)
        print_error("%s is not there\n", suffix);
    assert_non_null(got);
    assert_string_equal(got, expected);
}

static inline bool there(const char *suffix)
{
    return access(name_of(suffix), F_OK) == 0;
}

/* Waits for a file to come or to go. */
static inline void await(const char *suffix, bool to_come)
{
    for (int i = 0; there(suffix) != to_come; i++) {
        assert_true(i < WAIT_MS);
        usleep(1000);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
