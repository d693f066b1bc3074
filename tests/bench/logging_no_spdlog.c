/* SPDX-License-Identifier: Apache-2.0 */
#include "logging.h"

#include <stddef.h>

const struct peer *const bench_peers[] = {NULL};
