/* SPDX-License-Identifier: Apache-2.0
 * A service with everything that /metrics can have, for the tests beside it.
 *
 * usage: service [hostile [SERIES]]
 *
 * Answers /orders/N with 200 and /broken with 500, and prints its port and those
 * of health and metrics. hostile: names, values and numbers that want to break
 * the page; SERIES: how many counters beside them. Ends with its standard input. */
#include <clew/export.h>
#include <clew/mhd.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LABELS(...) ((const char *const[]){__VA_ARGS__, NULL})

static struct clew_series *hits, *misses, *handled;

static enum MHD_Result handle(void *cls, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *data,
                              size_t *data_len, void **con_cls)
{
    bool order = strncmp(url, "/orders/", 8) == 0;
    struct MHD_Response *response =
        MHD_create_response_from_buffer(3, (void *)"ok\n", MHD_RESPMEM_PERSISTENT);
    enum MHD_Result result;

    (void)cls;
    (void)method;
    (void)version;
    (void)data;
    (void)data_len;
    (void)con_cls;
    clew_mhd_route(order ? "/orders/{id}" : "/broken");
    clew_series_add(order ? hits : misses, 1);
    clew_series_add(handled, 1);
    clew_operation_succeeded("order");
    result = clew_mhd_respond(connection, order ? MHD_HTTP_OK : MHD_HTTP_INTERNAL_SERVER_ERROR,
                              response);
    MHD_destroy_response(response);
    return result;
}

static bool database_answers(void *arg, char *reason, size_t size)
{
    (void)arg;
    (void)reason;
    (void)size;
    return true;
}

static void make_metrics(void)
{
    struct clew_metric *cache_hits =
        clew_counter("cache_hits_total", "Found in the cache.", LABELS("cache_type"));
    struct clew_metric *cache_misses =
        clew_counter("cache_misses_total", "Not found in the cache.", LABELS("cache_type"));
    const struct clew_health_check check = {"database", database_answers, NULL, 100, 1000, false};

    hits = clew_metric_series(cache_hits, LABELS("orders"));
    misses = clew_metric_series(cache_misses, LABELS("orders"));
    handled = clew_metric_series(clew_counter("handled_total", "Requests handled.", NULL), NULL);
    clew_series_set(
        clew_metric_series(
            clew_gauge("db_connections_active", "Connections to the database in use.", NULL), NULL),
        3);
    clew_series_set(
        clew_metric_series(clew_gauge("db_connections_idle", "Connections that wait.", NULL), NULL),
        7);
    (void)clew_health_add(&check);
}

/* ---- hostile --------------------------------------------------------------------- */

static double not_a_number(void *arg)
{
    (void)arg;
    return (double)NAN;
}

static double infinite(void *arg)
{
    (void)arg;
    return (double)-INFINITY;
}

static void make_hostile(unsigned series)
{
    static const char *const values[] = {
        "a\nb",
        "\"quoted\"",
        "back\\slash",
        "\\",
        "\\n",
        "\xff\xfe bad",
        "",
        "\r\n# EOF\n",
        "}",
        "{le=\"+Inf\"} 3",
        "\xc3\xa9t\xc3\xa9",
        "\xe2\x80\xa8",
        "\x01\x1f\x7f",
        "\xf0\x9f\x98\x80",
        "\xed\xa0\x80",
        "\xc0\x80",
    };
    static const char help[] = "Line one\nhostile_total 7\n# EOF\n\\ \" \xff\x00 never seen";
    struct clew_metric *counter = clew_counter("hostile_total", help, LABELS("value"));
    struct clew_metric *le = clew_counter("with_le_total", "A label called le.", LABELS("le"));
    struct clew_metric *histogram =
        clew_histogram("hostile_seconds", help, LABELS("value"), (double[]){-1, 0, 1e-9, 1e300}, 4);
    struct clew_metric *native =
        clew_native_histogram("native_seconds", "A native histogram.", LABELS("value"), 3, 0);
    struct clew_metric *many =
        clew_counter("many_total", "One of many.", LABELS("number", "padding"));
    struct clew_metric *below =
        clew_histogram("below_zero_seconds", "A clock that went back.", NULL, NULL, 0);
    uint8_t trace_id[16] = {0xAB, [15] = 1};
    char huge[4096], number[16];

    memset(huge, 'x', sizeof(huge) - 1);
    huge[sizeof(huge) - 1] = '\0';
    clew_series_observe(clew_metric_series(below, NULL), -3, NULL, 0);
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        clew_series_add(clew_metric_series(counter, LABELS(values[i])), (double)i + 1);
        clew_series_observe(clew_metric_series(histogram, LABELS(values[i])), 0.5 * (double)i,
                            trace_id, 7);
        clew_series_observe(clew_metric_series(native, LABELS(values[i])), 0.5 * (double)i, NULL,
                            0);
    }
    clew_series_add(clew_metric_series(counter, LABELS(huge)), 1e300);
    if (le)
        clew_series_add(clew_metric_series(le, LABELS("0.5")), 1);
    (void)clew_metric_callback(clew_gauge("nan", "Not a number.", NULL), not_a_number, NULL);
    (void)clew_metric_callback(clew_gauge("infinite", "Less than anything.", NULL), infinite, NULL);
    (void)clew_metric_callback(clew_counter("bad_total", "A counter that is none.", NULL),
                               not_a_number, NULL);
    (void)clew_metric_limit(many, NULL, series ? series : 1);
    for (unsigned i = 0; i < series; i++) {
        (void)snprintf(number, sizeof(number), "%u", i);
        clew_series_add(clew_metric_series(many, LABELS(number, "some padding")), i);
    }
}

int main(int argc, char **argv)
{
    static struct clew_mhd middleware = {handle, NULL, NULL, NULL};
    struct MHD_Daemon *daemon;
    char ignored[64];

    if (clew_start("metrics_service", "1.0") < 0) {
        fprintf(stderr, "service: %s\n", clew_last_error());
        return 1;
    }
    make_metrics();
    if (argc > 1)
        make_hostile(argc > 2 ? (unsigned)atoi(argv[2]) : 0);
    daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_EPOLL, 0, NULL, NULL,
                              clew_mhd_handle, &middleware, MHD_OPTION_NOTIFY_COMPLETED,
                              clew_mhd_completed, NULL, MHD_OPTION_END);
    if (!daemon)
        return 1;
    printf("%u %u %u\n", MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT)->port,
           clew_management_port(), clew_metrics_port());
    fflush(stdout);
    while (read(STDIN_FILENO, ignored, sizeof(ignored)) > 0)
        ;
    MHD_stop_daemon(daemon);
    clew_stop();
    return 0;
}
