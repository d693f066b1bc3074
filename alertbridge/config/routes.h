/* SPDX-License-Identifier: Apache-2.0
 * Builds the route tree from its part of the configuration. */
#ifndef CLEW_ALERTBRIDGE_ROUTES_H
#define CLEW_ALERTBRIDGE_ROUTES_H

#include "config.h"

/* config->receivers are read already: a route to none of them is an error.
 * returns 0, -EINVAL, -ENOMEM; what was built so far is in config->route */
int clew__config_routes(struct clew__yaml_node node, clew__config_warning *warn,
                        struct clew__config *config);

/* A list of matchers. What was read so far is in *matchers, also after a failure.
 * owner    the caller, clew__matchers_free()
 * returns  0, -EINVAL, -ENOMEM */
int clew__config_matchers(struct clew__yaml_node list, struct clew__matcher ***matchers,
                          size_t *nmatchers);

#endif
