/* SPDX-License-Identifier: Apache-2.0
 * watchdogs and heartbeat. MT-Unsafe, as the tree is; the result is immutable. */
#include "watchdogs.h"

#include "intervals.h"
#include "routes.h"

#include <common/instant.h>

#include <clew/log.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WATCHDOGS_MAX 100
#define WITHIN_DEFAULT_NS (600 * CLEW__SECOND_NS)
#define EVERY_DEFAULT_NS (60 * CLEW__SECOND_NS)

static int read_watchdog(struct clew__yaml_node node, struct clew__config *config)
{
    static const char *const keys[] = {"name", "matchers", "within", "receiver", NULL};
    struct clew__watchdog *watchdog = &config->watchdogs[config->nwatchdogs++];
    int r = clew__yaml_keys(node, keys);

    watchdog->within_ns = WITHIN_DEFAULT_NS;
    if (r == 0)
        r = clew__yaml_text(clew__yaml_get(node, "name"), 128, "", &watchdog->name);
    if (r == 0)
        r = clew__yaml_text(clew__yaml_get(node, "receiver"), 256, "", &watchdog->receiver);
    if (r == 0)
        r = clew__config_matchers(clew__yaml_get(node, "matchers"), &watchdog->matchers,
                                  &watchdog->nmatchers);
    if (r == 0)
        r = clew__config_duration(node, "within", &watchdog->within_ns);
    if (r < 0)
        return r;
    if (!*watchdog->name || watchdog->nmatchers == 0)
        return clew__yaml_error(node, "a watchdog needs a name and matchers");
    if (!clew__config_receiver(config, watchdog->receiver))
        return clew__yaml_error(node, "there is no receiver \"%s\"", watchdog->receiver);
    if (watchdog->within_ns < CLEW__SECOND_NS)
        return clew__yaml_error(node, "within is at least 1s");
    for (size_t i = 0; i + 1 < config->nwatchdogs; i++)
        if (strcmp(config->watchdogs[i].name, watchdog->name) == 0)
            return clew__yaml_error(node, "two watchdogs have the same name");
    return 0;
}

static int read_heartbeat(struct clew__yaml_node node, struct clew__heartbeat *heartbeat)
{
    static const char *const keys[] = {"url", "url_file", "every", "method", NULL};
    char *method = NULL;
    int r = clew__yaml_keys(node, keys);

    heartbeat->every_ns = EVERY_DEFAULT_NS;
    if (r == 0)
        r = clew__config_secret(node, "url", "url_file", &heartbeat->url);
    if (r == 0)
        r = clew__config_duration(node, "every", &heartbeat->every_ns);
    if (r == 0)
        r = clew__yaml_text(clew__yaml_get(node, "method"), 16, "GET", &method);
    if (r < 0)
        return r;
    heartbeat->post = strcmp(method, "POST") == 0;
    if (!heartbeat->post && strcmp(method, "GET") != 0)
        r = clew__yaml_error(node, "method is GET or POST");
    else if (*heartbeat->url && !clew__is_url(heartbeat->url))
        r = clew__yaml_error(node, "url is no http or https URL");
    else if (heartbeat->every_ns < CLEW__SECOND_NS)
        r = clew__yaml_error(node, "every is at least 1s");
    free(method);
    return r;
}

int clew__config_watchdogs(struct clew__yaml_node root, struct clew__config *config)
{
    struct clew__yaml_node list = clew__yaml_get(root, "watchdogs");
    struct clew__yaml_node heartbeat = clew__yaml_get(root, "heartbeat");
    int n = clew__yaml_count(list, WATCHDOGS_MAX), r = 0;

    if (n < 0)
        return n;
    if (n > 0)
        config->watchdogs = calloc((size_t)n, sizeof(*config->watchdogs));
    if (n > 0 && !config->watchdogs)
        return clew_set_error(-ENOMEM, "out of memory");
    for (int i = 0; i < n && r == 0; i++)
        r = read_watchdog(clew__yaml_entry(list, i), config);
    return r == 0 && heartbeat.node ? read_heartbeat(heartbeat, &config->heartbeat) : r;
}

void clew__config_watchdogs_done(struct clew__config *config)
{
    for (size_t i = 0; i < config->nwatchdogs; i++) {
        clew__matchers_free(config->watchdogs[i].matchers, config->watchdogs[i].nmatchers);
        free(config->watchdogs[i].name);
        free(config->watchdogs[i].receiver);
    }
    free(config->watchdogs);
    free(config->heartbeat.url);
}
