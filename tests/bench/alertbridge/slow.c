/* SPDX-License-Identifier: Apache-2.0
 * bench_alertbridge_slow PROGRAM [SOCKETS]: how long an honest webhook takes while
 * SOCKETS (5,000) connections send one byte every 10 seconds each, and connect again
 * when they are cut; and without them. Every post is a connection of its own and an
 * alert of its own, so each one waits for the disk. Both figures are of the same
 * process. Exit status 1 when a post failed or p99 is 50 ms or more under attack. */
#include <common/instant.h>

#include <arpa/inet.h>
#include <curl/curl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATH "/api/v1/alertmanager"
#define POSTS 2000
#define POST_EVERY_US 10000 /* 20 s in all: the slow ones send twice */
#define BYTE_EVERY_S 10
#define LIMIT_MS 50.0

static char directory[] = "/tmp/clew-bench-slow-XXXXXX";
static uint16_t port;
static atomic_bool stop;
static atomic_uint reconnects;

struct attack {
    int *fds;
    unsigned n;
    pthread_t thread;
};

static _Noreturn void fail(const char *what)
{
    (void)fprintf(stderr, "bench_alertbridge_slow: %s\n", what);
    exit(2);
}

/* A port that is free now. */
static uint16_t free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (bind(fd, (struct sockaddr *)&address, len) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) != 0)
        fail("no free port");
    (void)close(fd);
    return ntohs(address.sin_port);
}

static pid_t start_bridge(const char *program)
{
    char path[128];
    FILE *file;
    pid_t pid;

    (void)snprintf(path, sizeof(path), "%s/config.yml", directory);
    file = fopen(path, "w");
    if (!file)
        fail("no configuration");
    (void)fprintf(file,
                  "listen: 127.0.0.1:%u\nstorage: %s/store.db\nroute: {receiver: nobody}\n"
                  "receivers: [{name: nobody}]\n",
                  port, directory);
    (void)fclose(file);
    pid = fork();
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)setenv("CLEW_RING_DIR", directory, 1);
        (void)setenv("CLEW_LOG_OUTPUT", "/dev/null", 1);
        (void)execl(program, program, "--config", path, (char *)NULL);
        _exit(127);
    }
    return pid;
}

static int connect_slow(void)
{
    static const char part[] = "POST " PATH " HTTP/1.1\r\nX-Slow: ";
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        fail("too few files: raise ulimit -n");
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        (void)close(fd);
        return -1;
    }
    (void)send(fd, part, sizeof(part) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    return fd;
}

static void *trickle(void *arg)
{
    struct attack *attack = arg;
    unsigned pause_us = BYTE_EVERY_S * 1000000u / attack->n;

    for (unsigned i = 0; !atomic_load(&stop); i = (i + 1) % attack->n) {
        if (attack->fds[i] < 0 || send(attack->fds[i], "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT) != 1) {
            if (attack->fds[i] >= 0)
                (void)close(attack->fds[i]);
            attack->fds[i] = connect_slow();
            (void)atomic_fetch_add(&reconnects, 1);
        }
        (void)usleep(pause_us);
    }
    return NULL;
}

static size_t drop(char *data, size_t size, size_t n, void *arg)
{
    (void)data, (void)arg;
    return size * n;
}

/* Milliseconds; < 0: not taken. */
static double post(unsigned number)
{
    CURL *easy = curl_easy_init();
    char url[64], body[512];
    int64_t begin;
    long status = 0;

    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u" PATH, port);
    (void)snprintf(body, sizeof(body),
                   "{\"version\":\"4\",\"groupKey\":\"g\",\"alerts\":[{\"status\":\"firing\","
                   "\"labels\":{\"alertname\":\"A\",\"n\":\"%u\"},\"annotations\":{},"
                   "\"startsAt\":\"2026-01-01T00:00:00Z\",\"endsAt\":\"0001-01-01T00:00:00Z\","
                   "\"fingerprint\":\"%016x\"}]}",
                   number, number);
    (void)curl_easy_setopt(easy, CURLOPT_URL, url);
    (void)curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body);
    (void)curl_easy_setopt(easy, CURLOPT_TIMEOUT, 10L);
    (void)curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, drop);
    begin = clew__instant_now();
    (void)curl_easy_perform(easy);
    (void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(easy);
    return status == 200 ? (double)(clew__instant_now() - begin) / 1e6 : -1;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Posts, prints, and returns p99; < 0: a post was not taken. */
static double measure(const char *name, unsigned first)
{
    static double times[POSTS];
    unsigned failed = 0;

    for (unsigned i = 0; i < POSTS; i++) {
        times[i] = post(first + i);
        failed += times[i] < 0;
        (void)usleep(POST_EVERY_US);
    }
    qsort(times, POSTS, sizeof(times[0]), compare);
    (void)printf("%-24s %u posts, %u failed: p50 %.2f ms, p99 %.2f ms, max %.2f ms\n", name, POSTS,
                 failed, times[POSTS / 2], times[POSTS * 99 / 100], times[POSTS - 1]);
    return failed ? -1 : times[POSTS * 99 / 100];
}

int main(int argc, char **argv)
{
    struct attack attack = {.n = argc > 2 ? (unsigned)atoi(argv[2]) : 5000};
    struct rlimit limit;
    double p99;
    pid_t pid;
    char command[128];

    if (argc < 2 || attack.n == 0)
        fail("usage: bench_alertbridge_slow PROGRAM [SOCKETS]");
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
    if (!mkdtemp(directory))
        fail("no directory");
    port = free_port();
    pid = start_bridge(argv[1]);
    for (unsigned i = 0; post(0) < 0; i++) {
        if (i == 500)
            fail("the bridge does not start");
        (void)usleep(10000);
    }
    (void)measure("alone", 1);
    attack.fds = calloc(attack.n, sizeof(*attack.fds));
    if (!attack.fds)
        fail("out of memory");
    for (unsigned i = 0; i < attack.n; i++)
        attack.fds[i] = connect_slow();
    if (pthread_create(&attack.thread, NULL, trickle, &attack) != 0)
        fail("no thread");
    (void)snprintf(command, sizeof(command), "beside %u slow ones", attack.n);
    p99 = measure(command, 1 + POSTS);
    atomic_store(&stop, true);
    (void)pthread_join(attack.thread, NULL);
    (void)printf("slow connections that were cut and came back: %u\n", atomic_load(&reconnects));
    (void)kill(pid, SIGTERM);
    (void)waitpid(pid, NULL, 0);
    (void)snprintf(command, sizeof(command), "rm -r %s", directory);
    (void)system(command);
    free(attack.fds);
    return p99 < 0 || p99 >= LIMIT_MS;
}
