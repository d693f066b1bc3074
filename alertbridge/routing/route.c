/* SPDX-License-Identifier: Apache-2.0
 * Walking the route tree. The tree is built and checked by config/; it is
 * immutable here, so any thread may walk it. Its depth is bounded where it is
 * built, so recursion is. */
#include "route.h"

#include <stdlib.h>
#include <string.h>

void clew__route_done(struct clew__route *route)
{
    clew__matchers_free(route->matchers, route->nmatchers);
    for (size_t i = 0; i < route->nroutes; i++)
        clew__route_done(&route->routes[i]);
    free(route->routes);
    free(route->receiver);
    for (size_t i = 0; i < route->nsteps; i++)
        free(route->steps[i].receiver);
    free(route->steps);
    free(route->hours.active);
    free(route->hours.mute);
    free(route->why);
    *route = (struct clew__route){0};
}

static size_t add_hit(const struct clew__route *route, const struct clew__route **hits, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(hits[i]->receiver, route->receiver) == 0)
            return n;
    if (n < CLEW__ROUTE_HITS_MAX)
        hits[n++] = route;
    return n;
}

static size_t walk(const struct clew__route *route, const json_t *labels,
                   const struct clew__route **hits, size_t n)
{
    bool passed_on = false;

    for (size_t i = 0; i < route->nroutes; i++) {
        if (!clew__matchers_match(route->routes[i].matchers, route->routes[i].nmatchers, labels))
            continue;
        passed_on = true;
        n = walk(&route->routes[i], labels, hits, n);
        if (!route->routes[i].go_on)
            break;
    }
    return passed_on ? n : add_hit(route, hits, n);
}

size_t clew__route_match(const struct clew__route *root, const json_t *labels,
                         const struct clew__route **ret_hits)
{
    return walk(root, labels, ret_hits, 0);
}

const struct clew__route *clew__route_find(const struct clew__route *root, const char *id)
{
    const struct clew__route *found = strcmp(root->id, id) == 0 ? root : NULL;

    for (size_t i = 0; i < root->nroutes && !found; i++)
        found = clew__route_find(&root->routes[i], id);
    return found;
}
