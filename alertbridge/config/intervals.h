/* SPDX-License-Identifier: Apache-2.0
 * Reading time_intervals, and the parts of a route that are about time. */
#ifndef CLEW_ALERTBRIDGE_INTERVALS_H
#define CLEW_ALERTBRIDGE_INTERVALS_H

#include "config.h"

/* The list of named intervals. returns 0, -EINVAL, -ENOMEM */
int clew__config_intervals(struct clew__yaml_node list, struct clew__config *config);

/* Borrowed; NULL when there is none of this name. */
const struct clew__interval *clew__config_interval(const struct clew__config *config,
                                                   const char *name);

/* A span of time from a key; untouched when it is absent. */
int clew__config_duration(struct clew__yaml_node mapping, const char *key, int64_t *ret_ns);

#endif
