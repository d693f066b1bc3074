/* SPDX-License-Identifier: Apache-2.0
 * The service with libclew-export, as <clew/mhd.h> says it is to be done: ids,
 * a server span, metrics, one line of the handler and one of the middleware,
 * JSON to a file, spans over OTLP; and a span for each query, if there is a database. */
#include "bench.h"
#include "serve.h"

#include <clew/export.h>
#include <clew/mhd.h>
#include <clew/sqlite.h>

#include <stdio.h>
#include <stdlib.h>

static enum MHD_Result handle(void *cls, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *data,
                              size_t *data_size, void **con_cls)
{
    static int seen;
    char body[BENCH_BODY_MAX];
    struct bench_order order;
    struct MHD_Response *response;
    enum MHD_Result result;
    unsigned status;
    size_t len;

    (void)cls, (void)method, (void)version, (void)data, (void)data_size;
    if (!*con_cls) {
        *con_cls = &seen;
        return MHD_YES;
    }
    clew_mhd_route(BENCH_ROUTE);
    status = bench_order_answer(url, bench_authorization(connection), body, &len, &order);
    if (status == 200)
        clew_info("Order read", clew_kv("order_id", order.id), clew_kv("customer", order.customer),
                  clew_kv("items", order.items), clew_kv("total", order.total));
    response = bench_response(status, body, len, &order);
    result = clew_mhd_respond(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static bool start(const char *log_path, uint16_t otlp_port)
{
    char url[64];

    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u", otlp_port);
    setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url, 1);
    setenv("CLEW_LOG_OUTPUT", log_path, 1);
    setenv("CLEW_LOG_FORMAT", "json", 1);
    if (clew_start("orders", "1") == 0)
        return !bench_store_database() || clew_sqlite_trace(bench_store_database()) == SQLITE_OK;
    fprintf(stderr, "clewline: %s\n", clew_last_error());
    return false;
}

static bool start_tenth(const char *log_path, uint16_t otlp_port)
{
    setenv("OTEL_TRACES_SAMPLER", "traceidratio", 1);
    setenv("OTEL_TRACES_SAMPLER_ARG", "0.1", 1);
    return start(log_path, otlp_port);
}

static struct MHD_Daemon *serve(int listener)
{
    static struct clew_mhd middleware = {handle, NULL, NULL, NULL};

    return MHD_start_daemon(BENCH_FLAGS, 0, NULL, NULL, clew_mhd_handle, &middleware,
                            MHD_OPTION_LISTEN_SOCKET, listener, MHD_OPTION_NOTIFY_COMPLETED,
                            clew_mhd_completed, NULL, MHD_OPTION_END);
}

static bool flush(void)
{
    struct clew_stats stats;

    if (clew_flush(30000) != 0)
        return false;
    clew_stats_read(&stats);
    return stats.dropped_ring_full + stats.dropped_no_ring + stats.dropped_space +
               stats.dropped_output ==
           0;
}

const struct bench_variant bench_with_clewline = {"clewline", start, serve, flush};
const struct bench_variant bench_with_clewline_tenth = {"clewline, 10 % sampled", start_tenth,
                                                        serve, flush};
