/* SPDX-License-Identifier: Apache-2.0
 * How many connections, by how many threads. The guard keeps their number below the
 * library's own limit, at which that would take nobody any more; each thread has
 * its share of that limit. */
#include "server.h"

#include <stdint.h>
#include <sys/resource.h>

#define THREADS 4u
#define CONNECTIONS_MAX 4000u
#define FILES_ELSEWHERE 300u /* the store, senders, logs */
#define IDLE_TIMEOUT_S 30u

/* As many connections as there are files for. */
static unsigned connections_max(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > CONNECTIONS_MAX + FILES_ELSEWHERE)
        return CONNECTIONS_MAX;
    return limit.rlim_cur > 2 * FILES_ELSEWHERE ? (unsigned)limit.rlim_cur - FILES_ELSEWHERE
                                                : FILES_ELSEWHERE;
}

struct MHD_Daemon *clew__server_start(const struct clew__webhook *webhook, int fd,
                                      struct clew_mhd *middleware, struct clew__guard **ret_guard)
{
    const unsigned max = connections_max();
    struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_MEM_CERT, 0, webhook->certificate},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, webhook->key},
        {MHD_OPTION_HTTPS_PRIORITIES, 0,
         (void *)(uintptr_t) "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"},
        {webhook->client_ca ? MHD_OPTION_HTTPS_MEM_TRUST : MHD_OPTION_END, 0, webhook->client_ca},
        {MHD_OPTION_END, 0, NULL}};
    struct MHD_OptionItem none[] = {{MHD_OPTION_END, 0, NULL}};

    *ret_guard = clew__guard_new(max);
    if (!*ret_guard)
        return NULL;
    return MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME |
            (webhook->certificate ? MHD_USE_TLS : 0),
        0, clew__guard_accepts, *ret_guard, clew_mhd_handle, middleware, MHD_OPTION_LISTEN_SOCKET,
        fd, MHD_OPTION_THREAD_POOL_SIZE, THREADS, MHD_OPTION_CONNECTION_LIMIT, max + 8 * THREADS,
        MHD_OPTION_CONNECTION_TIMEOUT, IDLE_TIMEOUT_S, MHD_OPTION_NOTIFY_CONNECTION,
        clew__guard_notify, *ret_guard, MHD_OPTION_NOTIFY_COMPLETED, clew_mhd_completed, NULL,
        MHD_OPTION_ARRAY, webhook->certificate ? tls : none, MHD_OPTION_END);
}
