/* SPDX-License-Identifier: Apache-2.0
 * An entry of the list: an address and what is shown there. No state. */
#include "alertmanager.h"

#include <config/authorization.h>

#include <clew/log.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct entry {
    char *authorization; /* NULL: none */
    struct clew__tls_files tls;
};

static const char *const keys[] = {"url", "basic_auth", "authorization", "tls_config", NULL};

static void release(void *options)
{
    struct entry *entry = options;

    if (!entry)
        return;
    free(entry->authorization);
    clew__tls_files_done(&entry->tls);
    free(entry);
}

static int configure(struct clew__integration *self, struct clew__yaml_node node)
{
    struct entry *entry = calloc(1, sizeof(*entry));
    size_t len;
    int r;

    self->options = entry;
    if (!entry)
        return clew_set_error(-ENOMEM, "out of memory");
    r = clew__yaml_text(clew__yaml_get(node, "url"), 1024, "", &self->url);
    if (r == 0)
        r = clew__config_authorization(node, &entry->authorization);
    if (r == 0)
        r = clew__config_tls(node, &entry->tls);
    if (r < 0)
        return r;
    self->tls = &entry->tls;
    if (!clew__is_url(self->url))
        return clew__yaml_error(node, "an Alertmanager needs a url, http or https");
    for (len = strlen(self->url); self->url[len - 1] == '/'; len--)
        self->url[len - 1] = '\0';
    clew__integration_name_target(self, "");
    return 0;
}

static void headers(const struct clew__integration *self, const struct clew__buf *body, int64_t now,
                    clew__add_header *add, void *arg)
{
    const struct entry *entry = self->options;

    (void)body, (void)now;
    if (entry->authorization)
        add(arg, "Authorization", entry->authorization);
}

static const struct clew__receiver_ops alertmanager = {
    .kind = "alertmanager",
    .keys = keys,
    .configure = configure,
    .release = release,
    .headers = headers,
};

int clew__config_alertmanagers(struct clew__yaml_node root, struct clew__config *config)
{
    struct clew__yaml_node list = clew__yaml_get(root, "alertmanagers");
    int n = clew__yaml_count(list, CLEW__ALERTMANAGERS_MAX), r = 0;

    if (n <= 0)
        return n;
    config->alertmanagers = calloc((size_t)n, sizeof(*config->alertmanagers));
    if (!config->alertmanagers)
        return clew_set_error(-ENOMEM, "out of memory");
    for (int i = 0; i < n && r == 0; i++) {
        struct clew__integration *self = &config->alertmanagers[config->nalertmanagers++];

        *self = (struct clew__integration){
            .ops = &alertmanager, .receiver = alertmanager.kind, .index = (unsigned)i};
        r = clew__yaml_keys(clew__yaml_entry(list, i), keys);
        if (r == 0)
            r = configure(self, clew__yaml_entry(list, i));
    }
    return r;
}

void clew__alertmanagers_done(struct clew__config *config)
{
    for (size_t i = 0; i < config->nalertmanagers; i++) {
        free(config->alertmanagers[i].url);
        release(config->alertmanagers[i].options);
    }
    free(config->alertmanagers);
}
