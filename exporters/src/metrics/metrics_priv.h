/* SPDX-License-Identifier: Apache-2.0
 * The metrics that are there without anybody asking. */
#ifndef CLEW_METRICS_PRIV_H
#define CLEW_METRICS_PRIV_H

/* self.c: the process and the runtime itself. 0 or -errno */
int clew__self_metrics_start(void);
/* Once the service's name and version are known. */
void clew__self_metrics_name(const char *service, const char *version);

#endif
