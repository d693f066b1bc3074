/* SPDX-License-Identifier: Apache-2.0
 * The route tree of the configuration. Depth and number of routes are bounded
 * while descending: an alias may make a small file a huge or an endless tree.
 * MT-Unsafe, as the tree is. */
#include "routes.h"

#include <clew/log.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct builder {
    const struct clew__config *config;
    int nroutes;
};

static const char *const keys[] = {"receiver", "matchers", "continue", "routes", NULL};

int clew__config_matchers(struct clew__yaml_node list, struct clew__matcher ***matchers,
                          size_t *nmatchers)
{
    int n = clew__yaml_count(list, CLEW__ROUTE_MATCHERS_MAX);

    if (n <= 0)
        return n;
    *matchers = calloc((size_t)n, sizeof(struct clew__matcher *));
    if (!*matchers)
        return clew_set_error(-ENOMEM, "out of memory");
    for (int i = 0; i < n; i++) {
        struct clew__yaml_node entry = clew__yaml_entry(list, i);
        char *text = NULL, reason[256];
        int r = clew__yaml_text(entry, CLEW__YAML_TEXT_MAX, NULL, &text);

        if (r < 0)
            return r;
        r = clew__matcher_parse(text, &(*matchers)[i]);
        free(text);
        if (r == -EINVAL) {
            (void)snprintf(reason, sizeof(reason), "%s", clew_last_error());
            return clew__yaml_error(entry, "matcher: %s", reason);
        }
        if (r < 0)
            return r;
        ++*nmatchers;
    }
    return 0;
}

/* "default", or the parent's with " > severity=…, …" added. */
static char *describe(const struct clew__route *parent, const struct clew__route *route)
{
    struct clew__buf buf;
    size_t len;

    clew__buf_init(&buf, 1u << 20);
    clew__buf_adds(&buf, parent ? parent->why : "default route");
    for (size_t i = 0; i < route->nmatchers; i++) {
        clew__buf_adds(&buf, i ? ", " : " > ");
        clew__buf_adds(&buf, clew__matcher_text(route->matchers[i]));
    }
    if (parent && route->nmatchers == 0)
        clew__buf_adds(&buf, " > any");
    return clew__buf_take(&buf, &len);
}

static int take_receiver(struct builder *builder, struct clew__yaml_node node,
                         const struct clew__route *parent, struct clew__route *route)
{
    struct clew__yaml_node name = clew__yaml_get(node, "receiver");
    int r;

    if (!name.node && !parent)
        return clew__yaml_error(node, "the first route needs a receiver");
    r = clew__yaml_text(name, 256, parent ? parent->receiver : NULL, &route->receiver);
    if (r < 0)
        return r;
    if (name.node && !clew__config_receiver(builder->config, route->receiver))
        return clew__yaml_error(name, "there is no receiver \"%s\"", route->receiver);
    return 0;
}

static int build(struct builder *builder, struct clew__yaml_node node,
                 const struct clew__route *parent, int depth, struct clew__route *route)
{
    struct clew__yaml_node list;
    int n, r = clew__yaml_keys(node, keys);

    if (r < 0)
        return r;
    if (depth > CLEW__ROUTE_DEPTH_MAX || ++builder->nroutes > CLEW__ROUTES_MAX)
        return clew__yaml_error(node, "more than %d routes, or nested deeper than %d",
                                CLEW__ROUTES_MAX, CLEW__ROUTE_DEPTH_MAX);
    r = take_receiver(builder, node, parent, route);
    if (r == 0)
        r = clew__config_matchers(clew__yaml_get(node, "matchers"), &route->matchers,
                                  &route->nmatchers);
    if (r == 0)
        r = clew__yaml_bool(clew__yaml_get(node, "continue"), &route->go_on);
    if (r < 0)
        return r;
    if (!parent && (route->nmatchers || route->go_on))
        return clew__yaml_error(node, "the first route takes everything: it has neither matchers "
                                      "nor continue");
    route->why = describe(parent, route);
    if (!route->why)
        return clew_set_error(-ENOMEM, "out of memory");
    list = clew__yaml_get(node, "routes");
    n = clew__yaml_count(list, CLEW__ROUTES_MAX);
    if (n <= 0)
        return n;
    route->routes = calloc((size_t)n, sizeof(*route->routes));
    if (!route->routes)
        return clew_set_error(-ENOMEM, "out of memory");
    for (int i = 0; i < n && r == 0; i++) {
        route->nroutes++;
        r = build(builder, clew__yaml_entry(list, i), route, depth + 1, &route->routes[i]);
    }
    return r;
}

int clew__config_routes(struct clew__yaml_node node, struct clew__config *config)
{
    struct builder builder = {config, 0};

    config->route = calloc(1, sizeof(*config->route));
    if (!config->route)
        return clew_set_error(-ENOMEM, "out of memory");
    return build(&builder, node, NULL, 1, config->route);
}
