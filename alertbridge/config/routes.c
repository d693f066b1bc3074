/* SPDX-License-Identifier: Apache-2.0
 * The route tree of the configuration. Depth and number of routes are bounded
 * while descending: an alias may make a small file a huge or an endless tree.
 * MT-Unsafe, as the tree is. */
#include "routes.h"

#include "intervals.h"

#include <common/instant.h>

#include <clew/log.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct builder {
    const struct clew__config *config;
    clew__config_warning *warn;
    int nroutes;
};

static const char *const keys[] = {"receiver",
                                   "matchers",
                                   "continue",
                                   "routes",
                                   "after",
                                   "escalation",
                                   "repeat_interval",
                                   "active_time_intervals",
                                   "mute_time_intervals",
                                   NULL};

#define AFTER_MAX (31 * 86400 * CLEW__SECOND_NS)
#define AFTER_MIN (1 * CLEW__SECOND_NS) /* of steps and repeats */

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

/* At most as long as an alert that ended is kept; a step is no shorter than min. */
static int read_span(struct clew__yaml_node node, const char *key, int64_t min, int64_t *ret_ns)
{
    int r = clew__config_duration(node, key, ret_ns);

    if (r == 0 && clew__yaml_get(node, key).node && (*ret_ns < min || *ret_ns > AFTER_MAX))
        r = clew__yaml_error(clew__yaml_get(node, key), "%s is %ds to 31d", key,
                             (int)(min / CLEW__SECOND_NS));
    return r;
}

static int read_step(const struct builder *builder, struct clew__yaml_node node,
                     struct clew__step *step)
{
    static const char *const step_keys[] = {"receiver", "after", NULL};
    struct clew__yaml_node name = clew__yaml_get(node, "receiver");
    int r = clew__yaml_keys(node, step_keys);

    if (r == 0 && (!name.node || !clew__yaml_get(node, "after").node))
        r = clew__yaml_error(node, "a step needs receiver and after");
    if (r == 0)
        r = read_span(node, "after", AFTER_MIN, &step->after_ns);
    if (r == 0)
        r = clew__yaml_text(name, 256, NULL, &step->receiver);
    if (r == 0 && !clew__config_receiver(builder->config, step->receiver))
        r = clew__yaml_error(name, "there is no receiver \"%s\"", step->receiver);
    return r;
}

static int make_steps(struct clew__route *route, size_t n)
{
    route->steps = calloc(n ? n : 1, sizeof(*route->steps));
    return route->steps ? 0 : clew_set_error(-ENOMEM, "out of memory");
}

static int copy_steps(const struct clew__route *parent, struct clew__route *route)
{
    int r = make_steps(route, parent->nsteps);

    for (size_t i = 0; r == 0 && i < parent->nsteps; i++) {
        struct clew__step *step = &route->steps[route->nsteps++];

        step->after_ns = parent->steps[i].after_ns;
        step->receiver = strdup(parent->steps[i].receiver);
        if (!step->receiver)
            r = clew_set_error(-ENOMEM, "out of memory");
    }
    return r;
}

/* What comes after the first page; a route without it has its parent's. */
static int take_steps(const struct builder *builder, struct clew__yaml_node node,
                      const struct clew__route *parent, struct clew__route *route)
{
    struct clew__yaml_node list = clew__yaml_get(node, "escalation");
    int n, r;

    if (parent) {
        route->after_ns = parent->after_ns;
        route->repeat_ns = parent->repeat_ns;
    }
    r = read_span(node, "after", 0, &route->after_ns);
    if (r == 0)
        r = read_span(node, "repeat_interval", AFTER_MIN, &route->repeat_ns);
    if (r < 0 || !list.node)
        return r < 0 || !parent ? r : copy_steps(parent, route);
    n = clew__yaml_count(list, CLEW__ROUTE_STEPS_MAX);
    r = n < 0 ? n : make_steps(route, (size_t)n);
    for (int i = 0; i < n && r == 0; i++)
        r = read_step(builder, clew__yaml_entry(list, i), &route->steps[route->nsteps++]);
    return r;
}

static int read_names(const struct builder *builder, struct clew__yaml_node list,
                      const struct clew__interval ***ret_list, size_t *ret_n)
{
    int n = clew__yaml_count(list, CLEW__INTERVAL_RANGES_MAX), r = 0;

    if (n <= 0)
        return n;
    *ret_list = calloc((size_t)n, sizeof(**ret_list));
    if (!*ret_list)
        return clew_set_error(-ENOMEM, "out of memory");
    for (int i = 0; i < n && r == 0; i++) {
        struct clew__yaml_node entry = clew__yaml_entry(list, i);
        char *name = NULL;

        r = clew__yaml_text(entry, 256, "", &name);
        if (r < 0)
            return r;
        (*ret_list)[i] = clew__config_interval(builder->config, name);
        if (!(*ret_list)[i])
            r = clew__yaml_error(entry, "there is no time interval \"%s\"", name);
        *ret_n += r == 0;
        free(name);
    }
    return r;
}

/* As in Alertmanager, children do not have their parent's. */
static int take_hours(const struct builder *builder, struct clew__yaml_node node,
                      struct clew__hours *hours)
{
    int r = read_names(builder, clew__yaml_get(node, "active_time_intervals"), &hours->active,
                       &hours->nactive);

    return r == 0 ? read_names(builder, clew__yaml_get(node, "mute_time_intervals"), &hours->mute,
                               &hours->nmute)
                  : r;
}

/* What only waits would wait for ever, so it does not. */
static void warn_of_hours(const struct builder *builder, struct clew__yaml_node node,
                          const struct clew__hours *hours)
{
    char text[512];

    if (builder->warn && clew__hours_next(hours, clew__instant_now()) == 0)
        clew__config_warn(builder->warn, node,
                          "its hours (%s) do not open within ten years: they hold nothing back",
                          clew__hours_text(hours, text, sizeof(text)));
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
    if (r == 0)
        r = take_steps(builder, node, parent, route);
    if (r == 0)
        r = take_hours(builder, node, &route->hours);
    if (r < 0)
        return r;
    warn_of_hours(builder, node, &route->hours);
    if (!parent && (route->nmatchers || route->go_on))
        return clew__yaml_error(node, "the first route takes everything: it has neither matchers "
                                      "nor continue");
    route->why = describe(parent, route);
    if (!route->why)
        return clew_set_error(-ENOMEM, "out of memory");
    clew__digest((const char *const[]){route->why, route->receiver}, 2, route->id);
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

int clew__config_routes(struct clew__yaml_node node, clew__config_warning *warn,
                        struct clew__config *config)
{
    struct builder builder = {config, warn, 0};

    config->route = calloc(1, sizeof(*config->route));
    if (!config->route)
        return clew_set_error(-ENOMEM, "out of memory");
    return build(&builder, node, NULL, 1, config->route);
}
