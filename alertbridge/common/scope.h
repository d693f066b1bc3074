/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLEW_ALERTBRIDGE_SCOPE_H
#define CLEW_ALERTBRIDGE_SCOPE_H

#include <store/store.h>

/* The scope of the webhook that caused something, so that its trace goes on.
 * owner    clew_scope_release() */
struct clew_scope clew__scope_of(const struct clew__thread_of *thread);

#endif
