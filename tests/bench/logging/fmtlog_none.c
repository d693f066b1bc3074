/* SPDX-License-Identifier: Apache-2.0
 * fmtlog is not installed. */
#include "peer.h"

#include <stddef.h>

const struct peer *const bench_fmtlog[] = {NULL};
