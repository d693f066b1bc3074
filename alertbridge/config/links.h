/* SPDX-License-Identifier: Apache-2.0
 * The links of the configuration, which every page has. */
#ifndef CLEW_ALERTBRIDGE_CONFIG_LINKS_H
#define CLEW_ALERTBRIDGE_CONFIG_LINKS_H

#include "config.h"

/* What was read so far is in config->links, also after a failure.
 * returns  0, -EINVAL, -ENOMEM */
int clew__config_links(struct clew__yaml_node list, struct clew__config *config);
void clew__config_links_done(struct clew__config *config);

#endif
