/* SPDX-License-Identifier: Apache-2.0
 * The rules that say which call sites are on. The registry's lock is held for
 * all of these. */
#ifndef CLEW_LEVELS_PRIV_H
#define CLEW_LEVELS_PRIV_H

#include <clew/log.h>

/* From which level on a site's lines are wanted. ret_forced: a rule names the
 * site itself. For a site that names its logger in the call: the lowest level of
 * all loggers, the logger's own counts then. */
int clew__site_threshold(const struct clew_site *site, bool *ret_forced);
int clew__logger_threshold(const char *name);

/* ---- logger.c -------------------------------------------------------- */

/* Gives every logger its threshold. */
void clew__loggers_set_thresholds(void);
/* Writes all loggers into a new file. */
void clew__loggers_save(void);

#endif
