/* SPDX-License-Identifier: Apache-2.0
 * Webhooks. The answer tells Alertmanager what to do next, so its status is chosen
 * by that: 200 only when everything is on the disk; 400 and 413 for what will not
 * get better; 503 for everything that may (Alertmanager tries again at once after
 * a 5xx, but gives up for this round after a 429). No network but the caller's is
 * touched on the way to the answer.
 *
 * Threads: a pool of libmicrohttpd's; a request stays with one of them. A body is
 * bounded, and so is the sum of all bodies in memory. `lock` guards the
 * configuration, of which each request holds a reference, and the count of requests in hand, which
 * the stop waits for. */
#include "intake.h"

#include "answer.h"
#include "check.h"
#include "credentials.h"
#include "guard.h"
#include "hook.h"
#include "inbox.h"
#include "listen.h"
#include "server.h"
#include "status.h"

#include <common/instant.h>
#include <common/metrics.h>

#include <clew/mhd.h>

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BODIES_MAX 4u          /* so many bodies of the largest size in memory */
#define ANSWER_MAX (64u << 20) /* bytes of a view */
#define LARGE_BODY (1u << 20)

struct clew__intake {
    struct clew__store *store;
    struct clew__inbox *inbox;
    struct clew_mhd middleware;
    struct MHD_Daemon *daemon;
    struct clew__guard *guard;
    uint16_t port;
    atomic_size_t body_bytes; /* of all requests in hand */
    pthread_mutex_t lock;
    pthread_cond_t idle;
    struct clew__config *config;
    unsigned requests;
};

struct request {
    struct clew__config *config;
    const struct clew__source *source; /* NULL: the body's signature decides */
    struct clew__buf body;
    struct clew__inbox_entry entry;
    struct clew_mhd_suspended suspended;
    char *labels; /* of the source, JSON; NULL: none */
    size_t nalerts;
    bool given; /* to the inbox */
    int64_t started;
    unsigned refused; /* the status of an answer that is decided already, 0: none */
    uint64_t received;
    size_t counted; /* in intake->body_bytes */
};

static double seconds_since(int64_t instant)
{
    return (double)(clew__instant_now() - instant) / 1e9;
}

/* A webhook that was not taken. */
static enum MHD_Result refuse(struct MHD_Connection *connection, const struct request *request,
                              unsigned status, const char *reason)
{
    const char *result = status == 400   ? "invalid"
                         : status == 413 ? "too_large"
                         : status == 401 ? "unauthorized"
                                         : "unavailable";

    clew__metrics_webhook(result, seconds_since(request->started));
    if (status >= 500)
        clew_error("webhook refused", clew_kv("status", status), clew_kv("reason", reason));
    else
        clew_warn("webhook refused", clew_kv("status", status), clew_kv("reason", reason));
    return clew__answer_error(connection, status, reason);
}

static void take_header(void *arg, const char *name, const char *value)
{
    struct clew__thread_of *thread = arg;

    if (strcasecmp(name, "X-Request-ID") == 0)
        (void)snprintf(thread->request_id, sizeof(thread->request_id), "%s", value);
    else if (strcasecmp(name, "X-Correlation-ID") == 0)
        (void)snprintf(thread->correlation_id, sizeof(thread->correlation_id), "%s", value);
    else if (strcasecmp(name, "traceparent") == 0)
        (void)snprintf(thread->traceparent, sizeof(thread->traceparent), "%s", value);
}

/* Whether the inbox may have it. The tree of a large body is dozens of megabytes, and
 * each thread of the pool would keep that much for the next one. */
static int check_body(struct request *request)
{
    const char *body = request->body.data ? request->body.data : "";
    struct clew__notification notification;
    int r;

    if (clew__notification_check(body, request->body.len, &request->nalerts))
        return 0;
    r = clew__notification_parse(&notification, body, request->body.len);
    if (r == 0) {
        request->nalerts = notification.nalerts;
        clew__notification_done(&notification);
    }
    if (request->body.len > LARGE_BODY)
        (void)malloc_trim(0);
    return r;
}

/* In a thread of the inbox. */
static void resume(struct clew__inbox_entry *entry)
{
    struct request *request = (struct request *)((char *)entry - offsetof(struct request, entry));

    clew_mhd_resume(&request->suspended);
}

/* Checks the body and gives it to the inbox; the answer follows when it is durable. */
static enum MHD_Result take_webhook(struct clew__intake *intake, struct MHD_Connection *connection,
                                    struct request *request)
{
    struct clew__inbox_entry *entry = &request->entry;
    json_t *labels = request->source->labels;
    int r = check_body(request);

    if (r < 0)
        return refuse(connection, request, r == -EINVAL ? 400 : 503, clew_last_error());
    request->labels = labels ? json_dumps(labels, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    if (labels && !request->labels)
        return refuse(connection, request, 503, "out of memory");
    *entry = (struct clew__inbox_entry){.body = request->body.data,
                                        .len = request->body.len,
                                        .labels = request->labels ? request->labels : "",
                                        .received_at = clew__instant_now(),
                                        .done = resume};
    clew_inject(clew_scope_current(), take_header, &entry->thread);
    request->given = true;
    clew_mhd_suspend(connection, &request->suspended);
    clew__inbox_put(intake->inbox, entry);
    return MHD_YES;
}

/* What became of it. */
static enum MHD_Result answer_webhook(struct MHD_Connection *connection, struct request *request)
{
    const struct clew__inbox_entry *entry = &request->entry;
    struct clew__buf json;
    size_t len = 0;
    char *text;

    clew__buf_done(&request->body);
    if (entry->result < 0)
        return refuse(connection, request, 503, entry->error);
    clew__metrics_webhook("accepted", seconds_since(request->started));
    clew__buf_init(&json, 256);
    clew__buf_addf(&json, "{\"alerts\":%zu}\n", request->nalerts);
    text = clew__buf_take(&json, &len);
    return clew__answer_text(connection, MHD_HTTP_OK, text, len);
}

static enum MHD_Result answer_view(struct clew__intake *intake, struct MHD_Connection *connection,
                                   clew__store_work *view)
{
    struct clew__buf json;
    size_t len = 0;
    char *text;
    int r;

    clew__inbox_settle(intake->inbox);
    clew__buf_init(&json, ANSWER_MAX);
    r = clew__store_read(intake->store, view, &(struct clew__view){.json = &json});
    if (r < 0) {
        clew__buf_done(&json);
        return clew__answer_error(connection, MHD_HTTP_SERVICE_UNAVAILABLE, clew_last_error());
    }
    text = clew__buf_take(&json, &len);
    return clew__answer_text(connection, MHD_HTTP_OK, text, len);
}

/* Whom the head shows, and what is wrong with it before the body comes; 0: nothing. */
static unsigned check_head(struct request *request, const char *url,
                           struct MHD_Connection *connection)
{
    const struct clew__webhook *webhook = &request->config->webhook;
    const char *length = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Content-Length");
    bool is_signed;

    if (!clew__client_trusted(webhook, connection))
        return MHD_HTTP_UNAUTHORIZED;
    request->source = clew__source_of_head(webhook, url, connection, &is_signed);
    if (!request->source && !is_signed)
        return MHD_HTTP_UNAUTHORIZED;
    if (length && strtoull(length, NULL, 10) > webhook->max_body_bytes)
        return MHD_HTTP_CONTENT_TOO_LARGE;
    return 0;
}

/* Appends to the body, or decides that it is refused. What comes after that is
 * read and dropped, up to a limit, so that the client gets to read the answer. */
static enum MHD_Result take_chunk(struct clew__intake *intake, struct request *request,
                                  uint64_t max, const char *data, size_t len)
{
    request->received += len;
    if (!request->refused) {
        request->counted += len;
        if (atomic_fetch_add(&intake->body_bytes, len) + len >
            BODIES_MAX * request->config->webhook.max_body_bytes)
            request->refused = MHD_HTTP_SERVICE_UNAVAILABLE;
        else if (request->received > max)
            request->refused = MHD_HTTP_CONTENT_TOO_LARGE;
        clew__buf_add(&request->body, data, len);
        if (request->body.failed && !request->refused)
            request->refused = MHD_HTTP_SERVICE_UNAVAILABLE;
    }
    if (request->refused) {
        clew__buf_done(&request->body);
        (void)atomic_fetch_sub(&intake->body_bytes, request->counted);
        request->counted = 0;
    }
    return request->received > max * 2 ? MHD_NO : MHD_YES;
}

static const char *refusal(unsigned status)
{
    switch (status) {
    case MHD_HTTP_UNAUTHORIZED:
        return "missing or wrong credentials";
    case MHD_HTTP_CONTENT_TOO_LARGE:
        return "the body is larger than webhook.max_body_bytes";
    default:
        return "too many webhooks at once";
    }
}

/* The signature was in the head, what it signs is here now. */
static void check_signature(struct request *request, const char *url,
                            struct MHD_Connection *connection)
{
    if (request->refused || request->source)
        return;
    request->source = clew__source_of_body(&request->config->webhook, url, connection,
                                           request->body.data ? request->body.data : "",
                                           request->body.len, clew__instant_now());
    if (!request->source)
        request->refused = MHD_HTTP_UNAUTHORIZED;
}

static enum MHD_Result handle_webhook(struct clew__intake *intake,
                                      struct MHD_Connection *connection, struct request *request,
                                      const char *url, bool first, const char *data, size_t *len)
{
    clew_mhd_route(url);
    if (first) {
        request->refused = check_head(request, url, connection);
        if (!request->refused) {
            clew__guard_head(intake->guard, connection);
            return MHD_YES;
        }
    } else if (*len) {
        enum MHD_Result result =
            take_chunk(intake, request, request->config->webhook.max_body_bytes, data, *len);

        *len = 0;
        return result;
    }
    if (request->given)
        return answer_webhook(connection, request);
    clew__guard_busy(intake->guard, connection);
    check_signature(request, url, connection);
    if (request->refused)
        return refuse(connection, request, request->refused, refusal(request->refused));
    return take_webhook(intake, connection, request);
}

/* The whole body is here. */
static enum MHD_Result take_hook(struct clew__intake *intake, struct MHD_Connection *connection,
                                 const struct request *request, const struct clew__hook *hook)
{
    struct clew__hook_call call = {.config = request->config,
                                   .store = intake->store,
                                   .connection = connection,
                                   .body = request->body.data ? request->body.data : "",
                                   .len = request->body.len,
                                   .now = clew__instant_now(),
                                   .reason = "it cannot be taken now"};
    unsigned status = request->refused ? request->refused : hook->take(&call);

    if (status == MHD_HTTP_OK) {
        if (call.ndeliveries)
            clew__inbox_wake(intake->inbox);
        return clew__answer_text(connection, status, strdup(""), 0);
    }
    if (status == MHD_HTTP_CONTENT_TOO_LARGE)
        call.reason = "the body is too large";
    clew_warn("a request was refused", clew_kv("path", hook->path), clew_kv("status", status),
              clew_kv("reason", call.reason));
    return clew__answer_error(connection, status, call.reason);
}

static enum MHD_Result handle_hook(struct clew__intake *intake, struct MHD_Connection *connection,
                                   struct request *request, const struct clew__hook *hook,
                                   bool first, const char *data, size_t *len)
{
    const char *length = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Content-Length");

    clew_mhd_route(hook->path);
    if (first) {
        if (length && strtoull(length, NULL, 10) > hook->max_body_bytes)
            request->refused = MHD_HTTP_CONTENT_TOO_LARGE;
        if (!request->refused) {
            clew__guard_head(intake->guard, connection);
            return MHD_YES;
        }
    } else if (*len) {
        enum MHD_Result result = take_chunk(intake, request, hook->max_body_bytes, data, *len);

        *len = 0;
        return result;
    }
    clew__guard_busy(intake->guard, connection);
    return take_hook(intake, connection, request, hook);
}

static enum MHD_Result answer_status(struct clew__intake *intake, struct MHD_Connection *connection)
{
    struct clew__buf html;
    size_t len = 0;
    char *text;

    clew__inbox_settle(intake->inbox);
    clew__buf_init(&html, ANSWER_MAX);
    if (clew__status_page(intake->store, &html) < 0) {
        clew__buf_done(&html);
        return clew__answer_error(connection, MHD_HTTP_SERVICE_UNAVAILABLE, clew_last_error());
    }
    text = clew__buf_take(&html, &len);
    return clew__answer_page(connection, text, len);
}

static enum MHD_Result handle_rest(struct clew__intake *intake, struct MHD_Connection *connection,
                                   const struct request *request, const char *url,
                                   const char *method)
{
    const struct clew__webhook *webhook = &request->config->webhook;
    clew__store_work *view = strcmp(url, "/api/v1/alerts") == 0       ? clew__store_view_alerts
                             : strcmp(url, "/api/v1/deliveries") == 0 ? clew__store_view_deliveries
                                                                      : NULL;
    bool page = strcmp(url, "/") == 0;

    if (!view && !page && !clew__source_path(webhook, url))
        return clew__answer_error(connection, MHD_HTTP_NOT_FOUND, "no such path");
    clew_mhd_route(url);
    if ((!view && !page) || strcmp(method, "GET") != 0)
        return clew__answer_error(connection, MHD_HTTP_METHOD_NOT_ALLOWED,
                                  "another method is needed");
    if (!clew__client_trusted(webhook, connection) || !clew__authorized(webhook, connection))
        return clew__answer_error(connection, MHD_HTTP_UNAUTHORIZED,
                                  refusal(MHD_HTTP_UNAUTHORIZED));
    return page ? answer_status(intake, connection) : answer_view(intake, connection, view);
}

static struct request *begin(struct clew__intake *intake)
{
    struct request *request = calloc(1, sizeof(*request));

    if (!request)
        return NULL;
    request->started = clew__instant_now();
    (void)pthread_mutex_lock(&intake->lock);
    request->config = clew__config_ref(intake->config);
    intake->requests++;
    (void)pthread_mutex_unlock(&intake->lock);
    clew__buf_init(&request->body, request->config->webhook.max_body_bytes + 1);
    return request;
}

static void completed(void *cls, struct MHD_Connection *connection, void **con_cls,
                      enum MHD_RequestTerminationCode why)
{
    struct clew__intake *intake = cls;
    struct request *request = *con_cls;

    (void)why;
    clew__guard_idle(intake->guard, connection);
    if (!request)
        return;
    (void)atomic_fetch_sub(&intake->body_bytes, request->counted);
    clew__buf_done(&request->body);
    free(request->labels);
    (void)clew__config_free(request->config);
    free(request);
    *con_cls = NULL;
    (void)pthread_mutex_lock(&intake->lock);
    if (--intake->requests == 0)
        (void)pthread_cond_broadcast(&intake->idle);
    (void)pthread_mutex_unlock(&intake->lock);
}

static enum MHD_Result handle(void *cls, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *data,
                              size_t *len, void **con_cls)
{
    struct clew__intake *intake = cls;
    struct request *request = *con_cls;
    const struct clew__hook *hook;
    bool first = !request;

    (void)version;
    if (first) {
        request = *con_cls = begin(intake);
        if (!request)
            return MHD_NO;
    }
    if (strcmp(method, "POST") == 0 && clew__source_path(&request->config->webhook, url))
        return handle_webhook(intake, connection, request, url, first, data, len);
    hook = strcmp(method, "POST") == 0 ? clew__hook_at(request->config, url) : NULL;
    if (hook)
        return handle_hook(intake, connection, request, hook, first, data, len);
    clew__guard_busy(intake->guard, connection);
    return handle_rest(intake, connection, request, url, method);
}

static int start_daemon(struct clew__intake *intake)
{
    int fd = clew__listen(intake->config->listen, &intake->port);

    if (fd < 0)
        return fd;
    intake->daemon =
        clew__server_start(&intake->config->webhook, fd, &intake->middleware, &intake->guard);
    if (intake->daemon)
        return 0;
    (void)close(fd);
    return clew_set_error(-EIO, "the HTTP server does not start");
}

int clew__intake_start(struct clew__config *config, struct clew__store *store,
                       struct clew__senders *senders, struct clew__intake **ret_intake)
{
    struct clew__intake *intake = calloc(1, sizeof(*intake));
    int r;

    if (!intake)
        return clew_set_error(-ENOMEM, "out of memory");
    intake->config = clew__config_ref(config);
    intake->store = store;
    intake->middleware = (struct clew_mhd){handle, intake, completed, intake};
    (void)pthread_mutex_init(&intake->lock, NULL);
    (void)pthread_cond_init(&intake->idle, NULL);
    r = clew__inbox_open(clew__store_journal(store), store, config, senders, &intake->inbox);
    if (r == 0)
        r = start_daemon(intake);
    if (r < 0)
        (void)clew__intake_stop(intake, 0);
    else
        *ret_intake = intake;
    return r;
}

void clew__intake_use(struct clew__intake *intake, struct clew__config *config,
                      struct clew__senders *senders)
{
    struct clew__config *former;

    (void)pthread_mutex_lock(&intake->lock);
    former = intake->config;
    intake->config = clew__config_ref(config);
    (void)pthread_mutex_unlock(&intake->lock);
    (void)clew__config_free(former);
    clew__inbox_use(intake->inbox, config, senders);
}

struct clew__intake *clew__intake_stop(struct clew__intake *intake, int64_t deadline)
{
    struct timespec time = {deadline / CLEW__SECOND_NS, deadline % CLEW__SECOND_NS};
    int r = 0;

    if (!intake)
        return NULL;
    if (intake->daemon) {
        clew__guard_close(intake->guard);
        (void)pthread_mutex_lock(&intake->lock);
        while (intake->requests && r == 0)
            r = pthread_cond_timedwait(&intake->idle, &intake->lock, &time);
        (void)pthread_mutex_unlock(&intake->lock);
        /* No connection may be suspended when the server stops. */
        clew__inbox_stop(intake->inbox);
        MHD_stop_daemon(intake->daemon);
    }
    (void)clew__inbox_close(intake->inbox);
    (void)pthread_cond_destroy(&intake->idle);
    (void)pthread_mutex_destroy(&intake->lock);
    (void)clew__guard_free(intake->guard);
    (void)clew__config_free(intake->config);
    free(intake);
    return NULL;
}

uint16_t clew__intake_port(const struct clew__intake *intake)
{
    return intake->port;
}
