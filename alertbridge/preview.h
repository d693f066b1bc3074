/* SPDX-License-Identifier: Apache-2.0
 * What the bridge would send about a notification. */
#ifndef CLEW_ALERTBRIDGE_PREVIEW_H
#define CLEW_ALERTBRIDGE_PREVIEW_H

#include <config/config.h>
#include <intake/notification.h>

#include <stdio.h>

/* Prints the pages that would go out now, as each receiver writes them; secrets are
 * left out. What ended is taken to have been told before. Nothing is sent or stored.
 * returns  0, -errno */
int clew__preview(const struct clew__config *config, const struct clew__notification *notification,
                  int64_t now, FILE *out);

#endif
