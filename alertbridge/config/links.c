/* SPDX-License-Identifier: Apache-2.0
 * A link is a text and where it leads: a template, or a query in Grafana Explore.
 * MT-Unsafe, as the tree is; the result is immutable. */
#include "links.h"

#include <clew/log.h>

#include <errno.h>
#include <stdlib.h>

#define LINKS_MAX 10

static int read_link(struct clew__yaml_node node, struct clew__link *link)
{
    static const char *const keys[] = {"text", "url", "explore", NULL};
    struct clew__yaml_node explore = clew__yaml_get(node, "explore");
    int r = clew__yaml_keys(node, keys);

    if (r == 0)
        r = clew__yaml_text(clew__yaml_get(node, "text"), 75, NULL, &link->text);
    if (r == 0)
        r = clew__config_template(node, "url", NULL, &link->url);
    if (r == 0 && explore.node)
        r = clew__explore_read(explore, &link->explore);
    if (r < 0)
        return r;
    return link->text && *link->text && !link->url != !link->explore
               ? 0
               : clew__yaml_error(node, "a link needs text, and url or explore");
}

int clew__config_links(struct clew__yaml_node list, struct clew__config *config)
{
    int n = clew__yaml_count(list, LINKS_MAX), r = 0;

    if (n <= 0)
        return n;
    config->links = calloc((size_t)n, sizeof(*config->links));
    if (!config->links)
        return clew_set_error(-ENOMEM, "out of memory");
    for (int i = 0; i < n && r == 0; i++)
        r = read_link(clew__yaml_entry(list, i), &config->links[config->nlinks++]);
    return r;
}

void clew__config_links_done(struct clew__config *config)
{
    for (size_t i = 0; i < config->nlinks; i++) {
        free(config->links[i].text);
        (void)clew__template_free(config->links[i].url);
        (void)clew__explore_free(config->links[i].explore);
    }
    free(config->links);
}
