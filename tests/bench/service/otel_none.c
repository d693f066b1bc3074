/* SPDX-License-Identifier: Apache-2.0
 * opentelemetry-cpp is not here, or spdlog is not. */
#include "bench.h"

const struct bench_variant bench_with_otel;
