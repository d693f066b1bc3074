/* SPDX-License-Identifier: Apache-2.0
 * Runs a scenario in a child process of its own, because the core starts once
 * a process, and gives back what it printed. */
#ifndef CLEW_TEST_CHILD_H
#define CLEW_TEST_CHILD_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct child {
    char directory[64]; /* its own; rings/ in it is CLEW_RING_DIR */
    int status;         /* of waitpid() */
    char *output;       /* stdout, NUL-terminated */
    size_t output_len;
    json_t *lines; /* array: each line parsed, up to the first that was not JSON */
    bool whole;    /* all were */
};

/* Makes the directory and sets CLEW_RING_DIR. */
void child_init(struct child *child);
/* Runs scenario(arg) with stdout to a file; its return value is the exit
 * status. May be called again: the ring directory stays. */
void child_run(struct child *child, int (*scenario)(void *arg), void *arg);
/* Forgets the output and removes the directory. */
void child_done(struct child *child);

/* The number of lines whose message is this. */
size_t child_count(const struct child *child, const char *message);
/* The first such line, borrowed; NULL when there is none. */
json_t *child_line(const struct child *child, const char *message);

#endif
