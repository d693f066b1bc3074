/* SPDX-License-Identifier: Apache-2.0
 * The service without instrumentation. */
#include "bench.h"
#include "serve.h"

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
    status = bench_order_answer(url, bench_authorization(connection), body, &len, &order);
    response = bench_response(status, body, len, &order);
    result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static bool start(const char *log_path, uint16_t otlp_port)
{
    (void)log_path, (void)otlp_port;
    return true;
}

static struct MHD_Daemon *serve(int listener)
{
    return MHD_start_daemon(BENCH_FLAGS, 0, NULL, NULL, handle, NULL, MHD_OPTION_LISTEN_SOCKET,
                            listener, MHD_OPTION_END);
}

static bool flush(void)
{
    return true;
}

const struct bench_variant bench_with_nothing = {"bare", start, serve, flush};
