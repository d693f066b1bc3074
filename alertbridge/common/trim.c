/* SPDX-License-Identifier: Apache-2.0
 * Calm is read off the processor time, which knows of all work, whatever its kind.
 * Only mappings that share their pages with a file are given back (the log's rings), and
 * those that can't be written and have no page of their own (a relocation, say); other
 * pages would be lost. */
#include "trim.h"

#include "instant.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define CALM_TICKS 10u
#define CALM_TICK_NS 5000000 /* a tick with so little is calm */
#define WORTH_IT_NS 20000000 /* since the last trim; one costs some milliseconds */

struct mapping {
    unsigned long begin, end, inode;
    char may[8];
};

bool clew__calm(struct clew__calm *calm)
{
    struct timespec time = {0};
    int64_t used;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    used = time.tv_sec * CLEW__SECOND_NS + time.tv_nsec;
    calm->ticks = used - calm->used < CALM_TICK_NS ? calm->ticks + 1 : 0;
    calm->used = used;
    if (calm->ticks < CALM_TICKS || used - calm->trimmed < WORTH_IT_NS)
        return false;
    calm->trimmed = used;
    return true;
}

/* A line "begin-end rw-p offset device inode path". */
static bool read_head(const char *line, struct mapping *mapping)
{
    return sscanf(line, "%lx-%lx %7s %*x %*s %lu", &mapping->begin, &mapping->end, mapping->may,
                  &mapping->inode) == 4;
}

static bool is_as_in_file(const struct mapping *mapping, const char *line)
{
    if (!mapping->inode || strncmp(line, "Anonymous:", 10) != 0)
        return false;
    return mapping->may[3] == 's' || (mapping->may[1] == '-' && strtoul(line + 10, NULL, 10) == 0);
}

static void trim_files(void)
{
    FILE *file = fopen("/proc/self/smaps", "re");
    struct mapping mapping = {0}, next;
    char line[4352];

    while (file && fgets(line, sizeof(line), file)) {
        if (read_head(line, &next))
            mapping = next;
        else if (is_as_in_file(&mapping, line))
            (void)madvise((void *)mapping.begin, mapping.end - mapping.begin, MADV_DONTNEED);
    }
    if (file)
        (void)fclose(file);
}

void clew__trim_memory(void)
{
    (void)malloc_trim(0);
    trim_files();
}
