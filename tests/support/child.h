/* SPDX-License-Identifier: Apache-2.0
 * Runs a scenario in a child process of its own, because the core starts once
 * a process, and gives back what it printed. */
#ifndef CLEW_TEST_CHILD_H
#define CLEW_TEST_CHILD_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct child {
    char directory[64]; /* its own; rings/ in it is CLEW_RING_DIR */
    int status;         /* of waitpid() */
    char *output;       /* stdout, NUL-terminated */
    size_t output_len;
    json_t *lines; /* array: each line parsed, up to the first that was not JSON */
    bool whole;    /* all were */
};

/* The one child of a test program, and its setup and teardown for cmocka: a
 * directory of its own with CLEW_RING_DIR in it; afterwards the directory and
 * all CLEW_ and OTEL_ variables are gone. */
extern struct child child;
int child_setup(void **state);
int child_teardown(void **state);

/* Runs scenario(arg) with stdout to a file; its return value is the exit
 * status. May be called again: the ring directory stays. */
void child_run(int (*scenario)(void *arg), void *arg);

/* For scenarios: says what did not hold and makes the exit status 1. */
#define CHECK(condition)                                            \
    do {                                                            \
        if (!(condition)) {                                         \
            fprintf(stderr, "line %d: %s\n", __LINE__, #condition); \
            return 1;                                               \
        }                                                           \
    } while (0)

/* For scenarios that fork: AddressSanitizer's heap does not survive a fork while
 * another thread uses it, so the collector first gets to its rest. */
#if defined(__SANITIZE_ADDRESS__)
#define CHILD_BEFORE_FORK() ((void)clew_log_flush(20000))
#else
#define CHILD_BEFORE_FORK() ((void)0)
#endif

/* The whole line in [line, end): in a file that several processes write to, the
 * first part of the line of one that died may stand before it, however short.
 * Aborts when there is something else. */
char *child_whole_line(char *line, const char *end);

/* The number of lines whose message is this. */
size_t child_count(const char *message);
/* The first such line, borrowed; NULL when there is none. */
json_t *child_line(const char *message);

#ifdef __cplusplus
}
#endif

#endif
