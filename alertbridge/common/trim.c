/* SPDX-License-Identifier: Apache-2.0
 * Only mappings that can't be written and have no page of their own (a relocation, say)
 * are given back; those pages would be lost. No state. */
#include "trim.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct mapping {
    unsigned long begin, end, inode;
    char may[8];
};

/* A line "begin-end rw-p offset device inode path". */
static bool read_head(const char *line, struct mapping *mapping)
{
    return sscanf(line, "%lx-%lx %7s %*x %*s %lu", &mapping->begin, &mapping->end, mapping->may,
                  &mapping->inode) == 4;
}

void clew__trim_code(void)
{
    FILE *file = fopen("/proc/self/smaps", "re");
    struct mapping mapping = {0}, next;
    char line[4352];

    while (file && fgets(line, sizeof(line), file)) {
        if (read_head(line, &next))
            mapping = next;
        else if (mapping.inode && mapping.may[1] == '-' && strcmp(mapping.may + 3, "p") == 0 &&
                 strncmp(line, "Anonymous:", 10) == 0 && strtoul(line + 10, NULL, 10) == 0)
            (void)madvise((void *)mapping.begin, mapping.end - mapping.begin, MADV_DONTNEED);
    }
    if (file)
        (void)fclose(file);
}
