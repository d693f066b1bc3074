/* SPDX-License-Identifier: Apache-2.0
 * Who watches the watchers: the alerts that are expected, and who is told that the
 * bridge itself lives. */
#ifndef CLEW_ALERTBRIDGE_CONFIG_WATCHDOGS_H
#define CLEW_ALERTBRIDGE_CONFIG_WATCHDOGS_H

#include "config.h"

/* config->receivers are read already. What was read so far is in config, also after a
 * failure. returns 0, -EINVAL, -ENOMEM */
int clew__config_watchdogs(struct clew__yaml_node root, struct clew__config *config);
void clew__config_watchdogs_done(struct clew__config *config);

#endif
