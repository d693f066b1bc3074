/* SPDX-License-Identifier: Apache-2.0
 * Slack's messages, for its page and the overview. */
#ifndef CLEW_LOCAL_PAGE_SLACK_H
#define CLEW_LOCAL_PAGE_SLACK_H

#include <buf.h>

/* The newest `limit` messages, each with its thread. */
void page_slack_messages(struct clew__buf *out, size_t limit);

#endif
