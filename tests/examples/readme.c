/* SPDX-License-Identifier: Apache-2.0
 * The program of the README, whole. PORT: where to listen, default 8081. */
#include <clew/export.h>
#include <clew/mhd.h>

#include <signal.h>
#include <stdio.h>

static enum MHD_Result handle(void *cls, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *data,
                              size_t *data_len, void **con_cls)
{
    static char text[] = "{\"status\":\"executed\"}\n";
    (void)cls;
    (void)method;
    (void)version;
    (void)data;
    (void)data_len;
    (void)con_cls;

    clew_mhd_route("/orders/{id}"); /* becomes the metric's label and the span's name */
    clew_info("Order executed", clew_kv("path", url), clew_kv("amount", 100.25));
    struct MHD_Response *response =
        MHD_create_response_from_buffer(sizeof(text) - 1, text, MHD_RESPMEM_PERSISTENT);
    enum MHD_Result result = clew_mhd_respond(connection, MHD_HTTP_OK, response);
    MHD_destroy_response(response);
    return result;
}

int main(void)
{
    static struct clew_mhd middleware = {handle, NULL, NULL, NULL};
    const char *port = getenv("PORT");
    sigset_t signals;
    int got;

    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    if (clew_start("order_service", "1.4.0") < 0) {
        fprintf(stderr, "order_service: %s\n", clew_last_error());
        return 1;
    }
    struct MHD_Daemon *daemon =
        MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD, (uint16_t)atoi(port ? port : "8081"),
                         NULL, NULL, clew_mhd_handle, &middleware, MHD_OPTION_NOTIFY_COMPLETED,
                         clew_mhd_completed, NULL, MHD_OPTION_END);
    if (!daemon) {
        fprintf(stderr, "order_service: cannot listen\n");
        return 1;
    }
    sigwait(&signals, &got);
    MHD_stop_daemon(daemon);
    clew_stop();
    return 0;
}
