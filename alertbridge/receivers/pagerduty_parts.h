/* SPDX-License-Identifier: Apache-2.0
 * What PagerDuty's events about alerts and about changes have in common. */
#ifndef CLEW_ALERTBRIDGE_PAGERDUTY_PARTS_H
#define CLEW_ALERTBRIDGE_PAGERDUTY_PARTS_H

#include "receiver.h"

/* The routing key, by either of its names; "" when it is empty. returns 0, -EINVAL, -ENOMEM */
int clew__pagerduty_key(struct clew__yaml_node node, char **ret_key);
/* events_per_minute */
int clew__pagerduty_pace(struct clew__yaml_node node, unsigned *ret_per_minute);

/* "summary", never empty: description, the page's summary, or the alert's name. */
void clew__pagerduty_summary(struct clew__buf *json, const struct clew__template *description,
                             const struct clew__page *page);
/* "custom_details" and "links", with a comma in front. */
void clew__pagerduty_details(struct clew__buf *json, const struct clew__page *page);
void clew__pagerduty_links(struct clew__buf *json, const struct clew__config *config,
                           const struct clew__page *page);
/* The last brace. returns 0, -ENOMEM, -E2BIG */
int clew__pagerduty_end(struct clew__buf *body);

struct clew__verdict clew__pagerduty_verdict(const struct clew__answer *answer);

#endif
