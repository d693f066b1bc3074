/* SPDX-License-Identifier: Apache-2.0
 * See bridge.h. */
#include "bridge.h"

#include <common/instant.h>
#include <timers/timer.h>

#include <clew/log.h>

#include <curl/curl.h>
#include <ftw.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void must(bool ok, const char *what)
{
    if (!ok) {
        perror(what);
        abort();
    }
}

static void make_schema(struct bench *bench, const char *socket)
{
    static unsigned n;
    struct clew__db db;
    char sql[64];

    n++;
    (void)snprintf(bench->storage, sizeof(bench->storage), "host=%s dbname=postgres user=tester",
                   socket);
    must(clew__db_open(&db, bench->storage) == 0, clew_last_error());
    (void)snprintf(sql, sizeof(sql), "CREATE SCHEMA test_%d_%u", (int)getpid(), n);
    must(clew__db_exec(&db, sql) == 0, clew_last_error());
    clew__db_close(&db);
    (void)snprintf(bench->storage, sizeof(bench->storage),
                   "host=%s dbname=postgres user=tester options=-csearch_path=test_%d_%u", socket,
                   (int)getpid(), n);
}

void bench_init(struct bench *bench)
{
    const char *socket = getenv("CLEW_TEST_POSTGRES");

    (void)snprintf(bench->directory, sizeof(bench->directory), "/tmp/clew-bridge-XXXXXX");
    must(mkdtemp(bench->directory) != NULL, "mkdtemp");
    must(setenv("CLEW_RING_DIR", bench_path(bench, "rings"), 1) == 0, "setenv");
    must(setenv("CLEW_LOG_OUTPUT", bench_path(bench, "log"), 1) == 0, "setenv");
    if (socket)
        make_schema(bench, socket);
    else
        (void)snprintf(bench->storage, sizeof(bench->storage), "%s", bench_path(bench, "store.db"));
}

struct clew__store *open_store(struct bench *bench)
{
    struct clew__store *store = NULL;

    must(clew__store_open(bench->storage, &store) == 0, clew_last_error());
    return store;
}

struct number {
    const char *sql;
    int64_t value;
};

static int read_number(struct clew__db *db, void *arg)
{
    struct number *number = arg;

    return clew__db_number(db, -1, &number->value, number->sql, "");
}

int64_t number_in(struct clew__store *store, const char *sql)
{
    struct number work = {sql, -2};

    assert_int_equal(clew__store_read(store, read_number, &work), 0);
    return work.value;
}

static int remove_one(const char *path, const struct stat *status, int flag, struct FTW *walk)
{
    (void)status, (void)flag, (void)walk;
    return remove(path);
}

void bench_done(struct bench *bench)
{
    (void)nftw(bench->directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

const char *bench_path(struct bench *bench, const char *name)
{
    (void)snprintf(bench->path, sizeof(bench->path), "%s/%s", bench->directory, name);
    return bench->path;
}

const char *bench_write(struct bench *bench, const char *name, const char *format, ...)
{
    FILE *file = fopen(bench_path(bench, name), "w");
    va_list args;

    must(file != NULL, name);
    va_start(args, format);
    (void)vfprintf(file, format, args);
    va_end(args);
    must(fclose(file) == 0, name);
    return bench->path;
}

struct clew__queue queue_of(struct clew__store *store)
{
    struct clew__queue state = {0};

    assert_int_equal(clew__store_read(store, clew__store_queue, &state), 0);
    return state;
}

void wait_for_queue(struct clew__store *store, int64_t queued)
{
    int64_t give_up = clew__instant_now() + 60 * CLEW__SECOND_NS;

    while (queue_of(store).queued != queued && clew__instant_now() < give_up)
        (void)usleep(2000);
    assert_int_equal(queue_of(store).queued, queued);
}

char *read_text(const char *path, size_t *ret_len)
{
    FILE *file = fopen(path, "r");
    long size;
    char *text;

    must(file && fseek(file, 0, SEEK_END) == 0 && (size = ftell(file)) >= 0, path);
    rewind(file);
    text = malloc((size_t)size + 1);
    must(text && fread(text, 1, (size_t)size, file) == (size_t)size, path);
    (void)fclose(file);
    text[size] = '\0';
    if (ret_len)
        *ret_len = (size_t)size;
    return text;
}

char *read_sample(const char *name, size_t *ret_len)
{
    char path[512];

    (void)snprintf(path, sizeof(path), CLEW_TEST_DATA "/alertmanager/%s.json", name);
    return read_text(path, ret_len);
}

const char *json_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

struct clew__config *load_config(struct bench *bench, const char *text)
{
    struct clew__config *config = NULL;

    if (clew__config_load(bench_write(bench, "config.yml", "%s", text), NULL, &config) < 0) {
        (void)fprintf(stderr, "%s\n", clew_last_error());
        abort();
    }
    return config;
}

const char *usual_config(uint16_t port, const char *extra)
{
    static char text[2048];

    (void)snprintf(text, sizeof(text),
                   "listen: 127.0.0.1:0\n"
                   "storage: unused\n"
                   "route:\n"
                   "  receiver: team\n"
                   "  routes:\n"
                   "    - {receiver: on-call, matchers: ['severity=\"critical\"']}\n"
                   "receivers:\n"
                   "  - name: team\n"
                   "    slack_configs:\n"
                   "      - {api_url: 'http://127.0.0.1:%u" SLACK_PATH "', send_resolved: true}\n"
                   "  - name: on-call\n"
                   "    slack_configs:\n"
                   "      - {api_url: 'http://127.0.0.1:%u" SLACK_PATH "2', send_resolved: true}\n"
                   "    pagerduty_configs:\n"
                   "      - {routing_key: '" ROUTING_KEY "',"
                   " url: 'http://127.0.0.1:%u/v2/enqueue',"
                   " events_per_minute: 10000%s}\n",
                   port, port, port, extra);
    return text;
}

char *make_body(const char *group_key, const char *external_url, unsigned truncated,
                const struct made_alert *alerts, size_t n)
{
    json_t *list = json_array(), *body;
    char *text;

    for (size_t i = 0; i < n; i++) {
        char fingerprint[17], instance[16];

        (void)snprintf(fingerprint, sizeof(fingerprint), "%016x", alerts[i].number);
        (void)snprintf(instance, sizeof(instance), "host-%u", alerts[i].number);
        json_array_append_new(
            list, json_pack("{s:s, s:{s:s, s:s, s:s}, s:{s:s}, s:s, s:s, s:s, s:s}", "status",
                            alerts[i].status, "labels", "alertname", alerts[i].name, "severity",
                            alerts[i].severity, "instance", instance, "annotations", "summary",
                            "it is broken", "startsAt", alerts[i].starts_at, "endsAt",
                            strcmp(alerts[i].status, "firing") == 0 ? "0001-01-01T00:00:00Z"
                                                                    : "2026-11-20T22:00:00Z",
                            "generatorURL", "http://prometheus.example/graph?g0.expr=up",
                            "fingerprint", fingerprint));
    }
    body = json_pack("{s:s, s:s, s:s, s:s, s:i, s:s, s:o, s:{s:s}, s:{}, s:{}}", "version", "4",
                     "groupKey", group_key, "receiver", "bridge", "externalURL", external_url,
                     "truncatedAlerts", (int)truncated, "status", "firing", "alerts", list,
                     "groupLabels", "alertname", n ? alerts[0].name : "none", "commonLabels",
                     "commonAnnotations");
    text = json_dumps(body, JSON_COMPACT);
    must(text != NULL, "json");
    json_decref(body);
    return text;
}

void apply_body(struct clew__store *store, const struct clew__config *config, char *body,
                int64_t now)
{
    struct clew__notification notification;
    struct clew__thread_of thread = {"the-request", "the-correlation",
                                     "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"};
    struct clew__apply work = {
        .config = config, .notification = &notification, .thread = &thread, .now = now};

    assert_int_equal(clew__notification_parse(&notification, body, strlen(body)), 0);
    assert_int_equal(clew__store_write(store, clew__store_apply, &work), 0);
    clew__notification_done(&notification);
    free(body);
}

struct due {
    struct clew__timer timer;
    struct clew__firing firing;
};

static int fire_first(struct clew__db *db, void *arg)
{
    struct due *due = arg;
    struct clew__timer *timer = &due->timer;
    struct clew__row *row = clew__db_prepare(db,
                                             "DELETE FROM timers WHERE id = (SELECT id FROM timers"
                                             " WHERE due_at <= ?1 ORDER BY due_at, id LIMIT 1)"
                                             " RETURNING kind, due_at, key, arg",
                                             "i", due->firing.now);
    int r = clew__db_step(db, row);

    if (r <= 0)
        return r;
    (void)snprintf(timer->kind, sizeof(timer->kind), "%s", clew__db_text(row, 0));
    timer->due_at = clew__db_int(row, 1);
    (void)snprintf(timer->key, sizeof(timer->key), "%s", clew__db_text(row, 2));
    (void)snprintf(timer->arg, sizeof(timer->arg), "%s", clew__db_text(row, 3));
    clew__db_reset(row);
    for (size_t i = 0; clew__timer_kinds[i]; i++)
        if (strcmp(clew__timer_kinds[i]->kind, timer->kind) == 0)
            assert_int_equal(clew__timer_kinds[i]->fire(db, &due->firing), 0);
    return 1;
}

unsigned fire_due(struct clew__store *store, const struct clew__config *config, int64_t now)
{
    struct due due = {.firing = {.config = config, .now = now, .timer = &due.timer}};
    unsigned n = 0;
    int r;

    while ((r = clew__store_write(store, fire_first, &due)) > 0)
        n++;
    assert_int_equal(r, 0);
    return n;
}

/* ---- the far side ---------------------------------------------------- */

static enum MHD_Result take_header(void *headers, enum MHD_ValueKind kind, const char *name,
                                   const char *value)
{
    (void)kind;
    (void)json_object_set_new(headers, name, json_string(value));
    return MHD_YES;
}

static enum MHD_Result reply(struct far *far, struct MHD_Connection *connection, const char *url,
                             struct clew__buf *body)
{
    struct far_request request = {.at = clew__instant_now()};
    bool pager = strncmp(url, "/v2/", 4) == 0;
    const char *text = pager ? "{\"status\":\"success\"}" : "ok", *retry_after = NULL;
    struct MHD_Response *response;
    enum MHD_Result result;
    bool lost;

    (void)snprintf(request.path, sizeof(request.path), "%s", url);
    request.body = json_loadb(body->data ? body->data : "", body->len, 0, NULL);
    request.text = strndup(body->data ? body->data : "", body->len);
    request.headers = json_object();
    (void)MHD_get_connection_values(connection, MHD_HEADER_KIND, take_header, request.headers);
    if (far->hang_path && strncmp(url, far->hang_path, strlen(far->hang_path)) == 0)
        (void)usleep(far->hang_ms * 1000);
    (void)pthread_mutex_lock(&far->lock);
    request.status = pager ? 202 : 200;
    if (far->decide)
        request.status = far->decide(far, &request, &text, &retry_after);
    far->requests = realloc(far->requests, (far->n + 1) * sizeof(request));
    must(far->requests != NULL, "realloc");
    far->requests[far->n++] = request;
    lost = far->lose;
    (void)pthread_cond_broadcast(&far->changed);
    (void)pthread_mutex_unlock(&far->lock);
    if (!request.status || lost)
        return MHD_NO;
    response = MHD_create_response_from_buffer(strlen(text), (void *)(uintptr_t)text,
                                               MHD_RESPMEM_MUST_COPY);
    if (retry_after)
        (void)MHD_add_response_header(response, "Retry-After", retry_after);
    result = MHD_queue_response(connection, request.status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result take(void *cls, struct MHD_Connection *connection, const char *url,
                            const char *method, const char *version, const char *data, size_t *len,
                            void **con_cls)
{
    struct clew__buf *body = *con_cls;

    (void)method, (void)version;
    if (!body) {
        body = *con_cls = malloc(sizeof(*body));
        must(body != NULL, "malloc");
        clew__buf_init(body, 16u << 20);
        return MHD_YES;
    }
    if (*len) {
        clew__buf_add(body, data, *len);
        *len = 0;
        return MHD_YES;
    }
    return reply(cls, connection, url, body);
}

static void forget(void *cls, struct MHD_Connection *connection, void **con_cls,
                   enum MHD_RequestTerminationCode why)
{
    (void)cls, (void)connection, (void)why;
    if (*con_cls)
        clew__buf_done(*con_cls);
    free(*con_cls);
    *con_cls = NULL;
}

void far_start(struct far *far)
{
    (void)pthread_mutex_init(&far->lock, NULL);
    (void)pthread_cond_init(&far->changed, NULL);
    far->daemon = MHD_start_daemon(
        MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL, far->port,
        NULL, NULL, take, far, MHD_OPTION_NOTIFY_COMPLETED, forget, NULL,
        MHD_OPTION_LISTENING_ADDRESS_REUSE, 1u, MHD_OPTION_END);
    must(far->daemon != NULL, "MHD_start_daemon");
    far->port = MHD_get_daemon_info(far->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
}

void far_stop(struct far *far)
{
    MHD_stop_daemon(far->daemon);
    for (size_t i = 0; i < far->n; i++) {
        json_decref(far->requests[i].body);
        json_decref(far->requests[i].headers);
        free(far->requests[i].text);
    }
    free(far->requests);
    (void)pthread_cond_destroy(&far->changed);
    (void)pthread_mutex_destroy(&far->lock);
    *far = (struct far){0};
}

bool far_wait(struct far *far, size_t n, unsigned seconds)
{
    struct timespec time;
    bool reached;
    int r = 0;

    (void)clock_gettime(CLOCK_REALTIME, &time);
    time.tv_sec += seconds;
    (void)pthread_mutex_lock(&far->lock);
    while (far->n < n && r == 0)
        r = pthread_cond_timedwait(&far->changed, &far->lock, &time);
    reached = far->n >= n;
    (void)pthread_mutex_unlock(&far->lock);
    return reached;
}

size_t far_count(struct far *far)
{
    size_t n;

    (void)pthread_mutex_lock(&far->lock);
    n = far->n;
    (void)pthread_mutex_unlock(&far->lock);
    return n;
}

struct pager far_pager(struct far *far)
{
    json_t *open = json_object(), *opened = json_object(), *value;
    struct pager pager = {0};
    const char *key;

    (void)pthread_mutex_lock(&far->lock);
    for (size_t i = 0; i < far->n; i++) {
        const struct far_request *request = &far->requests[i];
        const char *action = json_string_value(json_object_get(request->body, "event_action"));

        key = json_string_value(json_object_get(request->body, "dedup_key"));
        if (request->status != 202 || !action || !key)
            continue;
        if (strcmp(action, "resolve") == 0) {
            pager.late = pager.late || !json_is_true(json_object_get(open, key));
            json_object_set_new(open, key, json_false());
        } else if (!json_is_true(json_object_get(open, key))) {
            json_int_t times = json_integer_value(json_object_get(opened, key)) + 1;

            json_object_set_new(open, key, json_true());
            json_object_set_new(opened, key, json_integer(times));
            pager.opened++;
            if (times > pager.most)
                pager.most = (unsigned)times;
        }
    }
    (void)pthread_mutex_unlock(&far->lock);
    json_object_foreach(open, key, value) pager.open += json_is_true(value);
    json_decref(open);
    json_decref(opened);
    return pager;
}

static size_t collect(char *data, size_t size, size_t n, void *arg)
{
    clew__buf_add(arg, data, size * n);
    return size * n;
}

static unsigned request(uint16_t port, const char *path, const char *body, size_t len,
                        char **ret_text)
{
    CURL *easy = curl_easy_init();
    struct clew__buf answer;
    char url[256], *text;
    size_t answer_len;
    long status = 0;

    clew__buf_init(&answer, 64u << 20);
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", port, path);
    (void)curl_easy_setopt(easy, CURLOPT_URL, url);
    (void)curl_easy_setopt(easy, CURLOPT_TIMEOUT, 30L);
    (void)curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, collect);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEDATA, &answer);
    if (body) {
        (void)curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)len);
        (void)curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body);
    }
    (void)curl_easy_perform(easy);
    (void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(easy);
    text = clew__buf_take(&answer, &answer_len);
    if (ret_text)
        *ret_text = text;
    else
        free(text);
    return (unsigned)status;
}

unsigned post(uint16_t port, const char *path, const char *body, size_t len, char **ret_text)
{
    return request(port, path, body, len, ret_text);
}

unsigned get(uint16_t port, const char *path, char **ret_text)
{
    return request(port, path, NULL, 0, ret_text);
}
