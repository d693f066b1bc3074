/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLEW_ALERTBRIDGE_SALVAGE_H
#define CLEW_ALERTBRIDGE_SALVAGE_H

#include <stdbool.h>

/* Looks a SQLite file over before it is used, and when it is damaged puts a new one in
 * its place, with the rows that can be read. The damaged one stays beside it, as
 * "<path>.damaged-<time>". The caller has the store's lock.
 *
 * args     ours: a store of ours was at this path; without that, what is no database at
 *          all stays where it is
 * returns  0 it is whole, or there is none; 1 it was damaged, is logged; -errno: it
 *          can't be read, or is no database of ours */
int clew__salvage(const char *path, bool ours);

#endif
