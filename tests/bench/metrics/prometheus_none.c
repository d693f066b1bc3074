/* SPDX-License-Identifier: Apache-2.0 */
#include "bench.h"

const struct bench_library bench_prometheus_cpp = {.name = NULL};
