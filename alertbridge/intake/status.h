/* SPDX-License-Identifier: Apache-2.0
 * The page for people: what is open, what waits, what was sent. */
#ifndef CLEW_ALERTBRIDGE_STATUS_H
#define CLEW_ALERTBRIDGE_STATUS_H

#include <store/store.h>

#include <buf.h>

/* Appends the page, HTML without scripts; every text from outside is escaped.
 * returns  0, -errno */
int clew__status_page(struct clew__store *store, struct clew__buf *html);

#endif
