/* SPDX-License-Identifier: Apache-2.0
 * Metrics of the process and of the runtime itself, read when scraped. */
#include "metrics_priv.h"

#include <clew/metrics.h>

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define STAT(member)                       \
    static double read_##member(void *arg) \
    {                                      \
        struct clew_stats stats;           \
        (void)arg;                         \
        clew_stats_read(&stats);           \
        return (double)stats.member;       \
    }
STAT(lines)
STAT(spans)
STAT(dropped_ring_full)
STAT(dropped_no_ring)
STAT(dropped_nested)
STAT(dropped_space)
STAT(dropped_closed)
STAT(dropped_output)
STAT(dropped_sinks)
STAT(held_back)
STAT(truncated)
STAT(replaced_ids)
STAT(recovered)
STAT(rings)
STAT(spans_started_sampled)
STAT(spans_started_dropped)
STAT(spans_live)
STAT(misused)
#undef STAT

static double cpu_seconds(void *arg)
{
    struct rusage u;

    (void)arg;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static double resident_bytes(void *arg)
{
    FILE *f = fopen("/proc/self/statm", "re");
    long size, resident = 0;

    (void)arg;
    if (!f)
        return 0;
    if (fscanf(f, "%ld %ld", &size, &resident) != 2)
        resident = 0;
    (void)fclose(f);
    return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

static double open_descriptors(void *arg)
{
    DIR *dir = opendir("/proc/self/fd");
    double n = -3; /* ".", ".." and the directory itself */

    (void)arg;
    while (dir && readdir(dir))
        n++;
    if (dir)
        closedir(dir);
    return dir ? n : 0;
}

static double started_at;

static double start_time(void *arg)
{
    (void)arg;
    return started_at;
}

static bool add(struct clew_metric *metric, double (*read)(void *))
{
    return metric && clew_metric_callback(metric, read, NULL) == 0;
}

static bool add_drops(void)
{
    static const struct {
        const char *reason;
        double (*read)(void *);
    } reasons[] = {{"ring_full", read_dropped_ring_full}, {"no_ring", read_dropped_no_ring},
                   {"nested", read_dropped_nested},       {"no_space", read_dropped_space},
                   {"closed", read_dropped_closed},       {"output", read_dropped_output},
                   {"sinks", read_dropped_sinks}};
    struct clew_metric *metric =
        clew_counter("clew_log_dropped_total", "Log records and spans that were lost, by reason.",
                     (const char *const[]){"reason", NULL});

    for (size_t i = 0; metric && i < sizeof(reasons) / sizeof(reasons[0]); i++)
        (void)clew_series_callback(
            clew_metric_series(metric, (const char *const[]){reasons[i].reason, NULL}),
            reasons[i].read, NULL);
    return metric;
}

/* otel.sdk.span.started and otel.sdk.span.live (OpenTelemetry semantic
 * conventions, "SDK self-monitoring"). */
static bool add_spans(void)
{
    static const char *const labels[] = {"otel_span_sampling_result", NULL};
    struct clew_metric *started =
        clew_counter("otel_sdk_span_started_total", "Spans that were started.", labels);
    struct clew_metric *live = clew_gauge(
        "otel_sdk_span_live", "Recording spans that were started and not ended yet.", labels);

    if (!started || !live)
        return false;
    (void)clew_series_callback(
        clew_metric_series(started, (const char *const[]){"RECORD_AND_SAMPLE", NULL}),
        read_spans_started_sampled, NULL);
    (void)clew_series_callback(clew_metric_series(started, (const char *const[]){"DROP", NULL}),
                               read_spans_started_dropped, NULL);
    (void)clew_series_callback(
        clew_metric_series(live, (const char *const[]){"RECORD_AND_SAMPLE", NULL}), read_spans_live,
        NULL);
    return true;
}

int clew__self_metrics_start(void)
{
    struct timespec now;
    bool good = true;

    clock_gettime(CLOCK_REALTIME, &now);
    started_at = (double)now.tv_sec + (double)now.tv_nsec / 1e9;
    good &= add(clew_gauge("process_start_time_seconds", "Start of the process, Unix time.", NULL),
                start_time);
    good &= add(clew_counter("process_cpu_seconds_total", "User and system CPU time.", NULL),
                cpu_seconds);
    good &=
        add(clew_gauge("process_resident_memory_bytes", "Resident memory.", NULL), resident_bytes);
    good &= add(clew_gauge("process_open_fds", "Open file descriptors.", NULL), open_descriptors);
    good &= add(clew_counter("clew_log_lines_total", "Log lines handed to the sinks.", NULL),
                read_lines);
    good &= add(clew_counter("clew_spans_total", "Spans handed to the sinks.", NULL), read_spans);
    good &= add(clew_counter("clew_log_held_back_total",
                             "Lines that the limits of their call sites held back.", NULL),
                read_held_back);
    good &=
        add(clew_counter("clew_log_truncated_total", "Records with a string that was cut.", NULL),
            read_truncated);
    good &= add(clew_counter("clew_replaced_ids_total",
                             "Request and correlation ids that were bad and replaced.", NULL),
                read_replaced_ids);
    good &= add(clew_counter("clew_recovered_total",
                             "Lines and spans recovered from processes that had died.", NULL),
                read_recovered);
    good &=
        add(clew_gauge("clew_rings", "Rings, one for each thread that logs.", NULL), read_rings);
    good &= add(clew_counter("clew_misused_total",
                             "Mistakes of the program with contexts, scopes and spans, survived.",
                             NULL),
                read_misused);
    return good && add_drops() && add_spans() ? 0 : -ENOMEM;
}

void clew__self_metrics_name(const char *service, const char *version)
{
    struct clew_metric *info = clew_gauge("service_info", "What runs here; always 1.",
                                          (const char *const[]){"service", "version", NULL});

    clew_series_set(clew_metric_series(info, (const char *const[]){service, version, NULL}), 1);
}
