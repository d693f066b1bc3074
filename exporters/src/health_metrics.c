/* SPDX-License-Identifier: Apache-2.0
 * Health as metrics, read when scraped. */
#include "health.h"

#include "metrics/registry_priv.h"

#include <errno.h>
#include <string.h>

static const char *const labels[] = {"check", NULL};

static double service_status(void *arg)
{
    struct clew__health health;

    (void)arg;
    clew__health_read(&health);
    return health.healthy;
}

static double check_status(void *name)
{
    struct clew__health health;

    clew__health_read(&health);
    for (size_t i = 0; i < health.n; i++)
        if (strcmp(health.checks[i].name, name) == 0)
            return health.checks[i].healthy;
    return 0;
}

static struct clew_metric *checks(void)
{
    return clew__derived_gauge("service_health_check_status",
                               "Whether a health check passes: 1 it does, 0 it does not.", labels);
}

void clew__health_metrics_add(const char *name)
{
    struct clew_series *series = clew_metric_series(checks(), (const char *const[]){name, NULL});

    (void)clew_series_callback(series, check_status, (void *)(uintptr_t)name);
}

int clew__health_metrics_start(void)
{
    struct clew_metric *status = clew__derived_gauge(
        "service_health_status", "Whether all health checks pass: 1 they do, 0 not.", NULL);

    return status && clew_metric_callback(status, service_status, NULL) == 0 && checks() ? 0
                                                                                         : -ENOMEM;
}
