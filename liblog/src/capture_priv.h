/* SPDX-License-Identifier: Apache-2.0
 * What the files of the capture share, and the crash report asks of it. */
#ifndef CLEW_CAPTURE_PRIV_H
#define CLEW_CAPTURE_PRIV_H

#include <clew/log.h>

#define CLEW__ORIGIN_BYTES 64

/* Whether all that was written to captured descriptors has been logged.
 * AS-Safe. */
bool clew__capture_is_idle(void);

/* Starts logging, which says where lines go, and checks that a capture with
 * these arguments may begin. 0 or -errno with clew_last_error(). */
int clew__capture_check(int fd, const char *origin, enum clew_level level);

#endif
