/* SPDX-License-Identifier: Apache-2.0
 * A link into Grafana Explore: one query, over the time of a page. The URL is in
 * the form that Grafana has had since 10.2 (schemaVersion 1, "panes"; Grafana's
 * documentation, "Share Explore URLs"). */
#ifndef CLEW_ALERTBRIDGE_EXPLORE_H
#define CLEW_ALERTBRIDGE_EXPLORE_H

#include "template.h"

#include <yaml_tree.h>

struct clew__explore; /* immutable: MT-Safe */

/* Reads {url, datasource, type, query, org_id, before, after}.
 * owner    clew__explore_free()
 * returns  0, -EINVAL, -ENOMEM */
int clew__explore_read(struct clew__yaml_node node, struct clew__explore **ret_explore);
/* Accepts NULL, returns NULL. */
struct clew__explore *clew__explore_free(struct clew__explore *explore);

/* Appends the URL; nothing when a value of the query is empty, since that would ask
 * for something else. Values are escaped as the inside of a query's "text". */
void clew__explore_url(const struct clew__explore *explore, const struct clew__page *page,
                       struct clew__buf *url);

#endif
