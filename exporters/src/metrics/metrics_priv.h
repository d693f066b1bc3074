/* SPDX-License-Identifier: Apache-2.0
 * The metrics that are there without anybody asking. */
#ifndef CLEW_METRICS_PRIV_H
#define CLEW_METRICS_PRIV_H

/* red.c: rate, errors and durations from the events of requests. 0 or -errno */
int clew__red_start(void);
/* self.c: the process and the runtime itself. 0 or -errno */
int clew__self_metrics_start(void);
/* Once the service's name and version are known. */
void clew__self_metrics_name(const char *service, const char *version);

#endif
