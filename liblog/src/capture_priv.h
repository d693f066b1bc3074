/* SPDX-License-Identifier: Apache-2.0
 * What the crash report asks of the capture. */
#ifndef CLEW_CAPTURE_PRIV_H
#define CLEW_CAPTURE_PRIV_H

#include <stdbool.h>

/* Whether all that was written to captured descriptors has been logged.
 * AS-Safe. */
bool clew__capture_is_idle(void);

#endif
