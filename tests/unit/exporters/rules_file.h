/* SPDX-License-Identifier: Apache-2.0
 * A file of rules of the test's own. */
#ifndef RULES_FILE_H
#define RULES_FILE_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char file[] = "/tmp/clew-rules-XXXXXX";

static void write_rules(const char *text)
{
    FILE *stream = fopen(file, "w");

    if (!stream || fputs(text, stream) < 0 || fclose(stream) != 0)
        abort();
}

/* Of the group of tests. */
static int rules_file_make(void **state)
{
    int fd = mkstemp(file);

    (void)state;
    return fd < 0 ? -1 : close(fd);
}

static int rules_file_remove(void **state)
{
    (void)state;
    return unlink(file);
}

#endif
