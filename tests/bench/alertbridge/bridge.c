/* SPDX-License-Identifier: Apache-2.0
 * See bench.h. The store is in PostgreSQL where with_server has started one, or a file. That lies
 * under CLEW_BENCH_DIRECTORY, or /var/tmp: /tmp may be in memory, where a sync costs nothing. */
#include "bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ftw.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

_Noreturn void bench_fail(const char *what)
{
    (void)fprintf(stderr, "bench_alertbridge: %s\n", what);
    exit(2);
}

int64_t bench_now(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

uint16_t bench_free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (bind(fd, (struct sockaddr *)&address, len) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) != 0)
        bench_fail("no free port");
    (void)close(fd);
    return ntohs(address.sin_port);
}

static FILE *open_in(const struct bridge *bridge, const char *name, const char *mode)
{
    char path[128];
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s/%s", bridge->directory, name);
    file = fopen(path, mode);
    if (!file)
        bench_fail(path);
    return file;
}

void bridge_init(struct bridge *bridge, const char *program, uint16_t far_port)
{
    const char *parent = getenv("CLEW_BENCH_DIRECTORY"), *postgres = getenv("CLEW_TEST_POSTGRES");
    char storage[160];
    FILE *file;

    bridge->program = program;
    (void)snprintf(bridge->directory, sizeof(bridge->directory), "%s/clew-bench-XXXXXX",
                   parent ? parent : "/var/tmp");
    if (!mkdtemp(bridge->directory))
        bench_fail("no directory");
    if (postgres)
        (void)snprintf(storage, sizeof(storage), "host=%s dbname=postgres user=tester", postgres);
    else
        (void)snprintf(storage, sizeof(storage), "%s/store.db", bridge->directory);
    bridge->port = bench_free_port();
    file = open_in(bridge, "config.yml", "w");
    (void)fprintf(file,
                  "listen: 127.0.0.1:%u\n"
                  "storage: %s\n"
                  "route:\n"
                  "  receiver: nobody\n"
                  "  routes:\n"
                  "    - {receiver: pager, matchers: ['severity=\"critical\"']}\n"
                  "    - {receiver: chat, matchers: ['severity=\"warning\"']}\n"
                  "    - {receiver: both, matchers: ['severity=\"crowd\"']}\n"
                  "receivers:\n"
                  "  - name: nobody\n"
                  "  - name: pager\n"
                  "    pagerduty_configs:\n"
                  "      - {routing_key: k1, url: 'http://127.0.0.1:%u/v2/enqueue',"
                  " events_per_minute: 10000}\n"
                  "  - name: chat\n"
                  "    slack_configs: [{api_url: 'http://127.0.0.1:%u/s'}]\n"
                  "  - name: both\n"
                  "    slack_configs: [{api_url: 'http://127.0.0.1:%u/s'}]\n"
                  "    pagerduty_configs:\n"
                  "      - {routing_key: k2, url: 'http://127.0.0.1:%u/v2/enqueue',"
                  " dedup: group}\n",
                  bridge->port, storage, far_port, far_port, far_port, far_port);
    if (fclose(file) != 0)
        bench_fail("no configuration");
}

static int connect_to(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    if (fd >= 0)
        (void)close(fd);
    return -1;
}

double bridge_start(struct bridge *bridge)
{
    int64_t begin = bench_now();
    char path[128];
    int fd;

    bridge->pid = fork();
    if (bridge->pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* it does not outlive a benchmark that is killed */
        (void)setenv("CLEW_RING_DIR", bridge->directory, 1);
        (void)snprintf(path, sizeof(path), "%s/log", bridge->directory);
        (void)setenv("CLEW_LOG_OUTPUT", path, 1);
        (void)snprintf(path, sizeof(path), "%s/config.yml", bridge->directory);
        (void)execl(bridge->program, bridge->program, "--config", path, (char *)NULL);
        _exit(127);
    }
    while ((fd = connect_to(bridge->port)) < 0) {
        if (bench_now() - begin > 60000000000 || waitpid(bridge->pid, NULL, WNOHANG) != 0)
            bench_fail("the bridge does not start");
        (void)usleep(1000);
    }
    (void)close(fd);
    return (double)(bench_now() - begin) / 1e6;
}

void bridge_stop(struct bridge *bridge, int signal)
{
    int status = 0;

    if (bridge->pid <= 0)
        return;
    (void)kill(bridge->pid, signal);
    (void)waitpid(bridge->pid, &status, 0);
    if (signal == SIGTERM && status != 0)
        bench_fail("the bridge ended badly");
    bridge->pid = 0;
}

static int remove_one(const char *path, const struct stat *status, int flag, struct FTW *walk)
{
    (void)status, (void)flag, (void)walk;
    return remove(path);
}

void bridge_done(struct bridge *bridge)
{
    bridge_stop(bridge, SIGTERM);
    (void)nftw(bridge->directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

double bridge_memory(const struct bridge *bridge, const char *name)
{
    char path[64], line[256];
    double kib = 0;
    FILE *file;

    (void)snprintf(path, sizeof(path), "/proc/%d/status", (int)bridge->pid);
    file = fopen(path, "r");
    while (file && fgets(line, sizeof(line), file))
        if (strncmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ':')
            kib = strtod(line + strlen(name) + 1, NULL);
    if (file)
        (void)fclose(file);
    return kib / 1024;
}

double bridge_cpu(const struct bridge *bridge)
{
    clockid_t clock;
    struct timespec used;

    if (clock_getcpuclockid(bridge->pid, &clock) != 0 || clock_gettime(clock, &used) != 0)
        return 0;
    return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

unsigned bridge_post(const struct bridge *bridge, const char *body, size_t len)
{
    char head[256], answer[512];
    int fd = connect_to(bridge->port), n;
    unsigned status = 0;
    ssize_t got = -1;

    if (fd < 0)
        return 0;
    n = snprintf(head, sizeof(head),
                 "POST /api/v1/alertmanager HTTP/1.1\r\nHost: bridge\r\nConnection: close\r\n"
                 "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
                 len);
    if (send(fd, head, (size_t)n, MSG_NOSIGNAL) == n) {
        while (len && (got = send(fd, body, len, MSG_NOSIGNAL)) > 0) {
            body += got;
            len -= (size_t)got;
        }
        got = recv(fd, answer, sizeof(answer) - 1, 0);
    }
    (void)close(fd);
    if (got > 0) {
        answer[got] = '\0';
        (void)sscanf(answer, "HTTP/1.1 %u", &status);
    }
    return status;
}
