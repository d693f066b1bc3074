/* SPDX-License-Identifier: Apache-2.0
 * See child.h. Aborts where a test cannot go on. */
#include "child.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void must(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        abort();
    }
}

/* LeakSanitizer cannot look through a process that was forked beside threads:
 * it waits for allocator locks that nobody there will release. So a scenario is
 * searched for leaks, and what it forks is not. */
static pid_t searched_for_leaks;
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
    return searched_for_leaks != 0 && searched_for_leaks != getpid();
}

struct child child;

int child_setup(void **state)
{
    char rings[96];

    (void)state;
    memset(&child, 0, sizeof(child));
    (void)snprintf(child.directory, sizeof(child.directory), "/tmp/clew-test-XXXXXX");
    must(mkdtemp(child.directory) != NULL, "mkdtemp");
    (void)snprintf(rings, sizeof(rings), "%s/rings", child.directory);
    must(setenv("CLEW_RING_DIR", rings, 1) == 0, "setenv");
    return 0;
}

static void forget(void)
{
    free(child.output);
    child.output = NULL;
    child.output_len = 0;
    json_decref(child.lines);
    child.lines = NULL;
}

static void parse(void)
{
    child.lines = json_array();
    child.whole = false;
    for (char *p = child.output, *end; p < child.output + child.output_len; p = end + 1) {
        json_t *line;

        end = memchr(p, '\n', child.output_len - (size_t)(p - child.output));
        line = end ? json_loadb(p, (size_t)(end - p), JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL)
                   : NULL;
        if (!line)
            return;
        json_array_append_new(child.lines, line);
    }
    child.whole = true;
}

void child_run(int (*scenario)(void *arg), void *arg)
{
    char path[96];
    long size;
    pid_t pid;
    FILE *file;
    int fd;

    forget();
    (void)snprintf(path, sizeof(path), "%s/stdout", child.directory);
    fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    must(fd >= 0, path);
    (void)fflush(NULL);
    pid = fork();
    must(pid >= 0, "fork");
    if (pid == 0) {
        searched_for_leaks = getpid();
        must(dup2(fd, STDOUT_FILENO) >= 0, "dup2");
        exit(scenario(arg));
    }
    must(waitpid(pid, &child.status, 0) == pid, "waitpid");
    file = fdopen(fd, "r");
    must(file && fseek(file, 0, SEEK_END) == 0 && (size = ftell(file)) >= 0, path);
    rewind(file);
    child.output = calloc(1, (size_t)size + 1);
    must(child.output != NULL, "calloc");
    child.output_len = fread(child.output, 1, (size_t)size, file);
    (void)fclose(file);
    parse();
}

char *child_whole_line(char *line, const char *end)
{
    static const char begin[] = "{\"timestamp\":\"";
    size_t len = sizeof(begin) - 1;
    char *whole = NULL;

    for (char *at = line; (at = memmem(at, (size_t)(end - at), begin, len)) != NULL; at++)
        whole = at;
    must(whole && memcmp(line, begin,
                         whole - line < (ptrdiff_t)len && whole != line ? (size_t)(whole - line)
                                                                        : len) == 0,
         "this is no line");
    return whole;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    (void)chmod(path, 0700);
    return remove(path);
}

static void forget_variables(void)
{
    for (size_t i = 0; environ[i];) {
        char name[128];

        (void)snprintf(name, sizeof(name), "%.*s", (int)strcspn(environ[i], "="), environ[i]);
        if (strncmp(name, "CLEW_", 5) == 0 || strncmp(name, "OTEL_", 5) == 0)
            (void)unsetenv(name);
        else
            i++;
    }
}

int child_teardown(void **state)
{
    (void)state;
    forget();
    (void)nftw(child.directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    forget_variables();
    return 0;
}

static const char *message_of(json_t *line)
{
    const char *text = json_string_value(json_object_get(line, "message"));

    return text ? text : "";
}

size_t child_count(const char *message)
{
    size_t i, n = 0;
    json_t *line;

    json_array_foreach(child.lines, i, line) n += strcmp(message_of(line), message) == 0;
    return n;
}

json_t *child_line(const char *message)
{
    size_t i;
    json_t *line;

    json_array_foreach(child.lines, i, line)
    {
        if (strcmp(message_of(line), message) == 0)
            return line;
    }
    return NULL;
}
