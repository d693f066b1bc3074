/* SPDX-License-Identifier: Apache-2.0
 *
 * service_… and last_successful_operation_timestamp: names that dashboards ask
 * for. Where such a name is not in a base unit, its twin that is stands beside it.
 */
#include "metrics_priv.h"
#include "registry_priv.h"

#include <clew/export.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#if defined(__clang__)
#define COMPILER __VERSION__
#else
#define COMPILER "GCC " __VERSION__
#endif

/* ---- processor time ------------------------------------------------------------------ */

#define WINDOW_S 1.0 /* at least: two scrapers must not spoil it for each other */

/* Cores in use, on average since the last scrape; at first, since the start. */
static double cpu_ratio(void)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static double at, used, ratio;
    double now = clew__process_uptime(), cpu = clew__process_cpu_seconds(), result;

    pthread_mutex_lock(&lock);
    if (now - at >= WINDOW_S || (at == 0 && now > 0)) {
        ratio = (cpu - used) / (now - at);
        at = now;
        used = cpu;
    }
    result = ratio;
    pthread_mutex_unlock(&lock);
    return result;
}

static double read_ratio(void *arg)
{
    (void)arg;
    return cpu_ratio();
}

static double read_percent(void *arg)
{
    (void)arg;
    return cpu_ratio() * 100;
}

static double read_uptime(void *arg)
{
    (void)arg;
    return clew__process_uptime();
}

/* ---- operations ---------------------------------------------------------------------- */

/* Made with the first operation, found once. */
static struct clew_metric *operation(struct clew_metric *_Atomic *known, const char *name,
                                     const char *help)
{
    struct clew_metric *metric = atomic_load(known);

    if (!metric) {
        metric = clew__derived_gauge(name, help, (const char *const[]){"operation", NULL});
        atomic_store(known, metric);
    }
    return metric;
}

void clew_operation_succeeded(const char *name)
{
    static struct clew_metric *_Atomic fixed, *_Atomic twin;
    const char *const values[] = {name ? name : "", NULL};
    struct timespec now;
    double seconds;

    clock_gettime(CLOCK_REALTIME, &now);
    seconds = (double)now.tv_sec + (double)now.tv_nsec / 1e9;
    clew_series_set(
        clew_metric_series(operation(&fixed, "last_successful_operation_timestamp",
                                     "When an operation last went well, Unix time in seconds."),
                           values),
        seconds);
    clew_series_set(
        clew_metric_series(operation(&twin, "last_successful_operation_timestamp_seconds",
                                     "When an operation last went well, Unix time."),
                           values),
        seconds);
}

/* ---- start --------------------------------------------------------------------------- */

int clew__service_metrics_start(void)
{
    static const struct {
        const char *name, *help;
        double (*read)(void *);
    } gauges[] = {
        {"service_cpu_usage_percent", "CPU time in use, 100 is one core.", read_percent},
        {"service_cpu_usage_ratio", "CPU time in use, 1 is one core.", read_ratio},
        {"service_memory_usage_bytes", "Resident memory.", clew__process_resident_bytes},
        {"service_uptime_seconds", "Time since the process began.", read_uptime},
    };
    bool good = true;

    for (size_t i = 0; i < sizeof(gauges) / sizeof(gauges[0]); i++) {
        struct clew_metric *metric = clew__derived_gauge(gauges[i].name, gauges[i].help, NULL);

        good = good && metric && clew_metric_callback(metric, gauges[i].read, NULL) == 0;
    }
    return good ? 0 : -ENOMEM;
}

void clew__service_metrics_name(const char *service, const char *version)
{
    (void)clew__derived_info("service_info", "What runs here; always 1.",
                             (const char *const[]){"service", "version", NULL},
                             (const char *const[]){service, version, NULL});
    (void)clew_metric_info("clew_build_info", "The Clewline library in use; always 1.",
                           (const char *const[]){"version", "compiler", NULL},
                           (const char *const[]){CLEW_VERSION, COMPILER, NULL});
}
