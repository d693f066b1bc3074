/* SPDX-License-Identifier: Apache-2.0
 * The management server as start.c sees it. */
#ifndef CLEW_MANAGEMENT_H
#define CLEW_MANAGEMENT_H

#include "settings.h"

/* Listens where the settings say; they stay valid until the end. 0, also when
 * there is nothing to do; -errno with clew_last_error(), and nothing listens.
 * metrics: whether there is a page of them. */
int clew__management_start(const struct clew__management_settings *settings, bool metrics);
void clew__management_stop(void);
/* The ports they got, 0 when off: that of health, and that of /metrics, which
 * may be the same. */
uint16_t clew__management_port(void);
uint16_t clew__metrics_port(void);
/* Logs what is open to the network and perhaps should not be. */
void clew__management_warn(void);

#endif
