/* SPDX-License-Identifier: Apache-2.0
 * From the file to struct clew__config. Each part reads its keys in the order of
 * the structure and stops at the first error, which names the line. Each kind
 * of receiver reads its own keys. MT-Unsafe; the result is immutable. */
#include "config.h"
#include "intervals.h"
#include "links.h"
#include "routes.h"
#include "watchdogs.h"
#include "services.h"

#include <alertmanager/alertmanager.h>
#include <common/instant.h>
#include <intake/listen.h>
#include <store/db.h>
#include <store/where.h>

#include <clew/log.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RECEIVERS_MAX 256
#define INTEGRATIONS_MAX 64 /* in all: each target has a thread */

struct loader {
    struct clew__config *config;
    clew__config_warning *warn;
    int nintegrations;
};

static int read_integration(struct loader *loader, struct clew__yaml_node node,
                            struct clew__integration *integration)
{
    int r = clew__yaml_keys(node, integration->ops->keys);

    if (r < 0)
        return r;
    if (++loader->nintegrations > INTEGRATIONS_MAX)
        return clew__yaml_error(node, "more than %d integrations", INTEGRATIONS_MAX);
    integration->send_resolved = integration->ops->send_resolved;
    r = clew__yaml_bool(clew__yaml_get(node, "send_resolved"), &integration->send_resolved);
    if (r == 0)
        r = integration->ops->configure(integration, node);
    if (r == 0 && integration->off)
        clew__config_warn(loader->warn, node,
                          "receiver \"%s\": %s[%u] has no address or secret and is off",
                          integration->receiver, integration->ops->kind, integration->index);
    return r;
}

static int read_integrations(struct loader *loader, struct clew__yaml_node node,
                             const struct clew__receiver_ops *ops, struct clew__receiver *receiver)
{
    struct clew__integration *longer;
    struct clew__yaml_node list;
    char key[32];
    int n, r = 0;

    (void)snprintf(key, sizeof(key), "%s_configs", ops->kind);
    list = clew__yaml_get(node, key);
    n = clew__yaml_count(list, INTEGRATIONS_MAX);
    if (n <= 0)
        return n;
    longer = realloc(receiver->integrations,
                     (receiver->n + (size_t)n) * sizeof(*receiver->integrations));
    if (!longer)
        return clew_set_error(-ENOMEM, "out of memory");
    receiver->integrations = longer;
    for (int i = 0; i < n && r == 0; i++) {
        struct clew__integration *self = &receiver->integrations[receiver->n++];

        *self = (struct clew__integration){
            .ops = ops, .receiver = receiver->name, .index = (unsigned)i};
        r = read_integration(loader, clew__yaml_entry(list, i), self);
    }
    return r;
}

static int read_limit(struct clew__yaml_node node, struct clew__receiver *receiver)
{
    static const char *const keys[] = {"pages", "window", NULL};
    uint64_t pages = 0;
    int r;

    if (!node.node)
        return 0;
    receiver->limit_window_ns = 300 * CLEW__SECOND_NS;
    r = clew__yaml_keys(node, keys);
    if (r == 0)
        r = clew__yaml_uint(clew__yaml_get(node, "pages"), 1, 10000, &pages);
    if (r == 0)
        r = clew__config_duration(node, "window", &receiver->limit_window_ns);
    if (r == 0 && (pages == 0 || receiver->limit_window_ns < CLEW__SECOND_NS))
        r = clew__yaml_error(node, "a limit needs pages, and a window of at least 1s");
    receiver->limit_pages = (unsigned)pages;
    return r;
}

static int read_receiver(struct loader *loader, struct clew__yaml_node node)
{
    struct clew__config *config = loader->config;
    struct clew__receiver *receiver = &config->receivers[config->nreceivers];
    const char *keys[16] = {"name", "limit"};
    char names[14][32];
    struct clew__yaml_node name;
    int r;

    for (unsigned i = 0; clew__receiver_kinds[i] && i < 13; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "%s_configs", clew__receiver_kinds[i]->kind);
        keys[i + 2] = names[i];
    }
    r = clew__yaml_keys(node, keys);
    if (r < 0)
        return r;
    name = clew__yaml_get(node, "name");
    if (!name.node)
        return clew__yaml_error(node, "a receiver needs a name");
    r = clew__yaml_text(name, 256, NULL, &receiver->name);
    if (r < 0)
        return r;
    if (!*receiver->name || clew__config_receiver(config, receiver->name)) {
        r = clew__yaml_error(name, "the receiver's name is empty or taken already");
        free(receiver->name);
        return r;
    }
    config->nreceivers++;
    r = read_limit(clew__yaml_get(node, "limit"), receiver);
    for (unsigned i = 0; clew__receiver_kinds[i] && r == 0; i++)
        r = read_integrations(loader, node, clew__receiver_kinds[i], receiver);
    return r;
}

static int read_receivers(struct loader *loader, struct clew__yaml_node parent)
{
    struct clew__yaml_node list = clew__yaml_get(parent, "receivers");
    int n = clew__yaml_count(list, RECEIVERS_MAX), r = 0;

    if (n < 0)
        return n;
    if (n == 0)
        return clew__yaml_error(parent, "receivers are missing");
    loader->config->receivers = calloc((size_t)n, sizeof(*loader->config->receivers));
    if (!loader->config->receivers)
        return clew_set_error(-ENOMEM, "out of memory");
    for (int i = 0; i < n && r == 0; i++)
        r = read_receiver(loader, clew__yaml_entry(list, i));
    return r;
}

static int read_flapping(struct clew__yaml_node node, struct clew__flapping *flapping)
{
    static const char *const keys[] = {"fires", "window", "calm", NULL};
    uint64_t fires = 4;
    int r;

    if (!node.node)
        return 0;
    flapping->window_ns = 1800 * CLEW__SECOND_NS;
    flapping->calm_ns = 900 * CLEW__SECOND_NS;
    r = clew__yaml_keys(node, keys);
    if (r == 0)
        r = clew__yaml_uint(clew__yaml_get(node, "fires"), 2, 1000, &fires);
    if (r == 0)
        r = clew__config_duration(node, "window", &flapping->window_ns);
    if (r == 0)
        r = clew__config_duration(node, "calm", &flapping->calm_ns);
    if (r == 0 && (flapping->window_ns < CLEW__SECOND_NS || flapping->calm_ns < CLEW__SECOND_NS))
        r = clew__yaml_error(node, "window and calm are at least 1s");
    flapping->fires = (unsigned)fires;
    return r;
}

static int read_critical(struct clew__yaml_node list, struct clew__config *config)
{
    int r = clew__config_matchers(list, &config->critical, &config->ncritical);

    if (r < 0 || config->ncritical)
        return r;
    config->critical = calloc(1, sizeof(struct clew__matcher *));
    if (!config->critical)
        return clew_set_error(-ENOMEM, "out of memory");
    r = clew__matcher_parse("severity=\"critical\"", &config->critical[0]);
    config->ncritical = r == 0;
    return r;
}

/* Who protects sources, but not the webhook itself, probably forgot it. */
static void warn_of_open_paths(const struct loader *loader, struct clew__yaml_node node)
{
    const struct clew__webhook *webhook = &loader->config->webhook;
    bool any = false;

    for (size_t i = 1; i < webhook->nsources; i++)
        any = any || clew__credentials_any(&webhook->sources[i].credentials);
    if (any && !clew__credentials_any(&webhook->sources[0].credentials))
        clew__config_warn(loader->warn, node,
                          "sources have credentials, webhook itself has none: everybody may "
                          "post to " CLEW__WEBHOOK_PATH " and read");
}

/* The text may hold the password from here on. */
static int add_password(struct clew__yaml_node node, const char *password,
                        struct clew__config *config)
{
    char *whole;

    if (!clew__where_is_postgres(config->storage))
        return clew__yaml_error(node, "a file has no password");
    whole = clew__where_with_password(config->storage, password);
    if (!whole)
        return clew_set_error(-ENOMEM, "out of memory");
    free(config->storage);
    config->storage = whole;
    return 0;
}

static int read_storage(struct clew__yaml_node root, struct clew__config *config)
{
    struct clew__yaml_node node = clew__yaml_get(root, "storage");
    char *password = NULL;
    int r = clew__yaml_text(node, 4096, "", &config->storage);

    if (r < 0)
        return r;
    if (!*config->storage)
        return clew__yaml_error(node.node ? node : root,
                                "storage (a file, or PostgreSQL's connection string) is missing");
    r = clew__config_secret(root, "storage_password", "storage_password_file", &password);
    if (r == 0 && *password)
        r = add_password(node, password, config);
    free(password);
    if (r == 0 && clew__db_check(config->storage) < 0)
        r = clew__yaml_error(node, "storage: %s", clew_last_error());
    return r;
}

static int read_reconcile_interval(struct clew__yaml_node root, struct clew__config *config)
{
    int r;

    config->reconcile_ns = 60 * CLEW__SECOND_NS;
    r = clew__config_duration(root, "reconcile_interval", &config->reconcile_ns);
    if (r == 0 &&
        (config->reconcile_ns < CLEW__SECOND_NS || config->reconcile_ns > 3600 * CLEW__SECOND_NS))
        r = clew__yaml_error(clew__yaml_get(root, "reconcile_interval"),
                             "reconcile_interval is 1s to 1h");
    return r;
}

static int read_all(struct loader *loader, struct clew__yaml_node root)
{
    static const char *const keys[] = {"listen",
                                       "storage",
                                       "storage_password",
                                       "storage_password_file",
                                       "external_url",
                                       "webhook",
                                       "route",
                                       "receivers",
                                       "links",
                                       "critical",
                                       "flapping",
                                       "watchdogs",
                                       "heartbeat",
                                       "slack",
                                       "pagerduty",
                                       "loki",
                                       "time_intervals",
                                       "reconcile_interval",
                                       "alertmanagers",
                                       NULL};
    struct clew__config *config = loader->config;
    struct clew__yaml_node node;
    int r = clew__yaml_keys(root, keys);

    if (r == 0)
        r = clew__yaml_text(clew__yaml_get(root, "listen"), 256, "127.0.0.1:9095", &config->listen);
    if (r == 0)
        r = clew__yaml_text(clew__yaml_get(root, "external_url"), 2048, "", &config->external_url);
    if (r < 0)
        return r;
    node = clew__yaml_get(root, "listen");
    if (clew__listen_check(config->listen) < 0)
        return clew__yaml_error(node, "listen is no host:port");
    node = clew__yaml_get(root, "external_url");
    if (*config->external_url && !clew__is_url(config->external_url))
        return clew__yaml_error(node, "external_url is no http or https URL");
    r = read_storage(root, config);
    if (r < 0)
        return r;
    node = clew__yaml_get(root, "webhook");
    r = clew__webhook_read(node, &config->webhook);
    if (r == 0)
        warn_of_open_paths(loader, node);
    if (r == 0)
        r = clew__config_links(clew__yaml_get(root, "links"), config);
    if (r == 0)
        r = clew__config_intervals(clew__yaml_get(root, "time_intervals"), config);
    if (r == 0)
        r = read_critical(clew__yaml_get(root, "critical"), config);
    if (r == 0)
        r = read_flapping(clew__yaml_get(root, "flapping"), &config->flapping);
    if (r == 0)
        r = read_reconcile_interval(root, config);
    if (r == 0)
        r = clew__config_services(root, config);
    if (r == 0)
        r = read_receivers(loader, root);
    if (r == 0)
        r = clew__config_watchdogs(root, config);
    if (r < 0)
        return r;
    node = clew__yaml_get(root, "route");
    return node.node ? clew__config_routes(node, loader->warn, config)
                     : clew__yaml_error(root, "route is missing");
}

int clew__config_load(const char *file, clew__config_warning *warn,
                      struct clew__config **ret_config)
{
    struct loader loader = {calloc(1, sizeof(*loader.config)), warn, 0};
    struct clew__yaml yaml;
    int r;

    if (!loader.config)
        return clew_set_error(-ENOMEM, "out of memory");
    r = clew__yaml_load(&yaml, file);
    if (r < 0) {
        free(loader.config);
        return r;
    }
    atomic_init(&loader.config->references, 1);
    r = read_all(&loader, clew__yaml_root(&yaml));
    clew__yaml_done(&yaml);
    if (r < 0)
        (void)clew__config_free(loader.config);
    else
        *ret_config = loader.config;
    return r;
}

struct clew__config *clew__config_ref(struct clew__config *config)
{
    (void)atomic_fetch_add(&config->references, 1);
    return config;
}

static void free_integration(struct clew__integration *integration)
{
    for (char **name = integration->dedup_labels; name && *name; name++)
        free(*name);
    free(integration->dedup_labels);
    free(integration->url);
    if (integration->ops)
        integration->ops->release(integration->options);
}

struct clew__config *clew__config_free(struct clew__config *config)
{
    if (!config || atomic_fetch_sub(&config->references, 1) > 1)
        return NULL;
    for (size_t i = 0; i < CLEW__SERVICES; i++)
        free_integration(&config->services[i]);
    for (size_t i = 0; i < config->nreceivers; i++) {
        struct clew__receiver *receiver = &config->receivers[i];

        for (size_t j = 0; j < receiver->n; j++)
            free_integration(&receiver->integrations[j]);
        free(receiver->integrations);
        free(receiver->name);
    }
    clew__config_links_done(config);
    clew__config_watchdogs_done(config);
    if (config->route)
        clew__route_done(config->route);
    clew__matchers_free(config->critical, config->ncritical);
    free(config->route);
    for (size_t i = 0; i < config->nintervals; i++)
        clew__interval_done(&config->intervals[i]);
    free(config->intervals);
    free(config->receivers);
    free(config->listen);
    free(config->storage);
    free(config->external_url);
    free(config->slack_signing_secret);
    for (char **secret = config->pagerduty_secrets; secret && *secret; secret++)
        free(*secret);
    free(config->pagerduty_secrets);
    clew__alertmanagers_done(config);
    clew__webhook_done(&config->webhook);
    free(config);
    return NULL;
}

bool clew__config_critical(const struct clew__config *config, const json_t *labels)
{
    return clew__matchers_match(config->critical, config->ncritical, labels);
}

const struct clew__receiver *clew__config_receiver(const struct clew__config *config,
                                                   const char *name)
{
    for (size_t i = 0; i < config->nreceivers; i++)
        if (strcmp(config->receivers[i].name, name) == 0)
            return &config->receivers[i];
    return NULL;
}

const struct clew__integration *clew__config_integration(const struct clew__config *config,
                                                         const char *target, const char *receiver)
{
    const struct clew__integration *any = NULL;

    for (size_t i = 0; i < CLEW__SERVICES; i++)
        if (!config->services[i].off && strcmp(config->services[i].target, target) == 0)
            return &config->services[i];
    for (size_t i = 0; i < config->nreceivers; i++)
        for (size_t j = 0; j < config->receivers[i].n; j++) {
            const struct clew__integration *one = &config->receivers[i].integrations[j];

            if (one->off || strcmp(one->target, target) != 0)
                continue;
            if (strcmp(one->receiver, receiver) == 0)
                return one;
            if (!any)
                any = one;
        }
    return any;
}
