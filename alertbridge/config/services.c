/* SPDX-License-Identifier: Apache-2.0
 * Whoever is asked is an integration without a receiver: what is asked is a delivery
 * like any other, so it is durable, tried again, and worked by one thread of its own,
 * which delays nobody else. No state. */
#include "services.h"

#include <alertmanager/alertmanager.h>
#include <loki/loki.h>

#include <clew/log.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PAGERDUTY_SECRETS_MAX 8

static int read_slack(struct clew__yaml_node node, struct clew__config *config)
{
    static const char *const keys[] = {"signing_secret", "signing_secret_file", NULL};
    int r;

    if (!node.node) {
        config->slack_signing_secret = calloc(1, 1);
        return config->slack_signing_secret ? 0 : clew_set_error(-ENOMEM, "out of memory");
    }
    r = clew__yaml_keys(node, keys);
    return r == 0 ? clew__config_secret(node, "signing_secret", "signing_secret_file",
                                        &config->slack_signing_secret)
                  : r;
}

/* Several, while one is exchanged for another; those that are empty do not count. */
static int read_pagerduty(struct clew__yaml_node node, struct clew__config *config)
{
    static const char *const keys[] = {"webhook_secrets", NULL};
    static const char *const secret_keys[] = {"secret", "secret_file", NULL};
    struct clew__yaml_node list =
        node.node ? clew__yaml_get(node, "webhook_secrets") : (struct clew__yaml_node){NULL, NULL};
    int r = node.node ? clew__yaml_keys(node, keys) : 0, n = 0;
    size_t at = 0;

    if (r == 0)
        r = n = clew__yaml_count(list, PAGERDUTY_SECRETS_MAX);
    if (r < 0)
        return r;
    config->pagerduty_secrets = calloc((size_t)n + 1, sizeof(*config->pagerduty_secrets));
    if (!config->pagerduty_secrets)
        return clew_set_error(-ENOMEM, "out of memory");
    r = 0;
    for (int i = 0; i < n && r == 0; i++) {
        struct clew__yaml_node entry = clew__yaml_entry(list, i);
        char *secret = NULL;

        r = clew__yaml_keys(entry, secret_keys);
        if (r == 0)
            r = clew__config_secret(entry, "secret", "secret_file", &secret);
        if (r == 0 && *secret)
            config->pagerduty_secrets[at++] = secret;
        else
            free(secret);
    }
    return r;
}

/* One of config->services. */
static int read_service(struct clew__yaml_node node, const struct clew__receiver_ops *ops,
                        struct clew__integration *self)
{
    int r;

    *self = (struct clew__integration){.ops = ops, .receiver = ops->kind, .off = true};
    if (!node.node)
        return 0;
    r = clew__yaml_keys(node, ops->keys);
    return r == 0 ? ops->configure(self, node) : r;
}

/* One service for all Alertmanagers: a silence needs any of them. Its name does not
 * change with the list, so what is queued is not lost with it. */
static int read_silencer(struct clew__yaml_node root, struct clew__config *config)
{
    struct clew__integration *self = &config->services[CLEW__SERVICE_SILENCER];
    int r = clew__config_alertmanagers(root, config);

    *self = (struct clew__integration){
        .ops = &clew__silencer, .receiver = clew__silencer.kind, .off = !config->nalertmanagers};
    self->url = strdup("");
    if (r == 0 && !self->url)
        r = clew_set_error(-ENOMEM, "out of memory");
    if (r == 0)
        clew__integration_name_target(self, "");
    return r;
}

int clew__config_services(struct clew__yaml_node root, struct clew__config *config)
{
    int r = read_slack(clew__yaml_get(root, "slack"), config);

    if (r == 0)
        r = read_pagerduty(clew__yaml_get(root, "pagerduty"), config);

    if (r == 0)
        r = read_service(clew__yaml_get(root, "loki"), &clew__loki,
                         &config->services[CLEW__SERVICE_LOKI]);
    return r == 0 ? read_silencer(root, config) : r;
}

static const struct clew__integration *service(const struct clew__config *config,
                                               enum clew__service which)
{
    return config->services[which].off ? NULL : &config->services[which];
}

const struct clew__integration *clew__config_loki(const struct clew__config *config)
{
    return service(config, CLEW__SERVICE_LOKI);
}

const struct clew__integration *clew__config_silencer(const struct clew__config *config)
{
    return service(config, CLEW__SERVICE_SILENCER);
}
