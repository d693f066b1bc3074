/* SPDX-License-Identifier: Apache-2.0
 * One hop of a request: "call URL" makes it, "serve" answers it, prints its port
 * and ends with its standard input. */
#include <clew/curl.h>
#include <clew/export.h>
#include <clew/mhd.h>
#include <clew/trace.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static size_t ignore(char *data, size_t size, size_t n, void *arg)
{
    (void)data;
    (void)arg;
    return size * n;
}

static int call(const char *url)
{
    struct clew_span *span = clew_span_begin("caller", CLEW_SPAN_INTERNAL);
    CURL *easy = curl_easy_init();
    CURLcode code;

    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, ignore);
    code = clew_curl_perform(easy, NULL);
    curl_easy_cleanup(easy);
    clew_span_end(span);
    return code != CURLE_OK;
}

static enum MHD_Result handle(void *cls, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *data,
                              size_t *data_len, void **con_cls)
{
    struct MHD_Response *response;
    enum MHD_Result result;

    (void)cls, (void)url, (void)method, (void)version, (void)data, (void)data_len, (void)con_cls;
    clew_mhd_route("/last");
    response = MHD_create_response_from_buffer(2, (void *)"ok", MHD_RESPMEM_PERSISTENT);
    result = clew_mhd_respond(connection, 200, response);
    MHD_destroy_response(response);
    return result;
}

static int serve(void)
{
    static struct clew_mhd middleware = {.handler = handle};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct MHD_Daemon *daemon =
        MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL, NULL, clew_mhd_handle,
                         &middleware, MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_NOTIFY_COMPLETED,
                         clew_mhd_completed, NULL, MHD_OPTION_END);
    char byte;

    if (!daemon)
        return 1;
    printf("%u\n", MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT)->port);
    (void)fflush(stdout);
    while (read(STDIN_FILENO, &byte, 1) > 0)
        ;
    MHD_stop_daemon(daemon);
    return 0;
}

int main(int argc, char **argv)
{
    int failed;

    if (clew_start("hop", "1") < 0) {
        fprintf(stderr, "hop: %s\n", clew_last_error());
        return 1;
    }
    failed = argc == 3 && strcmp(argv[1], "call") == 0 ? call(argv[2]) : serve();
    return clew_shutdown(10000) != 0 || failed;
}
