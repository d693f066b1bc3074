/* SPDX-License-Identifier: Apache-2.0
 * Where clicks on buttons of Slack's messages go. */
#ifndef CLEW_LOCAL_SLACK_CLICK_H
#define CLEW_LOCAL_SLACK_CLICK_H

/* Before the server starts; both are borrowed until it has stopped. url: the app's
 * for interactions, NULL: buttons do nothing. secret: the app's signing secret. */
void slack_clicks_go_to(const char *url, const char *secret);

#endif
