/* SPDX-License-Identifier: Apache-2.0
 * Each part is within PagerDuty's limits whatever the labels hold, and so are all of
 * them together. No state; MT-Safe. */
#include "pagerduty_parts.h"

#include "text.h"

#include <clew/log.h>

#include <errno.h>
#include <stdio.h>

#define EVENT_MAX (500u << 10) /* bytes; PagerDuty takes 512 KB */
#define SUMMARY_MAX 1024
#define DETAIL_MAX 2000
#define DETAILS_MAX (300u << 10)
#define LINK_TEXT_MAX 100
#define EVENTS_PER_MINUTE 120 /* what PagerDuty takes from one integration key */

int clew__pagerduty_key(struct clew__yaml_node node, char **ret_key)
{
    bool old_name =
        clew__yaml_get(node, "service_key").node || clew__yaml_get(node, "service_key_file").node;

    if (old_name &&
        (clew__yaml_get(node, "routing_key").node || clew__yaml_get(node, "routing_key_file").node))
        return clew__yaml_error(node, "routing_key and service_key exclude each other");
    return old_name ? clew__config_secret(node, "service_key", "service_key_file", ret_key)
                    : clew__config_secret(node, "routing_key", "routing_key_file", ret_key);
}

int clew__pagerduty_pace(struct clew__yaml_node node, unsigned *ret_per_minute)
{
    uint64_t per_minute = EVENTS_PER_MINUTE;
    int r = clew__yaml_uint(clew__yaml_get(node, "events_per_minute"), 1, 10000, &per_minute);

    *ret_per_minute = (unsigned)per_minute;
    return r;
}

void clew__pagerduty_summary(struct clew__buf *json, const struct clew__template *description,
                             const struct clew__page *page)
{
    size_t before = json->len;
    const char *summary = clew__page_shared(page, true, "summary");

    if (description)
        clew__text_template(json, "summary", description, page, NULL, SUMMARY_MAX);
    if (json->len > before)
        return;
    if (!*summary)
        summary = clew__page_value(page->common_annotations, "summary");
    clew__text_member(json, "summary", *summary ? summary : clew__page_name(page), SUMMARY_MAX);
}

static void add_map(struct clew__buf *json, const char *key, json_t *map)
{
    clew__text_map(json, key, map, DETAIL_MAX, DETAILS_MAX / 3);
}

void clew__pagerduty_details(struct clew__buf *json, const struct clew__page *page)
{
    clew__buf_addf(json, ",\"custom_details\":{\"firing\":%llu,\"changed\":%llu,\"truncated\":%llu",
                   (unsigned long long)page->nfiring,
                   (unsigned long long)(page->nfired + page->nresolved),
                   (unsigned long long)page->ntruncated);
    if (*page->note)
        clew__text_member(json, "why_now", page->note, DETAIL_MAX);
    if (page->nalerts == 1) {
        clew__text_member(json, "fingerprint", page->alerts[0].fingerprint, 64);
        add_map(json, "labels", page->alerts[0].labels);
        add_map(json, "annotations", page->alerts[0].annotations);
    } else {
        add_map(json, "labels", page->common_labels);
        add_map(json, "annotations", page->common_annotations);
    }
    add_map(json, "group", page->group_labels);
    clew__buf_addc(json, '}');
}

void clew__pagerduty_links(struct clew__buf *json, const struct clew__config *config,
                           const struct clew__page *page)
{
    struct clew__page_link links[CLEW__LINKS_MAX];
    size_t n = clew__links_collect(config, page, links);

    clew__buf_adds(json, ",\"links\":[");
    for (size_t i = 0; i < n; i++) {
        clew__buf_adds(json, i ? ",{" : "{");
        clew__text_member(json, "href", links[i].url, CLEW__LINK_URL_MAX);
        clew__text_member(json, "text", links[i].text, LINK_TEXT_MAX);
        clew__buf_addc(json, '}');
    }
    clew__buf_addc(json, ']');
    clew__links_done(links, n);
}

int clew__pagerduty_end(struct clew__buf *body)
{
    clew__buf_addc(body, '}');
    if (body->failed)
        return clew_set_error(-ENOMEM, "out of memory");
    return body->len > EVENT_MAX ? clew_set_error(-E2BIG, "the event is too long") : 0;
}

struct clew__verdict clew__pagerduty_verdict(const struct clew__answer *answer)
{
    struct clew__verdict verdict = clew__verdict_of_status(answer);

    /* PagerDuty promises no Retry-After; it counts events in windows of a minute. */
    if (answer->status == 429 && verdict.wait_seconds < 0)
        verdict.wait_seconds = 30;
    return verdict;
}
