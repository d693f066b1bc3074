/* SPDX-License-Identifier: Apache-2.0
 * What /metrics says. */
#ifndef CLEW_TEST_SAMPLE_H
#define CLEW_TEST_SAMPLE_H

#include <clew/metrics.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The value of a sample on the page, -1 when it is not there. */
static double sample(const char *name)
{
    char *page, *at, line[400];
    double value = -1;
    size_t len;

    if (clew_metrics_render(false, &page, &len) < 0)
        return -1;
    snprintf(line, sizeof(line), "\n%s ", name);
    at = strstr(page, line);
    if (at)
        value = strtod(at + strlen(line), NULL);
    free(page);
    return value;
}

#endif
