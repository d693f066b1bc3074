/* SPDX-License-Identifier: Apache-2.0
 *
 * clew/export.h: one call sets everything up.
 *
 *     if (clew_start("order_service", "1.4.0") < 0) {
 *         fprintf(stderr, "order_service: %s\n", clew_last_error());
 *         return 1;
 *     }
 *
 * What runs then is decided by CLEW_ and OTEL_ variables alone (README,
 * "Configuration"). With none set: readable lines on a terminal, JSON lines on
 * a pipe, metrics in memory, no network.
 */
#ifndef CLEW_EXPORT_H
#define CLEW_EXPORT_H

#include <clew/health.h>
#include <clew/metrics.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Starts logging, tracing, metrics, the management server and the exporters.
 *
 * args     as clew_log_start()
 * threads  MT-Unsafe: once, early in main()
 * fork     a child of a started process goes on logging and exporting what is
 *          its own, with a thread and connections made for its first record;
 *          it serves no management pages. It ends as its parent does: by exit()
 *          or clew_stop(), or what is queued is lost with _exit()
 * returns  0; 1 already started; -errno: nothing was started, clew_last_error()
 *          says which variable is wrong or which port is taken */
CLEW_PUBLIC int clew_start(const char *service, const char *version);

/* Readiness off, flush everything within CLEW_SHUTDOWN_TIMEOUT_MS (5000), stop.
 * Runs at exit by itself. MT-Safe, idempotent. */
CLEW_PUBLIC void clew_stop(void);
/* The same with a time of its own, and what became of it.
 *
 * blocks   up to timeout_ms, whatever the far sides do
 * threads  MT-Safe, idempotent
 * returns  0 all was taken, or it was stopped before; 1 some of it was refused
 *          for good or found a queue full; -ETIMEDOUT some of it could not be
 *          sent in time. What was lost is counted in clew_export_records_total */
CLEW_PUBLIC int clew_shutdown(unsigned timeout_ms);

/* Hands over everything that was logged and ended so far and waits for the
 * far side's answers; what waits for its turn to be tried again is tried now,
 * unless the far side asked for a pause.
 *
 * blocks   up to timeout_ms
 * threads  MT-Safe
 * returns  0; 1 some of it was refused for good or found a queue full;
 *          -ETIMEDOUT */
CLEW_PUBLIC int clew_flush(unsigned timeout_ms);

/* The operation of that name went well just now: last_successful_operation_timestamp
 * {operation} and its twin in the base unit, …_timestamp_seconds.
 * args name any bytes, one of a few. MT-Safe, AS-Unsafe */
CLEW_PUBLIC void clew_operation_succeeded(const char *name);

/* The ports of /health and of /metrics, which may be the same; 0 when off. */
CLEW_PUBLIC uint16_t clew_management_port(void);
CLEW_PUBLIC uint16_t clew_metrics_port(void);

#ifdef __cplusplus
}
#endif

#endif
