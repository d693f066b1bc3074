/* SPDX-License-Identifier: Apache-2.0
 *
 * The management server: metrics and health of this process, by libmicrohttpd
 * with a thread of its own. Connections are few, bounded and timed out, so a
 * scraper that never reads costs a socket and nothing more.
 */
#include "exporters_priv.h"

#include "address.h"

#include <clew/export.h>

#include <errno.h>
#include <jansson.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CHECKS_MAX 64
#define CONNECTIONS_MAX 64u
#define TIMEOUT_S 10u

static struct MHD_Daemon *http;
static uint16_t port;
static time_t started_at;
static _Atomic bool draining;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    char name[65];
    bool healthy;
} checks[CHECKS_MAX];
static size_t nchecks;

/* ---- health --------------------------------------------------------------------------- */

static bool name_is_good(const char *name)
{
    size_t n = name ? strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                   "0123456789_.-")
                    : 0;

    return n >= 1 && n <= 64 && name[n] == '\0';
}

int clew_health_set(const char *name, bool healthy)
{
    int err = 0;
    size_t i;

    if (!name_is_good(name))
        return clew_set_error(-EINVAL, "health check: a name is 1 to 64 of [a-zA-Z0-9_.-]");
    pthread_mutex_lock(&lock);
    for (i = 0; i < nchecks && strcmp(checks[i].name, name) != 0; i++)
        ;
    if (i == CHECKS_MAX) {
        err = clew_set_error(-ENOSPC, "health check %s: there are %d already", name, CHECKS_MAX);
    } else {
        (void)snprintf(checks[i].name, sizeof(checks[i].name), "%s", name);
        checks[i].healthy = healthy;
        if (i == nchecks)
            nchecks++;
    }
    pthread_mutex_unlock(&lock);
    return err;
}

static json_t *read_checks(bool *ret_healthy)
{
    json_t *object = json_object();

    *ret_healthy = true;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < nchecks; i++) {
        json_object_set_new(object, checks[i].name, json_boolean(checks[i].healthy));
        *ret_healthy &= checks[i].healthy;
    }
    pthread_mutex_unlock(&lock);
    return object;
}

/* ---- pages ----------------------------------------------------------------------------- */

struct page {
    unsigned status;
    const char *type;
    char *text;
    size_t len;
};

static void json_page(struct page *page, unsigned status, json_t *json)
{
    page->text = json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(17));
    page->len = page->text ? strlen(page->text) : 0;
    page->status = page->text ? status : 500;
    page->type = "application/json";
    json_decref(json);
}

static void metrics_page(struct page *page, const char *accept)
{
    bool openmetrics = accept && strstr(accept, "application/openmetrics-text");

    page->type = openmetrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                             : "text/plain; version=0.0.4; charset=utf-8";
    page->status = clew_metrics_render(openmetrics, &page->text, &page->len) < 0 ? 500 : 200;
}

static void health_page(struct page *page)
{
    bool healthy, ready;
    json_t *list = read_checks(&healthy);
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    ready = healthy && !atomic_load(&draining);
    json_page(page, healthy ? 200 : 503,
              json_pack("{s:s, s:s, s:b, s:b, s:b, s:I, s:o, s:f}", "service", clew_service_name(),
                        "version", clew_service_version(), "healthy", healthy, "ready", ready,
                        "live", 1, "uptime_seconds", (json_int_t)(now.tv_sec - started_at),
                        "checks", list, "timestamp",
                        (double)now.tv_sec + (double)now.tv_nsec / 1e9));
}

static void ready_page(struct page *page)
{
    bool healthy, ready;

    json_decref(read_checks(&healthy));
    ready = healthy && !atomic_load(&draining);
    json_page(page, ready ? 200 : 503, json_pack("{s:b}", "ready", ready));
}

static void make_page(struct page *page, const char *url, const char *accept)
{
    if (strcmp(url, "/metrics") == 0)
        metrics_page(page, accept);
    else if (strcmp(url, "/health") == 0)
        health_page(page);
    else if (strcmp(url, "/health/ready") == 0)
        ready_page(page);
    else if (strcmp(url, "/health/live") == 0)
        json_page(page, 200, json_pack("{s:b}", "live", 1));
    else
        json_page(page, 404,
                  json_pack("{s:s, s:[s,s,s,s]}", "error", "no such page", "pages", "/metrics",
                            "/health", "/health/live", "/health/ready"));
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *data_len, void **con_cls)
{
    static int seen;
    struct MHD_Response *response;
    struct page page = {0};
    enum MHD_Result result;

    (void)cls;
    (void)version;
    (void)data;
    if (!*con_cls) {
        *con_cls = &seen;
        return MHD_YES;
    }
    if (*data_len) { /* a body nobody asked for is passed over */
        *data_len = 0;
        return MHD_YES;
    }
    if (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0)
        make_page(&page, url, MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Accept"));
    else
        json_page(&page, 405, json_pack("{s:s}", "error", "use GET"));
    response = MHD_create_response_from_buffer(page.len, page.text, MHD_RESPMEM_MUST_FREE);
    if (!response) {
        free(page.text);
        return MHD_NO;
    }
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, page.type);
    if (page.status == 405)
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    result = MHD_queue_response(connection, page.status, response);
    MHD_destroy_response(response);
    return result;
}

/* ---- the server -------------------------------------------------------------------------- */

/* The child of a fork serves nothing. */
static void in_child(void)
{
    port = 0;
}

int clew__management_start(const struct sockaddr_storage *address)
{
    unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_EPOLL;
    const union MHD_DaemonInfo *info;

    if (address->ss_family == AF_INET6)
        flags |= MHD_USE_IPv6;
    started_at = time(NULL);
    errno = 0;
    http = MHD_start_daemon(flags, 0, NULL, NULL, on_request, NULL, MHD_OPTION_SOCK_ADDR, address,
                            MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX,
                            MHD_OPTION_CONNECTION_TIMEOUT, TIMEOUT_S, MHD_OPTION_END);
    if (!http)
        return clew_set_error(errno ? -errno : -EADDRINUSE,
                              "CLEW_MANAGEMENT_ADDRESS: cannot listen there: %s",
                              strerror(errno ? errno : EADDRINUSE));
    info = MHD_get_daemon_info(http, MHD_DAEMON_INFO_BIND_PORT);
    port = info ? info->port : 0;
    (void)pthread_atfork(NULL, NULL, in_child);
    return 0;
}

void clew__management_stop(void)
{
    if (http)
        MHD_stop_daemon(http);
    http = NULL;
    port = 0;
}

uint16_t clew__management_port(void)
{
    return port;
}

void clew__management_drain(void)
{
    atomic_store(&draining, true);
}
