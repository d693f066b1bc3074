/* SPDX-License-Identifier: Apache-2.0
 *
 * What the exporter says about itself (OpenTelemetry semantic conventions,
 * "SDK self-monitoring"; names as "Prometheus and OpenMetrics Compatibility"
 * maps them): spans of the batch processor, spans and requests of the exporter.
 * otel.sdk.span.* are in metrics/self.c.
 */
#include "otlp_priv.h"

#include <clew/metrics.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define PROCESSOR_TYPE "batching_span_processor"

static struct {
    const char *type;
    char name[64], address[256], port[16];
    bool grpc;
    struct clew_series *exported;
    struct clew_metric *exported_family, *duration;
    size_t queue_max;
} self;

static double read_atomic(void *arg)
{
    return (double)atomic_load((_Atomic uint64_t *)arg);
}

static double read_capacity(void *arg)
{
    (void)arg;
    return (double)self.queue_max;
}

/* server.address and server.port of the endpoint. */
static void set_server(const char *url)
{
    const char *host = strstr(url, "://") + 3, *end = host + strcspn(host, "/?#"), *colon;
    bool https = strncasecmp(url, "https:", 6) == 0;

    for (const char *at = host; at < end; at++)
        if (*at == '@') /* a user and a password are nobody's business */
            host = at + 1;
    colon = memrchr(host, ':', (size_t)(end - host));
    if (colon && memchr(colon, ']', (size_t)(end - colon)))
        colon = NULL; /* of an IPv6 address */
    (void)snprintf(self.address, sizeof(self.address), "%.*s", (int)((colon ? colon : end) - host),
                   host);
    if (colon)
        (void)snprintf(self.port, sizeof(self.port), "%.*s", (int)(end - colon - 1), colon + 1);
    else
        (void)snprintf(self.port, sizeof(self.port), "%s", https ? "443" : "80");
}

static bool start_processor(struct clew__batcher *batcher)
{
    static const char *const labels[] = {"otel_component_name", "otel_component_type", NULL};
    static const char *const values[] = {PROCESSOR_TYPE "/0", PROCESSOR_TYPE, NULL};
    static const char *const with_error[] = {"otel_component_name", "otel_component_type",
                                             "error_type", NULL};
    struct clew_metric *processed = clew_counter(
        "otel_sdk_processor_span_processed_total",
        "Spans the processor is done with, for error_type if there is one.", with_error);
    struct clew_metric *size =
        clew_gauge("otel_sdk_processor_span_queue_size", "Spans in the processor's queue.", labels);
    struct clew_metric *capacity = clew_gauge("otel_sdk_processor_span_queue_capacity",
                                              "Spans the queue holds at most.", labels);

    if (!processed || !size || !capacity)
        return false;
    (void)clew_series_callback(
        clew_metric_series(processed, (const char *const[]){values[0], values[1], "", NULL}),
        read_atomic, &batcher->handed);
    (void)clew_series_callback(
        clew_metric_series(processed,
                           (const char *const[]){values[0], values[1], "queue_full", NULL}),
        read_atomic, &batcher->dropped);
    (void)clew_series_callback(clew_metric_series(size, values), read_atomic, &batcher->queued);
    (void)clew_series_callback(clew_metric_series(capacity, values), read_capacity, NULL);
    return true;
}

/* The exporter's labels with one or two more. */
static struct clew_series *series(struct clew_metric *metric, const char *error, const char *status)
{
    return clew_metric_series(metric, (const char *const[]){self.name, self.type, self.address,
                                                            self.port, error, status, NULL});
}

static bool start_exporter(struct clew__batcher *batcher)
{
    static const char *const labels[] = {"otel_component_name", "otel_component_type",
                                         "server_address", "server_port", NULL};
    static const char *const with_error[] = {"otel_component_name", "otel_component_type",
                                             "server_address",      "server_port",
                                             "error_type",          NULL};
    const char *with_status[] = {"otel_component_name",
                                 "otel_component_type",
                                 "server_address",
                                 "server_port",
                                 "error_type",
                                 self.grpc ? "rpc_response_status_code"
                                           : "http_response_status_code",
                                 NULL};
    struct clew_metric *inflight = clew_gauge(
        "otel_sdk_exporter_span_inflight",
        "Spans that were given to the exporter and not exported or given up yet.", labels);

    self.exported_family = clew_counter(
        "otel_sdk_exporter_span_exported_total",
        "Spans the exporter is done with, for error_type if there is one.", with_error);
    self.duration = clew_histogram("otel_sdk_exporter_operation_duration_seconds",
                                   "Duration of export requests.", with_status, NULL, 0);
    if (!inflight || !self.exported_family || !self.duration)
        return false;
    (void)clew_series_callback(series(inflight, NULL, NULL), read_atomic, &batcher->taken);
    self.exported = series(self.exported_family, "", NULL);
    return true;
}

int clew__otlp_metrics_start(const struct clew__settings *settings, struct clew__batcher *batcher)
{
    static const char *const types[] = {
        [CLEW__OTLP_HTTP_PROTOBUF] = "otlp_http_span_exporter",
        [CLEW__OTLP_HTTP_JSON] = "otlp_http_json_span_exporter",
        [CLEW__OTLP_GRPC] = "otlp_grpc_span_exporter",
    };

    self.type = types[settings->otlp.protocol];
    self.grpc = settings->otlp.protocol == CLEW__OTLP_GRPC;
    self.queue_max = settings->bsp_queue;
    (void)snprintf(self.name, sizeof(self.name), "%s/0", self.type);
    set_server(settings->otlp.url);
    return start_processor(batcher) && start_exporter(batcher) ? 0 : -ENOMEM;
}

/* The status as a label, "" when none came. */
static void format_status(const struct clew__answer *answer, char status[24])
{
    static const char *const codes[] = {
        "OK",
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
        "UNAUTHENTICATED",
    };

    status[0] = '\0';
    if (answer->code >= 0)
        (void)snprintf(status, 24, "%s",
                       answer->code < (int)(sizeof(codes) / sizeof(codes[0])) ? codes[answer->code]
                                                                              : "UNKNOWN");
    else if (answer->status)
        (void)snprintf(status, 24, "%u", answer->status);
}

void clew__otlp_metrics_observe(const struct clew__answer *answer, enum clew__verdict verdict)
{
    const char *error = "";
    char status[24];

    format_status(answer, status);
    if (verdict != CLEW__DONE)
        error = status[0] ? status : "no_answer";
    clew_series_observe(series(self.duration, error, status), (double)answer->duration_ns / 1e9,
                        NULL, 0);
    if (verdict == CLEW__DONE) {
        clew_series_add(self.exported, (double)(answer->records - answer->rejected));
        if (answer->rejected)
            clew_series_add(series(self.exported_family, "rejected", NULL),
                            (double)answer->rejected);
    } else if (verdict == CLEW__PERMANENT) {
        clew_series_add(series(self.exported_family, error, NULL), (double)answer->records);
    }
}
