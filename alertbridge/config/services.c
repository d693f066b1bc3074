/* SPDX-License-Identifier: Apache-2.0
 * Whoever is asked is an integration without a receiver: what is asked is a delivery
 * like any other, so it is durable, tried again, and worked by one thread of its own,
 * which delays nobody else. No state. */
#include "services.h"

#include <loki/loki.h>

#include <clew/log.h>

#include <errno.h>
#include <stdlib.h>

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

int clew__config_services(struct clew__yaml_node root, struct clew__config *config)
{
    int r = read_slack(clew__yaml_get(root, "slack"), config);

    return r == 0 ? read_service(clew__yaml_get(root, "loki"), &clew__loki,
                                 &config->services[CLEW__SERVICE_LOKI])
                  : r;
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
