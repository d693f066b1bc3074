/* SPDX-License-Identifier: Apache-2.0
 * A bridge works in bursts. What a burst leaves behind is given back when it is over, so
 * that it stays as small as it began. */
#ifndef CLEW_ALERTBRIDGE_TRIM_H
#define CLEW_ALERTBRIDGE_TRIM_H

#include <stdbool.h>
#include <stdint.h>

/* Begins with zeros. One thread. */
struct clew__calm {
    int64_t used, trimmed; /* processor time of the process: now, at the last trim */
    unsigned ticks;        /* in a row that had little to do */
};

/* Once a second: whether some seconds of calm have followed enough work for a trim to be
 * worth it. */
bool clew__calm(struct clew__calm *calm);

/* Gives free heap back, and the pages that are as in their files: of programs and
 * libraries most were needed by the start alone (the dynamic linker, the set-up of TLS),
 * and what is needed again is mapped again from the page cache. MT-Safe. */
void clew__trim_memory(void);

#endif
