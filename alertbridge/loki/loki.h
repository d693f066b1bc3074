/* SPDX-License-Identifier: Apache-2.0
 * Loki is asked for the newest error lines of an alert's service. */
#ifndef CLEW_ALERTBRIDGE_LOKI_H
#define CLEW_ALERTBRIDGE_LOKI_H

#include <receivers/receiver.h>

/* The kind that the key "loki" of the configuration is. Its deliveries (action
 * "lines") become notes in the thread of the incident's message. */
extern const struct clew__receiver_ops clew__loki;

#endif
