/* SPDX-License-Identifier: Apache-2.0
 * What a test of one receiver has: a page, and a configuration that renders it. */
#ifndef CLEW_TEST_RENDERING_H
#define CLEW_TEST_RENDERING_H

#include "pages.h"

extern struct bench bench;
extern struct clew__config *config;
extern struct made_page made; /* of one alert */

/* state: the configuration's text, as a test's initial state. */
int rendering_setup(void **state);
int rendering_teardown(void **state);
/* Goes on with another configuration. */
void rendering_use(const char *text);

#endif
