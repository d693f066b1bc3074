/* SPDX-License-Identifier: Apache-2.0
 * Spans to a far side that misbehaves: deadlines are kept and the truth is
 * told; batches that are refused, queues that are full, forks. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "sample.h"

#include <child.h>
#include <clew/export.h>
#include <clew/trace.h>
#include <fake_http.h>
#include <otlp_read.h>

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MS UINT64_C(1000000)
#define N(list) (sizeof(list) / sizeof(list[0]))

static int setup(void **state)
{
    setenv("CLEW_LOG_OUTPUT", "none", 1);
    return child_setup(state);
}

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void use(uint16_t port)
{
    char url[64];

    snprintf(url, sizeof(url), "http://127.0.0.1:%u", port);
    setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url, 1);
}

static void make_spans(const char *name, int n)
{
    for (int i = 0; i < n; i++)
        clew_span_end(clew_span_start(name, CLEW_SPAN_INTERNAL));
}

static double exported(const char *outcome)
{
    char name[128];

    snprintf(name, sizeof(name),
             "clew_export_records_total{destination=\"otlp_traces\",outcome=\"%s\"}", outcome);
    return sample(name);
}

static void run(int (*scenario)(void *), void *arg)
{
    child_run(scenario, arg);
    assert_int_equal(child.status, 0);
}

/* ---- deadlines ------------------------------------------------------------------------- */

/* Accepts, reads and answers a byte every 20 ms; 0 when there is no port. */
static int drip_listener;
static void *drip(void *arg)
{
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n";
    int fd = accept(drip_listener, NULL, NULL);
    char byte;

    for (size_t i = 0;; i++) {
        const struct timespec pause = {0, 20000000};

        byte = i < sizeof(answer) - 1 ? answer[i] : 'x';
        if (send(fd, &byte, 1, MSG_NOSIGNAL) != 1)
            break;
        nanosleep(&pause, NULL);
    }
    close(fd);
    return arg;
}

static uint16_t start_drip(pthread_t *ret)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);

    drip_listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(drip_listener, (struct sockaddr *)&address, size) < 0 ||
        listen(drip_listener, 4) < 0 ||
        getsockname(drip_listener, (struct sockaddr *)&address, &size) < 0 ||
        pthread_create(ret, NULL, drip, NULL) != 0)
        return 0;
    return ntohs(address.sin_port);
}

/* Both calls come back when they should, and say that it did not work. */
static int keep_deadlines(void)
{
    uint64_t before, took;

    setenv("CLEW_SHUTDOWN_TIMEOUT_MS", "60000", 1);
    CHECK(clew_start("s", "1") == 0);
    make_spans("late", 10);
    before = now_ns();
    CHECK(clew_flush(300) == -ETIMEDOUT);
    took = now_ns() - before;
    CHECK(took >= 300 * MS && took < 350 * MS);
    before = now_ns();
    CHECK(clew_shutdown(300) == -ETIMEDOUT);
    took = now_ns() - before;
    CHECK(took >= 290 * MS && took < 350 * MS);
    CHECK(clew_shutdown(300) == 0); /* stopped before */
    CHECK(exported("dropped") == 10);
    return 0;
}

static int against_closed_port(void *arg)
{
    static const struct fake_answer answers[] = {{200, NULL, NULL, 0}};
    struct fake_http *server = fake_http_start(answers, 1);

    (void)arg;
    use(fake_http_port(server));
    fake_http_stop(server);
    return keep_deadlines();
}

static int against_answers(void *arg)
{
    struct fake_http *server = fake_http_start(arg, 1);
    int err;

    use(fake_http_port(server));
    err = keep_deadlines();
    fake_http_stop(server);
    return err;
}

static int against_drip(void *arg)
{
    pthread_t thread;
    int err;

    (void)arg;
    use(start_drip(&thread));
    err = keep_deadlines();
    close(drip_listener);
    pthread_join(thread, NULL);
    return err;
}

static void test_delivery_deadline_when_refused(void **state)
{
    (void)state;
    run(against_closed_port, NULL);
}

static void test_delivery_deadline_when_it_hangs(void **state)
{
    struct fake_answer hangs = {0, NULL, NULL, 0};

    (void)state;
    run(against_answers, &hangs);
}

static void test_delivery_deadline_when_it_is_unavailable(void **state)
{
    struct fake_answer busy = {503, NULL, NULL, 0}, later = {503, "3600", NULL, 0};

    (void)state;
    run(against_answers, &busy);
    run(against_answers, &later);
}

static void test_delivery_deadline_when_it_drips(void **state)
{
    (void)state;
    run(against_drip, NULL);
}

/* The C library's, for this program and libcurl in it: a name server that never answers. */
#define UNANSWERED "collector.test"
static _Atomic int asked;
int getaddrinfo(const char *restrict node, const char *restrict service,
                const struct addrinfo *restrict hints, struct addrinfo **restrict ret)
{
    union {
        void *object;
        int (*function)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    } real = {dlsym(RTLD_NEXT, "getaddrinfo")};

    /* What is to be a number is no question for it. */
    if (node && strcmp(node, UNANSWERED) == 0 && !(hints && hints->ai_flags & AI_NUMERICHOST)) {
        asked++;
        for (;;)
            pause();
    }
    return real.function(node, service, hints, ret);
}

static int against_no_name_server(void *arg)
{
    (void)arg;
    setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://" UNANSWERED ":4318", 1);
    CHECK(keep_deadlines() == 0);
    CHECK(asked > 0);
    return 0;
}

/* Nor does the end of the program wait. */
static void test_delivery_deadline_without_a_name_server(void **state)
{
    uint64_t before = now_ns();

    (void)state;
    run(against_no_name_server, NULL);
    setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", 1);
    run(against_no_name_server, NULL);
    assert_true(now_ns() - before < 5000 * MS);
}

static void test_delivery_deadline_over_grpc(void **state)
{
    (void)state;
    setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", 1);
    run(against_closed_port, NULL);
    run(against_drip, NULL); /* not even HTTP/2 */
}

static int everything_is_well(void *arg)
{
    static const struct fake_answer answers[] = {{200, NULL, NULL, 0}};
    struct fake_http *server = fake_http_start(answers, N(answers));

    (void)arg;
    use(fake_http_port(server));
    setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json", 1);
    CHECK(clew_start("s", "1") == 0);
    make_spans("a", 5);
    CHECK(clew_flush(5000) == 0);
    CHECK(strcmp(fake_http_request(server, 0)->content_type, "application/json") == 0);
    make_spans("b", 5);
    CHECK(clew_shutdown(5000) == 0);
    CHECK(exported("accepted") == 10);
    fake_http_stop(server);
    return 0;
}

static void test_delivery_shutdown_sends_what_is_left(void **state)
{
    (void)state;
    run(everything_is_well, NULL);
}

/* ---- batches that are refused as a whole ----------------------------------------------- */

static int too_large(void *arg)
{
    static const struct fake_answer answers[] = {{413, NULL, NULL, 0}, {200, NULL, NULL, 0}};
    struct fake_http *server = fake_http_start(answers, N(answers));

    (void)arg;
    use(fake_http_port(server));
    CHECK(clew_start("s", "1") == 0);
    make_spans("big", 10);
    CHECK(clew_flush(5000) == 0);
    CHECK(fake_http_count(server) == 3); /* all, one half, the other */
    CHECK(exported("accepted") == 10);
    CHECK(clew_shutdown(5000) == 0);
    fake_http_stop(server);
    return 0;
}

/* Of four the first is what the far side does not like. */
static int one_is_bad(void *arg)
{
    static const struct fake_answer answers[] = {
        {400, NULL, NULL, 0}, {400, NULL, NULL, 0}, {400, NULL, NULL, 0}, {200, NULL, NULL, 0}};
    struct fake_http *server = fake_http_start(answers, N(answers));

    (void)arg;
    use(fake_http_port(server));
    CHECK(clew_start("s", "1") == 0);
    make_spans("one", 4);
    CHECK(clew_flush(5000) == 1);
    CHECK(fake_http_count(server) == 5);
    CHECK(exported("accepted") == 3);
    CHECK(exported("rejected") == 1);
    CHECK(clew_shutdown(5000) == 0);
    fake_http_stop(server);
    return 0;
}

/* Whatever is sent: it ends. */
static int all_are_bad(void *arg)
{
    static const struct fake_answer answers[] = {{400, NULL, NULL, 0}};
    struct fake_http *server = fake_http_start(answers, N(answers));

    (void)arg;
    use(fake_http_port(server));
    CHECK(clew_start("s", "1") == 0);
    make_spans("bad", 1000);
    CHECK(clew_flush(20000) == 1);
    CHECK(fake_http_count(server) < 500);
    CHECK(exported("rejected") == 1000);
    (void)clew_shutdown(5000);
    fake_http_stop(server);
    return 0;
}

static void test_delivery_splits_what_is_too_large(void **state)
{
    (void)state;
    run(too_large, NULL);
}

static void test_delivery_finds_the_bad_one(void **state)
{
    (void)state;
    run(one_is_bad, NULL);
}

static void test_delivery_splits_within_bounds(void **state)
{
    (void)state;
    run(all_are_bad, NULL);
}

/* ---- retries ----------------------------------------------------------------------------- */

static int waits_until_a_date(void *arg)
{
    static char date[64];
    static struct fake_answer answers[] = {{503, date, NULL, 0}, {200, NULL, NULL, 0}};
    struct fake_http *server = fake_http_start(answers, N(answers));
    time_t later = time(NULL) + 3;
    struct tm parts;

    (void)arg;
    strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&later, &parts));
    use(fake_http_port(server));
    setenv("OTEL_BSP_SCHEDULE_DELAY", "1", 1);
    CHECK(clew_start("s", "1") == 0);
    make_spans("a", 1);
    CHECK(clew_flush(10000) == 0);
    CHECK(fake_http_count(server) == 2);
    CHECK(fake_http_request(server, 1)->time_ns - fake_http_request(server, 0)->time_ns >=
          1500 * MS);
    CHECK(clew_shutdown(5000) == 0);
    fake_http_stop(server);
    return 0;
}

static int gives_up(void *arg)
{
    static const struct fake_answer answers[] = {{503, NULL, NULL, 0}};
    struct fake_http *server = fake_http_start(answers, N(answers));

    (void)arg;
    use(fake_http_port(server));
    setenv("OTEL_BSP_EXPORT_TIMEOUT", "1", 1);
    CHECK(clew_start("s", "1") == 0);
    make_spans("a", 1);
    CHECK(clew_flush(10000) == 1);
    CHECK(exported("rejected") == 1);
    CHECK(clew_shutdown(5000) == 0);
    fake_http_stop(server);
    return 0;
}

static void test_delivery_retry_after_a_date(void **state)
{
    (void)state;
    run(waits_until_a_date, NULL);
}

static void test_delivery_gives_up_when_told_to(void **state)
{
    (void)state;
    run(gives_up, NULL);
}

/* ---- the queue ----------------------------------------------------------------------------- */

static int overflows(void *arg)
{
    static const struct fake_answer answers[] = {{0, NULL, NULL, 0}};
    struct fake_http *server = fake_http_start(answers, N(answers));
    double dropped;

    (void)arg;
    use(fake_http_port(server));
    setenv("CLEW_LOG_OUTPUT", "stdout", 1);
    setenv("OTEL_BSP_MAX_QUEUE_SIZE", "20", 1);
    setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "5", 1);
    CHECK(clew_start("s", "1") == 0);
    for (int i = 0; i < 20; i++) {
        make_spans("many", 50);
        CHECK(clew_log_flush(5000) == 0);
    }
    CHECK(clew_flush(100) == -ETIMEDOUT); /* the thread has looked at it */
    CHECK(clew_log_flush(5000) == 0);     /* and told */
    dropped = exported("dropped");
    CHECK(dropped >= 970 && dropped <= 980); /* 20 wait, 5 are on their way */
    CHECK(sample("otel_sdk_processor_span_processed_total{otel_component_name="
                 "\"batching_span_processor/0\",otel_component_type=\"batching_span_processor\","
                 "error_type=\"queue_full\"}") == dropped);
    CHECK(sample("otel_sdk_processor_span_queue_capacity{otel_component_name="
                 "\"batching_span_processor/0\",otel_component_type="
                 "\"batching_span_processor\"}") == 20);
    CHECK(clew_shutdown(200) == -ETIMEDOUT);
    fake_http_stop(server);
    return 0;
}

static void test_delivery_full_queue_is_told_once(void **state)
{
    (void)state;
    run(overflows, NULL);
    assert_int_equal(child_count("export queue is full"), 1);
}

/* ---- forks ----------------------------------------------------------------------------------- */

struct count {
    const char *name;
    size_t n;
};

static bool count_name(void *arg, const struct clew__otlp_span *span)
{
    struct count *count = arg;

    count->n += span->name_len == strlen(count->name) &&
                memcmp(span->name, count->name, span->name_len) == 0;
    return true;
}

static size_t received(struct fake_http *server, const char *name)
{
    struct count count = {name, 0};

    for (size_t i = 0; i < fake_http_count(server); i++)
        (void)clew__otlp_read(fake_http_request(server, i)->body, fake_http_request(server, i)->len,
                              count_name, &count);
    return count.n;
}

static int wait_for(pid_t pid)
{
    int status = -1;

    return waitpid(pid, &status, 0) == pid ? status : -1;
}

/* The parent has spans in its queue and a connection; its children have theirs. */
static int forks(void *arg)
{
    static const struct fake_answer answers[] = {{200, NULL, NULL, 0}};
    static struct fake_http *server; /* the child, too, still knows of it */
    pid_t pid;

    (void)arg;
    server = fake_http_start(answers, N(answers));
    use(fake_http_port(server));
    setenv("CLEW_MANAGEMENT_ADDRESS", "127.0.0.1:0", 1);
    CHECK(clew_start("s", "1") == 0);
    make_spans("first", 10);
    CHECK(clew_flush(5000) == 0);
    make_spans("parent", 10);
    CHILD_BEFORE_FORK();
    pid = fork();
    if (pid == 0) {
        CHECK(clew_management_port() == 0);
        make_spans("child", 100);
        CHILD_BEFORE_FORK();
        pid = fork();
        if (pid == 0) {
            make_spans("grandchild", 100);
            exit(0);
        }
        CHECK(wait_for(pid) == 0);
        CHECK(clew_flush(5000) == 0);
        CHECK(exported("accepted") >= 100);
        exit(0);
    }
    CHECK(wait_for(pid) == 0);
    CHILD_BEFORE_FORK();
    pid = fork();
    if (pid == 0)
        exit(0); /* has nothing to say and does not wait */
    CHECK(wait_for(pid) == 0);
    make_spans("parent", 10);
    CHECK(clew_flush(5000) == 0);
    CHECK(received(server, "first") == 10);
    CHECK(received(server, "parent") == 20);
    CHECK(received(server, "child") == 100);
    CHECK(received(server, "grandchild") == 100);
    CHECK(clew_shutdown(5000) == 0);
    fake_http_stop(server);
    return 0;
}

static void test_delivery_children_export_their_own(void **state)
{
    (void)state;
    run(forks, NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, child_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_delivery_deadline_when_refused),
        TEST(test_delivery_deadline_when_it_hangs),
        TEST(test_delivery_deadline_when_it_is_unavailable),
        TEST(test_delivery_deadline_when_it_drips),
        TEST(test_delivery_deadline_without_a_name_server),
        TEST(test_delivery_deadline_over_grpc),
        TEST(test_delivery_shutdown_sends_what_is_left),
        TEST(test_delivery_splits_what_is_too_large),
        TEST(test_delivery_finds_the_bad_one),
        TEST(test_delivery_splits_within_bounds),
        TEST(test_delivery_retry_after_a_date),
        TEST(test_delivery_gives_up_when_told_to),
        TEST(test_delivery_full_queue_is_told_once),
        TEST(test_delivery_children_export_their_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
