/* SPDX-License-Identifier: Apache-2.0
 * Builds the route tree from its part of the configuration. */
#ifndef CLEW_ALERTBRIDGE_ROUTES_H
#define CLEW_ALERTBRIDGE_ROUTES_H

#include "config.h"

/* config->receivers are read already: a route to none of them is an error.
 * returns 0, -EINVAL, -ENOMEM; what was built so far is in config->route */
int clew__config_routes(struct clew__yaml_node node, struct clew__config *config);

#endif
