/* SPDX-License-Identifier: Apache-2.0
 *
 * Where and how spans and metrics are exported (OpenTelemetry specification,
 * "Environment Variable Specification" and "OTLP Exporter Configuration").
 * Deviations: nothing configured means no network, so without an endpoint spans
 * are sent to the default one only if OTEL_TRACES_EXPORTER says otlp. Metrics
 * are there to be scraped: they are sent if OTEL_METRICS_EXPORTER says otlp or
 * their own endpoint is set. And where sizes of batch and queue are not set they
 * are larger than the specification's, which are meant for slower runtimes.
 */
#include "settings_priv.h"

#include "resource.h"

#include <clew/log.h>
#include <json.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define BATCH_DUE 512
#define BATCH_RECORDS 8192
#define QUEUE_RECORDS 65536

/* What the signals differ in. */
struct signal {
    const char *name; /* in variables */
    const char *path, *grpc_path;
    bool has_json;
    bool follows; /* the endpoint of all signals; else it wants its own */
};
static const struct signal traces = {"TRACES", "/v1/traces",
                                     "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
                                     true, true};
static const struct signal metrics = {
    "METRICS", "/v1/metrics", "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    false, false};

/* The signal's own variable, NULL when it is not set. */
static const char *own(const struct signal *signal, const char *name)
{
    char variable[96];

    (void)snprintf(variable, sizeof(variable), "OTEL_EXPORTER_OTLP_%s_%s", signal->name, name);
    return clew__settings_get(variable);
}

static const char *either(const struct signal *signal, const char *name)
{
    const char *value = own(signal, name);
    char variable[96];

    (void)snprintf(variable, sizeof(variable), "OTEL_EXPORTER_OTLP_%s", name);
    return value ? value : clew__settings_get(variable);
}

static bool percent_decode(char *to, const char *from, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)from[i];

        if (c == '%') {
            if (len - i < 3 || clew__unhex(&c, from + i + 1, 1) < 0)
                return false;
            i += 2;
        }
        if (c < 0x20)
            return false;
        *to++ = (char)c;
    }
    *to = '\0';
    return true;
}

/* One member k=v, without white space around key and value; false when it is
 * malformed. */
static bool decode_header(const char *p, size_t len, char line[2048])
{
    static const char token[] =
        "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    char value[2048];
    size_t key, skip;

    skip = strspn(p, " \t");
    p += skip;
    len -= skip;
    key = strcspn(p, "= \t,");
    skip = key + strspn(p + key, " \t");
    if (key == 0 || strspn(p, token) < key || skip >= len || p[skip] != '=')
        return false;
    skip++;
    skip += strspn(p + skip, " \t");
    while (len > skip && (p[len - 1] == ' ' || p[len - 1] == '\t'))
        len--;
    if (len - skip >= sizeof(value) || !percent_decode(value, p + skip, len - skip))
        return false;
    return snprintf(line, 2048, "%.*s: %s\n", (int)key, p, value) < 2048;
}

/* k=v,k2=v2 in the form of W3C baggage, into header lines. */
static void read_headers(struct clew__settings *s, const struct signal *signal,
                         struct clew__otlp_settings *to)
{
    const char *p = either(signal, "HEADERS");
    size_t used = 0;

    while (p && *p) {
        size_t len = strcspn(p, ",");
        char line[2048];

        if (!decode_header(p, len, line)) {
            clew__settings_warn_later(s,
                                      "OTEL_EXPORTER_OTLP_HEADERS: a malformed header is left out");
        } else if (strlen(line) >= sizeof(to->headers) - used) {
            clew__settings_warn_later(s, "OTEL_EXPORTER_OTLP_HEADERS: too long, cut");
            return;
        } else {
            memcpy(to->headers + used, line, strlen(line) + 1);
            used += strlen(line);
        }
        p += len;
        p += *p == ',';
    }
}

static void read_protocol(struct clew__settings *s, const struct signal *signal,
                          struct clew__otlp_settings *to)
{
    static const char *const names[] = {
        [CLEW__OTLP_HTTP_PROTOBUF] = "http/protobuf",
        [CLEW__OTLP_HTTP_JSON] = "http/json",
        [CLEW__OTLP_GRPC] = "grpc",
    };
    const char *protocol = either(signal, "PROTOCOL");

    to->protocol = CLEW__OTLP_HTTP_PROTOBUF;
    for (unsigned i = 0; protocol && i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcasecmp(protocol, names[i]) == 0 &&
            (i != CLEW__OTLP_HTTP_JSON || signal->has_json)) {
            to->protocol = (enum clew__otlp_protocol)i;
            return;
        }
    }
    if (protocol)
        clew__settings_warn_later(
            s,
            "OTEL_EXPORTER_OTLP_PROTOCOL: \"%.32s\" is not known here for %s, using http/protobuf",
            protocol, signal->path + strlen("/v1/"));
}

static void read_compression(struct clew__settings *s, const struct signal *signal,
                             struct clew__otlp_settings *to)
{
    const char *compression = either(signal, "COMPRESSION");

    to->gzip = compression && strcasecmp(compression, "gzip") == 0;
    if (compression && !to->gzip && strcasecmp(compression, "none") != 0)
        clew__settings_warn_later(
            s, "OTEL_EXPORTER_OTLP_COMPRESSION: \"%.32s\" is not known here, using none",
            compression);
}

/* The batch processor: what is not set follows from what is. */
static void read_batches(struct clew__settings *s)
{
    long batch =
        clew__settings_otel_number(s, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", NULL, 1, QUEUE_RECORDS, 0);
    long queue = clew__settings_otel_number(s, "OTEL_BSP_MAX_QUEUE_SIZE", NULL, 1, 100000000, 0);

    s->bsp_delay_ms =
        clew__settings_otel_number(s, "OTEL_BSP_SCHEDULE_DELAY", NULL, 0, 3600000, 5000);
    s->bsp_timeout_ms =
        clew__settings_otel_number(s, "OTEL_BSP_EXPORT_TIMEOUT", NULL, 0, 86400000, 0);
    if (batch && queue && batch > queue) {
        clew__settings_warn_later(
            s, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE: larger than OTEL_BSP_MAX_QUEUE_SIZE, using %ld",
            queue);
        batch = queue;
    }
    s->bsp_queue = queue ? (size_t)queue : QUEUE_RECORDS;
    s->bsp_batch = batch ? (size_t)batch : BATCH_RECORDS;
    if (s->bsp_batch > s->bsp_queue)
        s->bsp_batch = s->bsp_queue;
    s->bsp_batch_due = s->bsp_batch < BATCH_DUE ? s->bsp_batch : BATCH_DUE;
}

/* gRPC has one path, whatever the endpoint's; and it may come without a scheme. */
static int read_grpc_url(const struct signal *signal, struct clew__otlp_settings *to,
                         const char *name, const char *endpoint)
{
    const char *insecure = either(signal, "INSECURE"), *scheme = "",
               *authority = strstr(endpoint, "://");
    char base[CLEW__URL_MAX];
    size_t len;

    if (!authority)
        scheme = insecure && strcasecmp(insecure, "true") == 0 ? "http://" : "https://";
    len = authority ? (size_t)(authority + 3 - endpoint) : 0;
    len += strcspn(endpoint + len, "/?#");
    if (snprintf(base, sizeof(base), "%s%.*s", scheme, (int)len, endpoint) >= (int)sizeof(base))
        return clew_set_error(-EINVAL, "%s: longer than %zu bytes", name, sizeof(base) - 1);
    return clew__settings_join_url(to->url, sizeof(to->url), name, base, signal->grpc_path);
}

static int read_url(const struct signal *signal, struct clew__otlp_settings *to)
{
    const char *endpoint = own(signal, "ENDPOINT");
    const char *base = clew__settings_get("OTEL_EXPORTER_OTLP_ENDPOINT");
    char name[96] = "OTEL_EXPORTER_OTLP_ENDPOINT";
    const char *slash;

    if (endpoint)
        (void)snprintf(name, sizeof(name), "OTEL_EXPORTER_OTLP_%s_ENDPOINT", signal->name);
    if (to->protocol == CLEW__OTLP_GRPC)
        return read_grpc_url(signal, to, name,
                             endpoint ? endpoint
                             : base   ? base
                                      : "http://localhost:4317");
    if (!endpoint)
        return clew__settings_join_url(to->url, sizeof(to->url), name,
                                       base ? base : "http://localhost:4318", signal->path);
    slash = strstr(endpoint, "://");
    if (slash && strchr(slash + 3, '/') && clew__settings_is_url(endpoint)) /* as it is */
        return clew__settings_copy(to->url, sizeof(to->url), name, endpoint);
    return clew__settings_join_url(to->url, sizeof(to->url), name, endpoint, "/");
}

static int read_file_name(char *to, const char *name, const char *value)
{
    return value ? clew__settings_copy(to, CLEW__URL_MAX, name, value) : 0;
}

/* Whether the signal is exported at all. */
static bool is_wanted(struct clew__settings *s, const struct signal *signal)
{
    char variable[96];
    const char *exporter, *disabled = clew__settings_get("OTEL_SDK_DISABLED");

    (void)snprintf(variable, sizeof(variable), "OTEL_%s_EXPORTER", signal->name);
    exporter = clew__settings_get(variable);
    if ((disabled && strcasecmp(disabled, "true") == 0) ||
        (exporter && strcasecmp(exporter, "none") == 0))
        return false;
    if (exporter && strcasecmp(exporter, "prometheus") == 0 && signal == &metrics)
        return false; /* that is the management server */
    if (exporter && strcasecmp(exporter, "otlp") != 0)
        clew__settings_warn_later(s, "%s: \"%.32s\" is not known here, using otlp", variable,
                                  exporter);
    return (exporter && strcasecmp(exporter, "otlp") == 0) || own(signal, "ENDPOINT") ||
           (signal->follows && clew__settings_get("OTEL_EXPORTER_OTLP_ENDPOINT"));
}

static int read_signal(struct clew__settings *s, const struct signal *signal,
                       struct clew__otlp_settings *to)
{
    char variable[96];

    if (!is_wanted(s, signal))
        return 0;
    read_protocol(s, signal, to);
    read_compression(s, signal, to);
    read_headers(s, signal, to);
    (void)snprintf(variable, sizeof(variable), "OTEL_EXPORTER_OTLP_%s_TIMEOUT", signal->name);
    to->timeout_ms =
        clew__settings_otel_number(s, variable, "OTEL_EXPORTER_OTLP_TIMEOUT", 1, 3600000, 10000);
    if (read_file_name(to->certificate, "OTEL_EXPORTER_OTLP_CERTIFICATE",
                       either(signal, "CERTIFICATE")) < 0 ||
        read_file_name(to->client_certificate, "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
                       either(signal, "CLIENT_CERTIFICATE")) < 0 ||
        read_file_name(to->client_key, "OTEL_EXPORTER_OTLP_CLIENT_KEY",
                       either(signal, "CLIENT_KEY")) < 0)
        return -EINVAL;
    return read_url(signal, to);
}

int clew__settings_read_otlp(struct clew__settings *s)
{
    const char *attributes = clew__settings_get("OTEL_RESOURCE_ATTRIBUTES");

    if (attributes && clew__resource_parse(NULL, attributes) < 0)
        clew__settings_warn_later(
            s, "OTEL_RESOURCE_ATTRIBUTES: malformed, all of it is left out; use k=v,k2=v2 with "
               "percent-encoding");
    read_batches(s);
    s->metrics_interval_ms =
        clew__settings_otel_number(s, "OTEL_METRIC_EXPORT_INTERVAL", NULL, 10, 86400000, 60000);
    if (read_signal(s, &traces, &s->otlp) < 0)
        return -EINVAL;
    return read_signal(s, &metrics, &s->otlp_metrics);
}
