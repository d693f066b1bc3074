/* SPDX-License-Identifier: Apache-2.0
 * How often a far side may be asked: so many requests within any minute. */
#ifndef CLEW_ALERTBRIDGE_MINUTE_H
#define CLEW_ALERTBRIDGE_MINUTE_H

#include <stdbool.h>
#include <stdint.h>

struct clew__minute {
    unsigned max;   /* requests within a minute; 0: as many as there are */
    unsigned n, at; /* of the ring below: how many it holds, where the next goes */
    int64_t *times;
};

/* owner    clew__minute_done()
 * returns  0, -ENOMEM */
int clew__minute_init(struct clew__minute *minute, unsigned max_per_minute);
void clew__minute_done(struct clew__minute *minute);

/* When the next request may be made (ns), which may be past. A sixth of the
 * minute's requests is kept for what is critical. */
int64_t clew__minute_next(const struct clew__minute *minute, bool critical);
/* A request is made now. */
void clew__minute_count(struct clew__minute *minute, int64_t now);

#endif
