/* SPDX-License-Identifier: Apache-2.0
 * The metrics that are there without anybody asking. */
#ifndef CLEW_METRICS_PRIV_H
#define CLEW_METRICS_PRIV_H

/* self.c: the runtime itself. 0 or -errno */
int clew__self_metrics_start(void);

/* self_process.c: the process, as Prometheus' client libraries have it. 0 or -errno */
int clew__process_metrics_start(void);
/* Seconds since the process began, those asleep among them. MT-Safe */
double clew__process_uptime(void);
/* User and system time. MT-Safe */
double clew__process_cpu_seconds(void);
double clew__process_resident_bytes(void *unused);

/* self_service.c: the service, as the requirements name it. 0 or -errno */
int clew__service_metrics_start(void);
/* Once the service's name and version are known. */
void clew__service_metrics_name(const char *service, const char *version);

#endif
