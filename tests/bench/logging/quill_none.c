/* SPDX-License-Identifier: Apache-2.0
 * quill is not installed. */
#include "peer.h"

#include <stddef.h>

const struct peer *const bench_quill[] = {NULL};
