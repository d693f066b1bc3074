/* SPDX-License-Identifier: Apache-2.0
 *
 * clew/health.h: what /health, /health/ready and /health/live say.
 *
 *     static bool database_answers(void *pool, char *reason, size_t size)
 *     {
 *         if (pool_ping(pool))
 *             return true;
 *         snprintf(reason, size, "%s", pool_error(pool));
 *         return false;
 *     }
 *     ...
 *     struct clew_health_check check = {"database", database_answers, pool, 5000, 1000, false};
 *     clew_health_add(&check);
 *
 * A check is a function that is called in the background again and again, or a
 * state that the service sets. Probes are answered from the last results and
 * never call anything: a check that hangs is unhealthy once its time is over,
 * and holds up neither a probe nor another check nor the end of the process.
 */
#ifndef CLEW_HEALTH_H
#define CLEW_HEALTH_H

#include <clew/log.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CLEW_HEALTH_CHECKS_MAX 64u
#define CLEW_HEALTH_NAME_MAX 64u    /* bytes */
#define CLEW_HEALTH_REASON_MAX 160u /* bytes with the NUL */

/* Looks, and says whether all is well. It may write why not into reason, size
 * bytes with the NUL, any bytes: shown by /health and in the log, so no secrets.
 *
 * threads  in a thread of the library, with all signals blocked; never twice at
 *          once for one check, but beside other checks
 * blocks   it may; past its timeout it counts as unhealthy until it is back */
typedef bool clew_health_function(void *arg, char *reason, size_t size);

struct clew_health_check {
    const char *name;            /* 1..64 bytes of [a-zA-Z0-9_.-], copied */
    clew_health_function *check; /* called first at once, after clew_start() */
    void *arg;                   /* borrowed as long as the process lives */
    unsigned interval_ms;        /* 10..86400000 from an end to the next start; 0: 5000 */
    unsigned timeout_ms;         /* 1..3600000; 0: 2000 */
    /* false: as long as it fails the service is not ready and gets no requests.
     * true: the process is beyond help and wants to be restarted (/health/live
     * fails, too); for a deadlock, never for a database that is away. */
    bool liveness;
};

/* Adds a check. Until its first result it counts as failed, a liveness check as
 * passed.
 *
 * threads  MT-Safe (lock), also before clew_start() and from within a check
 * signals  AS-Unsafe               fork  a child of a started process runs none
 * blocks   never
 * returns  0; -EINVAL name or times; -EEXIST the name is taken; -ENOSPC there
 *          are 64; clew_last_error() says which */
CLEW_PUBLIC int clew_health_add(const struct clew_health_check *check);

/* Sets a state that needs no function; makes it if it is new.
 *
 * args     name: copied, 1..64 bytes of [a-zA-Z0-9_.-]
 * threads  MT-Safe (lock)          signals  AS-Unsafe
 * blocks   never
 * returns  0; -EINVAL; -EEXIST the name is that of a function; -ENOSPC */
CLEW_PUBLIC int clew_health_set(const char *name, bool healthy);

/* Not ready from now on, until the end: load balancers stop sending, while the
 * service answers what it has. clew_stop() does this, too; a service that wants
 * time in between calls this when it is told to end, and stops some seconds later.
 * MT-Safe, AS-Safe, never blocks. */
CLEW_PUBLIC void clew_drain(void);

#ifdef __cplusplus
}
#endif

#endif
