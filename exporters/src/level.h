/* SPDX-License-Identifier: Apache-2.0
 * Severities in log lines. MT-Safe. */
#ifndef CLEW_LEVEL_H
#define CLEW_LEVEL_H

#include "scan.h"

/* 0 is trace, 5 is fatal; -1 for what is no level. Any case. */
int clew__level_rank(const char *name, size_t len);
/* The same of a member: a name, or pino's number. */
int clew__level_value(const struct clew__scan_value *value);

#endif
