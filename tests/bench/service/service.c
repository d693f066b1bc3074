/* SPDX-License-Identifier: Apache-2.0
 * The service's process. It is told what to do by bytes over a socket: any byte
 * asks for its processor time, the end of them for its own. */
#include "bench.h"

#include <microhttpd.h>

#include <arpa/inet.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct report {
    bool complete;
    double cpu_ns;
};

static int listen_somewhere(uint16_t *ret_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) < 0 || listen(fd, 256) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) < 0)
        return -1;
    *ret_port = ntohs(address.sin_port);
    return fd;
}

static struct report report(const struct bench_variant *variant)
{
    struct report ret = {.complete = variant->flush()};
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    ret.cpu_ns = (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e9 +
                 (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e3;
    return ret;
}

static _Noreturn void serve(const struct bench_variant *variant, const char *log_path,
                            uint16_t otlp_port, int control)
{
    struct MHD_Daemon *daemon = NULL;
    uint16_t port = 0;
    int listener = listen_somewhere(&port);
    char what;

    if (listener >= 0 && bench_store_open() && variant->start(log_path, otlp_port))
        daemon = variant->serve(listener);
    if (!daemon)
        port = 0;
    if (write(control, &port, sizeof(port)) != sizeof(port) || !port)
        _exit(1);
    while (read(control, &what, 1) == 1) {
        struct report answer = report(variant);

        if (write(control, &answer, sizeof(answer)) != sizeof(answer))
            break;
    }
    MHD_stop_daemon(daemon);
    exit(0); /* what ends with the process ends now */
}

bool bench_service_start(const struct bench_variant *variant, const char *log_path,
                         uint16_t otlp_port, int cpu, struct bench_service *ret)
{
    int ends[2];

    *ret = (struct bench_service){-1, -1, 0};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return false;
    (void)fflush(NULL);
    ret->pid = fork();
    if (ret->pid == 0) {
        cpu_set_t set;

        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(ends[0]);
        CPU_ZERO(&set);
        if (cpu >= 0)
            CPU_SET(cpu, &set);
        if (cpu < 0 || sched_setaffinity(0, sizeof(set), &set) == 0)
            serve(variant, log_path, otlp_port, ends[1]);
        _exit(1);
    }
    close(ends[1]);
    ret->control = ends[0];
    if (ret->pid > 0 && read(ret->control, &ret->port, sizeof(ret->port)) == sizeof(ret->port) &&
        ret->port)
        return true;
    bench_service_stop(ret);
    return false;
}

bool bench_service_cpu(const struct bench_service *service, double *ret_ns)
{
    struct report answer;

    if (send(service->control, "?", 1, MSG_NOSIGNAL) != 1 ||
        recv(service->control, &answer, sizeof(answer), MSG_WAITALL) != sizeof(answer))
        return false;
    *ret_ns = answer.cpu_ns;
    return answer.complete;
}

void bench_service_stop(struct bench_service *service)
{
    (void)shutdown(service->control, SHUT_RDWR); /* services started later have it too */
    close(service->control);
    if (service->pid > 0)
        waitpid(service->pid, NULL, 0);
    service->pid = -1;
}
