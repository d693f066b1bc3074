/* SPDX-License-Identifier: Apache-2.0
 * The management pages over real connections: what they say, who may have them,
 * and that bad company does not hold them up. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "fetch.h"

#include <child.h>
#include <clew/export.h>

#include <arpa/inet.h>
#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct fetch f;

static int setup(void **state)
{
    setenv("CLEW_LOG_FORMAT", "json", 1);
    setenv("CLEW_MANAGEMENT_ADDRESS", "127.0.0.1:0", 1);
    return child_setup(state);
}

static void run(int (*scenario)(void *))
{
    child_run(scenario, NULL);
    assert_int_equal(child.status, 0);
}

static long get(const char *path)
{
    f = (struct fetch){.path = path};
    return fetch(&f);
}

static long ask(const char *method, const char *path, const char *header, const char *body)
{
    f = (struct fetch){.method = method, .path = path, .header = header, .body = body};
    return fetch(&f);
}

static double now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- pages ------------------------------------------------------------------------ */

static int metrics(void *arg)
{
    (void)arg;
    CHECK(clew_start("svc", "2.0") == 0);
    CHECK(clew_management_port() != 0 && clew_metrics_port() == clew_management_port());
    clew_operation_succeeded("import");
    CHECK(get("/metrics") == 200);
    CHECK(strcasestr(f.headers, "content-type: text/plain; version=0.0.4"));
    CHECK(strstr(f.text, "service_info{service=\"svc\",version=\"2.0\"} 1"));
    CHECK(strstr(f.text, "# TYPE http_requests_total counter\n"));
    CHECK(strstr(f.text, "\nactive_connections 0"));
    CHECK(strstr(f.text, "\nprocess_cpu_seconds_total "));
    CHECK(strstr(f.text, "\nprocess_open_fds "));
    CHECK(strstr(f.text, "\nprocess_max_fds "));
    CHECK(strstr(f.text, "\nprocess_virtual_memory_bytes "));
    CHECK(strstr(f.text, "\nprocess_threads "));
    CHECK(strstr(f.text, "\nservice_cpu_usage_percent "));
    CHECK(strstr(f.text, "\nservice_cpu_usage_ratio "));
    CHECK(strstr(f.text, "\nservice_memory_usage_bytes "));
    CHECK(strstr(f.text, "\nservice_health_status 1"));
    CHECK(strstr(f.text, "\nlast_successful_operation_timestamp{operation=\"import\"} 1"));
    CHECK(strstr(f.text, "\nlast_successful_operation_timestamp_seconds{operation=\"import\"} 1"));
    CHECK(strstr(f.text, "\nclew_build_info{"));
    CHECK(!strstr(f.text, " NaN\n"));
    CHECK(!strstr(f.text, "# EOF"));
    CHECK(ask("GET", "/metrics", "Accept: application/openmetrics-text; version=1.0.0", NULL) ==
          200);
    CHECK(strcasestr(f.headers, "content-type: application/openmetrics-text; version=1.0.0"));
    CHECK(strstr(f.text, "# EOF\n"));
    clew_stop();
    return 0;
}

static void test_management_metrics(void **state)
{
    (void)state;
    run(metrics);
}

static int health(void *arg)
{
    json_t *page;

    (void)arg;
    CHECK(clew_start("svc", "2.0") == 0);
    CHECK(get("/health") == 200);
    page = json_loads(f.text, 0, NULL);
    CHECK(strcmp(json_string_value(json_object_get(page, "service")), "svc") == 0);
    CHECK(json_is_true(json_object_get(page, "healthy")));
    CHECK(json_is_true(json_object_get(page, "ready")));
    CHECK(json_is_true(json_object_get(page, "live")));
    CHECK(json_is_real(json_object_get(page, "uptime_seconds")));
    CHECK(json_real_value(json_object_get(page, "uptime_seconds")) < 300);
    CHECK(json_is_real(json_object_get(page, "timestamp")));
    CHECK(json_real_value(json_object_get(page, "timestamp")) >= (double)time(NULL) - 10);
    CHECK(json_object_size(json_object_get(page, "checks")) == 0);
    json_decref(page);
    CHECK(clew_health_set("database", false) == 0);
    CHECK(get("/health") == 503);
    CHECK(strstr(f.text, "\"checks\":{\"database\":false}"));
    CHECK(strstr(f.text, "\"reasons\":{\"database\":\"check failed\"}"));
    CHECK(get("/health/ready") == 503);
    CHECK(get("/health/live") == 200);
    CHECK(clew_health_set("database", true) == 0);
    CHECK(get("/health/ready") == 200);
    clew_drain();
    CHECK(get("/health/ready") == 503);
    CHECK(get("/health/live") == 200);
    CHECK(get("/health") == 200);
    CHECK(strstr(f.text, "\"healthy\":true,\"ready\":false,\"live\":true"));
    clew_stop();
    return 0;
}

static void test_management_health(void **state)
{
    (void)state;
    run(health);
}

static int loglevel(void *arg)
{
    static char huge[20000];
    static const char *const bad[] = {"db=loud", "", "\n", "=info", "{\"levels\":\"info\"}"};

    (void)arg;
    CHECK(clew_start("svc", "2.0") == 0);
    CHECK(get("/loglevel") == 200);
    CHECK(strcmp(f.text, "{\"level\":\"INFO\",\"levels\":\"info\"}") == 0);
    clew_debug("hidden");
    CHECK(ask("PUT", "/loglevel", NULL, "warn,db.pool=trace,function:log*=debug\n") == 200);
    CHECK(strstr(f.text, "\"levels\":\"warn,db.pool=trace,function:log*=debug\""));
    clew_debug("shown");
    CHECK(clew_log_level() == CLEW_LEVEL_WARN);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK(ask("PUT", "/loglevel", NULL, bad[i]) == 400);
        CHECK(strstr(f.text, "\"error\":\""));
    }
    CHECK(ask("PUT", "/loglevel", "Content-Type: application/json", "{\"levels\":7}") == 400);
    f = (struct fetch){.method = "PUT", .path = "/loglevel", .body = "info\0x", .body_len = 6};
    CHECK(fetch(&f) == 400);
    CHECK(get("/loglevel") == 200); /* nothing was changed by any of them */
    CHECK(strstr(f.text, "\"levels\":\"warn,db.pool=trace,function:log*=debug\""));
    CHECK(ask("PUT", "/loglevel", "Content-Type: application/json",
              "{\"level\":\"WARN\",\"levels\":\"error,x=off\"}") == 200);
    CHECK(strstr(f.text, "\"levels\":\"error,x=off\""));
    memset(huge, 'x', sizeof(huge) - 1);
    CHECK(ask("PUT", "/loglevel", NULL, huge) == 413);
    CHECK(ask("PUT", "/loglevel", "Transfer-Encoding: chunked", huge) == 0); /* hung up on */
    CHECK(ask("PUT", "/loglevel", "X-Forwarded-For: 192.0.2.1", "off") == 403);
    CHECK(ask("PUT", "/loglevel", "Host: evil.example", "off") == 403);
    CHECK(get("/loglevel") == 200 && strstr(f.text, "error,x=off"));
    clew_stop();
    return 0;
}

static void test_management_loglevel(void **state)
{
    (void)state;
    run(loglevel);
    assert_int_equal(child_count("hidden"), 0);
    assert_int_equal(child_count("shown"), 1);
}

static int others(void *arg)
{
    static char huge[100000];

    (void)arg;
    CHECK(clew_start("svc", "2.0") == 0);
    CHECK(get("/buildinfo") == 200);
    CHECK(strstr(f.text, "\"clewline_version\":\"" CLEW_VERSION "\""));
    CHECK(strstr(f.text, "\"compiler\":\"") && strstr(f.text, "\"management_tls\":true"));
    CHECK(get("/nowhere") == 404);
    CHECK(strstr(f.text, "\"/metrics\"") && strstr(f.text, "\"/health/ready\"") &&
          strstr(f.text, "\"/loglevel\""));
    CHECK(get("/metrics/") == 404);
    CHECK(get("/metrics?name=x") == 200);
    CHECK(ask("POST", "/metrics", NULL, "x") == 405);
    CHECK(strcasestr(f.headers, "allow: GET, HEAD\r\n"));
    CHECK(ask("DELETE", "/loglevel", NULL, NULL) == 405);
    CHECK(strcasestr(f.headers, "allow: GET, HEAD, PUT\r\n"));
    CHECK(ask("HEAD", "/metrics", NULL, NULL) == 200);
    CHECK(f.text[0] == '\0' && strcasestr(f.headers, "content-length: "));
    CHECK(strcasestr(f.headers, "cache-control: no-store"));
    CHECK(ask("HEAD", "/health/live", NULL, NULL) == 200);
    memset(huge, 'x', sizeof(huge) - 1);
    CHECK(ask("GET", "/health/live", "Transfer-Encoding: chunked", huge) == 0);
    CHECK(ask("POST", "/metrics", NULL, huge) == 405);
    CHECK(ask("GET", "/health/live", NULL, "x") == 200); /* a body is passed over */
    CHECK(get("/health/live") == 200);
    clew_stop();
    return 0;
}

static void test_management_other_pages_and_methods(void **state)
{
    (void)state;
    run(others);
}

/* ---- ports ------------------------------------------------------------------------ */

static int two_ports(void *arg)
{
    (void)arg;
    setenv("CLEW_METRICS_ADDRESS", "127.0.0.1:0", 1);
    CHECK(clew_start("svc", "2.0") == 0);
    CHECK(clew_metrics_port() != clew_management_port());
    CHECK(get("/health") == 200);
    CHECK(get("/metrics") == 404);
    CHECK(!strstr(f.text, "/metrics"));
    f = (struct fetch){.path = "/metrics", .port = clew_metrics_port()};
    CHECK(fetch(&f) == 200);
    f.path = "/health";
    CHECK(fetch(&f) == 404);
    CHECK(strstr(f.text, "\"pages\":[\"/metrics\"]"));
    clew_stop();
    return 0;
}

static int no_metrics(void *arg)
{
    (void)arg;
    setenv("CLEW_METRICS_ENABLED", "false", 1);
    CHECK(clew_start("svc", "2.0") == 0);
    CHECK(get("/health") == 200);
    CHECK(strtod(strstr(f.text, "\"uptime_seconds\":") + 17, NULL) < 300);
    CHECK(get("/metrics") == 404);
    clew_info("request completed", clew_kv("route", "/once"), clew_kv("duration_seconds", 0.2),
              clew_kv("status", 200), clew_kv("method", "GET"));
    clew_stop();
    return 0;
}

/* Of a base port whose neighbours are free now: tried until one is. */
static int base_port(void *arg)
{
    char text[32];
    int r = -1;

    (void)arg;
    unsetenv("CLEW_MANAGEMENT_ADDRESS");
    for (unsigned base = 20000 + (unsigned)getpid() % 20000; r < 0 && base < 60000; base += 7) {
        snprintf(text, sizeof(text), "%u", base);
        setenv("CLEW_BASE_PORT", text, 1);
        r = clew_start("svc", "2.0");
        if (r == 0)
            CHECK(clew_management_port() == base + 1 && clew_metrics_port() == base + 1000);
        else
            CHECK(strstr(clew_last_error(), "CLEW_BASE_PORT: cannot listen on 127.0.0.1:"));
    }
    CHECK(r == 0);
    CHECK(get("/health/ready") == 200);
    clew_stop();
    return 0;
}

static int taken(void *arg)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    char text[32];

    (void)arg;
    CHECK(bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0 && listen(fd, 1) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&at, &len) == 0);
    snprintf(text, sizeof(text), "%u", ntohs(at.sin_port));
    setenv("CLEW_METRICS_ADDRESS", text, 1);
    CHECK(clew_start("svc", "2.0") == -EADDRINUSE);
    CHECK(strstr(clew_last_error(), "CLEW_METRICS_ADDRESS: cannot listen on 127.0.0.1:"));
    CHECK(strstr(clew_last_error(), text) && strstr(clew_last_error(), "clew ports"));
    CHECK(clew_management_port() == 0); /* the other one, which was free, is again */
    close(fd);
    CHECK(clew_start("svc", "2.0") == 0);
    clew_stop();
    return 0;
}

static void test_management_port_layouts(void **state)
{
    (void)state;
    run(two_ports);
    run(no_metrics);
    run(base_port);
}

static void test_management_a_taken_port_is_named(void **state)
{
    (void)state;
    run(taken);
}

/* ---- who may ---------------------------------------------------------------------- */

static int credentials(void *arg)
{
    static const char *const wrong[] = {
        NULL,
        "Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZg==",
        "Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ",
        "Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==x",
        "Authorization: Basic ",
        "Authorization: Bearer QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
        "Authorization: Bearer t0ke",
        "Authorization: Bearer t0kent0ken",
        "Authorization: t0ken",
    };

    (void)arg;
    setenv("CLEW_MANAGEMENT_USERNAME", "Aladdin", 1);
    setenv("CLEW_MANAGEMENT_PASSWORD", "open sesame", 1);
    setenv("CLEW_MANAGEMENT_BEARER_TOKEN", "t0ken", 1);
    CHECK(clew_start("svc", "2.0") == 0);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        CHECK(ask("GET", "/metrics", wrong[i], NULL) == 401);
        CHECK(strcasestr(f.headers, "www-authenticate: Basic realm="));
        CHECK(ask("PUT", "/loglevel", wrong[i], "off") == 401);
        CHECK(ask("GET", "/nowhere", wrong[i], NULL) == 401);
    }
    CHECK(get("/health") == 401);
    CHECK(get("/health/live") == 200 && get("/health/ready") == 200);
    CHECK(ask("PUT", "/health/live", NULL, "x") == 401);
    CHECK(ask("GET", "/metrics", "authorization: basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", NULL) == 200);
    CHECK(ask("GET", "/metrics", "Authorization: Bearer t0ken", NULL) == 200);
    f = (struct fetch){.method = "PUT",
                       .path = "/loglevel",
                       .header = "Authorization: Bearer t0ken",
                       .header2 = "X-Forwarded-For: 192.0.2.1",
                       .body = "info"};
    CHECK(fetch(&f) == 200);
    clew_stop();
    return 0;
}

static void test_management_credentials(void **state)
{
    (void)state;
    run(credentials);
    assert_true(child_count("management request refused") >= 1);
    assert_null(strstr(child.output, "sesame"));
    assert_null(strstr(child.output, "t0ken"));
    assert_null(strstr(child.output, "QWxh"));
}

static int allow_list(void *arg)
{
    (void)arg;
    setenv("CLEW_MANAGEMENT_ALLOW", "10.0.0.0/8,fd00::/8", 1);
    CHECK(clew_start("svc", "2.0") == 0);
    CHECK(get("/metrics") == 403);
    CHECK(get("/health") == 403);
    CHECK(get("/health/live") == 200);
    clew_stop();
    return 0;
}

static int allowed(void *arg)
{
    (void)arg;
    setenv("CLEW_MANAGEMENT_ALLOW", "10.0.0.0/8,127.0.0.0/8", 1);
    setenv("CLEW_MANAGEMENT_ADDRESS", "[::]:0", 1); /* the peer is ::ffff:127.0.0.1 there */
    CHECK(clew_start("svc", "2.0") == 0);
    CHECK(get("/metrics") == 200);
    CHECK(ask("PUT", "/loglevel", NULL, "info") == 200);
    clew_stop();
    return 0;
}

static void test_management_allow_list(void **state)
{
    (void)state;
    run(allow_list);
    run(allowed);
}

static int open_to_all(void *arg)
{
    setenv("CLEW_MANAGEMENT_ADDRESS", "0.0.0.0:0", 1);
    if (arg) {
        setenv("CLEW_MANAGEMENT_USERNAME", "u", 1);
        setenv("CLEW_MANAGEMENT_PASSWORD", "p", 1);
    }
    CHECK(clew_start("svc", "2.0") == 0);
    clew_stop();
    return 0;
}

static void test_management_warns_of_open_doors(void **state)
{
    (void)state;
    run(metrics);
    assert_null(strstr(child.output, "\"WARN\""));
    run(open_to_all);
    assert_int_equal(child_count("management server is open to the network without authentication"),
                     1);
    child_run(open_to_all, &child);
    assert_int_equal(child.status, 0);
    assert_int_equal(
        child_count("management server takes credentials from the network without TLS"), 1);
    assert_int_equal(child_count("management server is open to the network without authentication"),
                     0);
}

/* ---- TLS -------------------------------------------------------------------------- */

static const char make_certificates[] =
    "cd \"$1\" && "
    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=ca "
    "-keyout ca.key -out ca.pem && "
    "for who in server client stranger; do "
    "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=$who "
    "-keyout $who.key -out $who.csr && "
    "printf 'subjectAltName=IP:127.0.0.1\\nextendedKeyUsage=%s\\n' "
    "$([ $who = server ] && echo serverAuth || echo clientAuth) >$who.ext && "
    "if [ $who = stranger ]; then openssl x509 -req -in $who.csr -key $who.key -days 2 "
    "-extfile $who.ext -out $who.pem; "
    "else openssl x509 -req -in $who.csr -CA ca.pem -CAkey ca.key -set_serial 7$RANDOM -days 2 "
    "-extfile $who.ext -out $who.pem; fi || exit 1; done";

static char ca[128], certificate[3][128], key[3][128]; /* server, client, stranger */

static int make(void)
{
    static const char *const names[] = {"server", "client", "stranger"};
    pid_t pid = fork();
    int status = -1;

    if (pid == 0) {
        (void)!freopen("/dev/null", "w", stderr);
        execlp("bash", "bash", "-c", make_certificates, "bash", child.directory, NULL);
        _exit(1);
    }
    waitpid(pid, &status, 0);
    snprintf(ca, sizeof(ca), "%s/ca.pem", child.directory);
    for (size_t i = 0; i < 3; i++) {
        snprintf(certificate[i], sizeof(certificate[i]), "%s/%s.pem", child.directory, names[i]);
        snprintf(key[i], sizeof(key[i]), "%s/%s.key", child.directory, names[i]);
    }
    setenv("CLEW_MANAGEMENT_TLS_CERTIFICATE", certificate[0], 1);
    setenv("CLEW_MANAGEMENT_TLS_KEY", key[0], 1);
    return status;
}

static long get_tls(const char *path, int who)
{
    f = (struct fetch){.path = path,
                       .ca = ca,
                       .certificate = who ? certificate[who] : NULL,
                       .key = who ? key[who] : NULL};
    return fetch(&f);
}

static int tls(void *arg)
{
    (void)arg;
    CHECK(clew_start("svc", "2.0") == 0);
    CHECK(get_tls("/metrics", 0) == 200);
    CHECK(strstr(f.text, "service_info{"));
    CHECK(get("/metrics") == 0); /* not without */
    CHECK(get_tls("/health", 0) == 200);
    clew_stop();
    return 0;
}

static int mutual(void *arg)
{
    (void)arg;
    setenv("CLEW_MANAGEMENT_TLS_CLIENT_CA", ca, 1);
    CHECK(clew_start("svc", "2.0") == 0);
    CHECK(get_tls("/metrics", 0) == 403);
    CHECK(get_tls("/metrics", 1) == 200);
    CHECK(get_tls("/metrics", 2) != 200);
    CHECK(get_tls("/health/live", 0) == 200);
    clew_stop();
    return 0;
}

static int bad_files(void *arg)
{
    (void)arg;
    setenv("CLEW_MANAGEMENT_TLS_KEY", key[1], 1); /* of another certificate */
    CHECK(clew_start("svc", "2.0") < 0);
    CHECK(strstr(clew_last_error(), "CLEW_MANAGEMENT_TLS_KEY"));
    setenv("CLEW_MANAGEMENT_TLS_KEY", "/nowhere/k.pem", 1);
    CHECK(clew_start("svc", "2.0") == -ENOENT);
    CHECK(strstr(clew_last_error(), "CLEW_MANAGEMENT_TLS_KEY=/nowhere/k.pem: No such file"));
    setenv("CLEW_MANAGEMENT_TLS_KEY", key[0], 1);
    setenv("CLEW_MANAGEMENT_TLS_CLIENT_CA", key[0], 1); /* no certificate in it */
    CHECK(clew_start("svc", "2.0") < 0);
    CHECK(strstr(clew_last_error(), "CLEW_MANAGEMENT_TLS_CLIENT_CA"));
    return 0;
}

static void test_management_tls(void **state)
{
    (void)state;
    assert_int_equal(make(), 0);
    run(tls);
    run(bad_files);
    run(mutual);
}

/* ---- bad company ------------------------------------------------------------------- */

static int connect_to(uint16_t port)
{
    struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof(at)) < 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

/* A thousand who say nothing, or half a request, or never read the answers to
 * as many as they like; an honest one among them is answered each time. */
static int crowd(void *arg)
{
    static const char half[] = "GET /metrics HTTP/1.1\r\nHost: x\r\nX-Slow: ";
    static const char whole[] = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
    const char *say[] = {"", half, whole};
    struct rlimit limit = {4096, 4096};
    struct clew_series *big;
    static int fds[1000];
    char value[200];
    double began;

    (void)arg;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    CHECK(clew_start("svc", "2.0") == 0);
    memset(value, 'v', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    for (int i = 0; i < 1500; i++) { /* a page that no socket buffer takes whole */
        snprintf(value, 8, "%07d", i);
        value[7] = 'v';
        big = clew_metric_series(clew_counter("big_total", "Big.", (const char *[]){"l", NULL}),
                                 (const char *[]){value, NULL});
        clew_series_add(big, 1);
    }
    for (int i = 0; i < 1000; i++) {
        const char *text = say[i % 3];

        fds[i] = connect_to(clew_management_port());
        CHECK(fds[i] >= 0);
        for (int n = 0; n < 10 && *text; n++)
            (void)!send(fds[i], text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (i % 100 == 99) {
            began = now_s();
            CHECK(get("/metrics") == 200);
            CHECK(strstr(f.text, "big_total"));
            CHECK(now_s() - began < 5);
        }
    }
    CHECK(get("/metrics") == 200);
    for (int i = 0; i < 1000; i++)
        close(fds[i]);
    clew_stop();
    return 0;
}

static void test_management_a_crowd_locks_nobody_out(void **state)
{
    (void)state;
    run(crowd);
}

/* Whoever has few connections keeps them, while another address opens too many. */
static int fair(void *arg)
{
    static const char one[] = "GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    struct sockaddr_in other = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7F000002)};
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char answer[4096] = "";
    size_t used = 0;
    static int fds[300];
    ssize_t n;
    int mine;

    (void)arg;
    CHECK(clew_start("svc", "2.0") == 0);
    at.sin_port = htons(clew_management_port());
    mine = connect_to(clew_management_port()); /* the oldest, and idle */
    for (int i = 0; i < 300; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        CHECK(bind(fds[i], (struct sockaddr *)&other, sizeof(other)) == 0);
        CHECK(connect(fds[i], (struct sockaddr *)&at, sizeof(at)) == 0);
    }
    CHECK(recv(fds[0], answer, 1, 0) <= 0); /* hung up on: waits until it is */
    CHECK(send(mine, one, sizeof(one) - 1, MSG_NOSIGNAL) == sizeof(one) - 1);
    while ((n = recv(mine, answer + used, sizeof(answer) - 1 - used, 0)) > 0)
        used += (size_t)n;
    CHECK(strstr(answer, "{\"live\":true}"));
    CHECK(get("/metrics") == 200);
    CHECK(strstr(f.text, "\nclew_management_connections_evicted_total 1"));
    for (int i = 0; i < 300; i++)
        close(fds[i]);
    close(mine);
    clew_stop();
    return 0;
}

static void test_management_few_connections_are_kept(void **state)
{
    (void)state;
    run(fair);
}

/* Several requests in one packet, and one that is not HTTP. */
static int raw(void *arg)
{
    static const char two[] = "GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
                              "GET /health/ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    static const char junk[] = "\x16\x03\x01 not http at all\r\n\r\n";
    char answer[8192];
    size_t used = 0;
    ssize_t n;
    int fd;

    (void)arg;
    CHECK(clew_start("svc", "2.0") == 0);
    fd = connect_to(clew_management_port());
    CHECK(send(fd, two, sizeof(two) - 1, 0) == sizeof(two) - 1);
    while ((n = recv(fd, answer + used, sizeof(answer) - 1 - used, 0)) > 0)
        used += (size_t)n;
    answer[used] = '\0';
    close(fd);
    CHECK(strstr(answer, "{\"live\":true}") && strstr(answer, "{\"ready\":true}"));
    fd = connect_to(clew_management_port());
    CHECK(send(fd, junk, sizeof(junk) - 1, 0) == sizeof(junk) - 1);
    while (recv(fd, answer, sizeof(answer), 0) > 0)
        ;
    close(fd);
    CHECK(get("/health/live") == 200);
    clew_stop();
    return 0;
}

static void test_management_raw_requests(void **state)
{
    (void)state;
    run(raw);
}

/* The child of a fork must not keep the port of its parent's. */
static int forked(void *arg)
{
    uint16_t port;
    int fd, pipes[2];
    char c;
    pid_t pid;

    (void)arg;
    CHECK(pipe(pipes) == 0);
    CHECK(clew_start("svc", "2.0") == 0);
    port = clew_management_port();
    CHILD_BEFORE_FORK();
    pid = fork();
    if (pid == 0) {
        close(pipes[1]);
        (void)!read(pipes[0], &c, 1); /* until the parent is done */
        _exit(clew_management_port() != 0);
    }
    clew_stop();
    fd = connect_to(port);
    CHECK(fd < 0);
    close(pipes[0]);
    close(pipes[1]);
    CHECK(waitpid(pid, &(int){0}, 0) == pid);
    return 0;
}

static void test_management_a_child_does_not_keep_the_port(void **state)
{
    (void)state;
    run(forked);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, child_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_management_metrics),
        TEST(test_management_health),
        TEST(test_management_loglevel),
        TEST(test_management_other_pages_and_methods),
        TEST(test_management_port_layouts),
        TEST(test_management_a_taken_port_is_named),
        TEST(test_management_credentials),
        TEST(test_management_allow_list),
        TEST(test_management_warns_of_open_doors),
        TEST(test_management_tls),
        TEST(test_management_a_crowd_locks_nobody_out),
        TEST(test_management_few_connections_are_kept),
        TEST(test_management_raw_requests),
        TEST(test_management_a_child_does_not_keep_the_port),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
