/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLEW_ALERTBRIDGE_CHECK_H
#define CLEW_ALERTBRIDGE_CHECK_H

#include <stdbool.h>
#include <stddef.h>

/* Where something lies in a body. */
struct clew__slice {
    const char *at;
    size_t len;
};

struct clew__shape {
    size_t nalerts;
    struct clew__slice list; /* of the alerts, with its brackets */
};

/* Whether clew__notification_parse() would surely take a body; false: only that can
 * tell. Takes no memory, and a fiftieth of the time. MT-Safe.
 *
 * args     ret_shape: undefined for false */
bool clew__notification_check(const char *body, size_t len, struct clew__shape *ret_shape);
/* Where each alert of such a body is; ret_alerts: shape->nalerts of them. */
void clew__notification_slices(const struct clew__shape *shape, struct clew__slice *ret_alerts);

#endif
