/* SPDX-License-Identifier: Apache-2.0
 * The parts of the configuration about those who are asked, not told: Slack's app
 * for clicks, Loki, and whoever makes silences. */
#ifndef CLEW_ALERTBRIDGE_CONFIG_SERVICES_H
#define CLEW_ALERTBRIDGE_CONFIG_SERVICES_H

#include "config.h"

/* Reads the keys slack, loki and alertmanagers of the root, and makes an integration of each that
 * deliveries go to.
 * returns  0, -EINVAL, -ENOMEM; what was read is in config */
int clew__config_services(struct clew__yaml_node root, struct clew__config *config);

#endif
