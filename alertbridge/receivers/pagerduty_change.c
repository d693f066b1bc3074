/* SPDX-License-Identifier: Apache-2.0
 * PagerDuty's change events: something that is no trouble, but explains one: a
 * deployment, a switch that was turned. Which alerts are such changes is what the
 * routes say: those that lead to a receiver with pagerduty_change_configs. Nobody is
 * woken, nothing is to be closed; PagerDuty shows the change beside the incidents of
 * the same service. No state; MT-Safe. */
#include "pagerduty_parts.h"
#include "text.h"

#include <common/instant.h>

#include <clew/log.h>

#include <errno.h>
#include <stdlib.h>

#define DEFAULT_URL "https://events.pagerduty.com/v2/change/enqueue"
#define SOURCE_MAX 255

struct change {
    char *routing_key;
    struct clew__template *description;
};

static const char *const keys[] = {
    "routing_key", "routing_key_file", "service_key",       "service_key_file",
    "url",         "description",      "events_per_minute", "send_resolved",
    NULL};

static void release(void *options)
{
    struct change *change = options;

    if (!change)
        return;
    free(change->routing_key);
    (void)clew__template_free(change->description);
    free(change);
}

static int configure(struct clew__integration *self, struct clew__yaml_node node)
{
    struct change *change = calloc(1, sizeof(*change));
    int r;

    self->options = change;
    if (!change)
        return clew_set_error(-ENOMEM, "out of memory");
    r = clew__pagerduty_key(node, &change->routing_key);
    if (r == 0)
        r = clew__yaml_text(clew__yaml_get(node, "url"), 2048, DEFAULT_URL, &self->url);
    if (r == 0)
        r = clew__config_template(node, "description", NULL, &change->description);
    if (r == 0)
        r = clew__pagerduty_pace(node, &self->per_minute);
    if (r < 0)
        return r;
    if (!clew__is_url(self->url))
        return clew__yaml_error(node, "url is no http or https URL");
    self->off = !*change->routing_key;
    clew__integration_name_target(self, change->routing_key);
    return 0;
}

static int render(const struct clew__integration *self, const struct clew__config *config,
                  const struct clew__page *page, struct clew__buf *body)
{
    const struct change *change = self->options;
    const char *from = clew__page_shared(page, false, "service");
    bool over = page->action == CLEW__ACTION_RESOLVE;
    char time[CLEW__INSTANT_TEXT];

    clew__buf_addc(body, '{');
    clew__text_member(body, "routing_key", change->routing_key, 4096);
    clew__buf_adds(body, ",\"payload\":{");
    clew__pagerduty_summary(body, change->description, page);
    clew__text_member(
        body, "timestamp",
        clew__instant_format(over ? clew__page_ends_at(page) : clew__page_starts_at(page), time),
        CLEW__INSTANT_TEXT);
    clew__text_member(body, "source", *from ? from : clew__page_name(page), SOURCE_MAX);
    clew__pagerduty_details(body, page);
    clew__buf_addc(body, '}');
    clew__pagerduty_links(body, config, page);
    return clew__pagerduty_end(body);
}

const struct clew__receiver_ops clew__pagerduty_change = {
    .kind = "pagerduty_change",
    .keys = keys,
    .configure = configure,
    .release = release,
    .render = render,
    .verdict = clew__pagerduty_verdict,
};
