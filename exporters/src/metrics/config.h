/* SPDX-License-Identifier: Apache-2.0
 * What the environment says about metrics:
 *
 *   CLEW_METRICS_SERIES_MAX  series a metric has at most (2000)
 *   CLEW_METRICS_VALUES_MAX  values a label takes at most (0: no limit but that)
 *   CLEW_METRICS_IDLE_S      when series nobody has a handle of expire (3600; 0: never)
 *   CLEW_METRICS_PREFIX      before the names of what the runtime derives ("")
 *   CLEW_METRICS_LABELS      labels of every sample: service,version,region=eu ("")
 */
#ifndef CLEW_METRICS_CONFIG_H
#define CLEW_METRICS_CONFIG_H

#include <stddef.h>

#define CLEW__CONSTANT_LABELS_MAX 8u

struct clew__metrics_config {
    long series_max, values_max, idle_s;
    char prefix[64];
    char labels[1024]; /* the texts of the two below */
    size_t nlabels;
    const char *label[CLEW__CONSTANT_LABELS_MAX];
    const char *value[CLEW__CONSTANT_LABELS_MAX]; /* NULL: the service's name or version */
};

/* Read once; a variable that is wrong counts as unset, until the check says so. */
const struct clew__metrics_config *clew__metrics_config(void);
/* 0, or -EINVAL with clew_last_error(): one of them is wrong. */
int clew__metrics_config_check(void);
/* [a-zA-Z_][a-zA-Z0-9_]*, with colons if wanted; not empty. */
int clew__metric_name_is_good(const char *name, int colons);

#endif
